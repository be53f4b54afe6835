#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 500

static void to_stderr(void *ctx, const char *line)
{
	(void)ctx;
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
	sink.sink = to != NULL ? to : to_stderr;
	sink.ctx = ctx;
}

void log_set_level(enum log_level lowest)
{
	atomic_store(&sink.lowest, (int)lowest);
}

/* The start of a line; returns its length. */
static size_t begin(char *line, size_t size, enum log_level level)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(now, clock_now_s());
	return (size_t)snprintf(line, size, "time=%s level=%s ", now, names[level]);
}

/* A line break in a value would let it forge the next line. */
static void defuse(char *line)
{
	for (; *line != '\0'; line++) {
		unsigned char c = (unsigned char)*line;

		if (c < 0x20 || c == 0x7f)
			*line = '?';
	}
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 1];
	int saved = errno; /* logging a failure must not change what the caller sees of it */
	size_t used;
	va_list ap;

	if ((int)level < atomic_load_explicit(&sink.lowest, memory_order_relaxed))
		return;
	used = begin(line, sizeof(line), level);
	va_start(ap, fmt);
	(void)vsnprintf(line + used, sizeof(line) - used, fmt, ap);
	va_end(ap);
	defuse(line);
	pthread_mutex_lock(&sink.lock);
	sink.sink(sink.ctx, line);
	pthread_mutex_unlock(&sink.lock);
	errno = saved;
}
