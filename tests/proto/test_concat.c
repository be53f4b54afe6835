/* concat - uploads that are put together from others by the server: concatenation and
 * concatenation-unfinished of tus 1.0.0. Names begin as in test_tus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "storage/chunk.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define MB ((size_t)1 << 20)
#define DAY 86400
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#ifdef __SANITIZE_THREAD__
#define PARTS_MAX 50 /* each is locked, and the sanitizer knows 64 locks a thread at most */
#else
#define PARTS_MAX 100 /* of them, the paths fit into the head of a request */
#endif
#define PARTIAL "Upload-Concat: partial\r\n"
#define CONCAT_SIZE (PARTS_MAX * 70)

static uint8_t bytes[48 * MB];

/* Other ciphertext on every call. */
static uint8_t *fresh(size_t n)
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

/* Every byte comes from the store, and most parts are segments. */
static int start_segments(void **state)
{
	return start(state, "fetch { cache = 0 }\n"
			    "store { segment_threshold = 64kb; segment_size = 1mb }\n");
}

static int start_small(void **state)
{
	return start(state, "upload { max = 1mb }\n");
}

static int start_brief_and_swept(void **state)
{
	return start(state, "upload { ttl_unfinished = 3s }\nexpiry { interval = 1s }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

/* ---- parts and finals ---- */

static void begin_part(const struct test_server *s, uint64_t length, struct tus_upload *part)
{
	assert_int_equal(tus_create(s, length, PARTIAL, part), 201);
}

static void make_part(const struct test_server *s, const uint8_t *p, size_t n,
		      struct tus_upload *part)
{
	assert_int_equal(tus_place(s, PARTIAL, p, n, part), 204);
}

/* Cuts p[0..n) into parts of these sizes. */
static void make_parts(const struct test_server *s, const uint8_t *p, const size_t *sizes,
		       size_t count, struct tus_upload *parts)
{
	for (size_t i = 0; i < count; p += sizes[i++])
		make_part(s, p, sizes[i], &parts[i]);
}

/* "final;" and the paths of these uploads, in this order. */
static void name_parts(char out[static CONCAT_SIZE], const struct tus_upload *const *parts,
		       size_t count)
{
	size_t at = (size_t)snprintf(out, CONCAT_SIZE, "final;");

	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(out + at, CONCAT_SIZE - at, "%s%s", i == 0 ? "" : " ",
				       parts[i]->path);
}

static void ask_final(const struct test_server *s, const char *concat, const char *fields,
		      struct answer *a)
{
	char all[9000];

	(void)snprintf(all, sizeof(all), "Upload-Concat: %s\r\n%s", concat, fields);
	tus_request(s, "POST", "/v1/uploads", all, NULL, 0, a);
}

static int make_final(const struct test_server *s, const char *concat, const char *fields,
		      struct tus_upload *final)
{
	struct answer a;
	int status;

	ask_final(s, concat, fields, &a);
	status = a.status;
	if (status >= 400)
		assert_true(answer_is_problem(&a, status));
	if (final != NULL)
		tus_learn(s, &a, final);
	answer_free(&a);
	return status;
}

static void join(const struct test_server *s, const struct tus_upload *const *parts, size_t count,
		 struct tus_upload *final)
{
	char concat[CONCAT_SIZE];

	name_parts(concat, parts, count);
	assert_int_equal(make_final(s, concat, "", final), 201);
}

static void join_all(const struct test_server *s, const struct tus_upload *parts, size_t count,
		     struct tus_upload *final)
{
	const struct tus_upload *each[PARTS_MAX];

	for (size_t i = 0; i < count; i++)
		each[i] = &parts[i];
	join(s, each, count, final);
}

static uint64_t kept(struct test_server *s)
{
	return server_metric(s, "restante_store_commits_total");
}

/* A final that waits: created, and nothing is told that is not known. */
static void assert_waits(const struct tus_upload *final)
{
	struct answer a;

	tus_head(final, &a);
	assert_status(&a, 200);
	assert_no_field(&a, "Upload-Offset");
	assert_no_field(&a, "Upload-Length");
	assert_no_field(&a, "Repr-Digest");
	assert_field(&a, "Cache-Control", "no-store");
	answer_free(&a);
}

/* ---- concatenation ---- */

static void t_concatenation_parts_become_one_upload(void **state)
{
	static const size_t sizes[] = { 5, 1000, 1 };
	struct test_server *s = *state;
	const uint8_t *p = fresh(1006);
	char concat[CONCAT_SIZE], digest[TUS_DIGEST_SIZE];
	struct tus_upload parts[3], final;
	struct answer a;

	make_parts(s, p, sizes, 3, parts);
	name_parts(concat, (const struct tus_upload *[]){ &parts[0], &parts[1], &parts[2] }, 3);
	ask_final(s, concat, "", &a);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Offset", "1006");
	tus_digest(digest, p, 1006);
	assert_field(&a, "Repr-Digest", digest);
	assert_field(&a, "Cache-Control", "no-store");
	assert_in_range(answer_life(&a), 30 * DAY - 2, 30 * DAY);
	assert_int_equal(a.body_len, 0);
	tus_learn(s, &a, &final);
	answer_free(&a);
	assert_int_equal(strlen(final.path), 12 + 51);
	assert_int_equal(strlen(final.token), 51);
	assert_int_equal(strlen(final.manage), 51);
	assert_true(tus_is_at(&final, 1006, 1006));
	assert_true(tus_has(&final, p, 1006));
}

static void t_concatenation_a_part_has_no_tokens_of_its_own(void **state)
{
	static const char *const fields[] = { "Media-Token", "Media-Manage-Token" };
	struct test_server *s = *state;
	struct tus_upload part;
	struct answer a;

	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 10\r\n" PARTIAL, NULL, 0, &a);
	assert_status(&a, 201);
	assert_no_field(&a, fields[0]);
	assert_no_field(&a, fields[1]);
	tus_learn(s, &a, &part);
	answer_free(&a);
	tus_patch_answer(&part, 0, "", "helloworld", 10, &a);
	assert_status(&a, 204);
	assert_no_field(&a, fields[0]);
	assert_no_field(&a, fields[1]);
	answer_free(&a);
	tus_head(&part, &a);
	assert_status(&a, 200);
	assert_no_field(&a, fields[0]);
	assert_no_field(&a, fields[1]);
	answer_free(&a);
}

static void t_concatenation_a_part_is_an_upload_as_any_other(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload part, other;
	struct answer a;

	begin_part(s, 100, &part);
	assert_true(tus_is_at(&part, 0, 100));
	assert_int_equal(tus_patch(&part, 0, p, 40), 204);
	assert_int_equal(tus_patch(&part, 0, p, 40), 409);
	tus_patch_answer(&part, 40, "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
			 p + 40, 60, &a);
	assert_problem(&a, 460);
	assert_int_equal(tus_patch(&part, 40, p + 40, 60), 204);
	assert_true(tus_is_at(&part, 100, 100));
	assert_int_equal(tus_post(s, "", 100, PARTIAL, p, 100, &other), 201);
	assert_int_equal(other.offset, 100);
	assert_int_equal(tus_delete(&part), 204);
	assert_tells_nothing(&part, 404);
}

static void t_concatenation_trap16_trap17_head_echoes_upload_concat_as_it_was_received(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[2], final;
	char concat[400];
	struct answer a;

	make_part(s, (const uint8_t *)"hello", 5, &parts[0]);
	make_part(s, (const uint8_t *)"world", 5, &parts[1]);
	tus_head(&parts[0], &a);
	assert_field(&a, "Upload-Concat", "partial");
	answer_free(&a);
	for (int i = 0; i < 4; i++) {
		static const char *const shapes[] = { "final;%s %s", "final;%s http://any.host%s",
						      "final;https://any.host:8443%s %s",
						      "final;http://[::1]:80%s HTTP://a%s" };

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(concat, sizeof(concat), shapes[i], parts[0].path, parts[1].path);
#pragma GCC diagnostic pop
		assert_int_equal(make_final(s, concat, "", &final), 201);
		assert_true(tus_has(&final, "helloworld", 10));
		tus_head(&final, &a);
		assert_field(&a, "Upload-Concat", concat);
		answer_free(&a);
	}
	server_kill(s);
	server_again(s);
	tus_head(&final, &a);
	assert_field(&a, "Upload-Concat", concat);
	answer_free(&a);
	tus_head(&parts[0], &a);
	assert_field(&a, "Upload-Concat", "partial");
	answer_free(&a);
}

static void t_concatenation_a_long_upload_concat_is_told_whole(void **state)
{
	static char concat[CONCAT_SIZE], cookie[3100];
	struct test_server *s = *state;
	struct tus_upload part, final;
	struct answer a;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	for (size_t i = 0, at = 0; i < PARTS_MAX; i++)
		at += (size_t)snprintf(concat + at, sizeof(concat) - at, "%s%s",
				       i == 0 ? "final;" : " ", part.path);
	assert_int_equal(make_final(s, concat, "", &final), 201);
	(void)snprintf(cookie, sizeof(cookie), "Cookie: %03000d\r\n", 0);
	for (int i = 0; i < 2; i++) {
		tus_ask(&final, "HEAD", i == 0 ? "" : cookie, NULL, 0, &a);
		assert_status(&a, 200);
		assert_field(&a, "Upload-Concat", concat);
		assert_field(&a, "Upload-Offset", PARTS_MAX == 100 ? "500" : "250");
		answer_free(&a);
	}
}

static void t_concatenation_of_no_part_there_is_no_upload_concat(void **state)
{
	struct tus_upload u;
	struct answer a;

	assert_int_equal(tus_create(*state, 5, "", &u), 201);
	tus_head(&u, &a);
	assert_no_field(&a, "Upload-Concat");
	answer_free(&a);
}

static void t_concatenation_the_order_counts(void **state)
{
	struct test_server *s = *state;
	struct tus_upload a, b, c, final;

	make_part(s, (const uint8_t *)"one ", 4, &a);
	make_part(s, (const uint8_t *)"two ", 4, &b);
	make_part(s, (const uint8_t *)"three ", 6, &c);
	join(s, (const struct tus_upload *[]){ &c, &a, &b }, 3, &final);
	assert_true(tus_has(&final, "three one two ", 14));
	join(s, (const struct tus_upload *[]){ &b, &c, &a }, 3, &final);
	assert_true(tus_has(&final, "two three one ", 14));
}

static void t_concatenation_a_part_may_come_several_times_and_in_several_finals(void **state)
{
	struct test_server *s = *state;
	struct tus_upload a, b, twice, thrice, alone;

	make_part(s, (const uint8_t *)"ab", 2, &a);
	make_part(s, (const uint8_t *)"-", 1, &b);
	join(s, (const struct tus_upload *[]){ &a, &a }, 2, &twice);
	join(s, (const struct tus_upload *[]){ &a, &b, &a, &b, &a }, 5, &thrice);
	join(s, (const struct tus_upload *[]){ &a }, 1, &alone);
	assert_true(tus_has(&twice, "abab", 4));
	assert_true(tus_has(&thrice, "ab-ab-ab", 8));
	assert_true(tus_has(&alone, "ab", 2));
	assert_true(tus_is_at(&thrice, 8, 8));
}

static void t_concatenation_of_empty_parts(void **state)
{
	struct test_server *s = *state;
	struct tus_upload empty, some, final;

	assert_int_equal(tus_create(s, 0, PARTIAL, &empty), 201);
	make_part(s, (const uint8_t *)"some", 4, &some);
	join(s, (const struct tus_upload *[]){ &empty, &some, &empty }, 3, &final);
	assert_true(tus_has(&final, "some", 4));
	join(s, (const struct tus_upload *[]){ &empty, &empty }, 2, &final);
	assert_true(tus_has(&final, NULL, 0));
	assert_true(tus_is_at(&final, 0, 0));
}

static void t_concatenation_of_many_parts(void **state)
{
	static struct tus_upload parts[PARTS_MAX];
	struct test_server *s = *state;
	size_t sizes[PARTS_MAX], total = 0;
	const uint8_t *p;
	struct tus_upload final;

	for (size_t i = 0; i < PARTS_MAX; i++) {
		sizes[i] = i * 37 % 1009 * (i % 10 == 0 ? 101 : 1);
		total += sizes[i];
	}
	p = fresh(total);
	make_parts(s, p, sizes, PARTS_MAX, parts);
	join_all(s, parts, PARTS_MAX, &final);
	assert_true(tus_is_at(&final, total, total));
	assert_true(tus_has(&final, p, total));
	server_kill(s);
	server_again(s);
	assert_true(tus_has(&final, p, total));
}

/* Long and short ones in turn: what is laid down as rows, and what as segments. */
static const size_t mixed[] = { 1000, 6 * MB + 17, 1, 262144, 5 * MB, 262143, 0, 700001, 262145 };
#define MIXED_TOTAL (1000 + 6 * MB + 17 + 1 + 262144 + 5 * MB + 262143 + 700001 + 262145)

static void t_concatenation_of_long_and_short_parts(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MIXED_TOTAL);
	struct tus_upload parts[COUNT(mixed)], final, again;

	make_parts(s, p, mixed, COUNT(mixed), parts);
	join_all(s, parts, COUNT(mixed), &final);
	assert_true(tus_has(&final, p, MIXED_TOTAL));
	server_kill(s);
	server_again(s);
	assert_true(tus_has(&final, p, MIXED_TOTAL));
	join_all(s, parts, COUNT(mixed), &again);
	assert_true(tus_has(&again, p, MIXED_TOTAL));
}

static void t_concatenation_what_was_uploaded_in_one_piece_before_is_found_again(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2 * MB);
	struct tus_upload parts[2], final;
	struct placed whole;

	assert_int_equal(http_place(s->port, "", p, 2 * MB, &whole), 201);
	make_part(s, p, MB, &parts[0]);
	make_part(s, p + MB, MB, &parts[1]);
	join_all(s, parts, 2, &final);
	assert_true(tus_has(&final, p, 2 * MB));
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", whole.manage), 204);
	assert_true(tus_has(&final, p, 2 * MB));
	assert_int_equal(http_place(s->port, "", p, 2 * MB, &whole), 201);
	assert_int_equal(tus_delete(&final), 204);
	assert_true(http_has(s->port, whole.token, p, 2 * MB));
}

