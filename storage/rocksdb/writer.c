#include "storage/rocksdb/rdb.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_BEHIND (1u << 20) /* bytes of a segment handed to the disk at a time */

/* A segment being written: a file in tmp/ until it is ingested. */
struct segment {
	rocksdb_sstfilewriter_t *sst; /* NULL: none */
	char *path;
	int fd;                 /* the same file, to start write-back on */
	uint64_t bytes, behind; /* bytes in it; file size handed to the disk so far */
};

/* From `durable` to `end` lie the staged bytes, in rows or segments of `locator`, listed in
 * `extents` behind those of the record. */
struct rdb_writer {
	struct rdb *db;
	struct upload *rec; /* as it is durable; of a fresh upload, as it is to be */
	bool fresh;
	uint64_t first, durable, end; /* upload offsets: at open, committed, staged */
	uint64_t expect;
	uint64_t locator;          /* 0: none yet */
	bool marked, mark_durable; /* KEY_OPEN of the locator */
	struct extents extents;
	struct segment segment;
	struct pack_hold hold;     /* of rows: durable before the commit that counts them */
	bool hand_out;             /* the commit's caller wants the record */
	struct upload *handed_out; /* made before the write: nothing may fail after it */
};

/* ---- opening ---- */

/* An upload goes on in the locator it ended in, so that thousands of small appends are one extent.
 * Not if something uncommitted was left there: its pieces would show between ours. */
static enum err_code choose_locator(struct rdb_writer *w, struct err *e)
{
	const struct upload *u = w->rec;
	uint64_t last = u->extent_count > 0 ? u->extents[u->extent_count - 1].locator : 0;
	struct key mark = key_open(last);
	bool marked = false;
	enum err_code rc;

	if (last == 0)
		return ERR_OK;
	rc = rdb_has(w->db, &mark, &marked, e);
	if (rc == ERR_OK && !marked)
		w->locator = last;
	return rc;
}

static bool copy_extents(struct rdb_writer *w)
{
	const struct upload *u = w->rec;

	for (size_t i = 0; i < u->extent_count; i++)
		if (!extents_add(&w->extents, u->extents[i].locator, u->extents[i].start,
				 u->extents[i].length, u->extents[i].place))
			return false;
	return true;
}

static void writer_free(struct rdb_writer *w)
{
	if (w == NULL)
		return;
	upload_free(w->rec);
	upload_free(w->handed_out);
	extents_fini(&w->extents);
	free(w);
}

enum err_code rdb_write_open(void *self, const struct upload *rec, bool fresh, uint64_t expect,
			     void **out, struct err *e)
{
	struct rdb_writer *w = calloc(1, sizeof(*w));
	enum err_code rc;

	if (w == NULL)
		return err_set(e, ERR_NOMEM, "a writer");
	rdb_settle(self);
	w->db = self;
	w->fresh = fresh;
	w->expect = expect;
	w->first = w->durable = w->end = rec->offset;
	w->rec = upload_clone(rec);
	if (w->rec == NULL || !copy_extents(w)) {
		rc = err_set(e, ERR_NOMEM, "a writer's record");
		goto out;
	}
	rc = choose_locator(w, e);
	if (rc != ERR_OK)
		goto out;
	*out = w;
	w = NULL;
out:
	writer_free(w);
	return rc;
}

static enum err_code need_locator(struct rdb_writer *w, struct err *e)
{
	return w->locator != 0 ? ERR_OK : rdb_locator(w->db, &w->locator, e);
}

static void batch_mark(struct rdb_writer *w, struct batch *b)
{
	struct key k = key_open(w->locator);
	struct bytes id = { w->rec->id.b, sizeof(w->rec->id.b) };

	batch_put(w->db, b, CF_RECORDS, &k, id);
}

static enum err_code add_extent(struct rdb_writer *w, size_t len, uint32_t place, struct err *e)
{
	if (!extents_add(&w->extents, w->locator, w->end, len, place))
		return err_set(e, ERR_NOMEM, "an extent");
	w->end += len;
	return ERR_OK;
}

