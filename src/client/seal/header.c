#include "client/seal/header.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/hkdf.h"
#include "client/seal/stanza.h"

#define FILE_KEY_SIZE 16
#define NONCE_SIZE 16
#define SHARE_SIZE 32
#define WRAPPED_SIZE (FILE_KEY_SIZE + PAYLOAD_TAG)

/* ---- keys ------------------------------------------------------------------------------------ */

static void payload_key(struct payload *payload, const uint8_t file_key[static FILE_KEY_SIZE],
			const uint8_t nonce[static NONCE_SIZE])
{
	hkdf(payload->key, (struct bytes){ file_key, FILE_KEY_SIZE },
	     (struct bytes){ nonce, NONCE_SIZE }, BYTES("payload"));
}

/* text ends with "---". */
static void header_mac(uint8_t mac[static HEADER_MAC_SIZE],
		       const uint8_t file_key[static FILE_KEY_SIZE], struct bytes text)
{
	uint8_t key[HKDF_SIZE];

	hkdf(key, (struct bytes){ file_key, FILE_KEY_SIZE }, BYTES(""), BYTES("header"));
	crypto_auth_hmacsha256(mac, text.data, text.len, key);
	sodium_memzero(key, sizeof(key));
}

/* The key that wraps the file key, from what both sides of the exchange know. False if the other
 * side's point gives a secret that anybody knows. */
static bool wrap_key(uint8_t out[static HKDF_SIZE], const uint8_t secret[static RESTANTE_KEY_SIZE],
		     const uint8_t point[static SHARE_SIZE], const uint8_t share[static SHARE_SIZE],
		     const uint8_t recipient[static SHARE_SIZE])
{
	uint8_t shared[SHARE_SIZE], salt[2 * SHARE_SIZE];
	bool good = crypto_scalarmult(shared, secret, point) == 0;

	memcpy(salt, share, SHARE_SIZE);
	memcpy(salt + SHARE_SIZE, recipient, SHARE_SIZE);
	if (good)
		hkdf(out, (struct bytes){ shared, sizeof(shared) },
		     (struct bytes){ salt, sizeof(salt) }, BYTES("age-encryption.org/v1/X25519"));
	sodium_memzero(shared, sizeof(shared));
	return good;
}

/* Fixed, which is safe as each wrapping key is used once. */
static const uint8_t wrap_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

/* ---- making ---------------------------------------------------------------------------------- */

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, struct bytes text)
{
	memcpy(w->at, text.data, text.len);
	w->at += text.len;
}

static void put64(struct writer *w, const uint8_t *in, size_t n)
{
	raw64_encode((char *)w->at, in, n);
	w->at += RAW64_LEN(n);
}

/* A fresh ephemeral key wraps file_key for the holder of key. */
static bool make_wrapped(uint8_t share[static SHARE_SIZE], uint8_t wrapped[static WRAPPED_SIZE],
			 const uint8_t file_key[static FILE_KEY_SIZE],
			 const uint8_t key[static RESTANTE_KEY_SIZE])
{
	uint8_t ephemeral[RESTANTE_KEY_SIZE], recipient[SHARE_SIZE], wrapping[HKDF_SIZE];
	bool good;

	randombytes_buf(ephemeral, sizeof(ephemeral));
	crypto_scalarmult_base(recipient, key);
	crypto_scalarmult_base(share, ephemeral);
	good = wrap_key(wrapping, ephemeral, recipient, share, recipient);
	if (good)
		crypto_aead_chacha20poly1305_ietf_encrypt(wrapped, NULL, file_key, FILE_KEY_SIZE,
							  NULL, 0, NULL, wrap_nonce, wrapping);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	sodium_memzero(wrapping, sizeof(wrapping));
	return good;
}

