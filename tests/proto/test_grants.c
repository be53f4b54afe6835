/* Who may upload: whoever has a grant of the chat backend, and what that says is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/minter.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define RUFH "Upload-Draft-Interop-Version: 9\r\nUpload-Complete: ?1\r\n"

static struct test_server server;
static struct minter minter, stranger;
static const char body[] = "sealed";

static int start(void **state)
{
	static char config[1024];
	char key[128];
	const struct test_server_options options = { .config = config };

	(void)state;
	minter_init(&minter, 1);
	minter_init(&stranger, 2);
	(void)snprintf(config, sizeof(config),
		       "upload { min_free = 0; ttl_max = 30d; }\n"
		       "grants { key = [ %s ]; leeway = 2s }\n",
		       minter_key(&minter, key, sizeof(key)));
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

static int ask(const char *method, const char *target, const struct grant *g, const char *fields,
	       struct answer *a)
{
	char field[MINTER_FIELD_SIZE] = "", all[MINTER_FIELD_SIZE + 512];
	struct answer own;
	int status;

	if (g != NULL)
		(void)minter_field(&minter, g, field);
	(void)snprintf(all, sizeof(all), "%s%s", field, fields);
	http_request(server.port, method, target, all, body, sizeof(body), a != NULL ? a : &own);
	status = (a != NULL ? a : &own)->status;
	if (a == NULL)
		answer_free(&own);
	return status;
}

static int put(const struct grant *g)
{
	return ask("PUT", "/v1/media", g, "", NULL);
}

/* All that can make an upload: the status that they agree on. */
static int any(const struct grant *g, const char *query)
{
	char media[256], uploads[256], length[160];
	int one, two, three;

	(void)snprintf(media, sizeof(media), "/v1/media%s", query);
	(void)snprintf(uploads, sizeof(uploads), "/v1/uploads%s", query);
	(void)snprintf(length, sizeof(length), TUS_BYTES "Upload-Length: %zu\r\n", sizeof(body));
	one = ask("PUT", media, g, "", NULL);
	two = ask("POST", uploads, g, length, NULL);
	three = ask("POST", uploads, g, RUFH, NULL);
	assert_int_equal(one, two);
	assert_int_equal(one, three);
	return one;
}

static struct grant once(const char *jti)
{
	struct grant g = minter_grant(&minter);

	(void)snprintf(g.jti, sizeof(g.jti), "%s", jti);
	return g;
}

/* PUT with a grant for one upload: the fetch token it is answered with. */
static void put_once(const struct grant *g, char token[static 64])
{
	struct answer a;

	assert_int_equal(ask("PUT", "/v1/media", g, "", &a), 201);
	assert_true(answer_json(&a, "token", token, 64));
	answer_free(&a);
}

/* ---- who may ---- */

static void without_a_grant_nothing_is_taken(void **state)
{
	char value[128];
	struct answer a;

	(void)state;
	assert_int_equal(any(NULL, ""), 401);
	http_request(server.port, "PUT", "/v1/media", "", body, sizeof(body), &a);
	assert_true(answer_field(&a, "WWW-Authenticate", value, sizeof(value)));
	assert_string_equal(value, "Bearer realm=\"restante\"");
	assert_problem(&a, 401);
	http_request(server.port, "PUT", "/v1/media", "Authorization: Bearer v4.public.AAAA\r\n",
		     body, sizeof(body), &a);
	assert_true(answer_field(&a, "WWW-Authenticate", value, sizeof(value)));
	assert_non_null(strstr(value, "error=\"invalid_token\""));
	assert_problem(&a, 401);
}

static void a_grant_is_enough_in_every_dialect(void **state)
{
	const struct grant g = minter_grant(&minter);

	(void)state;
	assert_int_equal(any(&g, ""), 201);
	assert_int_equal(any(&g, "?kind=photo&ttl=1d&recipients=3"), 201);
}

static void who_has_the_upload_needs_no_grant_for_it(void **state)
{
	const struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE];
	struct tus_upload u;

	(void)state;
	assert_int_equal(tus_create(&server, sizeof(body), minter_field(&minter, &g, field), &u),
			 201);
	assert_int_equal(tus_patch(&u, 0, body, sizeof(body)), 204);
	assert_true(tus_has(&u, body, sizeof(body)));
	assert_int_equal(tus_delete(&u), 204);
}

