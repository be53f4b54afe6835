/* orphans STORE - looks at a stopped rocksdb store from outside, read-only, and says of every key
 * and file in it whose it is:
 *
 *   - no writer's mark and no garbage is left, and tmp/ is empty
 *   - every finished upload has its holder, its blob and its due entry, and these have theirs
 *   - every blob is held by an upload, or needed by a composed blob
 *   - every composed blob needs its leaves, borrows its extents from them, and is needed by nobody
 *   - every upload that counts against a bucket has its share there, and every share its upload
 *   - what is alive is counted right
 *   - acknowledgements are of an upload that waits for more
 *   - every unfinished upload is listed as such, and no other is; a tombstone is due
 *   - every piece of bytes lies in an extent of a blob of its own or of an unfinished upload
 *   - every extent is covered by its pieces, and no two extents overlap
 *   - every pointer leads to bytes in a pack that have its checksum, and no two to the same ones
 *   - what nobody points at in packs is known as garbage, after an orderly end
 *   - every .sst and .blob file belongs to the database
 *
 * Exit code 0 if so, 1 with a line for each finding if not. DESIGN.md beside the engine has the
 * table of keys. */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/rocksdb/rdb.h"

#define FINDINGS_SHOWN 50
#define GARBAGE_SLACK (4u << 20) /* bytes in packs that nobody need know of */

static const char *const family_names[CF_COUNT] = { "default", "rows", "pointers", "segments" };

struct owned {
	struct extent extent;
	uint64_t seen; /* bytes of pieces found in it */
};

struct look {
	const char *dir;
	struct packs *packs;
	struct pack_place *used; /* sorted, once all are there */
	size_t used_count, used_room;
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *reads;
	rocksdb_column_family_handle_t *cf[CF_COUNT];
	struct owned *owned; /* sorted by locator and start, once all are there */
	size_t owned_count, owned_room;
	uint64_t uploads, tombstones, blobs, composed, pieces, bytes, packed, findings;
	struct change alive; /* as it should be counted */
};

static void finding(struct look *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void finding(struct look *k, const char *fmt, ...)
{
	va_list ap;

	if (k->findings++ >= FINDINGS_SHOWN)
		return;
	(void)printf("orphans: ");
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

static void give_up(const char *what, const char *why)
{
	(void)printf("orphans: %s: %s\n", what, why);
	exit(1);
}

/* ---- reading ---- */

static struct bytes key_of(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_key(it, &b.len);
	return b;
}

static struct bytes value_of(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_value(it, &b.len);
	return b;
}

typedef void see(struct look *k, struct bytes key, struct bytes value);

static void walk(struct look *k, enum rdb_family f, see *each)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(k->db, k->reads, k->cf[f]);
	char *text = NULL;

	for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it))
		each(k, key_of(it), value_of(it));
	rocksdb_iter_get_error(it, &text);
	if (text != NULL)
		give_up(family_names[f], text);
	rocksdb_iter_destroy(it);
}

/* The value of a record, or NULL. */
static rocksdb_pinnableslice_t *record(struct look *k, const struct key *key)
{
	char *text = NULL;
	rocksdb_pinnableslice_t *s;

	s = rocksdb_get_pinned_cf(k->db, k->reads, k->cf[CF_RECORDS], chars(key->b), key->len,
				  &text);
	if (text != NULL)
		give_up("read", text);
	return s;
}

static bool has(struct look *k, struct key key)
{
	rocksdb_pinnableslice_t *s = record(k, &key);

	if (s == NULL)
		return false;
	rocksdb_pinnableslice_destroy(s);
	return true;
}

static struct bytes slice_bytes(const rocksdb_pinnableslice_t *s)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_pinnableslice_value(s, &b.len);
	return b;
}

/* NULL if there is none, or none that can be read (which is a finding). */
static struct upload *upload_of(struct look *k, const struct upload_id *id)
{
	struct key key = key_upload(id);
	rocksdb_pinnableslice_t *s = record(k, &key);
	struct upload *u = NULL;
	struct err e = { 0 };

	if (s == NULL)
		return NULL;
	if (record_decode_upload(id, slice_bytes(s), &u, &e) != ERR_OK) {
		finding(k, "an upload's record: %s", e.why);
		u = NULL;
	}
	rocksdb_pinnableslice_destroy(s);
	return u;
}

/* ---- records ---- */

