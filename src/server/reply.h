/* reply - an answer before it is on the wire: status, header fields, body. Knows no HTTP library.
 *
 * Built by one thread; once handed to request_reply() only read, and then any thread may hold
 * references, so that one reply can answer many requests. */
#ifndef RESTANTE_SERVER_REPLY_H
#define RESTANTE_SERVER_REPLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "storage/chunk.h"

#define REPLY_HEADERS_MAX 24
/* MHD aborts when the list of pieces does not fit its pool (B3). So short a list is smaller than
 * the head of the answer, which was made in the same place before. */
#define REPLY_PIECES_MAX 24

/* The size of a stream that ends when its reader says so. */
#define REPLY_SIZE_UNKNOWN UINT64_MAX

/* Bytes of an answer: within the chunk, of which whoever takes the piece has a reference. */
struct reply_piece {
	struct chunk *chunk;
	const uint8_t *data;
	size_t len;
};

/* What a reader answers. */
enum reply_read {
	REPLY_PIECE, /* bytes at pos: at least one, and as many as there are at hand. They may be
		      * asked for once more */
	REPLY_WAIT,  /* request_wait() was called; ask again after the wake, of which there is
		      * exactly one. The request does not end before */
	REPLY_IDLE,  /* nothing now: ask again after a request_wake(), which may come before this is
		      * said. The request may end meanwhile; no timeout counts */
	REPLY_END,   /* that was all; where the size is known, not before that */
	REPLY_CUT,   /* cut the connection, so that nobody takes a part for the whole */
};

enum reply_body { REPLY_EMPTY, REPLY_TEXT, REPLY_PIECES, REPLY_STREAM };

struct reply {
	atomic_uint refs;
	int status;
	size_t header_count;
	struct {
		const char *name; /* static */
		char *value;      /* in room, or owned */
	} headers[REPLY_HEADERS_MAX];
	size_t room_used;
	char room[512]; /* for the fields of nearly every answer, so that they cost no allocation */

	enum reply_body kind;
	uint64_t size; /* bytes of the body (of HEAD: what GET would send), or REPLY_SIZE_UNKNOWN */
	char *text;    /* REPLY_TEXT: owned */

	struct iovec *pieces; /* REPLY_PIECES: owned, into chunks or into text */
	size_t piece_count;
	struct chunk **chunks; /* references held while the reply lives */
	size_t chunk_count;

	/* REPLY_STREAM: the bytes at pos; called in the event loop of the request */
	enum reply_read (*read)(void *ctx, uint64_t pos, struct reply_piece *out);
	/* Gives back what it holds and can have again: memory is short, and nobody takes it. May be
	 * NULL. */
	void (*rest)(void *ctx);
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

/* The body is `size` bytes (or REPLY_SIZE_UNKNOWN) that `read` gives. */
void reply_stream(struct reply *r, uint64_t size,
		  enum reply_read (*read)(void *, uint64_t, struct reply_piece *), void *ctx);

#endif
