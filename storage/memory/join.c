/* join - uploads that are finished without bytes of their own: concatenation and reuse, in
 * memory. */
#include "storage/memory/held.h"

#include <stdlib.h>
#include <string.h>

/* What a concatenation is about to put in place: all of it is made before any of it is used, so
 * that running out of memory changes nothing. */
struct join {
	struct memory *memory;
	const struct upload *rec;
	bool fresh; /* nothing is there yet */
	struct held_upload *upload;
	bool new_upload;
	struct held_blob *blob;
	bool new_blob;
	size_t extents, leaves; /* of all parts, leaves counted as often as they come */
	uint64_t length;
	struct upload *made, *handed_out;
};

static void join_undo(struct join *j)
{
	upload_free(j->made);
	upload_free(j->handed_out);
	if (j->new_blob && j->blob != NULL)
		blob_free(j->memory, j->blob);
	if (j->new_upload && j->upload != NULL)
		held_upload_free(j->memory, j->upload);
}

static enum err_code look_at_final(const struct join *j, struct err *e)
{
	const struct held_upload *u = j->upload;

	if (u != NULL && u->terminated)
		return err_set(e, ERR_DELETED, "it was terminated");
	return check_final(u != NULL ? u->rec : NULL, j->rec, j->fresh, e);
}

static struct held_blob *blob_of_part(struct memory *m, const struct upload_id *id)
{
	const struct held_upload *u = upload_find(m, id);

	if (u == NULL || u->terminated || !u->rec->finished)
		return NULL;
	return blob_find(m, &u->rec->digest);
}

static enum err_code measure(struct join *j, const struct upload_id *parts, size_t part_count,
			     struct err *e)
{
	for (size_t i = 0; i < part_count; i++) {
		const struct held_blob *b = blob_of_part(j->memory, &parts[i]);

		if (b == NULL)
			return err_set(e, ERR_NOTFOUND, "a part is not there, or not finished");
		j->length += b->size;
		j->extents += b->extent_count;
		j->leaves += b->leaf_count > 0 ? b->leaf_count : 1;
	}
	if (j->extents > STORE_EXTENTS_MAX)
		return err_set(e, ERR_TOOBIG, "the parts lie in too many pieces");
	if (j->length != j->rec->offset)
		return err_set(e, ERR_DIGEST, "the parts are not as long as was said");
	return ERR_OK;
}

static void add_leaf(struct held_blob *to, struct held_blob *leaf)
{
	for (size_t i = 0; i < to->leaf_count; i++)
		if (to->leaves[i] == leaf)
			return;
	to->leaves[to->leaf_count++] = leaf;
}

static void add_part(struct held_blob *to, struct held_blob *part)
{
	memcpy(to->extents + to->extent_count, part->extents,
	       part->extent_count * sizeof(*part->extents));
	to->extent_count += part->extent_count;
	to->size += part->size;
	for (size_t i = 0; i < part->leaf_count; i++)
		add_leaf(to, part->leaves[i]);
	if (part->leaf_count == 0 && part->size > 0)
		add_leaf(to, part);
}

static bool prepare_blob(struct join *j, const struct upload_id *parts, size_t part_count)
{
	j->blob = blob_find(j->memory, &j->rec->digest);
	if (j->blob != NULL)
		return true;
	j->blob = blob_new(j->memory, &j->rec->digest, j->extents, j->leaves);
	j->new_blob = true;
	if (j->blob == NULL)
		return false;
	for (size_t i = 0; i < part_count; i++)
		add_part(j->blob, blob_of_part(j->memory, &parts[i]));
	return true;
}

static bool prepare_upload(struct join *j, bool hand_out)
{
	struct upload u = *j->rec;

	if (j->upload == NULL) {
		j->upload = upload_new(j->memory, &u.id);
		j->new_upload = true;
	}
	u.offset = u.length = j->blob->size;
	u.extents = j->blob->extents;
	u.extent_count = j->blob->extent_count;
	j->made = upload_clone(&u);
	j->handed_out = hand_out ? upload_clone(&u) : NULL;
	return j->upload != NULL && j->made != NULL && (!hand_out || j->handed_out != NULL);
}

static void put_in_place(struct join *j)
{
	for (size_t i = 0; j->new_blob && i < j->blob->leaf_count; i++)
		j->blob->leaves[i]->needers++;
	j->blob->holders++;
	upload_free(j->upload->rec);
	j->upload->rec = j->made;
}

static enum err_code join(struct join *j, const struct upload_id *parts, size_t part_count,
			  bool hand_out, struct err *e)
{
	enum err_code rc;

	j->upload = upload_find(j->memory, &j->rec->id);
	rc = look_at_final(j, e);
	if (rc == ERR_OK)
		rc = measure(j, parts, part_count, e);
	if (rc != ERR_OK)
		return rc;
	if (!prepare_blob(j, parts, part_count) || !prepare_upload(j, hand_out)) {
		join_undo(j);
		return err_set(e, ERR_NOMEM, "a concatenation");
	}
	put_in_place(j);
	return ERR_OK;
}

enum err_code memory_concat(void *self, const struct upload *rec, bool fresh,
			    const struct upload_id *parts, size_t part_count, bool *deduplicated,
			    struct upload **out, struct err *e)
{
	struct memory *m = self;
	struct join j = { .memory = m, .rec = rec, .fresh = fresh };
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	rc = join(&j, parts, part_count, out != NULL, e);
	pthread_mutex_unlock(&m->lock);
	if (rc != ERR_OK)
		return rc;
	*deduplicated = !j.new_blob;
	if (out != NULL)
		*out = j.handed_out;
	return ERR_OK;
}

static enum err_code reuse(struct join *j, bool hand_out, struct err *e)
{
	enum err_code rc;

	j->upload = upload_find(j->memory, &j->rec->id);
	rc = look_at_final(j, e);
	if (rc != ERR_OK)
		return rc;
	j->blob = blob_find(j->memory, &j->rec->digest);
	if (j->blob == NULL)
		return err_set(e, ERR_NOTFOUND, "no such blob");
	if (!prepare_upload(j, hand_out)) {
		join_undo(j);
		return err_set(e, ERR_NOMEM, "an upload");
	}
	put_in_place(j);
	return ERR_OK;
}

enum err_code memory_reuse(void *self, const struct upload *rec, struct upload **out, struct err *e)
{
	struct memory *m = self;
	struct join j = { .memory = m, .rec = rec, .fresh = true };
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	rc = reuse(&j, out != NULL, e);
	pthread_mutex_unlock(&m->lock);
	if (rc == ERR_OK && out != NULL)
		*out = j.handed_out;
	return rc;
}
