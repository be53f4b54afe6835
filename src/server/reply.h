/* reply - an answer before it is on the wire: status, header fields, body. Knows no HTTP library.
 *
 * Built by one thread; once handed to request_reply() only read, and then any thread may hold
 * references, so that one reply can answer many requests. */
#ifndef RESTANTE_SERVER_REPLY_H
#define RESTANTE_SERVER_REPLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "storage/chunk.h"

#define REPLY_HEADERS_MAX 24
/* MHD aborts when the list of pieces does not fit its pool (B3). So short a list is smaller than
 * the head of the answer, which was made in the same place before. */
#define REPLY_PIECES_MAX 24

/* Answers of a reader. */
#define REPLY_READ_WAIT 0   /* request_wait() was called; ask again after the wake */
#define REPLY_READ_ERROR -1 /* cut the connection, so that nobody takes a part for the whole */

enum reply_body { REPLY_EMPTY, REPLY_TEXT, REPLY_PIECES, REPLY_STREAM };

struct reply {
	atomic_uint refs;
	int status;
	size_t header_count;
	struct {
		const char *name; /* static */
		char *value;      /* owned */
	} headers[REPLY_HEADERS_MAX];

	enum reply_body kind;
	uint64_t size; /* bytes of the body (of HEAD: what GET would send) */
	char *text;    /* REPLY_TEXT: owned */

	struct iovec *pieces; /* REPLY_PIECES: owned, into chunks or into text */
	size_t piece_count;
	struct chunk **chunks; /* references held while the reply lives */
	size_t chunk_count;

	/* REPLY_STREAM: up to max bytes at pos; called in the event loop of the request */
	ssize_t (*read)(void *ctx, uint64_t pos, uint8_t *buf, size_t max);
	void *read_ctx;

	_Atomic(void *) native; /* the transport's form of it, made once */
};

/* Frees what a reply has as `native`. Set once, before there are threads. */
extern void (*reply_native_free)(void *native);

/* One reference; NULL without memory. */
struct reply *reply_new(int status);
struct reply *reply_ref(struct reply *r);
void reply_unref(struct reply *r); /* NULL is fine */

/* Adds a header field; name is static, the value is copied. Without memory, or past
 * REPLY_HEADERS_MAX, the field is left out. */
void reply_header(struct reply *r, const char *name, const char *value);
void reply_headerf(struct reply *r, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes over a heap string as the body. */
void reply_text(struct reply *r, char *text, size_t len);

/* The body is `size` bytes that `read` gives. */
void reply_stream(struct reply *r, uint64_t size,
		  ssize_t (*read)(void *, uint64_t, uint8_t *, size_t), void *ctx);

#endif
