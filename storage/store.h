/* store - what the server calls to keep uploads and blobs. Which engine keeps them is chosen at
 * store_open(); nothing above this header knows.
 *
 * Words: an upload is what a client creates and appends to; a blob is content, addressed by its
 * SHA-256; a finished upload holds a blob, and a blob goes with the last upload that holds it.
 *
 * Threads: any thread may call, several at once, except that a writer belongs to one thread at a
 * time and an upload has at most one writer at a time (the caller sees to that). Calls may wait
 * for a disk, but for those whose names end in _now: never call others from an event loop. */
#ifndef RESTANTE_STORAGE_STORE_H
#define RESTANTE_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/ids.h"
#include "storage/chunk.h"

#define STORE_FORMAT 5            /* of what is on disk; a store with a larger one is refused */
#define STORE_META_MAX 12288      /* bytes of client metadata an upload may carry */
#define STORE_PARTS_MAX 256       /* uploads that one may be put together from */
#define STORE_RECIPIENTS_MAX 1024 /* of one upload */
#define STORE_EXTENTS_MAX 16384   /* extents that may come to */
#define UPLOAD_LENGTH_UNKNOWN UINT64_MAX

struct store;
struct writer;

struct store_options {
	const char *dir;            /* folder of the store, made if missing; memory ignores it */
	bool existing;              /* a store that is not there is not made: ERR_NOTFOUND */
	uint64_t segment_threshold; /* appends expected to be at least this long go as segments */
	uint64_t segment_size;      /* bytes in a segment */
	uint64_t write_buffer;      /* bytes the engine may gather in memory before it flushes */
	const char *faults;         /* faulty only: its schedule, NULL for none */
};

/* A run of bytes somewhere in the engine: only the engine reads locator and place. start is an
 * offset in the locator's own space, in which chunks lie on the CHUNK_MAX grid. */
struct extent {
	uint64_t locator;
	uint64_t start;
	uint64_t length;
	uint32_t place;
};

/* The record of an upload. Made by store_lookup(), immutable, freed with upload_free(). */
struct upload {
	struct upload_id id;
	bool finished;
	uint64_t offset;              /* durable bytes; of a finished one its size */
	uint64_t length;              /* or UPLOAD_LENGTH_UNKNOWN */
	int64_t created_s, expires_s; /* Unix time */
	uint8_t kind;                 /* the server's own numbering */
	uint16_t recipients;
	struct midstate midstate; /* of an unfinished one: of the bytes before offset */
	struct digest digest;     /* of a finished one */
	struct bytes meta;        /* what the client said of it, at most STORE_META_MAX */
	struct bucket_id bucket;  /* it counts against; all zero: none */
	int64_t spent_until_s;    /* its id must not be used again before; 0: no matter */
	size_t extent_count;      /* where the bytes before offset lie, in order, gapless */
	const struct extent *extents;
};

/* What a commit changes besides adding bytes. */
struct commit {
	struct bytes tail; /* last bytes, behind the staged ones; at most CHUNK_MAX and
			    * not across the grid; may be empty */
	const struct midstate
		*midstate;           /* over all bytes up to and with tail; NULL when finishing */
	const struct digest *digest; /* NULL: the upload stays open. Else it is finished with this
				      * digest, which the caller has computed over all its bytes */
	uint64_t length;             /* as in the record, from now on */
	int64_t expires_s;
};

/* Opens a store by the name of its engine ("rocksdb", "memory", …). Leftovers of a crash are found
 * and removed. ERR_NOTFOUND: no such engine. ERR_BUSY: the folder is in use. ERR_FORMAT: written
 * by a newer version. ERR_IO. */
enum err_code store_open(struct store **out, const char *engine, const struct store_options *opt,
			 struct err *e);

/* Everything acknowledged stays. NULL is fine. No writer may be left. */
void store_close(struct store *s);

/* Starts writing a new upload: `rec` gives id, length, created_s, expires_s, kind, recipients,
 * bucket, spent_until_s and meta (borrowed until the call returns); offset must be 0. Nothing is
 * durable, and lookup does not find it, before the first commit. `expect` is how many bytes this
 * writer is likely to get (0: unknown) and steers how they are laid down. That the id is taken is
 * found at the first commit. */
enum err_code store_create(struct store *s, const struct upload *rec, uint64_t expect,
			   struct writer **out, struct err *e);

/* Starts writing at the end of an unfinished upload; `offset` is where the caller believes the end
 * is: ERR_OFFSET if it is not. ERR_NOTFOUND. ERR_EXISTS: finished already. */
enum err_code store_append(struct store *s, const struct upload_id *id, uint64_t offset,
			   uint64_t expect, struct writer **out, struct err *e);

/* Lays down the next bytes: at most CHUNK_MAX of them and not across the grid of upload offsets.
 * They do not count, and nobody sees them, before a commit; a crash or writer_close() takes them
 * back. After an error only writer_close() may follow. ERR_FULL, ERR_IO, ERR_NOMEM. */
enum err_code writer_stage(struct writer *w, struct bytes data, struct err *e);

