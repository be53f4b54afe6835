/* HTTPS, IPv6, and sockets from systemd. Certificates are made at test time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define MB ((size_t)1 << 20)

static char dir[64] = "/tmp/restante-tls-XXXXXX";
static struct test_server server;
static char config[1024];

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *fmt, ...)
{
	char command[1024], line[1200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	(void)snprintf(line, sizeof(line), "cd %s && { %s; }", dir, command);
	if (system(line) != 0)
		fail_msg("failed: %s", command);
}

/* The certificate in use is `shown`: one name or the other. */
static void show(const char *name)
{
	run("cp %s.pem shown.pem && cp %s.key shown.key", name, name);
}

static int start(void **state)
{
	struct test_server_options o = { .config = config, .listen = "" };

	(void)state;
	assert_non_null(mkdtemp(dir));
	run("for n in one two; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=$n.example -keyout $n.key -out $n.pem 2>/dev/null; done");
	show("one");
	(void)snprintf(config, sizeof(config),
		       "listen = \"127.0.0.1:0\";\nlisten = \"[::1]:0\";\n"
		       "listen_tls = \"127.0.0.1:0\";\nlisten_tls = \"[::1]:0\";\n"
		       "tls { certificate = \"%s/shown.pem\"; key = \"%s/shown.key\"; }\n"
		       "upload { min_free = 0; max = 32mb; }\n"
		       "store { engine = memory; }\n",
		       dir, dir);
	server_start(&server, &o);
	assert_int_equal(server.port_count, 4);
	return 0;
}

static int stop(void **state)
{
	char line[128];

	(void)state;
	server_remove(&server);
	(void)snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

/* The port of the first (second) HTTPS listener, whatever order they were named in. */
static int tls_port(int nth)
{
	return server.ports[2 + nth];
}

/* ---- a TLS client as bad as a test wants it ---- */

struct secure {
	struct client *c;
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
};

/* ticket: what an earlier session kept, or NULL. */
static void secure_resume(struct secure *s, int port, const gnutls_datum_t *ticket)
{
	int rc;

	s->c = client_open(port);
	assert_int_equal(gnutls_certificate_allocate_credentials(&s->credentials), 0);
	assert_int_equal(gnutls_init(&s->session, GNUTLS_CLIENT), 0);
	assert_int_equal(gnutls_set_default_priority(s->session), 0);
	assert_int_equal(gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials),
			 0);
	if (ticket != NULL)
		assert_int_equal(gnutls_session_set_data(s->session, ticket->data, ticket->size),
				 0);
	gnutls_transport_set_int(s->session, s->c->fd);
	gnutls_handshake_set_timeout(s->session, 10000);
	do
		rc = gnutls_handshake(s->session);
	while (rc < 0 && gnutls_error_is_fatal(rc) == 0);
	assert_int_equal(rc, 0);
}

static void secure_open(struct secure *s, int port)
{
	secure_resume(s, port, NULL);
}

static bool secure_send(struct secure *s, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		ssize_t k = gnutls_record_send(s->session, p, n);

		if (k == GNUTLS_E_AGAIN || k == GNUTLS_E_INTERRUPTED)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* All that comes, until `enough` was in it or the end: how much. */
static size_t secure_read(struct secure *s, char *out, size_t size, const char *enough)
{
	unsigned tickets = 4; /* each is told as "again", as is a silence */
	size_t n = 0;
	ssize_t k;

	out[0] = '\0';
	while (n < size - 1) {
		k = gnutls_record_recv(s->session, out + n, size - 1 - n);
		if (k == GNUTLS_E_INTERRUPTED || (k == GNUTLS_E_AGAIN && tickets-- > 0))
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
		out[n] = '\0';
		if (enough != NULL && strstr(out, enough) != NULL)
			break;
	}
	return n;
}

static void secure_close(struct secure *s)
{
	gnutls_deinit(s->session);
	gnutls_certificate_free_credentials(s->credentials);
	client_close(s->c);
}

/* The common name that the server shows. */
static void name_shown(struct secure *s, char *out, size_t size)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->session, &count);
	gnutls_x509_crt_t crt;

	assert_int_equal(count, 1);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER), 0);
	assert_int_equal(
		gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &size),
		0);
	gnutls_x509_crt_deinit(crt);
}

static void asks_and_is_answered(struct secure *s)
{
	char text[2048];

	assert_true(secure_send(s, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 34));
	(void)secure_read(s, text, sizeof(text), "ok\n");
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
}

static void answers_tls(int port)
{
	struct secure s;

	secure_open(&s, port);
	asks_and_is_answered(&s);
	secure_close(&s);
}

/* ---- the round trip ---- */

static void round_trip(const char *url, size_t size)
{
	run("head -c %zu /dev/urandom >in && "
	    "curl -gksS -f --max-time 30 -T - -o answer %s/v1/media <in && "
	    "token=$(sed 's/.*\"token\": *\"//; s/\".*//' answer) && "
	    "curl -gksS -f --max-time 30 -o out %s/v1/media/$token && cmp in out",
	    size, url, url);
}

