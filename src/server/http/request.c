#include "server/http/inside.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/interim.h"

int request_fd(struct request *r)
{
	if (r->direct != NULL)
		return r->direct->fd;
	return MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

const struct sockaddr *request_peer(const struct request *r)
{
	if (r->mc == NULL)
		return &r->direct->peer.any;
	return MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

gnutls_session_t request_tls(struct request *r)
{
	return r->side->pool != TLS
		       ? NULL
		       : MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_GNUTLS_SESSION)
				 ->tls_session;
}

void request_set_timeout(struct request *r, unsigned seconds)
{
	if (r->mc != NULL) /* else whoever has it looks at the clock */
		(void)MHD_set_connection_option(r->mc, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

bool request_expects_continue(struct request *r)
{
	size_t n;
	const char *v = request_header(r, "Expect", &n, NULL);

	return v != NULL && n == 12 && strncasecmp(v, "100-continue", n) == 0 && r->http11;
}

/* ---- what handlers ask ---- */

struct server *request_server(const struct request *r)
{
	return r->side->loop->http->server;
}

const struct settings *request_settings(const struct request *r)
{
	return r->settings;
}

enum http_method request_method(const struct request *r)
{
	return r->method;
}

bool request_from_admin(const struct request *r)
{
	return r->side->pool == OPERATOR;
}

struct address request_address(const struct request *r)
{
	return address_of(request_peer(r));
}

const char *request_param(const struct request *r, size_t *len)
{
	*len = r->route.param_len;
	return r->route.param;
}

const char *request_query(const struct request *r)
{
	const char *q = strchr(r->target, '?');

	return q == NULL ? NULL : q + 1;
}

struct header_search {
	const char *name, *value;
	size_t name_len, len;
	unsigned nth, found;
};

static enum MHD_Result match_header(void *cls, enum MHD_ValueKind kind, const char *name,
				    size_t name_len, const char *value, size_t len)
{
	struct header_search *s = cls;

	(void)kind;
	if (name_len == s->name_len && strncasecmp(name, s->name, name_len) == 0) {
		if (s->found++ == s->nth) {
			s->value = value;
			s->len = len;
		}
	}
	return MHD_YES;
}

static const char *search(const struct request *r, enum MHD_ValueKind kind, struct header_search *s,
			  size_t *len)
{
	s->name_len = strlen(s->name);
	if (r->kept != NULL && kind == MHD_HEADER_KIND)
		kept_each(r->kept, match_header, s);
	else if (r->mc != NULL) /* bodies that pass by the library have no trailer */
		(void)MHD_get_connection_values_n(r->mc, kind, match_header, s);
	if (s->found <= s->nth)
		return NULL;
	while (s->len > 0 && strchr(" \t", s->value[s->len - 1]) != NULL)
		s->len--;
	while (s->len > 0 && strchr(" \t", s->value[0]) != NULL) {
		s->value++;
		s->len--;
	}
	*len = s->len;
	return s->value == NULL ? "" : s->value;
}

const char *request_header(const struct request *r, const char *name, size_t *len, bool *twice)
{
	struct header_search s = { .name = name };
	const char *value = search(r, MHD_HEADER_KIND, &s, len);

	if (twice != NULL)
		*twice = s.found > 1;
	return value;
}

const char *request_trailer(const struct request *r, const char *name, size_t *len, bool *twice)
{
	struct header_search s = { .name = name };
	const char *value = search(r, MHD_FOOTER_KIND, &s, len);

	if (twice != NULL)
		*twice = s.found > 1;
	return value;
}

const char *request_header_line(const struct request *r, const char *name, unsigned nth,
				size_t *len)
{
	struct header_search s = { .name = name, .nth = nth };

	return search(r, MHD_HEADER_KIND, &s, len);
}

uint64_t request_body_length(const struct request *r)
{
	return r->body_length;
}

void *request_ctx(const struct request *r)
{
	return r->ctx;
}

void request_set_ctx(struct request *r, void *ctx)
{
	r->ctx = ctx;
}

enum http_next request_reply(struct request *r, struct reply *reply)
{
	assert(r->reply == NULL);
	if (reply != NULL)
		count_answered(r, reply->status);
	r->reply = reply;
	return reply == NULL ? HTTP_CUT : HTTP_GO;
}

/* nginx takes the first interim answer for the answer, and conf/nginx.conf has it say so. */
static bool takes_interim(const struct request *r)
{
	size_t n = 0;
	bool twice = false;

	return r->http11 && request_header(r, "Restante-Interim", &n, &twice) == NULL;
}

enum http_next request_interim(struct request *r, const char *fields)
{
	assert(r->reply == NULL);
	return !takes_interim(r) || interim_send(fields, request_fd(r), request_tls(r)) ? HTTP_GO
											: HTTP_CUT;
}

enum http_next request_become(struct request *r, const struct handler *h)
{
	r->ctx = NULL;
	r->handler = h;
	return h->head(r);
}

void request_interrupt(struct request *r)
{
	struct loop *l = r->side->loop;

	atomic_store(&r->interrupted, true);
	/* wakes the loop; what the kernel has is read first. A waiting request hears of it when it
	 * is woken */
	pthread_mutex_lock(&l->lock);
	(void)shutdown(request_fd(r), SHUT_RD);
	pthread_mutex_unlock(&l->lock);
}

bool request_interrupted(const struct request *r)
{
	return atomic_load(&r->interrupted);
}

void request_cut(struct request *r)
{
	struct loop *l = r->side->loop;

	pthread_mutex_lock(&l->lock);
	if (r->direct != NULL) {
		atomic_store(&r->direct->cut, true);
		direct_wake(r->direct);
	}
	/* the loop hears of it when it sends, or is about to. An end that would be taken for a
	 * clean one is left to it */
	if (r->direct == NULL || !r->direct->by_reset)
		(void)shutdown(request_fd(r), SHUT_RDWR);
	pthread_mutex_unlock(&l->lock);
	loop_kick(l);
}

bool request_over(const struct request *r)
{
	return r->over;
}

bool request_answered(const struct request *r)
{
	return r->sent;
}

void request_wait(struct request *r)
{
	assert(!r->over);
	r->stopped_ns = clock_mono_ns();
	pthread_mutex_lock(&r->side->loop->lock);
	r->stand = WAITING;
	pthread_mutex_unlock(&r->side->loop->lock);
	atomic_fetch_add(&r->side->loop->waiting, 1);
	if (r->direct == NULL)
		MHD_suspend_connection(r->mc);
}

void request_idle(struct request *r)
{
	struct loop *l = r->side->loop;
	bool woken;

	pthread_mutex_lock(&l->lock);
	woken = r->woken;
	r->woken = false;
	if (!woken)
		r->stand = IDLE;
	if (woken && r->direct != NULL)
		direct_wake(r->direct);
	pthread_mutex_unlock(&l->lock);
	if (r->direct == NULL) {
		MHD_suspend_connection(r->mc);
		/* if it has been resumed meanwhile, the library takes the one for the other */
		if (woken)
			MHD_resume_connection(r->mc);
	}
	if (woken)
		loop_kick(l);
}

enum stand request_stand(struct request *r)
{
	struct loop *l = r->side->loop;
	enum stand stand;

	pthread_mutex_lock(&l->lock);
	stand = r->stand;
	pthread_mutex_unlock(&l->lock);
	return stand;
}

void request_wake(struct request *r)
{
	struct loop *l = r->side->loop;
	enum stand stood;

	pthread_mutex_lock(&l->lock);
	stood = r->stand;
	r->stand = MOVING;
	r->woken = stood == MOVING;
	if (stood != MOVING && r->direct != NULL)
		direct_wake(r->direct);
	else if (stood != MOVING)
		MHD_resume_connection(r->mc);
	if (stood == WAITING)
		atomic_fetch_sub(&l->waiting, 1);
	pthread_mutex_unlock(&l->lock);
	/* in external mode nothing else wakes the loop */
	if (stood != MOVING)
		loop_kick(l);
}
