/* uploading - an upload, and a look at what recipients get, for the suites about sending. */
#ifndef RESTANTE_TESTS_UPLOADING_H
#define RESTANTE_TESTS_UPLOADING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "restante/restante.h"
#include "tests/lib/client.h"
#include "tests/lib/sealed.h"
#include "tests/library/sealing.h"

struct uploading {
	struct restante_client *client;
	struct restante_upload *upload;
	struct restante_envelope *envelope;
	struct restante_error e;
};

/* A client that tries often and does not wait long, and an upload of it. */
static inline void uploading_open(struct uploading *u, const char *url)
{
	*u = (struct uploading){ 0 };
	assert_code(restante_client_new(&u->client, url, &u->e), RESTANTE_OK, &u->e);
	restante_client_set_retries(u->client, 20, 1);
	assert_code(restante_upload_new(&u->upload, u->client, &u->e), RESTANTE_OK, &u->e);
	assert_code(restante_envelope_new(&u->envelope, &u->e), RESTANTE_OK, &u->e);
}

static inline void uploading_close(struct uploading *u)
{
	restante_upload_free(u->upload);
	restante_client_free(u->client);
	restante_envelope_free(u->envelope);
}

static inline enum restante_code uploading_run(struct uploading *u)
{
	return restante_upload_run(u->upload, u->envelope, &u->e);
}

#define assert_runs(u) assert_code(uploading_run(u), RESTANTE_OK, &(u)->e)
#define assert_fails(u, code) assert_code(uploading_run(u), code, &(u)->e)

static inline uint64_t uploading_number(const struct uploading *u, enum restante_number field)
{
	uint64_t n = 0;

	assert_true(restante_envelope_number(u->envelope, field, &n));
	return n;
}

/* The ciphertext as recipients get it from this server, to be freed. */
static inline struct bytes uploading_fetch(const struct uploading *u, int port)
{
	char target[160];
	struct answer a;

	assert_non_null(restante_envelope_text(u->envelope, RESTANTE_TEXT_TOKEN));
	(void)snprintf(target, sizeof(target), "/v1/media/%s",
		       restante_envelope_text(u->envelope, RESTANTE_TEXT_TOKEN));
	http_get(port, target, "", &a);
	assert_int_equal(a.status, 200);
	free(a.head);
	return (struct bytes){ a.body, a.body_len };
}

/* Whether what is there is what the envelope says. */
static inline void assert_announced(const struct uploading *u, struct bytes sealed)
{
	struct digest digest;
	size_t n = 0;
	const uint8_t *sha256 = restante_envelope_blob(u->envelope, RESTANTE_BLOB_SHA256, &n);

	digest_of(sealed, &digest);
	assert_int_equal(n, 32);
	assert_memory_equal(sha256, digest.b, 32);
	assert_int_equal(uploading_number(u, RESTANTE_NUMBER_SEALED_SIZE), sealed.len);
}

/* Whether recipients can open it, and find these bytes, with zeroes behind up to `padded`. */
static inline void assert_arrived(const struct uploading *u, int port, const void *plain, size_t n,
				  size_t padded)
{
	const struct bytes sealed = uploading_fetch(u, port);
	struct outcome o;
	size_t key_size = 0;
	const uint8_t *key = restante_envelope_blob(u->envelope, RESTANTE_BLOB_KEY, &key_size);

	assert_announced(u, sealed);
	assert_int_equal(key_size, RESTANTE_KEY_SIZE);
	assert_int_equal(uploading_number(u, RESTANTE_NUMBER_SIZE), n);
	open_pieces(&o, key, sealed, one_piece);
	assert_code(o.code, RESTANTE_OK, &o.error);
	assert_int_equal(o.size, padded);
	if (n > 0)
		assert_memory_equal(o.data, plain, n);
	for (size_t i = n; i < padded; i++)
		assert_int_equal(o.data[i], 0);
	free(o.data);
	free((void *)(uintptr_t)sealed.data);
}

#endif
