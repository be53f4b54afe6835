#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/x509.h>

#include "server/tls.h"

/* One folder for all tests: making keys takes time. */
static char dir[64] = "/tmp/restante-tls-XXXXXX";

static void run(const char *command)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "cd %s && { %s; } >/dev/null 2>&1", dir, command);
	if (system(line) != 0)
		fail_msg("failed: %s", command);
}

static int make_files(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	run("for n in one two; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=$n.example -keyout $n.key -out $n.pem; done");
	run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf.example "
	    "-keyout leaf.key -out leaf.csr && openssl x509 -req -in leaf.csr -CA one.pem "
	    "-CAkey one.key -CAcreateserial -days 2 -out leaf.crt && "
	    "cat leaf.crt one.pem >leaf.pem && cat one.pem leaf.crt >wrong-order.pem");
	run("openssl ec -in one.key -aes128 -passout pass:x -out locked.key");
	run("echo garbage >garbage.pem; : >empty.pem; head -c 200 one.pem >cut.pem");
	return 0;
}

static int drop_files(void **state)
{
	char line[128];

	(void)state;
	(void)snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

static int unload(void **state)
{
	(void)state;
	tls_unload();
	return 0;
}

static enum err_code load(const char *certificate, const char *key, struct err *e)
{
	char c[128], k[128];

	(void)snprintf(c, sizeof(c), "%s/%s", dir, certificate);
	(void)snprintf(k, sizeof(k), "%s/%s", dir, key);
	return tls_load(c, k, e);
}

struct shown {
	gnutls_pcert_st *chain;
	unsigned count;
	gnutls_privkey_t key;
};

static int retrieve(struct shown *s)
{
	return tls_retrieve(NULL, NULL, 0, NULL, 0, &s->chain, &s->count, &s->key);
}

static bool has_name(const struct shown *s, const char *name)
{
	gnutls_x509_crt_t crt;
	bool same;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &s->chain[0].cert, GNUTLS_X509_FMT_DER), 0);
	same = gnutls_x509_crt_check_hostname(crt, name) != 0;
	gnutls_x509_crt_deinit(crt);
	return same;
}

static void check_shown(const char *name, unsigned count)
{
	struct shown s;

	assert_int_equal(retrieve(&s), 0);
	assert_int_equal(s.count, count);
	assert_non_null(s.key);
	assert_true(has_name(&s, name));
}

static void without_a_certificate_a_handshake_fails(void **state)
{
	struct shown s;

	(void)state;
	assert_true(retrieve(&s) < 0);
}

static void a_certificate_and_its_key_are_shown(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	check_shown("one.example", 1);
}

static void a_chain_is_shown_whole(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("leaf.pem", "leaf.key", &e), ERR_OK);
	check_shown("leaf.example", 2);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
	struct err e;
	struct shown s;

	(void)state;
	assert_int_equal(load("one.pem", "two.key", &e), ERR_INVALID);
	assert_non_null(strstr(e.why, "belong together"));
	assert_int_equal(load("wrong-order.pem", "leaf.key", &e), ERR_INVALID);
	assert_true(retrieve(&s) < 0);
}

static void what_is_not_pem_is_refused(void **state)
{
	static const char *const bad[] = { "garbage.pem", "empty.pem", "cut.pem", "one.key" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(load(bad[i], "one.key", &e), ERR_INVALID);
	assert_int_equal(load("one.pem", "garbage.pem", &e), ERR_INVALID);
	assert_int_equal(load("one.pem", "one.pem", &e), ERR_INVALID);
	assert_int_equal(load("one.pem", "locked.key", &e), ERR_INVALID);
}

static void a_missing_file_is_a_failure_that_names_it(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("none.pem", "one.key", &e), ERR_IO);
	assert_non_null(strstr(e.why, "none.pem"));
	assert_int_equal(load("one.pem", "none.key", &e), ERR_IO);
	assert_non_null(strstr(e.why, "none.key"));
}

static void a_reload_puts_the_new_one_in_place(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	assert_int_equal(load("two.pem", "two.key", &e), ERR_OK);
	check_shown("two.example", 1);
}

static void a_failed_reload_leaves_the_old_one(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	assert_int_equal(load("two.pem", "one.key", &e), ERR_INVALID);
	assert_int_equal(load("none.pem", "one.key", &e), ERR_IO);
	check_shown("one.example", 1);
}

