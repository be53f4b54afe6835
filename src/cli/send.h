/* send - what `restante put` does with one file: finds out what it is, prepares it, seals and sends
 * it, prints its envelope. One thread. */
#ifndef RESTANTE_CLI_SEND_H
#define RESTANTE_CLI_SEND_H

#include <stdbool.h>

#include "cli/media.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/trouble.h"
#include "photo/photo.h"
#include "restante/client.h"

struct send_options {
	enum media kind;
	struct photo_options photo;
	bool photo_asked; /* some of it was asked for on the command line */
	const char *type; /* NULL: found out */
	const char *name; /* NULL: a file's own */
	bool no_name;
	bool live;
	const char *final;    /* NULL: not wanted */
	bool sealed;          /* what is sent is sealed already */
	const char *endpoint; /* NULL: the client's own */
};

struct sender {
	const struct send_options *options;
	const struct settings *settings;
	struct restante_client *client; /* borrowed, as all of them */
	struct progress progress;
};

/* Sends one file, or "-", and prints what came of it. */
bool send_one(struct sender *s, const char *path, struct trouble *t);

#endif
