#include "server/http/inside.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/tcp.h>
#include <netinet/in.h>

#include <utlist.h>

#include "base/log.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/tls.h"

struct conn *conn_of(struct MHD_Connection *mc)
{
	return MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* Bytes that have ever come from its client. The kernel counts the end of the client's direction as
 * one. */
static uint64_t received(const struct conn *c)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);

	return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_bytes_received
									: UINT64_MAX;
}

bool conn_is_idle(const struct conn *c)
{
	return received(c) == c->heard;
}

bool conn_is_quiet(struct request *r)
{
	return conn_is_idle(conn_of(r->mc));
}

bool conn_holds_nothing(struct request *r)
{
	const struct conn *c = conn_of(r->mc);
	int unread = 0;

	/* in this order: what comes in between is counted among all, and not among the unread */
	return ioctl(c->fd, FIONREAD, &unread) == 0 && received(c) == c->heard + (uint64_t)unread;
}

/* Lets go of a request, however it ended. */
static void request_free(struct request *r)
{
	if (r->side->pool == OPERATOR)
		atomic_fetch_sub(&r->side->loop->asked, 1);
	if (r->ctx != NULL && r->handler->gone != NULL)
		r->handler->gone(r);
	if (r->counted)
		count_ended(r);
	chunk_unref(r->piece.chunk);
	reply_unref(r->reply);
	free(r->kept);
	free(r);
}

/* Of a head that it refuses itself, MHD may tell the target and not the end: then the next request,
 * or the end of the connection, tells. */
static void forget_request(struct conn *c)
{
	struct request *r = c->request;

	c->request = NULL;
	c->looks = 0;
	if (r != NULL)
		request_free(r);
}

static void conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	forget_request(c);
	DL_DELETE(c->loop->conns, c);
	free(c);
}

/* The first that is heard of a request: its target, before MHD decodes it. */
void *conn_on_target(void *cls, const char *uri, struct MHD_Connection *mc)
{
	size_t n = strlen(uri);
	struct conn *c = conn_of(mc);
	struct request *r;

	if (c == NULL || c->stranger)
		return NULL;
	forget_request(c);
	r = calloc(1, sizeof(*r) + n + 1);
	if (r == NULL)
		return NULL;
	r->side = cls;
	r->mc = mc;
	r->settings = server_settings(request_server(r));
	r->began_ns = r->side->loop->turn_ns; /* asking the clock each time would be felt */
	memcpy(r->target, uri, n + 1);
	if (r->side->pool == OPERATOR)
		atomic_fetch_add(&r->side->loop->asked, 1);
	c->request = r;
	return r;
}

void conn_on_completed(void *cls, struct MHD_Connection *mc, void **req,
		       enum MHD_RequestTerminationCode how)
{
	struct request *r = *req;

	(void)cls;
	*req = NULL;
	if (r == NULL || r->mc == NULL) /* taken over: it goes on */
		return;
	r->over = true;
	if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		way_answer_late(r);
	else
		r->sent = true;
	count_sent(r);
	forget_request(conn_of(mc));
}

/* The socket's mode keeps others out already, unless somebody has changed it. */
static void check_operator(struct conn *c)
{
	if (listen_peer_is_operator(c->fd))
		return;
	c->stranger = true;
	metric_add(METRIC_STRANGERS, 1);
	log_warn("event=admin_refused");
	(void)shutdown(c->fd, SHUT_RDWR);
}

static struct conn *begin(struct side *side, struct MHD_Connection *mc)
{
	struct loop *l = side->loop;
	struct conn *c = calloc(1, sizeof(*c));

	if (side->pool == OPERATOR)
		atomic_fetch_add(&l->operator_count, 1);
	if (c == NULL)
		return NULL; /* its requests are cut */
	c->asks = side->pool == OPERATOR;
	c->loop = l;
	c->mc = side->pool == PLAIN ? mc : NULL;
	c->fd = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	DL_APPEND(l->conns, c);
	if (c->asks)
		check_operator(c);
	if (side->pool == TLS)
		tls_offer_ticket(MHD_get_connection_info(mc, MHD_CONNECTION_INFO_GNUTLS_SESSION)
					 ->tls_session);
	return c;
}

/* The library begins with a connection, or takes one back. */
static struct conn *begin_or_return(struct side *side, struct MHD_Connection *mc)
{
	struct conn *c = side->loop->returning;

	if (c == NULL)
		return begin(side, mc);
	side->loop->returning = NULL;
	c->taken = false;
	c->mc = mc;
	return c;
}

static void end(struct side *side, struct MHD_Connection *mc, struct conn *c)
{
	const bool asks = side->pool == OPERATOR;
	struct loop *l = side->loop;

	if (!asks)
		acceptor_left(l->http->acceptor,
			      MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
				      ->client_addr);
	atomic_fetch_sub(asks ? &l->operator_count : &l->conn_count, 1);
	l->closed++;
	conn_free(c);
}

void conn_on_connection(void *cls, struct MHD_Connection *mc, void **socket_context,
			enum MHD_ConnectionNotificationCode what)
{
	struct conn *c = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = begin_or_return(cls, mc);
		return;
	}
	*socket_context = NULL;
	if (c != NULL && c->taken)
		c->leaving = false;
	else
		end(cls, mc, c);
}

void conn_end_request(struct conn *c)
{
	count_sent(c->request);
	forget_request(c);
}

void conn_end_taken(struct conn *c, const struct sockaddr *peer)
{
	struct loop *l = c->loop;

	if (c->request != NULL)
		count_sent(c->request);
	conn_free(c);
	acceptor_left(l->http->acceptor, peer);
	atomic_fetch_sub(&l->conn_count, 1);
}
