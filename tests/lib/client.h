/* client - raw HTTP over a socket, as bad as a test wants it. Fails the test by abort on what a
 * test never expects (no connection); everything else is returned. */
#ifndef RESTANTE_TESTS_CLIENT_H
#define RESTANTE_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client {
	int fd;
	uint8_t *buf; /* received, not yet taken */
	size_t len, cap;
};

struct answer {
	int status;      /* 0: none came before the connection ended */
	char *head;      /* status line and fields, with a NUL */
	uint8_t *body;   /* with a NUL behind */
	size_t body_len;
	bool whole;      /* the body was as long as announced, or the last chunk came */
};

/* Connects to 127.0.0.1; 10 s timeouts on reads and writes. */
struct client *client_open(int port);
void client_close(struct client *c);          /* orderly */
void client_reset(struct client *c);          /* with RST */

/* Sends all of it; false if the peer has closed. */
bool client_send(struct client *c, const void *data, size_t n);
bool client_sendf(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Ends our direction. */
void client_half_close(struct client *c);

/* Reads one final answer (1xx are passed over and counted in *interim if not NULL). `head_only`:
 * the request was HEAD. The answer is to be freed with answer_free(). */
void client_answer(struct client *c, bool head_only, struct answer *a, int *interim);

/* True if the peer closes within ms, with nothing more sent. */
bool client_closed_within(struct client *c, int ms);

/* Bytes that come within ms; -1: closed. */
int client_peek(struct client *c, int ms);

void answer_free(struct answer *a);

/* A field's value copied into out (empty if not there); false if it is not there. */
bool answer_field(const struct answer *a, const char *name, char *out, size_t size);

/* A string or number member of a JSON body, as text. */
bool answer_json(const struct answer *a, const char *name, char *out, size_t size);

/* Whole exchanges on a connection of their own. `fields` is "Name: value\r\n…" or "". */
void http_request(int port, const char *method, const char *target, const char *fields,
		  const void *body, size_t n, struct answer *a);
void http_get(int port, const char *target, const char *fields, struct answer *a);

/* PUT to /v1/media + query; the fetch token goes to token (52 bytes). The status. */
int http_put(int port, const char *query, const void *body, size_t n, char *token);

/* Bytes that look like ciphertext: the same for the same seed. */
void fill_random(uint8_t *out, size_t n, uint64_t seed);

#endif
