#include "client/exchange.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sodium.h>

#include "base/clock.h"
#include "client/fail.h"
#include "restante/version.h"

#define CONNECT_MS 15000L
#define BUFFER_SIZE (512L << 10)

/* ---- what libcurl calls ---- */

static size_t give_body(struct exchange *x, uint8_t *out, size_t cap)
{
	size_t n = 0;

	switch (x->rq.body(x->rq.ctx, out, cap, &n)) {
	case BODY_SOME:
		assert(n > 0 && n <= cap);
		x->left -= n;
		return n;
	case BODY_END:
		if (x->rq.body_size == BODY_UNKNOWN)
			return 0;
		break; /* it was to be longer: the server must not take it for whole */
	case BODY_LATER:
		x->later = true;
		x->paused = true;
		return CURL_READFUNC_PAUSE;
	case BODY_STOP:
		break;
	}
	x->stopped = true;
	return CURL_READFUNC_ABORT;
}

static size_t on_body(char *out, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t cap = size * count;

	if (transport_cancelled(x->t))
		return CURL_READFUNC_ABORT;
	if (x->later) { /* it was wake_bodies() that woke us */
		x->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	if (x->rq.body_size >= 0 && cap > x->left)
		cap = (size_t)x->left;
	return cap == 0 ? 0 : give_body(x, (uint8_t *)out, cap);
}

/* What a callback gives then. Without a sentence: no memory. */
static size_t refuse(struct exchange *x, const char *why)
{
	if (why != NULL)
		(void)fail(&x->error, RESTANTE_SERVER, "%s", why);
	else
		(void)fail_plain(&x->error, RESTANTE_NOMEM);
	return 0;
}

static size_t on_head(char *line, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;

	x->moved_ms = clock_mono_ms();
	switch (response_line(&x->response, line, size * count)) {
	case RESPONSE_ON:
		return size * count;
	case RESPONSE_HEAD:
		if (x->rq.head == NULL || x->rq.head(x->rq.ctx))
			return size * count;
		x->stopped = true;
		return 0;
	case RESPONSE_BAD:
		return refuse(x, "the head of the server's answer is broken or too long");
	case RESPONSE_NOMEM:
		break;
	}
	return refuse(x, NULL);
}

/* A refusal's words are not what was asked for. */
static bool is_wanted(const struct exchange *x)
{
	const int status = exchange_status(x);

	return x->rq.data != NULL && status >= 200 && status <= 299;
}

static size_t keep_text(struct exchange *x, struct bytes piece)
{
	switch (response_text(&x->response, piece)) {
	case RESPONSE_BAD:
		return refuse(x, "the server's answer does not end");
	case RESPONSE_NOMEM:
		return refuse(x, NULL);
	default:
		return piece.len;
	}
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	const struct bytes piece = { (const uint8_t *)data, size * count };

	if (transport_cancelled(x->t))
		return 0;
	if (!is_wanted(x))
		return keep_text(x, piece);
	if (piece.len == 0 || x->rq.data(x->rq.ctx, piece))
		return piece.len;
	x->stopped = true;
	return 0;
}

static int on_progress(void *ctx, curl_off_t down_of, curl_off_t down, curl_off_t up_of,
		       curl_off_t up)
{
	struct exchange *x = ctx;

	(void)down_of;
	(void)up_of;
	if (down != x->down || up != x->up || x->later)
		x->moved_ms = clock_mono_ms();
	x->down = down;
	x->up = up;
	return transport_cancelled(x->t);
}

static bool is_local(const struct sockaddr *sa)
{
	const void *p = sa;

	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)p)->sin_addr.s_addr) >> 24 == 127;
	return sa->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)p)->sin6_addr);
}

static bool may_connect(const struct transport *t, const struct sockaddr *to)
{
	if (t->socket_path != NULL)
		return to->sa_family == AF_UNIX;
	return !t->address.plain || is_local(to);
}

/* Whatever "localhost" resolves to: plain http stays on this machine. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct exchange *x = ctx;

	(void)purpose;
	if (!may_connect(x->t, &to->addr)) {
		x->foreign = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* ---- beginning ---- */

