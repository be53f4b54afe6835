/* copy_rate - MB/s (10^6 bytes) that one core copies from memory to memory, of 256 MiB in blocks of
 * 1 MiB: more than caches hold. */
#include "dial.h"

#define SIZE ((size_t)256 << 20)
#define BLOCK ((size_t)1 << 20)

int main(void)
{
	char *from = malloc(SIZE), *to = malloc(SIZE);
	double began, bytes = 0;

	if (from == NULL || to == NULL)
		die("malloc");
	memset(from, 1, SIZE);
	memset(to, 2, SIZE);
	began = now_s();
	while (now_s() < began + 1)
		for (size_t i = 0; i < SIZE; i += BLOCK, bytes += (double)BLOCK) {
			memcpy(to + i, from + i, BLOCK);
			__asm__ volatile("" : : "r"(to + i) : "memory");
		}
	printf("%.6g\n", bytes / 1e6 / (now_s() - began));
	free(from);
	free(to);
	return 0;
}
