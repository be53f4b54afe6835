/* state - one upload's place in the state folder, by which `restante put`, killed and run again,
 * goes on: under a name made of the file and all that matters, locked while it is worked on.
 *
 *   ID.lock     held by who works on it
 *   ID.upload   how far it got (librestante's; as it is written, ID.upload.new)
 *   ID.sealed   what was prepared, sealed        (cli/spool.h)
 *   ID.draft    the envelope to it, without token
 *
 * All of it is mode 0600 in a folder of mode 0700: .upload and .draft hold the key. */
#ifndef RESTANTE_CLI_STATE_H
#define RESTANTE_CLI_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "cli/trouble.h"

#define STATE_ID_SIZE 65 /* hexadecimal digits and a NUL */
#define STATE_KEEP_S (7 * 86400)

struct state {
	char *folder;
	char id[STATE_ID_SIZE];
	int lock;
	bool keep; /* what is there is worth coming back to: state_close() leaves it */
};

/* Builds an id from all that matters, part by part. */
void state_id_add(struct digester *d, const void *part, size_t size);
void state_id_end(struct digester *d, char out[static STATE_ID_SIZE]);

/* Takes the place of an id, keeping what is there already, and removes what others left there for
 * more than STATE_KEEP_S before now (Unix time). ERR_BUSY if another process has it. state_close()
 * ends it, whatever came of it.
 */
bool state_open(struct state *s, const char *id, int64_t now, struct trouble *t);

/* The path of a file of it, malloc'd; NULL is out of memory. */
char *state_path(const struct state *s, const char *suffix);

/* Removes all of it, unless it is kept, and lets go. */
void state_close(struct state *s);

#endif
