#include "wire/token.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "base/bytes.h"
#include "base/text.h"

#define TAG_BYTES 16
#define UPLOAD_AT 2
#define NOT_AFTER_AT 18
#define HEAD_BYTES 22

#define CAVEAT_NOT_AFTER 0x01
#define CAVEAT_RECIPIENT 0x02

_Static_assert(TOKEN_PLAIN_BYTES == HEAD_BYTES + TAG_BYTES, "layout of a token");
_Static_assert(TOKEN_PLAIN_CHARS == BASE64URL_LEN(TOKEN_PLAIN_BYTES), "length of a plain token");
_Static_assert(TOKEN_TEXT_SIZE == BASE64URL_LEN(TOKEN_MAX_BYTES) + 1, "length of any token");

/* A token by its layout: head, caveats, tag. Nothing in it is to be believed yet. */
struct raw {
	uint8_t b[TOKEN_MAX_BYTES];
	size_t tag_at; /* where the caveats end and the tag begins */
	unsigned caveats;
};

static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES + 1] = "restante.token.1";

static void hash(uint8_t tag[static TAG_BYTES], const uint8_t *key, size_t key_len,
		 const uint8_t *part, size_t len)
{
	int rc = crypto_generichash_blake2b_salt_personal(tag, TAG_BYTES, part, len, key, key_len,
							  NULL, personal);

	assert(rc == 0);
}

/* The tag before a caveat is the key under which the caveat is hashed. */
static void chain(uint8_t tag[static TAG_BYTES], const uint8_t *caveat, size_t len)
{
	uint8_t next[TAG_BYTES];

	hash(next, tag, TAG_BYTES, caveat, len);
	memcpy(tag, next, TAG_BYTES);
	sodium_memzero(next, sizeof(next));
}

static bool is_type(unsigned v)
{
	return v == TOKEN_FETCH || v == TOKEN_MANAGE || v == TOKEN_UPLOAD;
}

void token_mint(char out[static TOKEN_PLAIN_CHARS + 1], const struct token *t,
		const uint8_t key[static TOKEN_KEYBYTES])
{
	uint8_t b[TOKEN_PLAIN_BYTES];

	assert(is_type(t->type));
	b[0] = (uint8_t)t->type;
	b[1] = t->key_id;
	memcpy(b + UPLOAD_AT, t->upload.b, sizeof(t->upload.b));
	bytes_put_u32(b + NOT_AFTER_AT, t->not_after);
	hash(b + HEAD_BYTES, key, TOKEN_KEYBYTES, b, HEAD_BYTES);
	base64url_encode(out, b, sizeof(b));
	sodium_memzero(b, sizeof(b));
}

/* ---- layout -----------------------------------------------------------------------------------
 */

static size_t caveat_len(uint8_t kind)
{
	switch (kind) {
	case CAVEAT_NOT_AFTER:
		return 1 + 4;
	case CAVEAT_RECIPIENT:
		return 1 + 2;
	default:
		return 0;
	}
}

/* Whether whole caveats, and not too many, fill the room between head and tag. */
static bool count_caveats(struct raw *r)
{
	size_t at = HEAD_BYTES;

	for (r->caveats = 0; at < r->tag_at; r->caveats++) {
		size_t len = caveat_len(r->b[at]);

		if (len == 0 || len > r->tag_at - at || r->caveats == TOKEN_CAVEATS_MAX)
			return false;
		at += len;
	}
	return true;
}

static bool raw_read(struct raw *r, const char *text, size_t n)
{
	size_t len;

	if (!base64url_decode(r->b, sizeof(r->b), &len, text, n) || len < TOKEN_PLAIN_BYTES)
		return false;
	r->tag_at = len - TAG_BYTES;
	return is_type(r->b[0]) && count_caveats(r);
}

static void apply_caveat(struct token *t, const uint8_t *caveat)
{
	if (caveat[0] == CAVEAT_RECIPIENT) {
		t->recipients[t->recipient_count++] = bytes_get_u16(caveat + 1);
		return;
	}
	if (bytes_get_u32(caveat + 1) < t->not_after)
		t->not_after = bytes_get_u32(caveat + 1);
}

