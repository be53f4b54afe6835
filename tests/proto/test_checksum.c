/* checksum - bytes that can be checked on their way: Upload-Checksum of tus 1.0.0 in head and
 * trailer, Content-Digest and Repr-Digest of RFC 9530, and the sha256 of a whole upload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "base/text.h"
#include "storage/chunk.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define MB ((size_t)1 << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t bytes[6 * MB];

/* Other ciphertext on every call. */
static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 1;

	fill_random(bytes, n, seed++);
	return bytes;
}

static int start(void **state, const char *config)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = config });
	*state = &server;
	return 0;
}

static int start_plain(void **state)
{
	return start(state, NULL);
}

static int start_small_segments(void **state)
{
	return start(state, "fetch { cache = 0 }\n"
			    "store { segment_threshold = 64kb; segment_size = 1mb }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

static void create(const struct test_server *s, uint64_t length, struct tus_upload *u)
{
	assert_int_equal(tus_create(s, length, "", u), 201);
}

static void create_with(const struct test_server *s, uint64_t length, const uint8_t *p, size_t n,
			struct tus_upload *u)
{
	create(s, length, u);
	assert_int_equal(tus_patch(u, 0, p, n), 204);
}

/* Counts what the store has kept, around a story in which it is to keep nothing. */
static uint64_t kept(struct test_server *s)
{
	return server_metric(s, "restante_store_commits_total");
}

/* ---- checksums, made here by other means than the server's ---- */

static const char *const algorithms[] = { "sha1", "sha256", "sha512", "md5", "crc32c" };

/* RFC 3720 appendix B.4, one bit after the other; big-endian. */
static size_t crc32c(const uint8_t *p, size_t n, uint8_t out[static 64])
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(~crc >> (24 - 8 * i));
	return 4;
}

static size_t digest(const char *algorithm, const uint8_t *p, size_t n, uint8_t out[static 64])
{
	struct sha1_ctx sha1;
	struct sha256_ctx sha256;
	struct sha512_ctx sha512;
	struct md5_ctx md5;

	if (strcmp(algorithm, "sha1") == 0) {
		sha1_init(&sha1);
		sha1_update(&sha1, n, p);
		sha1_digest(&sha1, 20, out);
		return 20;
	}
	if (strcmp(algorithm, "sha256") == 0) {
		sha256_init(&sha256);
		sha256_update(&sha256, n, p);
		sha256_digest(&sha256, 32, out);
		return 32;
	}
	if (strcmp(algorithm, "sha512") == 0) {
		sha512_init(&sha512);
		sha512_update(&sha512, n, p);
		sha512_digest(&sha512, 64, out);
		return 64;
	}
	if (strcmp(algorithm, "md5") == 0) {
		md5_init(&md5);
		md5_update(&md5, n, p);
		md5_digest(&md5, 16, out);
		return 16;
	}
	return crc32c(p, n, out);
}

/* "Upload-Checksum: sha1 …\r\n" over these bytes; good until the call after the next. */
static const char *checksum(const char *algorithm, const uint8_t *p, size_t n)
{
	static char fields[2][200];
	static int turn;
	char base64[BASE64_LEN(64) + 1];
	uint8_t sum[64];

	turn = !turn;
	base64_encode(base64, sum, digest(algorithm, p, n, sum));
	(void)snprintf(fields[turn], sizeof(fields[turn]), "Upload-Checksum: %s %s\r\n", algorithm,
		       base64);
	return fields[turn];
}

/* "Content-Digest: sha-256=:…:\r\n" or the like. */
static const char *digest_field(const char *name, const uint8_t *p, size_t n)
{
	static char field[200];
	char value[TUS_DIGEST_SIZE];

	tus_digest(value, p, n);
	(void)snprintf(field, sizeof(field), "%s: %s\r\n", name, value);
	return field;
}

static int patch_with(const struct tus_upload *u, uint64_t offset, const char *fields,
		      const uint8_t *p, size_t n)
{
	struct answer a;
	int status;

	tus_patch_answer(u, offset, fields, p, n, &a);
	status = a.status;
	if (status >= 400)
		assert_problem(&a, status);
	answer_free(&a);
	return status;
}

static void assert_mismatch(struct answer *a)
{
	char type[64];

	(void)answer_json(a, "type", type, sizeof(type));
	assert_string_equal(type, "urn:restante:problem:digest-mismatch");
	assert_problem(a, 400);
}

/* ---- Upload-Checksum ---- */

static void t_checksum_the_example_of_the_specification_is_taken(void **state)
{
	struct tus_upload u;

	create(*state, 11, &u);
	assert_int_equal(patch_with(&u, 0, "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n",
				    (const uint8_t *)"hello world", 11),
			 204);
	assert_true(tus_has(&u, "hello world", 11));
}

/* RFC 3720 appendix B.4 has 0xe3069283 for these nine bytes in every table of CRC-32C. */
static void t_checksum_crc32c_is_four_bytes_big_endian(void **state)
{
	static const uint8_t digits[] = "123456789";
	struct tus_upload u;

	assert_string_equal(checksum("crc32c", digits, 9), "Upload-Checksum: crc32c 4waSgw==\r\n");
	create(*state, 9, &u);
	assert_int_equal(patch_with(&u, 0, "Upload-Checksum: crc32c g5IG4w==\r\n", digits, 9), 460);
	assert_int_equal(patch_with(&u, 0, "Upload-Checksum: crc32c 4waSgw==\r\n", digits, 9), 204);
}

static void t_checksum_every_algorithm_is_taken_when_it_is_right(void **state)
{
	static const size_t lengths[] = { 1, 63, 64, 1000, CHUNK_MAX, CHUNK_MAX + 1, 2 * MB + 17 };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(algorithms) * COUNT(lengths); i++) {
		const char *algorithm = algorithms[i % COUNT(algorithms)];
		const size_t n = lengths[i / COUNT(algorithms)];
		const uint8_t *p = fresh(n + 5);
		struct tus_upload u;

		create_with(s, n + 5, p, 5, &u);
		if (patch_with(&u, 5, checksum(algorithm, p + 5, n), p + 5, n) != 204)
			fail_msg("%s of %zu", algorithm, n);
		assert_true(tus_has(&u, p, n + 5));
	}
}

