#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "server/hosts.h"
#include "server/settings.h"
#include "server/settings_table.h"

#define MARK_BEGIN ".\\\" settings: printed by conf/print-docs"
#define MARK_END ".\\\" end of settings"

/* What was complained of, a line each. */
struct complaints {
	size_t count;
	char text[8192];
};

struct fixture {
	char dir[64];
	struct settings s;
	struct complaints said;
	struct err err;
};

static void hear(void *ctx, const char *text)
{
	struct complaints *c = ctx;
	size_t n = strlen(c->text);

	c->count++;
	(void)snprintf(c->text + n, sizeof(c->text) - n, "%s\n", text);
}

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/restante-settings-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;
	char command[128];

	settings_free(&f->s);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static enum err_code parse(struct fixture *f, const char *text)
{
	settings_free(&f->s);
	memset(&f->said, 0, sizeof(f->said));
	return settings_parse(&f->s, text, strlen(text), hear, &f->said, &f->err);
}

static void check_good(struct fixture *f, const char *text)
{
	if (parse(f, text) != ERR_OK)
		fail_msg("\"%s\" was refused: %s", text, f->said.text);
	assert_int_equal(f->said.count, 0);
}

/* One problem, in which all of `words` is found. */
static void check_bad(struct fixture *f, const char *text, const char *words)
{
	if (parse(f, text) != ERR_INVALID)
		fail_msg("\"%s\" was taken", text);
	if (f->said.count != 1 || strstr(f->said.text, words) == NULL)
		fail_msg("\"%s\": \"%s\" expected, was: %s", text, words, f->said.text);
	if (strstr(f->err.why, words) == NULL && strlen(f->err.why) < sizeof(f->err.why) - 1)
		fail_msg("\"%s\": the failure says: %s", text, f->err.why);
}

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
	return settings_load(&f->s, path, hear, &f->said, &f->err);
}

/* ---- what is read ------------------------------------------------------------------------- */

static void an_empty_file_is_a_working_server(void **state)
{
	struct fixture *f = *state;

	check_good(f, "");
	assert_int_equal(f->s.listen_count, 1);
	assert_string_equal(f->s.listen[0].address, "127.0.0.1:8080");
	assert_false(f->s.listen[0].tls);
	assert_string_equal(f->s.data_dir, "/var/lib/restante");
	assert_string_equal(f->s.log_level, "info");
	assert_int_equal(f->s.http_header_max, 8 << 10);
	assert_int_equal(f->s.http_timeout, 60);
	assert_string_equal(f->s.http_cors_origin, "*");
	assert_false(f->s.http_metrics);
	assert_string_equal(f->s.tls_certificate, "");
	assert_int_equal(f->s.upload_max, UINT64_C(2) << 30);
	assert_int_equal(f->s.upload_ttl_photo, 30 * 86400);
	assert_int_equal(f->s.upload_ttl_max, 90 * 86400);
	assert_string_equal(f->s.store_engine, "rocksdb");
	assert_string_equal(f->s.admin_socket, "");
}

static void no_file_gives_the_defaults(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(settings_load(&f->s, NULL, hear, &f->said, &f->err), ERR_OK);
	assert_int_equal(f->s.listen_count, 1);
	assert_int_equal(f->s.upload_workers, 32);
}

static void a_missing_file_is_a_failure(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "none.conf"), ERR_IO);
	assert_non_null(strstr(f->err.why, "none.conf"));
}

static void sizes_are_powers_of_1024(void **state)
{
	struct fixture *f = *state;

	check_good(f, "upload { max = 64mb; memory = 2g }");
	assert_int_equal(f->s.upload_max, 64 << 20);
	assert_int_equal(f->s.upload_memory, UINT64_C(2) << 30);
	check_good(f, "upload { max = 3k }");
	assert_int_equal(f->s.upload_max, 3072);
}

static void times_are_seconds(void **state)
{
	struct fixture *f = *state;

	check_good(f, "upload { ttl_photo = 1h; ttl_max = 30d; ttl_video = 2w; ttl_voice = 5min; "
		      "ttl_file = 7 }");
	assert_int_equal(f->s.upload_ttl_photo, 3600);
	assert_int_equal(f->s.upload_ttl_max, 30 * 86400);
	assert_int_equal(f->s.upload_ttl_video, 14 * 86400);
	assert_int_equal(f->s.upload_ttl_voice, 300);
	assert_int_equal(f->s.upload_ttl_file, 7);
}