static void see_acks(struct look *k, struct bytes key, struct bytes value)
{
	struct upload_id id;
	struct upload *u;
	struct acks a;
	struct err e = { 0 };

	memcpy(id.b, key.data + 1, sizeof(id.b));
	u = upload_of(k, &id);
	if (record_decode_acks(value, &a, &e) != ERR_OK)
		finding(k, "%s", e.why);
	else if (u == NULL || !u->finished || u->recipients == 0)
		finding(k, "acknowledgements of what has no recipients");
	else if (acks_left(&a, u->recipients) == 0)
		finding(k, "an upload that all its recipients have is still there");
	upload_free(u);
}

static void own(struct look *k, const struct extent *v, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (k->owned_count == k->owned_room) {
			k->owned_room = k->owned_room * 2 + 64;
			k->owned = realloc(k->owned, k->owned_room * sizeof(*k->owned));
			if (k->owned == NULL)
				give_up("realloc", "no memory");
		}
		k->owned[k->owned_count++] = (struct owned){ .extent = v[i] };
	}
}

/* Whether there is a key that begins like this one does before its last part. */
static bool has_any(struct look *k, struct key key)
{
	const size_t prefix = 1 + sizeof(struct digest);
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(k->db, k->reads, k->cf[CF_RECORDS]);
	bool any;

	rocksdb_iter_seek(it, chars(key.b), prefix);
	any = rocksdb_iter_valid(it) && key_of(it).len == key.len &&
	      memcmp(key_of(it).data, key.b, prefix) == 0;
	rocksdb_iter_destroy(it);
	return any;
}

static bool blob_of(struct look *k, const struct digest *d, struct blob *out, struct leaves *leaves)
{
	struct key key = key_blob(d);
	rocksdb_pinnableslice_t *s = record(k, &key);
	struct err e = { 0 };
	bool read;

	if (s == NULL)
		return false;
	read = record_decode_blob(slice_bytes(s), out, leaves, &e) == ERR_OK;
	if (!read)
		finding(k, "a blob's record: %s", e.why);
	rocksdb_pinnableslice_destroy(s);
	return read;
}

/* Adds a leaf's extents to those that may be borrowed. */
static void see_leaf(struct look *k, const struct digest *leaf, const struct digest *composed,
		     struct extents *lent)
{
	struct leaves leaves = { 0 };
	struct blob b = { .size = 0 };

	if (!has(k, key_need(leaf, composed)))
		finding(k, "a composed blob without the key that it needs a leaf");
	if (!blob_of(k, leaf, &b, &leaves)) {
		finding(k, "a composed blob without one of its leaves");
		return;
	}
	if (leaves.count > 0)
		finding(k, "a leaf that is composed itself");
	if (!extents_append(lent, b.extents, b.extent_count, PLACE_BORROWED))
		give_up("realloc", "no memory");
	free(b.extents);
	leaves_fini(&leaves);
}

static bool same_extent(const struct extent *x, const struct extent *y)
{
	return x->locator == y->locator && x->start == y->start && x->length == y->length &&
	       x->place == y->place;
}

static bool is_lent(const struct extents *lent, const struct extent *x)
{
	for (size_t i = 0; i < lent->count; i++)
		if (same_extent(&lent->v[i], x))
			return true;
	return false;
}

static void check_composed(struct look *k, const struct blob *b, const struct leaves *leaves)
{
	struct extents lent = { 0 };

	k->composed++;
	for (size_t i = 0; i < leaves->count; i++)
		see_leaf(k, &leaves->v[i], &b->digest, &lent);
	for (size_t i = 0; i < b->extent_count; i++)
		if (!is_lent(&lent, &b->extents[i]))
			finding(k, "a composed blob with an extent of no leaf");
	if (has_any(k, key_need(&b->digest, &b->digest)))
		finding(k, "a composed blob that another needs");
	extents_fini(&lent);
}

static void see_blob(struct look *k, struct bytes key, struct bytes value)
{
	static const struct upload_id none;
	struct leaves leaves = { 0 };
	struct blob b = { .size = 0 };
	struct err e = { 0 };

	k->blobs++;
	memcpy(b.digest.b, key.data + 1, sizeof(b.digest.b));
	if (record_decode_blob(value, &b, &leaves, &e) != ERR_OK) {
		finding(k, "a blob's record: %s", e.why);
		return;
	}
	if (leaves.count > 0)
		check_composed(k, &b, &leaves);
	else
		own(k, b.extents, b.extent_count);
	if (leaves.count == 0)
		k->alive.bytes += (int64_t)b.size;
	if (!has_any(k, key_holder(&b.digest, &none)) &&
	    !has_any(k, key_need(&b.digest, &b.digest)))
		finding(k, "a blob of %" PRIu64 " bytes that no upload holds and no blob needs",
			b.size);
	free(b.extents);
	leaves_fini(&leaves);
}

