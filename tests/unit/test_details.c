#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/details.h"
#include "storage/store.h"

/* An encoding, and room behind it to change it. */
struct encoded {
	uint8_t b[STORE_META_MAX + 64];
	size_t len;
};

static const struct upload_id parts[STORE_PARTS_MAX + 1] = { { { 1, 2, 3 } },
							     { { 4 } },
							     { { 5 } } };

static const struct details plain = { .ttl_s = 86400 };
static const struct details full = {
	.role = ROLE_FINAL,
	.ttl_s = UINT64_MAX,
	.digest_given = true,
	.digest = { { 0xd1, 0xd2 } },
	.host = { (const uint8_t *)"chat.test", 9 },
	.metadata_given = true,
	.metadata = { (const uint8_t *)"name dGVzdA==", 13 },
	.concat = { (const uint8_t *)"final;/a /b", 11 },
	.part_count = 3,
	.parts = parts,
};

static struct encoded encode(const struct details *d)
{
	struct encoded x = { .len = SIZE_MAX };
	bool too_long = true;
	uint8_t *out = details_encode(d, &x.len, &too_long);

	assert_non_null(out);
	assert_false(too_long);
	assert_in_range(x.len, 1, STORE_META_MAX);
	memcpy(x.b, out, x.len);
	free(out);
	return x;
}

/* From memory of just that size, so that a sanitizer sees the first byte read behind it. */
static enum err_code decode_bytes(const uint8_t *b, size_t len)
{
	struct details d;
	struct err e;
	uint8_t *copy = malloc(len > 0 ? len : 1);
	enum err_code rc;

	assert_non_null(copy);
	memcpy(copy, b, len);
	memset(&d, 0xa5, sizeof(d));
	rc = details_decode(&d, (struct bytes){ copy, len }, &e);
	if (rc != ERR_OK)
		assert_int_equal(d.ttl_s, UINT64_C(0xa5a5a5a5a5a5a5a5));
	free(copy);
	return rc;
}

static enum err_code decode(const struct encoded *x)
{
	return decode_bytes(x->b, x->len);
}

static void assert_same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

static void assert_comes_back(const struct details *want)
{
	struct encoded x = encode(want);
	struct details d;
	struct err e;

	assert_int_equal(details_decode(&d, (struct bytes){ x.b, x.len }, &e), ERR_OK);
	assert_int_equal(d.role, want->role);
	assert_int_equal(d.ttl_s, want->ttl_s);
	assert_int_equal(d.digest_given, want->digest_given);
	if (want->digest_given)
		assert_memory_equal(&d.digest, &want->digest, sizeof(d.digest));
	assert_int_equal(d.metadata_given, want->metadata_given);
	assert_same_bytes(d.metadata, want->metadata);
	assert_same_bytes(d.concat, want->concat);
	assert_same_bytes(d.host, want->host);
	assert_int_equal(d.part_count, want->part_count);
	if (want->part_count > 0)
		assert_memory_equal(d.parts, want->parts, want->part_count * sizeof(*d.parts));
}

static void what_is_encoded_comes_back(void **state)
{
	struct details d;

	(void)state;
	assert_comes_back(&plain);
	assert_comes_back(&full);
	/* any of it may be there without the rest */
	for (unsigned without = 0; without < 32; without++) {
		d = full;
		if (without & 1)
			d.digest_given = false;
		if (without & 2)
			d.metadata_given = false, d.metadata = (struct bytes){ 0 };
		if (without & 4)
			d.concat = (struct bytes){ 0 };
		if (without & 8)
			d.role = ROLE_PARTIAL, d.part_count = 0, d.parts = NULL;
		if (without & 16)
			d.host = (struct bytes){ 0 };
		assert_comes_back(&d);
	}
}