/* ---- what a final is ---- */

static void t_concatenation_metadata_is_not_inherited(void **state)
{
	static const char own[] = "filename Ym90aA==";
	struct test_server *s = *state;
	struct tus_upload parts[2], final;
	char concat[CONCAT_SIZE];
	struct answer a;

	for (int i = 0; i < 2; i++)
		assert_int_equal(tus_place(s, PARTIAL "Upload-Metadata: filename cGFydA==\r\n",
					   "hello", 5, &parts[i]),
				 204);
	name_parts(concat, (const struct tus_upload *[]){ &parts[0], &parts[1] }, 2);
	assert_int_equal(make_final(s, concat, "", &final), 201);
	tus_head(&final, &a);
	assert_no_field(&a, "Upload-Metadata");
	answer_free(&a);
	assert_int_equal(make_final(s, concat, "Upload-Metadata: filename Ym90aA==\r\n", &final),
			 201);
	tus_head(&final, &a);
	assert_field(&a, "Upload-Metadata", own);
	answer_free(&a);
}

static void t_concatenation_a_final_has_a_life_of_its_own(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part;
	char concat[CONCAT_SIZE], fields[CONCAT_SIZE + 100];
	struct answer a;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	name_parts(concat, (const struct tus_upload *[]){ &part }, 1);
	(void)snprintf(fields, sizeof(fields), "Upload-Concat: %s\r\n", concat);
	tus_request(s, "POST", "/v1/uploads?ttl=2h", fields, NULL, 0, &a);
	assert_status(&a, 201);
	assert_in_range(answer_life(&a), 7198, 7200);
	answer_free(&a);
	ask_final(s, concat, "Upload-Metadata: ttl M2g=\r\n", &a);
	assert_status(&a, 201);
	assert_in_range(answer_life(&a), 10798, 10800);
	answer_free(&a);
	assert_int_equal(make_final(s, concat, "Upload-Metadata: ttl eA==\r\n", NULL), 400);
}

