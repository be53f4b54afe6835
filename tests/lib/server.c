#include "tests/lib/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <poll.h>

static void die(const char *what)
{
	(void)fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
	abort();
}

static void nap(int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

static void write_config(const struct test_server *s)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", s->dir);
	f = fopen(path, "w");
	if (f == NULL)
		die(path);
	if (s->options.config != NULL)
		(void)fputs(s->options.config, f);
	if (s->options.faults != NULL)
		(void)fputs("\nstore { engine = faulty; }\n", f);
	(void)fclose(f);
}

/* sd_listen_fds(3): the socket is number 3, and the environment says so. */
static void hand_over(const struct test_server *s)
{
	char pid[16];
	int fd = s->options.inherited;

	if (fd == 0)
		return;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	(void)setenv("LISTEN_FDNAMES",
		     s->options.inherited_name != NULL ? s->options.inherited_name : "http", 1);
	if (fd != 3)
		(void)dup2(fd, 3);
	else
		(void)fcntl(fd, F_SETFD, 0);
}

static const char *build_dir(void)
{
	return getenv("BUILD") != NULL ? getenv("BUILD") : "build/release";
}

static void exec_server(const struct test_server *s, int out)
{
	const char *listen = s->options.listen != NULL ? s->options.listen : "127.0.0.1:0";
	char binary[256], conf[128], data[128], log[128];
	const char *argv[16];
	int n = 0, fd;

	(void)snprintf(binary, sizeof(binary), "%s/%s", build_dir(),
		       s->options.faults != NULL ? "restanted-faulty" : "restanted");
	(void)snprintf(conf, sizeof(conf), "%s/conf", s->dir);
	(void)snprintf(data, sizeof(data), "%s/data", s->dir);
	(void)snprintf(log, sizeof(log), "%s/log", s->dir);
	if (s->options.faults != NULL)
		(void)setenv("RESTANTE_FAULTS", s->options.faults, 1);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	argv[n++] = binary;
	argv[n++] = "--config";
	argv[n++] = conf;
	argv[n++] = "--data-dir";
	argv[n++] = data;
	if (listen[0] != '\0') {
		argv[n++] = "--listen";
		argv[n++] = listen;
	}
	argv[n] = NULL;
	hand_over(s);
	(void)execv(binary, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int spawn(struct test_server *s)
{
	int out[2];

	if (pipe2(out, O_CLOEXEC) != 0)
		die("pipe");
	s->pid = fork();
	if (s->pid < 0)
		die("fork");
	if (s->pid == 0)
		exec_server(s, out[1]);
	(void)close(out[1]);
	return out[0];
}

/* Reads what it prints until all listeners have been named, or it ends. */
static bool await_ready(struct test_server *s, int out)
{
	char text[1024];
	size_t n = 0;
	ssize_t k;
	const char *p;
	struct pollfd pfd = { .fd = out, .events = POLLIN };

	s->port_count = 0;
	while (n < sizeof(text) - 1) {
		/* the lines come in one write: a short silence after the first is the end */
		if (poll(&pfd, 1, n == 0 ? 30000 : 50) <= 0)
			break;
		k = read(out, text + n, sizeof(text) - 1 - n);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	text[n] = '\0';
	(void)close(out);
	for (p = text; (p = strstr(p, "listening on http")) != NULL && s->port_count < 4; p++)
		s->ports[s->port_count++] = atoi(strrchr(strndupa(p, strcspn(p, "\n")), ':') + 1);
	s->port = s->ports[0];
	(void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", s->port);
	return s->port_count > 0;
}

void server_start(struct test_server *s, const struct test_server_options *o)
{
	*s = (struct test_server){ .dir = "/tmp/restante-test-XXXXXX" };
	if (o != NULL)
		s->options = *o;
	if (mkdtemp(s->dir) == NULL)
		die("mkdtemp");
	server_again(s);
}

void server_again(struct test_server *s)
{
	char *log;

	write_config(s);
	if (await_ready(s, spawn(s)))
		return;
	log = server_log(s);
	(void)fprintf(stderr, "server does not start:\n%s\n", log);
	abort();
}

static int reap(struct test_server *s, int limit_ms)
{
	int status = 0;

	for (int t = 0; t < limit_ms; t += 5) {
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			s->pid = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		}
		nap(5);
	}
	(void)fprintf(stderr, "server does not end\n");
	(void)kill(s->pid, SIGABRT);
	abort();
}

int server_try(struct test_server *s)
{
	write_config(s);
	(void)close(spawn(s));
	return reap(s, 20000);
}

int server_stop(struct test_server *s)
{
	(void)kill(s->pid, SIGTERM);
	return reap(s, 20000);
}

int server_wait(struct test_server *s, int ms)
{
	return reap(s, ms);
}

void server_kill(struct test_server *s)
{
	(void)kill(s->pid, SIGKILL);
	(void)reap(s, 20000);
}

bool server_alive(struct test_server *s)
{
	int status;

	if (s->pid == 0)
		return false;
	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return true;
	s->pid = 0;
	return false;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void server_remove(struct test_server *s)
{
	int code = 0;

	if (s->pid != 0)
		code = server_stop(s);
	if (code != 0) {
		char *log = server_log(s);

		(void)fprintf(stderr, "server ended with %d:\n%s\n", code, log);
		abort();
	}
	(void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *read_file(const char *path)
{
	size_t cap = 1 << 16, n = 0, k;
	char *text = malloc(cap + 1);
	FILE *f = fopen(path, "r");

	if (text == NULL)
		die("malloc");
	while (f != NULL && (k = fread(text + n, 1, cap - n, f)) > 0) {
		n += k;
		if (n == cap)
			text = realloc(text, (cap *= 2) + 1);
		if (text == NULL)
			die("realloc");
	}
	if (f != NULL)
		(void)fclose(f);
	text[n] = '\0';
	return text;
}

uint64_t server_metric(struct test_server *s, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
	char text[65536], key[128];
	size_t n = 0;
	ssize_t k;
	const char *p;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/data/admin.sock", s->dir);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		die("admin socket");
	(void)!write(fd, ask, sizeof(ask) - 1);
	while (n < sizeof(text) - 1 && (k = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)k;
	text[n] = '\0';
	(void)close(fd);
	(void)snprintf(key, sizeof(key), "\n%s ", name);
	p = strstr(text, key);
	if (p == NULL) {
		(void)fprintf(stderr, "no metric %s in:\n%s\n", name, text);
		abort();
	}
	return strtoull(p + strlen(key), NULL, 10);
}

uint64_t server_rss(const struct test_server *s)
{
	char path[64], *text, *p;
	uint64_t kb;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)s->pid);
	text = read_file(path);
	p = strstr(text, "VmRSS:");
	kb = p == NULL ? 0 : strtoull(p + 6, NULL, 10);
	free(text);
	return kb * 1024;
}

uint64_t server_cpu_ms(const struct test_server *s)
{
	char path[64], *text, *p;
	uint64_t ticks = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)s->pid);
	text = read_file(path);
	p = strrchr(text, ')');
	for (int field = 2; p != NULL && field < 15; field++) {
		p = strchr(p + 1, ' ');
		if (p != NULL && field >= 13)
			ticks += strtoull(p, NULL, 10);
	}
	free(text);
	return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

int server_files(const struct test_server *s)
{
	char path[64];
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->pid);
	d = opendir(path);
	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n - 2;
}

char *server_log(const struct test_server *s)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/log", s->dir);
	return read_file(path);
}

bool server_logs(const struct test_server *s, const char *text, int ms)
{
	for (int t = 0;; t += 20) {
		char *log = server_log(s);
		bool there = strstr(log, text) != NULL;

		free(log);
		if (there || t >= ms)
			return there;
		nap(20);
	}
}

void server_configure(struct test_server *s, const char *config)
{
	s->options.config = config;
	write_config(s);
}

int server_command(const struct test_server *s, const char *flags, char *out, size_t size)
{
	char line[1024];
	size_t n = 0, k;
	int status;
	FILE *f;

	(void)snprintf(line, sizeof(line),
		       "%s/restanted --config %s/conf --data-dir %s/data %s 2>&1", build_dir(),
		       s->dir, s->dir, flags);
	f = popen(line, "r");
	if (f == NULL)
		die("popen");
	while (n < size - 1 && (k = fread(out + n, 1, size - 1 - n, f)) > 0)
		n += k;
	out[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
