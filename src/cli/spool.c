#include "cli/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "cli/cancel.h"
#include "cli/card.h"
#include "cli/output.h"
#include "restante/seal.h"

#define DRAFT "draft"

/* A draft is a whole envelope, so that it is read as strictly as any; this stands for the token
 * that the server has not given yet: of a fetch token all bytes but the first are zero. */
#define NO_TOKEN "EQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* ---- what is sealed ------------------------------------------------------------------------ */

/* Content, and behind it zeroes up to the padded size. */
struct source {
	const struct content *content;
	uint64_t size, padded, at;
};

static bool source_open(struct source *s, const struct content *c, struct trouble *t)
{
	struct stat st;

	*s = (struct source){ .content = c, .size = c->memory.len };
	if (c->from == CONTENT_FD) {
		if (fstat(c->fd, &st) != 0)
			return trouble_errno(t, "what was prepared");
		s->size = (uint64_t)st.st_size;
	}
	s->padded = restante_padded_size(s->size);
	return true;
}

static bool read_file(const struct source *s, uint8_t *out, size_t n, struct trouble *t)
{
	size_t got = 0;
	ssize_t k = 1;

	while (got < n && k > 0) {
		k = pread(s->content->fd, out + got, n - got, (off_t)(s->at + got));
		got += k > 0 ? (size_t)k : 0;
	}
	return got == n || trouble_local(t, ERR_IO, "cannot read what was prepared");
}

/* The next n bytes, of which there are as many. */
static bool take(struct source *s, uint8_t *out, size_t n, struct trouble *t)
{
	uint64_t left = s->at < s->size ? s->size - s->at : 0;
	size_t content = n < left ? n : (size_t)left;

	if (s->content->from == CONTENT_FD && !read_file(s, out, content, t))
		return false;
	if (s->content->from == CONTENT_MEMORY && content > 0)
		memcpy(out, s->content->memory.data + s->at, content);
	memset(out + content, 0, n - content);
	s->at += n;
	return true;
}

/* ---- sealing ------------------------------------------------------------------------------- */

struct spooling {
	struct source source;
	struct restante_sealer *sealer;
	int fd;
	struct digester digester;
	uint64_t written;
	uint8_t in[RESTANTE_CHUNK_SIZE], out[RESTANTE_SEALED_CHUNK_SIZE];
};

static bool put(struct spooling *s, size_t n, struct trouble *t)
{
	digest_update(&s->digester, (struct bytes){ s->out, n });
	s->written += n;
	return output_bytes(s->fd, "the state folder", s->out, n, t);
}

/* Seals in[0..n); at the end as long as something comes out. */
static bool seal_piece(struct spooling *s, size_t n, bool last, struct trouble *t)
{
	struct restante_error e = { 0 };
	size_t at = 0, taken, given;
	bool done = false;

	while (last ? !done : at < n) {
		if (restante_sealer_run(s->sealer, s->in + at, n - at, last, &taken, s->out,
					sizeof(s->out), &given, &done, &e) != RESTANTE_OK)
			return trouble_library(t, &e, NULL);
		at += taken;
		if (!put(s, given, t))
			return false;
	}
	return cancel_not(t);
}

static bool seal_all(struct spooling *s, struct trouble *t)
{
	bool last = false, ok = true;

	while (ok && !last) {
		uint64_t left = s->source.padded - s->source.at;
		size_t n = left < sizeof(s->in) ? (size_t)left : sizeof(s->in);

		last = n == left;
		ok = take(&s->source, s->in, n, t) && seal_piece(s, n, last, t);
	}
	return ok;
}

static bool fill_card(struct spooling *s, struct restante_envelope *card, struct trouble *t)
{
	struct digest sum;

	digest_final(&s->digester, &sum);
	return card_number(card, RESTANTE_NUMBER_SIZE, s->source.size, t) &&
	       card_number(card, RESTANTE_NUMBER_SEALED_SIZE, s->written, t) &&
	       card_blob(card, RESTANTE_BLOB_SHA256, sum.b, sizeof(sum.b), t);
}

