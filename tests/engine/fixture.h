/* fixture - a store in a folder of its own, and content that can be checked at any offset. */
#ifndef RESTANTE_TESTS_ENGINE_FIXTURE_H
#define RESTANTE_TESTS_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/engine.h"
#include "storage/rocksdb/rdb.h"

/* librocksdb is not instrumented. */
#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "suppressions=tests/lib/tsan.supp";
}
#endif

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)

struct variant {
	const char *title, *engine, *faults;
	bool durable; /* what is acknowledged outlives the process */
};

struct fixture {
	const struct variant *variant;
	struct store_options options;
	char dir[64];
	struct store *store;
	struct err err;
};

/* Fails the test with what the store said. */
static inline void check_ok(struct fixture *f, enum err_code rc, const char *what, int line)
{
	if (rc == ERR_OK)
		return;
	print_error("line %d: %s: %s: %s\n", line, what, err_text(rc), f->err.why);
	fail();
}
#define OK(f, call) check_ok((f), (call), #call, __LINE__)

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void make_dir(char *out, size_t size)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(out, size, "%s/restante-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(out));
}

static inline void fixture_open(struct fixture *f)
{
	OK(f, store_open(&f->store, f->variant->engine, &f->options, &f->err));
}

static inline void fixture_close(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_open(f);
}

/* Small segments and buffers, so that little data goes every way there is. */
static inline struct fixture *fixture_new(const struct variant *v)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->variant = v;
	make_dir(f->dir, sizeof(f->dir));
	f->options = (struct store_options){ .dir = f->dir,
					     .segment_threshold = KIB(512),
					     .segment_size = MIB(1),
					     .write_buffer = MIB(2),
					     .faults = v->faults };
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	store_close(f->store);
	remove_tree(f->dir);
	free(f);
}

/* ---- content: byte i of content `seed` ---- */

static inline uint64_t mix(uint64_t v)
{
	v += 0x9e3779b97f4a7c15;
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9;
	v = (v ^ (v >> 27)) * 0x94d049bb133111eb;
	return v ^ (v >> 31);
}

static inline uint8_t content_byte(uint64_t seed, uint64_t i)
{
	return (uint8_t)(mix(seed * 1000003 + i / 8) >> (i % 8 * 8));
}

static inline void content_fill(uint64_t seed, uint64_t at, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = content_byte(seed, at + i);
}

static inline bool content_is(uint64_t seed, uint64_t at, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != content_byte(seed, at + i))
			return false;
	return true;
}

static inline struct upload_id id_of(unsigned n)
{
	struct upload_id id = { { 0 } };

	bytes_put_u64(id.b, mix(n));
	bytes_put_u32(id.b + 8, n);
	return id;
}

/* ---- jobs: one writer's work ---- */

struct job {
	unsigned id;
	uint64_t seed, from, to;
	size_t piece; /* bytes a stage, 0: as many as the grid permits */
	uint64_t expect;
	bool append, finish, abandon;
	int64_t expires_s; /* 0: 1000 */
	uint64_t length;   /* as announced; 0: not */
	uint8_t bucket;    /* 0: none */
	int64_t spent_until_s;
};

static inline struct bucket_id bucket_of(uint8_t n)
{
	return (struct bucket_id){ { n } };
}

static inline struct upload record_of(const struct job *j)
{
	return (struct upload){ .id = id_of(j->id),
				.length = j->length != 0 ? j->length : UPLOAD_LENGTH_UNKNOWN,
				.created_s = 500,
				.expires_s = j->expires_s != 0 ? j->expires_s : 1000,
				.kind = 2,
				.recipients = 3,
				.bucket = bucket_of(j->bucket),
				.spent_until_s = j->spent_until_s,
				.meta = BYTES("name aGk=") };
}

static inline enum err_code job_begin(struct store *s, const struct job *j, struct digester *d,
				      struct writer **w, struct err *e)
{
	struct upload_id id = id_of(j->id);
	struct upload rec = record_of(j), *was = NULL;
	enum err_code rc;

	digest_init(d);
	if (!j->append)
		return store_create(s, &rec, j->expect, w, e);
	rc = store_lookup(s, &id, &was, e);
	if (rc != ERR_OK)
		return rc;
	if (!was->finished)
		assert_true(digest_resume(d, &was->midstate));
	upload_free(was);
	return store_append(s, &id, j->from, j->expect, w, e);
}