/* ---- segments ---- */

/* Once ingested, bytes stay on disk whatever happens; so the mark has to be durable before. */
static enum err_code mark_durably(struct rdb_writer *w, struct err *e)
{
	struct batch b;
	enum err_code rc;

	if (w->mark_durable)
		return ERR_OK;
	b = batch_new();
	batch_mark(w, &b);
	rc = rdb_write(w->db, &b, true, "mark a segment", e);
	batch_free(&b);
	w->marked = w->marked || rc == ERR_OK;
	w->mark_durable = rc == ERR_OK;
	return rc;
}

/* Whether the next bytes go as segments: those of an append that is long, known or grown to be,
 * except a rest too short to be worth a file. One that is committed in short steps is not expected
 * to be long any more: it would leave a file a step. */
static bool want_segment(const struct rdb_writer *w)
{
	uint64_t done = w->end - w->first, threshold = w->db->segment_threshold;
	bool known = w->expect > done;

	if (!rdb_takes_segments(w->db))
		return false;
	if (known && w->expect - done >= threshold)
		return true;
	if (w->end - w->durable < threshold)
		return false;
	return !known || w->expect - done >= threshold / 4;
}

static void segment_close(struct segment *s)
{
	if (s->sst != NULL)
		rocksdb_sstfilewriter_destroy(s->sst);
	if (s->fd >= 0)
		close(s->fd);
	if (s->path != NULL)
		(void)unlink(s->path); /* an ingested one has moved away */
	free(s->path);
	*s = (struct segment){ .fd = -1 };
}

static void segment_abandon(struct rdb_writer *w)
{
	if (w->segment.sst != NULL)
		segment_close(&w->segment);
}

static enum err_code segment_open(struct rdb_writer *w, struct err *e)
{
	struct segment s = { .fd = -1 };
	uint64_t serial = atomic_fetch_add(&w->db->tmp_serial, 1);
	char *text = NULL;

	if (asprintf(&s.path, "%s/%" PRIu64 ".sst", w->db->tmp, serial) < 0)
		return err_set(e, ERR_NOMEM, "a segment");
	s.sst = rocksdb_sstfilewriter_create(w->db->env_options, w->db->cf_options[CF_SEGMENTS]);
	rocksdb_sstfilewriter_open(s.sst, s.path, &text);
	if (text != NULL) {
		segment_close(&s);
		return rdb_write_failed(e, "open a segment", text);
	}
	s.fd = open(s.path, O_RDONLY | O_CLOEXEC);
	w->segment = s;
	return ERR_OK;
}

/* Starts write-back of what the file has gained, so that the sync at its end finds little to do.
 * No more than a hint: failures show at the sync. */
static void write_behind(struct segment *s)
{
	uint64_t size = 0;

	rocksdb_sstfilewriter_file_size(s->sst, &size);
	if (s->fd < 0 || size < s->behind + WRITE_BEHIND)
		return;
	(void)sync_file_range(s->fd, (off_t)s->behind, (off_t)(size - s->behind),
			      SYNC_FILE_RANGE_WRITE);
	s->behind = size;
}

/* Finishes the open segment and hands it over to the database, synced. */
static enum err_code segment_seal(struct rdb_writer *w, struct err *e)
{
	const char *path = w->segment.path;
	char *text = NULL;
	enum err_code rc;

	rocksdb_sstfilewriter_finish(w->segment.sst, &text);
	if (text != NULL)
		return rdb_write_failed(e, "finish a segment", text);
	rc = mark_durably(w, e);
	if (rc == ERR_OK && !rdb_takes_segments(w->db))
		rc = err_set(e, ERR_FULL, "the disk was full while a segment was written");
	if (rc != ERR_OK)
		return rc;
	pthread_rwlock_rdlock(&w->db->files_lock);
	rocksdb_ingest_external_file_cf(w->db->db, w->db->cf[CF_SEGMENTS], &path, 1, w->db->ingest,
					&text);
	pthread_rwlock_unlock(&w->db->files_lock);
	if (text != NULL) {
		rc = rdb_write_failed(e, "take over a segment", text);
		if (rc == ERR_FULL)
			atomic_store(&w->db->was_full, true);
		return rc;
	}
	segment_close(&w->segment);
	return ERR_OK;
}

