/* engine - what a storage engine fills in. Only store.c calls through it, so arguments are checked,
 * calls counted and gaps filled in once, for every engine. Promises, errors and threads are those
 * of store.h; the words here say what differs.
 *
 * An engine needs to be able to do no more than this, so that object stores can be engines: atomic
 * per upload, no transaction over several but "finish", no local paths, bytes by offset. */
#ifndef RESTANTE_STORAGE_ENGINE_H
#define RESTANTE_STORAGE_ENGINE_H

#include "storage/store.h"

/* How an upload is dropped, and what came of it. */
struct dropping {
	int64_t remember_until_s; /* 0: not at all, unless its id is spent */
	bool expired;             /* only if it is due at due_s, a tombstone too; durable with the
				   * next call that is, or taken back by a crash */
	int64_t due_s;
	struct dropped gone; /* out */
};

struct engine {
	const char *name; /* as written in restante.conf */

	enum err_code (*open)(void **self, const struct store_options *opt, struct err *e);
	void (*close)(void *self); /* frees self */

	/* fresh: rec is the upload to be; else it is what lookup just returned, unfinished. rec is
	 * borrowed for the call. *w is the engine's own writer. */
	enum err_code (*write_open)(void *self, const struct upload *rec, bool fresh,
				    uint64_t expect, void **w, struct err *e);
	/* data is not empty, does not cross the grid, and continues at the end */
	enum err_code (*stage)(void *self, void *w, struct bytes data, struct err *e);
	/* *deduplicated says whether the blob was there; *rec as in store.h, NULL if not asked */
	enum err_code (*commit)(void *self, void *w, const struct commit *c, bool *deduplicated,
				struct upload **rec, struct err *e);
	void (*write_close)(void *self, void *w);

	enum err_code (*lookup)(void *self, const struct upload_id *id, struct upload **out,
				struct err *e);
	enum err_code (*read)(void *self, const struct extent *x, uint64_t at, struct chunk **out,
			      struct err *e);
	/* The same, but for what would have to be waited for: ERR_BUSY. NULL: everything */
	enum err_code (*lookup_now)(void *self, const struct upload_id *id, struct upload **out,
				    struct err *e);
	enum err_code (*read_now)(void *self, const struct extent *x, uint64_t at,
				  struct chunk **out, struct err *e);
	/* rec: as it is to be, finished, but for its extents. fresh: nothing of that id may be
	 * there; else what check_final() says */
	enum err_code (*concat)(void *self, const struct upload *rec, bool fresh,
				const struct upload_id *parts, size_t part_count,
				bool *deduplicated, struct upload **out, struct err *e);
	/* rec: as it is to be, finished, but for its size and its extents */
	enum err_code (*reuse)(void *self, const struct upload *rec, struct upload **out,
			       struct err *e);
	enum err_code (*drop)(void *self, const struct upload_id *id, struct dropping *d,
			      struct err *e);
	enum err_code (*extend)(void *self, const struct upload_id *id, int64_t expires_s,
				struct err *e);
	/* recipient is at most STORE_RECIPIENTS_MAX and not 0; remember_until_s is not 0 */
	enum err_code (*acknowledge)(void *self, const struct upload_id *id, uint16_t recipient,
				     int64_t remember_until_s, uint16_t *left, struct dropped *out,
				     struct err *e);
	enum err_code (*next_open)(void *self, const struct upload_id *after, struct upload_id *out,
				   struct err *e);
	/* b is not all zero */
	enum err_code (*bucket)(void *self, const struct bucket_id *b, store_each *each, void *ctx,
				struct err *e);
	enum err_code (*due)(void *self, int64_t now, struct upload_id *ids, size_t max,
			     size_t *count, struct err *e);
	enum err_code (*overdue)(void *self, int64_t before_s, uint64_t max,
				 struct store_overdue *out, struct err *e);
	enum err_code (*blob)(void *self, const struct digest *d, struct blob *out, struct err *e);
	enum err_code (*next_blob)(void *self, const struct digest *after, struct blob *out,
				   struct err *e);
	enum err_code (*snapshot)(void *self, const char *dir, struct err *e); /* NULL: cannot */
	enum err_code (*give_back)(void *self, uint64_t budget_ms,
				   struct err *e);            /* NULL: nothing to */
	void (*hurry)(void *self);                            /* NULL: nothing takes long */
	void (*measure)(void *self, struct store_stats *out); /* what is alive, what is on disk */
};

/* For engines: whether an upload that is there, if one is (NULL: none), lets `rec` be put in its
 * place by a concatenation. A tombstone is the engine's to find. ERR_EXISTS, ERR_NOTFOUND. */
enum err_code check_final(const struct upload *there, const struct upload *rec, bool fresh,
			  struct err *e);

/* For engines: ERR_EXISTS if what has this date stays; and until when an upload that goes is to be
 * remembered, 0: not at all. */
enum err_code dropping_due(const struct dropping *d, int64_t date_s, struct err *e);
int64_t dropping_until(const struct dropping *d, const struct upload *u);

/* For engines: adds an upload that is due. */
void overdue_add(struct store_overdue *o, const struct upload *u);

extern const struct engine engine_rocksdb, engine_memory, engine_faulty;

/* The engines a program knows, ended by NULL. storage/engines.c for the server; tests link their
 * own list, which has the faulty one too. */
extern const struct engine *const engines[];

#endif