static void another_key_does_not_do(void **state)
{
	char field[MINTER_FIELD_SIZE];
	struct grant g = minter_grant(&stranger);
	struct answer a;

	(void)state;
	http_request(server.port, "PUT", "/v1/media", minter_field(&stranger, &g, field), body,
		     sizeof(body), &a);
	assert_problem(&a, 401);
	/* nor under the right key's name */
	(void)snprintf(g.kid, sizeof(g.kid), "%s", minter.kid);
	http_request(server.port, "PUT", "/v1/media", minter_field(&stranger, &g, field), body,
		     sizeof(body), &a);
	assert_problem(&a, 401);
}

static void a_changed_grant_does_not_do(void **state)
{
	const struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE];
	const size_t at = strlen("Authorization: Bearer v4.public.");
	struct answer a;

	(void)state;
	(void)minter_field(&minter, &g, field);
	for (size_t i = at; i < strcspn(field, "\r"); i += 7) {
		const char was = field[i];

		field[i] = was == 'A' ? 'B' : 'A';
		http_request(server.port, "PUT", "/v1/media", field, body, sizeof(body), &a);
		assert_problem(&a, 401);
		field[i] = was;
	}
	http_request(server.port, "PUT", "/v1/media", field, body, sizeof(body), &a);
	assert_int_equal(a.status, 201);
	answer_free(&a);
}

static void a_grant_has_its_time_and_its_server(void **state)
{
	struct grant g = minter_grant(&minter);

	(void)state;
	g.exp = clock_now_s() - 10;
	assert_int_equal(any(&g, ""), 401);
	g.exp = clock_now_s() + 100;
	g.nbf = clock_now_s() + 50;
	assert_int_equal(any(&g, ""), 401);
	g = minter_grant(&minter);
	(void)strcpy(g.aud, "media.example.org");
	assert_int_equal(any(&g, ""), 401);
	(void)strcpy(g.aud, "LOCALHOST");
	assert_int_equal(put(&g), 201);
}

static void clocks_may_differ_by_the_leeway(void **state)
{
	struct grant g = minter_grant(&minter);

	(void)state;
	g.nbf = clock_now_s() + 1;
	assert_int_equal(put(&g), 201);
}

/* ---- what it settles ---- */

static void more_bytes_than_granted_are_refused(void **state)
{
	struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE], fields[MINTER_FIELD_SIZE + 64];
	struct tus_upload u;
	struct client *c;
	struct answer a;

	(void)state;
	g.max_given = true;
	g.max = sizeof(body) - 1;
	assert_int_equal(any(&g, ""), 413);
	g.max = sizeof(body);
	assert_int_equal(any(&g, ""), 201);
	/* of a length nobody knows */
	g.max = sizeof(body) - 1;
	(void)minter_field(&minter, &g, field);
	c = client_open(server.port);
	client_sendf(c,
		     "PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n%s"
		     "Transfer-Encoding: chunked\r\n\r\n",
		     field);
	client_chunk(c, body, sizeof(body));
	client_chunk(c, NULL, 0);
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 413);
	client_close(c);
	/* and of one that is told later */
	assert_int_equal(tus_create(&server, TUS_DEFERRED, field, &u), 201);
	tus_patch_answer(&u, 0, "Upload-Length: 7\r\n", body, sizeof(body), &a);
	assert_problem(&a, 413);
	assert_int_equal(tus_patch(&u, 0, body, sizeof(body)), 413);
	(void)snprintf(fields, sizeof(fields), "%sUpload-Concat: partial\r\n", field);
	assert_int_equal(tus_create(&server, sizeof(body), fields, &u), 413);
}

static void life_is_bounded_by_the_grant(void **state)
{
	struct grant g = minter_grant(&minter);
	struct answer a;
	int64_t life;

	(void)state;
	g.ttl_given = true;
	g.ttl = 3600;
	ask("PUT", "/v1/media", &g, "", &a);
	life = answer_life(&a);
	assert_in_range(life, 3590, 3600);
	answer_free(&a);
	ask("PUT", "/v1/media?ttl=2d", &g, "", &a);
	assert_in_range(answer_life(&a), 3590, 3600);
	answer_free(&a);
	ask("PUT", "/v1/media?ttl=60", &g, "", &a);
	assert_in_range(answer_life(&a), 50, 60);
	answer_free(&a);
	ask("POST", "/v1/uploads", &g, RUFH, &a);
	assert_in_range(answer_life(&a), 3590, 3600);
	answer_free(&a);
}