static void empty_metadata_is_not_none(void **state)
{
	struct details d = plain, none = plain;

	(void)state;
	d.metadata_given = true;
	d.metadata = BYTES("");
	assert_comes_back(&d);
	assert_comes_back(&none);
	assert_int_not_equal(encode(&d).len, encode(&none).len);
}

static void nothing_at_all_is_a_whole_upload_without_details(void **state)
{
	static const struct details zero;
	struct details d;
	struct err e;

	(void)state;
	memset(&d, 0xa5, sizeof(d));
	assert_int_equal(details_decode(&d, (struct bytes){ NULL, 0 }, &e), ERR_OK);
	assert_int_equal(d.role, ROLE_WHOLE);
	assert_int_equal(d.ttl_s, 0);
	assert_false(d.digest_given || d.metadata_given);
	assert_int_equal(d.metadata.len + d.concat.len + d.part_count, 0);
	assert_comes_back(&zero);
}

/* What is on a disk somewhere is read like this for ever. */
static void the_format_stays_as_it_is(void **state)
{
	static const uint8_t fixed[] = { 1, ROLE_FINAL, 7, 0, 0, 0, 0, 0, 1, 0x51, 0x80 };
	struct details d = full;
	struct encoded x;
	const uint8_t *p = x.b;

	(void)state;
	assert_int_equal(ROLE_WHOLE, 0);
	assert_int_equal(ROLE_PARTIAL, 1);
	assert_int_equal(ROLE_FINAL, 2);
	d.ttl_s = 86400;
	d.host = (struct bytes){ 0 };
	x = encode(&d);
	assert_int_equal(x.len, sizeof(fixed) + 32 + 2 + 13 + 2 + 11 + 2 + 3 * 16);
	assert_memory_equal(p, fixed, sizeof(fixed));
	assert_memory_equal(p += sizeof(fixed), d.digest.b, 32);
	assert_memory_equal(p += 32, "\0\x0dname dGVzdA==", 15);
	assert_memory_equal(p += 15,
			    "\0\x0b"
			    "final;/a /b",
			    13);
	assert_memory_equal(p += 13, "\0\x03", 2);
	assert_memory_equal(p + 2, parts, 48);
}

static void views_lie_in_the_input(void **state)
{
	struct encoded x = encode(&full);
	struct details d;
	struct err e;

	(void)state;
	assert_int_equal(details_decode(&d, (struct bytes){ x.b, x.len }, &e), ERR_OK);
	assert_in_range(d.metadata.data - x.b, 0, x.len - d.metadata.len);
	assert_in_range(d.concat.data - x.b, 0, x.len - d.concat.len);
	assert_in_range(d.parts[2].b - x.b, 0, x.len - 16);
}

static void what_is_cut_anywhere_is_damaged(void **state)
{
	struct encoded x = encode(&full);

	(void)state;
	for (size_t n = 1; n < x.len; n++)
		assert_int_equal(decode_bytes(x.b, n), ERR_DAMAGED);
	assert_int_equal(decode(&x), ERR_OK);
}

static void what_has_bytes_behind_it_is_damaged(void **state)
{
	struct encoded x = encode(&full), y = encode(&plain);

	(void)state;
	for (size_t more = 1; more <= 48; more++) {
		assert_int_equal(decode_bytes(x.b, x.len + more), ERR_DAMAGED);
		assert_int_equal(decode_bytes(y.b, y.len + more), ERR_DAMAGED);
	}
}

static void other_versions_roles_and_kinds_are_damaged(void **state)
{
	struct encoded x;

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		x = encode(&plain);
		x.b[0] = (uint8_t)v;
		assert_int_equal(decode(&x), v == 1 ? ERR_OK : ERR_DAMAGED);
		x = encode(&plain);
		x.b[1] = (uint8_t)v;
		/* a final needs parts */
		assert_int_equal(decode(&x), v <= ROLE_PARTIAL ? ERR_OK : ERR_DAMAGED);
		x = encode(&plain);
		x.b[2] = (uint8_t)v;
		assert_int_equal(decode(&x), v == 0 ? ERR_OK : ERR_DAMAGED);
	}
}

