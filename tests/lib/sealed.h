/* sealed - containers to fetch, with their envelopes, and a shelf that they are fetched from: a
 * fake server of one blob, that counts, and breaks off as told. Aborts on what a test never
 * expects. */
#ifndef RESTANTE_TESTS_SEALED_H
#define RESTANTE_TESTS_SEALED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/restante.h"
#include "tests/lib/fake.h"

/* A token as to its letters; shelves take any. */
#define SEALED_TOKEN "EQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct sealed {
	uint8_t key[RESTANTE_KEY_SIZE];
	uint8_t *plain;
	size_t size; /* without padding */
	uint8_t *bytes;
	size_t sealed_size;
	uint8_t sha256[32];
	char etag[67]; /* of bytes */
};

/* Seals `size` bytes that nobody could guess, the same for the same seed, with a fresh key. */
void sealed_make(struct sealed *c, size_t size, bool padded, uint64_t seed);
/* The same of bytes that are sealed already; both are copied. */
void sealed_take(struct sealed *c, const void *plain, size_t size, const void *bytes,
		 size_t sealed_size, const uint8_t *key);
void sealed_free(struct sealed *c);

/* An envelope, the caller's: with everything, or as of one that is still being recorded. */
struct restante_envelope *sealed_envelope(const struct sealed *c, const char *token);
struct restante_envelope *sealed_envelope_live(const struct sealed *c, const char *token);

/* Takes what a fetch gives, up to the size of what it should be. */
struct taken {
	const struct sealed *of;
	size_t n;
	int calls;
	bool wrong; /* something else was given, or more than there is */
};
bool taken_write(void *taken, const void *data, size_t size); /* a restante_write_fn */
bool taken_all(const struct taken *t);

struct shelf {
	const uint8_t *bytes;
	size_t size;
	char etag[80];  /* with its quotes; empty: none is sent */
	bool no_ranges; /* always all of it */
	size_t cut;     /* breaks the connection after so many bytes of each body; 0: never */
	struct fake *fake;
	_Atomic uint64_t sent; /* bytes of bodies */
};

/* Puts c there; it is borrowed. */
void shelf_open(struct shelf *s, const struct sealed *c);
void shelf_close(struct shelf *s);

/* What a shelf does with a request: also for scripts that do something else before, or instead. */
void shelf_serve(struct fake_request *r, struct shelf *s);
/* The bytes that a request asks for: false if it is all of them. */
bool shelf_range(const struct fake_request *r, const struct shelf *s, size_t *first, size_t *last);

/* A client that does not wait long between tries. */
struct restante_client *quick_client(const char *url);

/* A client and a fetch of what the envelope tells of, which is freed here. */
struct fetching {
	struct restante_client *client;
	struct restante_fetch *fetch;
	struct restante_error e;
};
void fetching_open(struct fetching *f, const char *url, struct restante_envelope *envelope);
void fetching_close(struct fetching *f);

/* ---- for cmocka tests ---- */

#define assert_code(rc, want, e)                                                 \
	do {                                                                     \
		const enum restante_code code_ = (rc);                           \
		if (code_ != (want))                                             \
			fail_msg("code %d, not %d: %s", (int)code_, (int)(want), \
				 code_ == RESTANTE_OK ? "" : (e)->detail);       \
	} while (0)

#endif
