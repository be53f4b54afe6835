#include "client/exchange.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/fail.h"
#include "client/printable.h"

#define STALL_MS 30000
#define LOCAL_URL "http://localhost"
#define CONNECTIONS 16L   /* kept open: as many as an upload may have parts */
#define PAUSED_LOOK_MS 50 /* see look_again() */

/* ---- the transport ---- */

/* The first in the process; libcurl's own count makes it safe beside others' calls. */
static CURLcode global_result;

static void global_init(void)
{
	global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum restante_code open_up(struct transport *t, const char *url, struct restante_error *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, global_init);
	if (global_result != CURLE_OK)
		return fail(e, RESTANTE_NOMEM, "libcurl does not start: %s",
			    curl_easy_strerror(global_result));
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake < 0)
		return fail(e, RESTANTE_IO, "eventfd: %s", strerror(errno));
	t->multi = curl_multi_init();
	if (t->multi == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	(void)curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
	/* parts of an upload are to have connections of their own, also with HTTP/2 */
	(void)curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return address_init(&t->address, url, e);
}

enum restante_code transport_new(struct transport **out, const char *url_base,
				 struct restante_error *e)
{
	struct transport *t = calloc(1, sizeof(*t));
	enum restante_code rc;

	if (t == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	t->wake = -1;
	t->stall_ms = STALL_MS;
	t->left_ms = clock_mono_ms();
	rc = open_up(t, url_base, e);
	if (rc == RESTANTE_OK)
		*out = t;
	else
		transport_free(t);
	return rc;
}

/* Behind the socket there is one server whatever its name; sentences have the path instead. */
static enum restante_code lead_to(struct transport *t, const char *path, struct restante_error *e)
{
	char *host = strdup(path);

	t->socket_path = strdup(path);
	if (host == NULL || t->socket_path == NULL) {
		free(host);
		return fail_plain(e, RESTANTE_NOMEM);
	}
	printable(host);
	free(t->address.host);
	t->address.host = host;
	return RESTANTE_OK;
}

enum restante_code transport_new_local(struct transport **out, const char *socket_path,
				       struct restante_error *e)
{
	const size_t n = strlen(socket_path);
	struct transport *t = NULL;
	enum restante_code rc;

	if (n == 0 || n >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fail(e, RESTANTE_INVALID, "the path of a socket has 1 to %zu bytes",
			    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	rc = transport_new(&t, LOCAL_URL, e);
	if (rc == RESTANTE_OK)
		rc = lead_to(t, socket_path, e);
	if (rc == RESTANTE_OK)
		*out = t;
	else
		transport_free(t);
	return rc;
}

/* libcurl ignores SIGPIPE while it says good-bye to servers, and then puts back what was: two
 * threads at once would put back each other's. */
static void close_all(CURLM *multi)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

	(void)pthread_mutex_lock(&one);
	(void)curl_multi_cleanup(multi);
	(void)pthread_mutex_unlock(&one);
}

void transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	for (struct exchange *x = t->all; x != NULL; x = x->next) {
		if (x->state == EXCHANGE_RUNS)
			exchange_break(x, RESTANTE_CANCELLED, "cancelled");
		x->t = NULL;
	}
	if (t->multi != NULL)
		close_all(t->multi);
	if (t->wake >= 0)
		(void)close(t->wake);
	address_fini(&t->address);
	free(t->ca_file);
	free(t->socket_path);
	free(t);
}

static enum restante_code no_ca_file(const char *path, int why, struct restante_error *e)
{
	char shown[121];

	(void)snprintf(shown, sizeof(shown), "%s", path);
	printable(shown);
	return fail(e, RESTANTE_IO, "certificates: %s: %s", shown, strerror(why));
}

enum restante_code transport_set_ca_file(struct transport *t, const char *path,
					 struct restante_error *e)
{
	char *copy = NULL;