static void assert_not_patched(const struct tus_upload *final)
{
	static const uint64_t offsets[] = { 0, 5, 10, 11 };
	struct answer a;

	for (size_t i = 0; i < COUNT(offsets); i++) {
		tus_patch_answer(final, offsets[i], "", "WRONG", 5, &a);
		assert_problem(&a, 403);
		tus_patch_answer(final, offsets[i], "", NULL, 0, &a);
		assert_problem(&a, 403);
	}
	tus_patch_answer(final, 0, "Upload-Length: 5\r\n", "WRONG", 5, &a);
	assert_problem(&a, 403);
}

static void t_concatenation_a_patch_on_a_final_is_403_and_changes_nothing(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[2], final;

	make_part(s, (const uint8_t *)"hello", 5, &parts[0]);
	begin_part(s, 5, &parts[1]);
	join_all(s, parts, 2, &final);
	assert_not_patched(&final);
	assert_waits(&final);
	assert_int_equal(tus_patch(&parts[1], 0, "world", 5), 204);
	assert_true(tus_reaches(&final, 10, 5000));
	assert_not_patched(&final);
	assert_true(tus_is_at(&final, 10, 10));
	assert_true(tus_has(&final, "helloworld", 10));
}

static void t_concatenation_a_final_with_a_length_is_400(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part;
	char concat[CONCAT_SIZE];
	uint64_t before;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	name_parts(concat, (const struct tus_upload *[]){ &part }, 1);
	before = kept(s);
	assert_int_equal(make_final(s, concat, "Upload-Length: 5\r\n", NULL), 400);
	assert_int_equal(make_final(s, concat, "Upload-Length: 0\r\n", NULL), 400);
	assert_int_equal(make_final(s, concat, "Upload-Defer-Length: 1\r\n", NULL), 400);
	assert_int_equal(kept(s), before);
}

/* All its bytes are those of its parts: others it cannot have. */
static void t_concatenation_a_final_with_bytes_of_its_own_is_refused(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part;
	char concat[CONCAT_SIZE], fields[CONCAT_SIZE + 100];
	struct answer a;
	uint64_t before;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	name_parts(concat, (const struct tus_upload *[]){ &part }, 1);
	(void)snprintf(fields, sizeof(fields),
		       "Upload-Concat: %s\r\n"
		       "Content-Type: application/offset+octet-stream\r\n",
		       concat);
	before = kept(s);
	tus_request(s, "POST", "/v1/uploads", fields, "WRONG", 5, &a);
	assert_in_range(a.status, 400, 415);
	assert_no_field(&a, "Location");
	answer_free(&a);
	assert_int_equal(kept(s), before);
}

static void t_concatenation_a_final_longer_than_the_largest_is_413(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB);
	struct tus_upload half, large, final;
	char concat[CONCAT_SIZE];

	make_part(s, p, MB / 2, &half);
	make_part(s, p, MB / 2 + 1, &large);
	join(s, (const struct tus_upload *[]){ &half, &half }, 2, &final);
	assert_true(tus_is_at(&final, MB, MB));
	name_parts(concat, (const struct tus_upload *[]){ &half, &large }, 2);
	assert_int_equal(make_final(s, concat, "", NULL), 413);
}

static void t_concatenation_the_whole_can_be_checked(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[2], final;
	char concat[CONCAT_SIZE], digest[TUS_DIGEST_SIZE], field[200], type[64];
	struct answer a;
	uint64_t before;

	make_part(s, (const uint8_t *)"hello", 5, &parts[0]);
	make_part(s, (const uint8_t *)"world", 5, &parts[1]);
	name_parts(concat, (const struct tus_upload *[]){ &parts[0], &parts[1] }, 2);
	before = kept(s);
	tus_digest(digest, "worldhello", 10);
	(void)snprintf(field, sizeof(field), "Repr-Digest: %s\r\n", digest);
	ask_final(s, concat, field, &a);
	(void)answer_json(&a, "type", type, sizeof(type));
	assert_string_equal(type, "urn:restante:problem:digest-mismatch");
	assert_no_field(&a, "Location");
	assert_problem(&a, 400);
	assert_int_equal(kept(s), before);
	tus_digest(digest, "helloworld", 10);
	(void)snprintf(field, sizeof(field), "Repr-Digest: %s\r\n", digest);
	assert_int_equal(make_final(s, concat, field, &final), 201);
	assert_true(tus_has(&final, "helloworld", 10));
}

/* ---- what a part is not ---- */

static void t_concatenation_uploads_of_another_shape_are_no_parts(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, plain, begun, deleted, final, forged, tokens;
	const struct tus_upload *const wrong[] = { &plain, &begun,  &deleted,
						   &final, &forged, &tokens };
	char concat[CONCAT_SIZE];
	uint64_t before;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	assert_int_equal(tus_place(s, "", "hello", 5, &plain), 204);
	assert_int_equal(tus_create(s, 5, "", &begun), 201);
	make_part(s, (const uint8_t *)"hello", 5, &deleted);
	assert_int_equal(tus_delete(&deleted), 204);
	join(s, (const struct tus_upload *[]){ &part }, 1, &final);
	forged = part;
	forged.path[40] = forged.path[40] == 'A' ? 'B' : 'A';
	tokens = part;
	(void)snprintf(tokens.path, sizeof(tokens.path), "/v1/uploads/%s", plain.token);
	before = kept(s);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		name_parts(concat, (const struct tus_upload *[]){ &part, wrong[i] }, 2);
		if (make_final(s, concat, "", NULL) != 400)
			fail_msg("part %zu", i);
		name_parts(concat, (const struct tus_upload *[]){ wrong[i] }, 1);
		assert_int_equal(make_final(s, concat, "", NULL), 400);
	}
	assert_int_equal(kept(s), before);
}

