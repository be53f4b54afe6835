/* sink - where fetched bytes go: standard output, a pipe, or a file that is there whole or not at
 * all. And what a file may be called whose name somebody else has chosen. One thread. */
#ifndef RESTANTE_CLI_SINK_H
#define RESTANTE_CLI_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/trouble.h"

#define SINK_NAME_SIZE 201 /* with the NUL: leaves room for what is put around it meanwhile */

struct sink {
	const char *path; /* borrowed */
	char *fresh;      /* the file's name until it is whole; NULL: written to directly */
	int fd;
	bool secret; /* the new file is for its owner only */
	uint64_t written;
	struct trouble *t;
};

/* Whether bytes can only be passed on: "-", or something that is there and no regular file. */
bool sink_is_stream(const char *path);

/* Opens it; sink_close() ends it, whatever came of it. TROUBLE_LOCAL. */
bool sink_open(struct sink *s, const char *path, struct trouble *t);

/* A restante_write_fn; ctx is the struct sink, whose trouble is filled. */
bool sink_write(void *ctx, const void *data, size_t size);

/* Ends it: with `whole` the file gets its name, else it is removed. */
bool sink_close(struct sink *s, bool whole, struct trouble *t);

/* Makes of a name that is not to be trusted one that is a file in this folder, is not hidden, no
 * flag of a command, and harmless when printed. False if nothing is left of it. */
bool sink_safe_name(char out[static SINK_NAME_SIZE], const char *name);

#endif
