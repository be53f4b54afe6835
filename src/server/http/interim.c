#include "server/http/interim.h"

#include <stdio.h>
#include <sys/socket.h>

#define INTERIM_MAX 1024

bool interim_send(const char *fields, int fd, gnutls_session_t tls)
{
	char text[INTERIM_MAX];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 104 Upload Resumption Supported\r\n%s\r\n",
			 fields);
	ssize_t sent;

	if (n < 0 || (size_t)n >= sizeof(text))
		return true;
	if (tls != NULL)
		return gnutls_record_send(tls, text, (size_t)n) == n;
	sent = send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent == n || sent < 0;
}
