#include "storage/chunk.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS_MAX 64 /* 16 MiB: what a burst of fetches passes from hand to hand */

/* A full-size buffer at rest; the link lies in the buffer itself. */
struct blank {
	struct blank *next;
};

static pthread_mutex_t blanks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct blank *blanks;
static size_t blanks_count;
static atomic_size_t memory;

static void *blank_take(void)
{
	struct blank *b;

	pthread_mutex_lock(&blanks_lock);
	b = blanks;
	if (b != NULL) {
		blanks = b->next;
		blanks_count--;
	}
	pthread_mutex_unlock(&blanks_lock);
	return b != NULL ? (void *)b : malloc(CHUNK_MAX);
}

static void blank_give(void *p)
{
	struct blank *b = p;

	pthread_mutex_lock(&blanks_lock);
	if (blanks_count < BLANKS_MAX) {
		b->next = blanks;
		blanks = b;
		blanks_count++;
		p = NULL;
	}
	pthread_mutex_unlock(&blanks_lock);
	free(p);
}

static uint8_t *buffer_new(size_t cap)
{
	return cap == CHUNK_MAX ? blank_take() : malloc(cap > 0 ? cap : 1);
}

static void buffer_free(uint8_t *data, size_t cap)
{
	if (cap == CHUNK_MAX)
		blank_give(data);
	else
		free(data);
}

static struct chunk *chunk_make(uint8_t *data, size_t cap)
{
	struct chunk *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	atomic_init(&c->refs, 1);
	c->data = data;
	c->cap = cap;
	atomic_fetch_add_explicit(&memory, cap, memory_order_relaxed);
	return c;
}

struct chunk *chunk_new(size_t cap)
{
	uint8_t *data;
	struct chunk *c;

	assert(cap <= CHUNK_MAX);
	data = buffer_new(cap);
	if (data == NULL)
		return NULL;
	c = chunk_make(data, cap);
	if (c == NULL)
		buffer_free(data, cap);
	return c;
}

bool chunk_grow(struct chunk *c, size_t cap)
{
	uint8_t *data;

	assert(c->release == NULL && cap >= c->cap && cap <= CHUNK_MAX);
	assert(atomic_load_explicit(&c->refs, memory_order_relaxed) == 1);
	data = buffer_new(cap);
	if (data == NULL)
		return false;
	memcpy(data, c->data, c->len);
	buffer_free(c->data, c->cap);
	atomic_fetch_add_explicit(&memory, cap - c->cap, memory_order_relaxed);
	c->data = data;
	c->cap = cap;
	return true;
}

struct chunk *chunk_wrap(const uint8_t *data, size_t len, void (*release)(struct chunk *),
			 void *owner)
{
	struct chunk *c = chunk_make((uint8_t *)(uintptr_t)data, len);

	if (c == NULL)
		return NULL;
	c->len = len;
	c->release = release;
	c->owner = owner;
	return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void chunk_unref(struct chunk *c)
{
	/* acq_rel: what others did with the bytes happens before they are freed */
	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	atomic_fetch_sub_explicit(&memory, c->cap, memory_order_relaxed);
	if (c->release != NULL)
		c->release(c);
	else
		buffer_free(c->data, c->cap);
	free(c);
}

size_t chunk_memory(void)
{
	return atomic_load_explicit(&memory, memory_order_relaxed);
}
