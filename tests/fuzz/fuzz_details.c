/* fuzz_details - the input as the details of an upload, and as the recipe for some of our own. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/details.h"
#include "storage/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(struct bytes view, struct bytes in)
{
	assert(view.len <= in.len);
	assert(view.len == 0 || (view.data >= in.data && view.data + view.len <= in.data + in.len));
}

static void check_fields(const struct details *d, struct bytes in)
{
	const struct bytes parts = { (const uint8_t *)d->parts, d->part_count * sizeof(*d->parts) };

	assert(d->role < ROLE_COUNT);
	assert((d->role == ROLE_FINAL) == (d->part_count > 0));
	assert(d->part_count <= STORE_PARTS_MAX);
	assert(d->metadata_given || d->metadata.len == 0);
	check_view(d->metadata, in);
	check_view(d->concat, in);
	check_view(parts, in);
}

/* Details have one spelling, but for nothing at all. */
static void check_spelling(const struct details *d, struct bytes in)
{
	size_t len;
	bool too_long;
	uint8_t *again = details_encode(d, &len, &too_long);

	assert(again != NULL && !too_long);
	assert(in.len == 0 || (len == in.len && memcmp(again, in.data, len) == 0));
	free(again);
}

static void check_stranger(struct bytes in)
{
	struct details d = { .part_count = SIZE_MAX };
	enum err_code rc = details_decode(&d, in, NULL);

	assert(rc == ERR_OK || rc == ERR_DAMAGED);
	assert(rc == ERR_OK || d.part_count == SIZE_MAX);
	if (rc != ERR_OK)
		return;
	check_fields(&d, in);
	check_spelling(&d, in);
}

static struct bytes cut(struct bytes *from, size_t n)
{
	struct bytes b = { from->data, n < from->len ? n : from->len };

	from->data += b.len;
	from->len -= b.len;
	return b;
}

/* The first bytes say what there is of it; the rest is its text. */
static void make(struct details *d, struct bytes in)
{
	static const uint8_t none[4];
	struct bytes head = cut(&in, sizeof(none)), parts;
	const uint8_t *say = head.len == sizeof(none) ? head.data : none;

	*d = (struct details){ .role = say[0] % ROLE_COUNT, .ttl_s = bytes_get_u32(say) };
	d->digest_given = say[1] & 1;
	memset(d->digest.b, d->digest_given ? say[2] : 0, sizeof(d->digest.b));
	d->metadata_given = say[1] & 2;
	if (d->metadata_given)
		d->metadata = cut(&in, say[3]);
	if (d->role == ROLE_FINAL) {
		parts = cut(&in, (size_t)(1 + say[2]) * sizeof(*d->parts));
		d->part_count = parts.len / sizeof(*d->parts);
		d->parts = (const void *)parts.data;
	}
	if (d->part_count == 0)
		d->role %= ROLE_FINAL;
	d->concat = in;
}

static bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_same(const struct details *a, const struct details *b)
{
	assert(a->role == b->role && a->ttl_s == b->ttl_s);
	assert(a->digest_given == b->digest_given);
	assert(memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0);
	assert(a->metadata_given == b->metadata_given);
	assert(same(a->metadata, b->metadata) && same(a->concat, b->concat));
	assert(a->part_count == b->part_count);
	assert(a->part_count == 0 ||
	       memcmp(a->parts, b->parts, a->part_count * sizeof(*a->parts)) == 0);
}

static void check_our_own(struct bytes in)
{
	struct details d, back;
	size_t len;
	bool too_long;
	uint8_t *out;

	make(&d, in);
	out = details_encode(&d, &len, &too_long);
	assert(too_long == (out == NULL));
	if (out == NULL) {
		assert(in.len > STORE_META_MAX / 2);
		return;
	}
	assert(len > 0 && len <= STORE_META_MAX);
	assert(details_decode(&back, (struct bytes){ out, len }, NULL) == ERR_OK);
	check_same(&d, &back);
	/* cut, and it is none */
	assert(details_decode(&back, (struct bytes){ out, len - 1 }, NULL) == ERR_DAMAGED);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes in = { data, size };

	check_stranger(in);
	check_our_own(in);
	return 0;
}
