/* test_settings_files - settings in files, from flags and over reloads, and as they are printed. */
#include "tests/unit/settings_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "server/settings/settings_table.h"

#define MARK_BEGIN ".\\\" settings: printed by conf/print-docs"
#define MARK_END ".\\\" end of settings"

/* ---- files, flags and reloads ---------------------------------------------------------------- */

static void write_file(struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static enum err_code load(struct fixture *f, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	settings_free(&f->s);
	memset(&f->said, 0, sizeof(f->said));
	return settings_load(&f->s, path, fixture_hear, &f->said, &f->err);
}

static void a_missing_file_is_a_failure(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "none.conf"), ERR_IO);
	assert_non_null(strstr(f->err.why, "none.conf"));
}

static void files_can_include_files(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.conf", ".include \"b.conf\"\nupload { max = 1mb }\n");
	write_file(f, "b.conf", "fetch { workers = 7 }\n");
	assert_int_equal(load(f, "a.conf"), ERR_OK);
	assert_int_equal(f->s.fetch_workers, 7);
	assert_int_equal(f->s.upload_max, 1 << 20);
}

static void problems_of_an_included_file_are_reported_with_its_name(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.conf", "\n.include \"b.conf\"\nupload { max = 1mb }\n");
	write_file(f, "b.conf", "\n\nupload { max = 2mb }\nfoo = 1\n");
	assert_int_equal(load(f, "a.conf"), ERR_INVALID);
	assert_int_equal(f->said.count, 2);
	assert_non_null(strstr(f->said.text, "b.conf:4: unknown setting foo"));
	assert_non_null(strstr(f->said.text, "a.conf:3: upload.max: set already, at "));
	assert_non_null(strstr(f->said.text, "b.conf:3\n"));
}

static void an_include_that_is_missing_or_endless_is_reported(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.conf", "\n.include \"none.conf\"\n");
	assert_int_equal(load(f, "a.conf"), ERR_INVALID);
	assert_non_null(strstr(f->said.text, "a.conf:2: .include: "));
	write_file(f, "b.conf", ".include \"b.conf\"\n");
	assert_int_equal(load(f, "b.conf"), ERR_INVALID);
	assert_int_equal(f->said.count, 1);
	write_file(f, "c.conf", "upload { .include \"b.conf\" }\n");
	assert_int_equal(load(f, "c.conf"), ERR_INVALID);
	assert_non_null(strstr(f->said.text, "c.conf:1: .include: not inside a block"));
}

static void flags_win_over_the_file(void **state)
{
	struct fixture *f = *state;
	bool replaced = false;

	check_good(f, "listen = 127.0.0.1:1; listen = 127.0.0.1:2; data_dir = /a");
	assert_int_equal(settings_add_listen(&f->s, "127.0.0.1:3", &replaced, &f->err), ERR_OK);
	assert_int_equal(settings_add_listen(&f->s, "[::1]:0", &replaced, &f->err), ERR_OK);
	assert_int_equal(f->s.listen_count, 2);
	assert_string_equal(f->s.listen[0].address, "127.0.0.1:3");
	assert_string_equal(f->s.listen[1].address, "[::1]:0");
	assert_int_equal(settings_set_data_dir(&f->s, "/b", &f->err), ERR_OK);
	assert_string_equal(f->s.data_dir, "/b");
}

static void a_bad_flag_changes_nothing(void **state)
{
	struct fixture *f = *state;
	bool replaced = false;

	check_good(f, "listen = 127.0.0.1:1");
	assert_int_equal(settings_add_listen(&f->s, "nobody:3", &replaced, &f->err), ERR_INVALID);
	assert_false(replaced);
	assert_int_equal(settings_set_data_dir(&f->s, "", &f->err), ERR_INVALID);
	assert_int_equal(settings_set_data_dir(&f->s, "/a\nb", &f->err), ERR_INVALID);
	assert_string_equal(f->s.listen[0].address, "127.0.0.1:1");
	assert_string_equal(f->s.data_dir, "/var/lib/restante");
}

static void what_needs_a_restart_is_named(void **state)
{
	struct fixture *f = *state;
	struct settings other = { 0 };
	static const char text[] = "listen = 127.0.0.1:9; upload { workers = 3; max = 1mb } "
				   "store { engine = memory }";
	char said[128] = "";
	FILE *out = fmemopen(said, sizeof(said), "w");

	assert_non_null(out);
	check_good(f, "");
	assert_int_equal(settings_parse(&other, text, strlen(text), NULL, NULL, NULL), ERR_OK);
	assert_int_equal(settings_fixed_changes(&f->s, &f->s, out), 0);
	assert_int_equal(settings_fixed_changes(&f->s, &other, out), 3);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(said, "listen upload.workers store.engine");
	settings_free(&other);
}

