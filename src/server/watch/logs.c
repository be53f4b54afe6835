#include "server/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* Lines that wait to be written. */
#define BUFFER_BYTES ((size_t)1 << 20)
/* Nobody waits for a line of the access log: they are written together. */
#define GATHER_MS 50
/* How long the end waits for a reader of the log that does not read. */
#define STOP_S 2

enum which { LOG, ACCESS, STREAMS };

static struct stream {
	const char *name;
	int fd;      /* the writer's; -1: none */
	int next_fd; /* to be taken up */
	bool changed;
	char *filling, *writing;
	size_t used;
	uint64_t lost; /* lines, since this was last told; the writer's own beside it */
	uint64_t failed;
	bool torn;    /* the last line in the file is not whole */
	bool failing; /* so it was told */
} streams[STREAMS] = { { .name = "log", .fd = -1 }, { .name = "access", .fd = -1 } };

static struct {
	pthread_mutex_t lock; /* of what the streams have for others than the writer */
	pthread_cond_t filled;
	pthread_t thread;
	bool running, stopping;
	bool journal; /* standard error is the journal, and wants levels (sd-daemon(3)) */
	atomic_bool access, access_with_log, to_journal;
	atomic_uint_fast64_t lost;
} logs = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- taking lines ---- */

static void append(struct stream *s, const char *a, const char *b)
{
	const size_t na = strlen(a), nb = strlen(b);

	if (na + nb + 1 > BUFFER_BYTES - s->used) {
		s->lost++;
		atomic_fetch_add(&logs.lost, 1);
		return;
	}
	memcpy(s->filling + s->used, a, na);
	memcpy(s->filling + s->used + na, b, nb);
	s->used += na + nb;
	s->filling[s->used++] = '\n';
}

static void take(enum which which, const char *prefix, const char *line)
{
	struct stream *s = &streams[which];
	bool first;

	pthread_mutex_lock(&logs.lock);
	first = s->used == 0;
	append(s, prefix, line);
	if (first)
		pthread_cond_signal(&logs.filled);
	pthread_mutex_unlock(&logs.lock);
}

static void take_log(void *ctx, enum log_level level, const char *line)
{
	static const char *const prefixes[] = { "<7>", "<6>", "<4>", "<3>" };

	(void)ctx;
	take(LOG, atomic_load(&logs.to_journal) ? prefixes[level] : "", line);
}

bool logs_want_access(void)
{
	return atomic_load_explicit(&logs.access, memory_order_relaxed);
}

void logs_access(const char *line)
{
	if (!logs_want_access())
		return;
	if (atomic_load(&logs.access_with_log))
		take_log(NULL, LOG_LEVEL_INFO, line);
	else
		take(ACCESS, "", line);
}

uint64_t logs_lost(void)
{
	return atomic_load(&logs.lost);
}

/* ---- writing them ---- */

static uint64_t lines_in(const char *p, size_t n)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

/* A pipe that is full is waited for, but not for ever. */
static bool may_go_on(int fd, int error)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return error == EINTR || (error == EAGAIN && poll(&p, 1, STOP_S * 1000) == 1);
}

/* Returns how many of the bytes are written; errno says why not all are. */
static size_t write_all(int fd, const char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = write(fd, p + done, n - done);

		if (k > 0)
			done += (size_t)k;
		else if (k == 0 || !may_go_on(fd, errno))
			break;
	}
	return done;
}

static void tell_failure(struct stream *s, int error)
{
	const char *why = strerror(error);

	if (s->failing)
		return;
	s->failing = true;
	if (s == &streams[ACCESS])
		log_error("event=log_failed log=access error=\"%s\"", why);
	else if (s->fd != STDERR_FILENO)
		(void)dprintf(STDERR_FILENO, "level=error event=log_failed log=log error=\"%s\"\n",
			      why);
}

/* What was lost before is told when there is room again. */
static void tell_lost(struct stream *s, uint64_t lost)
{
	s->failed += lost;
	if (s->failing || s->failed == 0)
		return;
	log_warn("event=log_lost log=%s lines=%" PRIu64, s->name, s->failed);
	s->failed = 0;
}

static void write_lines(struct stream *s, size_t n)
{
	size_t done = 0;

	if (s->fd < 0 || n == 0)
		return;
	if (!s->torn || write_all(s->fd, "\n", 1) == 1) {
		s->torn = false;
		done = write_all(s->fd, s->writing, n);
	}
	if (done == n) {
		s->failing = false;
		return;
	}
	tell_failure(s, errno);
	s->torn = s->torn || (done > 0 && s->writing[done - 1] != '\n');
	s->failed += lines_in(s->writing + done, n - done);
	atomic_fetch_add(&logs.lost, lines_in(s->writing + done, n - done));
}

static void close_file(int fd)
{
	if (fd >= 0 && fd != STDERR_FILENO)
		(void)close(fd);
}

/* Under lock. */
static void change_file(struct stream *s)
{
	if (!s->changed)
		return;
	close_file(s->fd);
	s->fd = s->next_fd;
	s->changed = s->torn = s->failing = false;
}

static void write_stream(struct stream *s)
{
	uint64_t lost;
	size_t n;
	char *swap;

	pthread_mutex_lock(&logs.lock);
	if (s->next_fd >= 0)
		change_file(s); /* else what is left still goes to the old one */
	swap = s->filling;
	s->filling = s->writing;
	s->writing = swap;
	n = s->used;
	lost = s->lost;
	s->used = 0;
	s->lost = 0;
	pthread_mutex_unlock(&logs.lock);
	write_lines(s, n);
	tell_lost(s, lost);
	if (n == 0) {
		pthread_mutex_lock(&logs.lock);
		if (s->used == 0)
			change_file(s);
		pthread_mutex_unlock(&logs.lock);
	}
}

