#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	e->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->why, sizeof(e->why), fmt, ap);
	va_end(ap);
	return code;
}

const char *err_text(enum err_code code)
{
#define X(name, text) text,
	static const char *const texts[] = { ERR_LIST(X) };
#undef X

	return code < ERR_COUNT ? texts[code] : "unknown failure";
}
