#include "cli/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"

#define HEX_MAX 32 /* bytes */

json_t *json_text(const char *text)
{
	return text != NULL ? json_string(text) : NULL;
}

json_t *json_hex(const uint8_t *bytes, size_t size)
{
	char hex[HEX_LEN(HEX_MAX) + 1];

	if (bytes == NULL || size > HEX_MAX)
		return NULL;
	hex_encode(hex, bytes, size);
	return json_string(hex);
}

json_t *json_time(uint64_t unix_s)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(text, unix_s > INT64_MAX ? INT64_MAX : (int64_t)unix_s);
	return json_string(text);
}

void json_add(json_t *object, const char *name, json_t *value)
{
	if (value != NULL)
		(void)json_object_set_new(object, name, value);
}

bool json_print(json_t *object, struct trouble *t)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15));
	bool ok =
		text != NULL ? output_line(text, t) : trouble_local(t, ERR_NOMEM, "out of memory");

	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
	json_decref(object);
	return ok;
}
