#include "client/fail.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const texts[] = {
	[RESTANTE_OK] = "success",
	[RESTANTE_NOMEM] = "out of memory",
	[RESTANTE_MISUSE] = "the program called the library wrongly",
	[RESTANTE_INVALID] = "not well formed",
	[RESTANTE_TAMPERED] = "not authentic: changed or cut short",
	[RESTANTE_KEY] = "the key does not open it",
	[RESTANTE_TOOBIG] = "larger than allowed or announced",
	[RESTANTE_IO] = "a file cannot be read or written",
	[RESTANTE_CHANGED] = "the file changed while it was being sent",
	[RESTANTE_NETWORK] = "the server cannot be reached",
	[RESTANTE_UNTRUSTED] = "the server is not one to trust",
	[RESTANTE_GONE] = "it is not there, or not any more",
	[RESTANTE_DENIED] = "the server does not permit it",
	[RESTANTE_LIMIT] = "the server has no room, or asks to wait",
	[RESTANTE_SERVER] = "the server's answer makes no sense",
	[RESTANTE_CANCELLED] = "cancelled",
};

const char *restante_error_text(enum restante_code code)
{
	const size_t i = (size_t)code;

	return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : "unknown error";
}

enum restante_code fail(struct restante_error *e, enum restante_code code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
	va_end(ap);
	return code;
}

enum restante_code fail_plain(struct restante_error *e, enum restante_code code)
{
	return fail(e, code, "%s", restante_error_text(code));
}
