#include "storage/rocksdb/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_VERSION 1
#define EXTENT_SIZE (8 + 8 + 8 + 4)
#define UPLOAD_FIXED (1 + 1 + 1 + 2 + 4 * 8 + 2 + 4)
#define BLOB_FIXED (1 + 8 + 4)

/* ---- keys ---- */

static struct key key_new(uint8_t prefix)
{
	return (struct key){ .b = { prefix }, .len = 1 };
}

static void key_add(struct key *k, const void *p, size_t n)
{
	assert(n <= sizeof(k->b) - k->len);
	memcpy(k->b + k->len, p, n);
	k->len += n;
}

static void key_add_u64(struct key *k, uint64_t v)
{
	uint8_t b[8];

	bytes_put_u64(b, v);
	key_add(k, b, sizeof(b));
}

struct key key_blob(const struct digest *d)
{
	struct key k = key_new(KEY_BLOB);

	key_add(&k, d->b, sizeof(d->b));
	return k;
}

struct key key_due(int64_t expires_s, const struct upload_id *id)
{
	struct key k = key_new(KEY_DUE);

	key_add_u64(&k, (uint64_t)expires_s);
	key_add(&k, id->b, sizeof(id->b));
	return k;
}

struct key key_garbage(uint64_t locator, uint64_t start)
{
	struct key k = key_new(KEY_GARBAGE);

	key_add_u64(&k, locator);
	key_add_u64(&k, start);
	return k;
}

struct key key_holder(const struct digest *d, const struct upload_id *id)
{
	struct key k = key_new(KEY_HOLDER);

	key_add(&k, d->b, sizeof(d->b));
	key_add(&k, id->b, sizeof(id->b));
	return k;
}

struct key key_meta(const char *name)
{
	struct key k = key_new(KEY_META);

	key_add(&k, name, strlen(name));
	return k;
}

struct key key_open(uint64_t locator)
{
	struct key k = key_new(KEY_OPEN);

	key_add_u64(&k, locator);
	return k;
}

struct key key_upload(const struct upload_id *id)
{
	struct key k = key_new(KEY_UPLOAD);

	key_add(&k, id->b, sizeof(id->b));
	return k;
}

struct key key_piece(uint64_t locator, uint64_t offset)
{
	struct key k = { .len = 0 };

	key_add_u64(&k, locator);
	key_add_u64(&k, offset);
	return k;
}

bool key_piece_parse(struct bytes key, uint64_t *locator, uint64_t *offset)
{
	if (key.len != 16)
		return false;
	*locator = bytes_get_u64(key.data);
	*offset = bytes_get_u64(key.data + 8);
	return true;
}

/* ---- encoding ---- */

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
	if (n > 0)
		memcpy(p, data, n);
	return p + n;
}

static uint8_t *put_u8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static uint8_t *put_u16(uint8_t *p, uint16_t v)
{
	bytes_put_u16(p, v);
	return p + 2;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	bytes_put_u32(p, v);
	return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	bytes_put_u64(p, v);
	return p + 8;
}

static uint8_t *put_extents(uint8_t *p, const struct extent *v, size_t count)
{
	p = put_u32(p, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		p = put_u64(p, v[i].locator);
		p = put_u64(p, v[i].start);
		p = put_u64(p, v[i].length);
		p = put_u32(p, v[i].place);
	}
	return p;
}

static size_t hash_size(bool finished)
{
	return finished ? sizeof(struct digest) : sizeof(struct midstate);
}

uint8_t *record_encode_upload(const struct upload *u, size_t *len)
{
	uint8_t *out, *p;

	*len = UPLOAD_FIXED + hash_size(u->finished) + u->meta.len + u->extent_count * EXTENT_SIZE;
	out = p = malloc(*len);
	if (out == NULL)
		return NULL;
	p = put_u8(p, RECORD_VERSION);
	p = put_u8(p, u->finished);
	p = put_u8(p, u->kind);
	p = put_u16(p, u->recipients);
	p = put_u64(p, u->offset);
	p = put_u64(p, u->length);
	p = put_u64(p, (uint64_t)u->created_s);
	p = put_u64(p, (uint64_t)u->expires_s);
	p = u->finished ? put(p, u->digest.b, sizeof(u->digest.b))
			: put(p, u->midstate.b, sizeof(u->midstate.b));
	p = put_u16(p, (uint16_t)u->meta.len);
	p = put(p, u->meta.data, u->meta.len);
	p = put_extents(p, u->extents, u->extent_count);
	assert(p == out + *len);
	return out;
}

uint8_t *record_encode_blob(const struct blob *b, size_t *len)
{
	uint8_t *out, *p;

	*len = BLOB_FIXED + b->extent_count * EXTENT_SIZE;
	out = p = malloc(*len);
	if (out == NULL)
		return NULL;
	p = put_u8(p, RECORD_VERSION);
	p = put_u64(p, b->size);
	p = put_extents(p, b->extents, b->extent_count);
	assert(p == out + *len);
	return out;
}

/* ---- decoding: reads on past the end give zeroes and are found by `bad` at last ---- */

struct input {
	struct bytes left;
	bool bad;
};

static const uint8_t *take(struct input *in, size_t n)
{
	static const uint8_t zeroes[MIDSTATE_SIZE];
	const uint8_t *p = in->left.data;

	if (in->left.len < n) {
		in->bad = true;
		assert(n <= sizeof(zeroes));
		return zeroes;
	}
	in->left.data += n;
	in->left.len -= n;
	return p;
}

