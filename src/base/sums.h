/* sums - the digests by which a client may have the bytes of one request checked, by the names that
 * Upload-Checksum has for them (tus 1.0.0, "Checksum"). md5, sha1, sha256, sha512 by nettle; crc32c
 * by base/crc32c.h, its highest byte first, as Google's and Amazon's stores have it (RFC 3720
 * appendix B.4 prints the lowest byte first). A struct sums belongs to one thread at a time. */
#ifndef RESTANTE_BASE_SUMS_H
#define RESTANTE_BASE_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "base/bytes.h"

enum sum { SUM_SHA1, SUM_SHA256, SUM_SHA512, SUM_MD5, SUM_CRC32C, SUM_COUNT };

#define SUM_SIZE_MAX 64
#define SUM_BIT(s) (1u << (s))
#define SUM_ALL ((1u << SUM_COUNT) - 1)

/* What the bytes are said to have. */
struct sum_claim {
	enum sum sum;
	uint8_t value[SUM_SIZE_MAX]; /* of it sum_size() bytes */
};

struct sums {
	unsigned wanted; /* SUM_BIT of each */
	struct sha1_ctx sha1;
	struct sha256_ctx sha256;
	struct sha512_ctx sha512;
	struct md5_ctx md5;
	uint32_t crc32c;
};

const char *sum_name(enum sum s); /* "sha1" */
size_t sum_size(enum sum s);      /* bytes */

/* Finds a sum by its name; names are lower-case. False: not known, and *out is as it was. */
bool sum_find(enum sum *out, const char *name, size_t n);

/* Starts the wanted ones at no bytes; s holds no memory and needs no end. */
void sums_init(struct sums *s, unsigned wanted);

void sums_update(struct sums *s, struct bytes data);

/* Whether the bytes so far have it. Asked once per sum and only of wanted ones: it ends that one,
 * which is then no longer wanted; the others can go on. */
bool sums_match(struct sums *s, const struct sum_claim *c);

#endif