static void see_need(struct look *k, struct bytes key)
{
	struct digest leaf, composed;
	struct leaves leaves = { 0 };
	struct blob b = { .size = 0 };
	bool listed = false;

	memcpy(leaf.b, key.data + 1, sizeof(leaf.b));
	memcpy(composed.b, key.data + 33, sizeof(composed.b));
	if (!has(k, key_blob(&leaf)))
		finding(k, "a leaf is needed that is not there");
	if (!blob_of(k, &composed, &b, &leaves)) {
		finding(k, "a leaf is needed by a blob that is not there");
		return;
	}
	for (size_t i = 0; i < leaves.count; i++)
		listed = listed || digest_equal(&leaves.v[i], &leaf);
	if (!listed)
		finding(k, "a leaf is needed by a blob that does not list it");
	free(b.extents);
	leaves_fini(&leaves);
}

static bool same_extents(const struct upload *u, const struct blob *b)
{
	if (u->offset != b->size || u->extent_count != b->extent_count)
		return false;
	for (size_t i = 0; i < b->extent_count; i++)
		if (!same_extent(&u->extents[i], &b->extents[i]))
			return false;
	return true;
}

static void check_finished(struct look *k, const struct upload *u)
{
	struct blob b = { .size = 0 };

	if (!has(k, key_holder(&u->digest, &u->id)))
		finding(k, "a finished upload of %" PRIu64 " bytes without its holder", u->offset);
	if (has(k, key_unfinished(&u->id)))
		finding(k, "a finished upload that is listed as unfinished");
	if (!blob_of(k, &u->digest, &b, NULL)) {
		finding(k, "a finished upload of %" PRIu64 " bytes without its blob", u->offset);
		return;
	}
	if (!same_extents(u, &b))
		finding(k, "an upload and its blob lie in different extents");
	free(b.extents);
}

static void check_unfinished(struct look *k, const struct upload *u)
{
	if (!has(k, key_unfinished(&u->id)))
		finding(k, "an unfinished upload that is not listed as such");
	if (extents_borrowed(u->extents, u->extent_count))
		finding(k, "an unfinished upload with borrowed extents");
	else
		own(k, u->extents, u->extent_count);
}

static void see_tombstone(struct look *k, const struct upload_id *id, int64_t until_s)
{
	k->tombstones++;
	if (!has(k, key_due(until_s, id)))
		finding(k, "a tombstone that is never due");
	if (has(k, key_unfinished(id)))
		finding(k, "a tombstone that is listed as unfinished");
}

static void see_upload(struct look *k, struct bytes key, struct bytes value)
{
	struct upload_id id;
	struct upload *u;
	int64_t until_s;

	memcpy(id.b, key.data + 1, sizeof(id.b));
	if (record_decode_tombstone(value, &until_s)) {
		see_tombstone(k, &id, until_s);
		return;
	}
	k->uploads++;
	u = upload_of(k, &id);
	if (u == NULL)
		return;
	change_add(&k->alive, u, 1);
	if (!has(k, key_due(u->expires_s, &id)))
		finding(k, "an upload that never expires");
	if (bucket_given(&u->bucket) && !has(k, key_bucket(&u->bucket, &id)))
		finding(k, "an upload that its bucket does not know");
	if (u->finished)
		check_finished(k, u);
	else
		check_unfinished(k, u);
	upload_free(u);
}

/* When the record of that id is due: the upload, or its tombstone. False if there is none. */
static bool due_at(struct look *k, const struct upload_id *id, int64_t *out)
{
	struct key key = key_upload(id);
	rocksdb_pinnableslice_t *s = record(k, &key);
	struct upload *u = NULL;
	bool found = s != NULL;

	if (!found)
		return false;
	if (!record_decode_tombstone(slice_bytes(s), out)) {
		found = record_decode_upload(id, slice_bytes(s), &u, NULL) == ERR_OK;
		if (found)
			*out = u->expires_s;
		upload_free(u);
	}
	rocksdb_pinnableslice_destroy(s);
	return found;
}

static void see_due(struct look *k, struct bytes key)
{
	struct upload_id id;
	int64_t at;

	memcpy(id.b, key.data + 9, sizeof(id.b));
	if (!due_at(k, &id, &at) || (uint64_t)at != bytes_get_u64(key.data + 1))
		finding(k, "a due entry of no upload");
}