static enum err_code segment_add(struct rdb_writer *w, struct bytes data, struct err *e)
{
	struct key k = key_piece(w->locator, w->end);
	char *text = NULL;

	rocksdb_sstfilewriter_put(w->segment.sst, chars(k.b), k.len, chars(data.data), data.len,
				  &text);
	if (text != NULL)
		return rdb_write_failed(e, "write a segment", text);
	w->segment.bytes += data.len;
	write_behind(&w->segment);
	return add_extent(w, data.len, PLACE_SEGMENT, e);
}

static enum err_code stage_segment(struct rdb_writer *w, struct bytes data, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->segment.sst == NULL)
		rc = segment_open(w, e);
	if (rc == ERR_OK)
		rc = segment_add(w, data, e);
	if (rc == ERR_OK && w->segment.bytes >= w->db->segment_size)
		rc = segment_seal(w, e);
	return rc;
}

/* ---- rows ---- */

/* Not synced: the log keeps the order, so the commit that makes these bytes count makes the row
 * durable too, and the pack before. The same goes for the mark. */
static enum err_code stage_row(struct rdb_writer *w, struct bytes data, struct err *e)
{
	struct batch b = batch_new();
	enum err_code rc;

	if (!w->marked)
		batch_mark(w, &b);
	rc = batch_put_row(w->db, &b, w->locator, w->end, data, &w->hold, e);
	if (rc == ERR_OK)
		rc = rdb_write(w->db, &b, false, "write a row", e);
	packs_pointed(w->db->packs, &w->hold);
	batch_free(&b);
	if (rc != ERR_OK)
		return rc;
	w->marked = true;
	return add_extent(w, data.len, 0, e);
}

enum err_code rdb_stage(void *self, void *writer, struct bytes data, struct err *e)
{
	struct rdb_writer *w = writer;
	enum err_code rc = ballast_check(self, e);

	if (rc == ERR_OK)
		rc = need_locator(w, e);
	if (rc != ERR_OK)
		return rc;
	if (w->segment.sst != NULL || want_segment(w))
		return stage_segment(w, data, e);
	return stage_row(w, data, e);
}

/* ---- committing ---- */

/* The record must be as this writer left it. by_id is held. */
static enum err_code check_unchanged(struct rdb_writer *w, struct err *e)
{
	struct upload *u = NULL;
	enum err_code rc = rdb_lookup(w->db, &w->rec->id, &u, e);

	if (w->fresh && rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK)
		return rc;
	if (w->fresh || u->finished)
		rc = err_set(e, ERR_EXISTS, "an upload of that id is there");
	else if (u->offset != w->durable)
		rc = err_set(e, ERR_OFFSET, "somebody else has appended meanwhile");
	upload_free(u);
	return rc;
}

/* Puts the tail behind what is staged: into the segment that is open, which ends with it, or as a
 * row of the batch. */
static enum err_code lay_tail(struct rdb_writer *w, struct batch *b, struct bytes tail,
			      struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->segment.sst != NULL) {
		if (tail.len > 0)
			rc = segment_add(w, tail, e);
		return rc == ERR_OK ? segment_seal(w, e) : rc;
	}
	if (tail.len == 0)
		return ERR_OK;
	rc = need_locator(w, e);
	if (rc != ERR_OK)
		return rc;
	rc = batch_put_row(w->db, b, w->locator, w->end, tail, &w->hold, e);
	return rc == ERR_OK ? add_extent(w, tail.len, 0, e) : rc;
}

/* An earlier writer of this upload may have left junk in a locator of its own that nobody could
 * remove yet. Once the upload is finished, its locators may belong to others: the mark must not
 * outlive it. */
