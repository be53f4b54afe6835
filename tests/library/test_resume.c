/* resume - uploads over links that break, to servers that are killed, by clients that are killed:
 * they go on from what the server has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/proxy.h"
#include "tests/lib/server.h"
#include "tests/library/uploading.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

static struct test_server server;
static struct proxy *proxy; /* before it */
static char dir[] = "/tmp/restante-resume-XXXXXX";
static char path[64], state_path[64], kept_path[64];
static uint8_t bytes[20 * MB];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", mkdtemp(dir));
	(void)snprintf(state_path, sizeof(state_path), "%s/state", dir);
	(void)snprintf(kept_path, sizeof(kept_path), "%s/kept", dir);
	fill_random(bytes, sizeof(bytes), 7);
	server_start(&server, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(kept_path);
	server_remove(&server);
	return rmdir(dir); /* nothing else is left */
}

static int proxy_begin(void **state)
{
	(void)state;
	proxy = proxy_new(server.port);
	return 0;
}

static int proxy_end(void **state)
{
	(void)state;
	proxy_free(proxy);
	(void)unlink(state_path);
	return 0;
}

static void write_file(size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* An upload of the file through the proxy, with state. */
static void open_file(struct uploading *u)
{
	uploading_open(u, proxy_url(proxy));
	assert_code(restante_upload_file(u->upload, path, &u->e), RESTANTE_OK, &u->e);
	assert_code(restante_upload_set_state(u->upload, state_path, &u->e), RESTANTE_OK, &u->e);
}

static void assert_file_arrived(const struct uploading *u, size_t n)
{
	assert_arrived(u, server.port, bytes, n, (size_t)restante_padded_size(n));
	assert_int_equal(access(state_path, F_OK), -1);
}

static size_t sealed_size(size_t n)
{
	return (size_t)restante_sealed_size(restante_padded_size(n));
}

/* ---- a process that can be killed ---- */

/* Runs the upload of the file in a process of its own. */
static pid_t upload_begin(unsigned parts)
{
	struct uploading u;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	open_file(&u);
	restante_upload_set_parts(u.upload, parts);
	_exit((int)uploading_run(&u));
}

/* What is in the air then is lost. */
static void upload_kill(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	proxy_set_rate(proxy, 0);
	proxy_break(proxy);
}

/* Sends a part of the file slowly and kills the process in the middle. */
static void half_an_upload(size_t n, unsigned parts)
{
	pid_t pid;

	write_file(n);
	proxy_set_rate(proxy, 3 * n);
	pid = upload_begin(parts);
	assert_true(proxy_reaches(proxy, n / 2, 10000));
	upload_kill(pid);
	assert_int_equal(access(state_path, F_OK), 0);
}

/* ---- lines that break ---- */

static void a_line_that_drops_every_few_hundred_kilobytes_is_enough(void **state)
{
	struct uploading u;

	(void)state;
	write_file(20 * MB);
	proxy_set_cut(proxy, 800 * KB, 0, true);
	open_file(&u);
	assert_runs(&u);
	assert_true(proxy_connections(proxy) > 30);
	/* what is lost is what was in the air when it broke */
	assert_true(proxy_up(proxy) < 2 * sealed_size(20 * MB));
	assert_file_arrived(&u, 20 * MB);
	uploading_close(&u);
}

static void answers_that_are_lost_are_asked_for_again(void **state)
{
	struct uploading u;

	(void)state;
	write_file(1 * MB);
	/* a creation's answer comes through, and not much of another */
	proxy_set_cut(proxy, 0, 500, true);
	open_file(&u);
	assert_runs(&u);
	assert_true(proxy_connections(proxy) > 1);
	assert_file_arrived(&u, 1 * MB);
	uploading_close(&u);
}

struct writer {
	int fds[2];
	size_t size, step;
	pthread_t thread;
};

static void *write_all(void *ctx)
{
	struct writer *w = ctx;
	size_t at = 0;

	while (at < w->size) {
		const size_t n = w->size - at < w->step ? w->size - at : w->step;
		const ssize_t k = write(w->fds[1], bytes + at, n);

		if (k <= 0)
			break;
		at += (size_t)k;
	}
	(void)close(w->fds[1]);
	return NULL;
}

static void open_pipe(struct uploading *u, struct writer *w)
{
	assert_int_equal(pipe2(w->fds, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, write_all, w), 0);
	uploading_open(u, proxy_url(proxy));
	assert_code(restante_upload_fd(u->upload, w->fds[0], true, &u->e), RESTANTE_OK, &u->e);
}

static void close_pipe(struct uploading *u, struct writer *w)
{
	(void)close(w->fds[0]);
	(void)pthread_join(w->thread, NULL);
	uploading_close(u);
}

static void a_pipe_over_such_a_line_arrives(void **state)
{
	struct writer w = { .size = 18 * MB, .step = 50000 };
	struct uploading u;

	(void)state;
	proxy_set_cut(proxy, 1500 * KB, 0, true);
	open_pipe(&u, &w);
	assert_runs(&u);
	assert_true(proxy_connections(proxy) > 10);
	assert_arrived(&u, server.port, bytes, w.size, (size_t)restante_padded_size(w.size));
	close_pipe(&u, &w);
}

static void parts_over_such_a_line_arrive(void **state)
{
	struct uploading u;

	(void)state;
	write_file(10 * MB);
	proxy_set_cut(proxy, 900 * KB, 0, true);
	open_file(&u);
	restante_upload_set_parts(u.upload, 4);
	assert_runs(&u);
	assert_true(proxy_connections(proxy) > 12);
	assert_file_arrived(&u, 10 * MB);
	uploading_close(&u);
}

static void without_an_answer_it_gives_up_and_goes_on_when_asked(void **state)
{
	struct uploading u;

	(void)state;
	write_file(1 * MB);
	open_file(&u);
	restante_client_set_retries(u.client, 5, 1);
	proxy_set_down(proxy, true);
	assert_fails(&u, RESTANTE_NETWORK);
	assert_int_equal(proxy_connections(proxy), 6);
	proxy_set_down(proxy, false);
	assert_runs(&u);
	assert_file_arrived(&u, 1 * MB);
	uploading_close(&u);
}

/* ---- servers that are killed ---- */

struct killer {
	uint64_t at;
	pthread_t thread;
};

static void *kill_server(void *ctx)
{
	const struct killer *k = ctx;

	if (proxy_reaches(proxy, k->at, 10000)) {
		server_kill(&server);
		server_again(&server);
		proxy_set_target(proxy, server.port);
	}
	return NULL;
}

static void run_with_killer(struct uploading *u, size_t n)
{
	struct killer k = { .at = n / 2 };

	restante_client_set_retries(u->client, 100, 20);
	proxy_set_rate(proxy, 3 * n);
	assert_int_equal(pthread_create(&k.thread, NULL, kill_server, &k), 0);
	assert_runs(u);
	(void)pthread_join(k.thread, NULL);
	assert_true(proxy_connections(proxy) > 1);
}

static void a_server_killed_in_the_middle_gets_the_rest(void **state)
{
	struct uploading u;

	(void)state;
	write_file(4 * MB);
	open_file(&u);
	run_with_killer(&u, 4 * MB);
	assert_file_arrived(&u, 4 * MB);
	uploading_close(&u);
}

/* What the server had acknowledged is not kept here any more. */
static void a_pipe_survives_a_killed_server_too(void **state)
{
	struct writer w = { .size = 12 * MB, .step = 50000 };
	struct uploading u;

	(void)state;
	open_pipe(&u, &w);
	run_with_killer(&u, 12 * MB);
	assert_arrived(&u, server.port, bytes, w.size, (size_t)restante_padded_size(w.size));
	close_pipe(&u, &w);
}

/* ---- clients that are killed ---- */

static void a_killed_client_is_taken_up_by_the_next(void **state)
{
	struct uploading u;
	uint64_t before;

	(void)state;
	half_an_upload(6 * MB, 1);
	before = proxy_up(proxy);
	open_file(&u);
	assert_runs(&u);
	assert_true(proxy_up(proxy) - before < sealed_size(6 * MB) * 3 / 4);
	assert_file_arrived(&u, 6 * MB);
	uploading_close(&u);
}

static void its_parts_are_taken_up_as_well(void **state)
{
	struct uploading u;
	uint64_t before;

	(void)state;
	half_an_upload(6 * MB, 4);
	before = proxy_up(proxy);
	open_file(&u);
	restante_upload_set_parts(u.upload, 4);
	assert_runs(&u);
	assert_true(proxy_up(proxy) - before < sealed_size(6 * MB) * 3 / 4);
	assert_file_arrived(&u, 6 * MB);
	uploading_close(&u);
}

static void a_sealed_file_is_taken_up_as_well(void **state)
{
	struct uploading u;
	struct bytes there;
	pid_t pid;

	(void)state;
	write_file(2 * MB);
	proxy_set_rate(proxy, 6 * MB);
	pid = fork();
	for (int i = 0; i < 2; i++) {
		if (pid != 0 && i == 0) {
			assert_true(proxy_reaches(proxy, 1 * MB, 10000));
			upload_kill(pid);
			continue;
		}
		uploading_open(&u, proxy_url(proxy));
		assert_code(restante_upload_sealed_file(u.upload, path, &u.e), RESTANTE_OK, &u.e);
		assert_code(restante_upload_set_state(u.upload, state_path, &u.e), RESTANTE_OK,
			    &u.e);
		assert_runs(&u);
		if (pid == 0)
			_exit(0);
	}
	assert_true(proxy_up(proxy) < 2 * MB * 3 / 2);
	there = uploading_fetch(&u, server.port);
	assert_announced(&u, there);
	assert_int_equal(there.len, 2 * MB);
	assert_memory_equal(there.data, bytes, there.len);
	free((void *)(uintptr_t)there.data);
	uploading_close(&u);
}

/* ---- the state file ---- */

static char *slurp(const char *name)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(name, "r");

	assert_non_null(f);
	(void)!fread(text, 1, 65535, f);
	(void)fclose(f);
	return text;
}