static void a_final_has_parts_and_others_have_none(void **state)
{
	struct details d = { .role = ROLE_FINAL, .part_count = 1, .parts = parts };
	struct encoded x = encode(&d);

	(void)state;
	assert_int_equal(decode(&x), ERR_OK);
	x.b[1] = ROLE_WHOLE;
	assert_int_equal(decode(&x), ERR_DAMAGED);
	x.b[1] = ROLE_PARTIAL;
	assert_int_equal(decode(&x), ERR_DAMAGED);
	x.b[1] = ROLE_FINAL;
	bytes_put_u16(x.b + x.len - 18, 0);
	x.len -= 16;
	assert_int_equal(decode(&x), ERR_DAMAGED);
}

static void a_final_has_at_most_so_many_parts(void **state)
{
	struct details d = { .role = ROLE_FINAL, .part_count = STORE_PARTS_MAX, .parts = parts };
	struct encoded x = encode(&d);

	(void)state;
	assert_comes_back(&d);
	bytes_put_u16(x.b + x.len - 16 * STORE_PARTS_MAX - 2, STORE_PARTS_MAX + 1);
	x.len += 16;
	assert_int_equal(decode(&x), ERR_DAMAGED);
}

/* Details have one spelling. */
static void a_concat_that_is_there_is_not_empty(void **state)
{
	struct details d = { .concat = BYTES("p") };
	struct encoded x = encode(&d);

	(void)state;
	assert_int_equal(decode(&x), ERR_OK);
	bytes_put_u16(x.b + x.len - 3, 0);
	x.len--;
	assert_int_equal(decode(&x), ERR_DAMAGED);
}

static void what_no_record_can_carry_is_too_long(void **state)
{
	static uint8_t text[STORE_META_MAX];
	struct details d = plain;
	size_t len = 7;
	bool too_long = false;

	(void)state;
	memset(text, 'a', sizeof(text));
	d.metadata_given = true;
	d.metadata = (struct bytes){ text, STORE_META_MAX - encode(&plain).len - 2 };
	assert_int_equal(encode(&d).len, STORE_META_MAX);
	assert_comes_back(&d);
	d.metadata.len++;
	assert_null(details_encode(&d, &len, &too_long));
	assert_true(too_long);
	assert_int_equal(len, 7);
}

static void what_is_longer_than_a_record_can_carry_is_damaged(void **state)
{
	static uint8_t text[STORE_META_MAX];
	struct details d = plain;
	struct encoded x;

	(void)state;
	d.concat = (struct bytes){ text, STORE_META_MAX - encode(&plain).len - 2 };
	x = encode(&d);
	assert_int_equal(decode(&x), ERR_OK);
	bytes_put_u16(x.b + encode(&plain).len, (uint16_t)(d.concat.len + 1));
	x.len++;
	assert_int_equal(decode(&x), ERR_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_comes_back),
		cmocka_unit_test(empty_metadata_is_not_none),
		cmocka_unit_test(nothing_at_all_is_a_whole_upload_without_details),
		cmocka_unit_test(the_format_stays_as_it_is),
		cmocka_unit_test(views_lie_in_the_input),
		cmocka_unit_test(what_is_cut_anywhere_is_damaged),
		cmocka_unit_test(what_has_bytes_behind_it_is_damaged),
		cmocka_unit_test(other_versions_roles_and_kinds_are_damaged),
		cmocka_unit_test(a_final_has_parts_and_others_have_none),
		cmocka_unit_test(a_final_has_at_most_so_many_parts),
		cmocka_unit_test(a_concat_that_is_there_is_not_empty),
		cmocka_unit_test(what_no_record_can_carry_is_too_long),
		cmocka_unit_test(what_is_longer_than_a_record_can_carry_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
