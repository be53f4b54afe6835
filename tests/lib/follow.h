/* follow - reads an answer while it is still being sent: as much of its body as has come, and how
 * it ends. Aborts where client.h does; everything else is returned. */
#ifndef RESTANTE_TESTS_FOLLOW_H
#define RESTANTE_TESTS_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/client.h"

#define FOLLOW_UNKNOWN UINT64_MAX

enum follow_end {
	FOLLOW_OPEN,  /* it goes on: nothing more within the time */
	FOLLOW_MORE,  /* bytes that nobody had asked for */
	FOLLOW_WHOLE, /* as HTTP has an answer end */
	FOLLOW_CUT,
};

struct follow {
	int fd;
	struct answer head; /* without a body */
	uint64_t length;    /* that was announced, or FOLLOW_UNKNOWN */
	bool chunked;
	uint64_t at;   /* body bytes taken */
	uint64_t left; /* of the chunk */
	bool begun;    /* a chunk has come */
	enum { LIVES, CLOSED, RESET } wire;
	bool last; /* the last chunk has come */
	uint8_t raw[65536];
	size_t from, to; /* not taken yet */
};

/* GET of target ("HTTP/1.0" or "HTTP/1.1"), up to the end of its answer's head; fields are
 * "Name: value\r\n…". */
struct follow *follow_as(int port, const char *version, const char *target, const char *fields);

/* /v1/media/ + token, by HTTP/1.1. */
struct follow *follow(int port, const char *token, const char *fields);

/* Up to n bytes of the body: fewer when no more come within ms, or the answer ends. */
size_t follow_take(struct follow *f, void *out, size_t n, int ms);

/* How it ends within ms. */
enum follow_end follow_end(struct follow *f, int ms);

/* Whether exactly these bytes come next, within ms. */
bool follow_gets(struct follow *f, const void *p, size_t n, int ms);

void follow_close(struct follow *f); /* NULL is fine */

#endif
