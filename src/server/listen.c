#include "server/listen.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/num.h"

#define DEFER_ACCEPT_S 5
#define SOCKET_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

static socklen_t address_size(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static bool parse_host(union address *out, const char *host, bool brackets)
{
	if (brackets) {
		out->v6.sin6_family = AF_INET6;
		return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1;
	}
	out->v4.sin_family = AF_INET;
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1;
}

static enum err_code parse(union address *out, const char *text, struct err *e)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t n = colon != NULL ? (size_t)(colon - text) : sizeof(host);
	bool brackets = text[0] == '[' && n >= 2 && n < sizeof(host) && text[n - 1] == ']';
	uint64_t port;

	memset(out, 0, sizeof(*out));
	if (colon == NULL)
		return err_set(e, ERR_INVALID, "\"%.60s\" is not ADDRESS:PORT", text);
	if (!num_u64(colon + 1, strlen(colon + 1), UINT16_MAX, &port))
		return err_set(e, ERR_INVALID, "\"%.60s\": port is not a number from 0 to 65535",
			       text);
	if (n >= sizeof(host))
		n = 0; /* is no address, whatever it is */
	memcpy(host, text + brackets, n);
	host[brackets ? n - 2 : n] = '\0';
	if (!parse_host(out, host, brackets))
		return err_set(e, ERR_INVALID,
			       "\"%.60s\": address is neither IPv4, [IPv6] nor localhost", text);
	out->v4.sin_port = htons((uint16_t)port); /* where v6 has it too */
	return ERR_OK;
}

enum err_code listen_check(const char *address, struct err *e)
{
	union address a;

	return parse(&a, address, e);
}

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
	return a->any.sa_family == AF_INET && ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

bool listen_check_loopback(const char *address)
{
	union address a;

	return parse(&a, address, NULL) == ERR_OK && is_loopback(&a);
}

static enum err_code failed(const char *what, const char *where, struct err *e)
{
	return err_set(e, errno == EADDRINUSE ? ERR_BUSY : ERR_IO, "%s %.60s: %s", what, where,
		       strerror(errno));
}

/* Writes the URL that reaches a listener. */
static bool name_listener(struct listener *l)
{
	union address a;
	socklen_t size = sizeof(a);
	char host[INET6_ADDRSTRLEN];
	const char *scheme = l->tls ? "https" : "http";

	if (getsockname(l->fd, &a.any, &size) != 0)
		return false;
	if (a.any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host));
		(void)snprintf(l->url, sizeof(l->url), "%s://[%s]:%u", scheme, host,
			       ntohs(a.v6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host));
		(void)snprintf(l->url, sizeof(l->url), "%s://%s:%u", scheme, host,
			       ntohs(a.v4.sin_port));
	}
	return true;
}

static bool set_options(int fd, int family)
{
	const int on = 1, defer = DEFER_ACCEPT_S;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer)) != 0)
		return false;
	return family != AF_INET6 ||
	       setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0;
}

enum err_code listen_tcp(struct listener *out, const char *address, bool tls, struct err *e)
{
	struct listener l = { .fd = -1, .tls = tls };
	union address a;
	enum err_code rc = parse(&a, address, e);

	if (rc != ERR_OK)
		return rc;
	l.fd = socket(a.any.sa_family, SOCK_STREAM | SOCKET_FLAGS, 0);
	if (l.fd < 0 || !set_options(l.fd, a.any.sa_family)) {
		rc = failed("socket for", address, e);
		goto out;
	}
	if (bind(l.fd, &a.any, address_size(&a)) != 0 || listen(l.fd, SOMAXCONN) != 0 ||
	    !name_listener(&l)) {
		rc = failed("listen on", address, e);
		goto out;
	}
	*out = l;
	l.fd = -1; /* the caller's now */
out:
	listen_close(&l);
	return rc;
}

/* Takes one socket from systemd. */
static enum err_code inherit(struct listener *out, int fd, const char *name, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	*out = (struct listener){ .fd = fd, .inherited = true };
	out->tls = name != NULL && strncmp(name, "tls", 3) == 0;
	if (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) <= 0 &&
	    sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) <= 0)
		return err_set(e, ERR_INVALID, "socket %d of systemd is not a listening TCP socket",
			       fd);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || !name_listener(out))
		return failed("socket of", "systemd", e);
	return ERR_OK;
}

static void free_names(char **names)
{
	for (char **p = names; p != NULL && *p != NULL; p++)
		free(*p);
	free(names);
}

enum err_code listen_inherited(struct listener *out, size_t max, size_t *count, struct err *e)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	enum err_code rc = ERR_OK;

	if (n < 0)
		return err_set(e, ERR_INVALID, "sockets of systemd: %s", strerror(-n));
	if ((size_t)n > max)
		rc = err_set(e, ERR_INVALID, "systemd hands over %d sockets, %zu are the most", n,
			     max);
	for (int i = 0; i < n && rc == ERR_OK; i++)
		rc = inherit(&out[i], SD_LISTEN_FDS_START + i, names[i], e);
	for (int i = 0; i < n && rc != ERR_OK; i++)
		(void)close(SD_LISTEN_FDS_START + i);
	if (rc == ERR_OK)
		*count = (size_t)n;
	free_names(names);
	return rc;
}

/* Removes a socket that nobody answers any more. */
static enum err_code remove_stale(const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	int fd, answer;

	if (lstat(a->sun_path, &st) != 0)
		return errno == ENOENT ? ERR_OK : failed("look at", a->sun_path, e);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_INVALID, "%.100s is there and is not a socket", a->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0);
	if (fd < 0)
		return failed("socket for", a->sun_path, e);
	answer = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ? 0 : errno;
	(void)close(fd);
	if (answer == ENOENT)
		return ERR_OK;
	if (answer != ECONNREFUSED)
		return err_set(e, ERR_BUSY, "%.100s: another server answers there", a->sun_path);
	if (unlink(a->sun_path) != 0 && errno != ENOENT)
		return failed("remove", a->sun_path, e);
	return ERR_OK;
}

enum err_code listen_unix(int *fd, const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	enum err_code rc;
	int s = -1;

	if (path[0] == '\0' || strlen(path) >= sizeof(a.sun_path))
		return err_set(e, ERR_INVALID, "socket path must have 1 to %zu characters: %.60s",
			       sizeof(a.sun_path) - 1, path);
	memcpy(a.sun_path, path, strlen(path));
	rc = remove_stale(&a, e);
	if (rc != ERR_OK)
		return rc;
	s = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0);
	/* Linux gives the file the mode that the socket has, so it is never there with another. */
	if (s < 0 || fchmod(s, 0600) != 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(s, SOMAXCONN) != 0) {
		rc = failed("listen on", path, e);
		goto out;
	}
	*fd = s;
	s = -1; /* the caller's now */
out:
	if (s >= 0)
		(void)close(s);
	return rc;
}

bool listen_peer_is_operator(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && n == sizeof(peer) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

bool listen_is_loopback(const struct listener *l)
{
	union address a;
	socklen_t size = sizeof(a);

	return getsockname(l->fd, &a.any, &size) == 0 && is_loopback(&a);
}

void listen_close(struct listener *l)
{
	if (l == NULL || l->fd < 0)
		return;
	(void)close(l->fd);
	l->fd = -1;
}
