/* Live fetch through the real nginx: with conf/nginx.conf as it is shipped, and with an nginx that
 * was told nothing. Sender and followers both come through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/nginx.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define PIECE 400 /* 20 ms of a voice note, or five times as much of a good one */
#define PIECES 40
#define MARK 16 /* so many random bytes are not met by chance */
#define ALL ((size_t)PIECE * PIECES)
#define QUICK_MS 60
#define SOON_MS 3000  /* on a machine that has much else to do */
#define STALL_MS 2000 /* fetch.live_timeout */

static struct fixture {
	bool there;
	struct test_server server;
	struct test_server proxied, bare; /* the same, as tus.h asks it through nginx */
	struct nginx nginx, nginx_bare;
	uint8_t bytes[ALL];
} fixture;

static int start(void **state)
{
	const struct test_server_options o = {
		.config = "upload { min_free = 0 }\nfetch { live_timeout = 2s }\n",
	};

	*state = &fixture;
	fixture.there = nginx_is_there();
	if (!fixture.there)
		return 0;
	server_start(&fixture.server, &o);
	nginx_start(&fixture.nginx, fixture.server.port);
	nginx_start_bare(&fixture.nginx_bare, fixture.server.port);
	fixture.proxied = fixture.bare = fixture.server;
	fixture.proxied.port = fixture.nginx.port;
	fixture.bare.port = fixture.nginx_bare.port;
	fill_random(fixture.bytes, ALL, 1);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	if (!fixture.there)
		return 0;
	nginx_stop(&fixture.nginx);
	nginx_stop(&fixture.nginx_bare);
	server_remove(&fixture.server);
	return 0;
}

#define NEEDS_NGINX()               \
	do {                        \
		(void)state;        \
		if (!fixture.there) \
			skip();     \
	} while (0)

/* ---- an upload that is followed -------------------------------------------------------------- */

/* One PATCH that goes on, and somebody who has asked for what it brings. */
struct story {
	struct tus_upload u;
	struct client *sender, *follower;
};

/* With the length told at the beginning, or at the end. */
static void begin(struct story *t, const struct test_server *way, bool length_known)
{
	*t = (struct story){ 0 };
	assert_int_equal(tus_create(way, length_known ? ALL : TUS_DEFERRED, "", &t->u), 201);
	t->sender = tus_begin(&t->u, 0, TUS_CHUNKED);
	t->follower = client_open(way->port);
	assert_true(client_sendf(t->follower,
				 "GET /v1/media/%s HTTP/1.1\r\nHost: media.example.org\r\n\r\n",
				 t->u.token));
}

static void send_piece(struct story *t, int i)
{
	assert_true(client_chunk(t->sender, fixture.bytes + (size_t)i * PIECE, PIECE));
}

/* The last piece, with which an upload of known length is complete, and the end of the request.
 * Another one tells a length that was not known. */
static void finish(struct story *t, bool length_known)
{
	struct answer a;
	char fields[64];

	send_piece(t, PIECES - 1);
	assert_true(client_chunk(t->sender, NULL, 0));
	assert_int_equal(tus_end(t->sender), 204);
	t->sender = NULL;
	if (length_known)
		return;
	(void)snprintf(fields, sizeof(fields), "Upload-Length: %zu\r\n", ALL);
	tus_patch_answer(&t->u, ALL, fields, "", 0, &a);
	assert_status(&a, 204);
	answer_free(&a);
}

static void over(struct story *t)
{
	if (t->sender != NULL)
		client_close(t->sender);
	client_close(t->follower);
}

/* Reads until the follower has the end of this piece; how long that took. */
static int64_t until_heard(struct story *t, const uint8_t *piece)
{
	const uint8_t *end = piece + PIECE - MARK;
	struct client *c = t->follower;
	const int64_t began = clock_mono_ms();

	while (c->len < MARK || memmem(c->buf, c->len, end, MARK) == NULL) {
		ssize_t got;

		c->buf = realloc(c->buf, c->len + 65536);
		assert_non_null(c->buf);
		c->cap = c->len + 65536;
		got = recv(c->fd, c->buf + c->len, 65536, 0);
		if (got <= 0)
			fail_msg("nothing is heard after %zu bytes", c->len);
		c->len += (size_t)got;
	}
	return clock_mono_ms() - began;
}

