#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a terminal acts on --------------------------------------------------------------- */

/* How many bytes at p are to be hidden; 0: none. p ends with a NUL. */
static size_t harmful(const unsigned char *p)
{
	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) /* C1 */
		return 2;
	if (p[0] != 0xe2)
		return 0;
	if (p[1] == 0x80 && ((p[2] >= 0x8e && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae)))
		return 3;                                 /* U+200E, U+200F; U+2028 to U+202E */
	if (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9) /* U+2066 to U+2069 */
		return 3;
	return 0;
}

/* Cuts off a character of which only the beginning is there. */
static void cut_whole(char *out, size_t n)
{
	size_t start = n;

	while (start > 0 && ((unsigned char)out[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)out[start - 1] >= 0xc0)
		out[start - 1] = '\0';
}

void say_clean(char *out, size_t size, const char *in)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t n = 0;

	while (*p != '\0' && n < size - 1) {
		size_t hidden = harmful(p);

		out[n++] = hidden > 0 ? '?' : (char)*p;
		p += hidden > 0 ? hidden : 1;
	}
	out[n] = '\0';
	if (*p != '\0')
		cut_whole(out, n);
}

/* ---- writing ------------------------------------------------------------------------------- */

void say(const char *fmt, ...)
{
	char raw[1024], clean[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	say_clean(clean, sizeof(clean), raw);
	(void)fprintf(stderr, "restante: %s\n", clean);
}