static void t_checksum_trap5_a_mismatch_is_460_and_the_offset_stays(void **state)
{
	static const size_t lengths[] = { 1, 1000, CHUNK_MAX, 5 * MB };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(algorithms) * COUNT(lengths); i++) {
		const char *algorithm = algorithms[i % COUNT(algorithms)];
		const size_t n = lengths[i / COUNT(algorithms)];
		const uint8_t *p = fresh(n + 5);
		const char *wrong = checksum(algorithm, p + 4, n);
		struct tus_upload u;

		create_with(s, n + 5, p, 5, &u);
		if (patch_with(&u, 5, wrong, p + 5, n) != 460)
			fail_msg("%s of %zu", algorithm, n);
		assert_true(tus_is_at(&u, 5, n + 5));
		assert_int_equal(patch_with(&u, 5, checksum(algorithm, p + 5, n), p + 5, n), 204);
		assert_true(tus_has(&u, p, n + 5));
	}
}

/* One bit is enough, wherever it is. */
static void t_checksum_every_byte_counts(void **state)
{
	struct test_server *s = *state;
	const size_t n = 3 * CHUNK_MAX + 17;
	static const size_t places[] = { 0, 1, CHUNK_MAX - 1, CHUNK_MAX, 3 * CHUNK_MAX + 16 };
	const uint8_t *p = fresh(n);
	char right[200];
	struct tus_upload u;

	(void)snprintf(right, sizeof(right), "%s", checksum("sha1", p, n));
	create(s, n, &u);
	for (size_t i = 0; i < COUNT(places); i++) {
		bytes[places[i]] ^= 1;
		assert_int_equal(patch_with(&u, 0, right, p, n), 460);
		bytes[places[i]] ^= 1;
	}
	assert_int_equal(tus_offset(&u), 0);
	assert_int_equal(patch_with(&u, 0, right, p, n), 204);
	assert_true(tus_has(&u, p, n));
}

static void t_checksum_is_of_one_request_and_not_of_the_whole(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(3000);
	struct tus_upload u;

	create(s, 3000, &u);
	assert_int_equal(patch_with(&u, 0, checksum("sha256", p, 1000), p, 1000), 204);
	assert_int_equal(patch_with(&u, 1000, checksum("sha256", p, 2000), p + 1000, 1000), 460);
	assert_int_equal(patch_with(&u, 1000, checksum("md5", p + 1000, 1000), p + 1000, 1000),
			 204);
	assert_int_equal(tus_patch(&u, 2000, p + 2000, 1000), 204);
	assert_true(tus_has(&u, p, 3000));
}

static void t_checksum_of_no_bytes(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(algorithms); i++) {
		assert_int_equal(patch_with(&u, 5, checksum(algorithms[i], bytes, 0), NULL, 0),
				 204);
		assert_int_equal(patch_with(&u, 5, checksum(algorithms[i], bytes, 1), NULL, 0),
				 460);
	}
	assert_int_equal(tus_offset(&u), 5);
}

static void t_checksum_of_a_chunked_body(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(500000);
	struct tus_upload u;
	char fields[500];

	create(s, 500000, &u);
	for (int right = 0; right < 2; right++) {
		struct client *c;

		(void)snprintf(fields, sizeof(fields), TUS_CHUNKED "%s",
			       checksum("sha512", p, right ? 500000 : 499999));
		c = tus_begin(&u, 0, fields);
		for (size_t at = 0; at < 500000; at += 100000)
			assert_true(client_chunk(c, p + at, 100000));
		assert_true(client_chunk(c, NULL, 0));
		assert_int_equal(tus_end(c), right ? 204 : 460);
		assert_int_equal(tus_offset(&u), right ? 500000 : 0);
	}
	assert_true(tus_has(&u, p, 500000));
}

static const char *const malformed[] = {
	"sha3 AAAA",
	"crc32 AAAAAA==",
	"sha-1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"SHA1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"sha1",
	"sha1 !!!!",
	"sha1 AAAA",
	"sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"sha1  AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA= x",
	"sha1,AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=,md5 AAAAAAAAAAAAAAAAAAAAAA==",
	"sha256 AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"crc32c AAAAAAAA",
	"",
};

