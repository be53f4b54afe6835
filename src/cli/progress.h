/* progress - a bar on the terminal: how far, how much, how fast, how long still. Nothing at all if
 * standard error is no terminal. One at a time. */
#ifndef RESTANTE_CLI_PROGRESS_H
#define RESTANTE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown; /* is anything to be shown? */
	bool drawn; /* is there something to be erased? */
	bool ended; /* was the end drawn? */
	unsigned width;
	int64_t drawn_ms; /* clock_mono_ms() */
	int64_t sample_ms;
	uint64_t sample;
	double rate; /* bytes a second, smoothed; 0: not known yet */
};

/* Starts at nothing. `wanted` is false for --quiet, and where the bytes go to the terminal. */
void progress_start(struct progress *p, bool wanted);

/* A restante_progress_fn; ctx is the struct progress. */
void progress_update(void *ctx, uint64_t done, uint64_t total);

/* Erases it, so that something else can be written; the next update draws it again. */
void progress_clear(struct progress *p);

#endif