#define SET(x, option, value) (curl_easy_setopt((x)->easy, (option), (value)) == CURLE_OK)

static bool set_manners(struct exchange *x)
{
	const struct transport *t = x->t;
	bool ok = SET(x, CURLOPT_NOSIGNAL, 1L) &&
		  SET(x, CURLOPT_PROTOCOLS_STR, t->address.plain ? "http" : "https") &&
		  SET(x, CURLOPT_FOLLOWLOCATION, 0L) &&
		  SET(x, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
		  SET(x, CURLOPT_HTTP_CONTENT_DECODING, 0L) &&
		  SET(x, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
		  SET(x, CURLOPT_USERAGENT, "restante/" RESTANTE_VERSION) &&
		  SET(x, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) &&
		  SET(x, CURLOPT_BUFFERSIZE, BUFFER_SIZE) &&
		  SET(x, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_SIZE) &&
		  SET(x, CURLOPT_TCP_KEEPALIVE, 1L) && SET(x, CURLOPT_PIPEWAIT, 0L) &&
		  SET(x, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);

#if LIBCURL_VERSION_NUM >= 0x075700
	/* who cancels does not wait for a name to be resolved */
	ok = ok && SET(x, CURLOPT_QUICK_EXIT, 1L);
#endif
	if (t->address.loopback)
		ok = ok && SET(x, CURLOPT_NOPROXY, "*");
	if (t->socket_path != NULL)
		ok = ok && SET(x, CURLOPT_UNIX_SOCKET_PATH, t->socket_path);
	if (t->ca_file != NULL)
		ok = ok && SET(x, CURLOPT_CAINFO, t->ca_file) && SET(x, CURLOPT_CAPATH, NULL);
	return ok;
}

static bool set_callbacks(struct exchange *x)
{
	return SET(x, CURLOPT_PRIVATE, x) && SET(x, CURLOPT_ERRORBUFFER, x->why) &&
	       SET(x, CURLOPT_READFUNCTION, on_body) && SET(x, CURLOPT_READDATA, x) &&
	       SET(x, CURLOPT_HEADERFUNCTION, on_head) && SET(x, CURLOPT_HEADERDATA, x) &&
	       SET(x, CURLOPT_WRITEFUNCTION, on_data) && SET(x, CURLOPT_WRITEDATA, x) &&
	       SET(x, CURLOPT_OPENSOCKETFUNCTION, on_socket) && SET(x, CURLOPT_OPENSOCKETDATA, x) &&
	       SET(x, CURLOPT_NOPROGRESS, 0L) && SET(x, CURLOPT_XFERINFOFUNCTION, on_progress) &&
	       SET(x, CURLOPT_XFERINFODATA, x);
}

/* Methods that usually bring a body say "Content-Length: 0" without one (RFC 9110 section 8.6). */
static bool brings_body(const struct exchange_request *rq)
{
	return rq->body_size != BODY_NONE || strcmp(rq->method, "POST") == 0 ||
	       strcmp(rq->method, "PUT") == 0 || strcmp(rq->method, "PATCH") == 0;
}

static bool set_method(struct exchange *x, const struct exchange_request *rq, const char *url)
{
	const curl_off_t size = rq->body_size == BODY_NONE ? 0
				: rq->body_size < 0        ? -1
							   : (curl_off_t)rq->body_size;

	if (!SET(x, CURLOPT_URL, url))
		return false;
	if (strcmp(rq->method, "HEAD") == 0)
		return SET(x, CURLOPT_NOBODY, 1L);
	if (brings_body(rq) &&
	    !(SET(x, CURLOPT_UPLOAD, 1L) && SET(x, CURLOPT_INFILESIZE_LARGE, size)))
		return false;
	return SET(x, CURLOPT_CUSTOMREQUEST, rq->method);
}

static bool add_field(struct exchange *x, const char *field)
{
	struct curl_slist *more = curl_slist_append(x->fields, field);

	if (more != NULL)
		x->fields = more;
	return more != NULL;
}

/* A line end in a value, which may have come from a server, would be a field of its own. */
static bool is_one_line(const char *field)
{
	for (const char *p = field; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	return true;
}

static enum restante_code set_fields(struct exchange *x, const struct exchange_request *rq,
				     struct restante_error *e)
{
	/* without a value: libcurl does not send its own */
	bool ok = add_field(x, "Expect:");

	for (int i = 0; i < TRANSPORT_FIELDS_MAX && rq->fields[i] != NULL; i++) {
		if (!is_one_line(rq->fields[i]))
			return fail(e, RESTANTE_INVALID, "a header field with control characters");
		ok = ok && add_field(x, rq->fields[i]);
	}
	if (!ok || !SET(x, CURLOPT_HTTPHEADER, x->fields))
		return fail_plain(e, RESTANTE_NOMEM);
	return RESTANTE_OK;
}

static enum restante_code set_up(struct exchange *x, const struct exchange_request *rq,
				 const char *url, struct restante_error *e)
{
	enum restante_code rc;

	x->easy = curl_easy_init();
	if (x->easy == NULL || !set_manners(x) || !set_callbacks(x) || !set_method(x, rq, url))
		return fail_plain(e, RESTANTE_NOMEM);
	rc = set_fields(x, rq, e);
	if (rc == RESTANTE_OK && curl_multi_add_handle(x->t->multi, x->easy) != CURLM_OK)
		rc = fail_plain(e, RESTANTE_NOMEM);
	return rc;
}

static enum restante_code start(struct exchange *x, const struct exchange_request *rq,
				struct restante_error *e)
{
	enum restante_code rc;
	char *ours = NULL; /* wherever the address comes from, it is looked at once more */

	rc = address_resolve(&x->t->address, NULL, rq->url, &ours, e);
	if (rc == RESTANTE_OK)
		rc = set_up(x, rq, ours, e);
	address_free(ours); /* it may have a token in it */
	return rc;
}

enum restante_code exchange_begin(struct transport *t, struct exchange **out,
				  const struct exchange_request *rq, struct restante_error *e)
{
	struct exchange *x = calloc(1, sizeof(*x));
	enum restante_code rc;

	if (x == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	x->t = t;
	x->next = t->all;
	t->all = x;
	x->rq = *rq;
	x->left = rq->body_size > 0 ? (uint64_t)rq->body_size : 0;
	x->moved_ms = clock_mono_ms();
	rc = start(x, rq, e);
	if (rc == RESTANTE_OK)
		*out = x;
	else
		exchange_end(x);
	return rc;
}

/* One of them may be Authorization. */
static void free_fields(struct exchange *x)
{
	for (struct curl_slist *f = x->fields; f != NULL; f = f->next)
		sodium_memzero(f->data, strlen(f->data));
	curl_slist_free_all(x->fields);
	x->fields = NULL;
}

void exchange_detach(struct exchange *x)
{
	if (x->easy != NULL && x->t != NULL)
		(void)curl_multi_remove_handle(x->t->multi, x->easy);
	curl_easy_cleanup(x->easy);
	x->easy = NULL;
	free_fields(x);
}

void exchange_end(struct exchange *x)
{
	if (x == NULL)
		return;
	if (x->t != NULL)
		for (struct exchange **p = &x->t->all; *p != NULL; p = &(*p)->next)
			if (*p == x) {
				*p = x->next;
				break;
			}
	exchange_detach(x);
	response_fini(&x->response);
	free(x);
}

void exchange_go_on(struct exchange *x)
{
	x->later = false;
	x->moved_ms = clock_mono_ms();
}

/* ---- looking ---- */

enum exchange_state exchange_state(const struct exchange *x)
{
	return x->state;
}

const struct restante_error *exchange_error(const struct exchange *x)
{
	return &x->error;
}

int exchange_status(const struct exchange *x)
{
	return x->response.status;
}

const char *exchange_field(const struct exchange *x, const char *name)
{
	return response_get(&x->response, name);
}

struct bytes exchange_text(const struct exchange *x)
{
	return (struct bytes){ x->response.text, x->response.text_len };
}
