#include "server/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/problem.h"
#include "server/server.h"
#include "server/watch/metrics_print.h"

static enum http_next plain(struct request *req, const char *type, char *text, size_t len)
{
	struct reply *r = text == NULL ? NULL : reply_new(200);

	if (r == NULL)
		free(text);
	else {
		reply_text(r, text, len);
		reply_header(r, "Content-Type", type);
		reply_header(r, "Cache-Control", "no-store");
	}
	return request_reply(req, r);
}

static enum http_next healthz(struct request *req)
{
	return plain(req, "text/plain", strdup("ok\n"), 3);
}

static enum http_next readyz(struct request *req)
{
	if (atomic_load(&request_server(req)->ready))
		return plain(req, "text/plain", strdup("ok\n"), 3);
	return request_reply(req, problem_reply(503, NULL, "Not ready."));
}

static enum http_next metrics(struct request *req)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f != NULL) {
		metrics_print(f, request_server(req));
		(void)fclose(f);
	}
	return plain(req, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

const struct handler healthz_handler = { .head = healthz };
const struct handler readyz_handler = { .head = readyz };
const struct handler metrics_handler = { .head = metrics };
