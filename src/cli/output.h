/* output - what was asked for, to standard output or a file. */
#ifndef RESTANTE_CLI_OUTPUT_H
#define RESTANTE_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/trouble.h"

/* Writes all bytes to a descriptor; `name` is for the trouble. ERR_IO. */
bool output_bytes(int fd, const char *name, const void *data, size_t n, struct trouble *t);

/* Writes text and a newline to standard output, at once. ERR_IO. */
bool output_line(const char *text, struct trouble *t);

#endif
