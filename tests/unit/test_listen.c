#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/listen.h"

struct fixture {
	char dir[64];
	char path[80];
	struct listener a, b;
	int unix_fd;
	struct err err;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/restante-listen-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/admin.sock", f->dir);
	f->a.fd = f->b.fd = f->unix_fd = -1;
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;
	char command[128];

	listen_close(&f->a);
	listen_close(&f->b);
	if (f->unix_fd >= 0)
		(void)close(f->unix_fd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static unsigned port_of(const struct listener *l)
{
	return (unsigned)strtoul(strrchr(l->url, ':') + 1, NULL, 10);
}

static bool is_non_blocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* Connects and sends a byte, as a client does. -1: refused. */
static int connect_to(const struct listener *l, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port_of(l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)port_of(l)),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int ret = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
				    : connect(fd, (struct sockaddr *)&v6, sizeof(v6));

	if (ret == 0 && send(fd, "G", 1, MSG_NOSIGNAL) == 1)
		return fd;
	(void)close(fd);
	return -1;
}

static void check_accepts(const struct listener *l, int family)
{
	int client = connect_to(l, family), fd = -1;

	assert_true(client >= 0);
	for (int i = 0; i < 1000 && fd < 0; i++) {
		fd = accept(l->fd, NULL, NULL);
		if (fd < 0)
			(void)usleep(1000);
	}
	assert_true(fd >= 0);
	(void)close(fd);
	(void)close(client);
}

static void port_0_picks_one_and_the_url_has_it(void **state)
{
	struct fixture *f = *state;
	char url[96];

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	assert_true(port_of(&f->a) > 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port_of(&f->a));
	assert_string_equal(f->a.url, url);
	assert_false(f->a.tls);
	assert_false(f->a.inherited);
	check_accepts(&f->a, AF_INET);
}

static void sockets_do_not_block_and_are_not_inherited(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	assert_true(is_non_blocking(f->a.fd));
	assert_true((fcntl(f->a.fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void a_tls_listener_says_https(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen_tcp(&f->a, "localhost:0", true, &f->err), ERR_OK);
	assert_true(f->a.tls);
	assert_memory_equal(f->a.url, "https://127.0.0.1:", 18);
}

static void ipv6_and_ipv4_share_a_port(void **state)
{
	struct fixture *f = *state;
	char address[32];

	if (listen_tcp(&f->a, "[::1]:0", false, &f->err) != ERR_OK)
		skip(); /* a machine without IPv6 */
	assert_memory_equal(f->a.url, "http://[::1]:", 13);
	check_accepts(&f->a, AF_INET6);
	listen_close(&f->a);
	assert_int_equal(listen_tcp(&f->a, "[::]:0", false, &f->err), ERR_OK);
	(void)snprintf(address, sizeof(address), "0.0.0.0:%u", port_of(&f->a));
	assert_int_equal(listen_tcp(&f->b, address, false, &f->err), ERR_OK);
	check_accepts(&f->a, AF_INET6);
	check_accepts(&f->b, AF_INET);
}

static void a_busy_port_is_said_to_be_busy(void **state)
{
	struct fixture *f = *state;
	struct listener untouched = f->b;

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	assert_int_equal(listen_tcp(&f->b, strrchr(f->a.url, '/') + 1, false, &f->err), ERR_BUSY);
	assert_memory_equal(&f->b, &untouched, sizeof(untouched));
}

static void a_port_is_free_again_after_a_restart(void **state)
{
	struct fixture *f = *state;
	char address[64];
	int client, fd = -1;

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	(void)snprintf(address, sizeof(address), "%s", strrchr(f->a.url, '/') + 1);
	client = connect_to(&f->a, AF_INET);
	for (int i = 0; i < 1000 && fd < 0; i++, (void)usleep(1000))
		fd = accept(f->a.fd, NULL, NULL);
	assert_true(fd >= 0);
	(void)close(fd); /* the server closes first: its side waits */
	(void)close(client);
	listen_close(&f->a);
	assert_int_equal(listen_tcp(&f->a, address, false, &f->err), ERR_OK);
}

static void an_address_that_is_not_ours_is_a_failure(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen_tcp(&f->a, "192.0.2.1:0", false, &f->err), ERR_IO);
	assert_int_equal(f->a.fd, -1);
}

static void bad_addresses_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"127.0.0.1",
		"127.0.0.1:",
		":80",
		"1.2.3.4:99999",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4: 1",
		"1.2.3.4:080",
		"1.2.3.4:0x50",
		"1.2.3.4:80 ",
		" 1.2.3.4:80",
		"1.2.3:80",
		"1.2.3.4.5:80",
		"256.1.1.1:80",
		"host:80",
		"localhost",
		"*:80",
		"[::1",
		"[::1]",
		"[::1]:",
		"[::1]80",
		"::1:80",
		"[]:80",
		"[:80",
		"]:80",
		"[127.0.0.1]:80",
		"[::1]]:80",
		"[[::1]:80",
		"[::1%lo]:80",
		"[localhost]:80",
		"http://127.0.0.1:80",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:80",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		f->err.why[0] = '\0';
		if (listen_check(bad[i], &f->err) != ERR_INVALID)
			fail_msg("\"%s\" passes", bad[i]);
		assert_string_not_equal(f->err.why, "");
		assert_int_equal(listen_tcp(&f->a, bad[i], false, &f->err), ERR_INVALID);
	}
	assert_int_equal(listen_check("[1111:2222:3333:4444:5555:6666:7777:8888]:65535", NULL),
			 ERR_OK);
}

static void closing_twice_or_nothing_is_fine(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	listen_close(&f->a);
	listen_close(&f->a);
	listen_close(NULL);
}

/* ---- Unix domain sockets ------------------------------------------------------------------ */

static void a_unix_socket_is_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	mode_t before = umask(0);
	enum err_code rc = listen_unix(&f->unix_fd, f->path, &f->err);
	struct stat st;

