/* fuzz_token - the input as a token of a stranger, and as the recipe for one of our own. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "base/bytes.h"
#include "base/text.h"
#include "wire/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum token_type types[] = { TOKEN_FETCH, TOKEN_MANAGE, TOKEN_UPLOAD };
static const uint8_t key[TOKEN_KEYBYTES] = "the one key of this fuzz target";

static const uint8_t *find_key(const void *ctx, uint8_t key_id)
{
	(void)ctx;
	return key_id < 128 ? key : NULL;
}

static enum err_code verify(struct token *out, const char *text, size_t n, enum token_type want)
{
	return token_verify(out, text, n, want, 0, find_key, NULL);
}

/* A token has one spelling: whatever decodes encodes to the same. */
static void check_spelling(const char *text, size_t n)
{
	char again[TOKEN_TEXT_SIZE];
	uint8_t raw[TOKEN_MAX_BYTES];
	size_t len;

	if (!base64url_decode(raw, sizeof(raw), &len, text, n))
		return;
	base64url_encode(again, raw, len);
	assert(strlen(again) == n && memcmp(again, text, n) == 0);
}

/* Narrowing and verifying agree on what a token looks like: one type takes it, or none. */
static void check_stranger(const char *text, size_t n)
{
	char narrower[TOKEN_TEXT_SIZE];
	bool is_token = token_narrow_recipient(narrower, text, n, 7) != ERR_INVALID;
	struct token t;
	int taken = 0;

	for (size_t i = 0; i < 3; i++)
		taken += verify(&t, text, n, types[i]) != ERR_INVALID;
	assert(taken == is_token);
	check_spelling(text, n);
}

struct recipe {
	struct bytes left;
	struct token token; /* what verifying has to report */
	char text[TOKEN_TEXT_SIZE];
	int caveats;
};

static uint32_t next_u32(struct recipe *r)
{
	uint8_t b[4] = { 0 };
	size_t n = r->left.len < 4 ? r->left.len : 4;

	memcpy(b, r->left.data, n);
	r->left.data += n;
	r->left.len -= n;
	return bytes_get_u32(b);
}

static void mint(struct recipe *r)
{
	r->token.type = types[next_u32(r) % 3];
	r->token.key_id = (uint8_t)(next_u32(r) % 128);
	r->token.not_after = next_u32(r);
	for (size_t i = 0; i < sizeof(r->token.upload.b); i += 4)
		bytes_put_u32(r->token.upload.b + i, next_u32(r));
	token_mint(r->text, &r->token, key);
}

static enum err_code narrow_time(struct recipe *r)
{
	uint32_t t = next_u32(r);
	enum err_code rc = token_narrow_time(r->text, r->text, strlen(r->text), t);

	if (rc == ERR_OK && t < r->token.not_after)
		r->token.not_after = t;
	return rc;
}

static enum err_code narrow_recipient(struct recipe *r)
{
	uint16_t who = (uint16_t)next_u32(r);
	enum err_code rc = token_narrow_recipient(r->text, r->text, strlen(r->text), who);

	if (rc == ERR_OK)
		r->token.recipients[r->token.recipient_count++] = who;
	return rc;
}

static void add_caveat(struct recipe *r)
{
	enum err_code rc = next_u32(r) % 2 == 0 ? narrow_time(r) : narrow_recipient(r);

	assert(rc == (r->caveats < TOKEN_CAVEATS_MAX ? ERR_OK : ERR_TOOBIG));
	r->caveats += rc == ERR_OK;
}

static void check_fields(const struct recipe *r)
{
	struct token t;

	assert(verify(&t, r->text, strlen(r->text), r->token.type) == ERR_OK);
	assert(t.type == r->token.type && t.key_id == r->token.key_id);
	assert(memcmp(t.upload.b, r->token.upload.b, sizeof(t.upload.b)) == 0);
	assert(t.not_after == r->token.not_after);
	assert(t.recipient_count == r->token.recipient_count);
	assert(memcmp(t.recipients, r->token.recipients, sizeof(t.recipients)) == 0);
	assert(token_verify(&t, r->text, strlen(r->text), t.type, (int64_t)t.not_after + 1,
			    find_key, NULL) == ERR_EXPIRED);
}

/* Any other character anywhere, and it is no longer ours. */
static void check_damage(const struct recipe *r, uint32_t where, uint8_t flip)
{
	char text[TOKEN_TEXT_SIZE];
	size_t n = strlen(r->text);
	struct token t;

	memcpy(text, r->text, n + 1);
	text[where % n] = (char)(text[where % n] ^ flip);
	for (size_t i = 0; i < 3 && flip != 0; i++)
		assert(verify(&t, text, n, types[i]) != ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recipe r = { .left = { data, size } };
	uint32_t where;

	if (sodium_init() < 0 || size == 0)
		return 0;
	check_stranger((const char *)data, size);
	where = next_u32(&r);
	mint(&r);
	while (r.left.len > 0)
		add_caveat(&r);
	check_fields(&r);
	check_damage(&r, where, data[0]);
	check_stranger(r.text, strlen(r.text));
	return 0;
}
