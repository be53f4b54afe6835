/* direct - sockets whose bytes we move ourselves, past the library: a loop's own epoll set, and
 * whose turn it is. A socket in it is either one whose library connection is suspended meanwhile,
 * or one that was taken over from the library for good. Plain connections of clients only.
 *
 * Events are told once, when something changes (edge-triggered): whoever has not met EAGAIN asks
 * for another turn, which comes after everybody else's. Loop thread, where nothing else is said. */
#ifndef RESTANTE_SERVER_HTTP_DIRECT_H
#define RESTANTE_SERVER_HTTP_DIRECT_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct direct;
struct loop;
struct request;

enum direct_next {
	DIRECT_LATER, /* at the next event, or wake */
	DIRECT_AGAIN, /* once the others had their turn */
	DIRECT_OVER,  /* it has come to its end: kind->over() is called */
};

/* What is done with a socket, by what it is there for. */
struct direct_kind {
	/* Its turn: events as epoll has them, 0 if it was woken or wanted another turn. Also when
	 * d->cut was set, and when the server stops (EPOLLHUP). */
	enum direct_next (*move)(struct direct *d, uint32_t events);
	/* Once a second; may call direct_turn_for(). */
	void (*look)(struct direct *d, int64_t now_ms);
	/* Calls direct_close() or direct_leave(), and lets go of all the rest, also of d itself. */
	void (*over)(struct direct *d);
};

struct direct { /* the first part of what its kind needs */
	const struct direct_kind *kind;
	struct loop *loop;
	struct request *request; /* NULL: between two */
	int fd;
	bool by_reset;   /* closed before its time it has to be reset; set before it is entered */
	uint32_t events; /* not told of yet */
	bool is_due, is_woken; /* in the lists of those names; the second under the loop's lock */
	atomic_bool cut;       /* request_cut() was called */
	struct direct *prev, *next, *due_prev, *due_next, *woken_prev, *woken_next;
	/* of one that was taken over: */
	struct conn *conn;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
};

struct direct_set {
	int epoll_fd;
	size_t count;
	struct direct *all, *due;
	struct direct *woken; /* under the loop's lock */
};

/* False: it does not start. direct_set_fini() all the same. */
bool direct_set_init(struct direct_set *s);
void direct_set_fini(struct direct_set *s);

/* Puts r's socket into the set of its loop, and d into its hands (r->direct): from here on its
 * waits and wakes are the set's affair. The first turn comes by itself. With `take`, the connection
 * is taken over from the library, whose access callback has to return MHD_NO next: that ends what
 * the library has of it, and nothing else. False: everything is as before. */
bool direct_enter(struct request *r, struct direct *d, const struct direct_kind *kind, bool take);

/* Takes a connection over that has no request, and of which the library holds nothing
 * (conn_is_idle()): c->leaving until the library has heard of it. False: everything is as before.
 */
bool direct_adopt(struct conn *c, struct direct *d, const struct direct_kind *kind);

/* Takes d out of the set: the socket, which was not taken over, is the library's again. */
void direct_leave(struct direct *d);

/* Ends a connection that was taken over, and its request, and takes d out of the set. */
void direct_close(struct direct *d);

/* Takes d, which was taken over and has no request, out of the set: the library takes its
 * connection back. */
void direct_return(struct direct *d);

/* It gets a turn. */
void direct_turn_for(struct direct *d);

/* The same from any thread that holds the loop's lock; the loop is to be kicked. */
void direct_wake(struct direct *d);

/* Everybody's turn who has one. */
void direct_turns(struct loop *l);

/* Whether somebody wants another turn at once. */
bool direct_is_due(const struct direct_set *s);

void direct_look(struct loop *l, int64_t now_ms); /* once a second */
void direct_stop(struct loop *l);                 /* all are told that the end has come */

#endif
