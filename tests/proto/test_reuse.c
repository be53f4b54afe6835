/* What is there already is referred to, without its bytes: by who holds them, with a grant that
 * allows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"
#include "tests/lib/client.h"
#include "tests/lib/minter.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define SIZE ((size_t)700 << 10) /* more than a challenge asks for, in several pages */
#define FIELDS_SIZE (MINTER_FIELD_SIZE + 512)

static struct test_server server;
static struct minter minter;
static uint8_t *content;

struct question {
	char challenge[128], ranges[256];
	uint8_t *bytes; /* that are asked for, of `content` as it is now */
	size_t length;
};

static int start(void **state)
{
	static char config[512];
	char key[128];
	const struct test_server_options options = { .config = config };

	(void)state;
	minter_init(&minter, 1);
	(void)snprintf(config, sizeof(config), "upload { min_free = 0 }\ngrants { key = [ %s ] }\n",
		       minter_key(&minter, key, sizeof(key)));
	server_start(&server, &options);
	content = malloc(SIZE);
	return content == NULL;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	free(content);
	return 0;
}

static struct grant permission(void)
{
	struct grant g = minter_grant(&minter);

	g.reuse = true;
	return g;
}

static void hex_of(char out[static 65], const uint8_t *p, size_t n)
{
	uint8_t digest[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(digest, p, n);
	hex_encode(out, digest, sizeof(digest));
}

/* Content of its own for each test, uploaded: its fetch token. */
static void upload(uint64_t seed, size_t n, char hex[static 65], struct placed *p)
{
	const struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE];
	struct answer a;

	fill_random(content, n, seed);
	hex_of(hex, content, n);
	memset(p, 0, sizeof(*p));
	http_request(server.port, "PUT", "/v1/media", minter_field(&minter, &g, field), content, n,
		     &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "token", p->token, sizeof(p->token)));
	assert_true(answer_json(&a, "manage_token", p->manage, sizeof(p->manage)));
	answer_free(&a);
}

static void gather(struct question *q)
{
	static uint8_t bytes[SIZE];
	const char *p = q->ranges + strlen("bytes=");
	size_t first, last;
	int n;

	q->bytes = bytes;
	q->length = 0;
	for (; sscanf(p, "%zu-%zu%n", &first, &last, &n) == 2; p += n + 1) {
		assert_true(first <= last && last < SIZE && q->length + last - first < SIZE);
		memcpy(bytes + q->length, content + first, last - first + 1);
		q->length += last - first + 1;
		if (p[n] != ',')
			break;
	}
}

static int ask(const struct grant *g, const char *hex, struct question *q)
{
	char field[MINTER_FIELD_SIZE] = "", target[128];
	struct client *c = client_open(server.port);
	struct answer a;
	int status;

	if (g != NULL)
		(void)minter_field(&minter, g, field);
	(void)snprintf(target, sizeof(target), "/v1/blobs/%s", hex);
	client_sendf(c, "HEAD %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", target, field);
	client_answer(c, true, &a, NULL);
	client_close(c);
	status = a.status;
	if (q != NULL && status == 204) {
		assert_true(answer_field(&a, "Blob-Challenge", q->challenge, sizeof(q->challenge)));
		assert_true(answer_field(&a, "Blob-Challenge-Range", q->ranges, sizeof(q->ranges)));
		gather(q);
	}
	answer_free(&a);
	return status;
}

