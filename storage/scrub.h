/* scrub - reads every blob back and hashes it against its name. One thread; the store may be in
 * use meanwhile. */
#ifndef RESTANTE_STORAGE_SCRUB_H
#define RESTANTE_STORAGE_SCRUB_H

#include "storage/store.h"

struct scrub_result {
	uint64_t blobs, bytes, damaged;
};

/* Called for each damaged blob, with the reason. */
typedef void scrub_report(void *ctx, const struct digest *blob, const char *why);

/* ERR_OK whether or not blobs are damaged; other codes only if it could not go on. A blob dropped
 * meanwhile is not damaged. */
enum err_code scrub(struct store *s, scrub_report *report, void *ctx, struct scrub_result *out,
		    struct err *e);

#endif
