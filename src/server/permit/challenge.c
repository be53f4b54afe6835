#include "server/permit/challenge.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/bytes.h"

#define TAG 16
#define FIXED (CHALLENGE_BYTES - TAG)
#define DAY 86400

/* key id (1), until (4), random (8); what it is about is under the tag only. */
static void tag_of(uint8_t out[static TAG], const uint8_t fixed[static FIXED],
		   const struct challenge_subject *s, const uint8_t key[static TOKEN_KEYBYTES])
{
	static const uint8_t personal[] = "restante.proof.1";
	crypto_generichash_blake2b_state st;

	(void)crypto_generichash_blake2b_init_salt_personal(&st, key, TOKEN_KEYBYTES, TAG, NULL,
							    personal);
	(void)crypto_generichash_blake2b_update(&st, fixed, FIXED);
	(void)crypto_generichash_blake2b_update(&st, s->blob.b, sizeof(s->blob.b));
	(void)crypto_generichash_blake2b_update(&st, s->bucket.b, sizeof(s->bucket.b));
	(void)crypto_generichash_blake2b_final(&st, out, TAG);
}

/* ---- windows ---- */

/* Numbers that nobody else can tell before. */
static void draw(uint64_t out[static CHALLENGE_WINDOWS], const struct challenge_subject *s,
		 uint32_t day, const uint8_t key[static TOKEN_KEYBYTES])
{
	static const uint8_t personal[] = "restante.range.1";
	crypto_generichash_blake2b_state st;
	uint8_t b[CHALLENGE_WINDOWS * 8], d[4];

	bytes_put_u32(d, day);
	(void)crypto_generichash_blake2b_init_salt_personal(&st, key, TOKEN_KEYBYTES, sizeof(b),
							    NULL, personal);
	(void)crypto_generichash_blake2b_update(&st, s->blob.b, sizeof(s->blob.b));
	(void)crypto_generichash_blake2b_update(&st, s->bucket.b, sizeof(s->bucket.b));
	(void)crypto_generichash_blake2b_update(&st, d, sizeof(d));
	(void)crypto_generichash_blake2b_final(&st, b, sizeof(b));
	for (unsigned i = 0; i < CHALLENGE_WINDOWS; i++)
		out[i] = bytes_get_u64(b + 8 * i);
}

static int compare(const void *a, const void *b)
{
	const struct challenge_window *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void lay_windows(struct challenge *out, const struct challenge_subject *s, uint32_t until,
			const uint8_t key[static TOKEN_KEYBYTES])
{
	uint64_t numbers[CHALLENGE_WINDOWS];

	out->count = s->size > 0;
	out->windows[0] = (struct challenge_window){ 0, s->size };
	if (s->size <= CHALLENGE_WINDOWS * (uint64_t)CHALLENGE_WINDOW)
		return;
	draw(numbers, s, until / DAY, key);
	out->count = CHALLENGE_WINDOWS;
	for (unsigned i = 0; i < CHALLENGE_WINDOWS; i++)
		out->windows[i] =
			(struct challenge_window){ numbers[i] % (s->size - CHALLENGE_WINDOW + 1),
						   CHALLENGE_WINDOW };
	qsort(out->windows, out->count, sizeof(out->windows[0]), compare);
}

/* ---- */

void challenge_make(struct challenge *out, const struct challenge_subject *s, int64_t now_s,
		    const struct keys *keys)
{
	const uint32_t until = (uint32_t)(now_s + CHALLENGE_LIFE_S);
	uint8_t b[CHALLENGE_BYTES];
	const uint8_t *key = keys_current(keys, &b[0]);

	bytes_put_u32(b + 1, until);
	randombytes_buf(b + 5, 8);
	tag_of(b + FIXED, b, s, key);
	base64url_encode(out->text, b, sizeof(b));
	lay_windows(out, s, until, key);
}

enum err_code challenge_read(struct challenge *out, const char *text, size_t n,
			     const struct challenge_subject *s, int64_t now_s,
			     const struct keys *keys)
{
	uint8_t b[CHALLENGE_BYTES], tag[TAG];
	const uint8_t *key;
	size_t len;

	if (n != CHALLENGE_CHARS || !base64url_decode(b, sizeof(b), &len, text, n) ||
	    len != sizeof(b))
		return ERR_INVALID;
	key = keys_find(keys, b[0]);
	if (key == NULL)
		return ERR_FORGED;
	tag_of(tag, b, s, key);
	if (sodium_memcmp(tag, b + FIXED, TAG) != 0)
		return ERR_FORGED;
	if (now_s > (int64_t)bytes_get_u32(b + 1))
		return ERR_EXPIRED;
	memcpy(out->text, text, n);
	out->text[n] = '\0';
	lay_windows(out, s, bytes_get_u32(b + 1), key);
	return ERR_OK;
}
