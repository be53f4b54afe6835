/* answer_head - status line and fields of an answer that goes out by hand, past the library. Any
 * thread. */
#ifndef RESTANTE_SERVER_HTTP_ANSWER_HEAD_H
#define RESTANTE_SERVER_HTTP_ANSWER_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server/own_fields.h"
#include "server/reply.h"

struct answer_head {
	const struct reply *reply;
	const struct own_field *own; /* beside what the reply has */
	size_t own_count;
	bool close;   /* the connection ends with it */
	bool chunked; /* a body of unknown size, as HTTP/1.1 frames it */
};

/* Writes all of it, with the empty line. */
void answer_head_write(FILE *f, const struct answer_head *h);

/* The same as a heap string of *len bytes; NULL without memory. */
char *answer_head_text(const struct answer_head *h, size_t *len);

/* The same with the body behind it, if that is a text. */
char *answer_text(const struct answer_head *h, size_t *len);

#endif