static void t_concatenation_a_field_out_of_shape_is_400_and_creates_nothing(void **state)
{
	static const char *const shapes[] = {
		"final",
		"final;",
		"final; ",
		"final;;",
		"partial;",
		"partially",
		"Partial",
		"FINAL;%s",
		"final:%s",
		"final;%s;",
		"final;%s,%s",
		"final;/v1/media/x",
		"final;/%s",
		"final;%s/x",
		"final;%s?x=1",
		"final;%s#x",
		"final;ftp://host%s",
		"final;//host",
		"final;http://",
		"final;x",
		"final,%s",
		"",
		"final;%s\t%s",
	};
	struct test_server *s = *state;
	struct tus_upload part;
	char concat[400], fields[500];
	uint64_t before;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	before = kept(s);
	for (size_t i = 0; i < COUNT(shapes); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(concat, sizeof(concat), shapes[i], part.path, part.path);
#pragma GCC diagnostic pop
		if (make_final(s, concat, "", NULL) != 400)
			fail_msg("Upload-Concat: %s", shapes[i]);
	}
	(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s\r\n", part.path);
	assert_int_equal(make_final(s, "partial", fields, NULL), 400);
	(void)snprintf(concat, sizeof(concat), "final;%s", part.path);
	assert_int_equal(make_final(s, concat, fields, NULL), 400);
	assert_int_equal(tus_create(s, 5, PARTIAL PARTIAL, NULL), 400);
	assert_int_equal(kept(s), before);
}

static void t_concatenation_what_has_expired_is_no_part(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part;
	char concat[CONCAT_SIZE];

	make_part(s, (const uint8_t *)"hello", 5, &part);
	name_parts(concat, (const struct tus_upload *[]){ &part }, 1);
	assert_int_equal(make_final(s, concat, "", NULL), 201);
	assert_true(tus_becomes(&part, 410, 8000));
	assert_int_equal(make_final(s, concat, "", NULL), 400);
}

/* ---- who goes first ---- */

static void t_concatenation_parts_may_go_and_the_final_stays(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MIXED_TOTAL);
	struct tus_upload parts[COUNT(mixed)], final;

	make_parts(s, p, mixed, COUNT(mixed), parts);
	join_all(s, parts, COUNT(mixed), &final);
	for (size_t i = 0; i < COUNT(mixed); i++) {
		assert_int_equal(tus_delete(&parts[i]), 204);
		assert_tells_nothing(&parts[i], 404);
	}
	assert_true(tus_has(&final, p, MIXED_TOTAL));
	server_kill(s);
	server_again(s);
	assert_true(tus_has(&final, p, MIXED_TOTAL));
	assert_true(tus_is_at(&final, MIXED_TOTAL, MIXED_TOTAL));
}

static void t_concatenation_a_final_may_go_and_parts_and_other_finals_stay(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MIXED_TOTAL);
	struct tus_upload parts[COUNT(mixed)], final, other, later;

	make_parts(s, p, mixed, COUNT(mixed), parts);
	join_all(s, parts, COUNT(mixed), &final);
	join_all(s, parts, COUNT(mixed) - 1, &other);
	assert_int_equal(tus_delete(&final), 204);
	assert_tells_nothing(&final, 404);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", final.token), 404);
	assert_true(tus_has(&other, p, MIXED_TOTAL - mixed[COUNT(mixed) - 1]));
	for (size_t i = 0; i < COUNT(mixed); i++)
		assert_true(tus_is_at(&parts[i], mixed[i], mixed[i]));
	server_kill(s);
	server_again(s);
	assert_true(tus_has(&other, p, MIXED_TOTAL - mixed[COUNT(mixed) - 1]));
	join_all(s, parts, COUNT(mixed), &later);
	assert_true(tus_has(&later, p, MIXED_TOTAL));
}

static void t_concatenation_the_manage_token_of_a_final_deletes_it(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, final;

	make_part(s, (const uint8_t *)"hello", 5, &part);
	join(s, (const struct tus_upload *[]){ &part, &part }, 2, &final);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", final.manage), 204);
	assert_tells_nothing(&final, 404);
	assert_true(tus_is_at(&part, 5, 5));
}

/* A part is kept as long as an unfinished upload is; a final as long as any other upload. */
static void t_concatenation_parts_expire_and_the_final_stays(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(6 * MB);
	const uint64_t expired = server_metric(s, "restante_uploads_expired_total");
	struct tus_upload parts[2], final;

	make_part(s, p, 5 * MB, &parts[0]);
	make_part(s, p + 5 * MB, MB, &parts[1]);
	join_all(s, parts, 2, &final);
	for (int i = 0; i < 100 && server_metric(s, "restante_uploads_expired_total") < expired + 2;
	     i++)
		client_nap(100);
	assert_true(tus_becomes(&parts[0], 410, 5000));
	assert_true(tus_becomes(&parts[1], 410, 5000));
	assert_tells_nothing(&parts[0], 410);
	assert_tells_nothing(&parts[1], 410);
	assert_true(tus_has(&final, p, 6 * MB));
	assert_true(tus_is_at(&final, 6 * MB, 6 * MB));
}

/* A part that goes on slowly keeps what waits for it, and what that needs beside it. */
static void t_concatenation_unfinished_a_final_outlives_the_wait_for_a_slow_part(void **state)
{
	struct test_server *s = *state;
	struct tus_upload done, slow, final;

	make_part(s, (const uint8_t *)"done-", 5, &done);
	begin_part(s, 16, &slow);
	join(s, (const struct tus_upload *[]){ &done, &slow }, 2, &final);
	for (uint64_t i = 0; i < 15; i++) { /* more than twice as long as either is kept alone */
		client_nap(500);
		assert_int_equal(tus_patch(&slow, i, &"0123456789abcdef"[i], 1), 204);
		assert_waits(&final);
	}
	assert_int_equal(tus_patch(&slow, 15, "f", 1), 204);
	assert_true(tus_reaches(&final, 21, 5000));
	assert_true(tus_has(&final, "done-0123456789abcdef", 21));
}

/* Without its part it can never be put together. */
static void t_concatenation_unfinished_a_final_goes_with_a_part_that_expires(void **state)
{
	struct test_server *s = *state;
	struct tus_upload done, late, final;

	make_part(s, (const uint8_t *)"done-", 5, &done);
	begin_part(s, 5, &late);
	join(s, (const struct tus_upload *[]){ &done, &late }, 2, &final);
	assert_true(tus_becomes(&late, 410, 8000));
	assert_true(tus_becomes(&final, 410, 8000));
	assert_tells_nothing(&final, 410);
	assert_tells_nothing(&late, 410);
}

/* ---- room on the disk ---- */

static uint64_t disk_bytes;

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)type;
	(void)ftw;
	disk_bytes += (uint64_t)st->st_blocks * 512;
	return 0;
}

static uint64_t disk_usage(const struct test_server *s)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/data", s->dir);
	disk_bytes = 0;
	(void)nftw(path, add_blocks, 16, FTW_PHYS);
	return disk_bytes;
}

static uint64_t store_bytes(struct test_server *s)
{
	return server_metric(s, "restante_store_data_bytes");
}

static bool store_shrinks_to(struct test_server *s, uint64_t most)
{
	for (int i = 0; i < 500 && store_bytes(s) > most; i++)
		client_nap(10);
	return store_bytes(s) <= most;
}