	if (path != NULL) {
		if (access(path, R_OK) != 0)
			return no_ca_file(path, errno, e);
		copy = strdup(path);
		if (copy == NULL)
			return fail_plain(e, RESTANTE_NOMEM);
	}
	free(t->ca_file);
	t->ca_file = copy;
	return RESTANTE_OK;
}

void transport_set_stall(struct transport *t, unsigned ms)
{
	t->stall_ms = ms != 0 ? ms : STALL_MS;
}

enum restante_code transport_url(const struct transport *t, const char *target, char **out,
				 struct restante_error *e)
{
	return address_join(&t->address, target, out, e);
}

enum restante_code transport_resolve(const struct transport *t, const char *against,
				     const char *reference, char **out, struct restante_error *e)
{
	return address_resolve(&t->address, against, reference, out, e);
}

/* Of what is here only atomics and write(2), which signal handlers may use (signal-safety(7)). */
void transport_cancel(struct transport *t)
{
	const uint64_t one = 1;
	const int before = errno;

	atomic_store(&t->cancelled, true);
	(void)!write(t->wake, &one, sizeof(one));
	errno = before;
}

bool transport_cancelled(const struct transport *t)
{
	return atomic_load(&t->cancelled);
}

/* ---- running ---- */

static void collect(struct transport *t)
{
	CURLMsg *m;
	int rest;

	while ((m = curl_multi_info_read(t->multi, &rest)) != NULL) {
		const CURLcode c = m->data.result; /* m ends with its handle */
		char *private = NULL;

		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		exchange_done((struct exchange *)(void *)private, c);
	}
}

/* Time that passes outside of transport_run() is not the server's. */
static void come_back(struct transport *t)
{
	const int64_t now = clock_mono_ms(), away = now - t->left_ms;

	for (struct exchange *x = t->all; x != NULL; x = x->next) {
		x->moved_ms += away;
		if (x->moved_ms > now)
			x->moved_ms = now;
	}
}

/* When a body that waits is to be woken all the same: now and then while the answer is there
 * already. libcurl (7.88) does not take a request for finished while its body is paused, even if
 * the server has refused it. INT64_MAX: not at all. */
static int64_t look_at_ms(const struct exchange *x)
{
	return x->paused && x->response.status != 0 ? x->looked_ms + PAUSED_LOOK_MS : INT64_MAX;
}

/* Bodies that may go on, go on. */
static void wake_bodies(struct transport *t)
{
	const int64_t now = clock_mono_ms();

	for (struct exchange *x = t->all; x != NULL; x = x->next)
		if (x->state == EXCHANGE_RUNS && x->paused && (!x->later || look_at_ms(x) <= now)) {
			x->paused = false;
			x->looked_ms = now;
			(void)curl_easy_pause(x->easy, CURLPAUSE_CONT);
		}
}

static int64_t stalls_at_ms(const struct transport *t, const struct exchange *x)
{
	return x->later ? INT64_MAX : x->moved_ms + t->stall_ms;
}

static void break_off_stalled(struct transport *t)
{
	const int64_t now = clock_mono_ms();

	for (struct exchange *x = t->all; x != NULL; x = x->next)
		if (x->state == EXCHANGE_RUNS && stalls_at_ms(t, x) <= now)
			exchange_break(x, RESTANTE_NETWORK, "%.100s was silent for %lld s",
				       t->address.host, (long long)(t->stall_ms + 999) / 1000);
}

/* How long may be slept. */
static int patience(const struct transport *t, int wait_ms)
{
	const int64_t now = clock_mono_ms();
	int64_t until = now + wait_ms;

	for (const struct exchange *x = t->all; x != NULL; x = x->next) {
		if (x->state != EXCHANGE_RUNS)
			continue;
		if (stalls_at_ms(t, x) < until)
			until = stalls_at_ms(t, x);
		if (look_at_ms(x) < until)
			until = look_at_ms(x);
	}
	return until > now ? (int)(until - now) : 0;
}

static enum restante_code work(struct transport *t, int wait_ms, int fd, bool *readable,
			       struct restante_error *e)
{
	struct curl_waitfd fds[2] = { { .fd = t->wake, .events = CURL_WAIT_POLLIN },
				      { .fd = fd, .events = CURL_WAIT_POLLIN } };
	struct pollfd own = { .fd = fd, .events = POLLIN };
	int running;
	CURLMcode c;

	wake_bodies(t);
	c = curl_multi_poll(t->multi, fds, fd >= 0 ? 2 : 1, patience(t, wait_ms), NULL);
	if (transport_cancelled(t))
		return fail_plain(e, RESTANTE_CANCELLED);
	if (c == CURLM_OK)
		c = curl_multi_perform(t->multi, &running);
	if (c != CURLM_OK)
		return fail(e, RESTANTE_IO, "libcurl: %s", curl_multi_strerror(c));
	collect(t);
	break_off_stalled(t);
	/* libcurl does not pass on that the other end was closed (POLLHUP) */
	if (readable != NULL)
		*readable = fd >= 0 && poll(&own, 1, 0) > 0;
	return RESTANTE_OK;
}

enum restante_code transport_run(struct transport *t, int wait_ms, int fd, bool *readable,
				 struct restante_error *e)
{
	enum restante_code rc = RESTANTE_CANCELLED;

	if (readable != NULL)
		*readable = false;
	come_back(t);
	if (!transport_cancelled(t))
		rc = work(t, wait_ms, fd, readable, e);
	t->left_ms = clock_mono_ms();
	return transport_cancelled(t) ? fail_plain(e, RESTANTE_CANCELLED) : rc;
}