/* Each piece is sent when the one before was heard: what was held back would never come. */
static void speak_and_listen(struct story *t, int from, int to)
{
	int quick = 0;

	for (int i = from; i < to; i++) {
		int64_t took;

		send_piece(t, i);
		took = until_heard(t, fixture.bytes + (size_t)i * PIECE);
		assert_in_range(took, 0, SOON_MS);
		quick += took <= QUICK_MS;
	}
	assert_in_range(quick, (to - from) / 4, to - from); /* whatever else the machine does */
}

static void assert_whole(struct story *t)
{
	struct answer a;

	client_answer(t->follower, false, &a, NULL);
	assert_status(&a, 200);
	assert_true(a.whole);
	assert_int_equal(a.body_len, ALL);
	assert_memory_equal(a.body, fixture.bytes, ALL);
	answer_free(&a);
}

/* There are some of the bytes, and nobody can take them for all. */
static void assert_cut(struct story *t, size_t had)
{
	struct answer a;

	client_answer(t->follower, false, &a, NULL);
	assert_status(&a, 200);
	assert_false(a.whole);
	assert_int_equal(a.body_len, had);
	assert_memory_equal(a.body, fixture.bytes, had);
	answer_free(&a);
}

/* ---- as it is shipped ------------------------------------------------------------------------ */

static void each_piece_is_heard_while_the_sender_speaks(void **state)
{
	NEEDS_NGINX();
	for (int known = 0; known < 2; known++) {
		struct story t;

		begin(&t, &fixture.proxied, known != 0);
		speak_and_listen(&t, 0, PIECES - 1);
		finish(&t, known != 0);
		assert_whole(&t);
		over(&t);
	}
}

static void who_comes_late_hears_it_from_the_beginning(void **state)
{
	struct story t;

	NEEDS_NGINX();
	begin(&t, &fixture.proxied, false);
	speak_and_listen(&t, 0, PIECES / 2);
	client_close(t.follower);
	t.follower = client_open(fixture.proxied.port);
	assert_true(client_sendf(t.follower, "GET /v1/media/%s HTTP/1.1\r\nHost: m\r\n\r\n",
				 t.u.token));
	(void)until_heard(&t, fixture.bytes);
	speak_and_listen(&t, PIECES / 2, PIECES - 1);
	finish(&t, false);
	assert_whole(&t);
	over(&t);
}

static void what_is_deleted_is_cut(void **state)
{
	NEEDS_NGINX();
	for (int known = 0; known < 2; known++) {
		struct story t;

		begin(&t, &fixture.proxied, known != 0);
		speak_and_listen(&t, 0, 4);
		assert_int_equal(tus_delete(&t.u), 204);
		assert_cut(&t, (size_t)4 * PIECE);
		over(&t);
	}
}

static void what_stalls_is_cut(void **state)
{
	const int64_t began = clock_mono_ms();
	struct story t[2];

	NEEDS_NGINX();
	for (int known = 0; known < 2; known++) {
		begin(&t[known], &fixture.proxied, known != 0);
		speak_and_listen(&t[known], 0, 4);
	}
	for (int known = 0; known < 2; known++) {
		assert_cut(&t[known], (size_t)4 * PIECE);
		over(&t[known]);
	}
	assert_in_range(clock_mono_ms() - began, STALL_MS - 100, STALL_MS + SOON_MS);
}

/* What curl ends with: 0 of a whole one, else 18 (a part of the file), or 92 (a stream of HTTP/2
 * was reset). */
