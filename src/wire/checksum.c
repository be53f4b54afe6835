#include "wire/checksum.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

enum err_code checksum_parse(struct sum_claim *out, const char *text, size_t n)
{
	const char *space = n > 0 ? memchr(text, ' ', n) : NULL;
	struct sum_claim claim = { 0 };
	size_t name_len, len;

	if (space == NULL || space == text)
		return ERR_INVALID;
	name_len = (size_t)(space - text);
	if (!sum_find(&claim.sum, text, name_len))
		return ERR_NOTFOUND;
	if (!base64_decode(claim.value, sum_size(claim.sum), &len, space + 1, n - name_len - 1) ||
	    len != sum_size(claim.sum))
		return ERR_INVALID;
	*out = claim;
	return ERR_OK;
}

void checksum_names(char out[static CHECKSUM_NAMES_SIZE])
{
	size_t at = 0;

	for (enum sum i = 0; i < SUM_COUNT; i++) {
		size_t len = strlen(sum_name(i));

		assert(at + 1 + len < CHECKSUM_NAMES_SIZE);
		if (i > 0)
			out[at++] = ',';
		memcpy(out + at, sum_name(i), len);
		at += len;
	}
	out[at] = '\0';
}
