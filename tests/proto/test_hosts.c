/* Virtual hosts: one server that goes by several names, each with limits, times, pages and keys of
 * its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "tests/lib/client.h"
#include "tests/lib/minter.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"
#include "wire/token.h"

#define HOUR 3600
#define DAY (24 * HOUR)

#define SMALL                                                                                \
	"server \"small.example\" {\n"                                                       \
	"alias = [ \"s.example\", \"*.small.example\", \"[::1]\" ]\n"                        \
	"upload { max = 1kb; ttl_max = 2h; ttl_photo = 1h; ttl_video = 1h; ttl_voice = 1h\n" \
	"ttl_file = 90min; ttl_unfinished = 30min }\n"                                       \
	"http { cors_origin = \"https://small.example\" } }\n"
#define BIG                                                                                       \
	"server Big.Example. { upload { max = 64kb; ttl_max = 60d } http { cors_origin = \"\" } " \
	"}\n"
#define COMMON "upload { min_free = 0; max = 16kb }\n"

static struct test_server server;
static struct minter minter, other;
static uint8_t blob[64 << 10];

static int start(void **state)
{
	static char config[4096];
	char one[128], two[128];
	const struct test_server_options options = { .config = config };

	(void)state;
	fill_random(blob, sizeof(blob), 1);
	minter_init(&minter, 1);
	minter_init(&other, 2);
	(void)snprintf(config, sizeof(config),
		       SMALL BIG "server a.grants.example { grants { key = %s } }\n"
				 "server b.grants.example { grants { key = [ %s, %s ] }\n"
				 "quota { uploads = 2 } }\n" COMMON,
		       minter_key(&minter, one, sizeof(one)), one,
		       minter_key(&other, two, sizeof(two)));
	server_start(&server, &options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

/* ---- requests ---- */

/* host: what Host says; NULL: there is none. */
static void ask_at(int port, const char *host, const char *method, const char *target,
		   const char *fields, size_t n, struct answer *a)
{
	struct client *c = client_open(port);

	if (host != NULL)
		assert_true(client_sendf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, target,
					 host, fields));
	else
		assert_true(client_sendf(c, "%s %s HTTP/1.0\r\n%s", method, target, fields));
	if (n > 0)
		assert_true(client_sendf(c, "Content-Length: %zu\r\n", n));
	assert_true(client_send(c, "\r\n", 2));
	(void)client_send(c, blob, n);
	client_answer(c, strcmp(method, "HEAD") == 0, a, NULL);
	client_close(c);
}

static void ask(const char *host, const char *method, const char *target, const char *fields,
		size_t n, struct answer *a)
{
	ask_at(server.port, host, method, target, fields, n, a);
}

