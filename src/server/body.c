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

typedef enum err_code get_page(struct body *b, uint64_t offset, struct page *out, struct err *e);

static enum err_code page_at_hand(struct body *b, uint64_t offset, struct page *out, struct err *e)
{
	(void)e;
	/* longer ones are read as they go, so that none holds up the others */
	return (b->size <= LOAD_MAX ? at_once : in_memory)(b, offset, out) ? ERR_OK : ERR_NOTFOUND;
}

static enum err_code page_anyhow(struct body *b, uint64_t offset, struct page *out, struct err *e)
{
	if (in_memory(b, offset, out))
		return ERR_OK;
	return page_load(b->server, b->media, offset, out, e);
}

struct collected {
	struct iovec pieces[REPLY_PIECES_MAX];
	struct chunk *chunks[REPLY_PIECES_MAX + 1];
	size_t piece_count, chunk_count;
};

static enum err_code collect_content(struct body *b, const struct body_part *p, struct collected *c,
				     get_page *get, struct err *e)
{
	uint64_t offset = p->from, end = p->from + p->length, skip, n;
	struct page page;
	enum err_code rc;

	while (offset < end) {
		if (c->piece_count == REPLY_PIECES_MAX)
			return err_set(e, ERR_TOOBIG, "too many pieces");
		rc = get(b, offset, &page, e);
		if (rc != ERR_OK)
			return rc;
		c->chunks[c->chunk_count++] = page.chunk;
		skip = offset - page.start;
		n = page.chunk->len - skip;
		if (n > end - offset)
			n = end - offset;
		c->pieces[c->piece_count++] = (struct iovec){ page.chunk->data + skip, n };
		offset += n;
	}
	return ERR_OK;
}

static enum err_code collect(struct body *b, struct collected *c, get_page *get, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < b->part_count; i++) {
		const struct body_part *p = &b->parts[i];

		if (p->text == NULL)
			rc = collect_content(b, p, c, get, e);
		else if (c->piece_count == REPLY_PIECES_MAX)
			rc = err_set(e, ERR_TOOBIG, "too many pieces");
		else
			c->pieces[c->piece_count++] =
				(struct iovec){ (void *)(uintptr_t)p->text, p->length };
	}
	return rc;
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

static enum err_code attach(struct body *b, struct reply *r, get_page *get, struct err *e)
{
	struct collected c = { .piece_count = 0 };
	enum err_code rc = collect(b, &c, get, e);

	if (rc == ERR_OK && !hang(b, r, &c))
		rc = err_set(e, ERR_NOMEM, "answer");
	if (rc != ERR_OK)
		for (size_t i = 0; i < c.chunk_count; i++)
			chunk_unref(c.chunks[i]);
	return rc;
}

bool body_attach(struct body *b, struct reply *r)
{
	/* what an answer holds stays in memory though the cache lets it go */
	return pages_have_room(b->server) && attach(b, r, page_at_hand, NULL) == ERR_OK;
}

enum err_code body_load(struct body *b, struct reply *r, struct err *e)
{
	if (b->size > LOAD_MAX || !pages_have_room(b->server))
		return err_set(e, ERR_TOOBIG, "to be sent piece by piece");
	return attach(b, r, page_anyhow, e);
}

/* ---- piece by piece ---- */

static const struct body_part *part_at(const struct body *b, uint64_t pos)
{
	size_t i = 0;

	while (pos - b->parts[i].at >= b->parts[i].length)
		i++;
	return &b->parts[i];
}

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
