/* rufh - the client's half of a resumable upload (draft-ietf-httpbis-resumable-upload), step by
 * step, so that a test can stop in the middle of one. Aborts where client.h does; everything else
 * is returned. */
#ifndef RESTANTE_TESTS_RUFH_H
#define RESTANTE_TESTS_RUFH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define RUFH_CHUNKED UINT64_MAX /* a body whose length is not announced */
#define RUFH_CAREFUL "Upload-Complete: ?0\r\n"
#define RUFH_WHOLE "Upload-Complete: ?1\r\n"
#define RUFH_PARTIAL "Content-Type: application/partial-upload\r\n"

/* What its creator knows of an upload; empty: not told. */
struct rufh {
	char path[80];
	char token[52], manage[52];
};

/* What offset retrieval has said. */
struct rufh_state {
	int status;
	int64_t offset, length; /* -1: not said */
	int complete;           /* 1 or 0; -1: not said */
};

/* Sends the head of a request whose body of n bytes is to follow. `fields` is "Name: value\r\n…".
 */
bool rufh_ask(struct client *c, const char *method, const char *path, uint64_t n,
	      const char *fields);

/* The next interim answer, if it comes within ms: its status. 0: the final one is there (and stays
 * for client_answer()), nothing came, or the connection has ended. */
int rufh_interim(struct client *c, int ms, struct answer *a);

/* Creates an upload without content ("careful"): the status. */
int rufh_create(int port, const char *fields, struct rufh *u);
void rufh_of(const struct answer *a, struct rufh *u);

/* A connection on which an append has begun: n bytes are announced, none is sent. */
struct client *rufh_append_begin(int port, const char *path, uint64_t offset, bool complete,
				 uint64_t n);

/* A whole append: the status; the answer is the caller's unless `a` is NULL. */
int rufh_append(int port, const char *path, uint64_t offset, bool complete, const void *p, size_t n,
		struct answer *a);

/* Offset retrieval by HEAD without a word on the dialect. */
struct rufh_state rufh_state(int port, const char *path);
struct rufh_state rufh_state_of(const struct answer *a);
int64_t rufh_offset(int port, const char *path); /* -1: no 2xx, or no offset in it */

/* Goes on from where HEAD says, completes, and fetches: whether it is then exactly these bytes. */
bool rufh_finishes(int port, const struct rufh *u, const void *p, size_t n);

/* Body bytes the server has taken off the network since it started, and a wait for that many. */
uint64_t rufh_received(struct test_server *s);
bool rufh_receives(struct test_server *s, uint64_t total, int ms);

/* Reads what there is and whether the connection has ended within ms without a 2xx: what becomes of
 * the older of two requests. */
bool rufh_ended_unanswered(struct client *c, int ms);

#endif