static int put_at(int port, const char *host, size_t n)
{
	struct answer a;
	int status;

	ask_at(port, host, "PUT", "/v1/media", "", n, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

static int put(const char *host, size_t n)
{
	return put_at(server.port, host, n);
}

/* By their largest upload they are told apart. */
enum { NONE, THE_SMALL, THE_SERVER, THE_BIG };

static int host_at(int port, const char *host)
{
	if (put_at(port, host, 1 << 10) != 201)
		return NONE;
	if (put_at(port, host, (1 << 10) + 1) != 201)
		return THE_SMALL;
	return put_at(port, host, (16 << 10) + 1) != 201 ? THE_SERVER : THE_BIG;
}

/* The status; frees the answer. */
#define assert_ends(a, want)                \
	do {                                \
		assert_status((a), (want)); \
		answer_free(a);             \
	} while (0)

/* ---- names ---- */

static void a_request_is_for_the_host_that_it_names(void **state)
{
	(void)state;
	assert_int_equal(host_at(server.port, "small.example"), THE_SMALL);
	assert_int_equal(host_at(server.port, "big.example"), THE_BIG);
}

static void case_port_and_a_last_dot_make_no_other_name(void **state)
{
	static const char *const names[] = { "big.example:80", "BIG.EXAMPLE", "Big.Example.",
					     "big.example.:8443", "big.example:" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(host_at(server.port, names[i]), THE_BIG);
}

static void an_alias_is_as_good(void **state)
{
	static const char *const names[] = { "s.example", "S.example:1", "a.small.example",
					     "a.b.small.example", "[::1]:80" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(host_at(server.port, names[i]), THE_SMALL);
}

static void an_unknown_name_is_the_first_hosts(void **state)
{
	static const char *const names[] = { "127.0.0.1", "localhost:80", "example", "xbig.example",
					     "a.big.example" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(host_at(server.port, names[i]), THE_SMALL);
	assert_int_equal(put(NULL, 2 << 10), 413);
	assert_int_equal(put(NULL, 1 << 10), 201);
}

/* RFC 9112 section 3.2.2 */
static void the_authority_of_an_absolute_target_wins(void **state)
{
	struct answer a;

	(void)state;
	ask("small.example", "PUT", "http://big.example:80/v1/media", "", 2 << 10, &a);
	assert_ends(&a, 201);
	ask("big.example", "PUT", "HTTPS://small.example/v1/media", "", 2 << 10, &a);
	assert_ends(&a, 413);
	ask("big.example", "PUT", "http://unknown.example/v1/media", "", 2 << 10, &a);
	assert_ends(&a, 413);
	ask(NULL, "PUT", "http://big.example/v1/media", "", 2 << 10, &a);
	assert_ends(&a, 201);
}

/* ---- what differs ---- */

static void options_tell_the_hosts_largest(void **state)
{
	struct answer a;

	(void)state;
	ask("small.example", "OPTIONS", "/v1/uploads", "", 0, &a);
	assert_field(&a, "Tus-Max-Size", "1024");
	answer_free(&a);
	ask("big.example", "OPTIONS", "/v1/uploads", "", 0, &a);
	assert_field(&a, "Tus-Max-Size", "65536");
	assert_field(&a, "Upload-Limit", "max-size=65536, min-size=0");
	answer_free(&a);
}

static void chunked_bodies_end_at_the_hosts_largest(void **state)
{
	struct client *c = client_open(server.port);
	struct answer a;

	(void)state;
	assert_true(client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: s.example\r\n" TUS_CHUNKED
				    "\r\n"));
	(void)client_chunk(c, blob, 2 << 10);
	(void)client_chunk(c, NULL, 0);
	client_answer(c, false, &a, NULL);
	assert_ends(&a, 413);
	client_close(c);
}

static int64_t life_of(const char *host, const char *query)
{
	char target[128], expires[64];
	struct answer a;
	int64_t end = 0;

	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	ask(host, "PUT", target, "", 16, &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "expires_at", expires, sizeof(expires)));
	answer_free(&a);
	assert_true(clock_parse_rfc3339(expires, strlen(expires), &end));
	return end - clock_now_s();
}

#define assert_near(seconds, want) assert_in_range((seconds) + 5, (want), (want) + 10)

static void things_are_kept_as_long_as_the_host_says(void **state)
{
	(void)state;
	assert_near(life_of("small.example", "?kind=photo"), HOUR);
	assert_near(life_of("small.example", ""), 90 * 60);
	assert_near(life_of("small.example", "?ttl=10d"), 2 * HOUR);
	assert_near(life_of("big.example", "?kind=photo"), 30 * DAY);
	assert_near(life_of("big.example", "?ttl=100d"), 60 * DAY);
}

static int64_t token_life(const char *text)
{
	uint8_t b[TOKEN_PLAIN_BYTES];
	size_t n = 0;

	assert_true(base64url_decode(b, sizeof(b), &n, text, strlen(text)));
	assert_int_equal(n, TOKEN_PLAIN_BYTES);
	return ((int64_t)b[18] << 24 | b[19] << 16 | b[20] << 8 | b[21]) - clock_now_s();
}

static void tokens_last_as_long_as_the_host_keeps_anything(void **state)
{
	static const struct {
		const char *host;
		int64_t life;
	} hosts[] = { { "small.example", 2 * HOUR }, { "big.example", 60 * DAY } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct answer a;
		char token[64];

		ask(hosts[i].host, "PUT", "/v1/media", "", 16, &a);
		assert_true(answer_json(&a, "token", token, sizeof(token)));
		assert_near(token_life(token), hosts[i].life);
		assert_true(answer_field(&a, "Media-Manage-Token", token, sizeof(token)));
		assert_near(token_life(token), hosts[i].life);
		assert_true(answer_field(&a, "Location", token, sizeof(token)));
		assert_near(token_life(strrchr(token, '/') + 1), hosts[i].life);
		answer_free(&a);
	}
}

static void unfinished_uploads_are_kept_as_long_as_the_host_says(void **state)
{
	struct answer a;

	(void)state;
	ask("s.example", "POST", "/v1/uploads", TUS "Upload-Length: 9\r\nContent-Length: 0\r\n", 0,
	    &a);
	assert_int_equal(a.status, 201);
	assert_near(answer_life(&a), 30 * 60);
	answer_free(&a);
	ask("big.example", "POST", "/v1/uploads", TUS "Upload-Length: 9\r\nContent-Length: 0\r\n",
	    0, &a);
	assert_near(answer_life(&a), DAY);
	answer_free(&a);
}

static void bytes_of_an_unfinished_upload_renew_it_as_the_host_says(void **state)
{
	char location[128];
	struct answer a;

	(void)state;
	ask("s.example", "POST", "/v1/uploads", TUS "Upload-Length: 9\r\nContent-Length: 0\r\n", 0,
	    &a);
	assert_true(answer_field(&a, "Location", location, sizeof(location)));
	answer_free(&a);
	ask("s.example", "PATCH", location, TUS_BYTES "Upload-Offset: 0\r\n", 4, &a);
	assert_int_equal(a.status, 204);
	assert_near(answer_life(&a), 30 * 60);
	answer_free(&a);
}

/* Parts may come by any name; the whole is what the name that it is made under may have. */
static void a_final_upload_is_bounded_by_its_host(void **state)
{
	char part[2][128], fields[512];
	struct answer a;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ask("big.example", "POST", "/v1/uploads",
		    TUS_BYTES "Upload-Concat: partial\r\nUpload-Length: 600\r\n", 600, &a);
		assert_int_equal(a.status, 201);
		assert_true(answer_field(&a, "Location", part[i], sizeof(part[i])));
		answer_free(&a);
	}
	(void)snprintf(fields, sizeof(fields),
		       TUS "Upload-Concat: final;%s %s\r\nContent-Length: 0\r\n", part[0], part[1]);
	ask("small.example", "POST", "/v1/uploads", fields, 0, &a);
	assert_ends(&a, 413);
	ask("big.example", "POST", "/v1/uploads", fields, 0, &a);
	assert_ends(&a, 201);
}

/* Nor does one whose length is told later grow beyond that under another name. */
static void an_upload_is_bounded_by_the_host_that_it_was_made_under(void **state)
{
	char location[128];
	struct answer a;

	(void)state;
	ask("small.example", "POST", "/v1/uploads",
	    TUS "Upload-Defer-Length: 1\r\nContent-Length: 0\r\n", 0, &a);
	assert_true(answer_field(&a, "Location", location, sizeof(location)));
	assert_ends(&a, 201);
	ask("big.example", "PATCH", location, TUS_BYTES "Upload-Offset: 0\r\n", 2 << 10, &a);
	assert_ends(&a, 413);
	ask("big.example", "PATCH", location, TUS_BYTES "Upload-Offset: 0\r\n", 1 << 10, &a);
	assert_ends(&a, 204);
}

static void pages_are_let_in_as_the_host_says(void **state)
{
	struct answer a;
	char value[512];

	(void)state;
	ask("small.example", "PUT", "/v1/media", "Origin: https://x.example\r\n", 2 << 10, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "https://small.example");
	assert_true(answer_field(&a, "Access-Control-Expose-Headers", value, sizeof(value)));
	assert_true(list_has(value, "WWW-Authenticate"));
	assert_ends(&a, 413);
	ask("a.grants.example", "PUT", "/v1/media", "Origin: https://x.example\r\n", 10, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "*");
	assert_ends(&a, 401);
	ask("big.example", "PUT", "/v1/media", "Origin: https://x.example\r\n", 16, &a);
	assert_no_field(&a, "Access-Control-Allow-Origin");
	assert_ends(&a, 201);
}

static void a_preflight_is_answered_as_the_host_says(void **state)
{
	static const char fields[] = "Origin: https://x.example\r\n"
				     "Access-Control-Request-Method: PUT\r\n"
				     "Access-Control-Request-Headers: authorization\r\n";
	struct answer a;
	char value[1024];

	(void)state;
	ask("small.example", "OPTIONS", "/v1/media", fields, 0, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "https://small.example");
	assert_true(answer_field(&a, "Access-Control-Allow-Headers", value, sizeof(value)));
	assert_true(list_has(value, "Authorization"));
	assert_ends(&a, 204);
	ask("big.example", "OPTIONS", "/v1/media", fields, 0, &a);
	assert_no_field(&a, "Access-Control-Allow-Origin");
	assert_no_field(&a, "Access-Control-Allow-Methods");
	assert_ends(&a, 204);
}

/* ---- what does not ---- */

static void a_token_names_no_host(void **state)
{
	static const char *const names[] = { "small.example", "big.example", "x.small.example",
					     "unknown.example", "a.grants.example" };
	char target[128], token[64];
	struct answer a;

	(void)state;
	ask("big.example", "PUT", "/v1/media", "", 4 << 10, &a);
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		ask(names[i], "GET", target, "", 0, &a);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body_len, 4 << 10);
		assert_memory_equal(a.body, blob, 4 << 10);
		answer_free(&a);
	}
}