static void nor_can_it_be_extended_beyond(void **state)
{
	struct grant g = minter_grant(&minter);
	char manage[64], target[128];
	struct answer a;

	(void)state;
	g.ttl_given = true;
	g.ttl = 3600;
	ask("PUT", "/v1/media?ttl=60", &g, "", &a);
	assert_true(answer_json(&a, "manage_token", manage, sizeof(manage)));
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "/v1/media/%s/extend?ttl=2d", manage);
	http_request(server.port, "POST", target, "", NULL, 0, &a);
	assert_status(&a, 200);
	assert_in_range(answer_life(&a), 3590, 3600);
	answer_free(&a);
}

static void what_the_grant_says_is_not_said_otherwise(void **state)
{
	struct grant g = minter_grant(&minter);
	char target[160];

	(void)state;
	(void)strcpy(g.kind, "photo");
	assert_int_equal(any(&g, "?kind=video"), 403);
	assert_int_equal(any(&g, "?kind=photo"), 201);
	assert_int_equal(any(&g, ""), 201);
	g = minter_grant(&minter);
	g.recipients_given = true;
	g.recipients = 4;
	assert_int_equal(any(&g, "?recipients=5"), 403);
	assert_int_equal(any(&g, "?recipients=4"), 201);
	g = minter_grant(&minter);
	g.digest_given = true;
	assert_int_equal(any(&g, ""), 400); /* not what arrives */
	(void)snprintf(target, sizeof(target), "?sha256=%064d", 1);
	assert_int_equal(any(&g, target), 403);
}

static void recipients_are_those_of_the_grant(void **state)
{
	struct grant g = minter_grant(&minter);
	char token[64], target[128];
	struct answer a;

	(void)state;
	g.recipients_given = true;
	g.recipients = 1;
	ask("PUT", "/v1/media", &g, "", &a);
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "%s/ack", token);
	assert_int_equal(http_status(server.port, "POST", "/v1/media/", target), 204);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", token), 404);
}

/* ---- one upload a grant ---- */

static void asking_again_is_told_of_the_same_upload(void **state)
{
	const struct grant g = once("put-1"), other = once("put-2");
	char one[64], two[64], three[64];

	(void)state;
	put_once(&g, one);
	put_once(&g, two);
	put_once(&other, three);
	assert_string_equal(one, two);
	assert_string_not_equal(one, three);
	server_kill(&server);
	server_again(&server);
	put_once(&g, two);
	assert_string_equal(one, two);
}

static void a_begun_upload_is_gone_on_with(void **state)
{
	const struct grant g = once("tus-1");
	char field[MINTER_FIELD_SIZE];
	struct tus_upload u, again;
	struct answer a;

	(void)state;
	(void)minter_field(&minter, &g, field);
	assert_int_equal(tus_create(&server, sizeof(body), field, &u), 201);
	assert_int_equal(tus_patch(&u, 0, body, 3), 204);
	assert_int_equal(tus_post(&server, "", sizeof(body), field, body, 2, &again), 201);
	assert_string_equal(u.path, again.path);
	assert_int_equal(again.offset, 3);
	assert_int_equal(ask("PUT", "/v1/media", &g, "", NULL), 409);
	assert_int_equal(tus_patch(&u, 3, body + 3, sizeof(body) - 3), 204);
	assert_int_equal(tus_create(&server, sizeof(body), field, &again), 201);
	assert_int_equal(again.offset, sizeof(body));
	assert_true(tus_has(&again, body, sizeof(body)));
	assert_int_equal(ask("POST", "/v1/uploads", &g, RUFH, &a), 201);
	assert_field(&a, "Upload-Complete", "?1");
	assert_field(&a, "Media-Token", u.token);
	answer_free(&a);
}

