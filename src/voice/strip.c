#include "voice/strip.h"

#include <ogg/ogg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "voice/foreign.h"
#include "voice/page.h"

/* Where a page has what (RFC 3533 section 6). */
#define FLAGS 5
#define GRANULE 6
#define NUMBER 18
#define SUM 22
#define LENGTHS 26

/* No vendor, no comments (RFC 7845 section 5.2). */
static const uint8_t no_tags[16] = "OpusTags";

struct stripping {
	uint8_t *out;
	size_t size;
	/* of the link, what its sound continues with */
	enum { NO_SOUND, TAGS, REST_OF_TAGS, SOUND } next;
	int serial;
	uint32_t dropped; /* pages of its tags */
	bool begins;      /* the page before was the first one of its stream */
};

static ogg_page view(uint8_t *p, size_t size)
{
	size_t head = PAGE_HEAD + p[LENGTHS];

	return (ogg_page){ p, (long)head, p + head, (long)(size - head) };
}

static bool begins_with(const ogg_page *p, const char magic[static 8])
{
	return p->body_len >= (long)sizeof(no_tags) && memcmp(p->body, magic, 8) == 0;
}

/* Whether a packet ends where the page ends, and none before: of the headers each has its own. */
static bool ends_a_packet(const ogg_page *p)
{
	return ogg_page_packets(p) == 1 && p->header[p->header_len - 1] < 255;
}

static enum err_code damaged(struct err *e)
{
	return err_set(e, ERR_INVALID, "the recording is damaged: its headers make no sense");
}

static void put_little_endian(uint8_t *p, uint32_t v)
{
	for (size_t i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* ---- pages, each at the end of what is written ---- */

static enum err_code keep(struct stripping *s, ogg_page *p)
{
	put_little_endian(p->header + NUMBER, (uint32_t)ogg_page_pageno(p) - s->dropped);
	ogg_page_checksum_set(p);
	s->size += (size_t)(p->header_len + p->body_len);
	return ERR_OK;
}

/* The page of an empty comment header is no longer than any other. */
static enum err_code replace_tags(struct stripping *s, const ogg_page *p, struct err *e)
{
	bool whole = ends_a_packet(p);
	ogg_page fresh;

	if (!begins_with(p, "OpusTags") || (!whole && ogg_page_packets(p) > 0))
		return damaged(e);
	s->next = whole ? SOUND : REST_OF_TAGS;
	p->header[FLAGS] = 0;
	memset(p->header + GRANULE, 0, 8);
	p->header[LENGTHS] = 1;
	p->header[PAGE_HEAD] = sizeof(no_tags);
	memcpy(p->header + PAGE_HEAD + 1, no_tags, sizeof(no_tags));
	fresh = view(p->header, PAGE_HEAD + 1 + sizeof(no_tags));
	return keep(s, &fresh);
}

static enum err_code drop_tags(struct stripping *s, const ogg_page *p, struct err *e)
{
	if (!ends_a_packet(p) && ogg_page_packets(p) > 0)
		return damaged(e);
	if (ends_a_packet(p))
		s->next = SOUND;
	s->dropped++;
	return ERR_OK;
}

/* The first page of a stream: those of a link come together, and its sound is the first one that
 * is Opus. */
static enum err_code begin(struct stripping *s, ogg_page *p, struct err *e)
{
	bool fresh = !s->begins;

	s->begins = true;
	if (fresh && (s->next == TAGS || s->next == REST_OF_TAGS))
		return damaged(e);
	if (fresh)
		s->next = NO_SOUND;
	if (s->next != NO_SOUND || !begins_with(p, "OpusHead"))
		return ERR_OK;
	s->serial = ogg_page_serialno(p);
	s->dropped = 0;
	s->next = TAGS;
	return ends_a_packet(p) ? keep(s, p) : damaged(e);
}

static enum err_code pass(struct stripping *s, ogg_page *p, struct err *e)
{
	if (ogg_page_bos(p))
		return begin(s, p, e);
	s->begins = false;
	if (s->next == NO_SOUND || ogg_page_serialno(p) != s->serial)
		return ERR_OK;
	if (s->next == TAGS)
		return replace_tags(s, p, e);
	return s->next == SOUND ? keep(s, p) : drop_tags(s, p, e);
}

/* A page whose sum is wrong would get a right one, and nobody could tell any more. */
static bool has_right_sum(ogg_page *p)
{
	uint8_t sum[4];

	memcpy(sum, p->header + SUM, sizeof(sum));
	ogg_page_checksum_set(p);
	return memcmp(sum, p->header + SUM, sizeof(sum)) == 0;
}

static enum err_code pass_all(struct stripping *s, struct bytes in, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct bytes page;
	ogg_page p;

	for (size_t at = 0; at < in.len && rc == ERR_OK; at += page.len) {
		rc = page_at(in, at, &page, e);
		if (rc != ERR_OK)
			return rc;
		memcpy(s->out + s->size, page.data, page.len);
		p = view(s->out + s->size, page.len);
		if (!has_right_sum(&p))
			return err_set(
				e, ERR_INVALID,
				"the recording is damaged: wrong sum of the page at byte %zu", at);
		rc = pass(s, &p, e);
	}
	if (rc == ERR_OK && s->size == 0)
		return foreign_refuse(in, e);
	return rc == ERR_OK && s->next != SOUND ? damaged(e) : rc;
}

enum err_code voice_strip(struct bytes in, uint8_t **out, size_t *size, struct err *e)
{
	struct stripping s = { .size = 0 };
	enum err_code rc;

	if (in.len < 4 || memcmp(in.data, "OggS", 4) != 0)
		return foreign_refuse(in, e);
	s.out = malloc(in.len);
	if (s.out == NULL)
		return err_set(e, ERR_NOMEM, "writing a recording");
	rc = pass_all(&s, in, e);
	if (rc != ERR_OK) {
		free(s.out);
		return rc;
	}
	*out = s.out;
	*size = s.size;
	return ERR_OK;
}
