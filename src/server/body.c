#include "server/body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

/* Read ahead of an answer and held for it: no more than this many bytes at once. */
#define LOAD_MAX ((uint64_t)1 << 20)

static void add(struct body *b, const char *text, uint64_t from, uint64_t length)
{
	struct body_part *p = &b->parts[b->part_count++];

	*p = (struct body_part){ .at = b->size, .length = length, .text = text, .from = from };
	b->size += length;
}

void body_whole(struct body *b, struct server *s, struct media *m)
{
	*b = (struct body){ .server = s, .media = m, .page = b->page };
	if (m->upload->offset > 0)
		add(b, NULL, 0, m->upload->offset);
}

void body_range(struct body *b, struct server *s, struct media *m, struct range r)
{
	*b = (struct body){ .server = s, .media = m };
	add(b, NULL, r.first, r.last - r.first + 1);
}

/* One buffer for all the text between ranges, so that parts may point into it. */
bool body_ranges(struct body *b, struct server *s, struct media *m, const struct range *r,
		 size_t count, uint64_t size, const char *boundary)
{
	const size_t room = (count + 1) * 256;
	size_t used = 0;
	char *text;
	int n;

	*b = (struct body){ .server = s, .media = m, .texts = chunk_new(room) };
	if (b->texts == NULL)
		return false;
	text = (char *)b->texts->data;
	for (size_t i = 0; i < count; i++) {
		n = snprintf(text + used, room - used,
			     "%s--%s\r\nContent-Type: application/octet-stream\r\n"
			     "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
			     i == 0 ? "" : "\r\n", boundary, r[i].first, r[i].last, size);
		add(b, text + used, 0, (uint64_t)n);
		used += (size_t)n;
		add(b, NULL, r[i].first, r[i].last - r[i].first + 1);
	}
	n = snprintf(text + used, room - used, "\r\n--%s--\r\n", boundary);
	add(b, text + used, 0, (uint64_t)n);
	b->texts->len = used + (size_t)n;
	return true;
}

bool body_is_short(const struct body *b)
{
	return b->size <= (uint64_t)REPLY_PIECES_MAX * CHUNK_MAX;
}

/* ---- from pages in memory ---- */

/* What was loaded is taken, or was for another place. */
static bool take_loaded(struct body *b, uint64_t offset, struct page *out)
{
	const struct page page = b->page;

	b->page.chunk = NULL;
	if (page.chunk != NULL && offset >= page.start && offset - page.start < page.chunk->len) {
		*out = page;
		return true;
	}
	chunk_unref(page.chunk);
	return false;
}

static bool in_memory(struct body *b, uint64_t offset, struct page *out)
{
	return take_loaded(b, offset, out) || page_cached(b->server, b->media, offset, out);
}

/* What an event loop may have. */
static bool at_once(struct body *b, uint64_t offset, struct page *out)
{
	return in_memory(b, offset, out) || page_now(b->server, b->media, offset, out);
}

typedef enum err_code get_page(struct body *b, uint64_t offset, struct load_wait *w,
			       struct page *out, struct err *e);

static enum err_code page_at_hand(struct body *b, uint64_t offset, struct load_wait *w,
				  struct page *out, struct err *e)
{
	(void)w;
	(void)e;
	/* longer ones are read as they go, so that none holds up the others */
	return (b->size <= LOAD_MAX ? at_once : in_memory)(b, offset, out) ? ERR_OK : ERR_NOTFOUND;
}

static enum err_code page_anyhow(struct body *b, uint64_t offset, struct load_wait *w,
				 struct page *out, struct err *e)
{
	if (in_memory(b, offset, out))
		return ERR_OK;
	return page_load(b->server, b->media, offset, w, out, e);
}

struct collected {
	struct iovec pieces[REPLY_PIECES_MAX];
	struct chunk *chunks[REPLY_PIECES_MAX + 1];
	size_t piece_count, chunk_count;
	uint64_t done; /* of the body: whoever had to wait for a page goes on from there */
};

static void add_piece(struct collected *c, const void *data, uint64_t n)
{
	c->pieces[c->piece_count++] = (struct iovec){ (void *)(uintptr_t)data, n };
	c->done += n;
}

static enum err_code collect_page(struct body *b, const struct body_part *p, struct collected *c,
				  get_page *get, struct load_wait *w, struct err *e)
{
	const uint64_t skip = c->done - p->at, offset = p->from + skip;
	struct page page;
	uint64_t n;
	enum err_code rc = get(b, offset, w, &page, e);

	if (rc != ERR_OK)
		return rc;
	c->chunks[c->chunk_count++] = page.chunk;
	n = page.chunk->len - (offset - page.start);
	if (n > p->length - skip)
		n = p->length - skip;
	add_piece(c, page.chunk->data + (offset - page.start), n);
	return ERR_OK;
}