static void every_way_of_writing_it_means_the_same(void **state)
{
	static const char *const ways[] = {
		"upload { max = 64mb }",
		"upload { max = 64mb; }",
		"upload { max 64mb }",
		"upload { max: 64mb, workers: 16 }",
		"upload {\n\tmax = \"64mb\"\n}\n",
		"upload\n{\r\n\tmax\t=\t64mb\r\n}\r\n",
		"\"upload\" = { \"max\" = \"64mb\" };",
		"upload { } upload { max = 64mb # as much\n }",
		"# first\nupload { /* a /* nested */ one */ max = 64mb /* behind */ }",
		"upload { max = 64mb } # last",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		check_good(f, ways[i]);
		assert_int_equal(f->s.upload_max, 64 << 20);
	}
}

static void listeners_may_be_many(void **state)
{
	struct fixture *f = *state;

	check_good(f, "listen = 127.0.0.1:80\nlisten = \"[::1]:80\"\nlisten_tls = 0.0.0.0:443\n"
		      "listen = [ \"127.0.0.2:81\", localhost:0 ]\n"
		      "tls { certificate = /c.pem; key = /k.pem }");
	assert_int_equal(f->s.listen_count, 5);
	assert_string_equal(f->s.listen[1].address, "[::1]:80");
	assert_true(f->s.listen[2].tls);
	assert_false(f->s.listen[3].tls);
	assert_string_equal(f->s.listen[4].address, "localhost:0");
}

static void strings_keep_what_quotes_hold(void **state)
{
	struct fixture *f = *state;

	check_good(f, "data_dir = \"/a b;{}#\\\"\\\\\"");
	assert_string_equal(f->s.data_dir, "/a b;{}#\"\\");
	check_good(f, "data_dir = /a b#c   ");
	assert_string_equal(f->s.data_dir, "/a b#c");
	check_good(f, "http { cors_origin = \"\" }");
	assert_string_equal(f->s.http_cors_origin, "");
}

static void yes_and_no_have_three_words_each(void **state)
{
	struct fixture *f = *state;

	check_good(f, "http { metrics = true }");
	assert_true(f->s.http_metrics);
	check_good(f, "http { metrics = on }");
	assert_true(f->s.http_metrics);
	check_good(f, "http { metrics = no }");
	assert_false(f->s.http_metrics);
	check_bad(f, "http { metrics = 1 }", ":1: http.metrics: \"1\" is neither true nor false");
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void a_wrong_value_is_reported_with_its_line(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "\n\nupload {\n\tmax = -1\n}", ":4: upload.max: \"-1\" is not a size");
	check_bad(f, "upload { max = 1x }", ":1: upload.max: \"1x\" is not a size");
	check_bad(f, "upload { max = 64 mb }", ":1: upload.max: \"64 mb\" is not a size");
	check_bad(f, "upload { max = 1.5gb }", ":1: upload.max: \"1.5gb\" is not a size");
	check_bad(f, "upload { max = 30d }", ":1: upload.max: \"30d\" is not a size");
	check_bad(f, "upload { max = 99999999999999999999tb }", ":1: upload.max: ");
	check_bad(f, "upload { ttl_max = 30mb }", ":1: upload.ttl_max: \"30mb\" is not a time");
	check_bad(f, "upload { workers = 1k }", ":1: upload.workers: \"1k\" is not a number");
	check_bad(f, "upload {\nmax = [1,2]\n}", ":2: upload.max: takes one value, not a list");
	check_bad(f, "upload { max = {} }", ":1: upload.max: takes a value, not a block");
	check_bad(f, "upload { max = }", ":1: upload.max: value is missing");
	check_bad(f, "upload {\n max\n}", ":2: upload.max: value is missing");
	check_bad(f, "log { level = loud }", ":1: log.level: \"loud\" does not do: debug, info");
	check_bad(f, "data_dir = \"\"", ":1: data_dir: ");
	check_bad(f, "http { cors_origin = example.org }", ":1: http.cors_origin: ");
	check_bad(f, "http { cors_origin = \"https://a.example/\" }", ":1: http.cors_origin: ");
	check_bad(f, "http { cors_origin = \"https://a.example, *\" }", ":1: http.cors_origin: ");
}

static void a_value_out_of_range_is_told_the_range(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "http { header_max = 1kb }", "\"1kb\" is out of range: 2kb to 8kb");
	check_bad(f, "http { header_max = 9kb }", "out of range: 2kb to 8kb");
	check_bad(f, "upload { workers = 0 }", "out of range: 1 to 256");
	check_bad(f, "upload { workers = 257 }", "out of range: 1 to 256");
	check_bad(f, "http { timeout = 0 }", "out of range: 1s to 1h");
	check_good(f, "http { header_max = 8kb } upload { workers = 256 }");
}

