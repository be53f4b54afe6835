/* fuzz_metadata - the input is an Upload-Metadata field. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "wire/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code parse(struct metadata *out, const char *text, size_t n)
{
	enum err_code rc;

	out->count = SIZE_MAX;
	rc = metadata_parse(out, text, n);
	assert(rc == ERR_OK || rc == ERR_INVALID || rc == ERR_TOOBIG);
	assert(rc == ERR_OK || out->count == SIZE_MAX);
	return rc;
}

static bool is_within(const char *p, size_t len, const char *text, size_t n)
{
	return p >= text && len <= n && (size_t)(p - text) <= n - len;
}

static void check_key(const struct metadata *m, size_t i)
{
	const struct metadata_pair *p = &m->pairs[i];

	assert(p->key_len > 0);
	for (size_t k = 0; k < p->key_len; k++)
		assert(p->key[k] > ' ' && p->key[k] <= '~' && p->key[k] != ',');
	for (size_t k = 0; k < i; k++)
		assert(p->key_len != m->pairs[k].key_len ||
		       memcmp(p->key, m->pairs[k].key, p->key_len) != 0);
}

/* Pairs follow each other, and nothing but spaces and one comma is between them. */
static void check_gap(const char *from, const char *to, size_t commas)
{
	assert(from <= to);
	for (; from < to; from++) {
		assert(*from == ' ' || *from == ',');
		commas -= *from == ',';
	}
	assert(commas == 0);
}

static void check_layout(const struct metadata *m, const char *text, size_t n)
{
	const char *at = text;

	assert(m->count <= METADATA_PAIRS_MAX && (m->count == 0) == (n == 0));
	for (size_t i = 0; i < m->count; i++) {
		const struct metadata_pair *p = &m->pairs[i];

		assert(is_within(p->key, p->key_len, text, n));
		assert(is_within(p->value, p->value_len, text, n));
		check_key(m, i);
		check_gap(at, p->key, i > 0);
		check_gap(p->key + p->key_len, p->value, 0);
		assert(p->value - p->key - (ptrdiff_t)p->key_len <= 1);
		at = p->value + p->value_len;
	}
	check_gap(at, text + n, 0);
}

/* The value, encoded from what metadata_get() has decoded, is the text that was sent. */
static void check_value(const struct metadata *m, const struct metadata_pair *p)
{
	size_t room = p->value_len + 1, len;
	char *key = strndup(p->key, p->key_len), *value = malloc(room), *again = malloc(room);
	bool there = false;

	assert(key != NULL && value != NULL && again != NULL);
	if (metadata_get(m, key, value, room, &there)) {
		len = strlen(value);
		assert(BASE64_LEN(len) == p->value_len);
		base64_encode(again, (uint8_t *)value, len);
		assert(memcmp(again, p->value, p->value_len) == 0);
		assert(metadata_get(m, key, value, len + 1, NULL));
		assert(len == 0 || !metadata_get(m, key, value, len, NULL));
	}
	assert(there);
	free(key);
	free(value);
	free(again);
}

/* Written down plainly, the same pairs come back in the same order. */
static void check_again(const struct metadata *m, size_t n)
{
	char *text = malloc(n + 2 * METADATA_PAIRS_MAX + 1), *at = text;
	static struct metadata again;

	assert(text != NULL);
	for (size_t i = 0; i < m->count; i++) {
		const struct metadata_pair *p = &m->pairs[i];

		if (i > 0)
			*at++ = ',';
		at = (char *)mempcpy(at, p->key, p->key_len);
		*at++ = ' ';
		at = (char *)mempcpy(at, p->value, p->value_len);
	}
	assert(parse(&again, text, (size_t)(at - text)) == ERR_OK);
	assert(again.count == m->count);
	for (size_t i = 0; i < m->count; i++) {
		const struct metadata_pair *a = &again.pairs[i], *p = &m->pairs[i];

		assert(a->key_len == p->key_len && a->value_len == p->value_len);
		assert(memcmp(a->key, p->key, p->key_len) == 0);
		assert(memcmp(a->value, p->value, p->value_len) == 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	static struct metadata m;

	if (sodium_init() < 0 || parse(&m, text, size) != ERR_OK)
		return 0;
	check_layout(&m, text, size);
	for (size_t i = 0; i < m.count; i++)
		check_value(&m, &m.pairs[i]);
	check_again(&m, size);
	return 0;
}
