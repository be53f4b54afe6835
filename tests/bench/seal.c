/* seal KEYFILE - seals standard input for the key (a file of age-keygen) to standard output; with
 * -d opens it. What a program that links librestante would write. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restante/seal.h"

#define IN_SIZE ((size_t)1 << 20)
#define OUT_SIZE (IN_SIZE + IN_SIZE / 16)

static void die(const char *why)
{
	fprintf(stderr, "seal: %s\n", why);
	exit(1);
}

static void check(enum restante_code rc, const struct restante_error *e)
{
	if (rc != RESTANTE_OK)
		die(e->detail);
}

static void read_key(uint8_t key[RESTANTE_KEY_SIZE], const char *path)
{
	struct restante_error e;
	char line[256];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		die("the key file cannot be read");
	do {
		if (fgets(line, sizeof(line), f) == NULL)
			die("no key in the file");
	} while (line[0] == '#');
	fclose(f);
	check(restante_key_parse(key, line, strcspn(line, "\n"), &e), &e);
}

/* Until the block is full or the input has ended. */
static size_t read_block(uint8_t *block)
{
	size_t n = 0;

	for (ssize_t got = 1; n < IN_SIZE && got > 0;) {
		got = read(STDIN_FILENO, block + n, IN_SIZE - n);
		if (got < 0)
			die("read failed");
		n += (size_t)got;
	}
	return n;
}

static void write_all(const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t put = write(STDOUT_FILENO, data, n);

		if (put < 0)
			die("write failed");
		data += put;
		n -= (size_t)put;
	}
}

/* One of the two is given. */
static bool run(struct restante_sealer *sealer, struct restante_opener *opener, const uint8_t *in,
		size_t *n, bool last)
{
	static uint8_t out[OUT_SIZE];
	struct restante_error e;
	size_t taken, given;
	bool done;

	if (sealer != NULL)
		check(restante_sealer_run(sealer, in, *n, last, &taken, out, sizeof(out), &given,
					  &done, &e),
		      &e);
	else
		check(restante_opener_run(opener, in, *n, last, &taken, out, sizeof(out), &given,
					  &done, &e),
		      &e);
	write_all(out, given);
	*n -= taken;
	return done;
}

int main(int argc, char **argv)
{
	static uint8_t block[IN_SIZE];
	struct restante_sealer *sealer = NULL;
	struct restante_opener *opener = NULL;
	struct restante_error e;
	uint8_t key[RESTANTE_KEY_SIZE];
	bool open = argc > 1 && strcmp(argv[1], "-d") == 0, done = false;

	if (argc != (open ? 3 : 2))
		die("usage: seal [-d] KEYFILE");
	read_key(key, argv[argc - 1]);
	check(open ? restante_opener_new(&opener, key, &e) : restante_sealer_new(&sealer, key, &e),
	      &e);
	while (!done) {
		size_t n = read_block(block), left = n;

		while (!done) {
			done = run(sealer, opener, block + n - left, &left, n < IN_SIZE);
			if (left == 0 && n == IN_SIZE)
				break;
		}
	}
	restante_sealer_free(sealer);
	restante_opener_free(opener);
	return 0;
}
