#include "server/access.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/clock.h"
#include "server/logs.h"
#include "server/route.h"

#define DIGITS_SIZE 24

static void client_text(char out[static INET6_ADDRSTRLEN], const struct sockaddr *sa)
{
	const struct sockaddr_in6 *v6 = (const void *)sa;
	const struct sockaddr_in *v4 = (const void *)sa;
	const char *text = NULL;

	if (sa != NULL && sa->sa_family == AF_INET)
		text = inet_ntop(AF_INET, &v4->sin_addr, out, INET6_ADDRSTRLEN);
	else if (sa != NULL && sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		text = inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, out, INET6_ADDRSTRLEN);
	else if (sa != NULL && sa->sa_family == AF_INET6)
		text = inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
	if (text == NULL)
		(void)snprintf(out, INET6_ADDRSTRLEN, "-");
}

/* The same for all requests of a second. */
static const char *time_text(int64_t now_s)
{
	static _Thread_local char text[CLOCK_CLF_SIZE];
	static _Thread_local int64_t of_s = -1;

	if (of_s != now_s)
		clock_clf(text, now_s);
	of_s = now_s;
	return text;
}

void access_format(char out[static ACCESS_LINE_MAX], const struct access *a, int64_t now_s,
		   int64_t now_ns)
{
	const int64_t took_ms = (now_ns - a->began_ns) / 1000000;
	char client[INET6_ADDRSTRLEN], bytes[DIGITS_SIZE] = "-";

	client_text(client, a->client);
	if (a->bytes != ACCESS_NONE)
		(void)snprintf(bytes, sizeof(bytes), "%" PRIu64, a->bytes);
	(void)snprintf(out, ACCESS_LINE_MAX,
		       "%s - - [%s] \"%s %s HTTP/1.%c\" %d %s %" PRId64 ".%03" PRId64, client,
		       time_text(now_s), route_method_name(a->method), route_pattern(a->route),
		       a->http11 ? '1' : '0', a->status, bytes, took_ms / 1000, took_ms % 1000);
}

void access_log(const struct access *a)
{
	char line[ACCESS_LINE_MAX];

	access_format(line, a, clock_now_s(), clock_mono_ns());
	logs_access(line);
}
