/* record - the keys and values of the records column family. Encodes and decodes, no I/O; any
 * thread. All integers are big-endian, so that keys sort by number; DESIGN.md has the table.
 *
 * Decoding is strict: a value that says too little, too much or nonsense is ERR_DAMAGED. */
#ifndef RESTANTE_STORAGE_ROCKSDB_RECORD_H
#define RESTANTE_STORAGE_ROCKSDB_RECORD_H

#include "storage/acks.h"
#include "storage/engine.h"
#include "storage/rocksdb/extents.h"

/* First byte of a key. */
#define KEY_ACKS 'A'       /* + id: who of its recipients has it; from the first one on */
#define KEY_BLOB 'B'       /* + digest: size, leaves and extents */
#define KEY_NEED 'C'       /* + leaf + digest: nothing. That composed blob needs this leaf */
#define KEY_DUE 'D'        /* + expires_s + id: nothing. One for every upload and tombstone */
#define KEY_GARBAGE 'G'    /* + locator + start: length. Segments nobody needs, to be removed */
#define KEY_HOLDER 'H'     /* + digest + id: nothing. This upload holds that blob */
#define KEY_META 'M'       /* + name: what concerns the whole store */
#define KEY_UNFINISHED 'N' /* + id: nothing. One for every unfinished upload */
#define KEY_OPEN 'O' /* + locator: id. Bytes beyond what that upload's record counts are junk */
#define KEY_BUCKET \
	'Q' /* + bucket + id: weight, created_s. One for every upload that has a bucket */
#define KEY_UPLOAD 'U' /* + id: the record */

struct key {
	uint8_t b[1 + 2 * sizeof(struct digest)];
	size_t len;
};

struct key key_acks(const struct upload_id *id);
struct key key_blob(const struct digest *d);
struct key key_bucket(const struct bucket_id *b, const struct upload_id *id);
struct key key_due(int64_t expires_s, const struct upload_id *id);
struct key key_garbage(uint64_t locator, uint64_t start);
struct key key_holder(const struct digest *d, const struct upload_id *id);
struct key key_meta(const char *name); /* at most 32 characters */
struct key key_need(const struct digest *leaf, const struct digest *composed);
struct key key_open(uint64_t locator);
struct key key_unfinished(const struct upload_id *id);
struct key key_upload(const struct upload_id *id);

int key_compare(const struct key *a, const struct key *b); /* as memcmp() */

/* The first key behind all that begin like `k` in its first n bytes. */
struct key key_behind(const struct key *k, size_t n);

/* A key of the rows and segments families: no first byte. */
struct key key_piece(uint64_t locator, uint64_t offset);

/* False if key is no piece's. */
bool key_piece_parse(struct bytes key, uint64_t *locator, uint64_t *offset);

/* Encode into fresh memory, the caller's to free(); NULL without memory. The blob is the one that a
 * finished upload holds, as it is in its record. */
uint8_t *record_encode_upload(const struct upload *u, size_t *len);
uint8_t *record_encode_blob(const struct upload *u, const struct leaves *leaves, size_t *len);

/* ERR_DAMAGED. */
#define ACKS_SIZE (1 + ACKS_BYTES)
void record_encode_acks(uint8_t out[static ACKS_SIZE], const struct acks *a);
enum err_code record_decode_acks(struct bytes in, struct acks *out, struct err *e);

/* What its bucket knows of an upload. Decoding is false if `in` is no such thing. */
#define SHARE_SIZE (8 + 8)
void record_encode_share(uint8_t out[static SHARE_SIZE], const struct upload *u);
bool record_decode_share(struct bytes in, uint64_t *weight, int64_t *created_s);

/* What is left of a terminated upload. */
#define TOMBSTONE_SIZE (1 + 1 + 8)
void record_encode_tombstone(uint8_t out[static TOMBSTONE_SIZE], int64_t until_s);

/* *out is upload_free()'s; out->extents is free()'s, digest is left alone, and *leaves (unless
 * NULL) is leaves_fini()'s. ERR_NOMEM, ERR_DAMAGED; ERR_DELETED: a tombstone. */
enum err_code record_decode_upload(const struct upload_id *id, struct bytes in, struct upload **out,
				   struct err *e);
enum err_code record_decode_blob(struct bytes in, struct blob *out, struct leaves *leaves,
				 struct err *e);

/* False if `in` is no tombstone. */
bool record_decode_tombstone(struct bytes in, int64_t *until_s);

#endif