static void t_checksum_of_an_unsupported_algorithm_or_out_of_shape_is_400(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	char fields[500];

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(malformed); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Checksum: %s\r\n", malformed[i]);
		if (patch_with(&u, 5, fields, (const uint8_t *)"world", 5) != 400)
			fail_msg("%s", fields);
		assert_int_equal(tus_offset(&u), 5);
	}
	(void)snprintf(fields, sizeof(fields), "%s%s", checksum("md5", (const uint8_t *)"world", 5),
		       checksum("sha1", (const uint8_t *)"world", 5));
	assert_int_equal(patch_with(&u, 5, fields, (const uint8_t *)"world", 5), 400);
	assert_int_equal(tus_offset(&u), 5);
}

static void t_checksum_that_is_unsupported_is_refused_before_the_body(void **state)
{
	struct tus_upload u;
	struct client *c;
	struct answer a;
	int interim;

	create(*state, 10, &u);
	c = tus_begin(&u, 0,
		      "Content-Length: 10\r\nExpect: 100-continue\r\n"
		      "Upload-Checksum: sha3 AAAA\r\n");
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_problem(&a, 400);
	client_close(c);
}

static void t_checksum_of_the_first_bytes_of_a_creation(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	uint64_t before = kept(s);
	struct tus_upload u;

	assert_int_equal(tus_post(s, "", 1000, checksum("sha1", p, 499), p, 500, NULL), 460);
	assert_int_equal(tus_post(s, "", 1000, checksum("crc32c", p, 999), p, 1000, NULL), 460);
	assert_int_equal(tus_post(s, "", 1000, "Upload-Checksum: sha3 AAAA\r\n", p, 500, NULL),
			 400);
	assert_int_equal(tus_post(s, "", 1000, "Upload-Checksum: sha1\r\n", p, 500, NULL), 400);
	assert_int_equal(kept(s), before);

	assert_int_equal(tus_post(s, "", 1000, checksum("sha1", p, 500), p, 500, &u), 201);
	assert_int_equal(u.offset, 500);
	assert_int_equal(tus_patch(&u, 500, p + 500, 500), 204);
	assert_true(tus_has(&u, p, 1000));
	assert_int_equal(tus_post(s, "", 1000, checksum("md5", p, 1000), p, 1000, &u), 201);
	assert_true(tus_has(&u, p, 1000));
}

static void t_checksum_mismatches_give_their_room_back(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5 * MB);
	const uint64_t before = server_metric(s, "restante_store_data_bytes");
	struct tus_upload u;

	create(s, 5 * MB, &u);
	for (int i = 0; i < 10; i++)
		assert_int_equal(patch_with(&u, 0, checksum("crc32c", p, 5), p, 5 * MB), 460);
	for (int i = 0; i < 300 && server_metric(s, "restante_store_data_bytes") > before + 10 * MB;
	     i++)
		client_nap(10);
	assert_in_range(server_metric(s, "restante_store_data_bytes"), 0, before + 10 * MB);
	for (int i = 0; i < 300 && server_metric(s, "restante_upload_memory_bytes") > 0; i++)
		client_nap(10);
	assert_int_equal(server_metric(s, "restante_upload_memory_bytes"), 0);
}

/* ---- what is broken off cannot be checked ---- */

enum how { BY_CLOSE, BY_RESET, BY_HEAD, BY_KILL, HOWS };

static void break_off(struct test_server *s, const struct tus_upload *u, struct client *c,
		      enum how how)
{
	client_nap(200); /* what was sent has come */
	if (how == BY_HEAD)
		assert_int_equal(tus_offset(u), 5);
	if (how == BY_KILL)
		server_kill(s);
	if (how == BY_RESET)
		client_reset(c);
	else
		client_close(c);
	if (how == BY_KILL)
		server_again(s);
	client_nap(200);
}

static void broken_off(struct test_server *s, size_t n, size_t sent, const char *fields,
		       enum how how)
{
	const uint8_t *p = fresh(n + 5);
	struct tus_upload u;
	struct client *c;
	char all[500];

	create_with(s, n + 5, p, 5, &u);
	(void)snprintf(all, sizeof(all), "Content-Length: %zu\r\n%s", n, fields);
	c = tus_begin(&u, 5, fields[0] == 'T' ? fields : all);
	if (fields[0] == 'T')
		assert_true(client_chunk(c, p + 5, sent));
	else
		assert_true(client_send(c, p + 5, sent));
	break_off(s, &u, c, how);
	assert_true(tus_is_at(&u, 5, n + 5));
	assert_int_equal(tus_patch(&u, 5, p + 5, n), 204);
	assert_true(tus_has(&u, p, n + 5));
}

static void t_checksum_of_a_request_that_is_broken_off_leaves_nothing(void **state)
{
	static const struct {
		size_t n, sent;
	} stories[] = { { 1000, 500 }, { 5 * MB, 3 * MB + 17 } };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(stories) * HOWS; i++) {
		const size_t n = stories[i / HOWS].n, sent = stories[i / HOWS].sent;

		broken_off(s, n, sent, checksum("sha1", bytes, n), (enum how)(i % HOWS));
		broken_off(s, n, sent, digest_field("Content-Digest", bytes, n),
			   (enum how)(i % HOWS));
		broken_off(s, n, sent, "Transfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\n",
			   (enum how)(i % HOWS));
	}
}

