/* response - what a server has said to one request: the head of its final answer, line by line as
 * it comes, and the beginning of its body. One thread. */
#ifndef RESTANTE_CLIENT_RESPONSE_H
#define RESTANTE_CLIENT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define RESPONSE_HEAD_MAX ((size_t)64 << 10)
#define RESPONSE_TEXT_MAX ((size_t)64 << 10) /* kept */
#define RESPONSE_TEXT_END ((size_t)1 << 20)  /* listened to */
#define RESPONSE_INTERIM_MAX 64

struct response {
	int status; /* of the final answer, once its head is whole; 0 before */
	int coming; /* of the head that is being read */
	char *head; /* its lines, each with a NUL behind */
	size_t head_len;
	uint8_t *text;
	size_t text_len;
	size_t text_heard; /* with what is not kept */
	int interim;       /* heads of 1xx so far */
};

enum response_next {
	RESPONSE_ON,   /* there is more to come, or it is not looked at */
	RESPONSE_HEAD, /* this was the last of it */
	RESPONSE_BAD,  /* no HTTP, or too much of it */
	RESPONSE_NOMEM
};

/* Takes a line of a head with its line end. Interim answers (1xx) are forgotten, if there are not
 * too many, and trailers passed over. */
enum response_next response_line(struct response *r, const char *line, size_t n);

/* Takes a piece of the body and keeps the beginning: RESPONSE_ON, or RESPONSE_BAD past
 * RESPONSE_TEXT_END bytes, since each of them makes the server seem alive. */
enum response_next response_text(struct response *r, struct bytes piece);

/* A field's value, the first of that name, without space around it; NULL. Borrowed. */
const char *response_get(const struct response *r, const char *name);

/* Wipes what there may be of tokens, and frees. */
void response_fini(struct response *r);

#endif