/* Makes everything staged, the tail, and the record durable together; after a crash all of it is
 * there or none. When it finishes the upload and a blob of that digest is there already, the
 * upload holds that one, and the bytes written here are given back. *rec (unless NULL) is the
 * record as it now is, the caller's to free. May be called again for more bytes unless finished.
 * ERR_EXISTS: an upload of that id is there; ERR_DELETED: one was terminated, and that is still
 * remembered. ERR_NOTFOUND: it was dropped meanwhile. ERR_FULL, ERR_IO, ERR_NOMEM: nothing has
 * changed. After any of them only writer_close() may follow. */
enum err_code writer_commit(struct writer *w, const struct commit *c, struct upload **rec,
			    struct err *e);

/* Offset up to which bytes are durable. */
uint64_t writer_durable(const struct writer *w);

/* Ends a writer; what is not committed is given back. NULL is fine. */
void writer_close(struct writer *w);

/* Makes a new upload, finished, of the bytes of others, in this order, without copying them; the
 * same may come several times. `rec` says what it is to be, as in store_create(). Every part is
 * finished; `digest` and `length` are over all the bytes, found by the caller. The parts stay what
 * they are, and their bytes stay as long as anyone needs them, whoever is dropped first. Durable,
 * all or nothing. *out (unless NULL) is the record as it now is. ERR_NOTFOUND: a part is not there
 * (any more), or not finished. ERR_EXISTS: an upload of that id is there, whatever it is.
 * ERR_DELETED: one was terminated, and that is still remembered. ERR_TOOBIG: too many parts, or
 * they lie in more than STORE_EXTENTS_MAX extents, as they do when concatenations of concatenations
 * multiply. ERR_DIGEST: the parts are not of that length. */
enum err_code store_concat(struct store *s, const struct upload *rec, const struct upload_id *parts,
			   size_t part_count, const struct digest *digest, uint64_t length,
			   struct upload **out, struct err *e);

/* The same for an upload that is there and has waited for its parts: `rec` is its record as it was
 * looked up, but for expires_s. It is finished if it still is what that says: unfinished, without
 * bytes, made at the same time, with the same metadata and bucket. ERR_EXISTS: it is not.
 * ERR_NOTFOUND: it is not there (any more), too. */
enum err_code store_complete(struct store *s, const struct upload *rec,
			     const struct upload_id *parts, size_t part_count,
			     const struct digest *digest, uint64_t length, struct upload **out,
			     struct err *e);

/* Makes a new upload, finished, of a blob that is there, with no bytes sent; `rec` as in
 * store_concat(), its length left alone. Durable, all or nothing. *out (unless NULL) is the record
 * as it now is. ERR_NOTFOUND: no such blob. ERR_EXISTS, ERR_DELETED: as there. */
enum err_code store_reuse(struct store *s, const struct upload *rec, const struct digest *digest,
			  struct upload **out, struct err *e);

/* The record of an upload as it is now; the caller's to free. ERR_NOTFOUND. ERR_DELETED: it was
 * terminated, and that is still remembered. Expiry is not looked at. */
enum err_code store_lookup(struct store *s, const struct upload_id *id, struct upload **out,
			   struct err *e);
void upload_free(struct upload *u); /* NULL is fine */

/* A copy of a record with its metadata and extents, in one allocation as upload_free() expects of
 * every record; NULL without memory. */
struct upload *upload_clone(const struct upload *u);

/* What an upload counts in its bucket: its length as soon as that is known, before that what it
 * has. */
uint64_t upload_weight(const struct upload *u);

bool bucket_given(const struct bucket_id *b); /* false: all zero */

/* Tells of every upload that counts against a bucket, finished or not; of none if that is all
 * zero. `each` must not call the store. */
typedef void store_each(void *ctx, uint64_t weight, int64_t created_s);
enum err_code store_bucket(struct store *s, const struct bucket_id *b, store_each *each, void *ctx,
			   struct err *e);

/* The stored bytes at `start` of an extent's locator: a chunk, the caller's reference, that begins
 * there and ends no later than the grid or extent does; it may be shorter, but not empty. `at`
 * lies within the extent. ERR_NOTFOUND: dropped meanwhile. ERR_DAMAGED: a checksum fails. */
enum err_code store_read(struct store *s, const struct extent *x, uint64_t at, struct chunk **out,
			 struct err *e);

/* The same two for an event loop, at the price of nothing but what can be had at once: ERR_BUSY if
 * a disk would have to be waited for. */
enum err_code store_lookup_now(struct store *s, const struct upload_id *id, struct upload **out,
			       struct err *e);
enum err_code store_read_now(struct store *s, const struct extent *x, uint64_t at,
			     struct chunk **out, struct err *e);

/* What has gone. */
struct dropped {
	struct bucket_id bucket; /* of the upload, */
	uint64_t weight;         /* and what it counted there at last; 0 of a tombstone */
	uint64_t freed;          /* bytes given up */
	bool blob_gone;
};