/* The answer's status, and its token. */
static int prove(const struct grant *g, const char *query, const char *challenge,
		 const uint8_t *bytes, size_t n, char token[static 64])
{
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	char hex[65], fields[FIELDS_SIZE], field[MINTER_FIELD_SIZE], target[160];
	crypto_auth_hmacsha256_state st;
	struct answer a;
	int status;

	(void)crypto_auth_hmacsha256_init(&st, (const uint8_t *)challenge, strlen(challenge));
	(void)crypto_auth_hmacsha256_update(&st, bytes, n);
	(void)crypto_auth_hmacsha256_final(&st, mac);
	hex_encode(hex, mac, sizeof(mac));
	(void)snprintf(fields, sizeof(fields), "%sBlob-Challenge: %s\r\nBlob-Proof: %s\r\n",
		       minter_field(&minter, g, field), challenge, hex);
	(void)snprintf(target, sizeof(target), "/v1/uploads?%s", query);
	http_request(server.port, "POST", target, fields, NULL, 0, &a);
	status = a.status;
	token[0] = '\0';
	(void)answer_json(&a, "token", token, 64);
	answer_free(&a);
	return status;
}

static int refer(const struct grant *g, const char *hex, char token[static 64])
{
	char query[80];
	struct question q;

	assert_int_equal(ask(g, hex, &q), 204);
	(void)snprintf(query, sizeof(query), "sha256=%s", hex);
	return prove(g, query, q.challenge, q.bytes, q.length, token);
}

/* ---- promises ---- */

static void what_is_there_is_forwarded_without_its_bytes(void **state)
{
	const struct grant g = permission();
	char hex[65], token[64];
	struct placed p;

	(void)state;
	upload(1, SIZE, hex, &p);
	assert_int_equal(refer(&g, hex, token), 201);
	assert_string_not_equal(token, p.token);
	assert_true(http_has(server.port, token, content, SIZE));
	/* and it lives by itself */
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 204);
	assert_true(http_has(server.port, token, content, SIZE));
}

static void small_content_too(void **state)
{
	const struct grant g = permission();
	char hex[65], token[64];
	struct placed p;

	(void)state;
	for (size_t n = 1; n < 40; n += 13) {
		upload(100 + n, n, hex, &p);
		assert_int_equal(refer(&g, hex, token), 201);
		assert_true(http_has(server.port, token, content, n));
	}
}

static void nothing_is_told_without_a_grant_for_it(void **state)
{
	const struct grant other = minter_grant(&minter), g = permission();
	char hex[65], token[64], query[80];
	struct placed p;
	struct question q;

	(void)state;
	upload(2, SIZE, hex, &p);
	assert_int_equal(ask(NULL, hex, NULL), 401);
	assert_int_equal(ask(&other, hex, NULL), 403);
	assert_int_equal(ask(&g, hex, &q), 204);
	(void)snprintf(query, sizeof(query), "sha256=%s", hex);
	assert_int_equal(prove(&other, query, q.challenge, q.bytes, q.length, token), 403);
}

static void what_is_not_there_is_not_there(void **state)
{
	const struct grant g = permission();
	char hex[65], token[64];
	struct placed p;

	(void)state;
	assert_int_equal(
		ask(&g, "0000000000000000000000000000000000000000000000000000000000000000", NULL),
		404);
	assert_int_equal(ask(&g, "00", NULL), 400);
	upload(3, SIZE, hex, &p);
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 204);
	assert_int_equal(ask(&g, hex, NULL), 404);
	(void)token;
}

static void who_does_not_hold_the_bytes_gets_nothing(void **state)
{
	const struct grant g = permission();
	char hex[65], other[65], token[64], query[80];
	struct placed p;
	struct question q;

	(void)state;
	upload(4, SIZE, other, &p);
	upload(5, SIZE, hex, &p);
	(void)snprintf(query, sizeof(query), "sha256=%s", hex);
	assert_int_equal(ask(&g, hex, &q), 204);
	/* other bytes, too few, none */
	q.bytes[0] ^= 1;
	assert_int_equal(prove(&g, query, q.challenge, q.bytes, q.length, token), 403);
	q.bytes[0] ^= 1;
	assert_int_equal(prove(&g, query, q.challenge, q.bytes, q.length - 1, token), 403);
	assert_int_equal(prove(&g, query, q.challenge, content, 0, token), 403);
	/* a challenge for something else, or of nobody */
	assert_int_equal(ask(&g, other, &q), 204);
	assert_int_equal(prove(&g, query, q.challenge, q.bytes, q.length, token), 403);
	q.challenge[10] = q.challenge[10] == 'A' ? 'B' : 'A';
	assert_int_equal(prove(&g, query, q.challenge, q.bytes, q.length, token), 403);
	assert_int_equal(prove(&g, query, "AAAA", content, 1, token), 403);
	/* without naming it */
	assert_int_equal(ask(&g, hex, &q), 204);
	assert_int_equal(prove(&g, "", q.challenge, q.bytes, q.length, token), 400);
}