static void t_concatenation_of_long_parts_copies_nothing(void **state)
{
	static const size_t sizes[] = { 16 * MB, 12 * MB + 1, 20 * MB - 1 };
	struct test_server *s = *state;
	const uint8_t *p = fresh(48 * MB);
	struct tus_upload parts[3], final, again;
	uint64_t stored, used;

	make_parts(s, p, sizes, 3, parts);
	stored = store_bytes(s);
	used = disk_usage(s);
	join_all(s, parts, 3, &final);
	join_all(s, parts, 3, &again);
	assert_in_range(store_bytes(s), 0, stored + MB);
	assert_in_range(disk_usage(s), 0, used + 2 * MB);
	assert_true(tus_has(&final, p, 48 * MB));
	assert_true(tus_has(&again, p, 48 * MB));
}

static void t_concatenation_room_comes_back_with_the_last_who_needs_it(void **state)
{
	static const size_t sizes[] = { 16 * MB, 16 * MB, 16 * MB };
	struct test_server *s = *state;
	const uint64_t before = store_bytes(s);
	const uint8_t *p = fresh(48 * MB);
	struct tus_upload parts[3], final;

	make_parts(s, p, sizes, 3, parts);
	join_all(s, parts, 2, &final); /* the third is in no final */
	for (int i = 0; i < 3; i++)
		assert_int_equal(tus_delete(&parts[i]), 204);
	assert_true(store_shrinks_to(s, before + 36 * MB));
	client_nap(200);
	assert_true(store_bytes(s) >= before + 30 * MB);
	assert_true(tus_has(&final, p, 32 * MB));
	assert_int_equal(tus_delete(&final), 204);
	assert_true(store_shrinks_to(s, before + 4 * MB));
}

/* ---- fetching ---- */

/* first..last of what is n bytes long, each by itself and whether it is what p has there. */
static void assert_range(const struct tus_upload *u, const uint8_t *p, size_t n, size_t first,
			 size_t last)
{
	char target[80], fields[100], want[100];
	const size_t end = last < n ? last : n - 1;
	struct answer a;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", u->token);
	(void)snprintf(fields, sizeof(fields), "Range: bytes=%zu-%zu\r\n", first, last);
	http_get(u->server->port, target, fields, &a);
	assert_status(&a, 206);
	(void)snprintf(want, sizeof(want), "bytes %zu-%zu/%zu", first, end, n);
	assert_field(&a, "Content-Range", want);
	assert_int_equal(a.body_len, end - first + 1);
	assert_memory_equal(a.body, p + first, a.body_len);
	answer_free(&a);
}

static void t_concatenation_ranges_go_across_the_borders_of_parts(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MIXED_TOTAL);
	struct tus_upload parts[COUNT(mixed)], final;
	size_t border = 0;

	make_parts(s, p, mixed, COUNT(mixed), parts);
	join_all(s, parts, COUNT(mixed), &final);
	for (size_t i = 0; i + 1 < COUNT(mixed); i++) {
		border += mixed[i];
		assert_range(&final, p, MIXED_TOTAL, border - 1, border);
		assert_range(&final, p, MIXED_TOTAL, border - 1, border - 1);
		assert_range(&final, p, MIXED_TOTAL, border, border);
		assert_range(&final, p, MIXED_TOTAL, border - 500, border + 300000);
		assert_range(&final, p, MIXED_TOTAL, border > MB ? border - MB : 0, border + MB);
	}
	assert_range(&final, p, MIXED_TOTAL, 1, MIXED_TOTAL);
	assert_range(&final, p, MIXED_TOTAL, 0, 0);
	assert_range(&final, p, MIXED_TOTAL, MIXED_TOTAL - 1, MIXED_TOTAL - 1);
}

static void t_concatenation_several_ranges_at_once(void **state)
{
	static const size_t sizes[] = { 1000, 300000, 7 };
	struct test_server *s = *state;
	const uint8_t *p = fresh(301007);
	struct tus_upload uploads[3], final;
	char target[80];
	struct part parts[4];
	struct answer a;

	make_parts(s, p, sizes, 3, uploads);
	join_all(s, uploads, 3, &final);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", final.token);
	http_get(s->port, target, "Range: bytes=998-1001, 5000-5009, 300990-301003\r\n", &a);
	assert_status(&a, 206);
	assert_int_equal(answer_parts(&a, parts, 4), 3);
	for (int i = 0; i < 3; i++)
		assert_memory_equal(parts[i].data, p + parts[i].first,
				    parts[i].last - parts[i].first + 1);
	assert_int_equal(parts[0].first, 998);
	assert_int_equal(parts[2].last, 301003);
	answer_free(&a);
	http_get(s->port, target, "Range: bytes=-9\r\n", &a);
	assert_status(&a, 206);
	assert_int_equal(a.body_len, 9);
	assert_memory_equal(a.body, p + 301007 - 9, 9);
	answer_free(&a);
}

static void t_concatenation_a_final_is_fetched_as_what_it_is(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[2], final;
	char target[80], digest[TUS_DIGEST_SIZE], etag[80];
	struct placed same;
	struct answer a;

	make_part(s, (const uint8_t *)"hello", 5, &parts[0]);
	make_part(s, (const uint8_t *)"world", 5, &parts[1]);
	join_all(s, parts, 2, &final);
	assert_int_equal(http_place(s->port, "", "helloworld", 10, &same), 201);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", same.token);
	http_request(s->port, "HEAD", target, "", NULL, 0, &a);
	assert_true(answer_field(&a, "ETag", etag, sizeof(etag)));
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", final.token);
	http_request(s->port, "HEAD", target, "", NULL, 0, &a);
	assert_status(&a, 200);
	assert_field(&a, "Content-Length", "10");
	assert_field(&a, "ETag", etag);
	tus_digest(digest, "helloworld", 10);
	assert_field(&a, "Repr-Digest", digest);
	answer_free(&a);
}

/* ---- concatenation-unfinished ---- */