static void a_file_makes_the_round_trip_by_https(void **state)
{
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d", tls_port(0));
	round_trip(url, 0);
	round_trip(url, 1000);
	round_trip(url, 20 * MB);
}

static void ipv6_listeners_work_by_both(void **state)
{
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof(url), "http://[::1]:%d", server.ports[1]);
	round_trip(url, 100000);
	(void)snprintf(url, sizeof(url), "https://[::1]:%d", tls_port(1));
	round_trip(url, 100000);
}

static void many_requests_share_a_handshake(void **state)
{
	struct secure s;
	char text[2048];

	(void)state;
	secure_open(&s, tls_port(0));
	for (int i = 0; i < 50; i++) {
		assert_true(secure_send(&s, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 34));
		(void)secure_read(&s, text, sizeof(text), "ok\n");
		assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	}
	secure_close(&s);
}

/* ---- refusals ---- */

static void an_early_refusal_reaches_the_client(void **state)
{
	static const char head[] = "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				   "Content-Length: 40000000\r\n\r\n";
	uint8_t *blob = malloc(MB);
	struct secure s;
	char text[4096];

	(void)state;
	assert_non_null(blob);
	fill_random(blob, MB, 1);
	for (int i = 0; i < 5; i++) {
		secure_open(&s, tls_port(0));
		assert_true(secure_send(&s, head, sizeof(head) - 1));
		/* goes on sending, and looks at the answer only then */
		for (int k = 0; k < 8; k++)
			if (!secure_send(&s, blob, MB))
				break;
		(void)secure_read(&s, text, sizeof(text), NULL);
		if (strncmp(text, "HTTP/1.1 413 ", 13) != 0)
			fail_msg("round %d: \"%s\"", i, text);
		assert_non_null(strstr(text, "application/problem+json"));
		secure_close(&s);
	}
	free(blob);
	answers_tls(tls_port(0));
}

static void plain_http_to_the_tls_port_does_no_harm(void **state)
{
	static const char junk[] = "\x16\x03\x01\xff\xff\x01\x02\x03garbage";
	struct client *c;

	(void)state;
	for (int i = 0; i < 10; i++) {
		c = client_open(tls_port(0));
		client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
		client_half_close(c);
		while (client_peek(c, 3000) > 0) {
			char text[512];
			ssize_t n = recv(c->fd, text, sizeof(text) - 1, 0);

			assert_true(n > 0);
			text[n] = '\0';
			assert_null(strstr(text, "200 OK"));
		}
		client_close(c);
		c = client_open(tls_port(0));
		assert_true(client_send(c, junk, sizeof(junk)));
		client_reset(c);
	}
	answers_tls(tls_port(0));
}

static void a_handshake_left_half_done_harms_nobody(void **state)
{
	struct client *c[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		c[i] = client_open(tls_port(0));
		assert_true(client_send(c[i], "\x16\x03\x01\x02", 4));
	}
	answers_tls(tls_port(0));
	for (int i = 0; i < 20; i++)
		client_close(c[i]);
	answers_tls(tls_port(0));
}

/* ---- tickets ---- */

static void take_ticket(gnutls_datum_t *ticket)
{
	struct secure s;

	secure_open(&s, tls_port(0));
	assert_int_equal(gnutls_session_is_resumed(s.session), 0);
	asks_and_is_answered(&s); /* tickets come behind the handshake */
	assert_int_equal(gnutls_session_get_data2(s.session, ticket), 0);
	secure_close(&s);
}

/* Whether a session takes up the one that the ticket is of; both are answered. */
static bool is_taken_up(const gnutls_datum_t *ticket)
{
	struct secure s;
	bool resumed;

	secure_resume(&s, tls_port(0), ticket);
	resumed = gnutls_session_is_resumed(s.session) != 0;
	asks_and_is_answered(&s);
	secure_close(&s);
	return resumed;
}

static void a_client_that_comes_back_shakes_hands_shortly(void **state)
{
	gnutls_datum_t ticket;

	(void)state;
	take_ticket(&ticket);
	for (int i = 0; i < 4; i++) /* whichever loop it meets */
		assert_true(is_taken_up(&ticket));
	gnutls_free(ticket.data);
}

static size_t reloads(void)
{
	char *log = server_log(&server);
	size_t n = 0;

	for (const char *p = log; (p = strstr(p, "event=reloaded")) != NULL; p++)
		n++;
	free(log);
	return n;
}

