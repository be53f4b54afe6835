/* upload - sealed and sent: what arrives, what is told meanwhile, and what is not taken from a
 * server. Lines and processes that break are test_resume's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/send.h"
#include "tests/lib/proxy.h"
#include "tests/lib/server.h"
#include "tests/library/uploading.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

#define TOKEN "EQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static struct test_server server;
static char dir[] = "/tmp/restante-upload-XXXXXX";
static char path[64];
static uint8_t bytes[16 * MB];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", mkdtemp(dir));
	fill_random(bytes, sizeof(bytes), 7);
	server_start(&server, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	server_remove(&server);
	return rmdir(dir);
}

static void write_file(size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void open_file(struct uploading *u, const char *url, size_t n)
{
	write_file(n);
	uploading_open(u, url);
	assert_code(restante_upload_file(u->upload, path, &u->e), RESTANTE_OK, &u->e);
}

static void open_memory(struct uploading *u, const char *url, size_t n)
{
	uploading_open(u, url);
	assert_code(restante_upload_memory(u->upload, bytes, n, &u->e), RESTANTE_OK, &u->e);
}

/* ---- a pipe, and who writes to it ---- */

struct writer {
	int fds[2];
	size_t size, step;
	int pause_ms; /* between steps */
	pthread_t thread;
};

static void *write_all(void *ctx)
{
	struct writer *w = ctx;

	for (size_t at = 0; at < w->size;) {
		const size_t from = at % sizeof(bytes);
		size_t n = w->size - at < w->step ? w->size - at : w->step;
		ssize_t k;

		n = n < sizeof(bytes) - from ? n : sizeof(bytes) - from;
		k = write(w->fds[1], bytes + from, n);
		if (k <= 0)
			break;
		at += (size_t)k;
		if (w->pause_ms > 0)
			client_nap(w->pause_ms);
	}
	(void)close(w->fds[1]);
	return NULL;
}

static void writer_start(struct writer *w)
{
	assert_int_equal(pipe2(w->fds, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, write_all, w), 0);
}

static void writer_end(struct writer *w)
{
	(void)close(w->fds[0]);
	(void)pthread_join(w->thread, NULL);
}

/* ---- what arrives ---- */

static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 131073, 3000001 };

static void files_of_every_size_arrive_and_can_be_opened(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct uploading u;

		open_file(&u, server.url, sizes[i]);
		assert_runs(&u);
		assert_arrived(&u, server.port, bytes, sizes[i],
			       (size_t)restante_padded_size(sizes[i]));
		uploading_close(&u);
	}
}

static void memory_arrives(void **state)
{
	struct uploading u;

	(void)state;
	open_memory(&u, server.url, 100000);
	assert_runs(&u);
	assert_arrived(&u, server.port, bytes, 100000, (size_t)restante_padded_size(100000));
	uploading_close(&u);
}

static void pipes_of_every_size_arrive_padded_or_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		const size_t n = sizes[i / 2];
		struct writer w = { .size = n, .step = 50000 };
		struct uploading u;

		uploading_open(&u, server.url);
		writer_start(&w);
		assert_code(restante_upload_fd(u.upload, w.fds[0], i % 2 == 0, &u.e), RESTANTE_OK,
			    &u.e);
		assert_runs(&u);
		assert_arrived(&u, server.port, bytes, n,
			       i % 2 == 0 ? (size_t)restante_padded_size(n) : n);
		writer_end(&w);
		uploading_close(&u);
	}
}

static void sealed_files_arrive_as_they_are(void **state)
{
	static const size_t lengths[] = { 0, 1, 200000 };

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct uploading u;
		struct bytes there;
		uint64_t size;

		write_file(lengths[i]);
		uploading_open(&u, server.url);
		assert_code(restante_upload_sealed_file(u.upload, path, &u.e), RESTANTE_OK, &u.e);
		assert_runs(&u);
		there = uploading_fetch(&u, server.port);
		assert_int_equal(there.len, lengths[i]);
		assert_memory_equal(there.data, bytes, there.len);
		assert_announced(&u, there);
		assert_null(restante_envelope_blob(u.envelope, RESTANTE_BLOB_KEY, NULL));
		assert_false(restante_envelope_number(u.envelope, RESTANTE_NUMBER_SIZE, &size));
		free((void *)(uintptr_t)there.data);
		uploading_close(&u);
	}
}

