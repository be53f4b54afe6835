#include "server/http/linger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/http/answer_head.h"

bool linger_start(struct lingering *l, const struct reply *reply, bool head_only,
		  const struct own_field *own, size_t own_count, int fd, gnutls_session_t tls,
		  int64_t now_ms)
{
	size_t len;
	const struct answer_head h = {
		.reply = reply, .own = own, .own_count = own_count, .close = true
	};
	char *text = head_only ? answer_head_text(&h, &len) : answer_text(&h, &len);
	ssize_t sent = -1;

	if (text == NULL)
		return false;
	/* a few hundred bytes into an empty send buffer: they fit, or the connection is broken */
	if (tls != NULL)
		sent = gnutls_record_send(tls, text, len);
	else
		sent = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	(void)shutdown(fd, SHUT_WR);
	l->until_ms = now_ms + LINGER_SECONDS * 1000;
	l->thrown_away = 0;
	return sent == (ssize_t)len;
}

bool linger_over(struct lingering *l, uint64_t bytes, int64_t now_ms)
{
	l->thrown_away += bytes;
	return l->thrown_away > LINGER_BYTES || now_ms > l->until_ms;
}
