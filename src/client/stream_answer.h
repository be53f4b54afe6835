/* stream_answer - the head of an answer to a request for sealed bytes, held against what was asked
 * for and what is known of them. One thread. */
#ifndef RESTANTE_CLIENT_STREAM_ANSWER_H
#define RESTANTE_CLIENT_STREAM_ANSWER_H

#include "client/stream.h"

/* Takes the head of s->exchange, a 200 or 206: learns entity tag and size where they were not
 * known, and where in the answer the bytes stand (skip, answer_end). RESTANTE_TAMPERED (about
 * something else, or of another size), RESTANTE_TOOBIG, RESTANTE_SERVER (not an answer to what was
 * asked). */
enum restante_code stream_answer(struct stream *s, struct restante_error *e);

#endif
