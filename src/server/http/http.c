#include "server/http/inside.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

/* From the acceptor's thread: the loop with the fewest connections gets it. */
static void give(void *ctx, const struct accepted *in)
{
	struct http *h = ctx;
	struct loop *best = &h->loops[0];

	for (size_t i = 1; i < h->loop_count; i++)
		if (atomic_load(&h->loops[i].conn_count) < atomic_load(&best->conn_count))
			best = &h->loops[i];
	if (loop_give(best, in))
		return;
	acceptor_left(h->acceptor, (const struct sockaddr *)&in->sa);
	(void)close(in->fd);
}

enum err_code http_start(struct http **out, struct server *server, const struct settings *settings,
			 struct listener *listeners, size_t listener_count, int admin_fd,
			 struct err *e)
{
	struct http *h = calloc(1, sizeof(*h));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	bool tls = false;
	enum err_code rc;

	if (h == NULL)
		return err_set(e, ERR_NOMEM, "transport");
	h->server = server;
	reply_native_free = native_free;
	h->admin_fd = admin_fd;
	h->loop_count =
		settings->http_loops != 0 ? settings->http_loops : (size_t)(cores > 0 ? cores : 1);
	h->loops = calloc(h->loop_count, sizeof(*h->loops));
	for (size_t i = 0; i < listener_count; i++)
		tls = tls || listeners[i].tls;
	for (size_t i = 0; h->loops != NULL && i < h->loop_count; i++) {
		if (!loop_start(h, &h->loops[i], settings, tls, i == 0 ? admin_fd : -1)) {
			rc = err_set(e, ERR_IO, "event loop %zu does not start", i);
			goto out;
		}
	}
	rc = h->loops == NULL ? err_set(e, ERR_NOMEM, "event loops") : ERR_OK;
	if (rc == ERR_OK)
		rc = acceptor_start(&h->acceptor, listeners, listener_count, settings, give, h, e);
	if (rc != ERR_OK)
		goto out;
	*out = h;
	h = NULL;
out:
	if (h != NULL) {
		static const int at_once = 1;

		http_stop(h, 0, &at_once);
		http_free(h);
	}
	return rc;
}

size_t http_connections(const struct http *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->loop_count; i++)
		n += atomic_load(&h->loops[i].conn_count) +
		     atomic_load(&h->loops[i].operator_count);
	return n;
}

/* Whether anyone is waited for: clients, and questions of the operator, but not who might ask. */
static bool is_busy(const struct http *h)
{
	bool busy = false;

	for (size_t i = 0; i < h->loop_count; i++)
		busy = busy || atomic_load(&h->loops[i].conn_count) > 0 ||
		       atomic_load(&h->loops[i].asked) > 0;
	return busy;
}

static void enter_phase(struct http *h, int phase)
{
	atomic_store(&h->phase, phase);
	for (size_t i = 0; i < h->loop_count; i++)
		if (h->loops[i].running)
			loop_kick(&h->loops[i]);
}

void http_stop(struct http *h, int64_t grace_ms, const volatile int *hurry)
{
	const int64_t until = clock_mono_ms() + grace_ms;

	/* B2, B8: the listening sockets are the acceptor's, MHD never sees them */
	acceptor_stop(h->acceptor);
	enter_phase(h, DRAINING);
	while (is_busy(h) && clock_mono_ms() < until && !*hurry)
		(void)usleep(10 * 1000);
	enter_phase(h, CUTTING);
	for (size_t i = 0; i < h->loop_count; i++)
		if (h->loops[i].running)
			(void)pthread_join(h->loops[i].thread, NULL);
	for (size_t i = 0; i < h->loop_count; i++)
		daemons_stop(&h->loops[i]);
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; h->loops != NULL && i < h->loop_count; i++)
		if (h->loops[i].http != NULL) /* else it was never started */
			loop_fini(&h->loops[i]);
	acceptor_free(h->acceptor);
	free(h->loops);
	free(h);
}
