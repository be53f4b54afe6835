/* transport - the same by HTTP/2: an nginx that stores what it is sent stands behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/library/story.h"

#define NGINX "/usr/sbin/nginx"

static char dir[64] = "/tmp/restante-h2-XXXXXX";
static pid_t nginx;
static int port;
static bool there;

/* ---- nginx ---- */

static int tcp(int to)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)to) };
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ok = (to != 0 ? connect(fd, (struct sockaddr *)&sa, n)
		      : bind(fd, (struct sockaddr *)&sa, n)) == 0;
	if (ok && to == 0) {
		ok = getsockname(fd, (struct sockaddr *)&sa, &n) == 0;
		port = ntohs(sa.sin_port);
	}
	(void)close(fd);
	return ok ? 0 : -1;
}

static void write_conf(void)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	/* one process, which is the whole server: it can be killed in the middle */
	(void)fprintf(
		f,
		"daemon off; master_process off; pid pid; error_log error;\n"
		"events { }\n"
		"http { log_format how '$server_protocol'; access_log %s/log how;\n"
		"  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n"
		"  uwsgi_temp_path t4; scgi_temp_path t5;\n"
		"  server { listen 127.0.0.1:%d ssl http2; root %s/root; client_max_body_size 0;\n"
		"    ssl_certificate %s/cert; ssl_certificate_key %s/key;\n"
		"    location / { dav_methods PUT; }\n"
		"    location /slow/ { limit_rate 200k; alias %s/root/; }\n"
		"    location /little/ { dav_methods PUT; client_max_body_size 1m; }\n"
		"    location /never { return 403 \"never\"; } } }\n",
		dir, port, dir, dir, dir, dir);
	assert_int_equal(fclose(f), 0);
}

