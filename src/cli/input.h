/* input - a file or standard input that is to be sent: opened, looked into, read whole where it
 * must be. One thread. */
#ifndef RESTANTE_CLI_INPUT_H
#define RESTANTE_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "cli/trouble.h"

#define INPUT_HEAD 65536 /* bytes that are looked into */

struct input {
	const char *path;  /* as it was given; "-" is standard input */
	const char *shown; /* for people */
	int fd;
	struct stat st;
	bool stream; /* can be read once only: standard input, pipes */
	uint8_t *head;
	size_t head_size; /* of a stream these bytes are taken out of fd */
	bool ended;       /* of a stream: behind the head there is nothing */
};

/* Opens it; input_close() ends it, whatever came of it. path is borrowed. TROUBLE_LOCAL. */
bool input_open(struct input *in, const char *path, struct trouble *t);
void input_close(struct input *in);

/* Reads the head: its first 64 KiB, or, `at_once`, of a stream what comes first. Once only. */
bool input_peek(struct input *in, bool at_once, struct trouble *t);

/* Reads all of it; *data is malloc'd. ERR_TOOBIG if there are more than max bytes, ERR_INVALID if
 * its size changed meanwhile. */
bool input_whole(struct input *in, size_t max, uint8_t **data, size_t *size, struct trouble *t);

/* Copies what is left of a stream, and its head, to a file: `to`, called `name` if that fails.
 * ERR_TOOBIG if there are more than max bytes. */
bool input_copy(struct input *in, int to, const char *name, uint64_t max, struct trouble *t);

/* False with ERR_INVALID if the file is not what it was when it was opened. */
bool input_unchanged(const struct input *in, struct trouble *t);

/* Reads up to max bytes of a text (an envelope, a token) from a file or "-" into out, which has
 * room for max + 1, without white space at the end, and with a NUL. ERR_TOOBIG, ERR_IO. */
bool input_text(const char *path, char *out, size_t max, struct trouble *t);

#endif
