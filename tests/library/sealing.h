/* sealing - containers sealed and opened in pieces of any size, for the suites about them. Inputs
 * are copied to memory of just their size, so that a sanitizer sees the first byte read behind. */
#ifndef RESTANTE_TESTS_SEALING_H
#define RESTANTE_TESTS_SEALING_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "restante/seal.h"

/* How the bytes arrive: each piece 1 to `most` bytes, chosen by seed; 0: all at once. */
struct pieces {
	size_t most;
	uint64_t seed;
};

static const struct pieces one_piece = { 0, 0 };

/* What came out, to be freed, and how it ended. */
struct outcome {
	enum restante_code code;
	struct restante_error error;
	uint8_t *data;
	size_t size;
};

/* xorshift64 (Marsaglia). */
static inline size_t pieces_next(struct pieces *p, size_t left)
{
	if (p->most == 0)
		return left;
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	size_t n = 1 + (size_t)(p->seed % p->most);
	return n < left ? n : left;
}

/* restante_sealer_run() or restante_opener_run(). */
typedef enum restante_code run_function(void *handle, const void *in, size_t in_size, bool last,
					size_t *taken, void *out, size_t out_size, size_t *given,
					bool *done, struct restante_error *error);

static inline enum restante_code run_sealer(void *h, const void *in, size_t in_size, bool last,
					    size_t *taken, void *out, size_t out_size,
					    size_t *given, bool *done, struct restante_error *e)
{
	return restante_sealer_run(h, in, in_size, last, taken, out, out_size, given, done, e);
}

static inline enum restante_code run_opener(void *h, const void *in, size_t in_size, bool last,
					    size_t *taken, void *out, size_t out_size,
					    size_t *given, bool *done, struct restante_error *e)
{
	return restante_opener_run(h, in, in_size, last, taken, out, out_size, given, done, e);
}

/* Whole: room for everything. In pieces: as little room as is allowed, and no byte more. */
static inline void run_pieces(struct outcome *o, run_function *run, void *handle, struct bytes in,
			      size_t least_room, struct pieces pieces)
{
	const size_t cap = restante_sealed_size(in.len) + 2 * least_room;
	const size_t room = pieces.most == 0 ? cap : least_room;
	size_t at = 0, piece = 0, taken, given;
	bool done = false;

	*o = (struct outcome){ .data = malloc(cap) };
	assert(o->data != NULL);
	while (!done && o->code == RESTANTE_OK) {
		uint8_t *copy, *out = malloc(room);

		if (piece == 0)
			piece = pieces_next(&pieces, in.len - at);
		copy = malloc(piece > 0 ? piece : 1);
		assert(copy != NULL && out != NULL);
		if (piece > 0)
			memcpy(copy, in.data + at, piece);
		given = 0;
		o->code = run(handle, piece > 0 ? copy : NULL, piece, at + piece == in.len, &taken,
			      out, room, &given, &done, &o->error);
		assert(o->code == RESTANTE_OK || (given == 0 && !done));
		assert(taken <= piece && given <= room && o->size + given <= cap);
		memcpy(o->data + o->size, out, given);
		o->size += given;
		at += taken;
		piece -= taken;
		free(copy);
		free(out);
	}
	assert(o->code != RESTANTE_OK || at == in.len);
}

static inline void seal_pieces(struct outcome *o, const uint8_t *key, struct bytes plain,
			       struct pieces pieces)
{
	struct restante_sealer *s;

	assert(restante_sealer_new(&s, key, NULL) == RESTANTE_OK);
	run_pieces(o, run_sealer, s, plain, RESTANTE_SEALED_CHUNK_SIZE, pieces);
	restante_sealer_free(s);
}

static inline void open_pieces(struct outcome *o, const uint8_t *key, struct bytes sealed,
			       struct pieces pieces)
{
	struct restante_opener *s;

	assert(restante_opener_new(&s, key, NULL) == RESTANTE_OK);
	run_pieces(o, run_opener, s, sealed, RESTANTE_CHUNK_SIZE, pieces);
	restante_opener_free(s);
}

static inline struct bytes outcome_bytes(const struct outcome *o)
{
	return (struct bytes){ o->data, o->size };
}

#endif