/* All bytes had come, but not the end of the request with what they are to be checked by. */
static void t_checksum_trailer_that_never_comes_leaves_nothing(void **state)
{
	broken_off(*state, 1000, 1000, "Transfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\n",
		   BY_CLOSE);
	broken_off(*state, 1000, 1000, "Transfer-Encoding: chunked\r\nTrailer: Content-Digest\r\n",
		   BY_HEAD);
}

/* ---- in the trailer ---- */

/* A PATCH of n bytes at offset 5 in chunks, with this trailer section behind. */
static void patch_trailed(const struct tus_upload *u, const char *announced, const uint8_t *p,
			  size_t n, const char *trailer, struct answer *a)
{
	struct client *c;
	char fields[500];

	(void)snprintf(fields, sizeof(fields), TUS_CHUNKED "%s", announced);
	c = tus_begin(u, 5, fields);
	for (size_t at = 0; at < n; at += 100000)
		(void)client_chunk(c, p + at, n - at < 100000 ? n - at : 100000);
	(void)client_sendf(c, "0\r\n%s\r\n", trailer);
	client_answer(c, false, a, NULL);
	client_close(c);
}

static int trailed(const struct tus_upload *u, const char *announced, const uint8_t *p, size_t n,
		   const char *trailer)
{
	struct answer a;
	int status;

	patch_trailed(u, announced, p, n, trailer, &a);
	status = a.status;
	if (status >= 400)
		assert_problem(&a, status);
	answer_free(&a);
	return status;
}

static void t_checksum_trailer_of_every_algorithm_is_taken_when_it_is_right(void **state)
{
	static const char *const announced[] = {
		"Trailer: Upload-Checksum\r\n", "Trailer: upload-checksum\r\n",
		"trailer: Expires, Upload-Checksum\r\n",
		"Trailer: Expires\r\nTrailer: Upload-Checksum\r\n"
	};
	static const size_t lengths[] = { 1, 1000, 2 * MB + 17 };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(algorithms) * COUNT(lengths); i++) {
		const size_t n = lengths[i / COUNT(algorithms)];
		const char *algorithm = algorithms[i % COUNT(algorithms)];
		const uint8_t *p = fresh(n + 5);
		struct tus_upload u;

		create_with(s, n + 5, p, 5, &u);
		if (trailed(&u, announced[i % COUNT(announced)], p + 5, n,
			    checksum(algorithm, p + 5, n)) != 204)
			fail_msg("%s of %zu, %s", algorithm, n, announced[i % COUNT(announced)]);
		assert_true(tus_has(&u, p, n + 5));
	}
}

static void t_checksum_trailer_trap5_a_mismatch_is_460_and_the_offset_stays(void **state)
{
	static const size_t lengths[] = { 1, 1000, 5 * MB };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(algorithms) * COUNT(lengths); i++) {
		const size_t n = lengths[i / COUNT(algorithms)];
		const char *algorithm = algorithms[i % COUNT(algorithms)];
		const uint8_t *p = fresh(n + 5);
		struct tus_upload u;

		create_with(s, n + 5, p, 5, &u);
		assert_int_equal(trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, n,
					 checksum(algorithm, p + 4, n)),
				 460);
		assert_true(tus_is_at(&u, 5, n + 5));
		assert_int_equal(trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, n,
					 checksum(algorithm, p + 5, n)),
				 204);
	}
}

static void t_checksum_trailer_that_was_not_announced_is_400_and_nothing_is_kept(void **state)
{
	static const size_t lengths[] = { 1000, 5 * MB };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n + 5);
		struct tus_upload u;

		create_with(s, n + 5, p, 5, &u);
		assert_int_equal(trailed(&u, "", p + 5, n, checksum("sha1", p + 5, n)), 400);
		assert_true(tus_is_at(&u, 5, n + 5));
		assert_int_equal(trailed(&u, "", p + 5, n, checksum("sha1", p + 4, n)), 400);
		assert_int_equal(
			trailed(&u, "Trailer: Expires\r\n", p + 5, n, checksum("sha1", p + 5, n)),
			400);
		assert_true(tus_is_at(&u, 5, n + 5));
	}
}

static void t_checksum_trailer_that_was_announced_and_is_missing_is_400(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1005);
	struct tus_upload u;

	create_with(s, 1005, p, 5, &u);
	assert_int_equal(trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, 1000, ""), 400);
	assert_int_equal(trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, 1000, "Expires: 0\r\n"),
			 400);
	assert_int_equal(tus_offset(&u), 5);
	assert_int_equal(trailed(&u, "", p + 5, 1000, ""), 204);
	assert_true(tus_has(&u, p, 1005));
}

/* A body with a Content-Length has no trailer section (RFC 9110 section 6.5). */
static void t_checksum_trailer_without_chunks_is_400(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1005);
	struct tus_upload u;

	create_with(s, 1005, p, 5, &u);
	assert_int_equal(patch_with(&u, 5, "Trailer: Upload-Checksum\r\n", p + 5, 1000), 400);
	assert_int_equal(tus_offset(&u), 5);
}