	(void)umask(before);
	assert_int_equal(rc, ERR_OK);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_true(is_non_blocking(f->unix_fd));
}

static void a_stale_unix_socket_is_replaced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen_unix(&f->unix_fd, f->path, &f->err), ERR_OK);
	(void)close(f->unix_fd); /* the file stays, as after kill -9 */
	f->unix_fd = -1;
	assert_int_equal(listen_unix(&f->unix_fd, f->path, &f->err), ERR_OK);
}

static void a_live_unix_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int other = -1;

	assert_int_equal(listen_unix(&f->unix_fd, f->path, &f->err), ERR_OK);
	assert_int_equal(listen_unix(&other, f->path, &f->err), ERR_BUSY);
	assert_int_equal(other, -1);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(listen_unix(&f->unix_fd, f->path, &f->err), ERR_INVALID);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void a_unix_path_has_its_limits(void **state)
{
	struct fixture *f = *state;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	assert_int_equal(listen_unix(&f->unix_fd, path, &f->err), ERR_INVALID);
	assert_int_equal(listen_unix(&f->unix_fd, "", &f->err), ERR_INVALID);
	assert_int_equal(listen_unix(&f->unix_fd, "/nonexistent/x.sock", &f->err), ERR_IO);
}

/* ---- systemd ------------------------------------------------------------------------------ */

#define FIRST 3 /* sd_listen_fds(3): where they start */

/* In a child: puts fds where systemd puts them and asks for them with room for max. Exits with the
 * code listen_inherited() gives, or with what `check` says then. */
