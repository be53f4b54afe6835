/* response - what a server has said to one request: the head of its final answer, line by line as
 * it comes, and the beginning of its body. One thread. */
#ifndef RESTANTE_CLIENT_RESPONSE_H
#define RESTANTE_CLIENT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define RESPONSE_HEAD_MAX ((size_t)64 << 10)
#define RESPONSE_TEXT_MAX ((size_t)64 << 10)

struct response {
	int status; /* of the final answer, once its head is whole; 0 before */
	int coming; /* of the head that is being read */
	char *head; /* its lines, each with a NUL behind */
	size_t head_len;
	uint8_t *text;
	size_t text_len;
};

enum response_line {
	RESPONSE_ON,   /* there is more to come, or it was none of the final head */
	RESPONSE_HEAD, /* this was the last of it */
	RESPONSE_BAD,  /* no HTTP, or too much of it */
	RESPONSE_NOMEM
};

/* Takes a line of a head with its line end. Interim answers (1xx) are forgotten, and trailers
 * passed over. */
enum response_line response_line(struct response *r, const char *line, size_t n);

/* Keeps the beginning of the body; false: no memory. */
bool response_text(struct response *r, struct bytes piece);

/* A field's value, the first of that name, without space around it; NULL. Borrowed. */
const char *response_get(const struct response *r, const char *name);

void response_fini(struct response *r);

#endif