static const struct body_part *part_at(const struct body *b, uint64_t pos)
{
	size_t i = 0;

	while (pos - b->parts[i].at >= b->parts[i].length)
		i++;
	return &b->parts[i];
}

static enum err_code collect(struct body *b, struct collected *c, get_page *get,
			     struct load_wait *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (rc == ERR_OK && c->done < b->size) {
		const struct body_part *p = part_at(b, c->done);

		if (c->piece_count == REPLY_PIECES_MAX)
			rc = err_set(e, ERR_TOOBIG, "too many pieces");
		else if (p->text != NULL)
			add_piece(c, p->text, p->length);
		else
			rc = collect_page(b, p, c, get, w, e);
	}
	return rc;
}

static void release(struct collected *c)
{
	for (size_t i = 0; i < c->chunk_count; i++)
		chunk_unref(c->chunks[i]);
}

static void *copy_of(const void *p, size_t n)
{
	void *q = malloc(n);

	return q == NULL ? NULL : memcpy(q, p, n);
}

/* The reply takes over what was collected, and has its own reference to the text between ranges. */
static bool hang(struct body *b, struct reply *r, struct collected *c)
{
	struct iovec *pieces;
	struct chunk **chunks;

	if (b->texts != NULL)
		c->chunks[c->chunk_count++] = chunk_ref(b->texts);
	pieces = copy_of(c->pieces, c->piece_count * sizeof(c->pieces[0]));
	chunks = (struct chunk **)copy_of(c->chunks, c->chunk_count * sizeof(c->chunks[0]));

	if (pieces == NULL || chunks == NULL) {
		free(pieces);
		free(chunks);
		return false;
	}
	r->kind = REPLY_PIECES;
	r->size = b->size;
	r->pieces = pieces;
	r->piece_count = c->piece_count;
	r->chunks = chunks;
	r->chunk_count = c->chunk_count;
	return true;
}

/* ERR_BUSY: c keeps what it has. */
static enum err_code attach(struct body *b, struct reply *r, struct collected *c, get_page *get,
			    struct load_wait *w, struct err *e)
{
	enum err_code rc = collect(b, c, get, w, e);

	if (rc == ERR_OK && !hang(b, r, c))
		rc = err_set(e, ERR_NOMEM, "answer");
	if (rc != ERR_OK && rc != ERR_BUSY)
		release(c);
	return rc;
}

bool body_attach(struct body *b, struct reply *r)
{
	struct collected c = { .piece_count = 0 };

	/* what an answer holds stays in memory though the cache lets it go */
	return pages_have_room(b->server) && attach(b, r, &c, page_at_hand, NULL, NULL) == ERR_OK;
}

static enum err_code hold(struct body *b, struct err *e)
{
	if (b->size > LOAD_MAX || !pages_have_room(b->server))
		return err_set(e, ERR_TOOBIG, "to be sent piece by piece");
	b->held = calloc(1, sizeof(*b->held));
	return b->held != NULL ? ERR_OK : err_set(e, ERR_NOMEM, "answer");
}

enum err_code body_load(struct body *b, struct reply *r, struct load_wait *w, struct err *e)
{
	enum err_code rc = b->held == NULL ? hold(b, e) : ERR_OK;

	if (rc == ERR_OK)
		rc = attach(b, r, b->held, page_anyhow, w, e);
	if (rc == ERR_BUSY)
		return rc;
	free(b->held);
	b->held = NULL;
	return rc;
}

/* ---- piece by piece ---- */

bool body_bytes(struct body *b, uint64_t offset, uint64_t max, struct reply_piece *out)
{
	struct page page;
	uint64_t skip;

	if (!at_once(b, offset, &page))
		return false;
	skip = offset - page.start;
	*out = (struct reply_piece){ page.chunk, page.chunk->data + skip,
				     page.chunk->len - (size_t)skip };
	if (out->len > max)
		out->len = (size_t)max;
	return true;
}

bool body_content(const struct body *b, uint64_t pos, uint64_t *offset, uint64_t *end)
{
	const struct body_part *p = part_at(b, pos);

	*offset = p->from + (pos - p->at);
	*end = p->from + p->length;
	return p->text == NULL;
}

bool body_piece(struct body *b, uint64_t pos, struct reply_piece *out)
{
	const struct body_part *p = part_at(b, pos);
	const uint64_t skip = pos - p->at;

	if (p->text != NULL) {
		*out = (struct reply_piece){ chunk_ref(b->texts), (const uint8_t *)p->text + skip,
					     (size_t)(p->length - skip) };
		return true;
	}
	return body_bytes(b, p->from + skip, p->length - skip, out);
}

void body_fini(struct body *b)
{
	chunk_unref(b->page.chunk);
	chunk_unref(b->texts);
	b->page.chunk = NULL;
	b->texts = NULL;
}
