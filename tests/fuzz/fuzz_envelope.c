/* fuzz_envelope - the input as an envelope of a stranger, and as values for one of our own. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "restante/envelope.h"
#include "restante/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct restante_envelope *read_text(const char *text, size_t n)
{
	struct restante_envelope *e = NULL;
	struct restante_error error = { .code = RESTANTE_OK };
	enum restante_code rc = restante_envelope_decode(&e, text, n, &error);

	assert((rc == RESTANTE_OK) == (e != NULL));
	assert(rc == RESTANTE_OK || rc == RESTANTE_INVALID || rc == RESTANTE_TOOBIG);
	assert(error.code == rc);
	assert((rc == RESTANTE_TOOBIG) == (n > RESTANTE_ENVELOPE_MAX));
	return e;
}

/* What players and savers of files rely on. */
static void check_fields(const struct restante_envelope *e)
{
	const char *name = restante_envelope_text(e, RESTANTE_TEXT_NAME);
	uint64_t size, sealed, width;
	const uint8_t *bars;
	size_t n;

	assert(restante_envelope_text(e, RESTANTE_TEXT_TOKEN) != NULL);
	assert(restante_envelope_blob(e, RESTANTE_BLOB_KEY, &n) != NULL && n == RESTANTE_KEY_SIZE);
	assert(name == NULL || (strpbrk(name, "/\\\n\r\t\x7f") == NULL && strcmp(name, "..") != 0));
	if (restante_envelope_number(e, RESTANTE_NUMBER_SIZE, &size)) {
		assert(restante_envelope_number(e, RESTANTE_NUMBER_SEALED_SIZE, &sealed));
		assert(sealed >= restante_sealed_size(size));
		assert(restante_envelope_blob(e, RESTANTE_BLOB_SHA256, &n) != NULL && n == 32);
	}
	if (restante_envelope_number(e, RESTANTE_NUMBER_WIDTH, &width))
		assert(width > 0 && width <= 1000000);
	bars = restante_envelope_blob(e, RESTANTE_BLOB_WAVEFORM, &n);
	for (size_t i = 0; bars != NULL && i < n; i++)
		assert(n == 64 && bars[i] <= 100);
}

/* What was read can be written, and has one text: reading and writing that gives it again. */
static void check_round_trip(const struct restante_envelope *e)
{
	static char text[RESTANTE_ENVELOPE_MAX + 1], again[RESTANTE_ENVELOPE_MAX + 1];
	struct restante_envelope *back;

	assert(restante_envelope_encode(e, text, NULL) == RESTANTE_OK);
	back = read_text(text, strlen(text));
	assert(back != NULL);
	assert(restante_envelope_encode(back, again, NULL) == RESTANTE_OK);
	assert(strcmp(text, again) == 0);
	restante_envelope_free(back);
}

static void check_stranger(const uint8_t *data, size_t size)
{
	struct restante_envelope *e = read_text((const char *)data, size);

	if (e != NULL) {
		check_fields(e);
		check_round_trip(e);
	}
	restante_envelope_free(e);
}

static void fill_required(struct restante_envelope *e)
{
	static const char token[] = "EQEQERITFBUWFxgZGhscHR4faytNgNnwaC-B3aYF0hbhKkLB77s";
	static const uint8_t key[RESTANTE_KEY_SIZE] = "the one key of this fuzz target";

	assert(restante_envelope_set_text(e, RESTANTE_TEXT_KIND, "file", NULL) == RESTANTE_OK);
	assert(restante_envelope_set_text(e, RESTANTE_TEXT_TYPE, "a/b", NULL) == RESTANTE_OK);
	assert(restante_envelope_set_text(e, RESTANTE_TEXT_TOKEN, token, NULL) == RESTANTE_OK);
	assert(restante_envelope_set_blob(e, RESTANTE_BLOB_KEY, key, sizeof(key), NULL) ==
	       RESTANTE_OK);
}

/* Whatever setters take can be written and read back. */
static void check_own(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data + 1, size - 1);
	static char json[RESTANTE_ENVELOPE_MAX + 1];
	struct restante_envelope *e;
	uint64_t number = 0;

	assert(text != NULL && restante_envelope_new(&e, NULL) == RESTANTE_OK);
	fill_required(e);
	memcpy(&number, data, size < 8 ? size : 8);
	(void)restante_envelope_set_text(e, data[0] % RESTANTE_TEXT_COUNT, text, NULL);
	(void)restante_envelope_set_number(e, data[0] % RESTANTE_NUMBER_COUNT, number, NULL);
	(void)restante_envelope_set_blob(e, data[0] % RESTANTE_BLOB_COUNT, data + 1, size - 1,
					 NULL);
	if (restante_envelope_encode(e, json, NULL) == RESTANTE_OK)
		check_round_trip(e);
	restante_envelope_free(e);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (sodium_init() < 0 || size == 0)
		return 0;
	check_stranger(data, size);
	check_own(data, size);
	return 0;
}
