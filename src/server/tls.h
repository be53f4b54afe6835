/* tls - the certificate and key that listeners show, reloadable while they run. */
#ifndef RESTANTE_SERVER_TLS_H
#define RESTANTE_SERVER_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/err.h"

/* Reads PEM files (chain, key) and puts them in place of the present ones; on failure those stay.
 * Old ones are kept alive for as long as handshakes may use them. Main's thread. ERR_IO,
 * ERR_INVALID (not PEM, or key and certificate do not belong together). */
enum err_code tls_load(const char *certificate, const char *key, struct err *e);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK; any thread. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn, int nreqs,
		 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
		 gnutls_pcert_st **pcert, unsigned int *pcert_length, gnutls_privkey_t *pkey);

/* For a session before its handshake: gives the client a ticket, with which its next handshake
 * shows no certificate and needs no signature. Good until certificates are loaded anew, and for
 * some hours at most. Any thread. */
void tls_offer_ticket(gnutls_session_t session);

void tls_unload(void);

#endif