static void see_unfinished(struct look *k, struct bytes key)
{
	struct upload_id id;
	int64_t at;

	memcpy(id.b, key.data + 1, sizeof(id.b));
	if (!due_at(k, &id, &at)) /* if there is one, it says itself whether it is unfinished */
		finding(k, "no upload is there that is listed as unfinished");
}

static void see_share(struct look *k, struct bytes key, struct bytes value)
{
	struct upload_id id;
	struct upload *u;
	uint64_t weight;
	int64_t created_s;

	memcpy(id.b, key.data + 17, sizeof(id.b));
	u = upload_of(k, &id);
	if (!record_decode_share(value, &weight, &created_s))
		finding(k, "a share of a bucket that is not well formed");
	else if (u == NULL || memcmp(u->bucket.b, key.data + 1, sizeof(u->bucket.b)) != 0)
		finding(k, "a share of a bucket that is no upload's");
	else if (weight != upload_weight(u) || created_s != u->created_s)
		finding(k, "an upload that weighs something else in its bucket");
	upload_free(u);
}

static void see_holder(struct look *k, struct bytes key)
{
	struct digest d;
	struct upload_id id;
	struct upload *u;

	memcpy(d.b, key.data + 1, sizeof(d.b));
	memcpy(id.b, key.data + 33, sizeof(id.b));
	u = upload_of(k, &id);
	if (u == NULL || !u->finished || !digest_equal(&u->digest, &d))
		finding(k, "a holder that is no upload of that blob");
	if (!has(k, key_blob(&d)))
		finding(k, "a holder of no blob");
	upload_free(u);
}

static void see_record(struct look *k, struct bytes key, struct bytes value)
{
	const uint8_t prefix = key.len > 0 ? key.data[0] : 0;

	if (prefix == KEY_ACKS && key.len == 17)
		see_acks(k, key, value);
	else if (prefix == KEY_BLOB && key.len == 33)
		see_blob(k, key, value);
	else if (prefix == KEY_BUCKET && key.len == 33)
		see_share(k, key, value);
	else if (prefix == KEY_UPLOAD && key.len == 17)
		see_upload(k, key, value);
	else if (prefix == KEY_NEED && key.len == 65)
		see_need(k, key);
	else if (prefix == KEY_UNFINISHED && key.len == 17)
		see_unfinished(k, key);
	else if (prefix == KEY_DUE && key.len == 25)
		see_due(k, key);
	else if (prefix == KEY_HOLDER && key.len == 49)
		see_holder(k, key);
	else if (prefix == KEY_OPEN)
		finding(k, "the mark of a writer that is no more, locator %" PRIu64,
			key.len == 9 ? bytes_get_u64(key.data + 1) : 0);
	else if (prefix == KEY_GARBAGE)
		finding(k, "garbage that was not removed, locator %" PRIu64,
			key.len == 17 ? bytes_get_u64(key.data + 1) : 0);
	else if (prefix != KEY_META)
		finding(k, "a key of no known kind, %zu bytes", key.len);
}

static void check_count(struct look *k, enum alive which, int64_t expected)
{
	struct key key = key_alive(which);
	rocksdb_pinnableslice_t *s = record(k, &key);
	uint64_t v = 0;

	if (s == NULL || !alive_decode(slice_bytes(s), &v) || v != (uint64_t)expected)
		finding(k, "%.*s is counted as %" PRIu64 ", but there are %" PRId64,
			(int)key.len - 1, chars(key.b + 1), v, expected);
	if (s != NULL)
		rocksdb_pinnableslice_destroy(s);
}

static void check_counts(struct look *k)
{
	check_count(k, ALIVE_UPLOADS, k->alive.uploads);
	check_count(k, ALIVE_FINISHED, k->alive.finished);
	check_count(k, ALIVE_BYTES, k->alive.bytes);
}

/* ---- extents and their pieces ---- */

static int by_place(const void *a, const void *b)
{
	const struct extent *x = &((const struct owned *)a)->extent;
	const struct extent *y = &((const struct owned *)b)->extent;

	if (x->locator != y->locator)
		return x->locator < y->locator ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return 0;
}

static void check_overlaps(struct look *k)
{
	for (size_t i = 1; i < k->owned_count; i++) {
		const struct extent *x = &k->owned[i - 1].extent, *y = &k->owned[i].extent;

		if (x->locator == y->locator && y->start < x->start + x->length)
			finding(k, "two extents overlap, locator %" PRIu64, x->locator);
	}
}

