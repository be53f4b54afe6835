#include "client/parts.h"

#include <stdlib.h>
#include <string.h>

#include "restante/seal.h"

#define LARGE (UINT64_C(256) << 20) /* from here on several parts are good */
#define GOOD 4

unsigned parts_count(unsigned wanted, uint64_t size)
{
	const uint64_t chunks = size / RESTANTE_SEALED_CHUNK_SIZE;
	unsigned count = wanted;

	if (wanted == 0)
		count = size >= LARGE ? GOOD : 1;
	if (count > PARTS_MAX)
		count = PARTS_MAX;
	if (count > chunks)
		count = (unsigned)chunks;
	return count > 1 ? count : 1;
}

uint64_t parts_begin(uint64_t size, unsigned count, unsigned index)
{
	const uint64_t chunks = size / RESTANTE_SEALED_CHUNK_SIZE;

	if (index == 0)
		return 0;
	if (index == count)
		return size;
	return RESTANTE_HEAD_SIZE + chunks * index / count * RESTANTE_SEALED_CHUNK_SIZE;
}

/* The path of an absolute address. */
static const char *path_of(const char *url)
{
	const char *authority = strstr(url, "://");
	const char *path = authority != NULL ? strchr(authority + 3, '/') : NULL;

	return path != NULL ? path : url;
}

char *parts_final(const char *const urls[], unsigned count)
{
	size_t size = sizeof("final;");
	char *out, *p;
	unsigned i;

	for (i = 0; i < count; i++)
		size += strlen(path_of(urls[i])) + 1;
	out = malloc(size);
	if (out == NULL)
		return NULL;
	p = stpcpy(out, "final;");
	for (i = 0; i < count; i++) {
		if (i > 0)
			*p++ = ' ';
		p = stpcpy(p, path_of(urls[i]));
	}
	return out;
}
