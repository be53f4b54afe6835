/* test_settings_hosts - what settings say of who may upload, and of virtual hosts. */
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "server/hosts.h"

/* ---- keys of grants, and who needs one ------------------------------------------------------- */

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
	(void)settings_check_access(&f->s, fixture_hear, &f->said, &f->err);
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
	assert_int_equal(settings_check_access(&f->s, fixture_hear, &f->said, &f->err),
			 ERR_INVALID);
	assert_non_null(strstr(f->said.text, "--listen: 0.0.0.0:81 is open"));
}

/* ---- virtual hosts --------------------------------------------------------------------------- */

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
	assert_int_equal(settings_keep_fixed(&wanted, &f->s, &f->err), ERR_OK);
	assert_int_equal(wanted.hosts[0].upload_workers, 32);
	assert_string_equal(wanted.hosts[0].data_dir, "/b");
	assert_int_equal(wanted.hosts[0].upload_max, 1 << 20);
	settings_free(&wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