static void the_health_is_told_under_any_name(void **state)
{
	struct answer a;

	(void)state;
	ask("unknown.example", "GET", "/healthz", "", 0, &a);
	assert_ends(&a, 200);
	ask("big.example", "GET", "/readyz", "", 0, &a);
	assert_ends(&a, 200);
}

/* ---- grants ---- */

static int put_granted(const char *host, const struct minter *m, const char *aud, const char *jti,
		       char *location, const char *bucket)
{
	struct grant g = minter_grant(m);
	char field[MINTER_FIELD_SIZE];
	struct answer a;
	int status;

	(void)snprintf(g.aud, sizeof(g.aud), "%s", aud);
	(void)snprintf(g.jti, sizeof(g.jti), "%s", jti);
	(void)snprintf(g.bucket, sizeof(g.bucket), "%s", bucket);
	ask(host, "PUT", "/v1/media", minter_field(m, &g, field), 16, &a);
	status = a.status;
	if (location != NULL)
		(void)answer_field(&a, "Location", location, 128);
	answer_free(&a);
	return status;
}

static void each_host_has_its_own_keys_and_name(void **state)
{
	static const char a[] = "a.grants.example", b[] = "b.grants.example";

	(void)state;
	assert_int_equal(put(a, 16), 401);
	assert_int_equal(put(b, 16), 401);
	assert_int_equal(put_granted(a, &minter, a, "", NULL, ""), 201);
	assert_int_equal(put_granted(a, &minter, "A.Grants.Example", "", NULL, ""), 201);
	assert_int_equal(put_granted(b, &minter, b, "", NULL, ""), 201);
	assert_int_equal(put_granted(b, &other, b, "", NULL, ""), 201);
	assert_int_equal(put_granted(a, &other, a, "", NULL, ""), 401);
	assert_int_equal(put_granted(a, &minter, b, "", NULL, ""), 401);
	assert_int_equal(put_granted(b, &minter, a, "", NULL, ""), 401);
	assert_int_equal(put_granted(a, &minter, "localhost", "", NULL, ""), 401);
}

