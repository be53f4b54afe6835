/* fuzz_seal_header - the input is the head of an age file: header, and nonce.
 *
 * The corpus was made with the file key and for the key below, so that the MAC of a changed header
 * can be put right: what is behind the MAC is reached, and a header with a right MAC is never said
 * to be tampered with. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/seal/header.h"
#include "client/seal/hkdf.h"
#include "client/seal/stanza.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NONCE_SIZE 16
#define MAC_LINE_LEN (RAW64_LEN(HEADER_MAC_SIZE) + 2) /* behind "---" */

static const struct bytes file_key = { (const uint8_t *)"restante fuzzing", 16 };
static uint8_t key[RESTANTE_KEY_SIZE]; /* 0x42 each */

static bool is_known(enum restante_code rc)
{
	return rc == RESTANTE_OK || rc == RESTANTE_INVALID || rc == RESTANTE_KEY ||
	       rc == RESTANTE_TAMPERED;
}

/* The head ends at one place, however much of it, or behind it, is there. */
static void check_size(struct bytes in, size_t size)
{
	size_t again = 1;

	assert(size >= NONCE_SIZE && size <= in.len && size <= HEADER_MAX);
	assert(header_size(&again, (struct bytes){ in.data, size }, NULL) == RESTANTE_OK);
	assert(again == size);
	for (size_t n = 0; n < size; n += 1 + n / 16) {
		assert(header_size(&again, (struct bytes){ in.data, n }, NULL) == RESTANTE_OK);
		assert(again == 0);
	}
}

/* What is refused was so before, or might have been well until more came. */
static void check_refused(struct bytes in)
{
	size_t size;
	bool refused = false;

	for (size_t n = 0; n <= in.len; n += 1 + n / 16) {
		bool now = header_size(&size, (struct bytes){ in.data, n }, NULL) != RESTANTE_OK;

		assert(now || !refused);
		assert(now || size == 0);
		refused = now;
	}
}

static void put_mac_right(uint8_t *head, size_t size)
{
	const size_t text = size - NONCE_SIZE - MAC_LINE_LEN;
	uint8_t mac_key[HKDF_SIZE], mac[HEADER_MAC_SIZE];

	hkdf(mac_key, file_key, BYTES(""), BYTES("header"));
	crypto_auth_hmacsha256(mac, head, text, mac_key);
	raw64_encode((char *)head + text + 1, mac, sizeof(mac));
}

static void check_open(const uint8_t *data, size_t size)
{
	struct bytes nonce = { data + size - NONCE_SIZE, NONCE_SIZE };
	uint8_t *head = malloc(size), expected[HKDF_SIZE];
	struct payload payload;
	struct restante_error e;
	enum restante_code rc, before;

	assert(head != NULL);
	memcpy(head, data, size);
	before = header_open(&payload, (struct bytes){ head, size }, key, &e);
	assert(is_known(before));
	put_mac_right(head, size);
	rc = header_open(&payload, (struct bytes){ head, size }, key, &e);
	assert(is_known(rc) && rc != RESTANTE_TAMPERED);
	assert(rc == before || (before == RESTANTE_TAMPERED && rc == RESTANTE_OK));
	if (rc == RESTANTE_OK) {
		hkdf(expected, file_key, nonce, BYTES("payload"));
		assert(memcmp(payload.key, expected, sizeof(expected)) == 0);
	}
	free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { data, size };
	struct payload unmade;
	enum restante_code rc;
	size_t head;

	memset(key, 0x42, sizeof(key));
	rc = header_size(&head, in, NULL);
	if (rc == RESTANTE_OK && head > 0) {
		check_size(in, head);
		check_open(data, head);
	} else {
		assert(rc == RESTANTE_OK || rc == RESTANTE_INVALID);
		assert(header_open(&unmade, in, key, NULL) == RESTANTE_INVALID);
		check_refused(in);
	}
	return 0;
}
