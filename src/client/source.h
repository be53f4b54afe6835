/* source - what an upload sends, as sealed bytes by offset. From files and memory any of them can
 * be had at any time, sealed on demand, so that nothing is kept for the case that a connection
 * breaks; what came out of a pipe is kept until the server has acknowledged it.
 *
 * A source and its readers belong to one thread. */
#ifndef RESTANTE_CLIENT_SOURCE_H
#define RESTANTE_CLIENT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/seal.h"

/* Sealed chunks of a pipe that are kept: 8 MiB. */
#define SOURCE_WINDOW_CHUNKS 128

struct source;
struct reader; /* a place to read at: one for each connection */

enum source_next {
	SOURCE_SOME,  /* there are bytes */
	SOURCE_END,   /* there are none behind this offset, and will be none */
	SOURCE_LATER, /* the pipe has none yet: ask again after source_fill() */
	SOURCE_FULL,  /* nor will there be any before source_release(): the window is full */
	SOURCE_FAILED,
};

/* Which file it is, and in which state: two that are equal have the same bytes in them. */
struct source_id {
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns;
};

/* ---- making ---- */

/* A file, opened here, sealed with a fresh key and padded; or sent as it is. RESTANTE_IO,
 * RESTANTE_INVALID (no regular file), RESTANTE_TOOBIG. On RESTANTE_OK the caller owns *out. */
enum restante_code source_of_file(struct source **out, const char *path, struct restante_error *e);
enum restante_code source_of_sealed_file(struct source **out, const char *path,
					 struct restante_error *e);

/* Memory, borrowed. */
enum restante_code source_of_memory(struct source **out, const void *data, size_t size,
				    struct restante_error *e);

/* A pipe, borrowed; zeroes behind its end if padded. */
enum restante_code source_of_fd(struct source **out, int fd, bool padded, struct restante_error *e);

/* For tests: lets the window of a pipe hold so few chunks, 1 to SOURCE_WINDOW_CHUNKS. */
void source_narrow(struct source *s, unsigned chunks);

void source_free(struct source *s); /* wipes; NULL is fine */

/* ---- what it is ---- */

/* The key and the head of the container (RESTANTE_KEY_SIZE, RESTANTE_HEAD_SIZE); NULL if it is sent
 * as it is. */
const uint8_t *source_key(const struct source *s);
const uint8_t *source_head(const struct source *s);

/* Takes up a container begun earlier. Only for the very file it was begun with, in the very state:
 * two plaintexts under one head would be readable to the server. RESTANTE_INVALID, RESTANTE_KEY,
 * RESTANTE_TAMPERED if head and key do not go together: nothing has changed then. */
enum restante_code source_take_up(struct source *s, const uint8_t key[static RESTANTE_KEY_SIZE],
				  const uint8_t head[static RESTANTE_HEAD_SIZE],
				  struct restante_error *e);

/* False if it is none of a file. */
bool source_id(const struct source *s, struct source_id *out);
bool source_id_equal(const struct source_id *a, const struct source_id *b);

/* The number of sealed bytes, and of bytes without padding and seal; false while a pipe has not
 * come to its end. Of what is sent as it is, they are the same. */
bool source_size(const struct source *s, uint64_t *out);
bool source_content_size(const struct source *s, uint64_t *out);

/* RESTANTE_CHANGED if the file is not what it was when it was opened. */
enum restante_code source_check(const struct source *s, struct restante_error *e);

/* ---- pipes ---- */

/* The descriptor that should become readable before source_fill() is called; -1: nothing to wait
 * for (no pipe, at its end, or the window is full). */
int source_fd(const struct source *s);

/* Reads what has come, without waiting for more. RESTANTE_IO, and then always. */
enum restante_code source_fill(struct source *s, struct restante_error *e);

/* The server has all before offset: it will not be asked for again. */
void source_release(struct source *s, uint64_t offset);

/* The offsets between which bytes can be had now, or could if they were there: what was released
 * cannot. */
uint64_t source_first(const struct source *s);
uint64_t source_made(const struct source *s); /* of files and memory: all of them */

/* ---- reading ---- */

enum restante_code reader_new(struct reader **out, struct source *s, struct restante_error *e);
void reader_free(struct reader *r); /* wipes; NULL is fine */

/* Gives at most cap > 0 bytes from offset on: *n on SOURCE_SOME, and e on SOURCE_FAILED
 * (RESTANTE_IO, RESTANTE_CHANGED). offset is not before source_first(). Whole sealed chunks are
 * made right in out: room for a few of them saves copying. */
enum source_next reader_read(struct reader *r, uint64_t offset, uint8_t *out, size_t cap, size_t *n,
			     struct restante_error *e);

/* Whether there would be something. */
enum source_next source_look(const struct source *s, uint64_t offset);

#endif