static enum err_code batch_clear_old_mark(struct rdb_writer *w, struct batch *b,
					  const struct extent *x, struct err *e)
{
	struct key mark = key_open(x->locator);
	uint64_t end = x->start + x->length;
	struct extent rest = { x->locator, end, UINT64_MAX - end, PLACE_SEGMENT };
	bool marked = false;
	enum err_code rc = rdb_has(w->db, &mark, &marked, e);

	if (rc != ERR_OK || !marked)
		return rc;
	batch_delete_rows_from(w->db, b, x->locator, end);
	batch_release(w->db, b, &rest, 1);
	batch_delete(w->db, b, CF_RECORDS, &mark);
	atomic_store(&w->db->unsettled, true);
	return ERR_OK;
}

static enum err_code batch_clear_marks(struct rdb_writer *w, struct batch *b, struct err *e)
{
	const struct extents *x = &w->extents;
	struct key own = key_open(w->locator);
	enum err_code rc = ERR_OK;

	if (w->marked)
		batch_delete(w->db, b, CF_RECORDS, &own);
	for (size_t i = 0; rc == ERR_OK && i < x->count; i++)
		if (x->v[i].locator != w->locator &&
		    (i + 1 == x->count || x->v[i + 1].locator != x->v[i].locator))
			rc = batch_clear_old_mark(w, b, &x->v[i], e);
	return rc;
}

static enum err_code batch_finish(struct rdb_writer *w, struct batch *b, const struct upload *u,
				  bool new_blob, struct err *e)
{
	static const struct leaves none;
	struct key holder = key_holder(&u->digest, &u->id);
	enum err_code rc = ERR_OK;

	if (new_blob)
		rc = batch_blob(w->db, b, u, &none, e);
	if (rc != ERR_OK)
		return rc;
	batch_put(w->db, b, CF_RECORDS, &holder, (struct bytes){ NULL, 0 });
	return batch_clear_marks(w, b, e);
}

/* The record as this commit makes it, but for the extents. */
static struct upload next_record(const struct rdb_writer *w, const struct commit *c)
{
	struct upload u = *w->rec;

	u.length = c->length;
	u.expires_s = c->expires_s;
	if (c->digest != NULL) {
		u.finished = true;
		u.digest = *c->digest;
	} else {
		u.midstate = *c->midstate;
	}
	return u;
}

/* Writes the batch; from there on the new record is the writer's. */
static enum err_code write_commit(struct rdb_writer *w, struct batch *b, const struct upload *u,
				  struct err *e)
{
	struct upload *made = upload_clone(u);
	enum err_code rc;

	w->handed_out = w->hand_out ? upload_clone(u) : NULL;
	if (made == NULL || (w->hand_out && w->handed_out == NULL)) {
		upload_free(made);
		return err_set(e, ERR_NOMEM, "a record");
	}
	rc = batch_upload(w->db, b, w->fresh ? NULL : w->rec, u, e);
	if (rc == ERR_OK)
		rc = rdb_write(w->db, b, true, "commit", e);
	if (rc != ERR_OK) {
		upload_free(made);
		return rc;
	}
	if (u->offset - w->durable < w->db->segment_threshold)
		w->expect = 0;
	upload_free(w->rec);
	w->rec = made;
	w->fresh = false;
	w->durable = w->end = u->offset;
	w->marked = w->marked && !u->finished;
	w->mark_durable = w->marked;
	return ERR_OK;
}

/* The bytes are this upload's own. */
static enum err_code commit_own(struct rdb_writer *w, const struct commit *c, struct err *e)
{
	struct upload u = next_record(w, c);
	struct batch b = batch_new();
	enum err_code rc;

	rc = lay_tail(w, &b, c->tail, e);
	if (rc != ERR_OK)
		goto out;
	u.offset = w->end;
	u.extents = w->extents.v;
	u.extent_count = w->extents.count;
	if (u.finished)
		rc = batch_finish(w, &b, &u, true, e);
	if (rc == ERR_OK)
		rc = packs_durable(w->db->packs, &w->hold, e);
	if (rc == ERR_OK)
		rc = write_commit(w, &b, &u, e);
out:
	packs_release(w->db->packs, &w->hold);
	batch_free(&b);
	return rc;
}