static void reload_as(const char *name)
{
	const size_t before = reloads();

	show(name);
	(void)kill(server.pid, SIGHUP);
	for (int i = 0; i < 500 && reloads() == before; i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(reloads(), before + 1);
}

static void a_ticket_ends_with_the_certificate_it_came_with(void **state)
{
	gnutls_datum_t ticket;

	(void)state;
	take_ticket(&ticket);
	reload_as("two");
	assert_false(is_taken_up(&ticket));
	gnutls_free(ticket.data);
	reload_as("one");
}

/* ---- reload ---- */

static void a_renewed_certificate_is_shown_after_sighup(void **state)
{
	struct secure old, fresh;
	char name[64], text[2048];

	(void)state;
	secure_open(&old, tls_port(0));
	name_shown(&old, name, sizeof(name));
	assert_string_equal(name, "one.example");
	reload_as("two");
	secure_open(&fresh, tls_port(0));
	name_shown(&fresh, name, sizeof(name));
	assert_string_equal(name, "two.example");
	secure_close(&fresh);
	/* the connection of before goes on */
	assert_true(secure_send(&old, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 34));
	(void)secure_read(&old, text, sizeof(text), "ok\n");
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	secure_close(&old);
}

static void a_broken_certificate_leaves_the_old_one(void **state)
{
	struct secure s;
	char name[64];

	(void)state;
	run("echo garbage >shown.pem");
	(void)kill(server.pid, SIGHUP);
	assert_true(server_logs(&server, "event=reload_failed what=tls", 5000));
	secure_open(&s, tls_port(0));
	name_shown(&s, name, sizeof(name));
	assert_string_equal(name, "two.example");
	secure_close(&s);
	show("one");
}

static void what_is_deleted_is_cut(void **state)
{
	const size_t sizes[] = { 4 * MB, 16 * MB };

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint8_t *body = malloc(sizes[i]);
		char *got = malloc(sizes[i] + 4096), ask[200];
		struct placed p;
		struct secure s;

		assert_true(body != NULL && got != NULL);
		fill_random(body, sizes[i], 600 + (uint64_t)i);
		assert_int_equal(http_place(server.port, "", body, sizes[i], &p), 201);
		secure_open(&s, tls_port(0));
		(void)snprintf(ask, sizeof(ask), "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
			       p.token);
		asks_and_is_answered(&s); /* and has its tickets */
		assert_true(secure_send(&s, ask, strlen(ask)));
		assert_true(client_peek(s.c, 5000) > 0);
		assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 204);
		assert_in_range(secure_read(&s, got, sizes[i] + 4096, NULL), 1, sizes[i] - 1);
		assert_memory_equal(got, "HTTP/1.1 200 ", 13);
		secure_close(&s);
		free(body);
		free(got);
	}
}

/* ---- stop, activation ---- */

static void sigterm_lets_a_tls_upload_finish(void **state)
{
	static const char half[] =
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf";
	struct secure idle, busy;
	char text[2048];

	(void)state;
	secure_open(&idle, tls_port(0));
	asks_and_is_answered(&idle); /* and has its tickets */
	secure_open(&busy, tls_port(0));
	assert_true(secure_send(&busy, half, sizeof(half) - 1));
	(void)poll(NULL, 0, 100);
	(void)kill(server.pid, SIGTERM);
	assert_int_equal(client_peek(idle.c, 3000) != 0, 1);
	secure_close(&idle);
	assert_true(secure_send(&busy, " full", 5));
	(void)secure_read(&busy, text, sizeof(text), NULL);
	assert_memory_equal(text, "HTTP/1.1 201 ", 13);
	assert_non_null(strstr(text, "Connection: close"));
	secure_close(&busy);
	assert_int_equal(server_wait(&server, 10000), 0);
	server_again(&server);
}

static void a_socket_of_systemd_named_tls_speaks_tls(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);
	struct test_server_options o = { .config = config,
					 .listen = "",
					 .inherited_name = "tls-a" };
	struct test_server s;

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o.inherited = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(o.inherited, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(o.inherited, 16), 0);
	assert_int_equal(getsockname(o.inherited, (struct sockaddr *)&sa, &n), 0);
	server_start(&s, &o);
	assert_int_equal(s.port_count, 1);
	assert_int_equal(s.port, ntohs(sa.sin_port));
	answers_tls(s.port);
	(void)close(o.inherited);
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_makes_the_round_trip_by_https),
		cmocka_unit_test(ipv6_listeners_work_by_both),
		cmocka_unit_test(many_requests_share_a_handshake),
		cmocka_unit_test(an_early_refusal_reaches_the_client),
		cmocka_unit_test(plain_http_to_the_tls_port_does_no_harm),
		cmocka_unit_test(a_handshake_left_half_done_harms_nobody),
		cmocka_unit_test(a_client_that_comes_back_shakes_hands_shortly),
		cmocka_unit_test(a_ticket_ends_with_the_certificate_it_came_with),
		cmocka_unit_test(a_renewed_certificate_is_shown_after_sighup),
		cmocka_unit_test(a_broken_certificate_leaves_the_old_one),
		cmocka_unit_test(what_is_deleted_is_cut),
		cmocka_unit_test(sigterm_lets_a_tls_upload_finish),
		cmocka_unit_test(a_socket_of_systemd_named_tls_speaks_tls),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start, stop);
}