static int hand_over(const int *fds, int n, const char *names, size_t max,
		     int (*check)(struct listener *l, size_t count))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct listener l[4];
		size_t count = 99;
		char text[16];
		int high[4];
		enum err_code rc;

		for (int i = 0; i < n; i++)
			high[i] = fcntl(fds[i], F_DUPFD, 100);
		for (int i = 0; i < n; i++)
			(void)dup2(high[i], FIRST + i);
		(void)snprintf(text, sizeof(text), "%d", n);
		(void)setenv("LISTEN_FDS", text, 1);
		(void)snprintf(text, sizeof(text), "%d", (int)getpid());
		(void)setenv("LISTEN_PID", text, 1);
		(void)setenv("LISTEN_FDNAMES", names, 1);
		rc = listen_inherited(l, max, &count, NULL);
		_exit(rc != ERR_OK ? (int)rc : check(l, count));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int both_are_right(struct listener *l, size_t count)
{
	if (count != 2 || l[0].fd != FIRST || l[1].fd != FIRST + 1)
		return 101;
	if (!l[0].inherited || !l[1].inherited || l[0].tls || !l[1].tls)
		return 102;
	if (strncmp(l[0].url, "http://127.0.0.1:", 17) != 0 ||
	    strncmp(l[1].url, "https://127.0.0.1:", 18) != 0)
		return 103;
	if (!is_non_blocking(FIRST) || (fcntl(FIRST, F_GETFD) & FD_CLOEXEC) == 0)
		return 104;
	return getenv("LISTEN_FDS") == NULL ? 0 : 105; /* not for children of ours */
}

static int something_came(struct listener *l, size_t count)
{
	(void)l;
	(void)count;
	return 0;
}

static void sockets_of_systemd_are_taken_over(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(listen_tcp(&f->a, "127.0.0.1:0", false, &f->err), ERR_OK);
	assert_int_equal(listen_tcp(&f->b, "127.0.0.1:0", false, &f->err), ERR_OK);
	fds[0] = f->a.fd;
	fds[1] = f->b.fd;
	assert_int_equal(hand_over(fds, 2, "http:tls-public", 4, both_are_right), 0);
	assert_int_equal(hand_over(fds, 2, "http:http", 1, both_are_right), ERR_INVALID);
}

static void without_systemd_nothing_is_taken_over(void **state)
{
	struct fixture *f = *state;
	struct listener l[1];
	size_t count = 99;

	(void)unsetenv("LISTEN_FDS");
	assert_int_equal(listen_inherited(l, 1, &count, &f->err), ERR_OK);
	assert_int_equal(count, 0);
	(void)setenv("LISTEN_FDS", "1", 1);
	(void)setenv("LISTEN_PID", "1", 1); /* meant for another process */
	count = 99;
	assert_int_equal(listen_inherited(l, 1, &count, &f->err), ERR_OK);
	assert_int_equal(count, 0);
}

static void only_listening_tcp_sockets_are_taken_over(void **state)
{
	struct fixture *f = *state;
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(listen_unix(&f->unix_fd, f->path, &f->err), ERR_OK);
	assert_int_equal(hand_over(&file, 1, "http", 4, something_came), ERR_INVALID);
	assert_int_equal(hand_over(&udp, 1, "http", 4, something_came), ERR_INVALID);
	assert_int_equal(hand_over(&silent, 1, "http", 4, something_came), ERR_INVALID);
	assert_int_equal(hand_over(&f->unix_fd, 1, "http", 4, something_came), ERR_INVALID);
	(void)close(file);
	(void)close(udp);
	(void)close(silent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(port_0_picks_one_and_the_url_has_it),
		TEST(sockets_do_not_block_and_are_not_inherited),
		TEST(a_tls_listener_says_https),
		TEST(ipv6_and_ipv4_share_a_port),
		TEST(a_busy_port_is_said_to_be_busy),
		TEST(a_port_is_free_again_after_a_restart),
		TEST(an_address_that_is_not_ours_is_a_failure),
		TEST(bad_addresses_are_refused),
		TEST(closing_twice_or_nothing_is_fine),
		TEST(a_unix_socket_is_for_its_owner_only),
		TEST(a_stale_unix_socket_is_replaced),
		TEST(a_live_unix_socket_is_left_alone),
		TEST(what_is_no_socket_is_left_alone),
		TEST(a_unix_path_has_its_limits),
		TEST(sockets_of_systemd_are_taken_over),
		TEST(without_systemd_nothing_is_taken_over),
		TEST(only_listening_tcp_sockets_are_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
