/* fail - filling struct restante_error, as base/err.h does inside the server. Any thread. */
#ifndef RESTANTE_CLIENT_FAIL_H
#define RESTANTE_CLIENT_FAIL_H

#include "base/err.h"
#include "restante/error.h"

/* Fills *e (NULL is fine) and returns code, so that `return fail(...)` reads well. */
enum restante_code fail(struct restante_error *e, enum restante_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The general sentence of the code as the detail. */
enum restante_code fail_plain(struct restante_error *e, enum restante_code code);

#endif
