/* server - a real restanted in a folder of its own, for tests over a socket. Fails the test (by
 * abort with a message) when it does not start. */
#ifndef RESTANTE_TESTS_SERVER_H
#define RESTANTE_TESTS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct test_server_options {
	const char *config; /* text of a config file, NULL: none */
	const char *faults; /* schedule for the faulty engine (storage/faulty); NULL: real engine.
			     * Say inner=rocksdb or inner=memory in it */
	const char *listen; /* flag instead of 127.0.0.1:0; "" for none: the config says */
	int inherited;      /* a listening socket handed over as systemd does; 0: none */
	const char *inherited_name; /* FileDescriptorName= of it */
};

struct test_server {
	pid_t pid;
	int port; /* of the first listener */
	int ports[4];
	int port_count;
	char url[64];
	char dir[64]; /* data directory, config and log lie in it */
	struct test_server_options options;
};

/* Starts in a fresh folder under /tmp; returns when "listening on" was printed. */
void server_start(struct test_server *s, const struct test_server_options *o);

/* Starts again on the same folder after server_stop(), server_kill() or an end of its own. */
void server_again(struct test_server *s);

/* Tries to start on the folder and expects it to fail: its exit code. What it wrote to standard
 * error is in dir/log. */
int server_try(struct test_server *s);

/* SIGTERM, waits up to 20 s: the exit code, or -signal. */
int server_stop(struct test_server *s);

/* Waits up to ms for it to end by itself: the exit code, or -signal. */
int server_wait(struct test_server *s, int ms);

/* SIGKILL, and waits. */
void server_kill(struct test_server *s);

/* True while the process lives. */
bool server_alive(struct test_server *s);

/* Ends it if it runs (asserting exit code 0 of a SIGTERM if it did) and removes the folder. */
void server_remove(struct test_server *s);

/* A metric's value, asked over the admin socket. */
uint64_t server_metric(struct test_server *s, const char *name);

/* Resident memory in bytes (VmRSS). CPU time used in ms. Open files. */
uint64_t server_rss(const struct test_server *s);
uint64_t server_cpu_ms(const struct test_server *s);
int server_files(const struct test_server *s);

/* What it has logged; the caller's to free. */
char *server_log(const struct test_server *s);

/* Whether a text turns up in the log within ms. */
bool server_logs(const struct test_server *s, const char *text, int ms);

/* Puts another config file in the place of the first; heard after a SIGHUP or a start. */
void server_configure(struct test_server *s, const char *config);

/* Runs `restanted` with these flags (split at spaces) and the folder's config and data directory:
 * the exit code. What it printed goes to out. */
int server_command(const struct test_server *s, const char *flags, char *out, size_t size);

#endif
