/* nginx - the real nginx (Debian's), in a folder of its own and on loopback only. Fails the test
 * (by abort with a message) when it does not start. */
#ifndef RESTANTE_TESTS_NGINX_H
#define RESTANTE_TESTS_NGINX_H

#include <stdbool.h>
#include <sys/types.h>

struct nginx {
	pid_t pid;
	char dir[64];
	int port, tls_port;
};

/* Whether there is one; without it tests skip. */
bool nginx_is_there(void);

/* A folder and two free ports; nothing runs yet. */
void nginx_prepare(struct nginx *x);

/* Starts it with this text within http { }, which has to have a server that listens on x->port, and
 * must not be warned of. */
void nginx_run(struct nginx *x, const char *http);

/* Both, with conf/nginx.conf as it is shipped but for addresses and paths, in front of a server on
 * port `upstream`. A listener without TLS comes beside the one with it, for clients that are
 * written by hand. */
void nginx_start(struct nginx *x, int upstream);

/* Both, as people begin: proxy_pass, and all else as nginx has it by itself. */
void nginx_start_bare(struct nginx *x, int upstream);

/* Ends it and removes the folder. */
void nginx_stop(struct nginx *x);

/* Files in the folder. nginx_read(): the caller's to free; empty if there is none. */
void nginx_write(const struct nginx *x, const char *name, const void *data, size_t n);
char *nginx_read(const struct nginx *x, const char *name);

/* Runs a script in the folder, $1 and $2 being the addresses without and with TLS: whether it
 * succeeds. What it says is in the file script.log. */
bool nginx_script(const struct nginx *x, const char *script);

#endif