static void t_checksum_trailer_of_an_unsupported_algorithm_or_out_of_shape_is_400(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1005);
	struct tus_upload u;
	char trailer[500];

	create_with(s, 1005, p, 5, &u);
	for (size_t i = 0; i < COUNT(malformed); i++) {
		(void)snprintf(trailer, sizeof(trailer), "Upload-Checksum: %s\r\n", malformed[i]);
		if (trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, 1000, trailer) != 400)
			fail_msg("%s", trailer);
	}
	(void)snprintf(trailer, sizeof(trailer), "%s%s", checksum("sha1", p + 5, 1000),
		       checksum("md5", p + 5, 1000));
	assert_int_equal(trailed(&u, "Trailer: Upload-Checksum\r\n", p + 5, 1000, trailer), 400);
	assert_int_equal(tus_offset(&u), 5);
}

static void t_checksum_trailer_with_the_first_bytes_of_a_creation(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const uint64_t before = kept(s);
	struct tus_upload u;
	struct answer a;

	for (size_t right = 0; right < 2; right++) {
		struct client *c = client_open(s->port);

		(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS_BYTES
				      "Upload-Length: 1000\r\n" TUS_CHUNKED
				      "Trailer: Upload-Checksum\r\n\r\n");
		assert_true(client_chunk(c, p, 500));
		(void)client_sendf(c, "0\r\n%s\r\n", checksum("sha1", p, 499 + right));
		client_answer(c, false, &a, NULL);
		client_close(c);
		assert_status(&a, right ? 201 : 460);
		tus_learn(s, &a, &u);
		answer_free(&a);
		if (!right)
			assert_int_equal(kept(s), before);
	}
	assert_int_equal(tus_patch(&u, 500, p + 500, 500), 204);
	assert_true(tus_has(&u, p, 1000));
}

/* ---- Content-Digest (RFC 9530) ---- */

static void content_digest_is_taken_when_it_is_right(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2 * MB);
	struct tus_upload u;

	create_with(s, 2 * MB, p, 5, &u);
	assert_int_equal(patch_with(&u, 5, digest_field("Content-Digest", p + 5, MB), p + 5, MB),
			 204);
	assert_int_equal(patch_with(&u, MB + 5, digest_field("Content-Digest", p + MB + 5, MB - 5),
				    p + MB + 5, MB - 5),
			 204);
	assert_true(tus_has(&u, p, 2 * MB));
}

static void content_digest_that_is_wrong_is_400_and_the_offset_stays(void **state)
{
	static const size_t lengths[] = { 1, 1000, 5 * MB };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n + 5);
		struct tus_upload u;
		struct answer a;

		create_with(s, n + 5, p, 5, &u);
		tus_patch_answer(&u, 5, digest_field("Content-Digest", p + 4, n), p + 5, n, &a);
		assert_mismatch(&a);
		assert_true(tus_is_at(&u, 5, n + 5));
		assert_int_equal(tus_patch(&u, 5, p + 5, n), 204);
		assert_true(tus_has(&u, p, n + 5));
	}
}

static void content_digest_out_of_shape_is_400(void **state)
{
	static const char *const fields[] = {
		"Content-Digest: sha-256\r\n",        "Content-Digest: sha-256=::\r\n",
		"Content-Digest: sha-256=:AAAA:\r\n", "Content-Digest: sha-256=:!!!!:\r\n",
		"Content-Digest: sha-256=abc\r\n",
	};
	struct tus_upload u;

	create_with(*state, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(fields); i++)
		assert_int_equal(patch_with(&u, 5, fields[i], (const uint8_t *)"world", 5), 400);
	assert_int_equal(tus_offset(&u), 5);
}

/* RFC 9530 lets a recipient ignore algorithms it does not support. */
static void content_digest_of_another_algorithm_is_passed_over(void **state)
{
	struct tus_upload u;

	create(*state, 5, &u);
	assert_int_equal(patch_with(&u, 0, "Content-Digest: sha-512=:AAAA:\r\n",
				    (const uint8_t *)"hello", 5),
			 204);
}

static void content_digest_and_checksum_must_both_be_right(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	char fields[500];

	create(s, 1000, &u);
	for (size_t i = 0; i < 4; i++) {
		const size_t sum = 997 + i % 2 * 3, dig = 997 + i / 2 * 3;
		int status;

		(void)snprintf(fields, sizeof(fields), "%s%s", checksum("sha1", p, sum),
			       digest_field("Content-Digest", p, dig));
		status = patch_with(&u, 0, fields, p, 1000);
		if (i == 3)
			assert_int_equal(status, 204);
		else
			assert_true((status == 460 && sum != 1000) ||
				    (status == 400 && dig != 1000));
	}
	assert_true(tus_has(&u, p, 1000));
}

static void content_digest_as_a_trailer_is_verified(void **state)
{
	static const char announced[] = "Trailer: Content-Digest\r\n";
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB + 5);
	struct tus_upload u;
	struct answer a;

	create_with(s, MB + 5, p, 5, &u);
	patch_trailed(&u, announced, p + 5, MB, digest_field("Content-Digest", p + 4, MB), &a);
	assert_mismatch(&a);
	assert_int_equal(trailed(&u, announced, p + 5, MB, ""), 400);
	assert_int_equal(trailed(&u, announced, p + 5, MB, "Content-Digest: sha-256=:AA==:\r\n"),
			 400);
	assert_int_equal(tus_offset(&u), 5);
	assert_int_equal(
		trailed(&u, announced, p + 5, MB, digest_field("Content-Digest", p + 5, MB)), 204);
	assert_true(tus_has(&u, p, MB + 5));
}

