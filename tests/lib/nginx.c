#include "tests/lib/nginx.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define NGINX "/usr/sbin/nginx"
#define TEXT_MAX 65536

static void die(const char *what, const char *more)
{
	(void)fprintf(stderr, "nginx: %s: %s\n", what, more);
	abort();
}

/* ---- files ----------------------------------------------------------------------------------- */

static void path_of(char out[static 128], const struct nginx *x, const char *name)
{
	(void)snprintf(out, 128, "%s/%s", x->dir, name);
}

void nginx_write(const struct nginx *x, const char *name, const void *data, size_t n)
{
	char path[128];
	FILE *f;

	path_of(path, x, name);
	f = fopen(path, "w");
	if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0)
		die("cannot write", path);
}

static char *read_file(const char *path)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *f = fopen(path, "r");

	if (text == NULL)
		die("no memory", path);
	if (f != NULL) {
		(void)!fread(text, 1, TEXT_MAX - 1, f);
		(void)fclose(f);
	}
	return text;
}

char *nginx_read(const struct nginx *x, const char *name)
{
	char path[128];

	path_of(path, x, name);
	return read_file(path);
}

bool nginx_script(const struct nginx *x, const char *script)
{
	char line[256];

	nginx_write(x, "script", script, strlen(script));
	(void)snprintf(line, sizeof(line),
		       "cd %s && sh -e script http://127.0.0.1:%d https://127.0.0.1:%d "
		       ">script.log 2>&1",
		       x->dir, x->port, x->tls_port);
	return system(line) == 0;
}

/* ---- what it is told ------------------------------------------------------------------------- */

/* Puts `to` in the place of every `from`, which has to be there. Frees text. */
static char *replaced(char *text, const char *from, const char *to)
{
	char *out = NULL, *p = text, *found;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL || strstr(text, from) == NULL)
		die("conf/nginx.conf does not have", from);
	while ((found = strstr(p, from)) != NULL) {
		(void)fprintf(f, "%.*s%s", (int)(found - p), p, to);
		p = found + strlen(from);
	}
	(void)fputs(p, f);
	(void)fclose(f);
	free(text);
	return out;
}

static char *shipped(const struct nginx *x, int upstream)
{
	char *text = read_file("conf/nginx.conf"), value[128];

	(void)snprintf(value, sizeof(value), "127.0.0.1:%d", upstream);
	text = replaced(text, "127.0.0.1:8080", value);
	(void)snprintf(value, sizeof(value), "listen 127.0.0.1:%d;\nlisten 127.0.0.1:%d ssl http2;",
		       x->port, x->tls_port);
	text = replaced(text, "listen 443 ssl http2;", value);
	text = replaced(text, "listen [::]:443 ssl http2;", "");
	text = replaced(text, "/etc/letsencrypt/live/media.example.org", x->dir);
	return replaced(text, "/var/log/nginx", x->dir);
}

/* ---- running --------------------------------------------------------------------------------- */

bool nginx_is_there(void)
{
	return access(NGINX, X_OK) == 0;
}

static int free_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
		die("no port", "is free");
	(void)close(fd);
	return ntohs(sa.sin_port);
}

void nginx_prepare(struct nginx *x)
{
	*x = (struct nginx){ .dir = "/tmp/restante-nginx-XXXXXX" };
	if (mkdtemp(x->dir) == NULL)
		die("no folder", x->dir);
	x->port = free_port();
	x->tls_port = free_port();
}

static bool listens(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool does;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	does = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
	(void)close(fd);
	return does;
}

static void become(const struct nginx *x)
{
	char conf[128], log[128];
	int fd;

	path_of(conf, x, "nginx.conf");
	path_of(log, x, "start.log");
	fd = open(log, O_WRONLY | O_CREAT, 0600);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	(void)execl(NGINX, NGINX, "-p", x->dir, "-c", conf, "-g", "daemon off;", (char *)NULL);
	_exit(127);
}

void nginx_run(struct nginx *x, const char *http)
{
	char *said, *text = NULL;
	int n = asprintf(&text,
			 "%s worker_processes 1; pid %s/pid; error_log %s/main.log;\n"
			 "events { worker_connections 64; }\n"
			 "http { access_log off; client_body_temp_path t1; proxy_temp_path t2;\n"
			 "  fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n%s}\n",
			 geteuid() == 0 ? "user root;" : "", x->dir, x->dir, http);

	if (n < 0)
		die("no memory", http);
	nginx_write(x, "nginx.conf", text, (size_t)n);
	free(text);
	x->pid = fork();
	if (x->pid == 0)
		become(x);
	for (int i = 0; i < 500 && !listens(x->port); i++)
		client_nap(10);
	said = nginx_read(x, "start.log");
	if (said[0] != '\0' || !listens(x->port))
		die("it does not start, or warns", said);
	free(said);
}

void nginx_start(struct nginx *x, int upstream)
{
	char *text;

	nginx_prepare(x);
	if (!nginx_script(x, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			     "-days 2 -subj /CN=media.example.org -keyout privkey.pem "
			     "-out fullchain.pem"))
		die("no certificate", x->dir);
	text = shipped(x, upstream);
	nginx_run(x, text);
	free(text);
}

void nginx_start_bare(struct nginx *x, int upstream)
{
	char text[256];

	nginx_prepare(x);
	(void)snprintf(text, sizeof(text),
		       "  server { listen 127.0.0.1:%d;\n"
		       "    location / { proxy_pass http://127.0.0.1:%d; } }\n",
		       x->port, upstream);
	nginx_run(x, text);
}

void nginx_stop(struct nginx *x)
{
	struct test_server rest = { .pid = 0 };
	int status;

	(void)kill(x->pid, SIGTERM);
	(void)waitpid(x->pid, &status, 0);
	(void)snprintf(rest.dir, sizeof(rest.dir), "%s", x->dir);
	server_remove(&rest); /* only the folder is left of it */
}