/* The next piece from `at`: within the grid, the job and the piece size. */
static inline size_t job_piece(const struct job *j, uint64_t at)
{
	uint64_t n = CHUNK_MAX - at % CHUNK_MAX;

	if (j->piece != 0 && n > j->piece)
		n = j->piece;
	return (size_t)(n < j->to - at ? n : j->to - at);
}

static inline enum err_code job_commit(const struct job *j, struct writer *w, struct digester *d,
				       struct bytes tail, struct err *e)
{
	struct midstate m;
	struct digest sum;
	struct commit c = { .tail = tail,
			    .length = j->finish        ? j->to
				      : j->length != 0 ? j->length
						       : UPLOAD_LENGTH_UNKNOWN,
			    .expires_s = j->expires_s != 0 ? j->expires_s : 1000 };
	struct upload *rec = NULL;
	enum err_code rc;

	if (j->finish) {
		digest_final(d, &sum);
		c.digest = &sum;
	} else {
		digest_save(d, &m);
		c.midstate = &m;
	}
	rc = writer_commit(w, &c, &rec, e);
	if (rc != ERR_OK)
		return rc;
	assert_int_equal(rec->offset, j->to);
	assert_int_equal(writer_durable(w), j->to);
	assert_int_equal(rec->finished, j->finish);
	upload_free(rec);
	return rc;
}

/* Stages all but the last piece and commits with that as the tail, or abandons. */
static inline enum err_code job_run(struct store *s, const struct job *j, struct err *e)
{
	struct digester d;
	struct writer *w = NULL;
	uint8_t *buffer = malloc(CHUNK_MAX);
	uint64_t at = j->from;
	enum err_code rc = job_begin(s, j, &d, &w, e);

	while (rc == ERR_OK) {
		struct bytes data = { buffer, job_piece(j, at) };

		content_fill(j->seed, at, buffer, data.len);
		digest_update(&d, data);
		at += data.len;
		if (at == j->to && !j->abandon) {
			rc = job_commit(j, w, &d, data, e);
			break;
		}
		if (data.len == 0)
			break;
		rc = writer_stage(w, data, e);
	}
	writer_close(w);
	free(buffer);
	return rc;
}

#define RUN(f, ...) OK((f), job_run((f)->store, &(struct job){ __VA_ARGS__ }, &(f)->err))

/* ---- checking ---- */

/* Whether all bytes of an upload are content `seed`; counts chunks. */
static inline enum err_code read_back(struct store *s, const struct upload *u, uint64_t seed,
				      bool *same, struct err *e)
{
	uint64_t base = 0;

	*same = true;
	for (size_t i = 0; i < u->extent_count; base += u->extents[i++].length) {
		const struct extent *x = &u->extents[i];

		for (uint64_t at = 0; at < x->length;) {
			struct chunk *c = NULL;
			enum err_code rc = store_read(s, x, x->start + at, &c, e);

			if (rc != ERR_OK)
				return rc;
			*same = *same && content_is(seed, base + at, c->data, c->len);
			at += c->len;
			chunk_unref(c);
		}
	}
	*same = *same && base == u->offset;
	return ERR_OK;
}

static inline void check_upload(struct fixture *f, unsigned id, uint64_t seed, uint64_t size,
				bool finished, int line)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;
	bool same = false;

	check_ok(f, store_lookup(f->store, &name, &u, &f->err), "lookup", line);
	if (u->offset != size || u->finished != finished)
		print_error("line %d: %zu bytes, %zu expected\n", line, (size_t)u->offset,
			    (size_t)size);
	assert_int_equal(u->offset, size);
	assert_int_equal(u->finished, finished);
	check_ok(f, read_back(f->store, u, seed, &same, &f->err), "read", line);
	if (!same)
		print_error("line %d: other bytes\n", line);
	assert_true(same);
	upload_free(u);
}
#define CHECK(f, id, seed, size, finished) \
	check_upload((f), (id), (seed), (size), (finished), __LINE__)

static inline enum err_code lookup_code(struct fixture *f, unsigned id)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;
	enum err_code rc = store_lookup(f->store, &name, &u, &f->err);

	upload_free(u);
	return rc;
}

