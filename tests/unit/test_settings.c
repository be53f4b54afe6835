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

#include "server/settings.h"

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
	check_bad(f, "server \"a\" { upload { max = 1 } }", ":1: unknown block server");
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

static void help_has_a_line_for_every_setting(void **state)
{
	char *help = printed(settings_print_help);

	(void)state;
	assert_non_null(strstr(help, "  upload.max "));
	assert_non_null(strstr(help, "  expiry.interval "));
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
		TEST(help_has_a_line_for_every_setting),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