static void t_concatenation_unfinished_a_final_waits_for_its_parts(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[3], final;
	char concat[CONCAT_SIZE], digest[TUS_DIGEST_SIZE];
	struct answer a;

	begin_part(s, 5, &parts[0]);
	make_part(s, (const uint8_t *)"-", 1, &parts[1]);
	begin_part(s, TUS_DEFERRED, &parts[2]);
	name_parts(concat, (const struct tus_upload *[]){ &parts[0], &parts[1], &parts[2] }, 3);
	ask_final(s, concat, "", &a);
	assert_status(&a, 201);
	assert_no_field(&a, "Upload-Offset");
	assert_no_field(&a, "Repr-Digest");
	assert_in_range(answer_life(&a), 0, 30 * DAY);
	tus_learn(s, &a, &final);
	answer_free(&a);
	assert_int_equal(strlen(final.token), 51);
	assert_int_equal(http_status(s->port, "GET", "/v1/uploads/x", ""), 404);

	assert_waits(&final);
	assert_int_equal(tus_patch(&parts[0], 0, "hel", 3), 204);
	assert_int_equal(tus_patch(&parts[0], 3, "lo", 2), 204);
	assert_waits(&final);
	assert_int_equal(tus_patch(&parts[2], 0, "world", 5), 204);
	assert_waits(&final);
	tus_patch_answer(&parts[2], 5, "Upload-Length: 5\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	answer_free(&a);

	assert_true(tus_reaches(&final, 11, 5000));
	assert_true(tus_is_at(&final, 11, 11));
	assert_true(tus_has(&final, "hello-world", 11));
	tus_head(&final, &a);
	tus_digest(digest, "hello-world", 11);
	assert_field(&a, "Repr-Digest", digest);
	assert_field(&a, "Media-Token", final.token);
	assert_field(&a, "Upload-Concat", concat);
	answer_free(&a);
}

/* The last bytes come with an end of the request that never comes, and yet the part is whole. */
static void t_concatenation_unfinished_a_part_that_is_broken_off_whole_ends_the_wait(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, final;
	struct client *c;

	begin_part(s, 5, &part);
	join(s, (const struct tus_upload *[]){ &part, &part }, 2, &final);
	c = tus_begin(&part, 0, TUS_CHUNKED);
	assert_true(client_chunk(c, "hello", 5));
	client_nap(200);
	client_close(c);
	assert_true(tus_reaches(&part, 5, 3000));
	assert_true(tus_reaches(&final, 10, 5000));
	assert_true(tus_has(&final, "hellohello", 10));
}

static void t_concatenation_unfinished_several_finals_wait_for_one_part(void **state)
{
	struct test_server *s = *state;
	struct tus_upload done, late, finals[5];

	make_part(s, (const uint8_t *)"done ", 5, &done);
	begin_part(s, 5, &late);
	for (size_t i = 0; i < COUNT(finals); i++)
		join(s, (const struct tus_upload *[]){ &done, &late, &late }, 2 + i % 2,
		     &finals[i]);
	assert_int_equal(tus_delete(&finals[4]), 204);
	assert_int_equal(tus_patch(&late, 0, "late ", 5), 204);
	for (size_t i = 0; i < 4; i++) {
		assert_true(tus_reaches(&finals[i], 10 + i % 2 * 5, 5000));
		assert_true(tus_has(&finals[i], "done late late ", 10 + i % 2 * 5));
	}
	assert_tells_nothing(&finals[4], 404);
	assert_true(tus_is_at(&late, 5, 5));
}

static void waits_through_a_restart(struct test_server *s, bool killed)
{
	struct tus_upload parts[2], final;
	char concat[CONCAT_SIZE];
	struct answer a;

	make_part(s, (const uint8_t *)"hello", 5, &parts[0]);
	begin_part(s, 5, &parts[1]);
	assert_int_equal(tus_patch(&parts[1], 0, "wor", 3), 204);
	name_parts(concat, (const struct tus_upload *[]){ &parts[0], &parts[1] }, 2);
	assert_int_equal(make_final(s, concat, "Upload-Metadata: a YQ==\r\n", &final), 201);
	if (killed)
		server_kill(s);
	else
		assert_int_equal(server_stop(s), 0);
	server_again(s);

	assert_waits(&final);
	tus_head(&final, &a);
	assert_field(&a, "Upload-Concat", concat);
	assert_field(&a, "Upload-Metadata", "a YQ==");
	answer_free(&a);
	assert_int_equal(tus_patch(&final, 0, "x", 1), 403);
	assert_int_equal(tus_patch(&parts[1], 3, "ld", 2), 204);
	assert_true(tus_reaches(&final, 10, 5000));
	assert_true(tus_has(&final, "helloworld", 10));
}

static void t_concatenation_unfinished_a_final_waits_through_a_restart(void **state)
{
	waits_through_a_restart(*state, false);
	waits_through_a_restart(*state, true);
}

/* Whenever the server dies behind the last part's answer: the final is put together all the same.
 */
static void t_concatenation_unfinished_a_final_is_not_forgotten_in_a_crash(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 8; i++) {
		const uint8_t *p = fresh(300000);
		struct tus_upload parts[2], final;

		make_part(s, p, 100000, &parts[0]);
		begin_part(s, 200000, &parts[1]);
		join_all(s, parts, 2, &final);
		assert_int_equal(tus_patch(&parts[1], 0, p + 100000, 200000), 204);
		client_nap(i % 4);
		server_kill(s);
		server_again(s);
		assert_true(tus_reaches(&final, 300000, 5000));
		assert_true(tus_has(&final, p, 300000));
	}
}

static void *finish_part(void *arg)
{
	const struct tus_upload *part = arg;

	(void)tus_patch(part, 0, "ten bytes!", 10);
	return NULL;
}

/* Which of them was the last nobody knows: the final is put together once, and not never. */
static void t_concatenation_unfinished_all_parts_may_end_at_once(void **state)
{
	struct test_server *s = *state;

	for (int round = 0; round < 10; round++) {
		struct tus_upload parts[8], final;
		pthread_t threads[8];

		for (int i = 0; i < 8; i++)
			begin_part(s, 10, &parts[i]);
		join_all(s, parts, 8, &final);
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, finish_part, &parts[i]),
					 0);
		for (int i = 0; i < 8; i++)
			(void)pthread_join(threads[i], NULL);
		assert_true(tus_reaches(&final, 80, 5000));
		assert_true(tus_has(&final,
				    "ten bytes!ten bytes!ten bytes!ten bytes!"
				    "ten bytes!ten bytes!ten bytes!ten bytes!",
				    80));
	}
}

static void *make_waiting_final(void *arg)
{
	struct tus_upload *u = arg; /* a part, and behind it the final */
	char fields[500];

	(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s %s\r\n", u[0].path,
		       u[0].path);
	(void)tus_create(u[0].server, TUS_UNSAID, fields, &u[1]);
	return NULL;
}

/* A final that is asked for in the very moment in which its last part ends does not wait for ever.
 */
static void t_concatenation_unfinished_a_final_may_be_asked_for_as_its_part_ends(void **state)
{
	struct test_server *s = *state;

	for (int round = 0; round < 30; round++) {
		struct tus_upload u[2];
		pthread_t threads[2];

		begin_part(s, 10, &u[0]);
		assert_int_equal(pthread_create(&threads[0], NULL, finish_part, &u[0]), 0);
		assert_int_equal(pthread_create(&threads[1], NULL, make_waiting_final, u), 0);
		(void)pthread_join(threads[0], NULL);
		(void)pthread_join(threads[1], NULL);
		assert_int_equal(strlen(u[1].path), 12 + 51);
		assert_true(tus_reaches(&u[1], 20, 5000));
	}
}

static void t_concatenation_unfinished_a_final_that_waits_can_be_deleted(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, final;

	begin_part(s, 5, &part);
	join(s, (const struct tus_upload *[]){ &part }, 1, &final);
	assert_int_equal(tus_delete(&final), 204);
	assert_tells_nothing(&final, 404);
	assert_int_equal(tus_patch(&part, 0, "hello", 5), 204);
	client_nap(200);
	assert_tells_nothing(&final, 404);
	assert_true(tus_is_at(&part, 5, 5));
}

/* Its bytes will never be there; the server tells no offset, and lives on. */
static void t_concatenation_unfinished_a_part_that_is_deleted_ends_no_server(void **state)
{
	struct test_server *s = *state;
	struct tus_upload parts[2], final;

	begin_part(s, 5, &parts[0]);
	begin_part(s, 5, &parts[1]);
	join_all(s, parts, 2, &final);
	assert_int_equal(tus_delete(&parts[0]), 204);
	assert_int_equal(tus_patch(&parts[1], 0, "world", 5), 204);
	client_nap(200);
	assert_in_range(-tus_offset(&final), 1, 2);
	server_kill(s);
	server_again(s);
	assert_in_range(-tus_offset(&final), 1, 2);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", final.token) / 100, 4);
}