static void read_fields(struct token *t, const struct raw *r)
{
	memset(t, 0, sizeof(*t));
	t->type = r->b[0];
	t->key_id = r->b[1];
	memcpy(t->upload.b, r->b + UPLOAD_AT, sizeof(t->upload.b));
	t->not_after = bytes_get_u32(r->b + NOT_AFTER_AT);
	t->caveat_count = (uint8_t)r->caveats;
	for (size_t at = HEAD_BYTES; at < r->tag_at; at += caveat_len(r->b[at]))
		apply_caveat(t, r->b + at);
}

enum err_code token_read(struct token *out, const char *text, size_t n)
{
	struct raw r;

	if (!raw_read(&r, text, n))
		return ERR_INVALID;
	read_fields(out, &r);
	sodium_memzero(&r, sizeof(r)); /* to a client the tag is a secret */
	return ERR_OK;
}

/* ---- verifying --------------------------------------------------------------------------------
 */

static bool tag_matches(const struct raw *r, const uint8_t key[static TOKEN_KEYBYTES])
{
	uint8_t tag[TAG_BYTES];
	bool same;

	hash(tag, key, TOKEN_KEYBYTES, r->b, HEAD_BYTES);
	for (size_t at = HEAD_BYTES; at < r->tag_at; at += caveat_len(r->b[at]))
		chain(tag, r->b + at, caveat_len(r->b[at]));
	same = sodium_memcmp(tag, r->b + r->tag_at, TAG_BYTES) == 0;
	sodium_memzero(tag, sizeof(tag));
	return same;
}

enum err_code token_verify(struct token *out, const char *text, size_t n, enum token_type want,
			   int64_t now, token_key_lookup *keys, const void *ctx)
{
	const uint8_t *key;
	struct token t;
	struct raw r;

	if (!raw_read(&r, text, n) || r.b[0] != want)
		return ERR_INVALID;
	key = keys(ctx, r.b[1]);
	if (key == NULL)
		return ERR_NOTFOUND;
	if (!tag_matches(&r, key))
		return ERR_FORGED;
	read_fields(&t, &r);
	if (now > t.not_after)
		return ERR_EXPIRED;
	*out = t;
	return ERR_OK;
}

/* ---- narrowing --------------------------------------------------------------------------------
 */

static enum err_code narrow(char out[static TOKEN_TEXT_SIZE], const char *text, size_t n,
			    const uint8_t *caveat, size_t len)
{
	uint8_t tag[TAG_BYTES];
	struct raw r;

	if (!raw_read(&r, text, n))
		return ERR_INVALID;
	if (r.caveats == TOKEN_CAVEATS_MAX)
		return ERR_TOOBIG;
	memcpy(tag, r.b + r.tag_at, TAG_BYTES);
	chain(tag, caveat, len);
	memcpy(r.b + r.tag_at, caveat, len);
	memcpy(r.b + r.tag_at + len, tag, TAG_BYTES);
	base64url_encode(out, r.b, r.tag_at + len + TAG_BYTES);
	sodium_memzero(&r, sizeof(r)); /* the wider token's tag was in here */
	return ERR_OK;
}

enum err_code token_narrow_time(char out[static TOKEN_TEXT_SIZE], const char *text, size_t n,
				uint32_t not_after)
{
	uint8_t caveat[1 + 4] = { CAVEAT_NOT_AFTER };

	bytes_put_u32(caveat + 1, not_after);
	return narrow(out, text, n, caveat, sizeof(caveat));
}

enum err_code token_narrow_recipient(char out[static TOKEN_TEXT_SIZE], const char *text, size_t n,
				     uint16_t recipient)
{
	uint8_t caveat[1 + 2] = { CAVEAT_RECIPIENT };

	bytes_put_u16(caveat + 1, recipient);
	return narrow(out, text, n, caveat, sizeof(caveat));
}
