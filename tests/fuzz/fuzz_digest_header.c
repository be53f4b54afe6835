/* fuzz_digest_header - the input is a Repr-Digest field. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "wire/digest_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct digest untouched = { "not written unless found......." };

static enum digest_header_result parse(struct digest *out, const char *text, size_t n)
{
	enum digest_header_result rc;

	*out = untouched;
	rc = digest_header_parse(out, text, n);
	assert(rc == DIGEST_HEADER_FOUND || digest_equal(out, &untouched));
	return rc;
}

/* What is found, written down, is found again. */
static void check_again(const struct digest *d)
{
	char text[DIGEST_HEADER_SIZE];
	struct digest again;

	digest_header_format(text, d);
	assert(strlen(text) == DIGEST_HEADER_SIZE - 1);
	assert(parse(&again, text, strlen(text)) == DIGEST_HEADER_FOUND);
	assert(digest_equal(&again, d));
}

/* The field between two texts gives `want`, and the same digest if that is FOUND. */
static void check_between(const char *before, const char *text, size_t n, const char *after,
			  enum digest_header_result want, const struct digest *d)
{
	size_t head = strlen(before), tail = strlen(after);
	char *whole = malloc(head + n + tail);
	struct digest again;

	assert(whole != NULL);
	memcpy(whole, before, head);
	memcpy(whole + head, text, n);
	memcpy(whole + head + n, after, tail);
	assert(parse(&again, whole, head + n + tail) == want);
	assert(want != DIGEST_HEADER_FOUND || digest_equal(&again, d));
	free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct digest d;

	if (parse(&d, text, size) != DIGEST_HEADER_FOUND)
		return 0;
	check_again(&d);
	check_between("md5=:AAAA:;q=1,", text, size, "", DIGEST_HEADER_FOUND, &d);
	check_between(" ", text, size, " , unixsum=30637", DIGEST_HEADER_FOUND, &d);
	check_between("", text, size, ", sha-256=?1", DIGEST_HEADER_BAD, NULL);
	check_between("", text, size, ",", DIGEST_HEADER_BAD, NULL);
	return 0;
}