static void a_grant_for_one_upload_makes_one_at_each_host(void **state)
{
	static const char a[] = "a.grants.example", b[] = "b.grants.example";
	char first[128], again[128], elsewhere[128];

	(void)state;
	assert_int_equal(put_granted(a, &minter, a, "j1", first, ""), 201);
	assert_int_equal(put_granted(a, &minter, a, "j1", again, ""), 201);
	assert_int_equal(put_granted(b, &minter, b, "j1", elsewhere, ""), 201);
	assert_string_equal(first, again);
	assert_string_not_equal(first, elsewhere);
}

static void quotas_are_the_hosts(void **state)
{
	static const char a[] = "a.grants.example", b[] = "b.grants.example";

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(put_granted(a, &minter, a, "", NULL, "anna"), 201);
	assert_int_equal(put_granted(b, &minter, b, "", NULL, "anna"), 201);
	assert_int_equal(put_granted(b, &other, b, "", NULL, "anna"), 201);
	assert_int_equal(put_granted(b, &minter, b, "", NULL, "anna"), 507);
	assert_int_equal(put_granted(b, &minter, b, "", NULL, "otto"), 201);
}

/* ---- refusing the unknown ---- */

static void an_unknown_name_can_be_refused(void **state)
{
	static const struct test_server_options options = {
		.config = "unknown_host = refuse\n" SMALL COMMON
	};
	struct test_server s;
	struct answer a;
	char text[128];
	struct client *c;

	(void)state;
	server_start(&s, &options);
	ask_at(s.port, "unknown.example", "GET", "/v1/media/x", "Origin: https://x.example\r\n", 0,
	       &a);
	assert_true(answer_json(&a, "type", text, sizeof(text)));
	assert_string_equal(text, "urn:restante:problem:unknown-host");
	assert_problem(&a, 421);
	ask_at(s.port, "unknown.example", "GET", "/nowhere", "", 0, &a);
	assert_problem(&a, 421);
	ask_at(s.port, NULL, "GET", "/v1/media/x", "", 0, &a);
	assert_problem(&a, 421);
	ask_at(s.port, "small.example", "GET", "http://unknown.example/v1/media/x", "", 0, &a);
	assert_problem(&a, 421);
	ask_at(s.port, "unknown.example", "OPTIONS", "/v1/media", "", 0, &a);
	assert_problem(&a, 421);
	assert_int_equal(put_at(s.port, "unknown.example", 16), 421);
	assert_int_equal(put_at(s.port, "small.example", 16), 201);
	ask_at(s.port, "unknown.example", "GET", "/healthz", "", 0, &a);
	assert_ends(&a, 200);
	ask_at(s.port, NULL, "GET", "/readyz", "", 0, &a);
	assert_ends(&a, 200);
	(void)server_metric(&s, "restante_connections_open"); /* the admin socket */
	/* the body of what is refused is read past, and the connection serves the next one */
	c = client_open(s.port);
	assert_true(client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
				    "hello"));
	client_answer(c, false, &a, NULL);
	assert_ends(&a, 421);
	assert_true(client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: s.example\r\n"
				    "Content-Length: 5\r\n\r\nhello"));
	client_answer(c, false, &a, NULL);
	assert_ends(&a, 201);
	client_close(c);
	server_remove(&s);
}