static void a_reload_keeps_what_needs_a_restart(void **state)
{
	static const char text[] = "listen = 127.0.0.1:9; upload { workers = 3; max = 1mb } "
				   "store { engine = memory } http { metrics = on }";
	struct fixture *f = *state;
	struct settings wanted = { 0 };

	check_good(f, "");
	assert_int_equal(settings_parse(&wanted, text, strlen(text), NULL, NULL, NULL), ERR_OK);
	assert_int_equal(settings_keep_fixed(&wanted, &f->s, &f->err), ERR_OK);
	assert_int_equal(wanted.listen_count, 1);
	assert_string_equal(wanted.listen[0].address, "127.0.0.1:8080");
	assert_int_equal(settings_fixed_changes(&f->s, &wanted, stderr), 0);
	assert_int_equal(wanted.upload_workers, 32);
	assert_string_equal(wanted.store_engine, "rocksdb");
	assert_int_equal(wanted.upload_max, 1 << 20);
	assert_true(wanted.http_metrics);
	settings_free(&wanted);
}

/* As many listeners as there may be, for those that run, all of the other kind. */
static void a_reload_keeps_the_listeners_however_many_there_are(void **state)
{
	static const char tls[] = "tls { certificate = a; key = b } server a { } listen_tls = [";
	struct fixture *f = *state;
	struct settings wanted = { 0 };
	char text[1024] = "";
	size_t n;

	check_good(f, "listen = [ 127.0.0.1:1, 127.0.0.1:2 ]; server a { }");
	(void)strcpy(text, tls);
	for (int i = 0; i < SETTINGS_LISTEN_MAX; i++) {
		n = strlen(text);
		(void)snprintf(text + n, sizeof(text) - n, " 127.0.0.1:%d,", i + 3);
	}
	(void)strcat(text, " ]");
	assert_int_equal(settings_parse(&wanted, text, strlen(text), NULL, NULL, &f->err), ERR_OK);
	assert_int_equal(wanted.listen_count, SETTINGS_LISTEN_MAX);
	assert_int_equal(settings_keep_fixed(&wanted, &f->s, &f->err), ERR_OK);
	assert_int_equal(wanted.listen_count, 2);
	assert_int_equal(wanted.hosts[0].listen_count, 2);
	assert_int_equal(settings_fixed_changes(&f->s, &wanted, stderr), 0);
	settings_free(&wanted);
}

/* ---- what is printed ------------------------------------------------------------------------- */

