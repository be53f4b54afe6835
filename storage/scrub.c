#include "storage/scrub.h"

#include <stdlib.h>
#include <string.h>

static enum err_code hash_extent(struct store *s, const struct extent *x, struct digester *d,
				 struct err *e)
{
	uint64_t at = x->start, end = x->start + x->length;

	while (at < end) {
		struct chunk *c = NULL;
		enum err_code rc = store_read(s, x, at, &c, e);

		if (rc != ERR_OK)
			return rc;
		digest_update(d, (struct bytes){ c->data, c->len });
		at += c->len;
		chunk_unref(c);
	}
	return ERR_OK;
}

static enum err_code hash_blob(struct store *s, const struct blob *b, struct digest *out,
			       struct err *e)
{
	struct digester d;

	digest_init(&d);
	for (size_t i = 0; i < b->extent_count; i++) {
		enum err_code rc = hash_extent(s, &b->extents[i], &d, e);

		if (rc != ERR_OK)
			return rc;
	}
	digest_final(&d, out);
	return ERR_OK;
}

/* The number before it, if digests are read as numbers: next_blob() then begins with it. False for
 * zero, which has none. */
static bool step_back(struct digest *d)
{
	for (size_t i = sizeof(d->b); i-- > 0;)
		if (d->b[i]-- != 0)
			return true;
	return false;
}

static enum err_code still_there(struct store *s, const struct digest *d, bool *out, struct err *e)
{
	struct digest before = *d;
	bool any = step_back(&before);
	struct blob b;
	enum err_code rc = store_next_blob(s, any ? &before : NULL, &b, e);

	if (rc == ERR_NOTFOUND) {
		*out = false;
		return ERR_OK;
	}
	if (rc != ERR_OK)
		return rc;
	*out = digest_equal(&b.digest, d);
	free(b.extents);
	return ERR_OK;
}

struct scrubber {
	struct store *store;
	scrub_report *report;
	void *ctx;
	struct scrub_result result;
};

static void report_damage(struct scrubber *x, const struct digest *d, const char *why)
{
	x->result.damaged++;
	if (x->report != NULL)
		x->report(x->ctx, d, why);
}

/* Bytes that are gone while the record is still there are damage; else the blob was dropped while
 * we read it, and does not count. */
static enum err_code judge_missing(struct scrubber *x, const struct blob *b, struct err *e)
{
	bool there = false;
	enum err_code rc = still_there(x->store, &b->digest, &there, e);

	if (rc != ERR_OK || !there)
		return rc;
	x->result.blobs++;
	report_damage(x, &b->digest, "bytes are missing");
	return ERR_OK;
}

static enum err_code scrub_blob(struct scrubber *x, const struct blob *b, struct err *e)
{
	struct digest found;
	struct err why = { .code = ERR_OK };
	enum err_code rc = hash_blob(x->store, b, &found, &why);

	if (rc == ERR_NOTFOUND)
		return judge_missing(x, b, e);
	if (rc != ERR_OK && rc != ERR_DAMAGED)
		return err_set(e, rc, "%s", why.why);
	x->result.blobs++;
	x->result.bytes += b->size;
	if (rc == ERR_DAMAGED)
		report_damage(x, &b->digest, why.why);
	else if (!digest_equal(&found, &b->digest))
		report_damage(x, &b->digest, "its bytes have another digest");
	return ERR_OK;
}

enum err_code scrub(struct store *s, scrub_report *report, void *ctx, struct scrub_result *out,
		    struct err *e)
{
	struct scrubber x = { .store = s, .report = report, .ctx = ctx };
	struct digest last;
	struct blob b;
	enum err_code rc = store_next_blob(s, NULL, &b, e);

	while (rc == ERR_OK) {
		last = b.digest;
		rc = scrub_blob(&x, &b, e);
		free(b.extents);
		if (rc == ERR_OK)
			rc = store_next_blob(s, &last, &b, e);
	}
	if (rc != ERR_NOTFOUND)
		return rc;
	*out = x.result;
	return ERR_OK;
}
