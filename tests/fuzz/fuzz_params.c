/* fuzz_params - the input is the query part of a request target. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wire/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, const char *end)
{
	for (; *text != '\0'; text++) {
		assert(text < end);
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
	}
}

/* Pairs are bounded, printable, and each found by its own name. */
static void check_pairs(const struct query *q)
{
	assert(q->count <= QUERY_PAIRS_MAX);
	for (size_t i = 0; i < q->count; i++) {
		const char *name = q->pairs[i].name, *value = q->pairs[i].value;

		check_text(name, name + sizeof(q->pairs[i].name) - 1);
		check_text(value, value + QUERY_VALUE_MAX);
		assert(name[0] != '\0' && query_get(q, name) == value);
	}
}

static size_t escape(char *out, const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += (size_t)sprintf(out + n, "%%%02X", (unsigned char)*text);
	return n;
}

/* The same pairs with every character escaped read the same. */
static void check_again(const struct query *q)
{
	static char text[QUERY_PAIRS_MAX * 3 * (32 + QUERY_VALUE_MAX + 2)];
	static struct query again;
	size_t n = 0;

	for (size_t i = 0; i < q->count; i++) {
		if (i > 0)
			text[n++] = '&';
		n += escape(text + n, q->pairs[i].name);
		text[n++] = '=';
		n += escape(text + n, q->pairs[i].value);
	}
	assert(query_parse(&again, text, n) == ERR_OK);
	assert(again.count == q->count);
	for (size_t i = 0; i < q->count; i++) {
		assert(strcmp(again.pairs[i].name, q->pairs[i].name) == 0);
		assert(strcmp(again.pairs[i].value, q->pairs[i].value) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct query q;
	enum err_code rc;

	q.count = SIZE_MAX;
	rc = query_parse(&q, (const char *)data, size);
	assert(rc == ERR_OK || rc == ERR_INVALID || rc == ERR_TOOBIG);
	assert(rc == ERR_OK || q.count == SIZE_MAX);
	if (rc != ERR_OK)
		return 0;
	check_pairs(&q);
	check_again(&q);
	return 0;
}