static void what_nobody_knows_is_reported(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "\nlisten_udp = 1", ":2: unknown setting listen_udp");
	check_bad(f, "upload { maximum = 1 }", ":1: unknown setting upload.maximum");
	check_bad(f, "max = 1", ":1: unknown setting max");
	check_bad(f, "upload { listen = 127.0.0.1:1 }", ":1: unknown setting upload.listen");
}

static void an_unknown_list_is_reported_once(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "foo = [ 1, 2 ]", ":1: unknown setting foo");
	check_bad(f, "foo = []", ":1: unknown setting foo");
	check_bad(f, "upload = [ 1, 2 ]", ":1: upload is a block: write upload { ... }");
}

static void wrong_blocks_are_reported_once(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "uploads {\n max = -1; foo = [1, 2]; max = 1 }", ":1: unknown block uploads");
	check_bad(f, "upload \"a\" { max = -1 }", ":1: unknown block upload");
	check_bad(f, "upload { fetch { cache = 1 } }", ":1: unknown block upload.fetch");
	check_bad(f, "upload = 5", ":1: upload is a block: write upload { ... }");
	check_bad(f, "listen { }", ":1: listen: takes a value, not a block");
	check_bad(f, "upload {\n max = 1\n", ":1: block upload is never closed");
	check_bad(f, "upload { } }", ":1: \"}\" without a block");
}

static void a_setting_given_twice_is_reported(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "upload { max = 1 }\nupload { max = 1 }",
		  ":2: upload.max: set already, at settings:1");
	check_good(f, "upload { max = 1 }\nupload { memory = 1mb }");
}

static void broken_text_is_reported_with_its_line(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "\ndata_dir = \"/x\nlog { level = info }",
		  ":2: string is not closed on its line");
	check_bad(f, "data_dir = \"/x\\n\"", ":1: only \\\" and \\\\ may follow a backslash");
	check_bad(f, "data_dir = /x\001y", ":1: control character");
	check_bad(f, "data_dir = \"/x\001y\"", ":1: control character");
	check_bad(f, "data_dir = \"/x\" y", ":1: data_dir: \"y\" behind the value");
	check_bad(f, "\n/* open", ":2: comment is never closed");
	check_bad(f, "listen = [ 127.0.0.1:1", ":1: listen: list is never closed");
	check_bad(f, "= 5", ":1: \"=\" where the name of a setting should be");
	check_bad(f, ".include \"x.conf\"", ":1: .include: only in a file");
}

static void comments_do_not_shift_lines(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "# one\n#\n/* three\nfour */ # five\nfoo = 1", ":5: unknown setting foo");
	check_bad(f, "upload { # one\n max = 1mb # two\n # three\n memory = x\n}",
		  ":4: upload.memory: ");
}

static void no_character_of_a_value_is_lost(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "upload { max = 64+ }", "\"64+\" is not a size");
	check_bad(f, "upload { max = *64 }", "\"*64\" is not a size");
	check_bad(f, "upload { max = (64) }", "\"(64)\" is not a size");
	check_good(f, "data_dir = /a+b*c'$(HOME)");
	assert_string_equal(f->s.data_dir, "/a+b*c'$(HOME)");
	check_good(f, "data_dir = \"/${HOME}\"");
	assert_string_equal(f->s.data_dir, "/${HOME}");
}

static void bad_listeners_are_reported(void **state)
{
	static const char *const bad[] = { "127.0.0.1:", "\":80\"", "1.2.3.4:99999", "\"[::1\"",
					   "host:80",    "80",      "\"::1:80\"" };
	struct fixture *f = *state;
	char text[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text), "listen = %s", bad[i]);
		check_bad(f, text, ":1: listen: ");
	}
}

static void there_is_an_end_to_listeners(void **state)
{
	struct fixture *f = *state;
	char text[1024] = "";

	for (int i = 0; i <= SETTINGS_LISTEN_MAX; i++)
		strcat(text, "listen = 127.0.0.1:0\n");
	check_bad(f, text, ":17: listen: more than 16 listeners");
}

static void tls_listeners_need_certificate_and_key(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "listen_tls = 127.0.0.1:443", "tls.certificate and tls.key are missing");
	check_bad(f, "tls { certificate = /c.pem }", ":1: tls.certificate: tls.key is missing");
	check_bad(f, "tls { key = /k.pem }", ":1: tls.key: tls.certificate is missing");
	check_good(f, "listen_tls = 127.0.0.1:443; tls { certificate = /c.pem; key = /k.pem }");
}

static void no_kind_is_kept_longer_than_the_longest(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "upload {\nttl_video = 91d }",
		  ":2: upload.ttl_video: 91d is more than upload.ttl_max, 90d");
	assert_int_equal(parse(f, "upload { ttl_max = 1d }"), ERR_INVALID);
	assert_int_equal(f->said.count, 4);
}

