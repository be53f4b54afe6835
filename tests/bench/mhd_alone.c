/* mhd_alone THREADS FILE... - serves files from memory at /NAME by libmicrohttpd and nothing else:
 * what the library that restanted stands on can do at the most. Says where it listens; ends with
 * its standard input. */
#include <fcntl.h>
#include <microhttpd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dial.h"

#define FILES_MAX 64

static struct {
	const char *name;
	struct MHD_Response *response;
} files[FILES_MAX];
static int file_count;

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_len, void **seen)
{
	(void)ctx, (void)method, (void)version, (void)body, (void)body_len;
	if (*seen == NULL) {
		*seen = files;
		return MHD_YES;
	}
	for (int i = 0; i < file_count; i++)
		if (strcmp(url + 1, files[i].name) == 0)
			return MHD_queue_response(c, MHD_HTTP_OK, files[i].response);
	return MHD_NO;
}

static void serve(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *slash = strrchr(path, '/');
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	data = malloc((size_t)st.st_size);
	if (data == NULL || read(fd, data, (size_t)st.st_size) != st.st_size)
		die(path);
	close(fd);
	files[file_count].name = slash == NULL ? path : slash + 1;
	files[file_count++].response =
		MHD_create_response_from_buffer((size_t)st.st_size, data, MHD_RESPMEM_PERSISTENT);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	const union MHD_DaemonInfo *bound;
	struct MHD_Daemon *d;
	char c;

	if (argc < 3 || argc - 2 > FILES_MAX)
		die("usage: mhd_alone THREADS FILE...");
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 2; i < argc; i++)
		serve(argv[i]);
	d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, answer,
			     NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)atoi(argv[1]),
			     MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
	bound = d == NULL ? NULL : MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
	if (bound == NULL)
		die("MHD_start_daemon");
	printf("listening on http://127.0.0.1:%u/\n", bound->port);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	MHD_stop_daemon(d);
	return 0;
}
