#include "server/pages.h"

#include <string.h>

#include "server/metrics.h"
#include "server/server.h"

/* Content larger than this share of the cache is let in only when it is asked for again. */
#define BULK_SHARE 32

/* Where a page lies: the part of a grid cell that one extent covers. */
struct place {
	const struct extent *extent;
	uint64_t at;    /* of the page, in the locator */
	uint64_t start; /* of the page, in the content */
	size_t len;
};

static struct place place_of(const struct media *m, uint64_t offset)
{
	struct place p;
	uint64_t at, end;

	p.extent = media_locate(m, offset, &at);
	p.at = at - at % CHUNK_MAX;
	end = p.at + CHUNK_MAX;
	if (p.at < p.extent->start)
		p.at = p.extent->start;
	if (end > p.extent->start + p.extent->length)
		end = p.extent->start + p.extent->length;
	p.start = offset - (at - p.at);
	p.len = (size_t)(end - p.at);
	return p;
}

static struct cache_key key_of(const struct place *p)
{
	return (struct cache_key){ p->extent->locator, p->at };
}

bool page_cached(struct server *s, const struct media *m, uint64_t offset, struct page *out)
{
	struct place p = place_of(m, offset);
	struct chunk *c = cache_get(s->cache, key_of(&p));

	if (c != NULL && c->len < p.len) {
		chunk_unref(c);
		c = NULL;
	}
	if (c == NULL)
		return false;
	metric_add(METRIC_CACHE_HITS, 1);
	*out = (struct page){ c, p.start };
	return true;
}

/* Bytes that were appended in small steps lie in small pieces: puts them together. */
static enum err_code gather(struct server *s, const struct place *p, struct chunk *first,
			    struct chunk **out, struct err *e)
{
	struct chunk *whole = chunk_new(p->len), *next = first;
	enum err_code rc = whole == NULL ? err_set(e, ERR_NOMEM, "page") : ERR_OK;

	while (rc == ERR_OK) {
		memcpy(whole->data + whole->len, next->data, next->len);
		whole->len += next->len;
		chunk_unref(next);
		next = NULL;
		if (whole->len == p->len)
			break;
		rc = store_read(s->store, p->extent, p->at + whole->len, &next, e);
	}
	chunk_unref(next);
	if (rc != ERR_OK)
		chunk_unref(whole);
	else
		*out = whole;
	return rc;
}

/* Takes a page from the store over into the cache; for good if it is not one man's errand. */
static void take(struct server *s, const struct media *m, const struct place *p,
		 const struct load *l, struct chunk *c, struct page *out)
{
	const bool bulk = m->upload->offset > server_settings(s)->fetch_cache / BULK_SHARE;

	cache_put(s->cache, key_of(p), c, bulk && !loads_wanted(s->loads, l));
	*out = (struct page){ c, p->start };
}

static bool read_now(struct server *s, const struct place *p, struct chunk **out)
{
	struct chunk *c;
	struct err e;

	if (store_read_now(s->store, p->extent, p->at, &c, &e) != ERR_OK)
		return false;
	if (c->len < p->len) {
		chunk_unref(c);
		return false;
	}
	metric_add(METRIC_CACHE_MISSES, 1);
	*out = c;
	return true;
}

bool page_now(struct server *s, const struct media *m, uint64_t offset, struct page *out)
{
	const struct place p = place_of(m, offset);
	struct chunk *c;
	struct load l;
	bool found;

	if (!loads_begin(s->loads, &l, key_of(&p), NULL))
		return false;
	found = page_cached(s, m, offset, out); /* since it was looked for */
	if (!found && read_now(s, &p, &c)) {
		take(s, m, &p, &l, c, out);
		found = true;
	}
	loads_end(s->loads, &l, found ? ERR_OK : ERR_BUSY, found ? out->chunk : NULL);
	return found;
}

static enum err_code read_whole(struct server *s, const struct place *p, struct chunk **out,
				struct err *e)
{
	struct chunk *c = NULL;
	enum err_code rc;

	metric_add(METRIC_CACHE_MISSES, 1);
	rc = store_read(s->store, p->extent, p->at, &c, e);
	if (rc == ERR_OK && c->len < p->len)
		rc = gather(s, p, c, &c, e);
	if (rc == ERR_DAMAGED)
		metric_add(METRIC_DAMAGED_READS, 1);
	if (rc == ERR_BUSY) /* says something else here */
		rc = err_set(e, ERR_IO, "the store is busy");
	if (rc == ERR_OK)
		*out = c;
	return rc;
}

/* What somebody else has read for w, if it is all of the page: of an upload that grows he may have
 * known less. */
static bool was_read(const struct place *p, struct load_wait *w, enum err_code *rc,
		     struct page *out, struct err *e)
{
	struct chunk *c;

	if (!load_wait_take(w, key_of(p), rc, &c))
		return false;
	if (*rc != ERR_OK) {
		*rc = err_set(e, *rc, "who read it for others as well has failed");
		return true;
	}
	if (c->len < p->len) {
		chunk_unref(c);
		return false;
	}
	metric_add(METRIC_CACHE_HITS, 1);
	*out = (struct page){ c, p->start };
	return true;
}

static enum err_code load(struct server *s, const struct media *m, const struct place *p,
			  const struct load *l, struct page *out, struct err *e)
{
	struct chunk *c = NULL;
	enum err_code rc = read_whole(s, p, &c, e);

	if (rc == ERR_OK)
		take(s, m, p, l, c, out);
	return rc;
}

enum err_code page_load(struct server *s, const struct media *m, uint64_t offset,
			struct load_wait *w, struct page *out, struct err *e)
{
	const struct place p = place_of(m, offset);
	enum err_code rc = ERR_OK;
	struct load l;

	if (w != NULL && was_read(&p, w, &rc, out, e))
		return rc;
	if (!loads_begin(s->loads, &l, key_of(&p), w))
		return w != NULL ? ERR_BUSY : load(s, m, &p, &l, out, e);
	if (!page_cached(s, m, offset, out)) /* else it has come since it was looked for */
		rc = load(s, m, &p, &l, out, e);
	loads_end(s->loads, &l, rc, rc == ERR_OK ? out->chunk : NULL);
	return rc;
}

/* A chunk that is mostly slack is not worth its place in the cache as it is. */
static struct chunk *trimmed(struct chunk *c)
{
	struct chunk *copy;

	if (c->len * 2 >= c->cap || (copy = chunk_new(c->len)) == NULL)
		return chunk_ref(c);
	memcpy(copy->data, c->data, c->len);
	copy->len = c->len;
	return copy;
}

void page_keep(struct server *s, const struct media *m, uint64_t offset, struct chunk *c)
{
	struct place p;

	if (c->len == 0)
		return;
	p = place_of(m, offset);
	if (p.start != offset || p.len != c->len)
		return;
	c = trimmed(c);
	cache_put(s->cache, key_of(&p), c, false);
	chunk_unref(c);
}

bool pages_have_room(const struct server *s)
{
	const struct settings *set = server_settings(s);

	return chunk_memory() < set->fetch_cache + set->fetch_memory + set->upload_memory;
}