static void parts_side_by_side_arrive_as_one(void **state)
{
	static const unsigned counts[] = { 2, 4, 16 };

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct proxy *p = proxy_new(server.port);
		struct uploading u;

		open_file(&u, proxy_url(p), 5 * MB + 17);
		restante_upload_set_parts(u.upload, counts[i]);
		assert_runs(&u);
		assert_in_range(proxy_connections(p), counts[i], counts[i] + 1);
		assert_arrived(&u, server.port, bytes, 5 * MB + 17,
			       (size_t)restante_padded_size(5 * MB + 17));
		uploading_close(&u);
		proxy_free(p);
	}
}

static void the_envelope_can_be_given_on(void **state)
{
	char json[RESTANTE_ENVELOPE_MAX + 1];
	struct uploading u;

	(void)state;
	open_file(&u, server.url, 5000);
	assert_code(restante_upload_set_kind(u.upload, "voice", &u.e), RESTANTE_OK, &u.e);
	restante_upload_set_ttl(u.upload, 3600);
	assert_code(restante_envelope_set_text(u.envelope, RESTANTE_TEXT_TYPE, "audio/ogg", &u.e),
		    RESTANTE_OK, &u.e);
	assert_runs(&u);
	assert_code(restante_envelope_encode(u.envelope, json, &u.e), RESTANTE_OK, &u.e);
	assert_string_equal(restante_envelope_text(u.envelope, RESTANTE_TEXT_KIND), "voice");
	assert_in_range(uploading_number(&u, RESTANTE_NUMBER_EXPIRES_AT), clock_now_s() + 3590,
			clock_now_s() + 3600);
	uploading_close(&u);
}

static void the_creator_can_delete_it(void **state)
{
	struct uploading u;
	const char *token, *manage;

	(void)state;
	open_memory(&u, server.url, 5000);
	assert_null(restante_upload_manage_token(u.upload));
	assert_null(restante_upload_location(u.upload));
	assert_runs(&u);
	token = restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN);
	manage = restante_upload_manage_token(u.upload);
	assert_non_null(strstr(restante_upload_location(u.upload), "/v1/uploads/"));
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", token), 200);
	assert_code(restante_delete(u.client, manage, &u.e), RESTANTE_OK, &u.e);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", token), 404);
	uploading_close(&u);
}

static void run_again_it_is_still_there(void **state)
{
	struct uploading u;
	char token[128];

	(void)state;
	open_memory(&u, server.url, 5000);
	assert_runs(&u);
	(void)snprintf(token, sizeof(token), "%s",
		       restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN));
	assert_runs(&u);
	assert_string_equal(restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN), token);
	uploading_close(&u);
}

/* ---- what is told ---- */

struct told {
	uint64_t done, total;
	int calls;
	bool back;
};

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	struct told *t = ctx;

	t->back = t->back || done < t->done;
	t->done = done;
	t->total = total;
	t->calls++;
}

static void progress_is_told_ten_times_a_second_up_to_the_end(void **state)
{
	struct proxy *p = proxy_new(server.port);
	struct told told = { 0 };
	struct uploading u;
	int64_t began;

	(void)state;
	proxy_set_rate(p, 4 * MB);
	open_memory(&u, proxy_url(p), 3 * MB);
	restante_upload_set_progress(u.upload, tell, &told);
	began = clock_mono_ms();
	assert_runs(&u);
	assert_in_range(told.calls, 3, (clock_mono_ms() - began) / 100 + 2);
	assert_false(told.back);
	assert_int_equal(told.total, uploading_number(&u, RESTANTE_NUMBER_SEALED_SIZE));
	assert_int_equal(told.done, told.total);
	uploading_close(&u);
	proxy_free(p);
}

struct begun {
	char json[RESTANTE_ENVELOPE_MAX + 1];
	char token[TUS_TOKEN_SIZE];
	int calls;
	bool answer;
	int in; /* of a pipe that is to go on now; -1: none */
};

