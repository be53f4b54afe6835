#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "cli/input.h"
#include "restante/token.h"

bool command_takes(const struct options *o, int least, int most, struct trouble *t)
{
	if (o->arg_count < least)
		return trouble_usage(t, "something is missing behind the command");
	if (o->arg_count > most)
		return trouble_usage(t, "there is more than the command takes");
	return true;
}

/* Neither a token nor what may have been meant as one is quoted in a trouble. */
bool command_token(char *out, const char *argument, struct trouble *t)
{
	if (strcmp(argument, "-") == 0)
		return input_text("-", out, RESTANTE_TOKEN_SIZE - 1, t);
	if (strlen(argument) >= RESTANTE_TOKEN_SIZE)
		return trouble_local(t, ERR_INVALID, "this is no token: it is too long");
	(void)snprintf(out, RESTANTE_TOKEN_SIZE, "%s", argument);
	return true;
}
