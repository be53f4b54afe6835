#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 500

static void to_stderr(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)fprintf(stderr, "%s\n", line);
}

static struct {
	pthread_mutex_t lock;
	atomic_int lowest;
	log_sink *sink;
	void *ctx;
} sink = { PTHREAD_MUTEX_INITIALIZER, LOG_LEVEL_INFO, to_stderr, NULL };

void log_setup(enum log_level lowest, log_sink *to, void *ctx)
{
	log_set_level(lowest);
	log_set_sink(to, ctx);
}

void log_set_sink(log_sink *to, void *ctx)
{
	pthread_mutex_lock(&sink.lock);
	sink.sink = to != NULL ? to : to_stderr;
	sink.ctx = ctx;
	pthread_mutex_unlock(&sink.lock);
}

void log_set_level(enum log_level lowest)
{
	atomic_store(&sink.lowest, (int)lowest);
}

/* ---- a line as it grows ---- */

struct line {
	char text[LINE_MAX_BYTES + 1];
	size_t n;
	bool quoted; /* between two quotes, for which there is room */
	bool full;   /* something did not fit: nothing more is taken */
};

/* All of it or nothing. */
static void put(struct line *l, const char *s, size_t n)
{
	if (n > LINE_MAX_BYTES - l->n - (l->quoted ? 1u : 0u))
		l->full = true;
	if (l->full)
		return;
	memcpy(l->text + l->n, s, n);
	l->n += n;
}

static void put_quote(struct line *l)
{
	if (l->quoted) {
		l->quoted = false; /* its place was kept */
		l->text[l->n++] = '"';
	} else if (!l->full && LINE_MAX_BYTES - l->n >= 2) {
		l->quoted = true;
		l->text[l->n++] = '"';
	} else {
		l->full = true;
	}
}

/* Bytes of the character that begins here, if it may stand in a log as it is; else 0. UTF-8 (RFC
 * 3629) but for control characters, and those that turn the text's direction or its lines. */
static size_t fair_character(const unsigned char *s, size_t n)
{
	const size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);

	if (len > n || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return len;
}

static void put_escaped(struct line *l, const char *s, size_t n)
{
	static const char named[] = "\n\r\t", names[] = "nrt";
	char text[8];

	for (size_t i = 0, k; i < n && !l->full; i += k) {
		const unsigned char c = (unsigned char)s[i];
		const char *name = c == '\0' ? NULL : strchr(named, c);

		k = fair_character((const unsigned char *)s + i, n - i);
		if (k > 0 && c != '"' && c != '\\') {
			put(l, s + i, k);
			continue;
		}
		k = 1;
		if (c == '"' || c == '\\')
			(void)snprintf(text, sizeof(text), "\\%c", c);
		else if (name != NULL)
			(void)snprintf(text, sizeof(text), "\\%c", names[name - named]);
		else
			(void)snprintf(text, sizeof(text), "\\x%02x", c);
		put(l, text, strlen(text));
	}
}

static bool needs_quotes(const char *s, size_t n)
{
	for (size_t i = 0, k; i < n; i += k) {
		k = fair_character((const unsigned char *)s + i, n - i);
		if (k == 0 || s[i] == ' ' || s[i] == '"' || s[i] == '\\' || s[i] == '=')
			return true;
	}
	return n == 0;
}

static void put_value(struct line *l, const char *s, size_t n)
{
	const bool quotes = !l->quoted && needs_quotes(s, n);

	if (quotes)
		put_quote(l);
	put_escaped(l, s, n);
	if (quotes && l->quoted)
		put_quote(l);
}

/* ---- conversions ---- */

enum length { INT, LONG, LLONG, SIZE, MAX };

static enum length read_length(const char **f)
{
	if ((*f)[0] == 'l' && (*f)[1] == 'l')
		return *f += 2, LLONG;
	if (**f == 'l')
		return ++*f, LONG;
	if (**f == 'z')
		return ++*f, SIZE;
	if (**f == 'j')
		return ++*f, MAX;
	return INT;
}

static void put_signed(struct line *l, enum length len, va_list *ap)
{
	const intmax_t v = len == INT     ? va_arg(*ap, int)
			   : len == LONG  ? va_arg(*ap, long)
			   : len == LLONG ? va_arg(*ap, long long)
			   : len == SIZE  ? va_arg(*ap, ssize_t)
					  : va_arg(*ap, intmax_t);
	char text[32];

	(void)snprintf(text, sizeof(text), "%jd", v);
	put(l, text, strlen(text));
}

static void put_unsigned(struct line *l, enum length len, bool hex, va_list *ap)
{
	const uintmax_t v = len == INT     ? va_arg(*ap, unsigned)
			    : len == LONG  ? va_arg(*ap, unsigned long)
			    : len == LLONG ? va_arg(*ap, unsigned long long)
			    : len == SIZE  ? va_arg(*ap, size_t)
					   : va_arg(*ap, uintmax_t);
	char text[32];

	(void)snprintf(text, sizeof(text), hex ? "%jx" : "%ju", v);
	put(l, text, strlen(text));
}

static void put_string(struct line *l, size_t max, va_list *ap)
{
	const char *s = va_arg(*ap, const char *);

	s = s != NULL ? s : "";
	put_value(l, s, strnlen(s, max));
}

/* What stands behind a percent sign; returns what is behind it. */
static const char *put_conversion(struct line *l, const char *f, va_list *ap)
{
	size_t max = SIZE_MAX;
	enum length len;
	int n;

	if (f[0] == '.' && f[1] == '*') {
		n = va_arg(*ap, int);
		max = n < 0 ? SIZE_MAX : (size_t)n;
		f += 2;
	}
	len = read_length(&f);
	if (*f == 's')
		put_string(l, max, ap);
	else if (*f == 'd' || *f == 'i')
		put_signed(l, len, ap);
	else if (*f == 'u' || *f == 'x')
		put_unsigned(l, len, *f == 'x', ap);
	else {
		assert(*f == '%'); /* else one that is not known here */
		put(l, "%", 1);
	}
	return f + 1;
}

static void put_format(struct line *l, const char *f, va_list *ap)
{
	while (*f != '\0' && !l->full) {
		const size_t n = strcspn(f, "%\"");

		put(l, f, n);
		f += n;
		if (*f == '"') {
			put_quote(l);
			f++;
		} else if (*f == '%')
			f = put_conversion(l, f + 1, ap);
	}
	if (l->quoted)
		put_quote(l);
}

static void put_begin(struct line *l, enum log_level level)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(now, clock_now_s());
	l->n = (size_t)snprintf(l->text, sizeof(l->text), "time=%s level=%s ", now, names[level]);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	struct line l = { .n = 0 };
	int saved = errno; /* logging a failure must not change what the caller sees of it */
	va_list ap;

	if ((int)level < atomic_load_explicit(&sink.lowest, memory_order_relaxed))
		return;
	put_begin(&l, level);
	va_start(ap, fmt);
	put_format(&l, fmt, &ap);
	va_end(ap);
	l.text[l.n] = '\0';
	pthread_mutex_lock(&sink.lock);
	sink.sink(sink.ctx, level, l.text);
	pthread_mutex_unlock(&sink.lock);
	errno = saved;
}