static void t_concatenation_unfinished_a_digest_that_is_wrong_is_never_finished(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, right, wrong;
	char concat[CONCAT_SIZE], field[200], digest[TUS_DIGEST_SIZE];

	begin_part(s, 5, &part);
	name_parts(concat, (const struct tus_upload *[]){ &part, &part }, 2);
	tus_digest(digest, "hellohello", 10);
	(void)snprintf(field, sizeof(field), "Repr-Digest: %s\r\n", digest);
	assert_int_equal(make_final(s, concat, field, &right), 201);
	tus_digest(digest, "hello", 5);
	(void)snprintf(field, sizeof(field), "Repr-Digest: %s\r\n", digest);
	assert_int_equal(make_final(s, concat, field, &wrong), 201);
	assert_int_equal(tus_patch(&part, 0, "hello", 5), 204);
	assert_true(tus_reaches(&right, 10, 5000));
	client_nap(200);
	assert_in_range(-tus_offset(&wrong), 1, 2);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", wrong.token) / 100, 4);
}

/* ---- much to hash ---- */

static void name_often(char out[static CONCAT_SIZE], const struct tus_upload *part)
{
	const struct tus_upload *each[PARTS_MAX];

	for (size_t i = 0; i < PARTS_MAX; i++)
		each[i] = part;
	name_parts(out, each, PARTS_MAX);
}

/* Each is to be read and hashed for about half a second. */
static void ask_much(const struct test_server *s, struct client **asked, size_t count)
{
	char concat[CONCAT_SIZE];
	struct tus_upload part;

	make_part(s, fresh(8 * MB), 8 * MB, &part);
	name_often(concat, &part);
	for (size_t i = 0; i < count; i++) {
		asked[i] = client_open(s->port);
		assert_true(client_sendf(asked[i],
					 "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n%s"
					 "Upload-Concat: %s\r\nContent-Length: 0\r\n\r\n",
					 TUS, concat));
	}
	client_nap(300);
}

#define ASKED 80 /* more than may wait at once, which are 64 */

static void t_concatenation_of_much_holds_up_nobody_else(void **state)
{
	struct test_server *s = *state;
	struct client *asked[ASKED];
	int refused = 0;
	int64_t began;

	ask_much(s, asked, ASKED);
	began = clock_mono_ms();
	assert_int_equal(http_put(s->port, "", "hello", 5, NULL), 201);
	assert_in_range(clock_mono_ms() - began, 0, 2000);
	for (size_t i = 0; i < ASKED; i++) {
		if (client_peek(asked[i], 0) > 0) {
			struct answer a;

			client_answer(asked[i], false, &a, NULL);
			refused += a.status == 503;
			if (a.status == 201)
				answer_free(&a);
			else
				assert_problem(&a, 503); /* with Retry-After */
		}
		client_close(asked[i]);
	}
	assert_in_range(refused, 1, ASKED - 64);
}

static void t_concatenation_of_much_is_cut_by_a_stop(void **state)
{
	struct test_server *s = *state;
	struct client *asked[20];
	int64_t began;

	ask_much(s, asked, COUNT(asked));
	began = clock_mono_ms();
	assert_int_equal(server_stop(s), 0);
	assert_in_range(clock_mono_ms() - began, 0, 4000);
	for (size_t i = 0; i < COUNT(asked); i++)
		client_close(asked[i]);
}

