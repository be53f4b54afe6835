/* record - the keys and values of the records column family. Encodes and decodes, no I/O; any
 * thread. All integers are big-endian, so that keys sort by number; DESIGN.md has the table.
 *
 * Decoding is strict: a value that says too little, too much or nonsense is ERR_DAMAGED. */
#ifndef RESTANTE_STORAGE_ROCKSDB_RECORD_H
#define RESTANTE_STORAGE_ROCKSDB_RECORD_H

#include "storage/engine.h"

/* First byte of a key. */
#define KEY_BLOB 'B'    /* + digest: size and extents */
#define KEY_DUE 'D'     /* + expires_s + id: nothing. One for every upload */
#define KEY_GARBAGE 'G' /* + locator + start: length. Segments nobody needs, to be removed */
#define KEY_HOLDER 'H'  /* + digest + id: nothing. This upload holds that blob */
#define KEY_META 'M'    /* + name: what concerns the whole store */
#define KEY_OPEN 'O'    /* + locator: id. Bytes beyond what that upload's record counts are junk */
#define KEY_UPLOAD 'U'  /* + id: the record */

/* What extent.place says. Bits. */
#define PLACE_SEGMENT 1u /* else rows */
#define PLACE_UNEVEN 2u  /* some piece starts neither with the extent nor on the grid */
#define PLACE_ALL (PLACE_SEGMENT | PLACE_UNEVEN)

struct key {
	uint8_t b[1 + sizeof(struct digest) + sizeof(struct upload_id)];
	size_t len;
};

struct key key_blob(const struct digest *d);
struct key key_due(int64_t expires_s, const struct upload_id *id);
struct key key_garbage(uint64_t locator, uint64_t start);
struct key key_holder(const struct digest *d, const struct upload_id *id);
struct key key_meta(const char *name); /* at most 32 characters */
struct key key_open(uint64_t locator);
struct key key_upload(const struct upload_id *id);

/* A key of the rows and segments families: no first byte. */
struct key key_piece(uint64_t locator, uint64_t offset);

/* False if key is no piece's. */
bool key_piece_parse(struct bytes key, uint64_t *locator, uint64_t *offset);

/* Encode into fresh memory, the caller's to free(); NULL without memory. */
uint8_t *record_encode_upload(const struct upload *u, size_t *len);
uint8_t *record_encode_blob(const struct blob *b, size_t *len);

/* *out is upload_free()'s; out->extents is free()'s, and digest is left alone. ERR_NOMEM,
 * ERR_DAMAGED. */
enum err_code record_decode_upload(const struct upload_id *id, struct bytes in, struct upload **out,
				   struct err *e);
enum err_code record_decode_blob(struct bytes in, struct blob *out, struct err *e);

/* Extents being gathered. Zeroes are an empty list. */
struct extents {
	struct extent *v;
	size_t count, room;
};

/* Adds a piece at the end, to the last extent where it continues that one. False without memory. */
bool extents_add(struct extents *x, uint64_t locator, uint64_t start, uint64_t length,
		 uint32_t place);
void extents_fini(struct extents *x);

/* Where the bytes that count end in a locator: 0 if none do. */
uint64_t extents_end(const struct extent *v, size_t count, uint64_t locator);

#endif