static void spit(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

/* Stands before the one of libc: how often a folder was made durable. */
static atomic_int folders_synced;

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		atomic_fetch_add(&folders_synced, 1);
	return (int)syscall(SYS_fsync, fd);
}

static void the_name_of_the_state_is_durable_too(void **state)
{
	struct uploading u;

	(void)state;
	write_file(1000);
	atomic_store(&folders_synced, 0);
	open_file(&u);
	assert_runs(&u);
	assert_int_equal(atomic_load(&folders_synced), 1);
	uploading_close(&u);
}

static void nobody_else_can_read_the_state(void **state)
{
	struct stat st;

	(void)state;
	half_an_upload(1 * MB, 1);
	assert_int_equal(stat(state_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Runs it, and tells how much was sent. */
static uint64_t run_and_count(struct uploading *u)
{
	const uint64_t before = proxy_up(proxy);

	assert_runs(u);
	return proxy_up(proxy) - before;
}

static void assert_starts_anew(void)
{
	struct uploading u;

	open_file(&u);
	assert_true(run_and_count(&u) > sealed_size(1 * MB));
	assert_file_arrived(&u, 1 * MB);
	uploading_close(&u);
}

/* A word of the state replaced by another. */
static char *replaced(const char *text, const char *word, const char *by)
{
	const char *at = strstr(text, word);
	char *out = calloc(1, 65536);

	assert_non_null(at);
	(void)snprintf(out, 65536, "%.*s%s%s", (int)(at - text), text, by, at + strlen(word));
	return out;
}

static void a_state_that_is_odd_is_as_good_as_none(void **state)
{
	static const struct {
		const char *word, *by;
	} changes[] = {
		{ "{", "" },
		{ "\"v\":1", "\"v\":2" },
		{ "\"kind\":\"file\"", "\"kind\":\"photo\"" },
		{ "\"ttl\":0", "\"ttl\":60" },
		{ "\"size\":", "\"size\":1" },
		{ "\"ctime_ns\":", "\"ctime_ns\":1" },
		{ "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q" },
		{ "\"head\":\"YWdl", "\"head\":\"YWdm" },
		{ "\"uploads\":[", "\"uploads\":[null," },
		{ "\"uploads\":[\"http://127.0.0.1", "\"uploads\":[\"http://127.0.0.2" },
		{ "\"uploads\":[\"http://", "\"uploads\":[\"/v1/uploads/" },
		{ "\"uploads\":[", "\"other\":[" },
		{ "\"final\":null", "\"final\":7" },
		{ "}", "}}" },
	};
	char *good;

	(void)state;
	half_an_upload(1 * MB, 1);
	good = slurp(state_path);
	for (size_t i = 0; i < COUNT(changes); i++) {
		char *odd = replaced(good, changes[i].word, changes[i].by);

		spit(state_path, odd);
		assert_starts_anew();
		free(odd);
	}
	/* and the good one is */
	spit(state_path, good);
	assert_int_equal(chmod(state_path, 0644), 0);
	assert_starts_anew();
	free(good);
}

static void other_settings_are_another_upload(void **state)
{
	struct uploading u;

	(void)state;
	half_an_upload(1 * MB, 1);
	open_file(&u);
	restante_upload_set_recipients(u.upload, 3);
	assert_true(run_and_count(&u) > sealed_size(1 * MB));
	assert_file_arrived(&u, 1 * MB);
	uploading_close(&u);
}

static void one_process_at_a_time_works_on_it(void **state)
{
	struct uploading u;
	pid_t pid;

	(void)state;
	write_file(1 * MB);
	proxy_set_rate(proxy, 2 * MB);
	pid = upload_begin(1);
	assert_true(proxy_reaches(proxy, 100000, 10000));
	open_file(&u);
	assert_fails(&u, RESTANTE_MISUSE);
	upload_kill(pid);
	assert_runs(&u);
	assert_file_arrived(&u, 1 * MB);
	uploading_close(&u);
}

static void an_upload_that_was_finished_is_not_sent_again(void **state)
{
	struct uploading u, again;
	char *text;

	(void)state;
	half_an_upload(1 * MB, 1);
	text = slurp(state_path);
	open_file(&u);
	assert_runs(&u);
	spit(state_path, text);
	open_file(&again);
	assert_true(run_and_count(&again) < 10000);
	assert_string_equal(restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN),
			    restante_envelope_text(again.envelope, RESTANTE_TEXT_TOKEN));
	assert_file_arrived(&again, 1 * MB);
	free(text);
	uploading_close(&u);
	uploading_close(&again);
}

/* ---- uploads that the server has lost ---- */

/* The addresses of an upload or its parts, as the state has them: the path of the i-th. */
static void uploads_path(char out[static 128], unsigned i)
{
	char *text = slurp(state_path);
	const char *p = strstr(text, "\"uploads\":");

	for (i++; i > 0; i--) {
		p = strstr(p + 1, "/v1/uploads/");
		assert_non_null(p);
	}
	(void)snprintf(out, 128, "%.*s", (int)strcspn(p, "\""), p);
	free(text);
}

static void one_that_is_gone_is_sent_anew(void **state)
{
	char upload[128];

	(void)state;
	half_an_upload(1 * MB, 1);
	uploads_path(upload, 0);
	assert_int_equal(http_status(server.port, "DELETE", upload, ""), 204);
	assert_starts_anew();
}

static void a_part_that_is_gone_is_sent_anew_alone(void **state)
{
	struct uploading u;
	char upload[128];

	(void)state;
	half_an_upload(4 * MB, 4);
	/* now they have all begun: let them come to the end, without the final */
	uploads_path(upload, 1);
	assert_int_equal(http_status(server.port, "DELETE", upload, ""), 204);
	open_file(&u);
	restante_upload_set_parts(u.upload, 4);
	assert_true(run_and_count(&u) < sealed_size(4 * MB) * 7 / 8);
	assert_file_arrived(&u, 4 * MB);
	uploading_close(&u);
}

/* ---- files that change ---- */

static void a_file_changed_between_runs_gets_another_head(void **state)
{
	struct uploading u;
	char *before, *after;
	pid_t pid;

	(void)state;
	half_an_upload(1 * MB, 1);
	before = slurp(state_path);
	write_file(1 * MB);
	proxy_set_rate(proxy, 1 * MB);
	pid = upload_begin(1);
	assert_true(proxy_reaches(proxy, proxy_up(proxy) + 100000, 10000));
	upload_kill(pid);
	after = slurp(state_path);
	assert_memory_not_equal(strstr(before, "\"head\":") + 200, strstr(after, "\"head\":") + 200,
				40);
	assert_memory_not_equal(strstr(before, "AGE-"), strstr(after, "AGE-"), 60);
	proxy_set_rate(proxy, 0);
	open_file(&u);
	assert_runs(&u);
	assert_file_arrived(&u, 1 * MB);
	free(before);
	free(after);
	uploading_close(&u);
}

/* Changes the file when the first bytes are on their way. */
struct change {
	char upload[128];
	bool done;
};

static void change_file(void *ctx, uint64_t done, uint64_t total)
{
	struct change *c = ctx;
	int fd;

	if (c->done || done < total / 4)
		return;
	uploads_path(c->upload, 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 2000000), 1);
	(void)close(fd);
	c->done = true;
}

static void a_file_changed_while_it_is_sent_is_refused_and_deleted(void **state)
{
	struct change c = { .done = false };
	struct uploading u;

	(void)state;
	write_file(4 * MB);
	proxy_set_rate(proxy, 4 * MB);
	open_file(&u);
	restante_upload_set_progress(u.upload, change_file, &c);
	assert_fails(&u, RESTANTE_CHANGED);
	assert_true(c.done);
	assert_int_equal(http_status(server.port, "HEAD", c.upload, ""), 404);
	assert_int_equal(access(state_path, F_OK), -1);
	assert_fails(&u, RESTANTE_CHANGED);
	assert_int_equal(access(state_path, F_OK), -1);
	uploading_close(&u);
}

/* ---- cancelling ---- */

static void cancel(void *ctx, uint64_t done, uint64_t total)
{
	(void)done;
	if (proxy_up(proxy) > total / 2)
		restante_cancel(ctx);
}

static void cancelled_it_is_kept_and_taken_up_by_another_client(void **state)
{
	struct uploading u, next;
	uint64_t before;

	(void)state;
	write_file(2 * MB);
	proxy_set_rate(proxy, 6 * MB);
	open_file(&u);
	restante_upload_set_progress(u.upload, cancel, u.client);
	assert_fails(&u, RESTANTE_CANCELLED);
	assert_fails(&u, RESTANTE_CANCELLED);
	uploading_close(&u);
	proxy_set_rate(proxy, 0);
	proxy_break(proxy);
	before = proxy_up(proxy);
	open_file(&next);
	assert_runs(&next);
	assert_true(proxy_up(proxy) - before < sealed_size(2 * MB) * 3 / 4);
	assert_file_arrived(&next, 2 * MB);
	uploading_close(&next);
}

/* ---- the words of it, to a server that answers as a script has it ---- */

/* What the n-th request is answered with, and what it should have asked. */
struct turn {
	const char *method, *offset; /* Upload-Offset of a PATCH; NULL: none */
	int status;
	const char *fields;
	size_t taken; /* bytes read before the connection is reset; 0: all, and no reset */
};

struct play {
	const struct turn *turns;
	int count;
	bool wrong;
	int64_t times_ms[64];
};

static void play(struct fake_request *r, void *ctx)
{
	struct play *p = ctx;
	const struct turn *t = &p->turns[r->number];
	char offset[32];

	if (r->number >= p->count || strcmp(r->method, t->method) != 0 ||
	    fake_field(r, "Upload-Offset", offset, sizeof(offset)) != (t->offset != NULL) ||
	    (t->offset != NULL && strcmp(offset, t->offset) != 0)) {
		p->wrong = true;
		fake_answer(r, 400, "", NULL);
		return;
	}
	p->times_ms[r->number] = clock_mono_ms();
	if (t->taken > 0) {
		(void)fake_read(r, t->taken);
		fake_reset(r);
		return;
	}
	(void)fake_body(r);
	fake_answer(r, t->status, t->fields, NULL);
}

#define CREATED                                                     \
	{                                                           \
		"POST", NULL, 201, "Location: /v1/uploads/x\r\n", 0 \
	}

/* Of a pipe if fd is not -1, else of 1000 bytes in memory, which are 1224 sealed ones. */
static void assert_played_of(int fd, const struct turn *turns, int count, enum restante_code want,
			     struct play *p)
{
	struct uploading u;
	struct fake *f;

	*p = (struct play){ .turns = turns, .count = count };
	f = fake_new(play, p);
	uploading_open(&u, fake_url(f));
	restante_client_set_retries(u.client, 5, 1);
	if (fd >= 0)
		assert_code(restante_upload_fd(u.upload, fd, false, &u.e), RESTANTE_OK, &u.e);
	else
		assert_code(restante_upload_memory(u.upload, bytes, 1000, &u.e), RESTANTE_OK, &u.e);
	assert_code(uploading_run(&u), want, &u.e);
	assert_int_equal(fake_count(f), count);
	fake_free(f);
	assert_false(p->wrong);
	uploading_close(&u);
}

static void assert_played(const struct turn *turns, int count, enum restante_code want,
			  struct play *p)
{
	assert_played_of(-1, turns, count, want, p);
}

static void acknowledged_bytes_are_not_sent_again(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 0, NULL, 700 },
		{ "HEAD", NULL, 200, "Upload-Offset: 600\r\nUpload-Length: 1224\r\n", 0 },
		{ "PATCH", "600", 204, "Upload-Offset: 900\r\n", 0 },
		{ "PATCH", "900", 204, "Upload-Offset: 1224\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_OK, &p);
}

static void a_conflict_that_tells_the_offset_needs_no_question(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 409, "Upload-Offset: 1000\r\n", 0 },
		{ "PATCH", "1000", 204, "Upload-Offset: 1224\r\n", 0 },
	};
	static const struct turn silent[] = {
		CREATED,
		{ "PATCH", "0", 409, "", 0 },
		{ "HEAD", NULL, 200, "Upload-Offset: 1000\r\nUpload-Length: 1224\r\n", 0 },
		{ "PATCH", "1000", 204, "Upload-Offset: 1224\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_OK, &p);
	assert_played(silent, COUNT(silent), RESTANTE_OK, &p);
}

static void the_server_is_not_asked_before_the_time_it_named(void **state)
{
	static const struct turn turns[] = {
		{ "POST", NULL, 429, "Retry-After: 1\r\n", 0 },
		CREATED,
		{ "PATCH", "0", 204, "Upload-Offset: 1224\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_OK, &p);
	assert_in_range(p.times_ms[1] - p.times_ms[0], 990, 2000);
}

static void a_wait_that_is_too_long_is_said_at_once(void **state)
{
	static const struct turn turns[] = {
		{ "POST", NULL, 503, "Retry-After: 3600\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_LIMIT, &p);
}

static void a_creation_whose_answer_was_lost_is_made_again(void **state)
{
	static const struct turn turns[] = {
		{ "POST", NULL, 0, NULL, 1 },
		{ "POST", NULL, 500, "", 0 },
		CREATED,
		{ "PATCH", "0", 204, "Upload-Offset: 1224\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_OK, &p);
}

static void a_lost_last_answer_is_found_by_asking(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 0, NULL, 1224 },
		{ "HEAD", NULL, 200, "Upload-Offset: 1224\r\nUpload-Length: 1224\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_OK, &p);
}

/* Forth and back is no progress. */
static void a_server_that_forgets_again_and_again_is_given_up(void **state)
{
	struct turn turns[1 + 1 + 6] = { CREATED };
	struct play p;

	(void)state;
	turns[1] = (struct turn){ "PATCH", "0", 204, "Upload-Offset: 500\r\n", 0 };
	for (size_t i = 2; i < COUNT(turns); i++)
		turns[i] =
			i % 2 == 0
				? (struct turn){ "PATCH", "500", 409, "Upload-Offset: 0\r\n", 0 }
				: (struct turn){ "PATCH", "0", 409, "Upload-Offset: 500\r\n", 0 };
	assert_played(turns, COUNT(turns), RESTANTE_NETWORK, &p);
}

static void one_that_is_gone_twice_is_given_up(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 404, "", 0 },
		CREATED,
		{ "PATCH", "0", 410, "", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_GONE, &p);
}

/* What was acknowledged is not kept. */
static void a_pipe_whose_upload_is_gone_says_so(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 204, "Upload-Offset: 184\r\n", 0 },
		{ "PATCH", "184", 404, "", 0 },
	};
	static const struct turn lost[] = {
		CREATED,
		{ "PATCH", "0", 204, "Upload-Offset: 184\r\n", 0 },
		{ "PATCH", "184", 409, "Upload-Offset: 100\r\n", 0 },
	};
	struct play p;
	int fds[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(write(fds[1], bytes, 1000), 1000);
		(void)close(fds[1]);
		assert_played_of(fds[0], i == 0 ? turns : lost, 3,
				 i == 0 ? RESTANTE_GONE : RESTANTE_SERVER, &p);
		(void)close(fds[0]);
	}
}

static void another_length_is_not_gone_on_with(void **state)
{
	static const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 0, NULL, 700 },
		{ "HEAD", NULL, 200, "Upload-Offset: 600\r\nUpload-Length: 5000\r\n", 0 },
	};
	struct play p;

	(void)state;
	assert_played(turns, COUNT(turns), RESTANTE_SERVER, &p);
}

static void what_was_never_sent_cannot_be_there(void **state)
{
	char fields[96];
	const struct turn turns[] = {
		CREATED,
		{ "PATCH", "0", 0, NULL, 700 },
		{ "HEAD", NULL, 200, fields, 0 },
	};
	struct play p = { .turns = turns, .count = COUNT(turns) };
	struct fake *f = fake_new(play, &p);
	struct uploading u;

	(void)state;
	(void)snprintf(fields, sizeof(fields), "Upload-Offset: %zu\r\nUpload-Length: %zu\r\n",
		       sealed_size(20 * MB), sealed_size(20 * MB));
	uploading_open(&u, fake_url(f));
	assert_code(restante_upload_memory(u.upload, bytes, 20 * MB, &u.e), RESTANTE_OK, &u.e);
	assert_fails(&u, RESTANTE_SERVER);
	fake_free(f);
	assert_false(p.wrong);
	uploading_close(&u);
}

#define WITH_PROXY(test) cmocka_unit_test_setup_teardown(test, proxy_begin, proxy_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PROXY(a_line_that_drops_every_few_hundred_kilobytes_is_enough),
		WITH_PROXY(answers_that_are_lost_are_asked_for_again),
		WITH_PROXY(a_pipe_over_such_a_line_arrives),
		WITH_PROXY(parts_over_such_a_line_arrive),
		WITH_PROXY(without_an_answer_it_gives_up_and_goes_on_when_asked),
		WITH_PROXY(a_server_killed_in_the_middle_gets_the_rest),
		WITH_PROXY(a_pipe_survives_a_killed_server_too),
		WITH_PROXY(a_killed_client_is_taken_up_by_the_next),
		WITH_PROXY(its_parts_are_taken_up_as_well),
		WITH_PROXY(a_sealed_file_is_taken_up_as_well),
		WITH_PROXY(the_name_of_the_state_is_durable_too),
		WITH_PROXY(nobody_else_can_read_the_state),
		WITH_PROXY(a_state_that_is_odd_is_as_good_as_none),
		WITH_PROXY(other_settings_are_another_upload),
		WITH_PROXY(one_process_at_a_time_works_on_it),
		WITH_PROXY(an_upload_that_was_finished_is_not_sent_again),
		WITH_PROXY(one_that_is_gone_is_sent_anew),
		WITH_PROXY(a_part_that_is_gone_is_sent_anew_alone),
		WITH_PROXY(a_file_changed_between_runs_gets_another_head),
		WITH_PROXY(a_file_changed_while_it_is_sent_is_refused_and_deleted),
		WITH_PROXY(cancelled_it_is_kept_and_taken_up_by_another_client),
		cmocka_unit_test(acknowledged_bytes_are_not_sent_again),
		cmocka_unit_test(a_conflict_that_tells_the_offset_needs_no_question),
		cmocka_unit_test(the_server_is_not_asked_before_the_time_it_named),
		cmocka_unit_test(a_wait_that_is_too_long_is_said_at_once),
		cmocka_unit_test(a_creation_whose_answer_was_lost_is_made_again),
		cmocka_unit_test(a_lost_last_answer_is_found_by_asking),
		cmocka_unit_test(a_server_that_forgets_again_and_again_is_given_up),
		cmocka_unit_test(one_that_is_gone_twice_is_given_up),
		cmocka_unit_test(a_pipe_whose_upload_is_gone_says_so),
		cmocka_unit_test(another_length_is_not_gone_on_with),
		cmocka_unit_test(what_was_never_sent_cannot_be_there),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
