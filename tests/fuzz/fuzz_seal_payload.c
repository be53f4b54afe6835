/* fuzz_seal_payload - the input says how long a plaintext is, in which pieces its container is
 * read, and what is done to the container before: it opens if nothing was, and otherwise gives
 * whole chunks from the plaintext's beginning and fails.
 *
 *   size (1 byte: of the table) | pieces (2) | changes of 4 bytes: what, where (2), how much */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/library/sealing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLAIN_MAX 131073
#define BUFFER_MAX ((size_t)3 * PLAIN_MAX)
#define CHANGES_MAX 8

static const size_t sizes[] = { 0, 1, 100, 65535, 65536, 65537, 131072, PLAIN_MAX };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t key[RESTANTE_KEY_SIZE], plain[PLAIN_MAX];

struct container {
	uint8_t b[BUFFER_MAX];
	size_t size;
};

static void flip(struct container *c, size_t at, uint8_t by)
{
	if (c->size > 0)
		c->b[at % c->size] ^= by;
}

static void cut(struct container *c, size_t at, uint8_t by)
{
	size_t n = (at / 256 + 1) * by;

	c->size -= n < c->size ? n : c->size;
}

static void append(struct container *c, size_t at, uint8_t by)
{
	size_t n = at < BUFFER_MAX - c->size ? at : BUFFER_MAX - c->size;

	memset(c->b + c->size, by, n);
	c->size += n;
}

/* `by` is two numbers of chunks. */
static void copy_chunk(struct container *c, size_t at, uint8_t by)
{
	size_t from = RESTANTE_HEAD_SIZE + (by & 15u) * RESTANTE_SEALED_CHUNK_SIZE;
	size_t to = RESTANTE_HEAD_SIZE + (by / 16u) * RESTANTE_SEALED_CHUNK_SIZE;
	size_t n = RESTANTE_SEALED_CHUNK_SIZE - at % 64;

	if (from + n > c->size || to + n > BUFFER_MAX)
		return;
	memmove(c->b + to, c->b + from, n);
	c->size = to + n > c->size ? to + n : c->size;
}

static void leave_out(struct container *c, size_t at, uint8_t by)
{
	size_t n = (size_t)by * 257;

	if (at > c->size || n > c->size - at)
		return;
	memmove(c->b + at, c->b + at + n, c->size - at - n);
	c->size -= n;
}

static void change(struct container *c, const uint8_t *input, size_t n)
{
	static void (*const changes[])(struct container *, size_t,
				       uint8_t) = { flip, cut, append, copy_chunk, leave_out };

	for (size_t i = 0; i + 4 <= n && i < (size_t)4 * CHANGES_MAX; i += 4)
		changes[input[i] % (sizeof(changes) / sizeof(changes[0]))](
			c, bytes_get_u16(input + i + 1), input[i + 3]);
}

static void check(struct bytes sealed, size_t plain_size, bool same, struct pieces pieces,
		  struct outcome *o)
{
	open_pieces(o, key, sealed, pieces);
	assert((o->code == RESTANTE_OK) == same);
	assert(same ? o->size == plain_size : o->size % RESTANTE_CHUNK_SIZE == 0);
	assert(o->size <= plain_size && memcmp(o->data, plain, o->size) == 0);
	free(o->data);
}

/* The container of a size: made once, as that takes longer than to open it. */
static struct bytes sealed_of(size_t choice)
{
	static struct outcome made[SIZES];

	memset(key, 0x42, sizeof(key));
	if (made[choice].data == NULL)
		seal_pieces(&made[choice], key, (struct bytes){ plain, sizes[choice] }, one_piece);
	return outcome_bytes(&made[choice]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct container c;
	struct outcome whole, in_pieces;
	struct bytes sealed;
	size_t plain_size;
	bool same;

	if (size < 3)
		return 0;
	plain_size = sizes[data[0] % SIZES];
	sealed = sealed_of(data[0] % SIZES);
	memcpy(c.b, sealed.data, sealed.len);
	c.size = sealed.len;
	change(&c, data + 3, size - 3);
	same = c.size == sealed.len && memcmp(c.b, sealed.data, c.size) == 0;

	check((struct bytes){ c.b, c.size }, plain_size, same, one_piece, &whole);
	check((struct bytes){ c.b, c.size }, plain_size, same,
	      (struct pieces){ (size_t)2000 + 16 * bytes_get_u16(data + 1), 1 + data[0] },
	      &in_pieces);
	assert(whole.code == in_pieces.code && whole.size == in_pieces.size);
	return 0;
}