static void all_problems_are_reported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "listen = x\nupload {\n max = 1x\n foo = 1\n"
				  " data = \"\n}\nlisten_tls = 127.0.0.1:1\nhttp { timeout = -1 }"),
			 ERR_INVALID);
	assert_int_equal(f->said.count, 6);
	assert_non_null(strstr(f->said.text, ":1: listen: "));
	assert_non_null(strstr(f->said.text, ":3: upload.max: "));
	assert_non_null(strstr(f->said.text, ":4: unknown setting upload.foo"));
	assert_non_null(strstr(f->said.text, ":5: string is not closed"));
	assert_non_null(strstr(f->said.text, ":8: http.timeout: "));
	assert_non_null(strstr(f->said.text, ":7: listen_tls: "));
	assert_non_null(strstr(f->err.why, ":1: listen: "));
}

static void deep_nesting_ends(void **state)
{
	struct fixture *f = *state;
	char text[4001];

	for (size_t i = 0; i < 4000; i += 2)
		memcpy(text + i, "a{", 2);
	text[4000] = '\0';
	assert_int_equal(parse(f, text), ERR_INVALID);
	assert_non_null(strstr(f->said.text, "blocks within blocks"));
}

/* ---- keys of grants, and who needs one ---------------------------------------------------- */

/* Of seeds that are all 1 and all 2. */
#define KEY_1 "k4.public.iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w"
#define KEY_2 "k4.public.gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q"

static void keys_of_grants_have_ids(void **state)
{
	struct fixture *f = *state;

	check_good(f, "grants { key = [ \"2025 " KEY_1 "\", \"a:b/c \t" KEY_2 "\" ] }");
	assert_int_equal(f->s.grant_key_count, 2);
	assert_string_equal(f->s.grant_keys[1].kid, "a:b/c");
	assert_int_equal(settings_grant_key(&f->s, "2025")[0], 0x8a);
	assert_int_equal(settings_grant_key(&f->s, "a:b/c")[0], 0x81);
	assert_null(settings_grant_key(&f->s, "2026"));
	assert_null(settings_grant_key(&f->s, ""));
}

static void keys_may_be_written_one_by_one(void **state)
{
	struct fixture *f = *state;

	check_good(f, "grants { key = a " KEY_1 "\n key = \"b " KEY_1 "\"\n leeway = 0 }");
	assert_int_equal(f->s.grant_key_count, 2);
	assert_non_null(settings_grant_key(&f->s, "a"));
	assert_non_null(settings_grant_key(&f->s, "b"));
}

static void a_key_without_an_id_has_its_own(void **state)
{
	struct fixture *f = *state;

	check_good(f, "grants { key = " KEY_1 " }");
	assert_int_equal(strncmp(f->s.grant_keys[0].kid, "k4.pid.", 7), 0);
	assert_int_equal(strlen(f->s.grant_keys[0].kid), 7 + 44);
}

static void bad_keys_are_reported(void **state)
{
	static const char *const bad[] = {
		"a",
		"a b",
		"k4.public.",
		"k4.public.AAAA",
		"a " KEY_1 "A",
		"a " KEY_1 " ",
		" " KEY_1,
		KEY_1 " a",
		"a b " KEY_1,
		/* a point of small order */
		"a k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"a k3.public.iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
	};
	struct fixture *f = *state;
	char text[512], long_id[SETTINGS_KID_MAX + 2] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text), "grants {\nkey = [ \"%s\" ] }", bad[i]);
		check_bad(f, text, ":2: grants.key: ");
	}
	memset(long_id, 'x', SETTINGS_KID_MAX + 1);
	(void)snprintf(text, sizeof(text), "grants { key = %s " KEY_1 " }", long_id);
	check_bad(f, text, ":1: grants.key: the key id is not one of 1 to 128 bytes");
	(void)snprintf(text, sizeof(text), "grants { key = %s " KEY_1 " }", long_id + 1);
	check_good(f, text);
}

static void a_secret_key_is_refused_and_not_repeated(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "grants { key = a k4.secret.AQEBAQEB }", "this is the secret key");
	assert_null(strstr(f->said.text, "AQEB"));
	check_bad(f, "grants { key = k4.secret.AQEBAQEB }", "this is the secret key");
	check_bad(f, "grants { key = k4.secretAQEBAQEB }", "not a key");
	assert_null(strstr(f->said.text, "AQEB"));
}

