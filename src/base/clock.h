/* clock - the time, and how it is written. Functions that depend on time take it as an argument;
 * only the edges of a program ask here. Any thread. */
#ifndef RESTANTE_BASE_CLOCK_H
#define RESTANTE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE sizeof("2026-12-21T10:00:00Z")
#define CLOCK_HTTP_SIZE sizeof("Sun, 06 Nov 1994 08:49:37 GMT")

/* Unix time in seconds. */
int64_t clock_now_s(void);

/* A clock that never goes back, in milliseconds since some moment. */
int64_t clock_mono_ms(void);

/* The same in nanoseconds. */
int64_t clock_mono_ns(void);

/* Write a Unix time as RFC 3339 in UTC, or as IMF-fixdate (RFC 9110 section 5.6.7), with a NUL.
 * Times outside the years 1970 to 9999 are clamped. */
void clock_rfc3339(char out[static CLOCK_RFC3339_SIZE], int64_t unix_s);
void clock_http(char out[static CLOCK_HTTP_SIZE], int64_t unix_s);

/* Writes it as in the Common Log Format, in UTC, with a NUL. Clamped as well. */
#define CLOCK_CLF_SIZE sizeof("21/Dec/2026:10:00:00 +0000")
void clock_clf(char out[static CLOCK_CLF_SIZE], int64_t unix_s);

/* Reads an HTTP-date in any of the three forms that RFC 9110 section 5.6.7 asks recipients to
 * take. False and *out untouched if it is none. */
bool clock_parse_http(const char *text, size_t n, int64_t *out);

/* Reads what clock_rfc3339() writes and nothing else of RFC 3339: capitals, no fraction, no offset
 * but Z, no leap second, no year before 1970. False and *out untouched if it is none. */
bool clock_parse_rfc3339(const char *text, size_t n, int64_t *out);

/* Reads any timestamp of RFC 3339 from 1970 to 9999, as programs of others write them: with a
 * fraction (which is dropped), with an offset, in small letters. A leap second is the second after
 * it. False and *out untouched if it is none. */
bool clock_parse_timestamp(const char *text, size_t n, int64_t *out);

#endif
