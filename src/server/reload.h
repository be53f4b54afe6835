/* reload - settings and keys in force, and how others take their place while requests run. What is
 * to come is read and checked as a whole first: a reload that fails has changed nothing. */
#ifndef RESTANTE_SERVER_RELOAD_H
#define RESTANTE_SERVER_RELOAD_H

#include <stdbool.h>

#include "base/err.h"
#include "server/keys.h"
#include "server/settings.h"

struct reload;
struct server;

/* Where settings come from, each time they are asked for. Tells `complain` of every problem. */
typedef enum err_code reload_source(struct settings *out, void *ctx,
				    void (*complain)(void *to, const char *text), void *to,
				    struct err *e);

/* Takes over the first settings, also when it fails. server is borrowed. */
enum err_code reload_new(struct reload **out, struct server *server, struct settings *first,
			 reload_source *source, void *ctx, struct err *e);

/* Takes over the first keys and puts both in force. tls: certificates are reloaded too. */
void reload_begin(struct reload *r, struct keys *keys, bool tls);

void reload_free(struct reload *r); /* when no request is left; NULL is fine */

/* What came of it: the caller's to free. */
struct reload_report {
	char *needs_restart; /* names of settings that differ and stay as they are, one a line */
	char *problems;      /* why nothing has changed, one a line */
};
void reload_report_fini(struct reload_report *r);

/* Reads settings, keys and certificates again, and puts them in force. May wait for a disk; any
 * thread. On failure nothing has changed. *out is written in any case; a string without memory for
 * it is NULL. */
enum err_code reload_all(struct reload *r, struct reload_report *out, struct err *e);

/* The keys only, which somebody has just changed. Any thread. */
enum err_code reload_keys(struct reload *r, struct err *e);

#endif