static void two_keys_of_one_id_are_reported(void **state)
{
	struct fixture *f = *state;

	check_bad(f, "grants { key = [ \"a " KEY_1 "\",\n \"a " KEY_2 "\" ] }",
		  ":2: grants.key: there is a key of the id \"a\" already");
	check_bad(f, "grants {\nkey = " KEY_1 "\nkey = " KEY_1 "\n}", ":3: grants.key: ");
}

static void uploads_need_grants_where_there_are_keys(void **state)
{
	struct fixture *f = *state;

	check_good(f, "");
	assert_true(settings_open(&f->s));
	check_good(f, "grants { key = a " KEY_1 " }");
	assert_false(settings_open(&f->s));
	check_good(f, "auth = grants; grants { key = a " KEY_1 " }");
	assert_false(settings_open(&f->s));
	check_good(f, "auth = open; grants { key = a " KEY_1 " }");
	assert_true(settings_open(&f->s));
	check_bad(f, "\nauth = grants", ":2: auth: grants, and there is no grants.key");
}

/* What is said of who may reach it; "" if all is well. */
static const char *access_of(struct fixture *f, const char *text)
{
	check_good(f, text);
	(void)settings_check_access(&f->s, hear, &f->said, &f->err);
	return f->said.text;
}

static void only_loopback_may_be_open(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(access_of(f, ""), "");
	assert_string_equal(access_of(f, "listen = [ \"127.1.2.3:1\", \"[::1]:1\", localhost:1 ]"),
			    "");
	assert_non_null(
		strstr(access_of(f, "\nlisten = 0.0.0.0:80"), "settings:2: 0.0.0.0:80 is "));
	assert_non_null(strstr(access_of(f, "listen = \"[::]:80\""), "settings:1: [::]:80 is "));
	assert_non_null(strstr(access_of(f, "listen = \"[::ffff:127.0.0.1]:80\""), "is open"));
	assert_string_equal(access_of(f, "listen = 0.0.0.0:80; grants { key = a " KEY_1 " }"), "");
	assert_non_null(strstr(access_of(f, "listen = 0.0.0.0:80; auth = open\n"
					    "grants { key = a " KEY_1 " }"),
			       "is open"));
}

static void a_flag_that_opens_it_is_named(void **state)
{
	struct fixture *f = *state;
	bool replaced = false;

	check_good(f, "listen = 127.0.0.1:80");
	assert_int_equal(settings_add_listen(&f->s, "0.0.0.0:81", &replaced, &f->err), ERR_OK);
	assert_int_equal(settings_check_access(&f->s, hear, &f->said, &f->err), ERR_INVALID);
	assert_non_null(strstr(f->said.text, "--listen: 0.0.0.0:81 is open"));
}

/* ---- virtual hosts ------------------------------------------------------------------------- */

static const struct settings *host_of(const struct fixture *f, const char *name)
{
	return hosts_find(&f->s, name, strlen(name));
}

static void a_host_has_what_it_says_and_else_what_the_server_says(void **state)
{
	struct fixture *f = *state;

	check_good(f, "upload { max = 3mb }\n"
		      "server \"a.example\" { upload { max = 1mb; ttl_photo = 1d }\n"
		      "auth = open; http { cors_origin = \"\" } }\n"
		      "server b.example { quota { uploads = 7 } }\n"
		      "http { cors_origin = \"https://x.example\" }\n"
		      "grants { key = k " KEY_1 " } data_dir = /d; listen = 127.0.0.1:9");
	assert_int_equal(f->s.host_count, 2);
	assert_string_equal(f->s.hosts[0].name, "a.example");
	assert_int_equal(f->s.hosts[0].upload_max, 1 << 20);
	assert_int_equal(f->s.hosts[0].upload_ttl_photo, 86400);
	assert_int_equal(f->s.hosts[0].upload_ttl_video, 30 * 86400);
	assert_string_equal(f->s.hosts[0].http_cors_origin, "");
	assert_true(settings_open(&f->s.hosts[0]));
	assert_string_equal(f->s.hosts[0].data_dir, "/d");
	assert_string_equal(f->s.hosts[0].listen[0].address, "127.0.0.1:9");
	assert_string_equal(f->s.hosts[1].name, "b.example");
	assert_int_equal(f->s.hosts[1].upload_max, 3 << 20);
	assert_int_equal(f->s.hosts[1].quota_uploads, 7);
	assert_string_equal(f->s.hosts[1].http_cors_origin, "https://x.example");
	assert_false(settings_open(&f->s.hosts[1]));
	assert_non_null(settings_grant_key(&f->s.hosts[1], "k"));
	assert_int_equal(f->s.upload_max, 3 << 20);
	assert_string_equal(f->s.name, "localhost");
}

