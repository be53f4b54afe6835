/* settings_print - the table of settings as a sample file, as a manual page and as --help. */
#include "server/settings.h"

#include <string.h>

#include "server/settings/settings_table.h"
#include "server/settings/settings_value.h"

static const char *short_name(const struct setting *t)
{
	return settings_table_block_length(t) > 0 ? t->name + settings_table_block_length(t) + 1
						  : t->name;
}

static const char *indent_of(const struct setting *t)
{
	return settings_table_block_length(t) > 0 ? "\t" : "";
}

static bool same_block(const struct setting *a, const struct setting *b)
{
	return settings_table_block_length(a) == settings_table_block_length(b) &&
	       memcmp(a->name, b->name, (size_t)settings_table_block_length(a)) == 0;
}

#define RANGE_SIZE 128

/* What may stand there, in words. */
static const char *range(char out[static RANGE_SIZE], const struct setting *t)
{
	static const char *const kinds[] = { [SETTING_SIZE] = "a size",
					     [SETTING_SECONDS] = "a time",
					     [SETTING_COUNT] = "a number" };
	char low[SETTINGS_AMOUNT_SIZE], high[SETTINGS_AMOUNT_SIZE];

	switch (t->type) {
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		(void)snprintf(out, RANGE_SIZE, "%s, %s to %s", kinds[t->type],
			       settings_table_amount(low, t->type, t->min),
			       settings_table_amount(high, t->type, t->max));
		break;
	case SETTING_BOOL:
		(void)snprintf(out, RANGE_SIZE, "true or false");
		break;
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		(void)snprintf(out, RANGE_SIZE, "ADDRESS:PORT");
		break;
	case SETTING_KEYS:
		(void)snprintf(out, RANGE_SIZE, "a key, or KID KEY");
		break;
	case SETTING_NAMES:
		(void)snprintf(out, RANGE_SIZE, "a name, or *. and a name");
		break;
	case SETTING_STRING:
		(void)snprintf(out, RANGE_SIZE, "%s", t->range);
		break;
	}
	return out;
}

/* Is its value written in quotes? */
static bool quoted(const struct setting *t)
{
	return settings_table_is_list(t) || (t->type == SETTING_STRING && !t->bare);
}

/* Prints text as comment lines of at most about 90 columns. */
static void print_comment(FILE *f, const char *indent, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > 0 && column + n > 88) {
			(void)fputc('\n', f);
			column = 0;
		}
		column += n + 1;
		(void)fprintf(f, "%s%.*s", column == n + 1 ? indent : " ", (int)n, text);
		text += n + (text[n] == ' ');
	}
	(void)fputc('\n', f);
}

static void print_conf_setting(FILE *f, const struct setting *t)
{
	const char *indent = indent_of(t);
	const char *lead = settings_table_block_length(t) > 0 ? "\t# " : "# ";
	const char *quote = quoted(t) ? "\"" : "";
	char words[RANGE_SIZE], line[2 * RANGE_SIZE];

	(void)snprintf(line, sizeof(line), "(%s;%s %s%s)", range(words, t),
		       t->unset == NULL ? " no default;" : "",
		       t->live ? "SIGHUP takes it up" : "needs a restart",
		       settings_table_in_host(t) ? "; also in server blocks" : "");
	print_comment(f, lead, t->help);
	print_comment(f, lead, line);
	(void)fprintf(f, "%s#%s = %s%s%s\n", indent, short_name(t), quote,
		      t->unset != NULL ? t->unset : t->example, quote);
}

/* Calls print for each setting that stands outside of server blocks, in the braces of its block. */
static void print_blocks(FILE *f, const char *between,
			 void (*print)(FILE *f, const struct setting *t, const void *ctx),
			 const void *ctx)
{
	const struct setting *before = NULL;

	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *t = &settings_table[i];
		const bool first = before == NULL || !same_block(before, t);

		if (t->host_only)
			continue;
		if (first && before != NULL)
			(void)fputs(settings_table_block_length(before) > 0 ? "}\n\n" : "\n", f);
		if (first && settings_table_block_length(t) > 0)
			(void)fprintf(f, "%.*s {\n", settings_table_block_length(t), t->name);
		(void)fputs(first ? "" : between, f);
		print(f, t, ctx);
		before = t;
	}
	(void)fputs("}\n", f);
}

/* What may stand in a server block, in few words. */
static void print_conf_host(FILE *f)
{
	const struct setting *alias = settings_table_find("alias");

	(void)fputc('\n', f);
	print_comment(
		f, "# ",
		"A virtual host, for requests that name it; one for each name. What its block "
		"does not say is as it is outside of the block.");
	(void)fputs("#server \"media.example.org\" {\n", f);
	print_comment(f, "#\t# ", alias->help);
	(void)fprintf(f, "#\talias = \"%s\"\n", alias->example);
	(void)fputs("#\tupload {\n#\t\tmax = 64mb\n#\t}\n#}\n", f);
}

static void print_conf_one(FILE *f, const struct setting *t, const void *ctx)
{
	(void)ctx;
	print_conf_setting(f, t);
}

