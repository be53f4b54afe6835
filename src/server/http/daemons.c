#include "server/http/inside.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/tls.h"

static size_t keep_escapes(void *cls, struct MHD_Connection *mc, char *s)
{
	(void)cls;
	(void)mc;
	return strlen(s);
}

/* Without its arguments: there may be a token among them. */
static void on_library_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)ap;
	log_debug("event=transport text=\"%.*s\"", (int)strcspn(fmt, "\r\n"), fmt);
}

static bool start_daemon(struct loop *l, enum pool pool, const struct settings *set, int listen_fd)
{
	const size_t memory = pool_size(pool);
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
			       (listen_fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0u) |
			       /* TURBO: a socket that we take over is not shut down by it */
			       (pool == TLS        ? MHD_USE_TLS
				: pool == OPERATOR ? 0u
						   : MHD_USE_TURBO);
	struct side *side = &l->sides[pool];
	struct MHD_OptionItem extra[2] = { { MHD_OPTION_END, 0, NULL },
					   { MHD_OPTION_END, 0, NULL } };

	if (listen_fd >= 0)
		extra[0] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL };
	else if (pool == TLS)
		extra[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
						    (void *)(uintptr_t)tls_retrieve };
	*side = (struct side){ .loop = l, .pool = pool };
	side->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, way_on_request, side, MHD_OPTION_EXTERNAL_LOGGER,
		on_library_log, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
		MHD_OPTION_CONNECTION_MEMORY_INCREMENT, memory, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)set->http_timeout, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)set->http_connections, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
		NULL, MHD_OPTION_URI_LOG_CALLBACK, conn_on_target, side,
		MHD_OPTION_NOTIFY_COMPLETED, conn_on_completed, side, MHD_OPTION_NOTIFY_CONNECTION,
		conn_on_connection, side, MHD_OPTION_ARRAY, extra, MHD_OPTION_END);
	return side->daemon != NULL;
}

bool daemons_start(struct loop *l, const struct settings *set, bool tls, int admin_fd)
{
	return start_daemon(l, PLAIN, set, -1) && (!tls || start_daemon(l, TLS, set, -1)) &&
	       (admin_fd < 0 || start_daemon(l, OPERATOR, set, dup(admin_fd)));
}

void daemons_stop(struct loop *l)
{
	for (int k = 0; k < POOLS; k++) {
		if (l->sides[k].daemon != NULL)
			MHD_stop_daemon(l->sides[k].daemon);
		l->sides[k].daemon = NULL;
	}
}