/* The last extent that begins at or before it. */
static struct owned *owner_of(struct look *k, uint64_t locator, uint64_t offset)
{
	struct owned want = { .extent = { .locator = locator, .start = offset } };
	size_t low = 0, high = k->owned_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_place(&k->owned[middle], &want) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && k->owned[low - 1].extent.locator == locator ? &k->owned[low - 1] : NULL;
}

static void see_piece(struct look *k, struct bytes key, uint64_t len, uint32_t place)
{
	uint64_t locator, offset;
	struct owned *o;

	if (!key_piece_parse(key, &locator, &offset)) {
		finding(k, "a key of no piece, %zu bytes", key.len);
		return;
	}
	k->pieces++;
	k->bytes += len;
	o = owner_of(k, locator, offset);
	if (o == NULL || offset + len > o->extent.start + o->extent.length ||
	    (o->extent.place & PLACE_SEGMENT) != place) {
		finding(k,
			"%" PRIu64 " bytes in %s that are nobody's: locator %" PRIu64
			" offset %" PRIu64,
			len, place ? "segments" : "rows", locator, offset);
		return;
	}
	o->seen += len;
}

static void see_row(struct look *k, struct bytes key, struct bytes value)
{
	see_piece(k, key, value.len - ROW_SUM_SIZE, 0);
}

static void note_use(struct look *k, const struct pack_place *place)
{
	if (k->used_count == k->used_room) {
		k->used_room = k->used_room * 2 + 64;
		k->used = realloc(k->used, k->used_room * sizeof(*k->used));
		if (k->used == NULL)
			give_up("realloc", "no memory");
	}
	k->used[k->used_count++] = *place;
	k->packed += place->length;
}

static void see_pointer(struct look *k, struct bytes key, struct bytes value)
{
	static uint8_t bytes[CHUNK_MAX];
	uint8_t sum[ROW_SUM_SIZE];
	uint64_t locator, offset;
	struct pointer p;
	struct err e = { 0 };

	if (!pointer_decode(value, &p) || !key_piece_parse(key, &locator, &offset)) {
		finding(k, "a pointer that is none, %zu bytes", value.len);
		return;
	}
	see_piece(k, key, p.place.length, 0);
	note_use(k, &p.place);
	if (packs_read(k->packs, &p.place, bytes, &e) != ERR_OK) {
		finding(k, "a pointer into pack %" PRIu64 " at %" PRIu32 ": %s", p.place.pack,
			p.place.at, e.why);
		return;
	}
	row_sum(sum, locator, offset, (struct bytes){ bytes, p.place.length });
	if (memcmp(sum, p.sum, sizeof(sum)) != 0)
		finding(k, "other bytes in pack %" PRIu64 " at %" PRIu32, p.place.pack, p.place.at);
}