static bool begun(void *ctx, const struct restante_envelope *envelope)
{
	struct begun *b = ctx;
	uint64_t n;

	b->calls++;
	assert_code(restante_envelope_encode(envelope, b->json, NULL), RESTANTE_OK,
		    &(struct restante_error){ 0 });
	assert_false(restante_envelope_number(envelope, RESTANTE_NUMBER_EXPIRES_AT, &n));
	(void)strcpy(b->token, restante_envelope_text(envelope, RESTANTE_TEXT_TOKEN));
	if (b->in >= 0) {
		assert_int_equal(write(b->in, bytes, 1000), 1000);
		(void)close(b->in);
	}
	return b->answer;
}

static void open_live(struct uploading *u, struct begun *b, int fds[static 2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	b->in = fds[1];
	uploading_open(u, server.url);
	assert_code(restante_upload_fd(u->upload, fds[0], false, &u->e), RESTANTE_OK, &u->e);
	assert_code(restante_envelope_set_text(u->envelope, RESTANTE_TEXT_TYPE, "audio/ogg", &u->e),
		    RESTANTE_OK, &u->e);
	restante_upload_set_begun(u->upload, begun, b);
}

static void the_envelope_is_told_before_the_recording_goes_on(void **state)
{
	struct begun b = { .answer = true };
	struct uploading u;
	int fds[2];

	(void)state;
	open_live(&u, &b, fds);
	assert_runs(&u);
	assert_int_equal(b.calls, 1);
	assert_string_equal(b.token, restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN));
	assert_arrived(&u, server.port, bytes, 1000, 1000);
	(void)close(fds[0]);
	uploading_close(&u);
}

static void who_does_not_want_it_then_ends_it(void **state)
{
	struct begun b = { .answer = false };
	struct uploading u;
	int fds[2];

	(void)state;
	open_live(&u, &b, fds);
	assert_fails(&u, RESTANTE_CANCELLED);
	assert_int_equal(b.calls, 1);
	(void)close(fds[0]);
	uploading_close(&u);
}

/* ---- pipes that are slow, and large ones ---- */

static void a_pipe_with_pauses_arrives(void **state)
{
	struct writer w = { .size = 400000, .step = 30000, .pause_ms = 10 };
	struct uploading u;

	(void)state;
	uploading_open(&u, server.url);
	writer_start(&w);
	assert_code(restante_upload_fd(u.upload, w.fds[0], false, &u.e), RESTANTE_OK, &u.e);
	assert_runs(&u);
	assert_arrived(&u, server.port, bytes, 400000, 400000);
	writer_end(&w);
	uploading_close(&u);
}

/* With 30 ms of silence as the end of a request: the inside of an upload, to say so. */
static void a_quiet_pipe_ends_its_request_and_begins_another(void **state)
{
	struct writer w = { .size = 400000, .step = 70000, .pause_ms = 100 };
	struct proxy *p = proxy_new(server.port);
	struct uploading u;
	struct send s;

	(void)state;
	uploading_open(&u, proxy_url(p));
	writer_start(&w);
	send_init(&s, u.client);
	s.quiet_ms = 30;
	assert_code(source_of_fd(&s.source, w.fds[0], false, &u.e), RESTANTE_OK, &u.e);
	assert_code(send_run(&s, u.envelope, &u.e), RESTANTE_OK, &u.e);
	assert_arrived(&u, server.port, bytes, 400000, 400000);
	/* the same connection carries them: it was not broken off */
	assert_int_equal(proxy_connections(p), 1);
	assert_true(proxy_down(p) > 4 * 200);
	send_fini(&s);
	writer_end(&w);
	uploading_close(&u);
	proxy_free(p);
}

/* As with gigabytes, whose padding the usual window does not hold. */
static void padding_that_the_window_does_not_hold_arrives(void **state)
{
	struct writer w = { .size = 4 * MB + 1, .step = 65536 };
	struct uploading u;
	struct send s;

	(void)state;
	uploading_open(&u, server.url);
	writer_start(&w);
	send_init(&s, u.client);
	assert_code(source_of_fd(&s.source, w.fds[0], true, &u.e), RESTANTE_OK, &u.e);
	source_narrow(s.source, 1);
	assert_code(send_run(&s, u.envelope, &u.e), RESTANTE_OK, &u.e);
	assert_arrived(&u, server.port, bytes, w.size, (size_t)restante_padded_size(w.size));
	send_fini(&s);
	writer_end(&w);
	uploading_close(&u);
}

