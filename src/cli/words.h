/* words - sizes, times and numbers as people write and read them. Any thread. */
#ifndef RESTANTE_CLI_WORDS_H
#define RESTANTE_CLI_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_SIZE 32

/* "0 bytes", "183 KiB", "1.4 GiB". */
const char *words_bytes(char out[static WORDS_SIZE], uint64_t bytes);

/* "0:07", "1:02:03". */
const char *words_seconds(char out[static WORDS_SIZE], uint64_t seconds);

/* Reads a time: RFC 3339 in UTC ("2026-12-21T10:00:00Z"), or a length from `now` on ("7d"), as Unix
 * time in seconds, at most 2^32 - 1. False if it is neither. */
bool words_time(const char *text, int64_t now, uint64_t *out);

/* Reads a range of bytes, both ends included, as HTTP has it: "0-99"; or "100-", to the end: *last
 * is then UINT64_MAX. */
bool words_range(const char *text, uint64_t *first, uint64_t *last);

#endif
