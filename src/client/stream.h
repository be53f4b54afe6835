/* stream - the sealed bytes behind a fetch token, in order and from any offset on, over however
 * many connections that takes (RFC 9110 section 14: ranges; section 13.1.5: If-Range). One thread.
 *
 * What answers say is believed only as far as it fits what was announced and what other answers
 * have said: the entity tag, the size, where a range begins. Not a byte more is taken.
 *
 * A live stream is one that may still be growing: answers that break off, end too early, or say
 * that there is nothing (yet) are waited out, until nothing has come for wait_ms. One of which
 * bytes have come and which the server then does not know was deleted, or its time is over: that is
 * the end. */
#ifndef RESTANTE_CLIENT_STREAM_H
#define RESTANTE_CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "client/client.h"
#include "client/retry.h"
#include "restante/upload.h"

#define STREAM_UNKNOWN UINT64_MAX
#define STREAM_ETAG_SIZE 130 /* longer tags are passed over */

/* Who gets the bytes. */
struct stream_sink {
	/* Anything but RESTANTE_OK ends it. */
	enum restante_code (*take)(void *ctx, struct bytes piece, struct restante_error *e);
	/* Of a stream whose size nobody has told: whether what was taken is whole, which sealed
	 * bytes know of themselves. NULL: they do not, and then answers are only put together if an
	 * entity tag says that they are of the same. */
	enum restante_code (*ended)(void *ctx, bool *whole, struct restante_error *e);
	void *ctx;
};

struct stream {
	/* ---- set by who makes it; may change between runs ---- */
	struct restante_client *client; /* borrowed, as the sink is while it runs */
	uint64_t total;                 /* sealed bytes, or STREAM_UNKNOWN until an answer tells */
	uint64_t max;                   /* the most there may be while total is not known */
	unsigned wait_ms;               /* of a live one; 0: it is none */
	restante_progress_fn *progress; /* or NULL */
	void *progress_context;

	/* ---- its own ---- */
	char *url, *authorization;
	char etag[STREAM_ETAG_SIZE]; /* with its quotes; empty: not known */
	const struct stream_sink *sink;
	uint64_t at, end;         /* next byte that is wanted; where this run ends */
	bool over;                /* there is nothing more */
	bool known;               /* the server had it: bytes of it have come, in any run */
	int64_t came_ms, told_ms; /* when the last byte came, when progress was told */
	/* before the next request */
	struct retry retry;
	int64_t until_ms;
	/* of a live one */
	unsigned pause_ms;
	struct restante_error
		nothing; /* what was said last instead of bytes; RESTANTE_OK: no word */

	/* ---- of the request that runs ---- */
	struct exchange *exchange;
	bool ranged;                /* asked for by range */
	bool good;                  /* answered with bytes that we take */
	bool came;                  /* some of them have come */
	uint64_t skip;              /* bytes in front of those wanted */
	uint64_t answer_end;        /* where its bytes end, or STREAM_UNKNOWN */
	struct restante_error stop; /* why we have broken it off; RESTANTE_OK: we have not, or had
				     * enough */
};

/* Makes one of what is filled in already (all other fields zero) for a token; sha256 is what the
 * entity tag has to say, or NULL. RESTANTE_INVALID (no token), RESTANTE_NOMEM. */
enum restante_code stream_init(struct stream *s, const char *token, const uint8_t *sha256,
			       struct restante_error *e);
void stream_fini(struct stream *s); /* wipes; what was never made is fine */

/* Gives bytes [from, end) to the sink, or all from `from` on with STREAM_UNKNOWN; there are fewer
 * only where nobody knows the size: it ended without breaking off, and the sink decides.
 * RESTANTE_OK: that was it. RESTANTE_TAMPERED (another than announced, or than before),
 * RESTANTE_TOOBIG (max), RESTANTE_GONE, RESTANTE_NETWORK and the others of retry_judge(), what the
 * sink has returned. */
enum restante_code stream_run(struct stream *s, uint64_t from, uint64_t end,
			      const struct stream_sink *sink, struct restante_error *e);

#endif
