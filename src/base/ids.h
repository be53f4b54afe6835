/* ids - the names things have: an upload by 16 random bytes, a blob by the SHA-256 of what is in
 * it, and a bucket, against which quotas count, by a hash of its name. */
#ifndef RESTANTE_BASE_IDS_H
#define RESTANTE_BASE_IDS_H

#include <stdint.h>

struct upload_id {
	uint8_t b[16];
};

struct bucket_id {
	uint8_t b[16]; /* all zero: none */
};

struct digest {
	uint8_t b[32];
};

#endif