/* The blob is there already: the upload holds that one, be it composed, and its own bytes are
 * garbage. The tail need not be written at all, nor a segment finished. */
static enum err_code commit_duplicate(struct rdb_writer *w, const struct commit *c,
				      const struct blob *blob, struct err *e)
{
	struct upload u = next_record(w, c);
	struct batch b;
	enum err_code rc;

	if (blob->size != w->end + c->tail.len)
		return err_set(e, ERR_DAMAGED, "a blob of that digest has another size");
	u.offset = blob->size;
	u.extents = blob->extents;
	u.extent_count = blob->extent_count;
	b = batch_new();
	batch_release(w->db, &b, w->extents.v, w->extents.count);
	rc = batch_finish(w, &b, &u, false, e);
	if (rc == ERR_OK)
		rc = write_commit(w, &b, &u, e);
	batch_free(&b);
	if (rc != ERR_OK)
		return rc;
	segment_abandon(w);
	rdb_reap(w->db, w->extents.v, w->extents.count);
	return ERR_OK;
}

/* by_digest is held, so that of several who finish the same content at once one brings the blob
 * and the others find it. */
static enum err_code commit_finishing(struct rdb_writer *w, const struct commit *c, bool *dup,
				      struct err *e)
{
	struct blob blob = { .size = 0 };
	enum err_code rc = rdb_blob(w->db, c->digest, &blob, NULL, e);

	if (rc == ERR_NOTFOUND)
		return commit_own(w, c, e);
	if (rc != ERR_OK)
		return rc;
	rc = commit_duplicate(w, c, &blob, e);
	free(blob.extents);
	*dup = rc == ERR_OK;
	return rc;
}

static enum err_code commit_locked(struct rdb_writer *w, const struct commit *c, bool *dup,
				   struct err *e)
{
	pthread_mutex_t *lock;
	enum err_code rc = check_unchanged(w, e);

	if (rc != ERR_OK)
		return rc;
	if (c->digest == NULL)
		return commit_own(w, c, e);
	lock = rdb_digest_lock(w->db, c->digest);
	pthread_mutex_lock(lock);
	rc = commit_finishing(w, c, dup, e);
	pthread_mutex_unlock(lock);
	return rc;
}

enum err_code rdb_commit(void *self, void *writer, const struct commit *c, bool *deduplicated,
			 struct upload **rec, struct err *e)
{
	struct rdb_writer *w = writer;
	pthread_mutex_t *lock = rdb_id_lock(self, &w->rec->id);
	bool dup = false;
	enum err_code rc = ballast_check(self, e);

	if (rc != ERR_OK)
		return rc;
	w->hand_out = rec != NULL;
	pthread_mutex_lock(lock);
	rc = commit_locked(w, c, &dup, e);
	pthread_mutex_unlock(lock);
	if (rc != ERR_OK)
		return rc;
	*deduplicated = dup;
	if (rec != NULL)
		*rec = w->handed_out;
	w->handed_out = NULL;
	return ERR_OK;
}

/* ---- closing ---- */

/* With nothing uncommitted, the mark just goes; else what it stands for goes first. */
static enum err_code unmark(struct rdb_writer *w)
{
	struct key k = key_open(w->locator);
	char *text = NULL;

	if (w->end > w->durable) {
		atomic_fetch_add(&w->db->pack_garbage, w->end - w->durable);
		return rdb_remove_junk(w->db, w->locator, w->durable, NULL);
	}
	rocksdb_delete_cf(w->db->db, w->db->unsynced, w->db->cf[CF_RECORDS], chars(k.b), k.len,
			  &text);
	return text != NULL ? rdb_write_failed(NULL, "unmark", text) : ERR_OK;
}

void rdb_write_close(void *self, void *writer)
{
	struct rdb_writer *w = writer;

	segment_abandon(w);
	packs_release(w->db->packs, &w->hold);
	if (w->marked && unmark(w) != ERR_OK)
		rdb_note_junk(self, &w->rec->id, w->locator);
	writer_free(w);
}
