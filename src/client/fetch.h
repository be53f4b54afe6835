/* fetch - the inside of a struct restante_fetch, for the files that share it. One thread. */
#ifndef RESTANTE_CLIENT_FETCH_H
#define RESTANTE_CLIENT_FETCH_H

#include "client/head.h"
#include "client/opening.h"
#include "client/stream.h"
#include "restante/fetch.h"

struct restante_fetch {
	struct stream stream;
	char *token;
	uint8_t key[RESTANTE_KEY_SIZE];
	uint64_t size;        /* of the plaintext, or OPENING_UNKNOWN */
	uint64_t sealed_size; /* or STREAM_UNKNOWN */
	bool busy;            /* a callback of ours is being called, perhaps */
	struct head head;
	struct opening opening; /* good while head.size > 0 */
};

/* Between them only one function works on f, which the callbacks that it calls could try to break:
 * RESTANTE_MISUSE. */
enum restante_code fetch_enter(struct restante_fetch *f, struct restante_error *e);
void fetch_leave(struct restante_fetch *f);

/* Has the head open, asking for it if it is not. */
enum restante_code fetch_head(struct restante_fetch *f, struct restante_error *e);

/* Opens everything from chunk `index` on. */
enum restante_code fetch_open(struct restante_fetch *f, uint64_t index, opening_give *give,
			      void *ctx, struct restante_error *e);

/* What takes sealed bytes behind the head, once f->opening has been started. */
enum restante_code fetch_take_payload(void *ctx, struct bytes piece, struct restante_error *e);
enum restante_code fetch_payload_ended(void *ctx, bool *whole, struct restante_error *e);

#endif
