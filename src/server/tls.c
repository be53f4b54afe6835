#include "server/tls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CHAIN_MAX 16
#define KEEP_RETIRED_MS (10 * 60 * 1000) /* far longer than any handshake */

struct identity {
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned chain_count;
	gnutls_privkey_t key;
	gnutls_datum_t tickets; /* what they are sealed with: GnuTLS makes new keys of it in time */
	int64_t retired_ms;
	struct identity *older;
};

/* What handshakes show; they read it without a lock, so it is freed long after it was replaced. */
static _Atomic(struct identity *) current;
static struct identity *retired; /* main's thread only */

static void identity_free(struct identity *id)
{
	if (id == NULL)
		return;
	for (unsigned i = 0; i < id->chain_count; i++)
		gnutls_pcert_deinit(&id->chain[i]);
	if (id->key != NULL)
		gnutls_privkey_deinit(id->key);
	if (id->tickets.data != NULL)
		gnutls_memset(id->tickets.data, 0, id->tickets.size);
	gnutls_free(id->tickets.data);
	free(id);
}

static enum err_code read_chain(struct identity *id, const char *path, struct err *e)
{
	gnutls_datum_t pem = { NULL, 0 };
	unsigned count = CHAIN_MAX;
	int ret = gnutls_load_file(path, &pem);

	if (ret < 0)
		return err_set(e, ERR_IO, "certificate %.90s: %s", path, gnutls_strerror(ret));
	ret = gnutls_pcert_list_import_x509_raw(id->chain, &count, &pem, GNUTLS_X509_FMT_PEM,
						GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
	gnutls_free(pem.data);
	if (ret < 0)
		return err_set(e, ERR_INVALID, "certificate %.90s: %s", path, gnutls_strerror(ret));
	id->chain_count = count;
	return ERR_OK;
}

static enum err_code read_key(struct identity *id, const char *path, struct err *e)
{
	gnutls_datum_t pem = { NULL, 0 };
	int ret = gnutls_load_file(path, &pem);

	if (ret < 0)
		return err_set(e, ERR_IO, "key %.90s: %s", path, gnutls_strerror(ret));
	ret = gnutls_privkey_init(&id->key);
	if (ret >= 0)
		ret = gnutls_privkey_import_x509_raw(id->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	return ret >= 0 ? ERR_OK
			: err_set(e, ERR_INVALID, "key %.90s: %s", path, gnutls_strerror(ret));
}

#define KEY_ID_SIZE 32

static bool key_id(uint8_t out[static KEY_ID_SIZE], gnutls_pubkey_t key)
{
	size_t size = KEY_ID_SIZE;

	return gnutls_pubkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, out, &size) >= 0 &&
	       size == KEY_ID_SIZE;
}

/* Does the key belong to the first certificate of the chain? */
static bool belong_together(const struct identity *id)
{
	uint8_t shown[KEY_ID_SIZE], held[KEY_ID_SIZE];
	gnutls_pubkey_t pub = NULL;
	bool same = gnutls_pubkey_init(&pub) >= 0 &&
		    gnutls_pubkey_import_privkey(pub, id->key, 0, 0) >= 0 && key_id(held, pub) &&
		    key_id(shown, id->chain[0].pubkey) && memcmp(shown, held, KEY_ID_SIZE) == 0;

	if (pub != NULL)
		gnutls_pubkey_deinit(pub);
	return same;
}

static void free_retired(int64_t before_ms)
{
	for (struct identity **p = &retired; *p != NULL;) {
		struct identity *id = *p;

		if (id->retired_ms > before_ms) {
			p = &id->older;
			continue;
		}
		*p = id->older;
		identity_free(id);
	}
}

static void show(struct identity *next)
{
	int64_t now = clock_mono_ms();
	struct identity *old = atomic_exchange(&current, next);

	if (old != NULL) {
		old->retired_ms = now;
		old->older = retired;
		retired = old;
	}
	free_retired(now - KEEP_RETIRED_MS);
}

enum err_code tls_load(const char *certificate, const char *key, struct err *e)
{
	struct identity *id = calloc(1, sizeof(*id));
	enum err_code rc;

	if (id == NULL)
		return err_set(e, ERR_NOMEM, "certificate");
	rc = read_chain(id, certificate, e);
	if (rc == ERR_OK)
		rc = read_key(id, key, e);
	if (rc == ERR_OK && !belong_together(id))
		rc = err_set(e, ERR_INVALID, "certificate and key do not belong together");
	if (rc == ERR_OK && gnutls_session_ticket_key_generate(&id->tickets) < 0)
		rc = err_set(e, ERR_NOMEM, "a key for tickets");
	if (rc != ERR_OK)
		goto out;
	show(id);
	id = NULL; /* the handshakes' now */
out:
	identity_free(id);
	return rc;
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn, int nreqs,
		 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
		 gnutls_pcert_st **pcert, unsigned int *pcert_length, gnutls_privkey_t *pkey)
{
	struct identity *id = atomic_load(&current);

	(void)session;
	(void)req_ca_rdn;
	(void)nreqs;
	(void)pk_algos;
	(void)pk_algos_length;
	if (id == NULL)
		return -1;
	*pcert = id->chain;
	*pcert_length = id->chain_count;
	*pkey = id->key;
	return 0;
}

void tls_offer_ticket(gnutls_session_t session)
{
	struct identity *id = atomic_load(&current);

	if (id != NULL) /* else, as without memory, handshakes stay long */
		(void)gnutls_session_ticket_enable_server(session, &id->tickets);
}

void tls_unload(void)
{
	identity_free(atomic_exchange(&current, NULL));
	free_retired(INT64_MAX);
}