static bool seal_with(struct spooling *s, const uint8_t key[static RESTANTE_KEY_SIZE],
		      const struct content *c, struct restante_envelope *card, struct trouble *t)
{
	struct restante_error e = { 0 };

	if (restante_sealer_new(&s->sealer, key, &e) != RESTANTE_OK)
		return trouble_library(t, &e, NULL);
	digest_init(&s->digester);
	return card_blob(card, RESTANTE_BLOB_KEY, key, RESTANTE_KEY_SIZE, t) &&
	       source_open(&s->source, c, t) && seal_all(s, t) && fill_card(s, card, t);
}

static bool seal_to(int fd, const struct content *c, struct restante_envelope *card,
		    struct trouble *t)
{
	struct spooling *s = calloc(1, sizeof(*s));
	uint8_t key[RESTANTE_KEY_SIZE];
	struct restante_error e = { 0 };
	bool ok;

	if (s == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	s->fd = fd;
	if (restante_key_new(key, &e) != RESTANTE_OK)
		ok = trouble_library(t, &e, NULL);
	else
		ok = seal_with(s, key, c, card, t);
	restante_sealer_free(s->sealer);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(s, sizeof(*s));
	free(s);
	return ok;
}

/* ---- files --------------------------------------------------------------------------------- */

typedef bool write_fn(int fd, void *ctx, struct trouble *t);

/* Writes a file of the place under another name first, so that it is there whole or not at all. */
static bool write_whole(const struct state *s, const char *suffix, write_fn *fn, void *ctx,
			struct trouble *t)
{
	char *path = state_path(s, suffix), *fresh = NULL;
	bool ok = false;
	int fd = -1;

	if (path == NULL || asprintf(&fresh, "%s.new", path) < 0) {
		free(path);
		return trouble_local(t, ERR_NOMEM, "out of memory");
	}
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		(void)trouble_errno(t, fresh);
	else
		ok = fn(fd, ctx, t);
	if (fd >= 0 && close(fd) != 0 && ok)
		ok = trouble_errno(t, fresh);
	if (ok && rename(fresh, path) != 0)
		ok = trouble_errno(t, path);
	free(fresh);
	free(path);
	return ok;
}

struct sealing {
	const struct content *content;
	struct restante_envelope *card;
};

static bool write_sealed(int fd, void *ctx, struct trouble *t)
{
	struct sealing *s = ctx;

	return seal_to(fd, s->content, s->card, t);
}

static bool write_draft(int fd, void *ctx, struct trouble *t)
{
	char text[RESTANTE_ENVELOPE_MAX + 1];
	struct restante_error e = { 0 };
	bool ok = restante_envelope_encode(ctx, text, &e) == RESTANTE_OK
			  ? output_bytes(fd, "the state folder", text, strlen(text), t)
			  : trouble_library(t, &e, NULL);

	explicit_bzero(text, sizeof(text));
	return ok;
}

/* ---- interface ----------------------------------------------------------------------------- */

/* The draft is written last: where it is, the rest is. */
bool spool_make(const struct state *s, const struct content *c, struct restante_envelope *card,
		struct trouble *t)
{
	struct sealing sealing = { c, card };

	return write_whole(s, SPOOL_SEALED, write_sealed, &sealing, t) &&
	       card_text(card, RESTANTE_TEXT_TOKEN, NO_TOKEN, t) &&
	       write_whole(s, DRAFT, write_draft, card, t);
}

/* A machine that lost its power may have lost the end of a file. */
static bool is_whole(const struct state *s, const struct restante_envelope *card)
{
	char *path = state_path(s, SPOOL_SEALED);
	uint64_t sealed_size;
	struct stat st;
	bool whole = path != NULL && stat(path, &st) == 0 &&
		     restante_envelope_number(card, RESTANTE_NUMBER_SEALED_SIZE, &sealed_size) &&
		     (uint64_t)st.st_size == sealed_size;

	free(path);
	return whole;
}

bool spool_find(struct restante_envelope **card, const struct state *s)
{
	char *path = state_path(s, DRAFT);
	struct restante_envelope *found = NULL;
	struct trouble ignored;
	bool ok = path != NULL && access(path, R_OK) == 0 && card_read(&found, path, &ignored) &&
		  is_whole(s, found);

	free(path);
	if (!ok) {
		restante_envelope_free(found);
		return false;
	}
	*card = found;
	return true;
}
