/* source_kind - the inside of a source, for the files that make one. One thread. */
#ifndef RESTANTE_CLIENT_SOURCE_KIND_H
#define RESTANTE_CLIENT_SOURCE_KIND_H

#include "client/seal/payload.h"
#include "client/source.h"

/* Whoever fills this in begins its own struct with a struct source. Functions may be NULL where the
 * comment says what happens then. */
struct source_kind {
	/* Bytes from offset on, as reader_read() has it; but it may give fewer than there is room
	 * for. */
	enum source_next (*read)(struct source *s, struct reader *r, uint64_t offset, uint8_t *out,
				 size_t cap, size_t *n, struct restante_error *e);
	enum restante_code (*check)(const struct source *s, struct restante_error *e); /* OK */
	int (*fd)(const struct source *s);                                             /* -1 */
	enum restante_code (*fill)(struct source *s, struct restante_error *e);        /* OK */
	void (*release)(struct source *s, uint64_t offset); /* nothing to be done */
	void (*close)(
		struct source *s); /* what it holds besides; the struct is freed by source.c */
};

struct source {
	const struct source_kind *kind;
	size_t memory; /* size of the struct that begins here */

	bool seals; /* key, head and payload are there */
	uint8_t key[RESTANTE_KEY_SIZE];
	uint8_t head[RESTANTE_HEAD_SIZE];
	struct payload payload;

	bool ended;       /* the sizes are known */
	uint64_t content; /* bytes of it */
	uint64_t padded;  /* and with padding */
	uint64_t sealed;  /* and sealed */

	/* The seal of each chunk that was given out under this head, PAYLOAD_TAG bytes each, zeroes
	 * where there was none; NULL: of none. For kinds that seal a chunk more than once. */
	uint8_t *seals_given;

	uint64_t first, made;
	bool of_file;
	struct source_id id;
};

/* A reader holds one sealed chunk, for those who ask for less than a whole one. */
struct reader {
	struct source *source;
	uint64_t chunk; /* which one; UINT64_MAX: none */
	uint8_t plain[PAYLOAD_CHUNK];
	uint8_t sealed[PAYLOAD_SEALED_CHUNK];
};

/* Zeroed memory for a kind's struct of this size, freed by source_free(). With `seals`, a fresh key
 * and head. */
enum restante_code source_make(struct source **out, const struct source_kind *kind, size_t memory,
			       bool seals, struct restante_error *e);

/* The content's size has become known: fills in the others. RESTANTE_TOOBIG. */
enum restante_code source_end_at(struct source *s, uint64_t content, bool padded,
				 struct restante_error *e);

/* Where chunk i begins, and how long it is when the size is known. */
uint64_t source_chunk_at(uint64_t index);
size_t source_chunk_size(const struct source *s, uint64_t index);

#endif
