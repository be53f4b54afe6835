#include "server/details.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store.h"

/* version, role and what is there (one byte each), ttl_s (8); then what is there: the digest, max
 * (8), ttl_max_s (8), the host, the metadata, Upload-Concat (each of the three behind its length,
 * 2); of a final the count of its parts (2) and their ids. */
#define VERSION 1
#define FIXED (1 + 1 + 1 + 8)

#define HAS_DIGEST 1u
#define HAS_METADATA 2u
#define HAS_CONCAT 4u
#define HAS_MAX 8u
#define HAS_TTL_MAX 16u
#define HAS_HOST 32u
#define HAS_ALL 63u

_Static_assert(STORE_META_MAX <= UINT16_MAX, "lengths have two bytes");
_Static_assert(_Alignof(struct upload_id) == 1, "parts are looked at where they lie");

/* ---- encoding ---- */

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
	if (n > 0)
		memcpy(p, data, n);
	return p + n;
}

static uint8_t *put_u8(uint8_t *p, unsigned v)
{
	*p = (uint8_t)v;
	return p + 1;
}

static uint8_t *put_u16(uint8_t *p, size_t v)
{
	bytes_put_u16(p, (uint16_t)v);
	return p + 2;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	bytes_put_u64(p, v);
	return p + 8;
}

static uint8_t *put_text(uint8_t *p, struct bytes text)
{
	return put(put_u16(p, text.len), text.data, text.len);
}

static unsigned has_of(const struct details *d)
{
	return (d->digest_given ? HAS_DIGEST : 0) | (d->metadata_given ? HAS_METADATA : 0) |
	       (d->concat.len > 0 ? HAS_CONCAT : 0) | (d->max > 0 ? HAS_MAX : 0) |
	       (d->ttl_max_s > 0 ? HAS_TTL_MAX : 0) | (d->host.len > 0 ? HAS_HOST : 0);
}

static size_t size_of(const struct details *d, unsigned has)
{
	size_t n = FIXED;

	if (has & HAS_DIGEST)
		n += sizeof(d->digest.b);
	if (has & HAS_MAX)
		n += 8;
	if (has & HAS_TTL_MAX)
		n += 8;
	if (has & HAS_HOST)
		n += 2 + d->host.len;
	if (has & HAS_METADATA)
		n += 2 + d->metadata.len;
	if (has & HAS_CONCAT)
		n += 2 + d->concat.len;
	if (d->role == ROLE_FINAL)
		n += 2 + d->part_count * sizeof(*d->parts);
	return n;
}

static void check(const struct details *d)
{
	assert(d->role < ROLE_COUNT);
	assert(d->metadata_given || d->metadata.len == 0);
	assert((d->role == ROLE_FINAL) == (d->part_count > 0));
	assert(d->part_count <= STORE_PARTS_MAX);
}

uint8_t *details_encode(const struct details *d, size_t *len, bool *too_long)
{
	const unsigned has = has_of(d);
	const size_t size = size_of(d, has);
	uint8_t *out, *p;

	check(d);
	*too_long = size > STORE_META_MAX;
	out = p = *too_long ? NULL : malloc(size);
	if (out == NULL)
		return NULL;
	p = put_u8(p, VERSION);
	p = put_u8(p, d->role);
	p = put_u8(p, has);
	p = put_u64(p, d->ttl_s);
	if (has & HAS_DIGEST)
		p = put(p, d->digest.b, sizeof(d->digest.b));
	if (has & HAS_MAX)
		p = put_u64(p, d->max);
	if (has & HAS_TTL_MAX)
		p = put_u64(p, d->ttl_max_s);
	if (has & HAS_HOST)
		p = put_text(p, d->host);
	if (has & HAS_METADATA)
		p = put_text(p, d->metadata);
	if (has & HAS_CONCAT)
		p = put_text(p, d->concat);
	if (d->role == ROLE_FINAL)
		p = put(put_u16(p, d->part_count), d->parts, d->part_count * sizeof(*d->parts));
	assert(p == out + size);
	*len = size;
	return out;
}

/* ---- decoding: reads on past the end give zeroes and are found by `bad` at last ---- */

struct input {
	struct bytes left;
	bool bad;
};

static struct bytes take(struct input *in, size_t n)
{
	struct bytes b = { .data = in->left.data, .len = n };

	if (in->left.len < n) {
		in->bad = true;
		return (struct bytes){ 0 };
	}
	in->left.data += n;
	in->left.len -= n;
	return b;
}

static uint8_t take_u8(struct input *in)
{
	struct bytes b = take(in, 1);

	return b.len > 0 ? b.data[0] : 0;
}

static size_t take_u16(struct input *in)
{
	struct bytes b = take(in, 2);

	return b.len > 0 ? bytes_get_u16(b.data) : 0;
}

static uint64_t take_u64(struct input *in)
{
	struct bytes b = take(in, 8);

	return b.len > 0 ? bytes_get_u64(b.data) : 0;
}

static struct bytes take_text(struct input *in)
{
	return take(in, take_u16(in));
}

static void take_digest(struct input *in, struct details *d)
{
	struct bytes b = take(in, sizeof(d->digest.b));

	d->digest_given = true;
	if (b.len > 0)
		memcpy(d->digest.b, b.data, b.len);
}

/* One that is there is not nothing, like the next: details have one spelling. */
static uint64_t take_bound(struct input *in)
{
	const uint64_t bound = take_u64(in);

	in->bad |= bound == 0;
	return bound;
}

static struct bytes take_name(struct input *in)
{
	const struct bytes name = take_text(in);

	in->bad |= name.len == 0;
	return name;
}

static void take_parts(struct input *in, struct details *d)
{
	d->part_count = take_u16(in);
	d->parts = (const void *)take(in, d->part_count * sizeof(*d->parts)).data;
	in->bad |= d->part_count == 0 || d->part_count > STORE_PARTS_MAX;
}

enum err_code details_decode(struct details *out, struct bytes in, struct err *e)
{
	struct input input = { .left = in };
	struct details d = { .role = ROLE_WHOLE };
	uint8_t role, has;

	if (in.len == 0) {
		*out = d;
		return ERR_OK;
	}
	if (in.len > STORE_META_MAX || take_u8(&input) != VERSION)
		return err_set(e, ERR_DAMAGED, "details of no version known here");
	role = take_u8(&input);
	has = take_u8(&input);
	if (role >= ROLE_COUNT || (has & ~HAS_ALL) != 0)
		return err_set(e, ERR_DAMAGED, "details of a kind not known here");
	d.role = (enum role)role;
	d.ttl_s = take_u64(&input);
	if (has & HAS_DIGEST)
		take_digest(&input, &d);
	if (has & HAS_MAX)
		d.max = take_bound(&input);
	if (has & HAS_TTL_MAX)
		d.ttl_max_s = take_bound(&input);
	if (has & HAS_HOST)
		d.host = take_name(&input);
	d.metadata_given = has & HAS_METADATA;
	if (d.metadata_given)
		d.metadata = take_text(&input);
	if (has & HAS_CONCAT)
		d.concat = take_name(&input);
	if (d.role == ROLE_FINAL)
		take_parts(&input, &d);
	if (input.bad || input.left.len != 0)
		return err_set(e, ERR_DAMAGED, "details are not well formed");
	*out = d;
	return ERR_OK;
}
