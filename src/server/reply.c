#include "server/reply.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*reply_native_free)(void *native);

struct reply *reply_new(int status)
{
	struct reply *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	atomic_init(&r->refs, 1);
	r->status = status;
	return r;
}

struct reply *reply_ref(struct reply *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

static bool is_in_room(const struct reply *r, const char *value)
{
	return value >= r->room && value < r->room + sizeof(r->room);
}

void reply_unref(struct reply *r)
{
	if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (atomic_load(&r->native) != NULL)
		reply_native_free(atomic_load(&r->native));
	for (size_t i = 0; i < r->header_count; i++)
		if (!is_in_room(r, r->headers[i].value))
			free(r->headers[i].value);
	for (size_t i = 0; i < r->chunk_count; i++)
		chunk_unref(r->chunks[i]);
	free(r->chunks);
	free(r->pieces);
	free(r->text);
	free(r);
}

static char *copy_value(struct reply *r, const char *value)
{
	const size_t n = strlen(value) + 1;
	char *copy = r->room + r->room_used;

	if (n > sizeof(r->room) - r->room_used)
		return strdup(value);
	memcpy(copy, value, n);
	r->room_used += n;
	return copy;
}

void reply_header(struct reply *r, const char *name, const char *value)
{
	char *copy;

	if (r->header_count == REPLY_HEADERS_MAX || (copy = copy_value(r, value)) == NULL)
		return;
	r->headers[r->header_count].name = name;
	r->headers[r->header_count++].value = copy;
}

void reply_headerf(struct reply *r, const char *name, const char *fmt, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	reply_header(r, name, value);
}

void reply_text(struct reply *r, char *text, size_t len)
{
	r->kind = REPLY_TEXT;
	r->text = text;
	r->size = len;
}

void reply_stream(struct reply *r, uint64_t size,
		  enum reply_read (*read)(void *, uint64_t, struct reply_piece *), void *ctx)
{
	r->kind = REPLY_STREAM;
	r->size = size;
	r->read = read;
	r->read_ctx = ctx;
}
