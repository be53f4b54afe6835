/* ids - the two names things have: an upload by 16 random bytes, a blob by the SHA-256 of what is
 * in it. */
#ifndef RESTANTE_BASE_IDS_H
#define RESTANTE_BASE_IDS_H

#include <stdint.h>

struct upload_id {
	uint8_t b[16];
};

struct digest {
	uint8_t b[32];
};

#endif
