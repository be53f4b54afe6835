/* parts - how the sealed bytes of a large upload are cut into uploads of their own, and the words
 * that put them together (tus 1.0.0, "Concatenation"). Pure; any thread. */
#ifndef RESTANTE_CLIENT_PARTS_H
#define RESTANTE_CLIENT_PARTS_H

#include <stdint.h>

#define PARTS_MAX 16

/* In how many parts `size` sealed bytes are sent, if that many are wanted (0: as many as are
 * good). At least 1, and each part has at least a whole sealed chunk. */
unsigned parts_count(unsigned wanted, uint64_t size);

/* Where part `index` begins; of index == count, the end. Cuts lie between chunks, so that none is
 * sealed twice. */
uint64_t parts_begin(uint64_t size, unsigned count, unsigned index);

/* The value of Upload-Concat for a final of these, malloc'd; NULL: out of memory. Of an address
 * only what is behind the server is said. */
char *parts_final(const char *const urls[], unsigned count);

#endif
