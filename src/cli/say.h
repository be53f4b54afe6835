/* say - sentences for the person, on standard error. Whatever comes from files, servers and
 * envelopes is made harmless for a terminal first. */
#ifndef RESTANTE_CLI_SAY_H
#define RESTANTE_CLI_SAY_H

#include <stddef.h>

/* Copies `in`, cut to fit, without what a terminal would act on: control characters, C0 and C1,
 * and the marks that turn the direction of writing become "?". */
void say_clean(char *out, size_t size, const char *in);

/* Writes "restante: ...", cleaned, as one line to standard error. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
