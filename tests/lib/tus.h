/* tus - a client of tus 1.0.0 for tests. Each function asks over a connection of its own and
 * returns the status (0: no answer came), so that threads may use them; the macros assert, for
 * cmocka. */
#ifndef RESTANTE_TESTS_TUS_H
#define RESTANTE_TESTS_TUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define TUS "Tus-Resumable: 1.0.0\r\n"
#define TUS_BYTES TUS "Content-Type: application/offset+octet-stream\r\n"
#define TUS_CHUNKED "Transfer-Encoding: chunked\r\n"

/* Upload-Defer-Length: 1. */
#define TUS_DEFERRED UINT64_MAX
/* Nothing is said of the length: as a final upload is created, or as the fields say. */
#define TUS_UNSAID (UINT64_MAX - 1)

/* What a creation has answered; what it did not say is empty. */
struct tus_upload {
	const struct test_server *server; /* its port may change with a restart */
	char path[192];
	char token[52], manage[52];
	int64_t offset; /* -1: not said */
};

/* Any request, with Tus-Resumable before the fields. body NULL: none. */
void tus_request(const struct test_server *s, const char *method, const char *target,
		 const char *fields, const void *body, size_t n, struct answer *a);

/* POST to /v1/uploads + query, with a body of the right type unless that is NULL. *u (unless NULL)
 * is filled from a 201 and else left without a path. */
int tus_post(const struct test_server *s, const char *query, uint64_t length, const char *fields,
	     const void *body, size_t n, struct tus_upload *u);

/* The same without a body, which is what most tests begin with. */
int tus_create(const struct test_server *s, uint64_t length, const char *fields,
	       struct tus_upload *u);

/* A creation, and one PATCH with all the bytes: the status of the last that was asked. */
int tus_place(const struct test_server *s, const char *fields, const void *p, size_t n,
	      struct tus_upload *u);

/* What a creation's answer says. */
void tus_learn(const struct test_server *s, const struct answer *a, struct tus_upload *u);

/* Requests about an upload. */
void tus_ask(const struct tus_upload *u, const char *method, const char *fields, const void *body,
	     size_t n, struct answer *a);
void tus_head(const struct tus_upload *u, struct answer *a);
int tus_delete(const struct tus_upload *u);
int tus_patch(const struct tus_upload *u, uint64_t offset, const void *p, size_t n);
void tus_patch_answer(const struct tus_upload *u, uint64_t offset, const char *fields,
		      const void *p, size_t n, struct answer *a);

int tus_patch_chunked(const struct tus_upload *u, uint64_t offset, const uint8_t *p, size_t n,
		      size_t step);

/* Whether HEAD tells this offset and this length, as it should. */
bool tus_is_at(const struct tus_upload *u, uint64_t offset, uint64_t length);

/* Whether a PATCH at this offset that brings nothing is told the same offset. */
bool tus_stays(const struct tus_upload *u, uint64_t at);

/* Whether HEAD, PATCH and DELETE have this status and tell nothing of the upload. */
bool tus_tells_nothing(const struct tus_upload *u, int status);

/* Upload-Offset as HEAD tells it; -1: it tells none, -2: it is no 200. */
int64_t tus_offset(const struct tus_upload *u);

/* Whether HEAD tells this offset within ms. */
bool tus_reaches(const struct tus_upload *u, uint64_t offset, int ms);

/* Whether HEAD answers this status within ms. */
bool tus_becomes(const struct tus_upload *u, int status, int ms);

/* Whether its Media-Token fetches exactly these bytes. */
bool tus_has(const struct tus_upload *u, const void *p, size_t n);

/* The head of a PATCH on a connection that is the caller's then; fields end with that of the body's
 * length. The body is the caller's to send. */
struct client *tus_begin(const struct tus_upload *u, uint64_t offset, const char *fields);

/* Reads the answer and closes: the status. */
int tus_end(struct client *c);

/* "sha-256=:…:" over these bytes, as Repr-Digest and Content-Digest say it. */
#define TUS_DIGEST_SIZE 56
void tus_digest(char out[static TUS_DIGEST_SIZE], const void *p, size_t n);

/* Whether it is a complete problem of this status (RFC 9457), with Retry-After where that is due.
 */
bool answer_is_problem(const struct answer *a, int status);

/* Seconds from now that Upload-Expires says, which must be an IMF-fixdate (RFC 9110 section 5.6.7);
 * INT64_MIN: it is not there, or none. */
int64_t answer_life(const struct answer *a);

/* Whether a comma-separated list has this element; letters' case does not count. */
bool list_has(const char *list, const char *element);

/* ---- for cmocka tests ---- */

#define assert_status(a, want)                                                  \
	do {                                                                    \
		if ((a)->status != (want))                                      \
			fail_msg("status %d, not %d:\n%s", (a)->status, (want), \
				 (a)->head != NULL ? (a)->head : "");           \
	} while (0)

#define assert_field(a, name, want)                                                           \
	do {                                                                                  \
		char value_[8192];                                                            \
		if (!answer_field((a), (name), value_, sizeof(value_)))                       \
			fail_msg("no %s in\n%s", (name), (a)->head != NULL ? (a)->head : ""); \
		assert_string_equal(value_, (want));                                          \
	} while (0)

#define assert_no_field(a, name)                                       \
	do {                                                           \
		char value_[8192];                                     \
		if (answer_field((a), (name), value_, sizeof(value_))) \
			fail_msg("%s: %s", (name), value_);            \
	} while (0)

#define assert_tells_nothing(u, status) assert_true(tus_tells_nothing((u), (status)))

/* Frees the answer. */
#define assert_problem(a, want)                                                     \
	do {                                                                        \
		assert_status((a), (want));                                         \
		if (!answer_is_problem((a), (want)))                                \
			fail_msg("no problem of %d:\n%s%s", (want), (a)->head,      \
				 (a)->body != NULL ? (const char *)(a)->body : ""); \
		answer_free(a);                                                     \
	} while (0)

#endif