static void keys_of_a_host_take_the_place_of_the_servers(void **state)
{
	struct fixture *f = *state;

	check_good(f, "server a { grants { key = x " KEY_2 " } } grants { key = y " KEY_1 " }");
	assert_non_null(settings_grant_key(&f->s.hosts[0], "x"));
	assert_null(settings_grant_key(&f->s.hosts[0], "y"));
	assert_null(settings_grant_key(&f->s, "x"));
}

static void hosts_are_found_by_name(void **state)
{
	static const struct {
		const char *authority;
		int host;
	} asked[] = {
		{ "a.example", 0 },
		{ "A.eXample", 0 },
		{ "a.example:8080", 0 },
		{ "a.example.", 0 },
		{ "a.example.:1", 0 },
		{ "a.example:", 0 },
		{ "b.example", 1 },
		{ "other.example", 1 },
		{ "x.b.example", 1 },
		{ "x.y.b.example", 1 },
		{ "x.y.B.example.:80", 1 },
		{ "c.b.example", 2 },
		{ "d.c.b.example", 2 },
		{ "[2001:DB8::1]", 2 },
		{ "[2001:db8::1]:80", 2 },
		{ "127.0.0.1:80", 2 },
		{ "b.example.org", -1 },
		{ "xb.example", -1 },
		{ "*.b.example", -1 },
		{ "", -1 },
		{ ".", -1 },
		{ ":80", -1 },
		{ ".b.example", -1 },
		{ "u@a.example", -1 },
		{ "a.example:80:80", 0 },
		{ "[2001:db8::2]", -1 },
		{ "[2001:db8::1", -1 },
		{ "a.example..", -1 },
		{ " a.example", -1 },
		{ "example", -1 },
	};
	struct fixture *f = *state;
	char longest[400];

	check_good(f, "unknown_host = refuse\n"
		      "server A.Example. { }\n"
		      "server b.example { alias = [ \"*.B.example\", other.example ] }\n"
		      "server c.example { alias = \"*.c.b.example\"; alias = \"c.b.example\"\n"
		      "alias = [ \"[2001:db8::1]\", 127.0.0.1 ] }");
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		const struct settings *is = host_of(f, asked[i].authority);
		const int n = is == NULL ? -1 : (int)(is - f->s.hosts);

		if (n != asked[i].host)
			fail_msg("%s: host %d", asked[i].authority, n);
	}
	memset(longest, 'a', sizeof(longest));
	assert_null(hosts_find(&f->s, longest, sizeof(longest)));
	memcpy(longest + sizeof(longest) - 10, ".b.example", 10);
	assert_null(hosts_find(&f->s, longest, sizeof(longest)));
	assert_int_equal(
		hosts_find(&f->s, longest + 400 - HOSTS_NAME_MAX, HOSTS_NAME_MAX) - f->s.hosts, 1);
	assert_null(hosts_find(&f->s, "a.example\0", 10));
}

static void an_unknown_name_is_the_first_hosts_or_nobodys(void **state)
{
	struct fixture *f = *state;

	check_good(f, "server a { } server b { }");
	assert_ptr_equal(host_of(f, "c"), &f->s.hosts[0]);
	assert_ptr_equal(host_of(f, "localhost"), &f->s.hosts[0]);
	assert_ptr_equal(host_of(f, "B"), &f->s.hosts[1]);
	check_good(f, "server a { } unknown_host = refuse");
	assert_null(host_of(f, "c"));
	check_good(f, "unknown_host = refuse");
	assert_ptr_equal(host_of(f, "c"), &f->s);
	check_bad(f, "unknown_host = second", ":1: unknown_host: \"second\" does not do: first or");
}

static void server_blocks_are_written_like_others(void **state)
{
	static const char *const ways[] = {
		"server \"a.b\" { upload { max = 64mb } }",
		"server a.b{upload{max=64mb}}",
		"server = a.b {\n upload {\n max = 64mb\n }\n}\n",
		"server: \"a.b\"\n{\n upload { max = 64mb };\n};",
		"server \"a.b\" /* here */ { upload { } upload { max = 64mb } } # last",
		"\"server\" \"A.B.\" { upload { max = 64mb } }",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		check_good(f, ways[i]);
		assert_int_equal(f->s.host_count, 1);
		assert_string_equal(f->s.hosts[0].name, "a.b");
		assert_int_equal(f->s.hosts[0].upload_max, 64 << 20);
	}
}