/* However often it names it: so many would else be gone through for each that goes. */
static void t_concatenation_unfinished_a_part_is_waited_for_once(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, other, final = { 0 };
	char concat[CONCAT_SIZE], fields[CONCAT_SIZE + 100];
	struct client *c = client_open(s->port);
	struct answer a;
	int64_t began;

	begin_part(s, 10, &part);
	name_often(concat, &part);
	(void)snprintf(fields, sizeof(fields), "%sUpload-Concat: %s\r\nContent-Length: 0\r\n", TUS,
		       concat);
	for (int i = 0; i < 2000; i++) {
		assert_true(
			client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n%s\r\n", fields));
		client_answer(c, false, &a, NULL);
		assert_status(&a, 201);
		tus_learn(s, &a, &final);
		answer_free(&a);
	}
	client_close(c);
	began = clock_mono_ms();
	assert_int_equal(tus_delete(&final), 204);
	assert_int_equal(tus_place(s, "", "hello", 5, &other), 204);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
}

/* ---- a store that fails ---- */

static void t_concatenation_on_a_store_that_fails_is_503_and_can_be_asked_for_again(void **state)
{
	static const char *const faults[] = { "inner=rocksdb;fail=concat:1",
					      "inner=memory;fail=concat:1",
					      "inner=rocksdb;fail=read:1" };

	(void)state;
	for (size_t i = 0; i < COUNT(faults); i++) {
		struct test_server_options o = { .faults = faults[i] };
		char concat[CONCAT_SIZE];
		struct tus_upload part, final;
		struct test_server s;

		server_start(&s, &o);
		make_part(&s, (const uint8_t *)"hello", 5, &part);
		name_parts(concat, (const struct tus_upload *[]){ &part, &part }, 2);
		assert_int_equal(make_final(&s, concat, "", &final), 503);
		assert_int_equal(make_final(&s, concat, "", &final), 201);
		assert_true(tus_has(&final, "hellohello", 10));
		server_remove(&s);
	}
}

static void t_concatenation_unfinished_a_store_that_fails_once_ends_no_wait(void **state)
{
	struct test_server_options o = { .config = "expiry { interval = 1s }\n",
					 .faults = "inner=rocksdb;fail=concat:1" };
	struct tus_upload part, final;
	struct test_server s;

	(void)state;
	server_start(&s, &o);
	begin_part(&s, 5, &part);
	join(&s, (const struct tus_upload *[]){ &part, &part }, 2, &final);
	assert_int_equal(tus_patch(&part, 0, "hello", 5), 204);
	assert_true(tus_reaches(&final, 10, 8000));
	assert_true(tus_has(&final, "hellohello", 10));
	server_remove(&s);
}

/* Nothing else happens: no part that ends, no sweep. */
static void t_concatenation_unfinished_a_store_that_failed_is_tried_again(void **state)
{
	struct test_server_options o = { .config = "expiry { interval = 1h }\n",
					 .faults = "inner=memory;fail=concat:1" };
	struct tus_upload part, final;
	static struct test_server s;

	server_start(&s, &o);
	*state = &s;
	client_nap(2500); /* the sweep at the start is over */
	begin_part(&s, 5, &part);
	join(&s, (const struct tus_upload *[]){ &part, &part }, 2, &final);
	assert_int_equal(tus_patch(&part, 0, "hello", 5), 204);
	assert_true(tus_reaches(&final, 10, 13000));
	assert_true(tus_has(&final, "hellohello", 10));
}

static void t_concatenation_unfinished_a_final_of_damaged_bytes_goes_and_so_do_they(void **state)
{
	struct test_server_options o = { .config = "upload { ttl_unfinished = 2s }\n"
						   "expiry { interval = 1s }\n",
					 .faults = "inner=memory;fail=read:*;code=DAMAGED" };
	struct tus_upload part, final;
	static struct test_server s;

	server_start(&s, &o);
	*state = &s;
	begin_part(&s, 5, &part);
	join(&s, (const struct tus_upload *[]){ &part }, 1, &final);
	assert_int_equal(tus_patch(&part, 0, "hello", 5), 204);
	assert_true(tus_becomes(&final, 410, 1500));
	assert_true(tus_becomes(&part, 410, 6000));
	assert_int_equal(server_metric(&s, "restante_uploads_unfinished"), 0);
}

static void one_record_that_cannot_be_read_is_no_reason_not_to_start(void **state)
{
	static const char *const faults[] = { "inner=rocksdb;fail=lookup:1;code=DAMAGED",
					      "inner=rocksdb;fail=lookup:1;code=NOTFOUND" };
	struct test_server_options o = { .faults = "inner=rocksdb" };
	struct tus_upload parts[5];
	static struct test_server s;

	server_start(&s, &o);
	*state = &s;
	for (size_t i = 0; i < COUNT(parts); i++)
		begin_part(&s, 5, &parts[i]);
	for (size_t i = 0; i < COUNT(faults); i++) {
		assert_int_equal(server_stop(&s), 0);
		s.options.faults = faults[i];
		server_again(&s);
		assert_in_range(server_metric(&s, "restante_uploads_unfinished"), 4, 5);
		for (size_t k = 0; k < COUNT(parts); k++)
			assert_true(tus_is_at(&parts[k], 0, 5));
	}
}

#define ALONE(test, start) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(t_concatenation_parts_become_one_upload),
		cmocka_unit_test(t_concatenation_a_part_has_no_tokens_of_its_own),
		cmocka_unit_test(t_concatenation_a_part_is_an_upload_as_any_other),
		cmocka_unit_test(
			t_concatenation_trap16_trap17_head_echoes_upload_concat_as_it_was_received),
		cmocka_unit_test(t_concatenation_a_long_upload_concat_is_told_whole),
		cmocka_unit_test(t_concatenation_of_no_part_there_is_no_upload_concat),
		cmocka_unit_test(t_concatenation_the_order_counts),
		cmocka_unit_test(
			t_concatenation_a_part_may_come_several_times_and_in_several_finals),
		cmocka_unit_test(t_concatenation_of_empty_parts),
		cmocka_unit_test(t_concatenation_of_many_parts),
		cmocka_unit_test(t_concatenation_of_long_and_short_parts),
		cmocka_unit_test(
			t_concatenation_what_was_uploaded_in_one_piece_before_is_found_again),
		cmocka_unit_test(t_concatenation_metadata_is_not_inherited),
		cmocka_unit_test(t_concatenation_a_final_has_a_life_of_its_own),
		cmocka_unit_test(t_concatenation_a_patch_on_a_final_is_403_and_changes_nothing),
		cmocka_unit_test(t_concatenation_a_final_with_a_length_is_400),
		cmocka_unit_test(t_concatenation_a_final_with_bytes_of_its_own_is_refused),
		cmocka_unit_test(t_concatenation_the_whole_can_be_checked),
		cmocka_unit_test(t_concatenation_uploads_of_another_shape_are_no_parts),
		cmocka_unit_test(t_concatenation_a_field_out_of_shape_is_400_and_creates_nothing),
		cmocka_unit_test(t_concatenation_parts_may_go_and_the_final_stays),
		cmocka_unit_test(t_concatenation_a_final_may_go_and_parts_and_other_finals_stay),
		cmocka_unit_test(t_concatenation_the_manage_token_of_a_final_deletes_it),
		cmocka_unit_test(t_concatenation_of_long_parts_copies_nothing),
		cmocka_unit_test(t_concatenation_room_comes_back_with_the_last_who_needs_it),
		cmocka_unit_test(t_concatenation_ranges_go_across_the_borders_of_parts),
		cmocka_unit_test(t_concatenation_several_ranges_at_once),
		cmocka_unit_test(t_concatenation_a_final_is_fetched_as_what_it_is),
		cmocka_unit_test(t_concatenation_unfinished_a_final_waits_for_its_parts),
		cmocka_unit_test(
			t_concatenation_unfinished_a_part_that_is_broken_off_whole_ends_the_wait),
		cmocka_unit_test(t_concatenation_unfinished_several_finals_wait_for_one_part),
		cmocka_unit_test(t_concatenation_unfinished_a_final_waits_through_a_restart),
		cmocka_unit_test(t_concatenation_unfinished_a_final_is_not_forgotten_in_a_crash),
		cmocka_unit_test(t_concatenation_unfinished_all_parts_may_end_at_once),
		cmocka_unit_test(
			t_concatenation_unfinished_a_final_may_be_asked_for_as_its_part_ends),
		cmocka_unit_test(t_concatenation_unfinished_a_final_that_waits_can_be_deleted),
		cmocka_unit_test(t_concatenation_unfinished_a_part_that_is_deleted_ends_no_server),
		cmocka_unit_test(
			t_concatenation_unfinished_a_digest_that_is_wrong_is_never_finished),
	};
	const struct CMUnitTest segments[] = {
		cmocka_unit_test(t_concatenation_of_many_parts),
		cmocka_unit_test(t_concatenation_of_long_and_short_parts),
		cmocka_unit_test(t_concatenation_parts_may_go_and_the_final_stays),
		cmocka_unit_test(t_concatenation_a_final_may_go_and_parts_and_other_finals_stay),
		cmocka_unit_test(t_concatenation_ranges_go_across_the_borders_of_parts),
		cmocka_unit_test(t_concatenation_several_ranges_at_once),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(t_concatenation_a_final_longer_than_the_largest_is_413),
	};
	const struct CMUnitTest swept[] = {
		cmocka_unit_test(t_concatenation_what_has_expired_is_no_part),
		cmocka_unit_test(t_concatenation_parts_expire_and_the_final_stays),
		cmocka_unit_test(
			t_concatenation_unfinished_a_final_outlives_the_wait_for_a_slow_part),
		cmocka_unit_test(t_concatenation_unfinished_a_final_goes_with_a_part_that_expires),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(
			t_concatenation_on_a_store_that_fails_is_503_and_can_be_asked_for_again),
		cmocka_unit_test(t_concatenation_unfinished_a_store_that_fails_once_ends_no_wait),
	};
	const struct CMUnitTest alone[] = {
		ALONE(t_concatenation_of_much_holds_up_nobody_else, start_plain),
		ALONE(t_concatenation_of_much_is_cut_by_a_stop, start_plain),
		ALONE(t_concatenation_unfinished_a_part_is_waited_for_once, start_plain),
		ALONE(t_concatenation_unfinished_a_store_that_failed_is_tried_again, NULL),
		ALONE(t_concatenation_unfinished_a_final_of_damaged_bytes_goes_and_so_do_they,
		      NULL),
		ALONE(one_record_that_cannot_be_read_is_no_reason_not_to_start, NULL),
	};
	int failed;

	failed = cmocka_run_group_tests_name("concat", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("concat, segments", segments, start_segments, stop);
	failed += cmocka_run_group_tests_name("concat, alone", alone, NULL, NULL);
	failed += cmocka_run_group_tests_name("concat, size", small, start_small, stop);
	failed += cmocka_run_group_tests_name("concat, swept", swept, start_brief_and_swept, stop);
	return failed + cmocka_run_group_tests_name("concat, faults", faults, NULL, NULL);
}