static int by_pack(const void *a, const void *b)
{
	const struct pack_place *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* The count of garbage is an estimate: what a failed write has left is not in it. */
static void check_packs(struct look *k)
{
	const struct key key = key_meta("packs.garbage");
	rocksdb_pinnableslice_t *s = record(k, &key);
	uint64_t all = packs_bytes(k->packs), known = all;

	if (k->used_count > 0)
		qsort(k->used, k->used_count, sizeof(*k->used), by_pack);
	for (size_t i = 1; i < k->used_count; i++) {
		const struct pack_place *x = &k->used[i - 1], *y = &k->used[i];

		if (x->pack == y->pack && y->at < x->at + x->length)
			finding(k, "two pointers to the same bytes, pack %" PRIu64, x->pack);
	}
	if (s != NULL) {
		known = bytes_get_u64(slice_bytes(s).data);
		rocksdb_pinnableslice_destroy(s);
	}
	if (all > k->packed + known + GARBAGE_SLACK)
		finding(k,
			"%" PRIu64 " bytes in packs, %" PRIu64 " alive, %" PRIu64
			" known as garbage",
			all, k->packed, known);
}

static void see_segment(struct look *k, struct bytes key, struct bytes value)
{
	see_piece(k, key, value.len, PLACE_SEGMENT);
}

static void check_covered(struct look *k)
{
	for (size_t i = 0; i < k->owned_count; i++) {
		const struct owned *o = &k->owned[i];

		if (o->seen != o->extent.length)
			finding(k, "an extent of %" PRIu64 " bytes has %" PRIu64 " of them",
				o->extent.length, o->seen);
	}
}

/* ---- files ---- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static bool is_live(const rocksdb_livefiles_t *live, const char *name)
{
	for (int i = 0; i < rocksdb_livefiles_count(live); i++) {
		const char *known = rocksdb_livefiles_name(live, i);

		if (strcmp(known[0] == '/' ? known + 1 : known, name) == 0)
			return true;
	}
	return false;
}

static uint64_t blob_files_of(struct look *k)
{
	uint64_t n = 0;

	for (int f = 0; f < CF_COUNT; f++) {
		uint64_t one = 0;

		if (rocksdb_property_int_cf(k->db, k->cf[f], "rocksdb.num-blob-files", &one) == 0)
			n += one;
	}
	return n;
}

static void check_files(struct look *k)
{
	const rocksdb_livefiles_t *live = rocksdb_livefiles(k->db);
	DIR *d = opendir(k->dir);
	const struct dirent *f;
	uint64_t blob_files = 0, wanted = blob_files_of(k);

	while (d != NULL && (f = readdir(d)) != NULL) {
		if (ends_with(f->d_name, ".sst") && !is_live(live, f->d_name))
			finding(k, "%s is no file of the database", f->d_name);
		blob_files += ends_with(f->d_name, ".blob");
	}
	if (blob_files != wanted)
		finding(k, "%" PRIu64 " blob files, and the database has %" PRIu64, blob_files,
			wanted);
	if (d != NULL)
		(void)closedir(d);
	rocksdb_livefiles_destroy(live);
}

static void check_tmp(struct look *k)
{
	char path[4096];
	DIR *d;
	const struct dirent *f;

	(void)snprintf(path, sizeof(path), "%s/tmp", k->dir);
	d = opendir(path);
	while (d != NULL && (f = readdir(d)) != NULL)
		if (f->d_name[0] != '.')
			finding(k, "tmp/%s is left", f->d_name);
	if (d != NULL)
		(void)closedir(d);
}

/* ---- all of it ---- */

static void open_store(struct look *k, const char *dir)
{
	const rocksdb_options_t *options[CF_COUNT];
	char *text = NULL;

	struct err e = { 0 };

	k->dir = dir;
	if (packs_open(&k->packs, dir, 0, 0, NULL, NULL, &e) != ERR_OK)
		give_up("packs", e.why);
	k->options = rocksdb_options_create();
	rocksdb_options_set_uint64add_merge_operator(k->options);
	/* as the engine does: no log of RocksDB's own */
	rocksdb_options_set_db_log_dir(k->options, "/dev/null/none");
	k->reads = rocksdb_readoptions_create();
	for (int i = 0; i < CF_COUNT; i++)
		options[i] = k->options;
	k->db = rocksdb_open_for_read_only_column_families(k->options, dir, CF_COUNT, family_names,
							   options, k->cf, 0, &text);
	if (text != NULL)
		give_up("open", text);
}

static void close_store(struct look *k)
{
	for (int i = 0; i < CF_COUNT; i++)
		rocksdb_column_family_handle_destroy(k->cf[i]);
	rocksdb_close(k->db);
	rocksdb_options_destroy(k->options);
	rocksdb_readoptions_destroy(k->reads);
	packs_close(k->packs);
	free(k->used);
	free(k->owned);
}

int main(int argc, char **argv)
{
	struct look k = { .findings = 0 };

	if (argc != 2) {
		(void)fprintf(stderr, "usage: orphans STORE\n");
		return 2;
	}
	open_store(&k, argv[1]);
	check_tmp(&k);
	check_files(&k);
	walk(&k, CF_RECORDS, see_record);
	check_counts(&k);
	if (k.owned_count > 0)
		qsort(k.owned, k.owned_count, sizeof(*k.owned), by_place);
	check_overlaps(&k);
	walk(&k, CF_ROWS, see_row);
	walk(&k, CF_POINTERS, see_pointer);
	walk(&k, CF_SEGMENTS, see_segment);
	check_packs(&k);
	check_covered(&k);
	close_store(&k);
	(void)printf("orphans: %" PRIu64 " uploads, %" PRIu64 " tombstones, %" PRIu64
		     " blobs (%" PRIu64 " composed), %" PRIu64 " pieces of %" PRIu64
		     " bytes, %" PRIu64 " findings\n",
		     k.uploads, k.tombstones, k.blobs, k.composed, k.pieces, k.bytes, k.findings);
	return k.findings == 0 ? 0 : 1;
}