/* ---- reloads ---- */

static void reload(struct test_server *s, const char *config, const char *expect)
{
	server_configure(s, config);
	(void)kill(s->pid, SIGHUP);
	if (server_logs(s, expect, 5000))
		return;
	fail_msg("no \"%s\" in:\n%s", expect, server_log(s));
}

static void a_reload_changes_hosts_and_not_what_runs(void **state)
{
	static const struct test_server_options options = { .config = COMMON BIG };
	struct test_server s;
	struct client *c;
	struct answer a;

	(void)state;
	server_start(&s, &options);
	c = client_open(s.port);
	assert_true(client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: big.example\r\n" TUS_CHUNKED
				    "\r\n"));
	assert_true(client_chunk(c, blob, 100));
	client_nap(100);
	reload(&s, SMALL COMMON, "event=reloaded");
	assert_int_equal(host_at(s.port, "big.example"), THE_SMALL); /* unknown now, so the first */
	assert_true(client_chunk(c, blob, 40 << 10));
	assert_true(client_chunk(c, NULL, 0));
	client_answer(c, false, &a, NULL);
	assert_ends(&a, 201);
	client_close(c);
	reload(&s, COMMON, "event=reloaded");
	for (int i = 0; i < 50 && host_at(s.port, "small.example") != THE_SERVER; i++)
		client_nap(100);
	assert_int_equal(host_at(s.port, "small.example"), THE_SERVER);
	server_remove(&s);
}