static void asking_again_asks_for_the_same_bytes(void **state)
{
	struct grant g = permission();
	char hex[65], other[65], ranges[256];
	struct placed p;
	struct question q;

	(void)state;
	upload(9, SIZE, other, &p);
	upload(10, SIZE, hex, &p);
	assert_int_equal(ask(&g, hex, &q), 204);
	(void)strcpy(ranges, q.ranges);
	assert_int_equal(q.length, 256 << 10);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(ask(&g, hex, &q), 204);
		assert_string_equal(q.ranges, ranges);
	}
	/* but not of another content, nor another bucket */
	assert_int_equal(ask(&g, other, &q), 204);
	assert_string_not_equal(q.ranges, ranges);
	(void)strcpy(g.bucket, "b");
	assert_int_equal(ask(&g, hex, &q), 204);
	assert_string_not_equal(q.ranges, ranges);
}

static void a_challenge_is_for_one_bucket(void **state)
{
	struct grant g = permission(), other = permission();
	char hex[65], token[64], query[80];
	struct placed p;
	struct question q;

	(void)state;
	(void)strcpy(g.bucket, "a");
	(void)strcpy(other.bucket, "b");
	upload(11, SIZE, hex, &p);
	(void)snprintf(query, sizeof(query), "sha256=%s", hex);
	assert_int_equal(ask(&g, hex, &q), 204);
	assert_int_equal(prove(&other, query, q.challenge, q.bytes, q.length, token), 403);
	assert_int_equal(prove(&g, query, q.challenge, q.bytes, q.length, token), 201);
}

static void it_is_bounded_as_an_upload_is(void **state)
{
	struct grant g = permission();
	char hex[65], token[64];
	struct placed p;

	(void)state;
	upload(6, SIZE, hex, &p);
	g.max_given = true;
	g.max = SIZE - 1;
	assert_int_equal(refer(&g, hex, token), 413);
	g.max = SIZE;
	assert_int_equal(refer(&g, hex, token), 201);
}

static void a_grant_for_one_upload_makes_one(void **state)
{
	struct grant g = permission();
	char hex[65], one[64], two[64];
	struct placed p;

	(void)state;
	upload(7, SIZE, hex, &p);
	(void)strcpy(g.jti, "reuse-1");
	assert_int_equal(refer(&g, hex, one), 201);
	assert_int_equal(refer(&g, hex, two), 201);
	assert_string_equal(one, two);
}

static void it_outlives_a_kill(void **state)
{
	const struct grant g = permission();
	char hex[65], token[64];
	struct placed p;

	(void)state;
	upload(8, SIZE, hex, &p);
	assert_int_equal(refer(&g, hex, token), 201);
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 204);
	server_kill(&server);
	server_again(&server);
	assert_true(http_has(server.port, token, content, SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_forwarded_without_its_bytes),
		cmocka_unit_test(small_content_too),
		cmocka_unit_test(nothing_is_told_without_a_grant_for_it),
		cmocka_unit_test(what_is_not_there_is_not_there),
		cmocka_unit_test(who_does_not_hold_the_bytes_gets_nothing),
		cmocka_unit_test(asking_again_asks_for_the_same_bytes),
		cmocka_unit_test(a_challenge_is_for_one_bucket),
		cmocka_unit_test(it_is_bounded_as_an_upload_is),
		cmocka_unit_test(a_grant_for_one_upload_makes_one),
		cmocka_unit_test(it_outlives_a_kill),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
