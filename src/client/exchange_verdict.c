/* What comes of an exchange, in sentences. */
#include "client/exchange.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/fail.h"
#include "client/printable.h"

void exchange_break(struct exchange *x, enum restante_code code, const char *fmt, ...)
{
	char detail[sizeof(x->error.detail)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	exchange_detach(x);
	x->state = EXCHANGE_FAILED;
	(void)fail(&x->error, code, "%s", detail);
}

static void answered(struct exchange *x)
{
	exchange_detach(x);
	x->state = EXCHANGE_ANSWERED;
}

/* What libcurl says of certificates is worth reading, and has no secrets in it. */
static void break_distrustful(struct exchange *x)
{
	printable(x->why);
	exchange_break(x, RESTANTE_UNTRUSTED, "the certificate of %.80s does not hold: %.120s",
		       x->t->address.host, x->why);
}

/* Of a socket in the file system the operator wants to know what is wrong with it. */
static void break_unconnected(struct exchange *x)
{
	const char *path = x->t->address.host;
	long why = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &why);
	if (why == ENOENT || why == ENOTDIR)
		exchange_break(x, RESTANTE_NETWORK, "there is no socket %.107s", path);
	else if (why == ECONNREFUSED)
		exchange_break(x, RESTANTE_NETWORK, "nobody listens at %.107s", path);
	else if (why == EACCES || why == EPERM)
		exchange_break(x, RESTANTE_DENIED, "%.107s: not permitted", path);
	else if (why == 0) /* closed before anything was said, or nobody has accepted it */
		exchange_break(x, RESTANTE_NETWORK,
			       "%.107s: the connection is not taken: the server ends or has too "
			       "much to do, or only root and the server's own user are let in",
			       path);
	else
		exchange_break(x, RESTANTE_NETWORK, "%.107s: %s", path, strerror((int)why));
}

/* False: it is as with any other server. */
static bool break_local(struct exchange *x, CURLcode c)
{
	if (c == CURLE_COULDNT_CONNECT) {
		break_unconnected(x);
		return true;
	}
	if (x->response.status != 0 ||
	    (c != CURLE_GOT_NOTHING && c != CURLE_RECV_ERROR && c != CURLE_SEND_ERROR))
		return false;
	exchange_break(x, RESTANTE_NETWORK,
		       "%.107s: closed without an answer: the server has just ended, or only root "
		       "and the server's own user are let in",
		       x->t->address.host);
	return true;
}

static void break_unreached(struct exchange *x, CURLcode c)
{
	const char *host = x->t->address.host;
	long proxy = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	if (proxy >= 300) {
		exchange_break(x, RESTANTE_NETWORK, "the proxy refuses (status %ld)", proxy);
		return;
	}
	if (x->t->socket_path != NULL && break_local(x, c))
		return;
	switch (c) {
	case CURLE_COULDNT_RESOLVE_HOST:
		exchange_break(x, RESTANTE_NETWORK, "the name of %.100s is not known here", host);
		break;
	case CURLE_COULDNT_CONNECT:
		exchange_break(x, RESTANTE_NETWORK, "nobody answers at %.100s", host);
		break;
	case CURLE_PARTIAL_FILE:
		exchange_break(x, RESTANTE_NETWORK, "the answer of %.100s was cut short", host);
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_RECV_ERROR:
		exchange_break(x, RESTANTE_NETWORK, "the connection to %.100s broke off", host);
		break;
	default:
		exchange_break(x, RESTANTE_NETWORK, "%.100s: %.80s", host, curl_easy_strerror(c));
	}
}

static void break_for(struct exchange *x, CURLcode c)
{
	switch (c) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		break_distrustful(x);
		break;
	case CURLE_SSL_CACERT_BADFILE:
		exchange_break(x, RESTANTE_IO, "the file of certificates to trust cannot be used");
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		exchange_break(x, RESTANTE_SERVER, "%.100s does not speak HTTP as it should",
			       x->t->address.host);
		break;
	case CURLE_OUT_OF_MEMORY:
		exchange_break(x, RESTANTE_NOMEM, "out of memory");
		break;
	default:
		break_unreached(x, c);
	}
}

/* A server that refuses a body while it is being sent may close at once, and our next bytes then
 * run into the closed connection: the answer was heard all the same. */
static bool was_refused(const struct exchange *x, CURLcode c)
{
	return x->response.status >= 400 && x->rq.body_size != BODY_NONE && !x->stopped &&
	       (c == CURLE_SEND_ERROR || c == CURLE_RECV_ERROR || c == CURLE_PARTIAL_FILE);
}

void exchange_done(struct exchange *x, CURLcode c)
{
	if (was_refused(x, c) || (c == CURLE_OK && x->response.status != 0)) {
		answered(x);
	} else if (c == CURLE_OK) {
		break_unreached(x, CURLE_PARTIAL_FILE); /* closed within the head */
	} else if (x->stopped || transport_cancelled(x->t)) {
		exchange_break(x, RESTANTE_CANCELLED, "cancelled");
	} else if (x->foreign) {
		exchange_break(x, RESTANTE_UNTRUSTED, "%.100s is not on this machine: use https",
			       x->t->address.host);
	} else if (x->error.code != RESTANTE_OK) { /* a callback has said why */
		exchange_detach(x);
		x->state = EXCHANGE_FAILED;
	} else {
		break_for(x, c);
	}
}
