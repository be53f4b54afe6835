#include "client/source_kind.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/header.h"

/* Half of what restante_sealed_size() takes: room for padding, and sums stay in range. */
#define CONTENT_MAX (UINT64_C(1) << 61)

/* ---- for the kinds ---- */

static enum restante_code fresh_seal(struct source *s, struct restante_error *e)
{
	enum restante_code rc = restante_key_new(s->key, e);

	if (rc == RESTANTE_OK)
		rc = header_make(s->head, &s->payload, s->key, e);
	s->seals = rc == RESTANTE_OK;
	return rc;
}

enum restante_code source_make(struct source **out, const struct source_kind *kind, size_t memory,
			       bool seals, struct restante_error *e)
{
	struct source *s = calloc(1, memory);
	enum restante_code rc = RESTANTE_OK;

	if (s == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	s->kind = kind;
	s->memory = memory;
	if (seals)
		rc = fresh_seal(s, e);
	if (rc != RESTANTE_OK)
		source_free(s);
	else
		*out = s;
	return rc;
}

enum restante_code source_end_at(struct source *s, uint64_t content, bool padded,
				 struct restante_error *e)
{
	if (content > CONTENT_MAX)
		return fail(e, RESTANTE_TOOBIG, "more than any server takes");
	s->ended = true;
	s->content = content;
	s->padded = padded ? restante_padded_size(content) : content;
	s->sealed = s->seals ? restante_sealed_size(s->padded) : content;
	return RESTANTE_OK;
}

uint64_t source_chunk_at(uint64_t index)
{
	return RESTANTE_HEAD_SIZE + index * PAYLOAD_SEALED_CHUNK;
}

size_t source_chunk_size(const struct source *s, uint64_t index)
{
	return payload_chunk_size(s->padded, index) + PAYLOAD_TAG;
}

/* ---- what it is ---- */

void source_free(struct source *s)
{
	if (s == NULL)
		return;
	if (s->kind->close != NULL)
		s->kind->close(s);
	free(s->seals_given);
	sodium_memzero(s, s->memory);
	free(s);
}

const uint8_t *source_key(const struct source *s)
{
	return s->seals ? s->key : NULL;
}

const uint8_t *source_head(const struct source *s)
{
	return s->seals ? s->head : NULL;
}

enum restante_code source_take_up(struct source *s, const uint8_t key[static RESTANTE_KEY_SIZE],
				  const uint8_t head[static RESTANTE_HEAD_SIZE],
				  struct restante_error *e)
{
	struct payload payload;
	enum restante_code rc;

	if (!s->seals || !s->of_file)
		return fail_plain(e, RESTANTE_MISUSE);
	rc = header_open(&payload, (struct bytes){ head, RESTANTE_HEAD_SIZE }, key, e);
	if (rc != RESTANTE_OK)
		return rc;
	if (memcmp(s->head, head, sizeof(s->head)) != 0) {
		free(s->seals_given);
		s->seals_given = NULL;
	}
	memcpy(s->key, key, sizeof(s->key));
	memcpy(s->head, head, sizeof(s->head));
	s->payload = payload;
	sodium_memzero(&payload, sizeof(payload));
	return RESTANTE_OK;
}

bool source_id(const struct source *s, struct source_id *out)
{
	if (s->of_file)
		*out = s->id;
	return s->of_file;
}

bool source_id_equal(const struct source_id *a, const struct source_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool source_size(const struct source *s, uint64_t *out)
{
	if (s->ended)
		*out = s->sealed;
	return s->ended;
}

bool source_content_size(const struct source *s, uint64_t *out)
{
	if (s->ended)
		*out = s->content;
	return s->ended;
}

enum restante_code source_check(const struct source *s, struct restante_error *e)
{
	return s->kind->check != NULL ? s->kind->check(s, e) : RESTANTE_OK;
}

/* ---- pipes ---- */

int source_fd(const struct source *s)
{
	return s->kind->fd != NULL ? s->kind->fd(s) : -1;
}

enum restante_code source_fill(struct source *s, struct restante_error *e)
{
	return s->kind->fill != NULL ? s->kind->fill(s, e) : RESTANTE_OK;
}

void source_release(struct source *s, uint64_t offset)
{
	if (s->kind->release != NULL)
		s->kind->release(s, offset);
}

uint64_t source_first(const struct source *s)
{
	return s->first;
}

uint64_t source_made(const struct source *s)
{
	return s->kind->fill != NULL ? s->made : s->sealed;
}

/* ---- reading ---- */

enum restante_code reader_new(struct reader **out, struct source *s, struct restante_error *e)
{
	struct reader *r = malloc(sizeof(*r));

	if (r == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	r->source = s;
	r->chunk = UINT64_MAX;
	*out = r;
	return RESTANTE_OK;
}

void reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	sodium_memzero(r->plain, sizeof(r->plain));
	free(r);
}

enum source_next source_look(const struct source *s, uint64_t offset)
{
	if (offset < source_made(s))
		return SOURCE_SOME;
	if (s->ended && offset >= s->sealed)
		return SOURCE_END;
	return source_fd(s) >= 0 ? SOURCE_LATER : SOURCE_FULL;
}

enum source_next reader_read(struct reader *r, uint64_t offset, uint8_t *out, size_t cap, size_t *n,
			     struct restante_error *e)
{
	struct source *s = r->source;
	size_t got = 0, some;

	/* another chunk that has no room as a whole is better made with the next call */
	while (got == 0 || cap - got >= PAYLOAD_SEALED_CHUNK) {
		enum source_next next = source_look(s, offset + got);

		if (next == SOURCE_SOME)
			next = s->kind->read(s, r, offset + got, out + got, cap - got, &some, e);
		if (next == SOURCE_FAILED || (next != SOURCE_SOME && got == 0))
			return next;
		if (next != SOURCE_SOME)
			break;
		got += some;
	}
	*n = got;
	return SOURCE_SOME;
}
