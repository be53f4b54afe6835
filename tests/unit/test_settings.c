/* test_settings - what stands in a text of settings, and what is refused of it. */
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- what is read ---------------------------------------------------------------------------- */

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

	assert_int_equal(settings_load(&f->s, NULL, fixture_hear, &f->said, &f->err), ERR_OK);
	assert_int_equal(f->s.listen_count, 1);
	assert_int_equal(f->s.upload_workers, 32);
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

/* ---- what is refused ------------------------------------------------------------------------- */

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
	assert_int_equal(fixture_parse(f, "upload { ttl_max = 1d }"), ERR_INVALID);
	assert_int_equal(f->said.count, 4);
}

static void all_problems_are_reported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		fixture_parse(f, "listen = x\nupload {\n max = 1x\n foo = 1\n"
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
	assert_int_equal(fixture_parse(f, text), ERR_INVALID);
	assert_non_null(strstr(f->said.text, "blocks within blocks"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_file_is_a_working_server),
		TEST(no_file_gives_the_defaults),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
