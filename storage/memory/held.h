/* held - what the memory engine keeps: runs of bytes, blobs, uploads; and who goes with whom. All
 * of it under memory.lock, which the caller holds. Functions that make something give NULL without
 * memory. */
#ifndef RESTANTE_STORAGE_MEMORY_HELD_H
#define RESTANTE_STORAGE_MEMORY_HELD_H

#include <pthread.h>

#include "storage/acks.h"
#include "storage/engine.h"
#include "storage/memory/pieces.h"

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* The bytes of one upload, later of one blob; its locator is its name. */
struct run {
	uint64_t locator;
	uint64_t length;
	struct pieces pieces;
	UT_hash_handle hh;
};

/* A composed one has leaves, whose runs its extents lie in, and no run of its own. */
struct held_blob {
	struct digest digest;
	uint64_t size;
	uint64_t holders, needers; /* finished uploads; composed blobs that it is a leaf of */
	struct run *run;           /* NULL: no bytes of its own */
	struct extent *extents;
	size_t extent_count;
	struct held_blob **leaves; /* each once */
	size_t leaf_count;
	UT_hash_handle hh;
};

struct held_upload {
	struct upload_id id;
	bool terminated;    /* a tombstone: of rec only id and expires_s count */
	struct upload *rec; /* NULL: about to be made */
	struct run *run;    /* of an unfinished one; NULL: no bytes yet */
	struct acks acks;   /* of a finished one */
	UT_hash_handle hh;
};

struct memory {
	pthread_mutex_t lock;
	uint64_t next_locator;
	struct run *runs;
	struct held_blob *blobs;
	struct held_upload *uploads;
};

struct run *run_new(struct memory *m);
struct run *run_find(struct memory *m, uint64_t locator);
void run_free(struct memory *m, struct run *r); /* NULL is fine */

/* With room for extents and leaves, which it has none of yet; nobody holds it. */
struct held_blob *blob_new(struct memory *m, const struct digest *d, size_t extents, size_t leaves);
struct held_blob *blob_find(struct memory *m, const struct digest *d);
void blob_free(struct memory *m, struct held_blob *b); /* its run too */

/* Frees a blob that nobody holds or needs, and then its leaves, if nobody else does. */
void blob_settle(struct memory *m, struct held_blob *b);

struct held_upload *upload_new(struct memory *m, const struct upload_id *id);
struct held_upload *upload_find(struct memory *m, const struct upload_id *id);

/* ERR_OK, or why a lookup would not give it: ERR_NOTFOUND (u is NULL), ERR_DELETED. */
enum err_code upload_there(const struct held_upload *u, struct err *e);

/* Gives up what an upload has: its blob, or bytes of its own. */
void upload_strip(struct memory *m, struct held_upload *u);
void held_upload_free(struct memory *m, struct held_upload *u);

/* ---- join.c ---- */

enum err_code memory_concat(void *self, const struct upload *rec, bool fresh,
			    const struct upload_id *parts, size_t part_count, bool *deduplicated,
			    struct upload **out, struct err *e);
enum err_code memory_reuse(void *self, const struct upload *rec, struct upload **out,
			   struct err *e);

#endif
