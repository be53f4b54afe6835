/* generations - the folder that backups are kept in: one folder for each, named after its time in
 * UTC ("2026-12-21T10-00-00Z"), `latest`, a link to the newest one, and perhaps a NAME.partial that
 * an interrupted backup has left. Only what looks like these is ever removed. One thread. */
#ifndef RESTANTE_CLI_GENERATIONS_H
#define RESTANTE_CLI_GENERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/trouble.h"

#define GENERATION_SIZE sizeof("2026-12-21T10-00-00Z")
#define GENERATION_NOTE_SIZE 101
#define GENERATION_PARTIAL_SIZE (GENERATION_SIZE + sizeof(".partial") - 1)

struct generations {
	int dir;      /* locked: nobody else makes or removes one meanwhile */
	bool made;    /* it was not there before */
	char *path;   /* of it */
	size_t count; /* of the complete ones, oldest first */
	char (*names)[GENERATION_SIZE];
	char abandoned[GENERATION_NOTE_SIZE]; /* the note that an interrupted one had; or "" */
};

/* Opens the folder, making it (mode 0700) if it is not there, and removes what interrupted backups
 * have left. TROUBLE_LOCAL, also if another backup works there. generations_close() ends it,
 * whatever came of it; a folder that it has made goes again if nothing came into it. */
bool generations_open(struct generations *g, const char *path, struct trouble *t);
void generations_close(struct generations *g);

/* Whether they are kept in that folder, or below it. */
bool generations_are_below(const struct generations *g, const char *folder);

/* The newest one as an open folder, the caller's; -1: there is none. */
int generations_newest(const struct generations *g);

/* Begins the one of that time (Unix, seconds), or of the next second that is not taken: its name,
 * and the folder it is to be filled in, which is the caller's. */
bool generations_begin(const struct generations *g, int64_t now, char name[static GENERATION_SIZE],
		       int *fd, struct trouble *t);

/* Leaves a word in one that was begun, for who finds it interrupted. */
bool generations_note(int fd, const char *note, struct trouble *t);

/* It is whole: it gets its name, and `latest` leads to it, durably. */
bool generations_complete(const struct generations *g, const char *name, struct trouble *t);

/* Removes the oldest ones until, with the one just made, `keep` are left: *count of them, of which
 * names[0..*count) were. */
bool generations_prune(const struct generations *g, size_t keep, size_t *count, struct trouble *t);

#endif