static void start_nginx(void)
{
	nginx = fork();
	if (nginx == 0) {
		const int null = open("/dev/null", O_WRONLY);

		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execl(NGINX, NGINX, "-p", dir, "-c", "conf", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && tcp(port) != 0; i++)
		client_nap(10);
	assert_int_equal(tcp(port), 0);
}

static int start(void **state)
{
	char line[512];

	(void)state;
	there = access(NGINX, X_OK) == 0;
	if (!there)
		return 0;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(line, sizeof(line),
		       "cd %s && mkdir root && openssl req -x509 -newkey ec "
		       "-pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=t "
		       "-addext subjectAltName=IP:127.0.0.1 -keyout key -out cert 2>/dev/null",
		       dir);
	assert_int_equal(system(line), 0);
	assert_int_equal(tcp(0), 0);
	write_conf();
	start_nginx();
	return 0;
}

static void end_nginx(void)
{
	if (nginx > 0) {
		(void)kill(nginx, SIGKILL);
		(void)waitpid(nginx, NULL, 0);
	}
	nginx = 0;
}

static int stop(void **state)
{
	char line[128];

	(void)state;
	if (!there)
		return 0;
	end_nginx();
	(void)snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

/* ---- stories with it ---- */

static void tell_nginx(struct story *s)
{
	char url[64], ca[80];

	if (!there)
		skip();
	*s = (struct story){ .step = 100000, .pause_at = SIZE_MAX };
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d", port);
	(void)snprintf(ca, sizeof(ca), "%s/cert", dir);
	assert_int_equal(transport_new(&s->t, url, NULL), RESTANTE_OK);
	assert_int_equal(transport_set_ca_file(s->t, ca, NULL), RESTANTE_OK);
}

static void begin_at(struct story *s, const char *method, const char *target, int64_t size,
		     bool (*data)(void *ctx, struct bytes piece))
{
	struct exchange_request rq = {
		.method = method, .body_size = size, .body = body, .data = data, .ctx = s
	};
	char *url;

	assert_int_equal(transport_url(s->t, target, &url, NULL), RESTANTE_OK);
	rq.url = url;
	exchange_end(s->x);
	s->x = NULL;
	assert_int_equal(exchange_begin(s->t, &s->x, &rq, &s->error), RESTANTE_OK);
	free(url);
}

/* Whether pieces of the answer are the bytes of our body, in order. */
static bool compare(void *ctx, struct bytes piece)
{
	struct story *s = ctx;

	for (size_t i = 0; i < piece.len; i++)
		if (piece.data[i] != (s->heard + i) % 251)
			return false;
	s->heard += piece.len;
	return true;
}

static void round_trip(size_t size, int64_t said, size_t pause_at)
{
	struct story s;

	tell_nginx(&s);
	s.size = size;
	s.pause_at = pause_at;
	begin_at(&s, "PUT", "/blob", said, NULL);
	while (exchange_state(s.x) == EXCHANGE_RUNS) {
		assert_int_equal(transport_run(s.t, 20, -1, NULL, NULL), RESTANTE_OK);
		if (s.paused)
			exchange_go_on(s.x);
	}
	assert_int_equal(exchange_state(s.x), EXCHANGE_ANSWERED);
	assert_in_range(exchange_status(s.x), 201, 204);
	begin_at(&s, "GET", "/blob", BODY_NONE, compare);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	assert_int_equal(s.heard, size);
	end(&s);
}

static void bodies_arrive_whole(void **state)
{
	(void)state;
	round_trip(0, 0, SIZE_MAX);
	round_trip(0, BODY_UNKNOWN, SIZE_MAX);
	round_trip(5 * MB, 5 * MB, SIZE_MAX);
	round_trip(5 * MB + 3, BODY_UNKNOWN, SIZE_MAX);
	round_trip(5 * MB + 3, BODY_UNKNOWN, 2 * MB);
	round_trip(1000, BODY_UNKNOWN, 0);
	round_trip(1000, 1000, 0);
}

static void it_was_http2(void **state)
{
	char line[256];

	(void)state;
	if (!there)
		skip();
	(void)snprintf(line, sizeof(line), "grep -q HTTP/2 %s/log && ! grep -qv HTTP/2 %s/log", dir,
		       dir);
	assert_int_equal(system(line), 0);
}

static void an_early_refusal_is_heard(void **state)
{
	static const char *const targets[] = { "/little/x", "/never" };
	static const int64_t sizes[] = { 64 * MB, BODY_UNKNOWN };
	struct story s;

	(void)state;
	for (int i = 0; i < 4; i++) {
		tell_nginx(&s);
		s.size = 64 * MB;
		begin_at(&s, "PUT", targets[i / 2], sizes[i % 2], NULL);
		assert_int_equal(run(&s), EXCHANGE_ANSWERED);
		assert_int_equal(exchange_status(s.x), i < 2 ? 413 : 403);
		assert_true(s.given < 64 * MB);
		end(&s);
	}
}

static void a_refusal_is_heard_while_the_body_waits(void **state)
{
	struct story s;

	(void)state;
	tell_nginx(&s);
	s.size = 1000;
	s.pause_at = 0;
	begin_at(&s, "PUT", "/never", BODY_UNKNOWN, NULL);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	assert_int_equal(exchange_status(s.x), 403);
	end(&s);
}

static void a_truncated_answer_is_a_failure(void **state)
{
	struct story s;

	(void)state;
	round_trip(5 * MB, 5 * MB, SIZE_MAX);
	tell_nginx(&s);
	begin_at(&s, "GET", "/slow/blob", BODY_NONE, compare);
	while (s.heard == 0 && exchange_state(s.x) == EXCHANGE_RUNS)
		assert_int_equal(transport_run(s.t, 100, -1, NULL, NULL), RESTANTE_OK);
	end_nginx();
	assert_int_equal(run(&s), EXCHANGE_FAILED);
	assert_int_equal(exchange_error(s.x)->code, RESTANTE_NETWORK);
	assert_int_equal(exchange_status(s.x), 200);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_arrive_whole),
		cmocka_unit_test(it_was_http2),
		cmocka_unit_test(an_early_refusal_is_heard),
		cmocka_unit_test(a_refusal_is_heard_while_the_body_waits),
		cmocka_unit_test(a_truncated_answer_is_a_failure), /* the last: nginx ends there */
	};

	return cmocka_run_group_tests(tests, start, stop);
}