/* Removes an upload, and its blob if no other upload holds it; space is given back soon. Durable.
 * *out (unless NULL) tells what it was. While its record's spent_until_s has not come, nobody may
 * use its id again: if that is set, it is remembered until then, as by store_terminate().
 * ERR_NOTFOUND. ERR_DELETED: it was terminated before. Runs against readers safely: their chunks
 * stay, later reads fail NOTFOUND. */
enum err_code store_drop(struct store *s, const struct upload_id *id, struct dropped *out,
			 struct err *e);

/* The same, but until `until_s`, and at least until the record's spent_until_s, a lookup says
 * ERR_DELETED instead of ERR_NOTFOUND, because of the tombstone that is left. After that
 * store_due() names the upload, for a store_expire() that forgets it. */
enum err_code store_terminate(struct store *s, const struct upload_id *id, int64_t until_s,
			      struct dropped *out, struct err *e);

/* Drops what is due at due_s: an upload, or its tombstone. It need not be durable before the next
 * call that is: if the machine fails before, the upload is there again, all of it, and due. One
 * whose id is spent for longer leaves a tombstone. ERR_EXISTS: it is not due (any more), and
 * stays. ERR_NOTFOUND. */
enum err_code store_expire(struct store *s, const struct upload_id *id, int64_t due_s,
			   struct dropped *out, struct err *e);

/* Gives an upload, finished or not, another expiry. Durable. ERR_NOTFOUND. ERR_DELETED. No writer
 * of it may be open. */
enum err_code store_extend(struct store *s, const struct upload_id *id, int64_t expires_s,
			   struct err *e);

/* Notes that this recipient, a number from 1 to the record's, has a finished upload, and tells how
 * many have not; the last one's say drops it, as store_terminate() does until `until_s`, and writes
 * *out. Durable, all or nothing; the same again changes nothing. ERR_NOTFOUND: no such upload, or
 * not finished. ERR_DELETED. ERR_INVALID: no such recipient. */
enum err_code store_acknowledge(struct store *s, const struct upload_id *id, uint16_t recipient,
				int64_t until_s, uint16_t *left, struct dropped *out,
				struct err *e);

/* The first unfinished upload whose id is larger than *after (NULL: the first): those are indexed,
 * so that a start finds them without looking at all uploads. ERR_NOTFOUND: no more. */
enum err_code store_next_open(struct store *s, const struct upload_id *after, struct upload_id *out,
			      struct err *e);

/* Up to max ids of uploads whose expires_s <= now, the most overdue first; *count says how many. */
enum err_code store_due(struct store *s, int64_t now, struct upload_id *ids, size_t max,
			size_t *count, struct err *e);

/* What is due and still there. */
struct store_overdue {
	uint64_t finished, unfinished, tombstones;
	uint64_t bytes;    /* that dropping them would free at most: others may hold their blobs */
	uint64_t segments; /* files waiting to be removed whose uploads have gone */
	int64_t oldest_s;  /* since when the first is due; 0: none */
};

/* Counts, of what store_due() would name at before_s, the most overdue `max`. */
enum err_code store_overdue(struct store *s, int64_t before_s, uint64_t max,
			    struct store_overdue *out, struct err *e);

/* A blob and where it lies. */
struct blob {
	struct digest digest;
	uint64_t size;
	size_t extent_count;
	struct extent *extents; /* free(), by whoever got it */
};

/* The blob of that digest. ERR_NOTFOUND. It may go as soon as the call returns. */
enum err_code store_blob(struct store *s, const struct digest *d, struct blob *out, struct err *e);

/* The first blob whose digest is larger than *after (NULL: the first). ERR_NOTFOUND: no more. */
enum err_code store_next_blob(struct store *s, const struct digest *after, struct blob *out,
			      struct err *e);

/* Makes a copy of the store in a folder that does not exist, on the same file system: by hard
 * links, while everybody goes on. It holds everything that was durable before the call, and can be
 * opened as a store. ERR_EXISTS: the folder is there. ERR_INVALID: this engine cannot. ERR_FULL,
 * ERR_IO. */
enum err_code store_snapshot(struct store *s, const char *dir, struct err *e);

/* Returns the space of what was dropped to the file system now, instead of by and by: until at most
 * half of what is left of it is garbage, or about that many milliseconds are over (a step is not
 * interrupted). ERR_FULL, ERR_IO. */
enum err_code store_give_back(struct store *s, uint64_t budget_ms, struct err *e);

/* The program is about to end: calls that take long by design end soon from here on. Waits for
 * nothing but a step that is under way. Any thread. */
void store_hurry(struct store *s);

/* Counted since store_open, but for the last five, which are the store's as it is. */
struct store_stats {
	uint64_t stages, commits, concats, reuses, lookups, reads, drops, failures;
	uint64_t bytes_staged, bytes_read;
	uint64_t deduplicated;                    /* finishes that met their blob already there */
	uint64_t uploads_alive, uploads_finished; /* finished ones are alive too */
	uint64_t bytes_alive;                     /* of blobs and unfinished uploads, each once */
	uint64_t bytes_stored;                    /* in files of uploads and records */
	uint64_t bytes_on_disk; /* blocks of all files, as du says, a few seconds ago */
};
void store_stats(struct store *s, struct store_stats *out);

#endif
