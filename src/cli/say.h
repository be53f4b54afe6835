/* say - words for the person: sentences on standard error, what was asked for on standard output.
 * Whatever comes from files, servers and envelopes is made harmless for a terminal first. */
#ifndef RESTANTE_CLI_SAY_H
#define RESTANTE_CLI_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/trouble.h"

/* Copies `in`, cut to fit, without what a terminal would act on: control characters, C0 and C1,
 * and the marks that turn the direction of writing become "?". */
void say_clean(char *out, size_t size, const char *in);

/* Writes "restante: ...", cleaned, as one line to standard error. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes all bytes to a descriptor; `name` is for the trouble. ERR_IO. */
bool say_bytes(int fd, const char *name, const void *data, size_t n, struct trouble *t);

/* Writes text and a newline to standard output, at once. ERR_IO. */
bool say_line(const char *text, struct trouble *t);

#endif
