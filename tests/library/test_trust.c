/* transport - whom it connects to, which addresses it takes from servers, and certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/server.h"
#include "tests/library/story.h"

/* ---- whom it trusts ---- */

static enum restante_code opens(const char *url)
{
	struct transport *t = NULL;
	struct restante_error e = { 0 };
	enum restante_code rc = transport_new(&t, url, &e);

	assert_true((rc == RESTANTE_OK) == (t != NULL));
	assert_true(rc == RESTANTE_OK || e.detail[0] != '\0');
	transport_free(t);
	return rc;
}

static void plain_http_is_for_loopback_only(void **state)
{
	static const char *const local[] = {
		"http://127.0.0.1",  "http://127.9.9.9:8080/", "http://[::1]:8080/media",
		"http://localhost/", "http://LOCALHOST:80",    "https://media.example.org",
	};
	static const char *const foreign[] = { "http://media.example.org",
					       "http://127.0.0.1.example.org",
					       "http://localhost.example",
					       "http://10.0.0.1:8080",
					       "http://[::2]/",
					       "http://[::ffff:10.0.0.1]/",
					       "http://localhost.localdomain" };

	(void)state;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		assert_int_equal(opens(local[i]), RESTANTE_OK);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_int_equal(opens(foreign[i]), RESTANTE_UNTRUSTED);
}

static void a_base_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"media.example.org",
		"/v1",
		"https://",
		"https://user@media.example.org",
		"https://user:secret@media.example.org",
		"https://media.example.org/?a=b",
		"https://media.example.org/#top",
		"https://media.example.org/a b",
		"https://media.example.org/\r\nX: y",
		"https://media.example.org:70000",
		"ftp://media.example.org",
		"file:///etc/passwd",
		"https:\\\\media.example.org",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (opens(bad[i]) != RESTANTE_INVALID)
			fail_msg("taken: %s", bad[i]);
}

/* What a reference becomes; the code if it is refused. */
static enum restante_code resolves(const char *against, const char *reference, const char *want)
{
	struct restante_error e;
	struct transport *t;
	enum restante_code rc;
	char *url = NULL;

	assert_int_equal(transport_new(&t, "https://media.example.org/base/", NULL), RESTANTE_OK);
	rc = transport_resolve(t, against, reference, &url, &e);
	if (rc == RESTANTE_OK)
		assert_string_equal(url, want);
	free(url);
	transport_free(t);
	return rc;
}

#define HERE "https://media.example.org"

static void a_location_of_the_server_is_resolved(void **state)
{
	(void)state;
	assert_int_equal(resolves(NULL, "/v1/uploads/abc", HERE "/v1/uploads/abc"), RESTANTE_OK);
	assert_int_equal(resolves(NULL, "v1/x", HERE "/base/v1/x"), RESTANTE_OK);
	assert_int_equal(resolves(HERE "/files/", "abc?x=%20", HERE "/files/abc?x=%20"),
			 RESTANTE_OK);
	assert_int_equal(resolves(HERE "/files", "abc", HERE "/abc"), RESTANTE_OK);
	assert_int_equal(resolves(NULL, HERE "/abc", HERE "/abc"), RESTANTE_OK);
	assert_int_equal(resolves(NULL, "HTTPS://MEDIA.example.org:443/abc",
				  "https://MEDIA.example.org:443/abc"),
			 RESTANTE_OK);
	assert_int_equal(resolves(NULL, "//media.example.org/abc", HERE "/abc"), RESTANTE_OK);
}

static void a_location_elsewhere_is_refused(void **state)
{
	static const char *const foreign[] = {
		"https://evil.example/v1/uploads/abc",
		"http://media.example.org/v1/uploads/abc",
		"https://media.example.org:8443/abc",
		"https://media.example.org.evil.example/abc",
		"https://user@media.example.org/abc",
		"https://media.example.org@evil.example/abc",
		"//evil.example/abc",
		"//user:word@media.example.org/abc",
		"ftp://media.example.org/abc",
		"file:///etc/passwd",
		"https:/evil.example/abc",
	};
	static const char *const none[] = { "",
					    "/abc#part",
					    "/a b",
					    "/a\r\nX: y",
					    "\\\\evil.example\\abc",
					    "/caf\xc3\xa9",
					    "https://media.example.org:x/" };

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (resolves(NULL, foreign[i], "") != RESTANTE_UNTRUSTED)
			fail_msg("%s", foreign[i]);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (resolves(NULL, none[i], "") != RESTANTE_INVALID)
			fail_msg("%s", none[i]);
}

