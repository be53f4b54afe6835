/* client - raw HTTP over a socket, as bad as a test wants it. Fails the test by abort on what a
 * test never expects (no connection); everything else is returned. */
#ifndef RESTANTE_TESTS_CLIENT_H
#define RESTANTE_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
	int fd;
	uint8_t *buf; /* received, not yet taken */
	size_t len, cap;
};

struct answer {
	int status;    /* 0: none came before the connection ended */
	char *head;    /* status line and fields, with a NUL */
	uint8_t *body; /* with a NUL behind */
	size_t body_len;
	bool whole; /* the body was as long as announced, or the last chunk came */
};

/* Connects to 127.0.0.1; 10 s timeouts on reads and writes. */
struct client *client_open(int port);
void client_close(struct client *c); /* orderly */
void client_reset(struct client *c); /* with RST */

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

/* ---- for tests that tell a story ---- */

/* Connects from another loopback address, such as "127.0.0.2". */
struct client *client_open_from(int port, const char *address);

/* Sends one chunk of a chunked body; with n 0 the last one, and the end of the body. */
bool client_chunk(struct client *c, const void *data, size_t n);

void client_nap(int ms);

/* Sockets a process has open: its other files come and go with what the engine does. Always 1 if it
 * may not be looked into: a server in its sandbox by root only. */
int open_sockets(pid_t pid);

/* What a finished upload has answered: fetch and manage token, path of the upload, size. */
struct placed {
	char token[52], manage[52], upload[80];
	char sha256[65], expires_at[24];
	uint64_t size;
};

/* PUT to /v1/media + query; the status. *p is empty unless that is 201. */
int http_place(int port, const char *query, const void *body, size_t n, struct placed *p);

/* GET of /v1/media/ + token: whether it is a 200 with exactly these bytes. */
bool http_has(int port, const char *token, const void *body, size_t n);
/* The status of a request without a body for prefix + rest. */
int http_status(int port, const char *method, const char *prefix, const char *rest);

/* A part of a multipart/byteranges answer, into its body. */
struct part {
	uint64_t first, last, of;
	const uint8_t *data; /* last - first + 1 bytes */
	char type[64];
};

/* Takes such an answer apart, strictly (RFC 2046 section 5.1.1, RFC 9110 section 14.6): the count
 * of parts, or -1 if it is none, or has more than max. */
int answer_parts(const struct answer *a, struct part *parts, int max);

#endif