static void content_digest_as_a_trailer_that_was_not_announced_is_400(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1005);
	struct tus_upload u;

	create_with(s, 1005, p, 5, &u);
	assert_int_equal(trailed(&u, "", p + 5, 1000, digest_field("Content-Digest", p + 5, 1000)),
			 400);
	assert_int_equal(tus_offset(&u), 5);
}

/* ---- the digest of the whole ---- */

static const char *sha256_query(const uint8_t *p, size_t n)
{
	static char query[100];
	uint8_t sum[64];
	char hex[65];

	(void)digest("sha256", p, n, sum);
	hex_encode(hex, sum, 32);
	(void)snprintf(query, sizeof(query), "?sha256=%s", hex);
	return query;
}

static const char *sha256_metadata(const uint8_t *p, size_t n)
{
	static char field[200];
	char base64[BASE64_LEN(64) + 1];

	base64_encode(base64, (const uint8_t *)sha256_query(p, n) + 8, 64);
	(void)snprintf(field, sizeof(field), "Upload-Metadata: name eA==,sha256 %s\r\n", base64);
	return field;
}

/* The three places where a creation can say what the whole is to have. */
enum said { BY_FIELD, BY_QUERY, BY_METADATA, SAYINGS };

static void create_expecting(const struct test_server *s, enum said said, uint64_t length,
			     const uint8_t *p, size_t n, struct tus_upload *u)
{
	assert_int_equal(tus_post(s, said == BY_QUERY ? sha256_query(p, n) : "", length,
				  said == BY_FIELD      ? digest_field("Repr-Digest", p, n)
				  : said == BY_METADATA ? sha256_metadata(p, n)
							: "",
				  NULL, 0, u),
			 201);
}

static void whole_digest_of_a_creation_that_is_right_finishes(void **state)
{
	static const size_t lengths[] = { 1, 1000, 5 * MB };
	struct test_server *s = *state;

	for (size_t i = 0; i < COUNT(lengths) * SAYINGS; i++) {
		const size_t n = lengths[i / SAYINGS];
		const uint8_t *p = fresh(n);
		struct tus_upload u;

		create_expecting(s, (enum said)(i % SAYINGS), n, p, n, &u);
		assert_int_equal(tus_patch(&u, 0, p, n / 2), 204);
		assert_int_equal(tus_patch(&u, n / 2, p + n / 2, n - n / 2), 204);
		assert_true(tus_has(&u, p, n));
	}
}

static void whole_digest_of_a_creation_that_is_wrong_keeps_it_unfinished(void **state)
{
	struct test_server *s = *state;

	for (enum said said = BY_FIELD; said < SAYINGS; said++) {
		const uint8_t *p = fresh(1000);
		struct tus_upload u;
		struct answer a;

		create_expecting(s, said, 1000, p, 999, &u);
		assert_int_equal(tus_patch(&u, 0, p, 400), 204);
		for (int i = 0; i < 2; i++) {
			tus_patch_answer(&u, 400, "", p + 400, 600, &a);
			assert_no_field(&a, "Repr-Digest");
			assert_mismatch(&a);
			assert_true(tus_is_at(&u, 400, 1000));
		}
		server_kill(s);
		server_again(s);
		tus_patch_answer(&u, 400, "", p + 400, 600, &a);
		assert_mismatch(&a);
		assert_true(tus_is_at(&u, 400, 1000));
	}
}

/* The bytes that are there may be right, and the ones that would end it may come again. */
static void whole_digest_of_a_creation_lets_the_right_end_come_later(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	struct answer a;

	create_expecting(s, BY_FIELD, 1000, p, 1000, &u);
	assert_int_equal(tus_patch(&u, 0, p, 400), 204);
	tus_patch_answer(&u, 400, "", p, 600, &a);
	assert_mismatch(&a);
	assert_int_equal(tus_patch(&u, 400, p + 400, 600), 204);
	assert_true(tus_has(&u, p, 1000));
}

static void whole_digest_of_a_creation_with_all_bytes(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5 * MB);
	const uint64_t before = kept(s);
	struct tus_upload u;

	assert_int_equal(tus_post(s, "", 1000, digest_field("Repr-Digest", p, 999), p, 1000, NULL),
			 400);
	assert_int_equal(tus_post(s, sha256_query(p, 999), 1000, "", p, 1000, NULL), 400);
	assert_int_equal(
		tus_post(s, "", 5 * MB, digest_field("Repr-Digest", p, 5), p, 5 * MB, NULL), 400);
	assert_int_equal(tus_post(s, "", 0, digest_field("Repr-Digest", p, 1), NULL, 0, NULL), 400);
	assert_int_equal(kept(s), before);
	assert_int_equal(
		tus_post(s, "", 5 * MB, digest_field("Repr-Digest", p, 5 * MB), p, 5 * MB, &u),
		201);
	assert_true(tus_has(&u, p, 5 * MB));
	assert_int_equal(tus_post(s, "", 0, digest_field("Repr-Digest", p, 0), NULL, 0, &u), 201);
	assert_true(tus_has(&u, NULL, 0));
}