static void wrong_server_blocks_are_reported(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "\nserver { }", ":2: server: its name is missing" },
		{ "server = a", ":1: server is a block with a name: write server \"NAME\"" },
		{ "server [ a ]", ":1: server is a block with a name" },
		{ "server a { server b { } }", ":1: server: not inside another one" },
		{ "server a {\nupload { server b { } } }", ":2: unknown block upload.server" },
		{ "upload \"a\" { }", ":1: unknown block upload" },
		{ "hosts \"a\" { server b { } }", ":1: unknown block hosts" },
		{ "server \"\" { }", ":1: server: \"\" is no name of a host" },
		{ "server \"a b\" { }", ":1: server: \"a b\" is no name" },
		{ "server \"*.a\" { }", "is no name of a host" },
		{ "server \"a..b\" { }", "is no name of a host" },
		{ "server \"a:80\" { }", "is no name of a host" },
		{ "server a {\nlisten = 127.0.0.1:1 }", ":2: listen: not in a server block" },
		{ "server a { upload { workers = 3 } }", ":1: upload.workers: not in a server" },
		{ "server a {\n\nname = b }", ":3: name: a server block has its name in front" },
		{ "server a { foo = 1 }", ":1: unknown setting foo" },
		{ "server a { upload { max = 1x } }", ":1: upload.max: \"1x\" is not a size" },
		{ "server a { upload { max = 1\nmax = 2 } }", ":2: upload.max: set already, at" },
		{ "server a { upload { max = 1 }", ":1: block server is never closed" },
		{ "server a { .include \"x\" }", ":1: .include: not inside a block" },
		{ "alias = a", ":1: alias: only in a server block" },
		{ "server a { alias = \"*\" }", ":1: alias: \"*\" is no name of a host" },
		{ "server a { alias = \"a.*\" }", "is no name of a host" },
		{ "server a { alias = \"*.\" }", "is no name of a host" },
		{ "server a { }\nserver A { }", ":2: server: a is a name already of the one at" },
		{ "server a { alias = \"*.x\" }\nserver b { alias = \"*.X.\" }",
		  ":2: server: *.x is a name already of the one at settings:1" },
		{ "server a { alias = A. }", ":1: server: a is its name twice" },
		{ "server a { auth = grants }", ":1: auth: grants, and there is no grants.key for "
						"server a" },
		{ "auth = grants\nserver a { }",
		  ":1: auth: grants, and there is no grants.key for" },
		{ "server a {\nupload { ttl_photo = 91d } }", ":2: upload.ttl_photo: 91d is more" },
		{ "upload { ttl_photo = 91d }\nserver a { }", ":1: upload.ttl_photo: 91d is more" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check_bad(f, bad[i].text, bad[i].words);
	check_good(f, "auth = grants; server a { grants { key = k " KEY_1 " } }");
}

static void there_is_an_end_to_hosts_and_aliases(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, 1 << 16);
	size_t n = 0;

	assert_non_null(text);
	for (int i = 0; i < SETTINGS_HOSTS_MAX; i++)
		n += (size_t)sprintf(text + n, "server h%d { alias = x%d }\n", i, i);
	check_good(f, text);
	assert_int_equal(f->s.host_count, SETTINGS_HOSTS_MAX);
	assert_int_equal(f->s.name_count, 2 * SETTINGS_HOSTS_MAX);
	assert_ptr_equal(host_of(f, "x63"), &f->s.hosts[63]);
	(void)sprintf(text + n, "server more { upload { max = 1mb } }\n");
	check_bad(f, text, ":65: server: more than 64");
	n = (size_t)sprintf(text, "server a {\n");
	for (int i = 0; i <= SETTINGS_ALIASES_MAX; i++)
		n += (size_t)sprintf(text + n, "alias = x%d\n", i);
	(void)sprintf(text + n, "}\n");
	check_bad(f, text, ":66: alias: more than 64");
	free(text);
}

static void what_is_open_by_any_name_is_refused_beyond_loopback(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(access_of(f, "listen = 0.0.0.0:80\n"
					 "server a { grants { key = a " KEY_1 " } }\n"
					 "server b { grants { key = a " KEY_1 " } }"),
			    "");
	assert_ptr_equal(settings_first_open(&f->s), NULL);
	assert_non_null(
		strstr(access_of(f, "\nlisten = 0.0.0.0:80\n"
				    "server a { grants { key = a " KEY_1 " } } server b { }"),
		       ":2: 0.0.0.0:80 is open to other machines, and uploads to server b"));
	assert_ptr_equal(settings_first_open(&f->s), &f->s.hosts[1]);
	assert_non_null(strstr(access_of(f, "listen = 0.0.0.0:80; server a { auth = open }\n"
					    "grants { key = a " KEY_1 " }"),
			       "uploads to server a"));
}

