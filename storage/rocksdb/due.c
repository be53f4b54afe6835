/* due - what is due, by the index that has every upload and tombstone in order of time. Expiry
 * takes from its front, and leaves deleted keys there that RocksDB walks over until it has
 * compacted them away: a million, after a large sweep. So the front is remembered: a floor below
 * which no entry is. Whoever writes an earlier one lowers it. */
#include "storage/rocksdb/rdb.h"

#include <string.h>

/* ---- the floor ---- */

static bool before(const struct key *a, const struct key *b)
{
	return key_compare(a, b) < 0;
}

void due_written(struct rdb *r, const struct key *earliest)
{
	if (earliest->len == 0)
		return;
	pthread_mutex_lock(&r->floor_lock);
	if (before(earliest, &r->due_floor))
		r->due_floor = *earliest;
	if (r->due_late.len == 0 || before(earliest, &r->due_late))
		r->due_late = *earliest;
	pthread_mutex_unlock(&r->floor_lock);
}

/* Where to begin; from here on, late entries are noted: an iterator may not see them. */
static struct key floor_get(struct rdb *r)
{
	struct key k;

	pthread_mutex_lock(&r->floor_lock);
	k = r->due_floor;
	r->due_late.len = 0;
	pthread_mutex_unlock(&r->floor_lock);
	return k;
}

/* There is none before `first`, but for those that were written since. */
static void floor_raise(struct rdb *r, const struct key *first)
{
	pthread_mutex_lock(&r->floor_lock);
	r->due_floor = *first;
	if (r->due_late.len > 0 && before(&r->due_late, first))
		r->due_floor = r->due_late;
	pthread_mutex_unlock(&r->floor_lock);
}

void due_begin(struct rdb *r)
{
	static const struct upload_id zero;

	r->due_floor = key_due(0, &zero);
}

/* ---- listing; due_lock is held, so that one at a time moves the floor ---- */

struct entry {
	int64_t at_s;
	struct upload_id id;
};

/* Calls `see` for each entry up to `now`, the earliest first, until it says that it has enough. */
static enum err_code walk(struct rdb *r, int64_t now, bool (*see)(void *ctx, const struct entry *x),
			  void *ctx, struct err *e)
{
	static const struct upload_id zero;
	struct key from = floor_get(r), end = key_due(now < INT64_MAX ? now + 1 : now, &zero);
	struct key first = before(&from, &end) ? end : from;
	struct range x;
	bool more = true, any = false;
	enum err_code rc;

	if (!before(&from, &end))
		return ERR_OK;
	for (range_open(r, &x, &from, &end); more && rocksdb_iter_valid(x.it);
	     rocksdb_iter_next(x.it)) {
		struct bytes k = rdb_iter_key(x.it);
		struct entry found = { .at_s = (int64_t)bytes_get_u64(k.data + 1) };

		memcpy(found.id.b, k.data + 9, sizeof(found.id.b));
		if (!any)
			first = key_due(found.at_s, &found.id);
		any = true;
		more = see(ctx, &found);
	}
	rc = range_close(&x, e);
	if (rc == ERR_OK)
		floor_raise(r, &first);
	return rc;
}

struct list {
	struct upload_id *ids;
	size_t count, max;
};

static bool add_to_list(void *ctx, const struct entry *x)
{
	struct list *l = ctx;

	l->ids[l->count++] = x->id;
	return l->count < l->max;
}

enum err_code rdb_due(void *self, int64_t now, struct upload_id *ids, size_t max, size_t *count,
		      struct err *e)
{
	struct rdb *r = self;
	struct list l = { .ids = ids, .max = max };
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&r->due_lock);
	if (max > 0)
		rc = walk(r, now, add_to_list, &l, e);
	pthread_mutex_unlock(&r->due_lock);
	if (rc == ERR_OK)
		*count = l.count;
	return rc;
}

/* ---- counting ---- */

struct survey {
	struct rdb *db;
	uint64_t left;
	struct store_overdue found;
	enum err_code rc;
	struct err *e;
};

/* One that went or was extended meanwhile is not due any more. */
static bool add_to_survey(void *ctx, const struct entry *x)
{
	struct survey *s = ctx;
	struct upload *u = NULL;
	enum err_code rc = rdb_lookup(s->db, &x->id, &u, s->e);

	if (rc == ERR_OK)
		overdue_add(&s->found, u);
	else if (rc == ERR_DELETED)
		s->found.tombstones++;
	else if (rc != ERR_NOTFOUND)
		s->rc = rc;
	upload_free(u);
	if (s->found.oldest_s == 0)
		s->found.oldest_s = x->at_s;
	return --s->left > 0 && s->rc == ERR_OK;
}

static enum err_code count_segments(struct rdb *r, struct store_overdue *out, struct err *e)
{
	struct key first = { .b = { KEY_GARBAGE }, .len = 1 };
	struct range x;

	for (range_open_prefix(r, &x, &first, 1); rocksdb_iter_valid(x.it); rocksdb_iter_next(x.it))
		out->segments++;
	return range_close(&x, e);
}

enum err_code rdb_overdue(void *self, int64_t before_s, uint64_t max, struct store_overdue *out,
			  struct err *e)
{
	struct rdb *r = self;
	struct survey s = { .db = r, .left = max, .e = e };
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&r->due_lock);
	if (max > 0)
		rc = walk(r, before_s, add_to_survey, &s, e);
	pthread_mutex_unlock(&r->due_lock);
	if (rc == ERR_OK)
		rc = s.rc;
	if (rc == ERR_OK)
		rc = count_segments(r, &s.found, e);
	if (rc == ERR_OK)
		*out = s.found;
	return rc;
}