static uint64_t take_u64(struct input *in)
{
	return bytes_get_u64(take(in, 8));
}

static struct bytes take_meta(struct input *in)
{
	struct bytes meta = { .len = bytes_get_u16(take(in, 2)) };

	if (meta.len > STORE_META_MAX || meta.len > in->left.len) {
		in->bad = true;
		return (struct bytes){ 0 };
	}
	meta.data = take(in, meta.len);
	return meta;
}

static struct extent take_extent(struct input *in)
{
	struct extent x;

	x.locator = take_u64(in);
	x.start = take_u64(in);
	x.length = take_u64(in);
	x.place = bytes_get_u32(take(in, 4));
	if (x.locator == 0 || x.length == 0 || x.start > UINT64_MAX - x.length ||
	    x.place > PLACE_ALL)
		in->bad = true;
	return x;
}

/* The rest of the input as extents of `size` bytes together: free()'s, or NULL. */
static enum err_code take_extents(struct input *in, uint64_t size, struct extent **out,
				  size_t *count, struct err *e)
{
	size_t n = bytes_get_u32(take(in, 4));
	struct extent *v;

	if (in->bad || in->left.len != n * EXTENT_SIZE)
		return err_set(e, ERR_DAMAGED, "a record is not well formed");
	v = malloc(n > 0 ? n * sizeof(*v) : 1);
	if (v == NULL)
		return err_set(e, ERR_NOMEM, "%zu extents", n);
	for (size_t i = 0; i < n; i++) {
		v[i] = take_extent(in);
		in->bad |= v[i].length > size;
		size -= v[i].length;
	}
	if (in->bad || size != 0) {
		free(v);
		return err_set(e, ERR_DAMAGED, "a record's extents do not add up");
	}
	*out = v;
	*count = n;
	return ERR_OK;
}

static bool take_version(struct input *in)
{
	return *take(in, 1) == RECORD_VERSION && !in->bad;
}

static void take_hash(struct input *in, struct upload *u)
{
	if (u->finished)
		memcpy(u->digest.b, take(in, sizeof(u->digest.b)), sizeof(u->digest.b));
	else
		memcpy(u->midstate.b, take(in, sizeof(u->midstate.b)), sizeof(u->midstate.b));
}

enum err_code record_decode_upload(const struct upload_id *id, struct bytes in, struct upload **out,
				   struct err *e)
{
	struct input input = { .left = in };
	struct extent *extents = NULL;
	struct upload u = { .id = *id };
	uint8_t state;
	enum err_code rc;

	if (!take_version(&input))
		return err_set(e, ERR_DAMAGED, "an upload's record has no version known here");
	state = *take(&input, 1);
	u.finished = state != 0;
	u.kind = *take(&input, 1);
	u.recipients = bytes_get_u16(take(&input, 2));
	u.offset = take_u64(&input);
	u.length = take_u64(&input);
	u.created_s = (int64_t)take_u64(&input);
	u.expires_s = (int64_t)take_u64(&input);
	take_hash(&input, &u);
	u.meta = take_meta(&input);
	input.bad |= state > 1;
	rc = take_extents(&input, u.offset, &extents, &u.extent_count, e);
	if (rc != ERR_OK)
		return rc;
	u.extents = extents;
	*out = upload_clone(&u);
	free(extents);
	return *out != NULL ? ERR_OK : err_set(e, ERR_NOMEM, "a record");
}

enum err_code record_decode_blob(struct bytes in, struct blob *out, struct err *e)
{
	struct input input = { .left = in };
	uint64_t size;
	enum err_code rc;

	if (!take_version(&input))
		return err_set(e, ERR_DAMAGED, "a blob's record has no version known here");
	size = take_u64(&input);
	rc = take_extents(&input, size, &out->extents, &out->extent_count, e);
	if (rc == ERR_OK)
		out->size = size;
	return rc;
}

/* ---- extents ---- */

static bool continues(const struct extent *last, uint64_t locator, uint64_t start, uint32_t place)
{
	return last->locator == locator && last->start + last->length == start &&
	       (last->place & PLACE_SEGMENT) == (place & PLACE_SEGMENT);
}

static bool extents_room(struct extents *x)
{
	size_t room = x->room > 0 ? x->room * 2 : 4;
	struct extent *v;

	if (x->count < x->room)
		return true;
	v = realloc(x->v, room * sizeof(*v));
	if (v == NULL)
		return false;
	x->v = v;
	x->room = room;
	return true;
}

bool extents_add(struct extents *x, uint64_t locator, uint64_t start, uint64_t length,
		 uint32_t place)
{
	struct extent *last = x->count > 0 ? &x->v[x->count - 1] : NULL;

	if (last != NULL && continues(last, locator, start, place)) {
		last->place |= place | (start % CHUNK_MAX != 0 ? PLACE_UNEVEN : 0);
		last->length += length;
		return true;
	}
	if (!extents_room(x))
		return false;
	x->v[x->count++] = (struct extent){ locator, start, length, place };
	return true;
}

void extents_fini(struct extents *x)
{
	free(x->v);
	*x = (struct extents){ 0 };
}

uint64_t extents_end(const struct extent *v, size_t count, uint64_t locator)
{
	for (size_t i = count; i-- > 0;)
		if (v[i].locator == locator)
			return v[i].start + v[i].length;
	return 0;
}