static void whole_digest_out_of_shape_at_creation_is_400_and_creates_nothing(void **state)
{
	static const char *const fields[] = {
		"Repr-Digest: sha-256\r\n",
		"Repr-Digest: sha-256=:AAAA:\r\n",
		"Repr-Digest: sha-256=abc\r\n",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char query[100];

	for (size_t i = 0; i < COUNT(fields); i++)
		assert_int_equal(tus_create(s, 10, fields[i], NULL), 400);
	(void)snprintf(query, sizeof(query), "%.71s", sha256_query(bytes, 10));
	assert_int_equal(tus_post(s, query, 10, "", NULL, 0, NULL), 400);
	assert_int_equal(kept(s), before);
}

static void whole_digests_of_a_creation_must_agree(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const uint64_t before = kept(s);

	assert_int_equal(tus_post(s, sha256_query(p, 999), 1000,
				  digest_field("Repr-Digest", p, 1000), NULL, 0, NULL),
			 400);
	assert_int_equal(kept(s), before);
	assert_int_equal(tus_post(s, sha256_query(p, 1000), 1000,
				  digest_field("Repr-Digest", p, 1000), NULL, 0, NULL),
			 201);
}

static void whole_digest_with_the_last_patch(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	struct answer a;

	create_with(s, 1000, p, 400, &u);
	tus_patch_answer(&u, 400, digest_field("Repr-Digest", p, 999), p + 400, 600, &a);
	assert_mismatch(&a);
	assert_true(tus_is_at(&u, 400, 1000));
	assert_int_equal(patch_with(&u, 400, "Repr-Digest: sha-256=:AAAA:\r\n", p + 400, 600), 400);
	assert_true(tus_is_at(&u, 400, 1000));
	assert_int_equal(patch_with(&u, 400, digest_field("Repr-Digest", p, 1000), p + 400, 600),
			 204);
	assert_true(tus_has(&u, p, 1000));
}

/* A PATCH at offset 400 with this query. */
static void patch_query(const struct tus_upload *u, const char *query, const uint8_t *p, size_t n,
			struct answer *a)
{
	struct tus_upload asked = *u;

	(void)snprintf(asked.path, sizeof(asked.path), "%.63s", u->path);
	strcat(asked.path, query);
	tus_patch_answer(&asked, 400, "", p, n, a);
}

static void whole_digest_in_the_query_of_the_last_patch(void **state)
{
	static const char *const queries[] = { "?sha256=", "?sha256=abc", "?ttl=60", "?sha256",
					       "?x=y" };
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	struct answer a;

	create_with(s, 1000, p, 400, &u);
	for (size_t i = 0; i < COUNT(queries); i++) {
		patch_query(&u, queries[i], p + 400, 600, &a);
		assert_problem(&a, 400);
	}
	patch_query(&u, sha256_query(p, 999), p + 400, 600, &a);
	assert_mismatch(&a);
	assert_true(tus_is_at(&u, 400, 1000));
	patch_query(&u, sha256_query(p, 1000), p + 400, 600, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_true(tus_has(&u, p, 1000));
}

static void whole_digest_with_the_last_patch_in_chunks(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5 * MB);
	struct tus_upload u;
	char fields[500];

	create_with(s, 5 * MB, p, 400, &u);
	for (int right = 0; right < 2; right++) {
		struct client *c;

		(void)snprintf(fields, sizeof(fields), TUS_CHUNKED "%s",
			       digest_field("Repr-Digest", p, right ? 5 * MB : 5));
		c = tus_begin(&u, 400, fields);
		assert_true(client_chunk(c, p + 400, 5 * MB - 400));
		assert_true(client_chunk(c, NULL, 0));
		assert_int_equal(tus_end(c), right ? 204 : 400);
		assert_true(tus_is_at(&u, right ? 5 * MB : 400, 5 * MB));
	}
	assert_true(tus_has(&u, p, 5 * MB));
}

static void whole_digest_is_told_when_it_is_finished_however_it_came(void **state)
{
	static const size_t pieces[] = { 1, 262143, 70001, 300000, 5, 64 };
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB);
	char want[TUS_DIGEST_SIZE];
	size_t at = 0;
	struct tus_upload u;
	struct answer a;

	tus_digest(want, p, MB);
	create(s, MB, &u);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		tus_patch_answer(&u, at, "", p + at, pieces[i], &a);
		assert_status(&a, 204);
		assert_no_field(&a, "Repr-Digest");
		answer_free(&a);
		at += pieces[i];
		if (i == 2) { /* the hash goes on where it was */
			server_kill(s);
			server_again(s);
		}
	}
	tus_patch_answer(&u, at, "", p + at, MB - at, &a);
	assert_status(&a, 204);
	assert_field(&a, "Repr-Digest", want);
	answer_free(&a);
	tus_head(&u, &a);
	assert_field(&a, "Repr-Digest", want);
	answer_free(&a);
	assert_true(tus_has(&u, p, MB));
}

/* A digest of what a request brought is right, that of the whole is not, and the other way round.
 */