/* Its high-water mark, in KiB, from now on. */
static long memory_kb(bool begin)
{
	FILE *f = fopen(begin ? "/proc/self/clear_refs" : "/proc/self/status", "r+");
	char line[128];
	long kb = -1;

	if (f == NULL && !begin)
		f = fopen("/proc/self/status", "r");
	if (f == NULL)
		return -1;
	if (begin) {
		(void)fputs("5", f);
		(void)fclose(f);
		return memory_kb(false);
	}
	while (kb < 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "VmHWM: %ld", &kb);
	(void)fclose(f);
	return kb;
}

static void a_long_pipe_takes_little_memory(void **state)
{
	struct writer w = { .size = 64 * MB, .step = 65536 };
	struct uploading u;
	long before, grown;

	(void)state;
	uploading_open(&u, server.url);
	assert_code(restante_upload_set_kind(u.upload, "video", &u.e), RESTANTE_OK, &u.e);
	writer_start(&w);
	before = memory_kb(true);
	assert_code(restante_upload_fd(u.upload, w.fds[0], true, &u.e), RESTANTE_OK, &u.e);
	assert_runs(&u);
	grown = memory_kb(false) - before;
	assert_int_equal(uploading_number(&u, RESTANTE_NUMBER_SIZE), 64 * MB);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(grown, 0, 14 * KB);
#else
	(void)grown;
#endif
	writer_end(&w);
	uploading_close(&u);
}

/* ---- misuse ---- */

static void misuse_is_answered(void **state)
{
	struct restante_error e;
	struct uploading u;

	(void)state;
	uploading_open(&u, server.url);
	assert_fails(&u, RESTANTE_MISUSE);
	assert_code(restante_upload_memory(u.upload, NULL, 1, &e), RESTANTE_MISUSE, &e);
	assert_code(restante_upload_fd(u.upload, -1, false, &e), RESTANTE_MISUSE, &e);
	assert_code(restante_upload_memory(u.upload, NULL, 0, &e), RESTANTE_OK, &e);
	assert_code(restante_upload_memory(u.upload, bytes, 1, &e), RESTANTE_MISUSE, &e);
	assert_code(restante_upload_set_state(u.upload, path, &e), RESTANTE_OK, &e);
	assert_fails(&u, RESTANTE_MISUSE);
	assert_code(restante_upload_set_kind(u.upload, "music", &e), RESTANTE_INVALID, &e);
	assert_code(restante_upload_set_endpoint(u.upload, "files", &e), RESTANTE_INVALID, &e);
	assert_code(restante_upload_set_endpoint(u.upload, "/fi\nles", &e), RESTANTE_INVALID, &e);
	assert_code(restante_upload_run(u.upload, NULL, NULL), RESTANTE_MISUSE, &e);
	assert_code(restante_upload_run(NULL, u.envelope, NULL), RESTANTE_MISUSE, &e);
	assert_code(restante_upload_new(NULL, u.client, NULL), RESTANTE_MISUSE, &e);
	restante_upload_free(NULL);
	uploading_close(&u);
}

/* ---- servers that answer as a script has it ---- */

struct answer_line {
	int status;
	const char *fields;
};

/* What each method is answered with; of a status 0 what a good server says. */
struct script {
	struct answer_line options, post, head, patch;
	int deletes, heads, patches, posts;
	char metadata[256], authorization[256], patch_authorization[256];
};

static void give(struct fake_request *r, const struct answer_line *a, int status,
		 const char *fields)
{
	if (a->status != 0)
		fake_answer(r, a->status, a->fields, NULL);
	else
		fake_answer(r, status, fields, NULL);
}

/* The offset behind the body of a request. */
static void take_bytes(struct fake_request *r, struct script *s)
{
	const struct bytes body = fake_body(r);
	char offset[32], fields[64];

	s->patches++;
	(void)fake_field(r, "Authorization", s->patch_authorization,
			 sizeof(s->patch_authorization));
	(void)fake_field(r, "Upload-Offset", offset, sizeof(offset));
	(void)snprintf(fields, sizeof(fields), "Upload-Offset: %llu\r\n",
		       strtoull(offset, NULL, 10) + body.len);
	give(r, &s->patch, 204, fields);
}

