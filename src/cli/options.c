#include "cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <string.h>

#define ID_FIRST 256 /* behind every letter */

static int row_of(const struct option_row *rows, const char *name)
{
	for (int i = 0; rows[i].name != NULL; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return i;
	}
	return -1;
}

static int row_of_letter(const struct option_row *rows, int letter)
{
	for (int i = 0; rows[i].name != NULL; i++) {
		if (rows[i].letter == letter)
			return i;
	}
	return -1;
}

/* What getopt_long() wants to know. */
static void tables(const struct option_row *rows, struct option *longs, char *shorts)
{
	*shorts++ = ':'; /* a missing value is told apart, and nothing is printed */
	for (int i = 0; rows[i].name != NULL; i++) {
		assert(i < OPTIONS_MAX);
		*longs++ = (struct option){ .name = rows[i].name,
					    .has_arg = rows[i].argument != NULL ? required_argument
										: no_argument,
					    .val = ID_FIRST + i };
		if (rows[i].letter == 0)
			continue;
		*shorts++ = rows[i].letter;
		if (rows[i].argument != NULL)
			*shorts++ = ':';
	}
	*longs = (struct option){ 0 };
	*shorts = '\0';
}

/* What comes behind "=" may be a secret. */
static bool unknown(struct trouble *t, const char *argument)
{
	if (optopt > 0 && optopt < ID_FIRST)
		return trouble_usage(t, "there is no option -%c", optopt);
	return trouble_usage(t, "\"%.*s\" is no option, is one of several, or takes no value",
			     (int)strcspn(argument, "="), argument);
}

bool options_read(struct options *o, const struct option_row *rows, int argc, char **argv,
		  struct trouble *t)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 2];
	int id;

	*o = (struct options){ .rows = rows };
	tables(rows, longs, shorts);
	optind = 0; /* GNU: starts anew */
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		int row = id >= ID_FIRST ? id - ID_FIRST : row_of_letter(rows, id);

		if (id == ':')
			return trouble_usage(t, "%.60s needs a value", argv[optind - 1]);
		if (id == '?')
			return unknown(t, argv[optind - 1]);
		o->given[row] = optarg != NULL ? optarg : "";
	}
	o->args = argv + optind;
	o->arg_count = argc - optind;
	return true;
}

bool options_knows(const struct options *o, const char *name)
{
	return row_of(o->rows, name) >= 0;
}

const char *options_get(const struct options *o, const char *name)
{
	int row = row_of(o->rows, name);

	assert(row >= 0);
	return o->given[row];
}

void options_print(FILE *out, const struct option_row *rows)
{
	for (; rows->name != NULL; rows++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "%c%c%s--%s%s%s", rows->letter ? '-' : ' ',
			       rows->letter ? rows->letter : ' ', rows->letter ? ", " : "  ",
			       rows->name, rows->argument != NULL ? " " : "",
			       rows->argument != NULL ? rows->argument : "");
		(void)fprintf(out, "  %-26s  %s\n", flag, rows->help);
	}
}
