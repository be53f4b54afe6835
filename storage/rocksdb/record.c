#include "storage/rocksdb/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define UPLOAD_VERSION 2 /* 1 had no bucket and no spent_until_s */
#define TOMBSTONE_VERSION 1
#define ACKS_VERSION 1
#define BLOB_VERSION 2 /* 1 had no leaves */
#define EXTENT_SIZE (8 + 8 + 8 + 4)
#define UPLOAD_FIXED (1 + 1 + 1 + 2 + 5 * 8 + 16 + 2 + 4)
#define BLOB_FIXED (1 + 8 + 4 + 4)

enum upload_state { STATE_OPEN, STATE_FINISHED, STATE_TERMINATED };

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

struct key key_acks(const struct upload_id *id)
{
	struct key k = key_new(KEY_ACKS);

	key_add(&k, id->b, sizeof(id->b));
	return k;
}

struct key key_blob(const struct digest *d)
{
	struct key k = key_new(KEY_BLOB);

	key_add(&k, d->b, sizeof(d->b));
	return k;
}

struct key key_bucket(const struct bucket_id *b, const struct upload_id *id)
{
	struct key k = key_new(KEY_BUCKET);

	key_add(&k, b->b, sizeof(b->b));
	key_add(&k, id->b, sizeof(id->b));
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

struct key key_need(const struct digest *leaf, const struct digest *composed)
{
	struct key k = key_new(KEY_NEED);

	key_add(&k, leaf->b, sizeof(leaf->b));
	key_add(&k, composed->b, sizeof(composed->b));
	return k;
}

struct key key_open(uint64_t locator)
{
	struct key k = key_new(KEY_OPEN);

	key_add_u64(&k, locator);
	return k;
}

struct key key_unfinished(const struct upload_id *id)
{
	struct key k = key_new(KEY_UNFINISHED);

	key_add(&k, id->b, sizeof(id->b));
	return k;
}

struct key key_upload(const struct upload_id *id)
{
	struct key k = key_new(KEY_UPLOAD);

	key_add(&k, id->b, sizeof(id->b));
	return k;
}

int key_compare(const struct key *a, const struct key *b)
{
	int order = memcmp(a->b, b->b, a->len < b->len ? a->len : b->len);

	if (order != 0)
		return order;
	return a->len < b->len ? -1 : a->len > b->len;
}

struct key key_behind(const struct key *k, size_t n)
{
	struct key end = *k;