static void create(struct fake_request *r, struct script *s)
{
	s->posts++;
	(void)fake_field(r, "Upload-Metadata", s->metadata, sizeof(s->metadata));
	(void)fake_field(r, "Authorization", s->authorization, sizeof(s->authorization));
	give(r, &s->post, 201,
	     "Location: /v1/uploads/x\r\nMedia-Token: " TOKEN "\r\n"
	     "Media-Manage-Token: " TOKEN "\r\n");
}

static void play(struct fake_request *r, void *ctx)
{
	struct script *s = ctx;

	if (strcmp(r->method, "OPTIONS") == 0) {
		give(r, &s->options, 204, "Tus-Extension: creation, creation-defer-length\r\n");
	} else if (strcmp(r->method, "POST") == 0) {
		create(r, s);
	} else if (strcmp(r->method, "PATCH") == 0) {
		take_bytes(r, s);
	} else if (strcmp(r->method, "HEAD") == 0) {
		s->heads++;
		give(r, &s->head, 200, "Upload-Offset: 0\r\nUpload-Length: 1224\r\n");
	} else {
		s->deletes += strcmp(r->method, "DELETE") == 0;
		fake_answer(r, 204, "", NULL);
	}
}

/* Sends 1000 bytes there. */
static enum restante_code send_to(struct script *s, struct uploading *u)
{
	struct fake *f = fake_new(play, s);
	enum restante_code rc;

	open_memory(u, fake_url(f), 1000);
	restante_client_set_retries(u->client, 3, 1);
	assert_code(restante_client_set_grant(u->client, "v4.public.abc", &u->e), RESTANTE_OK,
		    &u->e);
	restante_upload_set_ttl(u->upload, 604800);
	restante_upload_set_recipients(u->upload, 5);
	rc = uploading_run(u);
	fake_free(f);
	return rc;
}

static void assert_outcome(struct script s, enum restante_code want)
{
	struct uploading u;

	assert_code(send_to(&s, &u), want, &u.e);
	uploading_close(&u);
}

static void kind_time_and_recipients_are_told_and_the_grant_with_the_creation_only(void **state)
{
	struct script s = { 0 };
	struct uploading u;

	(void)state;
	assert_code(send_to(&s, &u), RESTANTE_OK, &u.e);
	assert_string_equal(s.metadata, "kind ZmlsZQ==,ttl NjA0ODAw,recipients NQ==");
	assert_string_equal(s.authorization, "Bearer v4.public.abc");
	assert_string_equal(s.patch_authorization, "");
	assert_string_equal(restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN), TOKEN);
	assert_int_equal(s.posts, 1);
	assert_int_equal(s.patches, 1);
	assert_int_equal(s.heads, 0);
	uploading_close(&u);
}

static void a_tus_server_without_tokens_will_do(void **state)
{
	struct script s = { .post = { 201, "Location: x/y?z\r\n" } };
	struct uploading u;

	(void)state;
	assert_code(send_to(&s, &u), RESTANTE_OK, &u.e);
	assert_null(restante_envelope_text(u.envelope, RESTANTE_TEXT_TOKEN));
	assert_null(restante_upload_manage_token(u.upload));
	assert_non_null(strstr(restante_upload_location(u.upload), "/v1/x/y?z"));
	uploading_close(&u);
}

static void a_server_that_points_elsewhere_is_not_followed(void **state)
{
	(void)state;
	assert_outcome((struct script){ .post = { 201, "Location: http://127.0.0.1:1/x\r\n" } },
		       RESTANTE_UNTRUSTED);
	assert_outcome((struct script){ .post = { 201, "Location: //example.org/x\r\n" } },
		       RESTANTE_UNTRUSTED);
	assert_outcome((struct script){ .post = { 307, "Location: /elsewhere\r\n" } },
		       RESTANTE_SERVER);
}

static void what_is_no_tus_server_is_found_out(void **state)
{
	(void)state;
	assert_outcome((struct script){ .post = { 201, "" } }, RESTANTE_SERVER);
	assert_outcome((struct script){ .post = { 404, "" } }, RESTANTE_SERVER);
	assert_outcome((struct script){ .post = { 405, "" } }, RESTANTE_SERVER);
	assert_outcome((struct script){ .post = { 200, "Location: \r\n" } }, RESTANTE_SERVER);
}