static void a_rufh_upload_is_gone_on_with(void **state)
{
	const struct grant g = once("rufh-1");
	char location[128], again[128];
	struct answer a;

	(void)state;
	assert_int_equal(ask("POST", "/v1/uploads", &g,
			     "Upload-Draft-Interop-Version: 9\r\nUpload-Complete: ?0\r\n", &a),
			 201);
	assert_true(answer_field(&a, "Location", location, sizeof(location)));
	answer_free(&a);
	assert_int_equal(ask("POST", "/v1/uploads", &g, RUFH, &a), 201);
	assert_true(answer_field(&a, "Location", again, sizeof(again)));
	assert_field(&a, "Upload-Complete", "?0");
	assert_field(&a, "Upload-Offset", "7");
	assert_string_equal(location, again);
	answer_free(&a);
}

static void a_grant_stays_spent_when_its_upload_is_gone(void **state)
{
	const struct grant g = once("gone-1"), brief = once("gone-2");
	char manage[64];
	struct answer a;

	(void)state;
	ask("PUT", "/v1/media", &g, "", &a);
	assert_true(answer_json(&a, "manage_token", manage, sizeof(manage)));
	answer_free(&a);
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", manage), 204);
	assert_int_equal(any(&g, ""), 403);
	server_kill(&server);
	server_again(&server);
	assert_int_equal(any(&g, ""), 403);
	assert_int_equal(ask("PUT", "/v1/media?ttl=1", &brief, "", NULL), 201);
	client_nap(2100);
	assert_int_equal(any(&brief, ""), 403);
}

static void it_makes_no_parts(void **state)
{
	const struct grant g = once("part-1");
	char fields[MINTER_FIELD_SIZE + 64], field[MINTER_FIELD_SIZE];
	struct tus_upload u;

	(void)state;
	(void)snprintf(fields, sizeof(fields), "%sUpload-Concat: partial\r\n",
		       minter_field(&minter, &g, field));
	assert_int_equal(tus_create(&server, 3, fields, &u), 403);
}

struct racer {
	pthread_t thread;
	const struct grant *grant;
	char token[64];
	int status;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct answer a;

	r->status = ask("PUT", "/v1/media", r->grant, "", &a);
	(void)answer_json(&a, "token", r->token, sizeof(r->token));
	answer_free(&a);
	return NULL;
}

static void of_many_at_once_all_are_told_of_the_same(void **state)
{
	struct racer racers[8];
	char jti[32];

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct grant g;

		(void)snprintf(jti, sizeof(jti), "race-%d", round);
		g = once(jti);
		for (size_t i = 0; i < 8; i++) {
			racers[i] = (struct racer){ .grant = &g };
			assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]),
					 0);
		}
		for (size_t i = 0; i < 8; i++)
			pthread_join(racers[i].thread, NULL);
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(racers[i].status, 201);
			assert_string_equal(racers[i].token, racers[0].token);
		}
	}
}

/* One of them closes its direction right behind its last byte, and so cannot be made to wait. */
static void who_hangs_up_when_another_was_quicker_does_no_harm(void **state)
{
	static const char *const heads[] = {
		"PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n",
		"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\n" TUS_BYTES "Upload-Length: 5\r\n",
		"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n",
	};
	char jti[32], field[MINTER_FIELD_SIZE];

	(void)state;
	for (int i = 0; i < 90; i++) {
		struct client *c[2];
		struct grant g;
		struct answer a;

		(void)snprintf(jti, sizeof(jti), "hang-up-%d", i);
		g = once(jti);
		(void)minter_field(&minter, &g, field);
		for (int k = 0; k < 2; k++) {
			c[k] = client_open(server.port);
			client_sendf(c[k], "%sContent-Length: 5\r\n%s\r\n%s", heads[i / 30], field,
				     k == 0 ? "AAAA" : "BBBB");
		}
		client_nap(10);
		client_send(c[0], "A", 1);
		client_answer(c[0], false, &a, NULL);
		assert_int_equal(a.status, 201);
		answer_free(&a);
		client_send(c[1], "B", 1);
		client_half_close(c[1]);
		client_answer(c[1], false, &a, NULL);
		assert_true(a.status == 201 || a.status == 409 || a.status == 0);
		answer_free(&a);
		client_close(c[0]);
		client_close(c[1]);
		assert_true(server_alive(&server));
	}
}

/* Until `over`: makes what the others make too, and looks at it, which ends whoever works on it. */
struct meddler {
	pthread_t thread;
	const char *field;
	atomic_bool *over;
};