	assert(n > 0 && k->b[0] < 0xff);
	for (end.len = n; end.b[end.len - 1] == 0xff; end.len--)
		;
	end.b[end.len - 1]++;
	return end;
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
	p = put_u8(p, UPLOAD_VERSION);
	p = put_u8(p, u->finished ? STATE_FINISHED : STATE_OPEN);
	p = put_u8(p, u->kind);
	p = put_u16(p, u->recipients);
	p = put_u64(p, u->offset);
	p = put_u64(p, u->length);
	p = put_u64(p, (uint64_t)u->created_s);
	p = put_u64(p, (uint64_t)u->expires_s);
	p = put(p, u->bucket.b, sizeof(u->bucket.b));
	p = put_u64(p, (uint64_t)u->spent_until_s);
	p = u->finished ? put(p, u->digest.b, sizeof(u->digest.b))
			: put(p, u->midstate.b, sizeof(u->midstate.b));
	p = put_u16(p, (uint16_t)u->meta.len);
	p = put(p, u->meta.data, u->meta.len);
	p = put_extents(p, u->extents, u->extent_count);
	assert(p == out + *len);
	return out;
}

void record_encode_tombstone(uint8_t out[static TOMBSTONE_SIZE], int64_t until_s)
{
	uint8_t *p = put_u8(out, TOMBSTONE_VERSION);

	p = put_u8(p, STATE_TERMINATED);
	(void)put_u64(p, (uint64_t)until_s);
}

void record_encode_share(uint8_t out[static SHARE_SIZE], const struct upload *u)
{
	(void)put_u64(put_u64(out, upload_weight(u)), (uint64_t)u->created_s);
}

void record_encode_acks(uint8_t out[static ACKS_SIZE], const struct acks *a)
{
	(void)put(put_u8(out, ACKS_VERSION), a->bits, sizeof(a->bits));
}

uint8_t *record_encode_blob(const struct upload *u, const struct leaves *leaves, size_t *len)
{
	const size_t digests = leaves->count * sizeof(*leaves->v);
	uint8_t *out, *p;

	*len = BLOB_FIXED + digests + u->extent_count * EXTENT_SIZE;
	out = p = malloc(*len);
	if (out == NULL)
		return NULL;
	p = put_u8(p, BLOB_VERSION);
	p = put_u64(p, u->offset);
	p = put_u32(p, (uint32_t)leaves->count);
	p = put(p, leaves->v, digests);
	p = put_extents(p, u->extents, u->extent_count);
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
		in->bad |= v[i].length > size || ((v[i].place ^ v[0].place) & PLACE_BORROWED);
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

/* Points into the input. */
static struct bytes take_leaves(struct input *in)
{
	struct bytes v = { .len = bytes_get_u32(take(in, 4)) };

	if (v.len > in->left.len / sizeof(struct digest)) {
		in->bad = true;
		return (struct bytes){ 0 };
	}
	v.len *= sizeof(struct digest);
	v.data = in->left.data;
	in->left.data += v.len;
	in->left.len -= v.len;
	return v;
}

static void take_bucket(struct input *in, struct upload *u)
{
	memcpy(u->bucket.b, take(in, sizeof(u->bucket.b)), sizeof(u->bucket.b));
	u->spent_until_s = (int64_t)take_u64(in);
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
	int64_t until_s;
	uint8_t version, state;
	enum err_code rc;

	if (record_decode_tombstone(in, &until_s))
		return err_set(e, ERR_DELETED, "it was terminated");
	version = *take(&input, 1);
	if (version == 0 || version > UPLOAD_VERSION || input.bad)
		return err_set(e, ERR_DAMAGED, "an upload's record has no version known here");
	state = *take(&input, 1);
	u.finished = state == STATE_FINISHED;
	u.kind = *take(&input, 1);
	u.recipients = bytes_get_u16(take(&input, 2));
	u.offset = take_u64(&input);
	u.length = take_u64(&input);
	u.created_s = (int64_t)take_u64(&input);
	u.expires_s = (int64_t)take_u64(&input);
	if (version > 1)
		take_bucket(&input, &u);
	take_hash(&input, &u);
	u.meta = take_meta(&input);
	input.bad |= state > STATE_FINISHED || u.recipients > STORE_RECIPIENTS_MAX;
	rc = take_extents(&input, u.offset, &extents, &u.extent_count, e);
	if (rc != ERR_OK)
		return rc;
	u.extents = extents;
	*out = upload_clone(&u);
	free(extents);
	return *out != NULL ? ERR_OK : err_set(e, ERR_NOMEM, "a record");
}

bool record_decode_tombstone(struct bytes in, int64_t *until_s)
{
	if (in.len != TOMBSTONE_SIZE || in.data[0] != TOMBSTONE_VERSION ||
	    in.data[1] != STATE_TERMINATED)
		return false;
	*until_s = (int64_t)bytes_get_u64(in.data + 2);
	return true;
}

bool record_decode_share(struct bytes in, uint64_t *weight, int64_t *created_s)
{
	if (in.len != SHARE_SIZE)
		return false;
	*weight = bytes_get_u64(in.data);
	*created_s = (int64_t)bytes_get_u64(in.data + 8);
	return true;
}

enum err_code record_decode_acks(struct bytes in, struct acks *out, struct err *e)
{
	if (in.len != ACKS_SIZE || in.data[0] != ACKS_VERSION)
		return err_set(e, ERR_DAMAGED, "an upload's acknowledgements are not well formed");
	memcpy(out->bits, in.data + 1, sizeof(out->bits));
	return ERR_OK;
}

static enum err_code keep_leaves(struct leaves *out, struct bytes v, struct err *e)
{
	struct leaves l = { 0 };

	if (!leaves_add(&l, (const struct digest *)v.data, v.len / sizeof(struct digest)))
		return err_set(e, ERR_NOMEM, "a blob's leaves");
	*out = l;
	return ERR_OK;
}

/* Extents are borrowed from leaves: the one does not go without the other. */
static enum err_code check_leaves(const struct extent *v, size_t count, struct bytes leaves,
				  struct err *e)
{
	if (extents_borrowed(v, count) == (leaves.len > 0))
		return ERR_OK;
	return err_set(e, ERR_DAMAGED, "a blob's leaves do not go with its extents");
}

enum err_code record_decode_blob(struct bytes in, struct blob *out, struct leaves *leaves,
				 struct err *e)
{
	struct input input = { .left = in };
	const uint8_t version = *take(&input, 1);
	struct extent *extents = NULL;
	struct bytes digests = { 0 };
	uint64_t size;
	size_t count = 0;
	enum err_code rc;

	if (version == 0 || version > BLOB_VERSION || input.bad)
		return err_set(e, ERR_DAMAGED, "a blob's record has no version known here");
	size = take_u64(&input);
	if (version > 1)
		digests = take_leaves(&input);
	rc = take_extents(&input, size, &extents, &count, e);
	if (rc == ERR_OK)
		rc = check_leaves(extents, count, digests, e);
	if (rc == ERR_OK && leaves != NULL)
		rc = keep_leaves(leaves, digests, e);
	if (rc != ERR_OK) {
		free(extents);
		return rc;
	}
	out->size = size;
	out->extents = extents;
	out->extent_count = count;
	return ERR_OK;
}
