/* state - the file in which an upload writes down how another process could go on: the key, the
 * head of the container, and where the server keeps the upload or its parts. JSON, mode 0600,
 * locked (flock) while a process works on it, replaced as a whole or not at all. One thread. */
#ifndef RESTANTE_CLIENT_STATE_H
#define RESTANTE_CLIENT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/parts.h"
#include "client/source.h"

struct state;

/* What must be the same for an upload to be taken up. */
struct state_about {
	const char *endpoint; /* absolute */
	struct source_id source;
	bool seals; /* the source is sealed by us */
	const char *kind;
	uint64_t ttl_s;
	unsigned recipients;
};

/* How far it got. */
struct state_place {
	uint8_t key[RESTANTE_KEY_SIZE]; /* if it is sealed by us */
	uint8_t head[RESTANTE_HEAD_SIZE];
	unsigned count;        /* 1 to PARTS_MAX: the whole, or the parts */
	char *urls[PARTS_MAX]; /* NULL: not created yet */
	char *final;           /* of parts put together; NULL */
};

/* Opens and locks the file, making an empty one if there is none. RESTANTE_MISUSE (another process
 * works on it), RESTANTE_IO. On RESTANTE_OK the caller owns *out. */
enum restante_code state_open(struct state **out, const char *path, struct restante_error *e);

/* What is written there, if it is about the same: *place is then the caller's, to be ended with
 * state_fini(). False if there is nothing to take up: empty, about another upload, not well formed,
 * or readable to others. */
bool state_read(struct state *s, const struct state_about *about, struct state_place *place);
void state_fini(struct state_place *place); /* wipes */

/* Writes it durably. RESTANTE_IO, RESTANTE_NOMEM: what was there stays, or after a
 * RESTANTE_IO this is there, perhaps not durably. */
enum restante_code state_write(struct state *s, const struct state_about *about,
			       const struct state_place *place, struct restante_error *e);

/* Unlocks it; removes it unless it is to be kept and has something in it. NULL is fine. */
void state_close(struct state *s, bool keep);

#endif