static void refusals_are_told_apart(void **state)
{
	(void)state;
	assert_outcome((struct script){ .post = { 401, "" } }, RESTANTE_DENIED);
	assert_outcome((struct script){ .post = { 403, "" } }, RESTANTE_DENIED);
	assert_outcome((struct script){ .post = { 413, "" } }, RESTANTE_TOOBIG);
	assert_outcome((struct script){ .post = { 507, "" } }, RESTANTE_LIMIT);
	assert_outcome((struct script){ .post = { 502, "" } }, RESTANTE_NETWORK);
	assert_outcome((struct script){ .post = { 412, "" } }, RESTANTE_SERVER);
	assert_outcome((struct script){ .patch = { 413, "" } }, RESTANTE_TOOBIG);
	assert_outcome((struct script){ .patch = { 415, "" } }, RESTANTE_SERVER);
}

static void nonsense_of_a_server_is_not_believed(void **state)
{
	static const char *const post[] = {
		"Location: /x\r\nMedia-Token: a b\r\n",
		"Location: /x\r\nMedia-Token: \r\n",
		"Location: /x\r\nMedia-Manage-Token: ../../x\r\n",
		"Location: /x\r\nUpload-Offset: -1\r\n",
	};
	static const char *const patch[] = {
		"Upload-Offset: 1000000\r\n",
		"Upload-Offset: 99999999999999999999\r\n",
		"Upload-Offset: 0x1\r\n",
		"Upload-Offset: 1, 1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(post); i++)
		assert_outcome((struct script){ .post = { 201, post[i] } }, RESTANTE_SERVER);
	for (size_t i = 0; i < COUNT(patch); i++)
		assert_outcome((struct script){ .patch = { 204, patch[i] } }, RESTANTE_SERVER);
	/* an answer without an offset is followed by a question, and that one must say */
	assert_outcome((struct script){ .patch = { 204, "" }, .head = { 200, "" } },
		       RESTANTE_SERVER);
}

static void a_server_that_takes_requests_and_no_bytes_is_given_up(void **state)
{
	struct script s = { .patch = { 204, "Upload-Offset: 0\r\n" } };
	struct uploading u;

	(void)state;
	assert_code(send_to(&s, &u), RESTANTE_NETWORK, &u.e);
	assert_int_equal(s.patches, 4);
	uploading_close(&u);
}

static void another_digest_is_refused_and_the_upload_deleted(void **state)
{
	struct script s = { .patch = { 204,
				       "Upload-Offset: 1224\r\nRepr-Digest: sha-256="
				       ":47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\r\n" } };
	struct uploading u;

	(void)state;
	assert_int_equal(restante_sealed_size(restante_padded_size(1000)), 1224);
	assert_code(send_to(&s, &u), RESTANTE_TAMPERED, &u.e);
	assert_int_equal(s.deletes, 1);
	assert_null(restante_upload_location(u.upload));
	uploading_close(&u);
}

static void a_server_without_concatenation_gets_it_whole(void **state)
{
	struct script s = { 0 };
	struct fake *f = fake_new(play, &s);
	struct uploading u;

	(void)state;
	open_memory(&u, fake_url(f), 1 * MB);
	restante_upload_set_parts(u.upload, 4);
	assert_runs(&u);
	fake_free(f);
	assert_int_equal(s.posts, 1);
	uploading_close(&u);
}

static void a_server_without_deferred_lengths_is_told_apart(void **state)
{
	struct script s = { .options = { 204, "Tus-Extension: creation\r\n" },
			    .post = { 400, "" } };
	struct fake *f = fake_new(play, &s);
	struct uploading u;
	int fds[2];

	(void)state;
	uploading_open(&u, fake_url(f));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_code(restante_upload_fd(u.upload, fds[0], false, &u.e), RESTANTE_OK, &u.e);
	assert_fails(&u, RESTANTE_SERVER);
	assert_non_null(strstr(u.e.detail, "length"));
	(void)close(fds[0]);
	(void)close(fds[1]);
	fake_free(f);
	uploading_close(&u);
}

/* ---- @tus/server, if the client suites have installed it ---- */

/* Starts it on this folder: its process, and its address. 0: it is not there. */
static pid_t peer_start(const char *folder, char url[static 128])
{
	const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build/release";
	char npm[256], module[320], line[256] = "";
	int out[2];
	pid_t pid;
	FILE *f;

	(void)snprintf(npm, sizeof(npm), "%s/npm", build);
	(void)snprintf(module, sizeof(module), "%s/node_modules/@tus/server/package.json", npm);
	if (access(module, R_OK) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execlp("node", "node", "tests/bench/tus_peer.js", npm, folder, (char *)NULL);
		_exit(127);
	}
	(void)close(out[1]);
	f = fdopen(out[0], "r");
	assert_non_null(f);
	if (fgets(line, sizeof(line), f) == NULL || sscanf(line, "listening on %127s", url) != 1)
		url[0] = '\0';
	(void)fclose(f);
	return pid;
}

static void remove_all(const char *folder)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

/* What it has stored is what was sent. */
static void assert_stored(const struct uploading *u, const char *folder)
{
	uint8_t *there = malloc(2 * MB);
	char name[192];
	size_t n;
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s%s", folder,
		       strrchr(restante_upload_location(u->upload), '/'));
	f = fopen(name, "r");
	assert_non_null(f);
	n = fread(there, 1, 2 * MB, f);
	(void)fclose(f);
	assert_announced(u, (struct bytes){ there, n });
	assert_null(restante_envelope_text(u->envelope, RESTANTE_TEXT_TOKEN));
	free(there);
}

