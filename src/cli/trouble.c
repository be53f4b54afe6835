#include "cli/trouble.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/say.h"

static void word(struct trouble *t, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void word(struct trouble *t, const char *fmt, va_list ap)
{
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap);
}

bool trouble_usage(struct trouble *t, const char *fmt, ...)
{
	va_list ap;

	t->from = TROUBLE_USAGE;
	va_start(ap, fmt);
	word(t, fmt, ap);
	va_end(ap);
	return false;
}

bool trouble_local(struct trouble *t, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	t->from = TROUBLE_LOCAL;
	t->local = code;
	va_start(ap, fmt);
	word(t, fmt, ap);
	va_end(ap);
	return false;
}

bool trouble_library(struct trouble *t, const struct restante_error *e, const char *what)
{
	t->from = TROUBLE_LIBRARY;
	t->library = e->code;
	(void)snprintf(t->text, sizeof(t->text), "%.200s%s%s", what == NULL ? "" : what,
		       what == NULL ? "" : ": ",
		       e->detail[0] != '\0' ? e->detail : restante_error_text(e->code));
	return false;
}

bool trouble_err(struct trouble *t, const struct err *e, const char *what)
{
	return trouble_local(t, e->code, "%.200s%s%s", what == NULL ? "" : what,
			     what == NULL ? "" : ": ",
			     e->why[0] != '\0' ? e->why : err_text(e->code));
}

bool trouble_errno(struct trouble *t, const char *what)
{
	int cause = errno;

	return trouble_local(t, cause == ENOMEM ? ERR_NOMEM : ERR_IO, "%.200s: %s", what,
			     strerror(cause));
}

bool trouble_outcome(struct trouble *t, enum outcome outcome)
{
	t->from = TROUBLE_OUTCOME;
	t->outcome = outcome;
	return false;
}

static const char *library_advice(enum restante_code code, bool resumable)
{
	switch (code) {
	case RESTANTE_NETWORK:
		return resumable ? "run the same command again and it goes on" : "try again later";
	case RESTANTE_LIMIT:
		return resumable ? "run the same command later and it goes on" : "try again later";
	case RESTANTE_CANCELLED:
		return resumable ? "run the same command again and it goes on" : "";
	case RESTANTE_GONE:
		return "it has expired, was deleted, or was never there";
	case RESTANTE_DENIED:
		return "give a grant with --grant or in RESTANTE_GRANT";
	case RESTANTE_CHANGED:
		return "send it again when nobody writes to it any more";
	default:
		return "";
	}
}

const char *trouble_advice(const struct trouble *t)
{
	if (t->from == TROUBLE_LIBRARY)
		return library_advice(t->library, t->resumable);
	return t->from == TROUBLE_USAGE ? "try --help" : "";
}

void trouble_tell(struct trouble *t)
{
	const char *advice = trouble_advice(t);

	if (t->told || t->from == TROUBLE_OUTCOME)
		return;
	t->told = true;
	say("%s%s%s", t->text, advice[0] == '\0' ? "" : "; ", advice);
}
