/* num - numbers from outside, read strictly: digits only, no sign, no space, no leading zero but
 * "0" itself, nothing after, no overflow. Any thread. */
#ifndef RESTANTE_BASE_NUM_H
#define RESTANTE_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal number of at most max. *out is set on true only (so for all three). */
bool num_u64(const char *text, size_t n, uint64_t max, uint64_t *out);

/* A size in bytes: digits and optionally one of b, k, kb, m, mb, g, gb, t, tb (powers of 1024,
 * either case). */
bool num_size(const char *text, size_t n, uint64_t max, uint64_t *out);

/* A length of time in seconds: digits and optionally one of s, min, h, d, w. */
bool num_duration(const char *text, size_t n, uint64_t max, uint64_t *out);

#endif