static void a_request_to_another_origin_does_not_begin(void **state)
{
	const struct exchange_request rq = { .method = "GET",
					     .url = "http://127.0.0.1:1/",
					     .body_size = BODY_NONE };
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	assert_int_equal(exchange_begin(s.t, &s.x, &rq, &s.error), RESTANTE_UNTRUSTED);
	end(&s);
}

static void a_proxy_is_not_asked_for_loopback(void **state)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "all_proxy",
					     "ALL_PROXY" };
	struct story s;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
	tell(&s, fine, NULL);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	for (int i = 0; i < 4; i++)
		assert_int_equal(unsetenv(names[i]), 0);
	end(&s);
}

static void localhost_is_this_machine(void **state)
{
	struct story s;
	char url[64];

	(void)state;
	tell(&s, fine, NULL);
	transport_free(s.t);
	(void)snprintf(url, sizeof(url), "http://localhost:%d", fake_port(s.fake));
	assert_int_equal(transport_new(&s.t, url, &s.error), RESTANTE_OK);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	end(&s);
}

static void nobody_there_is_a_matter_of_the_network(void **state)
{
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	transport_free(s.t);
	assert_int_equal(transport_new(&s.t, "http://127.0.0.1:1", &s.error), RESTANTE_OK);
	(void)get(&s);
	assert_failed(&s, RESTANTE_NETWORK);
	end(&s);
}

/* ---- certificates ---- */

struct secure {
	struct test_server server;
	char dir[64], config[512];
};

static void secure_start(struct secure *s)
{
	const struct test_server_options o = { .config = s->config, .listen = "" };
	char line[512];

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/restante-ca-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(line, sizeof(line),
		       "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
		       "-nodes -days 2 -subj /CN=t -addext subjectAltName=IP:127.0.0.1 "
		       "-keyout key -out cert 2>/dev/null && echo garbage >junk",
		       s->dir);
	assert_int_equal(system(line), 0);
	(void)snprintf(s->config, sizeof(s->config),
		       "listen_tls = \"127.0.0.1:0\";\n"
		       "tls { certificate = \"%s/cert\"; key = \"%s/key\"; }\n"
		       "store { engine = memory; }\n",
		       s->dir, s->dir);
	server_start(&s->server, &o);
}

static void secure_end(struct secure *s)
{
	char line[128];

	server_remove(&s->server);
	(void)snprintf(line, sizeof(line), "rm -rf %s", s->dir);
	assert_int_equal(system(line), 0);
}

/* GET of host with the certificates to trust, a name in the folder; NULL: the system's. */
static void secure_get(struct secure *s, const char *host, const char *ca, struct story *story)
{
	char url[64], path[96];

	(void)snprintf(url, sizeof(url), "https://%s:%d", host, s->server.port);
	*story = (struct story){ .pause_at = SIZE_MAX };
	assert_int_equal(transport_new(&story->t, url, &story->error), RESTANTE_OK);
	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, ca != NULL ? ca : "");
	assert_int_equal(transport_set_ca_file(story->t, ca != NULL ? path : NULL, &story->error),
			 RESTANTE_OK);
	(void)get(story);
}

static void certificates_must_hold(void **state)
{
	struct secure s;
	struct story story;

	(void)state;
	secure_start(&s);
	secure_get(&s, "127.0.0.1", NULL, &story);
	assert_failed(&story, RESTANTE_UNTRUSTED);
	assert_int_equal(exchange_status(story.x), 0);
	end(&story);
	secure_get(&s, "127.0.0.1", "cert", &story);
	assert_int_equal(exchange_state(story.x), EXCHANGE_ANSWERED);
	assert_int_equal(exchange_status(story.x), 404);
	end(&story);
	/* trusted, but for another name */
	secure_get(&s, "localhost", "cert", &story);
	assert_failed(&story, RESTANTE_UNTRUSTED);
	end(&story);
	secure_get(&s, "127.0.0.1", "junk", &story);
	assert_failed(&story, RESTANTE_IO);
	end(&story);
	secure_end(&s);
}

static void a_file_of_certificates_must_be_there(void **state)
{
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	assert_int_equal(transport_set_ca_file(s.t, "/nowhere/ca.pem", &s.error), RESTANTE_IO);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_http_is_for_loopback_only),
		cmocka_unit_test(a_base_that_is_none_is_refused),
		cmocka_unit_test(a_location_of_the_server_is_resolved),
		cmocka_unit_test(a_location_elsewhere_is_refused),
		cmocka_unit_test(a_request_to_another_origin_does_not_begin),
		cmocka_unit_test(a_proxy_is_not_asked_for_loopback),
		cmocka_unit_test(localhost_is_this_machine),
		cmocka_unit_test(nobody_there_is_a_matter_of_the_network),
		cmocka_unit_test(certificates_must_hold),
		cmocka_unit_test(a_file_of_certificates_must_be_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
