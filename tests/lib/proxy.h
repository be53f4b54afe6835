/* proxy - a TCP link between a client and a server on 127.0.0.1 that is as bad as a test wants it:
 * it breaks after so many bytes, is slow, or is down. It counts what passes. Each connection has a
 * thread of its own. Aborts on what a test never expects.
 *
 * Everything can be changed while it runs, from any thread. */
#ifndef RESTANTE_TESTS_PROXY_H
#define RESTANTE_TESTS_PROXY_H

#include <stdbool.h>
#include <stdint.h>

struct proxy;

struct proxy *proxy_new(int to_port);
void proxy_free(struct proxy *p); /* breaks what is connected; NULL is fine */

int proxy_port(const struct proxy *p);
const char *proxy_url(const struct proxy *p); /* "http://127.0.0.1:PORT" */

/* Each connection that is made from now on is broken after so many bytes up (to the server) or
 * down; 0: never. With `varied`, after half of it to all of it. The client sees a reset. The server
 * can still read what got to its machine, as when a radio link is lost. */
void proxy_set_cut(struct proxy *p, uint64_t up, uint64_t down, bool varied);

/* Bytes up in a second; 0: as fast as it goes. */
void proxy_set_rate(struct proxy *p, uint64_t up);

/* Connections are accepted and closed at once. */
void proxy_set_down(struct proxy *p, bool down);

/* Where new connections lead: a server that was restarted has another port. */
void proxy_set_target(struct proxy *p, int port);

/* Resets what is connected now, and returns when that is done. */
void proxy_break(struct proxy *p);

/* So far: connections, and the bytes that reached the other end's kernel. */
int proxy_connections(const struct proxy *p);
uint64_t proxy_up(const struct proxy *p);
uint64_t proxy_down(const struct proxy *p);

/* Waits up to ms for so many bytes up in all. */
bool proxy_reaches(const struct proxy *p, uint64_t up, int ms);

#endif