static void a_mistake_in_a_block_leaves_all_as_it_was(void **state)
{
	static const struct test_server_options options = { .config = COMMON BIG };
	struct test_server s;

	(void)state;
	server_start(&s, &options);
	reload(&s, COMMON "server big.example {\n upload { max = 1x } }", "event=reload_failed");
	assert_true(server_logs(&s, "conf:3: upload.max:", 1000));
	assert_int_equal(host_at(s.port, "big.example"), THE_BIG);
	server_remove(&s);
}

/* ---- who may connect ---- */

static void a_host_that_is_open_stays_on_this_machine(void **state)
{
	struct test_server s;
	char config[1024], key[128], out[2048];
	const struct test_server_options options = { .config = config, .listen = "0.0.0.0:0" };

	(void)state;
	(void)minter_key(&minter, key, sizeof(key));
	(void)snprintf(config, sizeof(config), COMMON "server a.example { grants { key = %s } }\n",
		       key);
	server_start(&s, &options);
	assert_int_equal(put_at(s.port, "a.example", 16), 401);
	(void)snprintf(config, sizeof(config),
		       COMMON "server a.example { grants { key = %s } }\nserver b.example { }\n",
		       key);
	reload(&s, config, "event=reload_failed");
	assert_true(server_logs(&s, "is open to other machines", 1000));
	assert_int_equal(put_at(s.port, "b.example", 16), 401);
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(server_command(&s, "--listen 0.0.0.0:0", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "uploads to server b.example need no grant"));
	assert_int_equal(server_command(&s, "--check-config --listen 0.0.0.0:0", out, sizeof(out)),
			 2);
	assert_non_null(strstr(out, "--listen: 0.0.0.0:0 is open to other machines"));
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 0);
	server_configure(&s, "\nlisten = 0.0.0.0:1\n" BIG);
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "conf:2: 0.0.0.0:1 is open to other machines"));
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_for_the_host_that_it_names),
		cmocka_unit_test(case_port_and_a_last_dot_make_no_other_name),
		cmocka_unit_test(an_alias_is_as_good),
		cmocka_unit_test(an_unknown_name_is_the_first_hosts),
		cmocka_unit_test(the_authority_of_an_absolute_target_wins),
		cmocka_unit_test(options_tell_the_hosts_largest),
		cmocka_unit_test(chunked_bodies_end_at_the_hosts_largest),
		cmocka_unit_test(things_are_kept_as_long_as_the_host_says),
		cmocka_unit_test(tokens_last_as_long_as_the_host_keeps_anything),
		cmocka_unit_test(unfinished_uploads_are_kept_as_long_as_the_host_says),
		cmocka_unit_test(bytes_of_an_unfinished_upload_renew_it_as_the_host_says),
		cmocka_unit_test(a_final_upload_is_bounded_by_its_host),
		cmocka_unit_test(an_upload_is_bounded_by_the_host_that_it_was_made_under),
		cmocka_unit_test(pages_are_let_in_as_the_host_says),
		cmocka_unit_test(a_preflight_is_answered_as_the_host_says),
		cmocka_unit_test(a_token_names_no_host),
		cmocka_unit_test(the_health_is_told_under_any_name),
		cmocka_unit_test(each_host_has_its_own_keys_and_name),
		cmocka_unit_test(a_grant_for_one_upload_makes_one_at_each_host),
		cmocka_unit_test(quotas_are_the_hosts),
		cmocka_unit_test(an_unknown_name_can_be_refused),
		cmocka_unit_test(a_reload_changes_hosts_and_not_what_runs),
		cmocka_unit_test(a_mistake_in_a_block_leaves_all_as_it_was),
		cmocka_unit_test(a_host_that_is_open_stays_on_this_machine),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