static void the_longest_times_are_those_of_all_hosts(void **state)
{
	struct fixture *f = *state;

	check_good(f, "");
	assert_int_equal(settings_longest_ttl(&f->s), 90 * 86400);
	check_good(f, "server a { upload { ttl_max = 100d } }\n"
		      "server b { upload { ttl_max = 50d; ttl_unfinished = 2d } }");
	assert_int_equal(settings_longest_ttl(&f->s), 100 * 86400);
	assert_int_equal(settings_longest_unfinished(&f->s), 2 * 86400);
}

static void flags_and_reloads_reach_hosts(void **state)
{
	static const char text[] = "server a { upload { max = 1mb } } upload { workers = 3 }";
	struct fixture *f = *state;
	struct settings wanted = { 0 };
	bool replaced = false;

	check_good(f, "server a { }");
	assert_int_equal(settings_add_listen(&f->s, "127.0.0.1:3", &replaced, &f->err), ERR_OK);
	assert_int_equal(settings_set_data_dir(&f->s, "/b", &f->err), ERR_OK);
	assert_string_equal(f->s.hosts[0].listen[0].address, "127.0.0.1:3");
	assert_string_equal(f->s.hosts[0].data_dir, "/b");
	assert_int_equal(settings_parse(&wanted, text, strlen(text), NULL, NULL, NULL), ERR_OK);
	settings_keep_fixed(&wanted, &f->s);
	assert_int_equal(wanted.hosts[0].upload_workers, 32);
	assert_string_equal(wanted.hosts[0].data_dir, "/b");
	assert_int_equal(wanted.hosts[0].upload_max, 1 << 20);
	settings_free(&wanted);
}

/* ---- files and flags ---------------------------------------------------------------------- */

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
	settings_keep_fixed(&wanted, &f->s);
	assert_int_equal(wanted.upload_workers, 32);
	assert_string_equal(wanted.store_engine, "rocksdb");
	assert_int_equal(wanted.upload_max, 1 << 20);
	assert_true(wanted.http_metrics);
	settings_free(&wanted);
}

/* ---- what is printed ---------------------------------------------------------------------- */

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
	if (settings_parse(&again, first, strlen(first), hear, &f->said, NULL) != ERR_OK)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_file_is_a_working_server),
		TEST(no_file_gives_the_defaults),
		TEST(a_missing_file_is_a_failure),
		TEST(sizes_are_powers_of_1024),
		TEST(times_are_seconds),
		TEST(every_way_of_writing_it_means_the_same),
		TEST(listeners_may_be_many),
		TEST(strings_keep_what_quotes_hold),
		TEST(yes_and_no_have_three_words_each),
		TEST(a_wrong_value_is_reported_with_its_line),
		TEST(a_value_out_of_range_is_told_the_range),
		TEST(what_nobody_knows_is_reported),
		TEST(an_unknown_list_is_reported_once),
		TEST(wrong_blocks_are_reported_once),
		TEST(a_setting_given_twice_is_reported),
		TEST(broken_text_is_reported_with_its_line),
		TEST(comments_do_not_shift_lines),
		TEST(no_character_of_a_value_is_lost),
		TEST(bad_listeners_are_reported),
		TEST(there_is_an_end_to_listeners),
		TEST(tls_listeners_need_certificate_and_key),
		TEST(no_kind_is_kept_longer_than_the_longest),
		TEST(all_problems_are_reported),
		TEST(deep_nesting_ends),
		TEST(keys_of_grants_have_ids),
		TEST(keys_may_be_written_one_by_one),
		TEST(a_key_without_an_id_has_its_own),
		TEST(bad_keys_are_reported),
		TEST(a_secret_key_is_refused_and_not_repeated),
		TEST(two_keys_of_one_id_are_reported),
		TEST(uploads_need_grants_where_there_are_keys),
		TEST(only_loopback_may_be_open),
		TEST(a_flag_that_opens_it_is_named),
		TEST(a_host_has_what_it_says_and_else_what_the_server_says),
		TEST(keys_of_a_host_take_the_place_of_the_servers),
		TEST(hosts_are_found_by_name),
		TEST(an_unknown_name_is_the_first_hosts_or_nobodys),
		TEST(server_blocks_are_written_like_others),
		TEST(wrong_server_blocks_are_reported),
		TEST(there_is_an_end_to_hosts_and_aliases),
		TEST(what_is_open_by_any_name_is_refused_beyond_loopback),
		TEST(the_longest_times_are_those_of_all_hosts),
		TEST(flags_and_reloads_reach_hosts),
		TEST(files_can_include_files),
		TEST(problems_of_an_included_file_are_reported_with_its_name),
		TEST(an_include_that_is_missing_or_endless_is_reported),
		TEST(flags_win_over_the_file),
		TEST(a_bad_flag_changes_nothing),
		TEST(what_needs_a_restart_is_named),
		TEST(a_reload_keeps_what_needs_a_restart),
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
