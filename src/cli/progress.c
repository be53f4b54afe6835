#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/words.h"

#define DRAW_EVERY_MS 100
#define SAMPLE_EVERY_MS 500
#define SMOOTHING 0.3 /* how much the latest sample counts */
#define WIDTH_MAX 200
#define WIDTH_USUAL 80
#define BAR_MIN 6
#define BAR_MAX 50
#define BAR_FRAME 7      /* "[] 100%" */
#define FIGURES_USUAL 44 /* "  10.0 MiB of 20.0 MiB  1.0 MiB/s  0:10 left" */

/* ---- how wide ------------------------------------------------------------------------------ */

static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = { 0 };
	uint64_t width = WIDTH_USUAL;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		width = size.ws_col;
	else if (columns != NULL)
		(void)num_u64(columns, strlen(columns), 10000, &width);
	return width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width;
}

/* ---- how fast ------------------------------------------------------------------------------ */

static void measure(struct progress *p, uint64_t done, int64_t now)
{
	int64_t passed = now - p->sample_ms;
	double latest;

	if (p->sample_ms != 0 && done >= p->sample && passed < SAMPLE_EVERY_MS)
		return;
	/* The first is where it was taken up; when a connection broke it goes back. */
	if (p->sample_ms != 0 && done >= p->sample) {
		latest = (double)(done - p->sample) * 1000 / (double)passed;
		p->rate = p->rate == 0 ? latest : p->rate + SMOOTHING * (latest - p->rate);
	}
	p->sample = done;
	p->sample_ms = now;
}

/* ---- the line ------------------------------------------------------------------------------ */

/* How much is said: the less, the narrower the terminal. */
enum detail { ALL, SPEED, NOTHING };

static void add(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *out, size_t size, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out + n, size - n, fmt, ap);
	va_end(ap);
}

static void add_speed(char *out, size_t size, const struct progress *p, uint64_t left)
{
	char words[WORDS_SIZE];

	if (p->rate < 1)
		return;
	add(out, size, "  %s/s", words_bytes(words, (uint64_t)p->rate));
	if (left > 0)
		add(out, size, "  %s left",
		    words_seconds(words, (uint64_t)((double)left / p->rate)));
}

/* "  1.2 MiB of 4.0 MiB  512 KiB/s  0:05 left" */
static void figures(char *out, size_t size, const struct progress *p, uint64_t done, uint64_t total,
		    enum detail detail)
{
	char words[WORDS_SIZE];

	out[0] = '\0';
	if (detail == ALL) {
		add(out, size, "  %s", words_bytes(words, done));
		if (total > 0)
			add(out, size, " of %s", words_bytes(words, total));
	}
	if (detail == NOTHING)
		return;
	if (total > 0 && done >= total)
		add(out, size, "  finishing"); /* the server makes sure of it */
	else
		add_speed(out, size, p, total > done ? total - done : 0);
}

static unsigned percent(uint64_t done, uint64_t total)
{
	return done >= total ? 100 : (unsigned)((double)done * 100 / (double)total);
}

/* "[=====     ]  42%", as long as there is room; else without the bar. */
static void bar(char out[static BAR_MAX + BAR_FRAME + 1], size_t room, uint64_t done,
		uint64_t total)
{
	unsigned part = percent(done, total);
	size_t inner = 0, filled;

	out[0] = '\0';
	if (total == 0)
		return;
	if (room >= BAR_MIN + BAR_FRAME) {
		inner = room - BAR_FRAME > BAR_MAX ? BAR_MAX : room - BAR_FRAME;
		filled = inner * part / 100;
		*out++ = '[';
		memset(out, '=', filled);
		memset(out + filled, ' ', inner - filled);
		out += inner;
		*out++ = ']';
	}
	(void)snprintf(out, sizeof(" 100%"), inner > 0 ? " %3u%%" : "%3u%%", part);
}

static void draw(struct progress *p, uint64_t done, uint64_t total)
{
	char right[160], left[BAR_MAX + BAR_FRAME + 1], line[sizeof(right) + sizeof(left)];
	unsigned width = terminal_width();
	size_t usable, used;

	if (width < 8)
		return;
	usable = width - 1; /* some terminals go on to the next line after the last column */
	for (enum detail d = ALL; d <= NOTHING; d++) {
		figures(right, sizeof(right), p, done, total, d);
		if (strlen(right) + sizeof("100%") <= usable)
			break;
	}
	/* the bar does not change its length with each figure */
	used = strlen(right) > FIGURES_USUAL ? strlen(right) : FIGURES_USUAL;
	bar(left, used < usable ? usable - used : 0, done, total);
	(void)snprintf(line, sizeof(line), "%s%s", left, right);
	/* blanks instead of an escape sequence: every terminal knows them */
	(void)fprintf(stderr, "\r%-*.*s", (int)usable, (int)usable, line);
	(void)fflush(stderr);
	p->width = width;
	p->drawn = true;
}

/* ---- interface ----------------------------------------------------------------------------- */

void progress_start(struct progress *p, bool wanted)
{
	*p = (struct progress){ .shown = wanted && isatty(STDERR_FILENO) == 1 };
}

void progress_update(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *p = ctx;
	int64_t now = clock_mono_ms();
	bool ends = total > 0 && done >= total;

	if (!p->shown)
		return;
	measure(p, done, now);
	/* the last one at once: there may be no other */
	if (p->drawn && now - p->drawn_ms < DRAW_EVERY_MS && (!ends || p->ended))
		return;
	draw(p, done, total);
	p->drawn_ms = now;
	p->ended = ends;
}

void progress_clear(struct progress *p)
{
	if (!p->drawn)
		return;
	(void)fprintf(stderr, "\r%*s\r", (int)p->width - 1, "");
	(void)fflush(stderr);
	p->drawn = false;
}