static void send_to_peer(const char *url, const char *folder, struct writer *w)
{
	struct uploading u;

	uploading_open(&u, url);
	assert_code(restante_upload_set_endpoint(u.upload, "/files", &u.e), RESTANTE_OK, &u.e);
	if (w == NULL)
		assert_code(restante_upload_file(u.upload, path, &u.e), RESTANTE_OK, &u.e);
	else
		assert_code(restante_upload_fd(u.upload, w->fds[0], true, &u.e), RESTANTE_OK, &u.e);
	assert_runs(&u);
	assert_stored(&u, folder);
	uploading_close(&u);
}

static void tus_server_of_npm_takes_files_and_pipes(void **state)
{
	struct writer w = { .size = 1000000, .step = 60000 };
	char folder[80], url[128] = "";
	pid_t pid;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/peer", dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	pid = peer_start(folder, url);
	if (url[0] == '\0') {
		remove_all(folder);
		skip();
	}
	*strstr(url, "/files") = '\0';
	write_file(1000000);
	send_to_peer(url, folder, NULL);
	writer_start(&w);
	send_to_peer(url, folder, &w);
	writer_end(&w);
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	remove_all(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_every_size_arrive_and_can_be_opened),
		cmocka_unit_test(memory_arrives),
		cmocka_unit_test(pipes_of_every_size_arrive_padded_or_not),
		cmocka_unit_test(sealed_files_arrive_as_they_are),
		cmocka_unit_test(parts_side_by_side_arrive_as_one),
		cmocka_unit_test(the_envelope_can_be_given_on),
		cmocka_unit_test(the_creator_can_delete_it),
		cmocka_unit_test(run_again_it_is_still_there),
		cmocka_unit_test(progress_is_told_ten_times_a_second_up_to_the_end),
		cmocka_unit_test(the_envelope_is_told_before_the_recording_goes_on),
		cmocka_unit_test(who_does_not_want_it_then_ends_it),
		cmocka_unit_test(a_pipe_with_pauses_arrives),
		cmocka_unit_test(a_quiet_pipe_ends_its_request_and_begins_another),
		cmocka_unit_test(padding_that_the_window_does_not_hold_arrives),
		cmocka_unit_test(a_long_pipe_takes_little_memory),
		cmocka_unit_test(misuse_is_answered),
		cmocka_unit_test(
			kind_time_and_recipients_are_told_and_the_grant_with_the_creation_only),
		cmocka_unit_test(a_tus_server_without_tokens_will_do),
		cmocka_unit_test(a_server_that_points_elsewhere_is_not_followed),
		cmocka_unit_test(what_is_no_tus_server_is_found_out),
		cmocka_unit_test(refusals_are_told_apart),
		cmocka_unit_test(nonsense_of_a_server_is_not_believed),
		cmocka_unit_test(a_server_that_takes_requests_and_no_bytes_is_given_up),
		cmocka_unit_test(another_digest_is_refused_and_the_upload_deleted),
		cmocka_unit_test(a_server_without_concatenation_gets_it_whole),
		cmocka_unit_test(a_server_without_deferred_lengths_is_told_apart),
		cmocka_unit_test(tus_server_of_npm_takes_files_and_pipes),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