static void whole_digest_and_checksum_are_two_things(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	struct answer a;

	create_expecting(s, BY_FIELD, 1000, p, 999, &u);
	assert_int_equal(tus_patch(&u, 0, p, 400), 204);
	tus_patch_answer(&u, 400, checksum("sha1", p + 400, 600), p + 400, 600, &a);
	assert_mismatch(&a);
	assert_int_equal(tus_offset(&u), 400);

	create_expecting(s, BY_FIELD, 1000, p, 1000, &u);
	assert_int_equal(tus_patch(&u, 0, p, 400), 204);
	assert_int_equal(patch_with(&u, 400, checksum("sha1", p, 600), p + 400, 600), 460);
	assert_int_equal(tus_offset(&u), 400);
	assert_int_equal(patch_with(&u, 400, checksum("sha1", p + 400, 600), p + 400, 600), 204);
	assert_true(tus_has(&u, p, 1000));
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(t_checksum_the_example_of_the_specification_is_taken),
		cmocka_unit_test(t_checksum_crc32c_is_four_bytes_big_endian),
		cmocka_unit_test(t_checksum_every_algorithm_is_taken_when_it_is_right),
		cmocka_unit_test(t_checksum_trap5_a_mismatch_is_460_and_the_offset_stays),
		cmocka_unit_test(t_checksum_every_byte_counts),
		cmocka_unit_test(t_checksum_is_of_one_request_and_not_of_the_whole),
		cmocka_unit_test(t_checksum_of_no_bytes),
		cmocka_unit_test(t_checksum_of_a_chunked_body),
		cmocka_unit_test(t_checksum_of_an_unsupported_algorithm_or_out_of_shape_is_400),
		cmocka_unit_test(t_checksum_that_is_unsupported_is_refused_before_the_body),
		cmocka_unit_test(t_checksum_of_the_first_bytes_of_a_creation),
		cmocka_unit_test(t_checksum_mismatches_give_their_room_back),
		cmocka_unit_test(t_checksum_of_a_request_that_is_broken_off_leaves_nothing),
		cmocka_unit_test(t_checksum_trailer_that_never_comes_leaves_nothing),
		cmocka_unit_test(t_checksum_trailer_of_every_algorithm_is_taken_when_it_is_right),
		cmocka_unit_test(t_checksum_trailer_trap5_a_mismatch_is_460_and_the_offset_stays),
		cmocka_unit_test(
			t_checksum_trailer_that_was_not_announced_is_400_and_nothing_is_kept),
		cmocka_unit_test(t_checksum_trailer_that_was_announced_and_is_missing_is_400),
		cmocka_unit_test(t_checksum_trailer_without_chunks_is_400),
		cmocka_unit_test(
			t_checksum_trailer_of_an_unsupported_algorithm_or_out_of_shape_is_400),
		cmocka_unit_test(t_checksum_trailer_with_the_first_bytes_of_a_creation),
		cmocka_unit_test(content_digest_is_taken_when_it_is_right),
		cmocka_unit_test(content_digest_that_is_wrong_is_400_and_the_offset_stays),
		cmocka_unit_test(content_digest_out_of_shape_is_400),
		cmocka_unit_test(content_digest_of_another_algorithm_is_passed_over),
		cmocka_unit_test(content_digest_and_checksum_must_both_be_right),
		cmocka_unit_test(content_digest_as_a_trailer_is_verified),
		cmocka_unit_test(content_digest_as_a_trailer_that_was_not_announced_is_400),
		cmocka_unit_test(whole_digest_of_a_creation_that_is_right_finishes),
		cmocka_unit_test(whole_digest_of_a_creation_that_is_wrong_keeps_it_unfinished),
		cmocka_unit_test(whole_digest_of_a_creation_lets_the_right_end_come_later),
		cmocka_unit_test(whole_digest_of_a_creation_with_all_bytes),
		cmocka_unit_test(whole_digest_out_of_shape_at_creation_is_400_and_creates_nothing),
		cmocka_unit_test(whole_digests_of_a_creation_must_agree),
		cmocka_unit_test(whole_digest_with_the_last_patch),
		cmocka_unit_test(whole_digest_in_the_query_of_the_last_patch),
		cmocka_unit_test(whole_digest_with_the_last_patch_in_chunks),
		cmocka_unit_test(whole_digest_is_told_when_it_is_finished_however_it_came),
		cmocka_unit_test(whole_digest_and_checksum_are_two_things),
	};
	const struct CMUnitTest segments[] = {
		cmocka_unit_test(t_checksum_every_algorithm_is_taken_when_it_is_right),
		cmocka_unit_test(t_checksum_trap5_a_mismatch_is_460_and_the_offset_stays),
		cmocka_unit_test(t_checksum_mismatches_give_their_room_back),
		cmocka_unit_test(t_checksum_of_a_request_that_is_broken_off_leaves_nothing),
		cmocka_unit_test(t_checksum_trailer_trap5_a_mismatch_is_460_and_the_offset_stays),
		cmocka_unit_test(content_digest_that_is_wrong_is_400_and_the_offset_stays),
		cmocka_unit_test(whole_digest_with_the_last_patch_in_chunks),
	};
	int failed;

	failed = cmocka_run_group_tests_name("checksum", plain, start_plain, stop);
	return failed + cmocka_run_group_tests_name("checksum, segments", segments,
						    start_small_segments, stop);
}