static void curl_knows_a_part_from_the_whole(void **state)
{
	bool ok;
	char *said;

	NEEDS_NGINX();
	ok = nginx_script(
		&fixture.nginx,
		"base=$2 tus='Tus-Resumable: 1.0.0'\n"
		"create() { curl -fsSk -D head -X POST $base/v1/uploads -H \"$tus\" "
		"-H 'Upload-Defer-Length: 1'\n"
		"  at=$base$(sed -n 's/^location: //ip' head | tr -d '\\r')\n"
		"  media=$base/v1/media/$(sed -n 's/^media-token: //ip' head | tr -d '\\r'); }\n"
		"append() { curl -fsSk -X PATCH $at -H \"$tus\" "
		"-H 'Content-Type: application/offset+octet-stream' \"$@\"; }\n"
		"came() { for _ in $(seq 500); do cmp -s sent got && return; sleep 0.01; done; }\n"
		"ends() { code=0; wait $follower || code=$?; [ $code = $1 ]; cmp sent got; }\n"
		"head -c 3000 /dev/urandom >sent\n"
		"for version in 1.1:18 2:92; do\n"
		"  for end in finish delete; do\n"
		"    echo $version $end; rm -f got; create\n"
		"    curl -sSkN --http${version%:*} $media -o got & follower=$!\n"
		"    append -H 'Upload-Offset: 0' --data-binary @sent; came\n"
		"    case $end in\n"
		"    finish) append -H 'Upload-Offset: 3000' -H 'Upload-Length: 3000'; ends 0 ;;\n"
		"    delete) curl -fsSk -X DELETE $at -H \"$tus\"; ends ${version#*:} ;;\n"
		"    esac\n"
		"  done\n"
		"done\n");
	said = nginx_read(&fixture.nginx, "script.log");
	if (!ok)
		fail_msg("%s", said);
	free(said);
}

/* ---- as people begin ------------------------------------------------------------------------- */

/* It asks by HTTP/1.0, and would keep answers back but for the field that asks it not to; of
 * uploads it hands nothing on before a request is whole, so that requests have to be short. */
static void an_nginx_that_was_told_nothing_follows_too(void **state)
{
	struct story t = { 0 };
	struct answer a;

	NEEDS_NGINX();
	assert_int_equal(tus_create(&fixture.bare, TUS_DEFERRED, "", &t.u), 201);
	t.follower = client_open(fixture.bare.port);
	assert_true(client_sendf(t.follower, "GET /v1/media/%s HTTP/1.1\r\nHost: m\r\n\r\n",
				 t.u.token));
	for (int i = 0; i < PIECES; i++) {
		const uint64_t at = (uint64_t)i * PIECE;

		assert_int_equal(tus_patch(&t.u, at, fixture.bytes + at, PIECE), 204);
		assert_in_range(until_heard(&t, fixture.bytes + at), 0, SOON_MS);
	}
	tus_patch_answer(&t.u, ALL, "Upload-Length: 16000\r\n", "", 0, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_whole(&t);
	over(&t);
}

static void an_nginx_that_was_told_nothing_cuts_too(void **state)
{
	struct story t = { 0 };

	NEEDS_NGINX();
	assert_int_equal(tus_create(&fixture.bare, TUS_DEFERRED, "", &t.u), 201);
	t.follower = client_open(fixture.bare.port);
	assert_true(client_sendf(t.follower, "GET /v1/media/%s HTTP/1.1\r\nHost: m\r\n\r\n",
				 t.u.token));
	assert_int_equal(tus_patch(&t.u, 0, fixture.bytes, PIECE), 204);
	(void)until_heard(&t, fixture.bytes);
	assert_int_equal(tus_delete(&t.u), 204);
	assert_cut(&t, PIECE);
	over(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_piece_is_heard_while_the_sender_speaks),
		cmocka_unit_test(who_comes_late_hears_it_from_the_beginning),
		cmocka_unit_test(what_is_deleted_is_cut),
		cmocka_unit_test(what_stalls_is_cut),
		cmocka_unit_test(curl_knows_a_part_from_the_whole),
		cmocka_unit_test(an_nginx_that_was_told_nothing_follows_too),
		cmocka_unit_test(an_nginx_that_was_told_nothing_cuts_too),
	};

	return cmocka_run_group_tests_name("live_nginx", tests, start, stop);
}