static void *meddle(void *arg)
{
	struct meddler *m = arg;
	char fields[MINTER_FIELD_SIZE + 128], location[128];
	struct answer a;

	(void)snprintf(fields, sizeof(fields),
		       "%sUpload-Draft-Interop-Version: 9\r\nUpload-Complete: ?0\r\n", m->field);
	while (!atomic_load(m->over)) {
		http_request(server.port, "POST", "/v1/uploads", fields, NULL, 0, &a);
		if (answer_field(&a, "Location", location, sizeof(location)))
			(void)http_status(server.port, "HEAD", location, "");
		answer_free(&a);
	}
	return NULL;
}

static void creations_with_one_grant_at_once_all_come_to_an_end(void **state)
{
	char jti[32], field[MINTER_FIELD_SIZE], fields[MINTER_FIELD_SIZE + 128];
	struct meddler meddlers[3];

	(void)state;
	for (int i = 0; i < 60; i++) {
		atomic_bool over = false;
		struct grant g;
		struct answer a;

		(void)snprintf(jti, sizeof(jti), "meddle-%d", i);
		g = once(jti);
		(void)snprintf(fields, sizeof(fields), "%s" RUFH, minter_field(&minter, &g, field));
		for (size_t k = 0; k < 3; k++) {
			meddlers[k] = (struct meddler){ .field = field, .over = &over };
			assert_int_equal(
				pthread_create(&meddlers[k].thread, NULL, meddle, &meddlers[k]), 0);
		}
		http_request(server.port, "POST", "/v1/uploads", fields, body, sizeof(body), &a);
		atomic_store(&over, true);
		for (size_t k = 0; k < 3; k++)
			pthread_join(meddlers[k].thread, NULL);
		/* answered, or interrupted by a look at it; not left waiting */
		assert_true(a.status == 201 || a.status == 0);
		answer_free(&a);
	}
	assert_int_equal(server_stop(&server), 0);
	server_again(&server);
}

/* ---- keys ---- */

static void a_key_is_added_and_taken_away_without_a_stop(void **state)
{
	char field[MINTER_FIELD_SIZE], config[1024], one[128], two[128];
	const struct grant theirs = minter_grant(&stranger);
	struct grant ours = minter_grant(&minter);
	struct answer a;

	(void)state;
	(void)snprintf(config, sizeof(config),
		       "upload { min_free = 0; ttl_max = 30d; }\ngrants { key = [ %s, %s ] }\n",
		       minter_key(&minter, one, sizeof(one)),
		       minter_key(&stranger, two, sizeof(two)));
	server_configure(&server, config);
	assert_int_equal(kill(server.pid, SIGHUP), 0);
	assert_true(server_logs(&server, "event=reloaded", 5000));
	http_request(server.port, "PUT", "/v1/media", minter_field(&stranger, &theirs, field), body,
		     sizeof(body), &a);
	assert_status(&a, 201);
	answer_free(&a);
	assert_int_equal(put(&ours), 201);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_grant_nothing_is_taken),
		cmocka_unit_test(a_grant_is_enough_in_every_dialect),
		cmocka_unit_test(who_has_the_upload_needs_no_grant_for_it),
		cmocka_unit_test(another_key_does_not_do),
		cmocka_unit_test(a_changed_grant_does_not_do),
		cmocka_unit_test(a_grant_has_its_time_and_its_server),
		cmocka_unit_test(clocks_may_differ_by_the_leeway),
		cmocka_unit_test(more_bytes_than_granted_are_refused),
		cmocka_unit_test(life_is_bounded_by_the_grant),
		cmocka_unit_test(nor_can_it_be_extended_beyond),
		cmocka_unit_test(what_the_grant_says_is_not_said_otherwise),
		cmocka_unit_test(recipients_are_those_of_the_grant),
		cmocka_unit_test(asking_again_is_told_of_the_same_upload),
		cmocka_unit_test(a_begun_upload_is_gone_on_with),
		cmocka_unit_test(a_rufh_upload_is_gone_on_with),
		cmocka_unit_test(a_grant_stays_spent_when_its_upload_is_gone),
		cmocka_unit_test(it_makes_no_parts),
		cmocka_unit_test(of_many_at_once_all_are_told_of_the_same),
		cmocka_unit_test(who_hangs_up_when_another_was_quicker_does_no_harm),
		cmocka_unit_test(creations_with_one_grant_at_once_all_come_to_an_end),
		cmocka_unit_test(a_key_is_added_and_taken_away_without_a_stop),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