static void write_head(uint8_t out[static RESTANTE_HEAD_SIZE], const uint8_t share[SHARE_SIZE],
		       const uint8_t wrapped[WRAPPED_SIZE], const uint8_t file_key[FILE_KEY_SIZE],
		       const uint8_t nonce[NONCE_SIZE])
{
	struct writer w = { out };
	uint8_t mac[HEADER_MAC_SIZE];

	put(&w, BYTES(HEADER_VERSION));
	put(&w, BYTES("-> X25519 "));
	put64(&w, share, SHARE_SIZE);
	put(&w, BYTES("\n"));
	put64(&w, wrapped, WRAPPED_SIZE);
	put(&w, BYTES("\n---"));
	header_mac(mac, file_key, (struct bytes){ out, (size_t)(w.at - out) });
	put(&w, BYTES(" "));
	put64(&w, mac, sizeof(mac));
	put(&w, BYTES("\n"));
	put(&w, (struct bytes){ nonce, NONCE_SIZE });
	assert(w.at == out + RESTANTE_HEAD_SIZE);
}

enum restante_code header_make(uint8_t out[static RESTANTE_HEAD_SIZE], struct payload *payload,
			       const uint8_t key[static RESTANTE_KEY_SIZE],
			       struct restante_error *e)
{
	uint8_t file_key[FILE_KEY_SIZE], nonce[NONCE_SIZE], share[SHARE_SIZE];
	uint8_t wrapped[WRAPPED_SIZE];

	if (sodium_init() < 0)
		return fail(e, RESTANTE_IO, "the system has no source of randomness");
	randombytes_buf(file_key, sizeof(file_key));
	randombytes_buf(nonce, sizeof(nonce));
	if (!make_wrapped(share, wrapped, file_key, key)) {
		sodium_memzero(file_key, sizeof(file_key));
		return fail(e, RESTANTE_INVALID, "the key is not an X25519 secret");
	}
	write_head(out, share, wrapped, file_key, nonce);
	payload_key(payload, file_key, nonce);
	sodium_memzero(file_key, sizeof(file_key));
	return RESTANTE_OK;
}

/* ---- finding the end ------------------------------------------------------------------------- */

/* in and with are the same as far as both go. */
static bool agree(struct bytes in, struct bytes with)
{
	const size_t n = in.len < with.len ? in.len : with.len;

	return n == 0 || memcmp(in.data, with.data, n) == 0;
}

static enum restante_code refuse_version(struct bytes in, struct restante_error *e)
{
	const struct bytes any_version = BYTES("age-encryption.org/");

	if (in.len > any_version.len && agree(in, any_version))
		return fail(e, RESTANTE_INVALID,
			    "an age file of another version than v1, which is not supported");
	return fail(e, RESTANTE_INVALID,
		    "not an age v1 file: it does not begin with age-encryption.org/v1 (files as "
		    "text, with ASCII armor, are not supported)");
}

enum restante_code header_size(size_t *size, struct bytes in, struct restante_error *e)
{
	uint8_t mac[HEADER_MAC_SIZE];
	struct stanza stanza;
	struct header_reader r;
	enum header_item item;
	size_t stanzas = 0;

	if (!agree(in, BYTES(HEADER_VERSION)))
		return refuse_version(in, e);
	header_reader_init(&r, in);
	while ((item = header_next(&r, &stanza, mac)) == HEADER_STANZA)
		stanzas++;
	if (item == HEADER_BROKEN || (item == HEADER_END && stanzas == 0))
		return fail(e, RESTANTE_INVALID, "the header is not one of age v1");
	if (item == HEADER_MORE ? in.len >= HEADER_MAX : r.at + NONCE_SIZE > HEADER_MAX)
		return fail(e, RESTANTE_INVALID, "the header is larger than %d bytes", HEADER_MAX);
	*size = item == HEADER_END && in.len >= r.at + NONCE_SIZE ? r.at + NONCE_SIZE : 0;
	return RESTANTE_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct opening {
	const uint8_t *key;
	uint8_t recipient[SHARE_SIZE];
	uint8_t file_key[FILE_KEY_SIZE];
	size_t stanzas;
	bool found;              /* file_key was unwrapped */
	bool x25519, passphrase; /* kinds of stanzas that were seen */
};

/* That it does not open is no failure: the stanza may be for somebody else. The size is looked at
 * first, so that no ciphertext opens with several keys (the specification's "partitioning oracle
 * attacks"). */
static enum restante_code open_stanza(struct opening *o, const struct stanza *s,
				      struct restante_error *e)
{
	uint8_t share[SHARE_SIZE], wrapping[HKDF_SIZE];

