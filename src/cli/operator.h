/* operator - what the commands of an operator share: which server on this machine is meant, one
 * question to it, and its answer. */
#ifndef RESTANTE_CLI_OPERATOR_H
#define RESTANTE_CLI_OPERATOR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "cli/options.h"
#include "cli/trouble.h"

/* In front of OPTIONS_COMMON. */
#define OPTIONS_OPERATOR                                                                      \
	{                                                                                     \
		"socket", "PATH", "the server's admin.sock, see restante(1) for the usual", 0 \
	}

#define OPERATOR_USUAL_MS 30000U  /* a silence longer than that is a failure */
#define OPERATOR_AS_LONG UINT_MAX /* of what takes as long as it takes */

struct question {
	const char *method;
	const char *target;
	unsigned patience_ms;
	bool unwatched; /* is to be asked although a signal has come */
};

/* Asks, and takes the answer as JSON: *out, unless NULL, is the caller's json_decref(). A refusal
 * is TROUBLE_LOCAL with what the server says; lists of problems in it are told at once. */
bool operator_ask(const struct options *o, const struct question *q, json_t **out,
		  struct trouble *t);

/* Likewise an answer that is text; the caller's to free(). */
bool operator_ask_text(const struct options *o, const struct question *q, char **out,
		       struct trouble *t);

/* The path of the socket: --socket, $RESTANTE_SOCKET, data/admin.sock in this folder if it is there
 * and one's own, else the system's. Borrowed. */
const char *operator_socket(const struct options *o);

/* ---- of an answer ---- */

/* A number that is not there is 0, a text "". */
uint64_t operator_number(const json_t *answer, const char *object, const char *name);
const char *operator_text(const json_t *answer, const char *object, const char *name);
bool operator_flag(const json_t *answer, const char *name);

#endif
