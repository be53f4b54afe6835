/* replay - runs a fuzz target over files without libFuzzer: each file as it is, and then with
 * FUZZ_MUTATIONS (environment, default 1000) small changes, the same ones on every run. Prints
 * nothing but errors; a target that finds a broken promise aborts. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t b[INPUT_MAX];
	size_t size;
};

/* xorshift64 (Marsaglia): all that is asked of it is to be the same everywhere. */
static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static size_t below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return n > 0 ? (size_t)(seed % n) : 0;
}

static void set_byte(struct input *in)
{
	static const char telling[] = "\0\xff\x80\x7f 09-+,;:=%&\"\\*/()@?\t\r\nAa_~";

	if (in->size > 0)
		in->b[below(in->size)] = (uint8_t)telling[below(sizeof(telling))];
}

static void flip_bit(struct input *in)
{
	if (in->size > 0)
		in->b[below(in->size)] ^= (uint8_t)(1u << below(8));
}

static void cut(struct input *in)
{
	size_t from = below(in->size), n = 1 + below(8);

	if (n > in->size - from)
		n = in->size - from;
	memmove(in->b + from, in->b + from + n, in->size - from - n);
	in->size -= n;
}

static void repeat(struct input *in)
{
	size_t from = below(in->size), n = 1 + below(16);

	if (n > in->size - from)
		n = in->size - from;
	if (n > INPUT_MAX - in->size)
		return;
	memmove(in->b + from + n, in->b + from, in->size - from);
	in->size += n;
}

static void truncate_end(struct input *in)
{
	in->size = below(in->size + 1);
}

static void mutate(struct input *in)
{
	static void (*const changes[])(struct input *) = { set_byte, flip_bit, cut,
							   repeat,   set_byte, truncate_end };

	for (size_t n = 1 + below(4); n > 0; n--)
		changes[below(sizeof(changes) / sizeof(changes[0]))](in);
}

/* From memory of just that size, so that a sanitizer sees the first byte read behind it. */
static void run(const struct input *in)
{
	uint8_t *copy = malloc(in->size > 0 ? in->size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, in->b, in->size);
	(void)LLVMFuzzerTestOneInput(copy, in->size);
	free(copy);
}

static bool load(struct input *in, const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL) {
		perror(path);
		return false;
	}
	in->size = fread(in->b, 1, sizeof(in->b), f);
	fclose(f);
	return true;
}

int main(int argc, char **argv)
{
	static struct input file, changed;
	const char *wish = getenv("FUZZ_MUTATIONS");
	long mutations = wish != NULL ? atol(wish) : 1000;

	for (int i = 1; i < argc; i++) {
		if (!load(&file, argv[i]))
			return 1;
		run(&file);
		for (long m = 0; m < mutations; m++) {
			memcpy(changed.b, file.b, file.size);
			changed.size = file.size;
			mutate(&changed);
			run(&changed);
		}
	}
	return 0;
}
