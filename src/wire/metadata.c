#include "wire/metadata.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

/* Base64 characters decoded at a time where only their form matters. */
#define PIECE 64

static bool same_key(const struct metadata_pair *p, const char *key, size_t len)
{
	return p->key_len == len && memcmp(p->key, key, len) == 0;
}

static const struct metadata_pair *find(const struct metadata *m, const char *key, size_t len)
{
	for (size_t i = 0; i < m->count; i++) {
		if (same_key(&m->pairs[i], key, len))
			return &m->pairs[i];
	}
	return NULL;
}

/* Commas have ended it before. */
static bool is_key(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return false;
	}
	return n > 0;
}

/* However long it is; padding may stand in the last piece only. */
static bool is_base64(const char *text, size_t n)
{
	uint8_t raw[PIECE / 4 * 3];
	size_t len;

	for (; n > PIECE; text += PIECE, n -= PIECE) {
		if (!base64_decode(raw, sizeof(raw), &len, text, PIECE) || len != sizeof(raw))
			return false;
	}
	return base64_decode(raw, sizeof(raw), &len, text, n);
}

/* Of what base64_decode() takes. */
static size_t decoded_size(const struct metadata_pair *p)
{
	size_t n = p->value_len;

	if (n == 0)
		return 0;
	return n / 4 * 3 - (p->value[n - 1] == '=') - (p->value[n - 2] == '=');
}

/* A key, and behind one space its value. */
static enum err_code add_pair(struct metadata *m, const char *text, size_t n)
{
	const char *space = memchr(text, ' ', n);
	struct metadata_pair p = { text, text + n, n, 0 };

	if (space != NULL) {
		p.key_len = (size_t)(space - text);
		p.value = space + 1;
		p.value_len = n - p.key_len - 1;
	}
	if (!is_key(p.key, p.key_len) || !is_base64(p.value, p.value_len) ||
	    find(m, p.key, p.key_len) != NULL)
		return ERR_INVALID;
	if (m->count == METADATA_PAIRS_MAX)
		return ERR_TOOBIG;
	m->pairs[m->count++] = p;
	return ERR_OK;
}

static size_t without_spaces_behind(const char *text, size_t n)
{
	while (n > 0 && text[n - 1] == ' ')
		n--;
	return n;
}

static size_t spaces_in_front(const char *text, size_t n)
{
	size_t spaces = 0;

	while (spaces < n && text[spaces] == ' ')
		spaces++;
	return spaces;
}

enum err_code metadata_parse(struct metadata *out, const char *text, size_t n)
{
	struct metadata m = { 0 };
	bool more = n > 0;

	while (more) {
		const char *comma = memchr(text, ',', n);
		size_t used = comma != NULL ? (size_t)(comma - text) : n;
		enum err_code rc;

		rc = add_pair(&m, text, comma != NULL ? without_spaces_behind(text, used) : n);
		if (rc != ERR_OK)
			return rc;
		more = comma != NULL; /* an empty pair behind it is for add_pair() to refuse */
		if (more) {
			used += 1 + spaces_in_front(comma + 1, n - used - 1);
			text += used;
			n -= used;
		}
	}
	*out = m;
	return ERR_OK;
}

bool metadata_get(const struct metadata *m, const char *key, char *out, size_t size, bool *there)
{
	const struct metadata_pair *p = find(m, key, strlen(key));
	size_t len;
	bool ok;

	assert(size > 0);
	if (there != NULL)
		*there = p != NULL;
	if (p == NULL || decoded_size(p) > size - 1)
		return false;
	ok = base64_decode((uint8_t *)out, size - 1, &len, p->value, p->value_len);
	assert(ok && len == decoded_size(p)); /* metadata_parse() has looked */
	out[len] = '\0';
	return memchr(out, '\0', len) == NULL;
}