static struct timespec soon(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += GATHER_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	return t;
}

/* False: it is over. */
static bool await_lines(void)
{
	struct timespec until;
	bool go_on;

	pthread_mutex_lock(&logs.lock);
	while (!logs.stopping && streams[LOG].used == 0 && streams[ACCESS].used == 0 &&
	       !streams[LOG].changed && !streams[ACCESS].changed)
		(void)pthread_cond_wait(&logs.filled, &logs.lock);
	until = soon();
	while (!logs.stopping && streams[LOG].used == 0 && streams[ACCESS].used > 0 &&
	       streams[ACCESS].used < BUFFER_BYTES / 2)
		if (pthread_cond_timedwait(&logs.filled, &logs.lock, &until) != 0)
			break;
	go_on = !logs.stopping;
	pthread_mutex_unlock(&logs.lock);
	return go_on;
}

static void *writer_main(void *arg)
{
	bool go_on;

	(void)arg;
	do {
		go_on = await_lines();
		write_stream(&streams[ACCESS]); /* what it has to tell goes to the other */
		write_stream(&streams[LOG]);
	} while (go_on);
	write_stream(&streams[LOG]);
	return NULL;
}

/* ---- files ---- */

static enum err_code open_file(const char *path, int *fd, struct err *e)
{
	*fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (*fd < 0)
		return err_set(e, ERR_IO, "open %.80s: %s", path, strerror(errno));
	return ERR_OK;
}

static bool apart(const char *access)
{
	return access[0] != '\0' && strcmp(access, "-") != 0;
}

static void set_level(const struct settings *set)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (int i = 0; i < 4; i++)
		if (strcmp(set->log_level, names[i]) == 0)
			log_set_level((enum log_level)i);
}

/* Under lock. */
static void change(struct stream *s, int fd)
{
	if (s->changed)
		close_file(s->next_fd); /* the writer has not come to it */
	s->next_fd = fd;
	s->changed = true;
}

enum err_code logs_reopen(const struct settings *set, struct err *e)
{
	int fds[STREAMS] = { STDERR_FILENO, -1 };
	enum err_code rc = ERR_OK;

	if (set->log_file[0] != '\0')
		rc = open_file(set->log_file, &fds[LOG], e);
	if (rc == ERR_OK && apart(set->log_access))
		rc = open_file(set->log_access, &fds[ACCESS], e);
	if (rc != ERR_OK) {
		close_file(fds[LOG]);
		return rc;
	}
	set_level(set);
	pthread_mutex_lock(&logs.lock);
	for (int i = 0; i < STREAMS; i++)
		change(&streams[i], fds[i]);
	atomic_store(&logs.to_journal, logs.journal && fds[LOG] == STDERR_FILENO);
	atomic_store(&logs.access_with_log, !apart(set->log_access));
	atomic_store(&logs.access, set->log_access[0] != '\0');
	pthread_cond_signal(&logs.filled);
	pthread_mutex_unlock(&logs.lock);
	return ERR_OK;
}

/* systemd.exec(5), JOURNAL_STREAM: device and inode of what it has connected. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (text == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	(void)snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(text, here) == 0;
}

static enum err_code make_buffers(struct err *e)
{
	for (int i = 0; i < STREAMS; i++) {
		streams[i].filling = malloc(BUFFER_BYTES);
		streams[i].writing = malloc(BUFFER_BYTES);
		if (streams[i].filling == NULL || streams[i].writing == NULL)
			return err_set(e, ERR_NOMEM, "buffers of the log");
	}
	return ERR_OK;
}

static void let_go(void)
{
	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];

		close_file(s->fd);
		if (s->changed)
			close_file(s->next_fd);
		free(s->filling);
		free(s->writing);
		*s = (struct stream){ .name = s->name, .fd = -1 };
	}
}

enum err_code logs_start(const struct settings *set, struct err *e)
{
	pthread_condattr_t monotonic;
	enum err_code rc;

	if (logs.running)
		return ERR_OK;
	rc = make_buffers(e);
	logs.journal = stderr_is_journal();
	logs.stopping = false;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&logs.filled, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (rc == ERR_OK)
		rc = logs_reopen(set, e);
	if (rc == ERR_OK && pthread_create(&logs.thread, NULL, writer_main, NULL) != 0)
		rc = err_set(e, ERR_NOMEM, "thread of the log");
	if (rc != ERR_OK) {
		let_go();
		return rc;
	}
	(void)pthread_setname_np(logs.thread, "log");
	logs.running = true;
	log_set_sink(take_log, NULL);
	return ERR_OK;
}

void logs_stop(void)
{
	struct timespec until;

	if (!logs.running)
		return;
	logs.running = false;
	log_set_sink(NULL, NULL);
	atomic_store(&logs.access, false);
	pthread_mutex_lock(&logs.lock);
	logs.stopping = true;
	pthread_cond_signal(&logs.filled);
	pthread_mutex_unlock(&logs.lock);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_S;
	/* one that hangs on a file is left behind: the process ends */
	if (pthread_timedjoin_np(logs.thread, NULL, &until) == 0)
		let_go();
}