	if (!stanza_argument(s, share, sizeof(share)) || s->body_size != WRAPPED_SIZE)
		return fail(e, RESTANTE_INVALID, "an X25519 stanza of the header is malformed");
	if (!wrap_key(wrapping, o->key, share, share, o->recipient))
		return fail(e, RESTANTE_INVALID,
			    "an X25519 stanza of the header has a share of low order");
	o->found = crypto_aead_chacha20poly1305_ietf_decrypt(o->file_key, NULL, NULL, s->body,
							     WRAPPED_SIZE, NULL, 0, wrap_nonce,
							     wrapping) == 0;
	sodium_memzero(wrapping, sizeof(wrapping));
	return RESTANTE_OK;
}

/* Other kinds are passed over: those we do not know, and what age puts in as grease. */
static enum restante_code take_stanza(struct opening *o, const struct stanza *s,
				      struct restante_error *e)
{
	o->stanzas++;
	if (stanza_is(s, "scrypt"))
		o->passphrase = true;
	if (!stanza_is(s, "X25519"))
		return RESTANTE_OK;
	o->x25519 = true;
	return o->found ? RESTANTE_OK : open_stanza(o, s, e);
}

static enum restante_code judge(const struct opening *o, struct restante_error *e)
{
	if (o->passphrase && o->stanzas > 1)
		return fail(e, RESTANTE_INVALID,
			    "a passphrase (scrypt) beside other stanzas, which age forbids");
	if (o->passphrase)
		return fail(e, RESTANTE_INVALID,
			    "sealed with a passphrase (scrypt), which is not supported");
	if (!o->x25519)
		return fail(e, RESTANTE_KEY,
			    "sealed for no X25519 key: other kinds, such as hybrid (post-quantum) "
			    "ones and those of plugins, are not supported");
	if (!o->found)
		return fail(e, RESTANTE_KEY, "sealed for another key");
	return RESTANTE_OK;
}

/* The header is known to be whole and well formed. */
static enum restante_code find_file_key(struct opening *o, uint8_t mac[static HEADER_MAC_SIZE],
					struct bytes in, struct restante_error *e)
{
	struct stanza stanza;
	struct header_reader r;

	header_reader_init(&r, in);
	while (header_next(&r, &stanza, mac) == HEADER_STANZA) {
		enum restante_code rc = take_stanza(o, &stanza, e);

		if (rc != RESTANTE_OK)
			return rc;
	}
	return judge(o, e);
}

enum restante_code header_open(struct payload *payload, struct bytes in,
			       const uint8_t key[static RESTANTE_KEY_SIZE],
			       struct restante_error *e)
{
	const size_t mac_line = RAW64_LEN(HEADER_MAC_SIZE) + 2; /* behind the mark */
	uint8_t said[HEADER_MAC_SIZE], computed[HEADER_MAC_SIZE];
	struct opening o = { .key = key };
	enum restante_code rc;
	size_t size;

	rc = header_size(&size, in, e);
	if (rc != RESTANTE_OK)
		return rc;
	if (size == 0 || size != in.len)
		return fail(e, RESTANTE_INVALID, "that is not just a header");
	if (sodium_init() < 0)
		return fail(e, RESTANTE_IO, "libsodium cannot be used");
	crypto_scalarmult_base(o.recipient, key);
	rc = find_file_key(&o, said, in, e);
	if (rc != RESTANTE_OK)
		goto out;
	in.len -= NONCE_SIZE;
	header_mac(computed, o.file_key, (struct bytes){ in.data, in.len - mac_line });
	if (sodium_memcmp(said, computed, sizeof(said)) != 0) {
		rc = fail(e, RESTANTE_TAMPERED, "the header was changed");
		goto out;
	}
	payload_key(payload, o.file_key, in.data + in.len);
out:
	sodium_memzero(&o, sizeof(o));
	return rc;
}
