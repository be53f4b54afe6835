/* trouble - what went wrong: filled where it is first seen, told to the person at the terminal and
 * turned into an exit code in main.c, nowhere else. One thread. */
#ifndef RESTANTE_CLI_TROUBLE_H
#define RESTANTE_CLI_TROUBLE_H

#include <stdbool.h>

#include "base/err.h"
#include "restante/error.h"

enum trouble_from {
	TROUBLE_NONE,
	TROUBLE_USAGE,   /* the command line or the settings are wrong */
	TROUBLE_LOCAL,   /* something here: `local` says what */
	TROUBLE_LIBRARY, /* librestante reports it: `library` */
	TROUBLE_OUTCOME, /* all went well, and the exit code is to say what came of it: `outcome` */
};

enum outcome { OUTCOME_MORE, OUTCOME_OVERDUE };

struct trouble {
	enum trouble_from from;
	enum err_code local;
	enum restante_code library;
	enum outcome outcome;
	bool told;      /* the person knows */
	bool resumable; /* the same command, run again, goes on where this one stopped */
	char text[512]; /* a sentence; may hold any character of local file names, never a secret */
};

/* Fill *t. All return false, so that `return trouble_...()` reads well; what was there is replaced,
 * but for `resumable`. */
bool trouble_usage(struct trouble *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool trouble_local(struct trouble *t, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What the library says, about `what` (a file's name; NULL: nothing in particular). */
bool trouble_library(struct trouble *t, const struct restante_error *e, const char *what);

/* What base/ or a media folder says, likewise. */
bool trouble_err(struct trouble *t, const struct err *e, const char *what);

/* A failed system call on `what`, from errno: ERR_IO, or ERR_NOMEM. */
bool trouble_errno(struct trouble *t, const char *what);

/* No trouble, and nothing is told. */
bool trouble_outcome(struct trouble *t, enum outcome outcome);

/* What can be done about it: the end of a sentence, a static string; "" if nothing is to be said.
 */
const char *trouble_advice(const struct trouble *t);

/* Writes "restante: sentence" to standard error, with control characters taken out; once. */
void trouble_tell(struct trouble *t);

#endif
