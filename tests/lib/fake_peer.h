/* fake_peer - the inside of tests/lib/fake.h: one connection. */
#ifndef RESTANTE_TESTS_FAKE_PEER_H
#define RESTANTE_TESTS_FAKE_PEER_H

#include <pthread.h>

#include "tests/lib/fake.h"

enum framing { NO_BODY, BY_LENGTH, BY_CHUNKS };

struct fake_peer {
	struct fake *fake;
	pthread_t thread;
	int fd, number;
	int stop; /* readable when it is over */
	bool close, reset;
	uint8_t *in; /* received, not yet taken */
	size_t in_len, in_cap;
	enum framing framing;
	uint64_t left; /* of the body, or of the chunk */
};

void fake_die(const char *what) __attribute__((noreturn));

/* Waits for fd (-1: none) to be readable, ms at most: 1, 0 (not), -1 (it is over). */
int fake_peer_wait(const struct fake_peer *p, int fd, int ms);

/* Reads the head of a request; false: none comes. */
bool fake_peer_head(struct fake_request *r);

#endif
