/* exchange - the inside of requests and of what carries them, for exchange.c (one request),
 * exchange_verdict.c (what came of it) and transport.c (all of them, running). With address.c the
 * only place that includes curl.h. */
#ifndef RESTANTE_CLIENT_EXCHANGE_H
#define RESTANTE_CLIENT_EXCHANGE_H

#include <stdatomic.h>

#include <curl/curl.h>

#include "client/address.h"
#include "client/response.h"
#include "client/transport.h"

struct transport {
	CURLM *multi;
	struct address address;
	char *ca_file;
	char *socket_path; /* NULL: TCP */
	int64_t stall_ms;
	int64_t left_ms; /* when transport_run() was last left */
	struct exchange *all;
	atomic_bool cancelled;
	int wake; /* an eventfd: readable once cancelled */
};

struct exchange {
	struct transport *t; /* NULL: it is gone */
	struct exchange *next;
	CURL *easy;
	struct curl_slist *fields;
	struct exchange_request rq; /* its texts are not to be used: the caller's */
	uint64_t left;              /* of the body, if its size is known */
	struct response response;
	enum exchange_state state;
	struct restante_error error;
	int64_t moved_ms; /* when a byte last went either way */
	curl_off_t down, up;
	int64_t looked_ms; /* see look_at_ms() */
	bool later;        /* the body said BODY_LATER */
	bool paused;       /* and libcurl does not ask for it */
	bool stopped;      /* a callback broke it off */
	bool foreign;      /* plain http was about to leave the machine */
	char why[CURL_ERROR_SIZE];
};

/* It has ended: libcurl lets go of it. */
void exchange_detach(struct exchange *x);

/* Breaks it off: EXCHANGE_FAILED with this code and sentence. */
void exchange_break(struct exchange *x, enum restante_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* libcurl is done with it, with this result. */
void exchange_done(struct exchange *x, CURLcode c);

#endif