static void a_handshake_keeps_what_it_was_shown(void **state)
{
	struct shown s;
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	assert_int_equal(retrieve(&s), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(load("two.pem", "two.key", &e), ERR_OK);
	assert_true(has_name(&s, "one.example"));
	assert_int_equal(gnutls_privkey_get_pk_algorithm(s.key, NULL), GNUTLS_PK_ECDSA);
}

/* ---- whole handshakes --------------------------------------------------------------------- */

static gnutls_session_t session_on(int fd, unsigned flags, gnutls_certificate_credentials_t cred)
{
	gnutls_session_t s;

	assert_int_equal(gnutls_init(&s, flags), 0);
	assert_int_equal(gnutls_set_default_priority(s), 0);
	assert_int_equal(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred), 0);
	gnutls_transport_set_int(s, fd);
	return s;
}

/* The server's end, in a thread; the client's, which knows one certificate, in this. */
struct server_end {
	int fd;
	gnutls_certificate_credentials_t cred;
	int result;
};

static void *serve(void *arg)
{
	struct server_end *end = arg;
	gnutls_session_t s = session_on(end->fd, GNUTLS_SERVER, end->cred);

	end->result = gnutls_handshake(s);
	gnutls_deinit(s);
	(void)shutdown(end->fd, SHUT_RDWR);
	return NULL;
}

static bool handshake_trusting(const char *ca, const char *name)
{
	gnutls_certificate_credentials_t client;
	struct server_end end = { 0 };
	gnutls_session_t s;
	pthread_t thread;
	char path[128];
	int fd[2], ret;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, ca);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&end.cred), 0);
	gnutls_certificate_set_retrieve_function2(end.cred, tls_retrieve);
	end.fd = fd[0];
	assert_int_equal(pthread_create(&thread, NULL, serve, &end), 0);

	assert_int_equal(gnutls_certificate_allocate_credentials(&client), 0);
	assert_true(gnutls_certificate_set_x509_trust_file(client, path, GNUTLS_X509_FMT_PEM) > 0);
	s = session_on(fd[1], GNUTLS_CLIENT, client);
	gnutls_session_set_verify_cert(s, name, 0);
	ret = gnutls_handshake(s);
	gnutls_deinit(s);
	(void)shutdown(fd[1], SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	gnutls_certificate_free_credentials(client);
	gnutls_certificate_free_credentials(end.cred);
	(void)close(fd[0]);
	(void)close(fd[1]);
	return ret == 0;
}

static void a_client_trusts_what_it_is_shown(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	assert_true(handshake_trusting("one.pem", "one.example"));
	assert_false(handshake_trusting("two.pem", "two.example"));
	assert_int_equal(load("two.pem", "two.key", &e), ERR_OK);
	assert_true(handshake_trusting("two.pem", "two.example"));
	assert_false(handshake_trusting("one.pem", "one.example"));
}

static atomic_bool reloading;

static void *read_on(void *arg)
{
	size_t *torn = arg;
	struct shown s;

	while (atomic_load(&reloading))
		if (retrieve(&s) != 0 || s.count != 1 ||
		    gnutls_privkey_get_pk_algorithm(s.key, NULL) != GNUTLS_PK_ECDSA)
			(*torn)++;
	return NULL;
}

static void handshakes_during_reloads_see_one_or_the_other(void **state)
{
	pthread_t thread;
	size_t torn = 0;
	struct err e;

	(void)state;
	assert_int_equal(load("one.pem", "one.key", &e), ERR_OK);
	atomic_store(&reloading, true);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &torn), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(i % 2 ? load("one.pem", "one.key", &e)
				       : load("two.pem", "two.key", &e),
				 ERR_OK);
	atomic_store(&reloading, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(torn, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_certificate_a_handshake_fails),
		TEST(a_certificate_and_its_key_are_shown),
		TEST(a_chain_is_shown_whole),
		TEST(a_key_of_another_certificate_is_refused),
		TEST(what_is_not_pem_is_refused),
		TEST(a_missing_file_is_a_failure_that_names_it),
		TEST(a_reload_puts_the_new_one_in_place),
		TEST(a_failed_reload_leaves_the_old_one),
		TEST(a_handshake_keeps_what_it_was_shown),
		TEST(a_client_trusts_what_it_is_shown),
		TEST(handshakes_during_reloads_see_one_or_the_other),
	};

	return cmocka_run_group_tests(tests, make_files, drop_files);
}
