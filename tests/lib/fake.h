/* fake - an HTTP/1.1 server on 127.0.0.1 that does what a script says, as badly as a test wants it.
 * Aborts on what a test never expects (no socket, no memory).
 *
 * Each connection has a thread of its own; the script runs there, once for each request, as soon as
 * the head has come. It may read the body, answer, wait and break things in any order:
 *
 *	static void busy_then_fine(struct fake_request *r, void *ctx)
 *	{
 *		(void)ctx;
 *		(void)fake_body(r);
 *		if (r->number == 0)
 *			fake_answer(r, 503, "Retry-After: 1\r\n", NULL);
 *		else
 *			fake_answer(r, 204, "Upload-Offset: 5\r\n", NULL);
 *	}
 *
 * Scripts of several connections run at once: what they share in ctx is theirs to guard. */
#ifndef RESTANTE_TESTS_FAKE_H
#define RESTANTE_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct fake;

struct fake_request {
	/* filled when the script is called */
	char method[16];
	char target[2048];
	char fields[8192]; /* "Name: value\r\n…" */
	int number;        /* of the request, over all connections, from 0 */
	int connection;    /* of the connection, from 0 */
	/* of the body (chunks taken apart), what was read by now */
	uint8_t *body;
	size_t body_len;
	bool body_whole;
	struct fake_peer *peer; /* its own */
};

typedef void fake_script(struct fake_request *r, void *ctx);

struct fake *fake_new(fake_script *script, void *ctx);
void fake_free(struct fake *f); /* ends connections and waits for the scripts; NULL is fine */
int fake_port(const struct fake *f);
const char *fake_url(const struct fake *f); /* "http://127.0.0.1:PORT" */

/* ---- for tests: what has been asked ---- */

/* How many requests have come: a script was called for each. */
int fake_count(struct fake *f);
/* Waits up to ms until that many scripts have run to their end. */
bool fake_reaches(struct fake *f, int count, int ms);
/* The request with that number, waiting up to 3 s for its script to end; borrowed until
 * fake_free(), NULL if there is none. */
const struct fake_request *fake_asked(struct fake *f, int number);

/* ---- for both ---- */

/* A field's value copied into out (empty if not there); false if it is not there. */
bool fake_field(const struct fake_request *r, const char *name, char *out, size_t size);

/* ---- for scripts ---- */

/* Reads the body until `max` bytes of it are there in all, or its end: what is there. */
struct bytes fake_read(struct fake_request *r, size_t max);
struct bytes fake_body(struct fake_request *r); /* all of it */

/* Sends bytes as they are; errors are passed over. */
void fake_send(struct fake_request *r, const void *data, size_t n);
void fake_printf(struct fake_request *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A whole answer with Content-Length (not with 1xx, 204 and 304, nor a body then). `fields` is
 * "Name: value\r\n…" or ""; body NULL: none. */
void fake_answer(struct fake_request *r, int status, const char *fields, const char *body);
void fake_answer_bytes(struct fake_request *r, int status, const char *fields, const void *body,
		       size_t n);

void fake_nap(struct fake_request *r, int ms); /* ends early with fake_free() */

/* How the connection ends. Without a word it is kept, if the body was read whole; else it is closed
 * once the peer has read the answer. */
void fake_close(struct fake_request *r); /* in order, after the script */
void fake_reset(struct fake_request *r); /* with RST, after the script */
void fake_hang(struct fake_request *r);  /* waits here until the peer closes or fake_free() */

#endif