/* Drops an upload, or forgets its tombstone. */
static inline enum err_code drop_or_forget(struct store *s, const struct upload_id *id,
					   struct err *e)
{
	enum err_code rc = store_drop(s, id, NULL, e);

	return rc == ERR_DELETED ? store_expire(s, id, INT64_MAX, NULL, e) : rc;
}

static inline enum err_code drop_code(struct fixture *f, unsigned id)
{
	struct upload_id name = id_of(id);

	return drop_or_forget(f->store, &name, &f->err);
}

static inline size_t blob_count(struct fixture *f)
{
	struct digest last;
	struct blob b;
	size_t n = 0;

	while (store_next_blob(f->store, n > 0 ? &last : NULL, &b, &f->err) == ERR_OK) {
		last = b.digest;
		free(b.extents);
		n++;
	}
	return n;
}

/* ---- looking behind the rocksdb engine's interface ---- */

static inline size_t count_keys(struct rdb *r, enum rdb_family family, const char *prefixes)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->reads, r->cf[family]);
	size_t n = 0, len;

	for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		const char *k = rocksdb_iter_key(it, &len);

		n += prefixes == NULL || strchr(prefixes, k[0]) != NULL;
	}
	rocksdb_iter_destroy(it);
	return n;
}

/* Everything but what concerns the whole store. The store must be closed. */
static inline size_t leftovers(struct fixture *f)
{
	void *self = NULL;
	size_t n;

	OK(f, engine_rocksdb.open(&self, &f->options, &f->err));
	n = count_keys(self, CF_RECORDS, "ABCDGHNOQU") + count_keys(self, CF_ROWS, NULL) +
	    count_keys(self, CF_POINTERS, NULL) + count_keys(self, CF_SEGMENTS, NULL);
	engine_rocksdb.close(self);
	return n;
}

/* ---- threads ---- */

struct thread {
	pthread_t id;
	struct fixture *f;
	unsigned number;
	enum err_code rc;
	struct err err;
};

static inline void run_threads(struct fixture *f, unsigned count, void *(*body)(void *))
{
	struct thread threads[16];

	assert_true(count <= 16);
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct thread){ .f = f, .number = i };
		assert_int_equal(pthread_create(&threads[i].id, NULL, body, &threads[i]), 0);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(threads[i].id, NULL);
		f->err = threads[i].err;
		OK(f, threads[i].rc);
	}
}

/* ---- processes that die ----
 * A child is this program again, not a fork of it: the engine's threads do not live in forks. */

struct body {
	const char *name;
	void (*run)(struct fixture *f);
};
#define BODY(function)              \
	{                           \
#function, function \
	}

/* First thing in main(): if this is a child, runs the body it was started for and dies. */
static inline void child_main(int argc, char **argv, const struct body *bodies, size_t count)
{
	struct variant v = { "child", "", NULL, true };
	struct fixture *f;

	if (argc != 6 || strcmp(argv[1], "--body") != 0)
		return;
	v.engine = argv[3];
	v.faults = argv[4][0] != 0 ? argv[4] : NULL;
	f = fixture_new(&v);
	(void)rmdir(f->dir);
	f->options.dir = argv[5];
	if (store_open(&f->store, v.engine, &f->options, &f->err) != ERR_OK)
		_exit((int)f->err.code);
	for (size_t i = 0; i < count; i++)
		if (strcmp(bodies[i].name, argv[2]) == 0)
			bodies[i].run(f);
	(void)kill(getpid(), SIGKILL);
}

/* f's store must be closed; *out is the reading end of what the body writes to descriptor 3. */
static inline pid_t child_start(struct fixture *f, const char *body, int *out)
{
	const struct variant *v = f->variant;
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (pipes[1] != 3)
			(void)dup2(pipes[1], 3);
		(void)execl("/proc/self/exe", "test", "--body", body, v->engine,
			    v->faults != NULL ? v->faults : "", f->dir, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	*out = pipes[0];
	return pid;
}

static inline int child_wait(pid_t pid, int out)
{
	int status = 0;

	close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Runs a body in a child that dies of SIGKILL at its end, with the store as it then is. */
static inline void crash_after(struct fixture *f, const char *body)
{
	int out, status;
	pid_t pid;

	fixture_close(f);
	pid = child_start(f, body, &out);
	status = child_wait(pid, out);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif
