/* inside - what the files of the transport share: its structures, and who does what. For this room
 * only; the others see server/http.h.
 *
 * It is made of libmicrohttpd 0.9.75 in external epoll mode. What the library does wrong, and what
 * is done here about it, is told in doc/architecture.md ("Ten bugs"); the names B1 to B10 in
 * comments refer to that list.
 *
 * Loop thread only, where nothing else is said. */
#ifndef RESTANTE_SERVER_HTTP_INSIDE_H
#define RESTANTE_SERVER_HTTP_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "server/http.h"
#include "server/http/acceptor.h"
#include "server/http/direct.h"
#include "server/http/linger.h"
#include "server/http/pace.h"
#include "server/own_fields.h"
#include "server/route.h"

/* A loop has a daemon of the library for each kind of connection. */
enum pool { PLAIN, TLS, OPERATOR, POOLS };

/* In bytes. Head of the request, a struct for each of its fields, and head of the answer have to go
 * in; long bodies pass by it. Under TLS they pass through, and it has the size at which reading
 * costs least. */
static inline size_t pool_size(enum pool pool)
{
	return (size_t)(pool == TLS ? 64 : 20) << 10;
}

struct conn { /* one TCP connection */
	int fd;
	struct request *request;   /* under way; NULL: idle */
	bool asks;                 /* on the operator's socket */
	bool stranger;             /* on the operator's socket: nothing is heard */
	bool leaving;              /* ... but has not heard of that yet */
	unsigned char looks;       /* at it, since the last request ended on it */
	struct MHD_Connection *mc; /* of a plain one that the library has */
	bool taken;                /* over from the library, which has it no more */
	uint64_t heard; /* bytes of its requests, without the framing of chunked bodies */
	struct loop *loop;
	struct conn *prev, *next;
};

struct arrival; /* accepted, on its way to a loop: loop.c */

struct loop {
	struct http *http;
	struct side { /* what a daemon's callbacks are given */
		struct loop *loop;
		enum pool pool;
		struct MHD_Daemon *daemon;
	} sides[POOLS];
	int wake_fd;
	atomic_bool kicked; /* wake_fd is written already */
	pthread_t thread;
	bool running;
	struct conn *conns;           /* loop thread only, like closed */
	size_t closed;                /* connections that have ended */
	atomic_size_t conn_count;     /* of clients */
	atomic_size_t operator_count; /* connections of the operator */
	atomic_size_t asked;          /* requests of the operator under way */
	atomic_size_t waiting;        /* suspended requests */
	unsigned quiet_turns;         /* without any, while cutting */
	int64_t look_ms;              /* when to look at all connections */
	int64_t turn_ns;              /* when this turn began: what it finds has come by then */
	struct direct_set direct;
	struct conn *returning; /* taken over once, while the library takes it back */
	pthread_mutex_t
		lock; /* arrivals; whether its requests stand, and where their sockets are */
	struct arrival *arrivals;
};

struct http {
	struct server *server;
	struct acceptor *acceptor;
	struct loop *loops;
	size_t loop_count;
	int admin_fd;
	atomic_int phase; /* RUNNING, then DRAINING, then CUTTING */
};
enum { RUNNING, DRAINING, CUTTING };

enum state { AT_HEAD, AT_BODY, AT_DONE, DISCARDING, LINGERING, ANSWERED, STATES }; /* way.c */

struct request {
	struct side *side;
	struct MHD_Connection *mc; /* NULL: taken over from the library */
	struct kept *kept;         /* the fields of its head, if they are to outlive mc */
	struct direct *direct;     /* its socket is in the loop's own set; under the loop's lock */
	const struct settings *settings; /* of its host, however often they are reloaded */
	const struct handler *handler;
	void *ctx;
	struct reply *reply;
	enum state state;
	enum http_method method;
	struct route_match route;
	uint64_t body_length, body_seen;
	struct pace pace; /* of the body */
	struct lingering linger;
	struct reply_piece piece; /* of a stream that the library sends, at piece_pos */
	uint64_t piece_pos;
	uint64_t streamed; /* bytes of a stream so far */
	atomic_bool interrupted;
	enum stand { MOVING, WAITING, IDLE } stand; /* under the loop's lock, like woken */
	bool woken;                                 /* while it was moving */
	bool http11;
	bool head_only; /* HEAD on the wire, whatever is asked for */
	bool counted;
	bool over;                              /* the library has ended it: nobody may wait */
	bool sent;                              /* its answer, whole */
	bool left;                              /* its client, while it was idle */
	bool done_waited;                       /* the handler's done() is to be asked again */
	int64_t began_ns, stopped_ns, stood_ns; /* its head came; it waits since (0: it does not);
						 * how long it has waited in all */
	char target[];                          /* as sent, query and all */
};

/* ---- request.c: what handlers ask of it and do with it (server/http.h), and what we do ---- */

int request_fd(struct request *r);
const struct sockaddr *request_peer(const struct request *r);
gnutls_session_t request_tls(struct request *r); /* NULL: a plain connection */
void request_set_timeout(struct request *r, unsigned seconds);
bool request_expects_continue(struct request *r);

/* Its reader said REPLY_IDLE: it stands until request_wake(), unless that came first. */
void request_idle(struct request *r);

enum stand request_stand(struct request *r);

/* ---- kept.c: a head that outlives the library's connection ---- */

/* Copies its fields, before anybody has been shown one. Nothing changes without memory. */
void kept_make(struct request *r);

/* Shows each, as MHD_get_connection_values_n() does. */
void kept_each(const struct kept *k, MHD_KeyValueIteratorN each, void *cls);

/* ---- head.c: whether a head is sound, which host and which handler it is for ---- */

/* Sets r->handler, or answers. MHD_NO: the connection is to be cut. */
enum MHD_Result head_look(struct request *r, const char *method, const char *version);

/* ---- way.c: head, body, end, and the handler's functions on the way ---- */

void way_move(struct request *r, enum state next);

/* MHD_AccessHandlerCallback */
enum MHD_Result way_on_request(void *cls, struct MHD_Connection *mc, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *size, void **req);

/* A request that brings its body too slowly is answered, and what it brought stays. Time in which
 * it waited for us does not count. */
void way_check_pace(struct request *r, const struct settings *s, int64_t now_ms);

/* It goes on, after a wait or without one. */
void way_go_on(struct request *r);

/* The library has ended the request, and its answer may not have been sent yet. */
void way_answer_late(struct request *r);

/* ---- respond.c: how the answer r->reply goes out. MHD_NO: the connection is to be cut ---- */

/* All of the body is there, or none of it is waited for. */
enum MHD_Result respond(struct request *r);

/* It is there before the body is. */
enum MHD_Result respond_early(struct request *r, bool body_begun);

/* Answers a request whose body has not begun with this problem. */
enum MHD_Result respond_refuse(struct request *r, int status, const char *detail);

/* Where the library would not send it: by hand, and to a client that may still be sending. False:
 * it could not be written. */
bool respond_by_hand(struct request *r);

/* ---- intake.c: long bodies from plain connections, past the library ---- */

/* Before its handler has seen the request: its body may be one. */
void intake_expect(struct request *r);

/* Takes the connection over, with what is left of the body; the library is to be told MHD_NO then.
 * False: it goes on in the library. */
bool intake_begin(struct request *r);

/* ---- direct_send.c: streams to plain connections, past the library ---- */

/* Whether its answer is one, and the last on its connection: who has asked for more already, or has
 * closed his direction, is answered by the library. */
bool direct_sends(struct request *r);

/* Takes the connection over and sends r->reply, with these fields too. MHD_NO, whatever comes. */
enum MHD_Result direct_send(struct request *r, const struct own_field *own, size_t own_count);

/* On a connection that was taken over: all of it at once. *stay is whether the connection may be
 * kept, then whether it is. False as above. */
bool respond_taken(struct request *r, bool *stay);

/* ---- native.c: a reply as the library's response; NULL without memory. Any thread ---- */

/* The one that the reply keeps, for every request that gets no fields of its own. Not of streams,
 * whose reading is each request's own. */
struct MHD_Response *native_of(struct reply *reply);

/* One for this answer only, with these fields too; MHD_destroy_response() ends it. */
struct MHD_Response *native_alone(struct request *r, const struct own_field *own, size_t own_count,
				  bool close);

void native_free(void *native); /* for reply_native_free */

/* ---- count.c: what is counted, timed and logged of a request ---- */

void count_answered(const struct request *r, int status); /* its answer is there */
void count_sent(const struct request *r);                 /* as far as it was, it has been sent */
void count_ended(struct request *r);

/* ---- conn.c: connections, and the request on each from its first word until it is let go ---- */

void *conn_on_target(void *cls, const char *uri, struct MHD_Connection *mc);
void conn_on_completed(void *cls, struct MHD_Connection *mc, void **req,
		       enum MHD_RequestTerminationCode how);
void conn_on_connection(void *cls, struct MHD_Connection *mc, void **socket_context,
			enum MHD_ConnectionNotificationCode what);

struct conn *conn_of(struct MHD_Connection *mc);

/* The same of a connection that has no request. */
bool conn_is_idle(const struct conn *c);

/* Whether all that has ever come on r's connection belongs to its requests so far: the library
 * holds nothing of a next one, and the client has not closed its direction. */
bool conn_is_quiet(struct request *r);

/* Whether the library has read nothing yet of what comes behind the requests so far: all that has
 * come is in the kernel. */
bool conn_holds_nothing(struct request *r);

/* The end of the request on one that was taken over. */
void conn_end_request(struct conn *c);

/* The end of one that was taken over, and of its request, if any: all but its socket. */
void conn_end_taken(struct conn *c, const struct sockaddr *peer);

/* ---- daemons.c: the library in a loop. Before its thread starts, and after it has ended ---- */

/* admin_fd: the operator's listening socket, or -1. False: not all of them start. */
bool daemons_start(struct loop *l, const struct settings *set, bool tls, int admin_fd);

/* What is still connected ends here, while those who hear of it are still there. */
void daemons_stop(struct loop *l);

/* ---- loop.c: an event loop and its thread ---- */

/* False: it does not start. loop_fini() all the same. */
bool loop_start(struct http *h, struct loop *l, const struct settings *set, bool tls, int admin_fd);

/* Wakes it. Any thread. */
void loop_kick(struct loop *l);

/* Hands it a connection, with its socket. False: no memory. Any thread. */
bool loop_give(struct loop *l, const struct accepted *in);

/* After its thread and daemons have ended, or have not all started. */
void loop_fini(struct loop *l);

#endif