/* All of a stream; the caller frees it. */
static char *printed(void (*print)(FILE *f))
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	print(f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static char *in_the_tree(const char *name)
{
	const char *top = getenv("RESTANTE_TOP");
	char path[4096], *text = calloc(1, 1 << 18);
	FILE *f;

	assert_non_null(text);
	(void)snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", name);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void the_sample_file_is_what_the_table_prints(void **state)
{
	char *table = printed(settings_print_conf), *sample = in_the_tree("conf/restante.conf");

	(void)state;
	assert_string_equal(sample, table);
	free(table);
	free(sample);
}

static void the_manual_has_what_the_table_prints(void **state)
{
	char *table = printed(settings_print_mdoc), *page = in_the_tree("doc/restante.conf.5");
	char *begin = strstr(page, MARK_BEGIN), *end = strstr(page, MARK_END);

	(void)state;
	assert_non_null(begin);
	assert_non_null(end);
	begin = strchr(begin, '\n') + 1;
	assert_true(begin <= end);
	*end = '\0';
	assert_string_equal(begin, table);
	free(table);
	free(page);
}

/* Takes the '#' off lines that hold a setting: no space follows it. */
static void uncomment(char *text)
{
	for (char *p = text; (p = strchr(p, '#')) != NULL; p++)
		if ((p == text || p[-1] == '\n' || p[-1] == '\t') && p[1] != ' ')
			*p = ' ';
}

static void the_sample_file_loads_as_it_is(void **state)
{
	struct fixture *f = *state;
	char *sample = in_the_tree("conf/restante.conf");

	check_good(f, sample);
	free(sample);
}

static void the_sample_file_uncommented_loads_and_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct settings defaults = { 0 };
	char *sample = in_the_tree("conf/restante.conf"), said[128] = "";
	FILE *out = fmemopen(said, sizeof(said), "w");

	assert_non_null(out);
	uncomment(sample);
	check_good(f, sample);
	assert_int_equal(settings_parse(&defaults, "", 0, NULL, NULL, NULL), ERR_OK);
	(void)settings_fixed_changes(&defaults, &f->s, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(said, "listen_tls admin.socket"); /* these have no default */
	settings_free(&defaults);
	free(sample);
}

static char *running(const struct settings *s)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	settings_print_running(s, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Printed, read and printed again it is the same; so all that is printed was read. */
static void check_round_trip(struct fixture *f, const char *text)
{
	struct settings again = { 0 };
	char *first, *second;

	check_good(f, text);
	first = running(&f->s);
	if (settings_parse(&again, first, strlen(first), fixture_hear, &f->said, NULL) != ERR_OK)
		fail_msg("%s: %s", f->said.text, first);
	second = running(&again);
	assert_string_equal(first, second);
	assert_int_equal(settings_fixed_changes(&f->s, &again, stderr), 0);
	assert_int_equal(again.host_count, f->s.host_count);
	settings_free(&again);
	free(first);
	free(second);
}

static void the_running_settings_can_be_read_again(void **state)
{
	struct fixture *f = *state;
	char *sample = in_the_tree("conf/restante.conf"), *text;

	check_round_trip(f, "");
	text = running(&f->s);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (line[0] != '#' && line[0] != '}' && strchr(line, '{') == NULL &&
		    strncmp(line, "\t#", 2) != 0)
			fail_msg("not commented out: %s", line);
	free(text);
	check_round_trip(f,
			 "listen_tls = [ \"0.0.0.0:1\", 127.0.0.1:2 ]; listen = [ \"[::1]:3\" ]\n"
			 "tls { certificate = \"/a \\\"b\\\\\"; key = \"#k{};\" }\n"
			 "log { access = \"-\" } auth = grants; name = \"	,x\"\n"
			 "upload { max = 12345; ttl_photo = 61s } http { metrics = on }\n"
			 "grants { key = [ \"a " KEY_1 "\", \"" KEY_2 "\" ]; leeway = 0 }");
	check_round_trip(f, "upload { max = 3kb } unknown_host = refuse\n"
			    "server a { alias = [ x, \"*.y\" ]; auth = open }\n"
			    "server b { upload { max = 1; ttl_max = 100d }\n"
			    "http { cors_origin = \"\" } grants { key = k " KEY_1 " } }");
	uncomment(sample);
	check_round_trip(f, sample);
	free(sample);
}

static void the_running_settings_say_what_differs(void **state)
{
	struct fixture *f = *state;
	char *text;

	check_good(f, "upload { max = 3mb } server a { upload { ttl_photo = 1h } }");
	text = running(&f->s);
	assert_non_null(strstr(text, "\n\tmax = 3mb\n"));
	assert_non_null(strstr(text, "\n\t#ttl_photo = 30d\n"));
	assert_non_null(strstr(text, "\nserver \"a\" {\n\tupload {\n\t\tttl_photo = 1h\n\t}\n}\n"));
	free(text);
}

static void all_that_differs_between_hosts_can_be_reloaded(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		assert_true(!settings_table[i].host || settings_table[i].live);
}

static void help_has_a_line_for_every_setting(void **state)
{
	char *help = printed(settings_print_help);

	(void)state;
	assert_non_null(strstr(help, "  upload.max "));
	assert_non_null(strstr(help, "  expiry.interval "));
	assert_non_null(strstr(help, "  server \"NAME\" "));
	free(help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_a_failure),
		TEST(files_can_include_files),
		TEST(problems_of_an_included_file_are_reported_with_its_name),
		TEST(an_include_that_is_missing_or_endless_is_reported),
		TEST(flags_win_over_the_file),
		TEST(a_bad_flag_changes_nothing),
		TEST(what_needs_a_restart_is_named),
		TEST(a_reload_keeps_what_needs_a_restart),
		TEST(a_reload_keeps_the_listeners_however_many_there_are),
		TEST(the_sample_file_is_what_the_table_prints),
		TEST(the_manual_has_what_the_table_prints),
		TEST(the_sample_file_loads_as_it_is),
		TEST(the_sample_file_uncommented_loads_and_changes_nothing),
		TEST(the_running_settings_can_be_read_again),
		TEST(the_running_settings_say_what_differs),
		TEST(all_that_differs_between_hosts_can_be_reloaded),
		TEST(help_has_a_line_for_every_setting),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