void settings_print_conf(FILE *f)
{
	(void)fputs(
		"# restante.conf - every setting, commented out, with its default.\n"
		"# Printed by `restanted --print-conf`; the manual is restante.conf(5).\n"
		"# Sizes: b, kb, mb, gb, tb, powers of 1024. Times: s, min, h, d, w.\n"
		"# `restanted --check-config --config FILE` says what is wrong with a file.\n\n",
		f);
	print_blocks(f, "\n", print_conf_one, NULL);
	print_conf_host(f);
}

/* ---- what is in force ---- */

static void print_assignment(FILE *f, const char *indent, const struct setting *t,
			     const struct settings *s)
{
	(void)fprintf(f, "%s%s = ", indent, short_name(t));
	settings_value_print(s, t, f);
	(void)fputc('\n', f);
}

/* For print_blocks(): the settings, and those that nobody has said anything of. */
struct running {
	const struct settings *s, *unset;
};

/* Only where there is none at all, of either kind, is one listened to unsaid. */
static bool same_listeners(const struct running *r)
{
	return settings_value_same(r->s, r->unset, settings_table_find("listen")) &&
	       settings_value_same(r->s, r->unset, settings_table_find("listen_tls"));
}

static void print_running_one(FILE *f, const struct setting *t, const void *ctx)
{
	const struct running *r = ctx;
	const bool same = settings_table_is_listen(t) ? same_listeners(r)
						      : settings_value_same(r->s, r->unset, t);

	(void)fprintf(f, "%s%s", indent_of(t), same ? "#" : "");
	print_assignment(f, "", t, r->s);
}

/* What differs from the server's: all that a block has to say. */
static void print_running_host(FILE *f, const struct settings *host, const struct settings *s)
{
	(void)fputs("\nserver ", f);
	settings_value_quote(host->name, f);
	(void)fputs(" {\n", f);
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *t = &settings_table[i];
		const int block = settings_table_block_length(t);

		if (!settings_table_in_host(t) || settings_value_same(host, s, t))
			continue;
		if (block > 0)
			(void)fprintf(f, "\t%.*s {\n", block, t->name);
		print_assignment(f, block > 0 ? "\t\t" : "\t", t, host);
		if (block > 0)
			(void)fputs("\t}\n", f);
	}
	(void)fputs("}\n", f);
}

void settings_print_running(const struct settings *s, FILE *f)
{
	struct settings unset;
	const struct running r = { s, &unset };

	if (settings_parse(&unset, "", 0, NULL, NULL, NULL) != ERR_OK)
		return; /* no memory */
	print_blocks(f, "", print_running_one, &r);
	for (size_t i = 0; i < s->host_count; i++)
		print_running_host(f, &s->hosts[i], s);
	settings_free(&unset);
}

/* ---- the manual and the help ---- */

static void print_mdoc_setting(FILE *f, const struct setting *t)
{
	static const char *const args[] = { [SETTING_SIZE] = "size",
					    [SETTING_SECONDS] = "time",
					    [SETTING_COUNT] = "number",
					    [SETTING_STRING] = "string",
					    [SETTING_BOOL] = "bool",
					    [SETTING_LISTEN] = "address:port",
					    [SETTING_LISTEN_TLS] = "address:port",
					    [SETTING_KEYS] = "key",
					    [SETTING_NAMES] = "name" };
	char words[RANGE_SIZE];

	(void)fprintf(f, ".It Ic %s Ar %s\n", short_name(t), args[t->type]);
	for (const char *p = t->help; *p != '\0';) { /* a sentence a line, as mdoc wants it */
		const char *stop = strstr(p, ". ");
		int n = stop != NULL ? (int)(stop - p) + 1 : (int)strlen(p);

		(void)fprintf(f, "%.*s\n", n, p);
		p += n + (stop != NULL);
	}
	(void)fprintf(f, "Takes %s.\n", range(words, t));
	if (t->unset != NULL)
		(void)fprintf(f, "The default is\n.Ql %s .\n", t->unset);
	else
		(void)fprintf(f, "There is no default.\n");
	if (t->host_only)
		(void)fprintf(f, "Stands in a server block only.\n");
	else if (settings_table_in_host(t))
		(void)fprintf(f, "May stand in a server block.\n");
	if (!t->live)
		(void)fprintf(f, "A change needs a restart.\n");
}

void settings_print_mdoc(FILE *f)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *t = &settings_table[i];

		if (i == 0 || !same_block(t - 1, t)) {
			if (settings_table_block_length(t) > 0)
				(void)fprintf(f, ".Ss Block %.*s\n", settings_table_block_length(t),
					      t->name);
			else
				(void)fputs(".Ss Outside of any block\n", f);
			(void)fputs(".Bl -tag -width Ds\n", f);
		}
		print_mdoc_setting(f, t);
		if (i + 1 == SETTINGS_COUNT || !same_block(t, t + 1))
			(void)fputs(".El\n", f);
	}
}

void settings_print_help(FILE *f)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const char *help = settings_table[i].help, *stop = strstr(help, ". ");
		int n = stop != NULL ? (int)(stop - help) + 1 : (int)strlen(help);

		(void)fprintf(f, "  %-28s  %-17s  %.*s\n", settings_table[i].name,
			      settings_table[i].unset != NULL ? settings_table[i].unset : "-", n,
			      help);
	}
	(void)fprintf(f, "  %-28s  %-17s  %s\n", "server \"NAME\" { ... }", "-",
		      "A virtual host, with some of these of its own.");
}
