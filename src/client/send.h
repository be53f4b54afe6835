/* send - carries out an upload: as one leg, or in parts that are put together; with its digest, its
 * state file and its envelope. The inside of restante_upload_run(). One thread. */
#ifndef RESTANTE_CLIENT_SEND_H
#define RESTANTE_CLIENT_SEND_H

#include "client/leg.h"
#include "client/parts.h"
#include "client/state.h"
#include "restante/upload.h"

struct send {
	/* what the caller said: set before a run */
	struct restante_client *client;
	struct source *source;
	char kind[8];
	uint64_t ttl_s;
	unsigned recipients;
	unsigned parts;      /* 0: as many as are good */
	char *endpoint_path; /* NULL: /v1/uploads */
	char *state_path;    /* NULL: none */
	restante_progress_fn *progress;
	void *progress_context;
	restante_begun_fn *begun;
	void *begun_context;

	unsigned quiet_ms; /* see leg.h; for tests */

	/* how far it is: from one run to the next */
	char *endpoint;
	char metadata[TUS_METADATA_SIZE];
	struct tally tally;
	struct leg_shared shared;
	struct leg *legs[PARTS_MAX]; /* the whole, or the parts */
	unsigned count;
	struct leg *final; /* of parts; NULL: not begun */
	bool doubted;      /* the parts were asked whether they are still there */
	struct state *state;
	struct restante_envelope *envelope; /* during a run */
	int64_t told_ms;                    /* the last call of progress */
};

/* With the defaults of restante/upload.h; the client is borrowed. Ended with send_fini(). */
void send_init(struct send *s, struct restante_client *client);

/* As restante_upload_run() says it. */
enum restante_code send_run(struct send *s, struct restante_envelope *envelope,
			    struct restante_error *e);

/* What the server has told of the upload, and where it is; NULL before it has. */
const struct tus_news *send_news(const struct send *s);
const char *send_location(const struct send *s);

void send_fini(struct send *s);

#endif
