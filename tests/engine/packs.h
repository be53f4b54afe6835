/* packs - what the rocksdb engine promises of rows that lie in packs: part of test_rocksdb.c. */
#ifndef RESTANTE_TESTS_ENGINE_PACKS_H
#define RESTANTE_TESTS_ENGINE_PACKS_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/engine/fixture.h"
#include "tests/engine/snapshot.h"

static struct rdb *raw_open(struct fixture *f);
static void raw_close(struct fixture *f, struct rdb *r);
static void raw_put(struct rdb *r, const struct key *k, struct bytes v);
static enum err_code read_code(struct fixture *f, unsigned id, uint64_t at);
static struct upload *record(struct fixture *f, unsigned id);
static size_t files_in(const char *dir, const char *suffix, char *last, size_t size);

static size_t pack_files(struct fixture *f)
{
	return files_in(f->dir, ".pack", NULL, 0);
}

static off_t sizes_of_packs(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	off_t sum = 0;
	struct stat st;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, ".pack") != NULL && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			sum += st.st_size;
	closedir(d);
	return sum;
}

static struct key row_of(struct fixture *f, unsigned id, uint64_t offset)
{
	struct upload *u = record(f, id);
	struct key k = key_piece(u->extents[0].locator, offset);

	upload_free(u);
	return k;
}

static struct pointer pointer_of(struct fixture *f, struct rdb *r, const struct key *k)
{
	rocksdb_pinnableslice_t *s = NULL;
	struct pointer p;

	OK(f, rdb_get(r, CF_POINTERS, k, &s, &f->err));
	assert_non_null(s);
	assert_true(pointer_decode(rdb_value(s), &p));
	rocksdb_pinnableslice_destroy(s);
	return p;
}

static void put_pointer(struct fixture *f, struct rdb *r, const struct key *k,
			const struct pointer *p)
{
	uint8_t value[POINTER_SIZE];
	struct batch b = batch_new();

	pointer_encode(value, p);
	batch_put(r, &b, CF_POINTERS, k, (struct bytes){ value, sizeof(value) });
	OK(f, rdb_write(r, &b, true, "test", &f->err));
	batch_free(&b);
}

/* ---- layout ---- */

static void rows_of_4_kib_lie_in_packs_and_shorter_ones_beside_their_keys(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;
	struct pointer p;
	struct key k;

	RUN(f, .id = 1, .seed = 1, .to = 4095, .finish = true);
	assert_int_equal(pack_files(f), 0);
	RUN(f, .id = 2, .seed = 2, .to = 4096, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = CHUNK_MAX + 50, .finish = true);
	assert_int_equal(pack_files(f), 1);
	k = row_of(f, 3, 0);
	r = raw_open(f);
	assert_int_equal(count_keys(r, CF_ROWS, NULL), 2);
	assert_int_equal(count_keys(r, CF_POINTERS, NULL), 2);
	assert_int_equal(packs_bytes(r->packs), 4096 + CHUNK_MAX);
	p = pointer_of(f, r, &k);
	assert_int_equal(p.place.at, 4096);
	assert_int_equal(p.place.length, CHUNK_MAX);
	raw_close(f, r);
	CHECK(f, 1, 1, 4095, true);
	CHECK(f, 2, 2, 4096, true);
	CHECK(f, 3, 3, CHUNK_MAX + 50, true);
}

static void a_pack_is_not_written_to_after_a_start(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 5000, .finish = true);
	fixture_reopen(f);
	assert_int_equal(pack_files(f), 1);
	RUN(f, .id = 2, .seed = 2, .to = 5000, .finish = true);
	assert_int_equal(pack_files(f), 2);
	CHECK(f, 1, 1, 5000, true);
}

static void a_pack_that_is_full_is_followed_by_another(void **state)
{
	struct fixture *f = *state; /* 16 MiB each */

	for (unsigned i = 1; i <= 90; i++)
		RUN(f, .id = i, .seed = i, .to = 400000, .finish = true);
	assert_true(pack_files(f) >= 3);
	for (unsigned i = 1; i <= 90; i++)
		CHECK(f, i, i, 400000, true);
}

/* ---- damage ---- */

static void flip_in_pack(struct fixture *f, const struct pointer *p, uint32_t at)
{
	char path[128];
	uint8_t byte;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%06u.pack", f->dir, (unsigned)p->place.pack);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, p->place.at + at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, p->place.at + at), 1);
	close(fd);
}

static void a_damaged_byte_of_a_pack_is_damage(void **state)
{
	static const uint32_t at[] = { 0, 4999, 9999 };
	struct fixture *f = *state;
	struct pointer p[3];
	struct key k[3];
	struct rdb *r;

	for (unsigned i = 0; i < 3; i++) {
		RUN(f, .id = i, .seed = i, .to = 10000, .finish = true);
		k[i] = row_of(f, i, 0);
	}
	RUN(f, .id = 3, .seed = 3, .to = 10000, .finish = true);
	r = raw_open(f);
	for (unsigned i = 0; i < 3; i++)
		p[i] = pointer_of(f, r, &k[i]);
	raw_close(f, r);
	for (unsigned i = 0; i < 3; i++) {
		flip_in_pack(f, &p[i], at[i]);
		assert_int_equal(read_code(f, i, 0), ERR_DAMAGED);
		assert_int_equal(read_code(f, i, 7000), ERR_DAMAGED);
	}
	CHECK(f, 3, 3, 10000, true); /* others are not touched */
	for (unsigned i = 0; i < 3; i++) {
		flip_in_pack(f, &p[i], at[i]); /* back */
		CHECK(f, i, i, 10000, true);
	}
}

static void a_damaged_row_is_as_damaged_where_it_is_moved_to(void **state)
{
	struct fixture *f = *state;
	struct pointer p, now;
	struct key k;
	struct rdb *r;

	for (unsigned i = 0; i < 40; i++)
		RUN(f, .id = i, .seed = i, .to = 10000, .finish = true);
	k = row_of(f, 7, 0);
	r = raw_open(f);
	p = pointer_of(f, r, &k);
	raw_close(f, r);
	flip_in_pack(f, &p, 5);
	for (unsigned i = 0; i < 40; i++)
		if (i % 7 != 0)
			OK(f, drop_code(f, i));
	OK(f, store_give_back(f->store, 20000, &f->err));
	r = raw_open(f);
	now = pointer_of(f, r, &k);
	raw_close(f, r);
	assert_true(now.place.pack != p.place.pack);
	assert_int_equal(read_code(f, 7, 0), ERR_DAMAGED);
	CHECK(f, 14, 14, 10000, true);
}

static void a_pointer_to_other_bytes_is_damage(void **state)
{
	struct fixture *f = *state;
	struct pointer p, wrong;
	struct key one, two;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 10000);
	RUN(f, .id = 2, .seed = 1, .to = 10000); /* the same bytes, another row's */
	one = row_of(f, 1, 0);
	two = row_of(f, 2, 0);
	r = raw_open(f);
	p = pointer_of(f, r, &one);
	put_pointer(f, r, &two, &p);
	raw_close(f, r);
	assert_int_equal(read_code(f, 2, 0), ERR_DAMAGED);
	for (unsigned i = 0; i < 3; i++) {
		wrong = p;
		wrong.place.pack += i == 0;
		wrong.place.at += i == 1 ? 1000000 : 0;
		wrong.place.length -= i == 2;
		r = raw_open(f);
		put_pointer(f, r, &one, &wrong);
		raw_close(f, r);
		assert_int_equal(read_code(f, 1, 0), ERR_DAMAGED);
	}
	r = raw_open(f);
	put_pointer(f, r, &one, &p);
	raw_close(f, r);
	CHECK(f, 1, 1, 10000, false);
}

/* ---- crashes ---- */

/* Bytes in a pack, durable and not, and no pointer to them; and bytes that were staged. */
static void append_and_die(struct fixture *f)
{
	static uint8_t junk[100000];
	struct job j = { .id = 2, .seed = 2 };
	struct upload rec = record_of(&j);
	struct pack_hold h = { .pack = NULL };
	struct pack_place at;
	struct writer *w;
	void *self = NULL;

	RUN(f, .id = 1, .seed = 1, .to = 10000, .finish = true);
	OK(f, store_create(f->store, &rec, 0, &w, &f->err));
	OK(f, writer_stage(w, (struct bytes){ junk, sizeof(junk) }, &f->err));
	writer_close(w);
	store_close(f->store);
	OK(f, engine_rocksdb.open(&self, &f->options, &f->err));
	for (unsigned i = 0; i < 10; i++) {
		OK(f, packs_append(((struct rdb *)self)->packs, &h,
				   (struct bytes){ junk, sizeof(junk) }, &at, &f->err));
		if (i == 5)
			OK(f, packs_durable(((struct rdb *)self)->packs, &h, &f->err));
	}
}

static void what_nobody_points_at_after_a_crash_goes_soon(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "append_and_die");
	assert_int_equal(pack_files(f), 2);
	assert_true(sizes_of_packs(f->dir) > 1000000);
	fixture_open(f);
	for (unsigned tries = 0; sizes_of_packs(f->dir) > 10000 && tries < 2000; tries++)
		(void)usleep(10000);
	assert_int_equal(sizes_of_packs(f->dir), 10000);
	CHECK(f, 1, 1, 10000, true);
	assert_int_equal(lookup_code(f, 2), ERR_NOTFOUND);
	OK(f, drop_code(f, 1));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void move_and_die(struct fixture *f)
{
	for (unsigned i = 0; i < 200; i++)
		RUN(f, .id = i, .seed = i, .to = 30000, .finish = true);
	expire_range(f, 0, 200, 10);
	OK(f, store_give_back(f->store, 20000, &f->err));
}

static void what_was_moved_survives_a_crash(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "move_and_die");
	fixture_open(f);
	assert_true(sizes_of_packs(f->dir) < 200 * 30000 / 2);
	for (unsigned i = 0; i < 200; i++)
		if (i % 10 == 0)
			CHECK(f, i, i, 30000, true);
		else
			assert_int_equal(lookup_code(f, i), ERR_NOTFOUND);
	for (unsigned i = 0; i < 200; i += 10)
		OK(f, drop_code(f, i));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void what_is_known_of_garbage_outlives_an_orderly_end(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 10000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 200000, .finish = true);
	OK(f, drop_code(f, 1));
	r = raw_open(f);
	assert_false(atomic_load(&r->pack_unknown));
	assert_int_equal(atomic_load(&r->pack_garbage), 10000);
	raw_close(f, r);
	CHECK(f, 2, 2, 200000, true);
}

/* ---- moving beside others ---- */

#define MOVED_UPLOADS 600
#define MOVED_SIZE 20000

static struct {
	atomic_bool stop;
	atomic_uint next;
} moved_about;

/* Every second goes while the rest is moved about. */
static void *drop_or_move(void *arg)
{
	struct thread *t = arg;
	unsigned i;

	while (t->number == 0 && !moved_about.stop && t->rc == ERR_OK)
		t->rc = store_give_back(t->f->store, 1000, &t->err);
	while (t->number > 0 && t->rc == ERR_OK && (i = moved_about.next++) < MOVED_UPLOADS) {
		const struct upload_id id = id_of(i);

		if (i % 8 != 0)
			t->rc = store_drop(t->f->store, &id, NULL, &t->err);
		if (i + 1 == MOVED_UPLOADS)
			moved_about.stop = true;
	}
	moved_about.stop = moved_about.stop || t->rc != ERR_OK;
	return NULL;
}

static void what_was_dropped_never_comes_back_by_being_moved(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;

	moved_about.stop = false;
	moved_about.next = 0;
	for (unsigned i = 0; i < MOVED_UPLOADS; i++)
		RUN(f, .id = i, .seed = i, .to = MOVED_SIZE, .finish = true);
	run_threads(f, 4, drop_or_move);
	r = raw_open(f);
	assert_int_equal(count_keys(r, CF_POINTERS, NULL), (MOVED_UPLOADS + 7) / 8);
	raw_close(f, r);
	for (unsigned i = 0; i < MOVED_UPLOADS; i += 8) {
		CHECK(f, i, i, MOVED_SIZE, true);
		OK(f, drop_code(f, i));
	}
	OK(f, store_give_back(f->store, 20000, &f->err));
	assert_int_equal(pack_files(f), 0);
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void *give_back_now(void *r)
{
	assert_int_equal(rdb_give_back(r, 20000, NULL), ERR_OK);
	return NULL;
}

/* A deletion that comes between copying and pointing wins. */
static void a_row_that_goes_while_it_is_copied_is_gone(void **state)
{
	struct fixture *f = *state;
	struct batch b = batch_new();
	struct key k;
	struct rdb *r;
	pthread_t mover;

	for (unsigned i = 0; i < 10; i++)
		RUN(f, .id = i, .seed = i, .to = 100000, .finish = true);
	k = row_of(f, 1, 0);
	for (unsigned i = 2; i < 10; i++)
		OK(f, drop_code(f, i));
	r = raw_open(f);
	pthread_rwlock_rdlock(&r->moving_lock); /* as a drop that is being written has it */
	assert_int_equal(pthread_create(&mover, NULL, give_back_now, r), 0);
	while (packs_bytes(r->packs) < 12 * 100000)
		(void)usleep(1000); /* both are copied */
	batch_delete(r, &b, CF_POINTERS, &k);
	OK(f, rdb_write(r, &b, true, "test", &f->err));
	pthread_rwlock_unlock(&r->moving_lock);
	pthread_join(mover, NULL);
	assert_int_equal(count_keys(r, CF_POINTERS, NULL), 1);
	batch_free(&b);
	raw_close(f, r);
	CHECK(f, 0, 0, 100000, true);
}

static struct upload *reader_knows[MOVED_UPLOADS];

/* What is had of it without waiting: the right bytes, or none. */
static enum err_code read_back_now(struct store *s, const struct upload *u, unsigned seed,
				   bool *same, struct err *e)
{
	struct chunk *c;
	enum err_code rc = store_read_now(s, &u->extents[0], u->extents[0].start, &c, e);

	if (rc != ERR_OK)
		return rc == ERR_BUSY ? ERR_OK : rc;
	*same = content_is(seed, 0, c->data, c->len);
	chunk_unref(c);
	return ERR_OK;
}

/* Readers with records as they were; uploads go, and what stays is moved. */
static void *read_or_remove(void *arg)
{
	struct thread *t = arg;

	if (t->number == 0) {
		for (unsigned i = 0; i < MOVED_UPLOADS && t->rc == ERR_OK; i++) {
			const struct upload_id id = id_of(i);

			if (i % 10 != 0)
				t->rc = store_drop(t->f->store, &id, NULL, &t->err);
			if (t->rc == ERR_OK && i % 50 == 49)
				t->rc = store_give_back(t->f->store, 1000, &t->err);
		}
		moved_about.stop = true;
		return NULL;
	}
	while (!moved_about.stop && t->rc == ERR_OK) {
		unsigned i = moved_about.next++ % MOVED_UPLOADS;
		bool same = true;

		t->rc = read_back(t->f->store, reader_knows[i], i, &same, &t->err);
		if (t->rc == ERR_OK && same)
			t->rc = read_back_now(t->f->store, reader_knows[i], i, &same, &t->err);
		if (t->rc == ERR_NOTFOUND && i % 10 != 0)
			t->rc = ERR_OK;
		if (!same)
			t->rc = err_set(&t->err, ERR_DAMAGED, "other bytes");
	}
	moved_about.stop = moved_about.stop || t->rc != ERR_OK;
	return NULL;
}

static void a_read_during_removal_gets_the_right_bytes_or_none(void **state)
{
	struct fixture *f = *state;

	moved_about.stop = false;
	moved_about.next = 0;
	for (unsigned i = 0; i < MOVED_UPLOADS; i++) {
		RUN(f, .id = i, .seed = i, .to = MOVED_SIZE, .finish = true);
		reader_knows[i] = record(f, i);
	}
	run_threads(f, 5, read_or_remove);
	for (unsigned i = 0; i < MOVED_UPLOADS; i++) {
		if (i % 10 == 0)
			CHECK(f, i, i, MOVED_SIZE, true);
		upload_free(reader_knows[i]);
	}
}

/* Bytes whose pointer is not written yet are nobody's, but must not be taken for it. */
static void a_pack_stays_until_its_pointers_are_written(void **state)
{
	static uint8_t bytes[50000];
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	struct pack_hold h = { .pack = NULL };
	struct pack_place at;

	OK(f, packs_append(r->packs, &h, (struct bytes){ bytes, sizeof(bytes) }, &at, &f->err));
	atomic_store(&r->pack_unknown, true); /* look now */
	OK(f, rdb_give_back(r, 1000, &f->err));
	assert_int_equal(pack_files(f), 1);
	packs_pointed(r->packs, &h);
	atomic_store(&r->pack_unknown, true);
	OK(f, rdb_give_back(r, 1000, &f->err));
	assert_int_equal(pack_files(f), 0);
	assert_int_equal(packs_read(r->packs, &at, bytes, &f->err), ERR_NOTFOUND);
	packs_release(r->packs, &h);
	raw_close(f, r);
}

/* A look at packs while somebody appends knows no less of garbage than before. */
static void garbage_of_a_pack_that_was_left_out_is_not_forgotten(void **state)
{
	static uint8_t bytes[50000];
	struct fixture *f = *state;
	struct pack_hold h = { .pack = NULL };
	struct pack_place at;
	struct rdb *r;

	for (unsigned i = 0; i < 10; i++)
		RUN(f, .id = i, .seed = i, .to = 100000, .finish = true);
	for (unsigned i = 1; i < 10; i++)
		OK(f, drop_code(f, i));
	r = raw_open(f);
	for (unsigned i = 0; i < 5; i++) /* so that it has more than the one of before */
		OK(f, packs_append(r->packs, &h, (struct bytes){ bytes, sizeof(bytes) }, &at,
				   &f->err));
	atomic_fetch_add(&r->pack_garbage, (uint64_t)4 * sizeof(bytes));
	atomic_store(&r->pack_unknown, true); /* look now */
	OK(f, rdb_give_back(r, 1000, &f->err));
	assert_true(atomic_load(&r->pack_garbage) >= (uint64_t)4 * sizeof(bytes));
	packs_release(r->packs, &h);
	OK(f, rdb_give_back(r, 1000, &f->err));
	assert_true(packs_bytes(r->packs) <= 100000);
	raw_close(f, r);
	CHECK(f, 0, 0, 100000, true);
}

/* As in a copy whose packs are newer than its records. */
static void a_number_whose_pack_is_there_is_passed_over(void **state)
{
	static uint8_t bytes[50000];
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	struct pack_hold h = { .pack = NULL };
	struct pack_place at;
	char path[128];
	uint64_t taken = r->locator_next;

	(void)snprintf(path, sizeof(path), "%s/%06lu.pack", f->dir, (unsigned long)taken);
	close(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	OK(f, packs_append(r->packs, &h, (struct bytes){ bytes, sizeof(bytes) }, &at, &f->err));
	assert_int_equal(at.pack, taken + 1);
	packs_release(r->packs, &h);
	raw_close(f, r);
}

/* ---- a disk that fails, or takes little at a time ---- */

static atomic_int sync_error;    /* of packs */
static atomic_bool little_taken; /* by a write to one */

static bool is_pack(int fd)
{
	char link[64], path[256];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n > 5 && memcmp(path + n - 5, ".pack", 5) == 0;
}

/* These take the place of the C library's in this program. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	errno = is_pack(fd) ? atomic_load(&sync_error) : 0;
	return errno != 0 ? -1 : (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	if (atomic_load(&little_taken) && n > 1000 && is_pack(fd))
		n = 1000;
	return (ssize_t)syscall(SYS_pwrite64, fd, data, n, at);
}

static struct pack_place append(struct fixture *f, struct rdb *r, struct pack_hold *h)
{
	static uint8_t bytes[50000];
	struct pack_place at;

	OK(f, packs_append(r->packs, h, (struct bytes){ bytes, sizeof(bytes) }, &at, &f->err));
	packs_pointed(r->packs, h);
	return at;
}

/* Once a sync has failed, another that succeeds says nothing of what came before. */
static void what_a_failed_sync_was_for_is_never_durable(void **state)
{
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	struct pack_hold before = { 0 }, failing = { 0 }, staged = { 0 }, after = { 0 };
	struct pack_place at = append(f, r, &before);

	OK(f, packs_durable(r->packs, &before, &f->err));
	(void)append(f, r, &failing);
	(void)append(f, r, &staged);
	atomic_store(&sync_error, EIO);
	assert_int_equal(packs_durable(r->packs, &failing, &f->err), ERR_IO);
	atomic_store(&sync_error, 0);
	assert_int_equal(packs_durable(r->packs, &failing, &f->err), ERR_IO);
	assert_int_equal(packs_durable(r->packs, &staged, &f->err), ERR_IO);
	OK(f, packs_durable(r->packs, &before, &f->err));
	assert_true(append(f, r, &after).pack != at.pack);
	OK(f, packs_durable(r->packs, &after, &f->err));
	packs_release(r->packs, &before);
	packs_release(r->packs, &failing);
	packs_release(r->packs, &staged);
	packs_release(r->packs, &after);
	raw_close(f, r);
}

static void nothing_is_acknowledged_whose_pack_was_not_synced(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 2, .seed = 2, .to = 600000, .finish = true };

	RUN(f, .id = 1, .seed = 1, .to = 600000, .finish = true);
	atomic_store(&sync_error, EIO);
	assert_int_equal(job_run(f->store, &j, &f->err), ERR_IO);
	atomic_store(&sync_error, ENOSPC);
	assert_int_equal(job_run(f->store, &j, &f->err), ERR_FULL);
	atomic_store(&sync_error, 0);
	assert_int_equal(lookup_code(f, 2), ERR_NOTFOUND);
	RUN(f, .id = 3, .seed = 3, .to = 600000, .finish = true);
	fixture_reopen(f);
	assert_int_equal(lookup_code(f, 2), ERR_NOTFOUND);
	CHECK(f, 1, 1, 600000, true);
	CHECK(f, 3, 3, 600000, true);
}

static void a_disk_that_takes_little_at_a_time_gets_all(void **state)
{
	struct fixture *f = *state;

	atomic_store(&little_taken, true);
	RUN(f, .id = 1, .seed = 1, .to = 600000, .finish = true);
	atomic_store(&little_taken, false);
	CHECK(f, 1, 1, 600000, true);
}

static void a_pack_that_cannot_be_read_is_kept_and_let_alone(void **state)
{
	struct fixture *f = *state;
	char name[64], path[256];
	int64_t began;

	for (unsigned i = 0; i < 10; i++)
		RUN(f, .id = i, .seed = i, .to = 100000, .finish = true);
	fixture_close(f);
	assert_int_equal(files_in(f->dir, ".pack", name, sizeof(name)), 1);
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(truncate(path, 950000), 0);
	fixture_open(f);
	for (unsigned i = 1; i < 9; i++)
		OK(f, drop_code(f, i));
	began = clock_mono_ms();
	OK(f, store_give_back(f->store, 30000, &f->err));
	assert_true(clock_mono_ms() - began < 20000);
	assert_int_equal(access(path, F_OK), 0);
	CHECK(f, 0, 0, 100000, true);
	assert_int_equal(read_code(f, 9, 0), ERR_DAMAGED);
	OK(f, drop_code(f, 9));
	OK(f, drop_code(f, 0));
	OK(f, store_give_back(f->store, 20000, &f->err));
	assert_int_equal(pack_files(f), 0);
}

/* ---- near the end of a disk ---- */

#define SPREAD_SIZE 100000

/* Everywhere most is garbage, and nowhere all of it; more lives than there is room for. With room
 * (bytes) more than where uploads end. */
static void spread_garbage_on_a_full_disk(struct fixture *f, off_t room)
{
	char path[128];
	unsigned count = 0;
	uint64_t alive = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/tmp/others", f->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, room > 0 ? room : 1), 0);
	close(fd);
	for (struct job j = { .to = SPREAD_SIZE, .finish = true };
	     job_run(f->store, &j, &f->err) == ERR_OK; count++)
		j.seed = j.id = count + 1;
	assert_true(count > 300);
	if (room > 0)
		assert_int_equal(unlink(path), 0);
	for (unsigned i = 0; i < count; i++)
		if (i % 10 < 6)
			OK(f, drop_code(f, i));
		else
			alive += SPREAD_SIZE;
	for (unsigned tries = 0; tries < 3; tries++)
		OK(f, store_give_back(f->store, 20000, &f->err));
	assert_true((uint64_t)sizes_of_packs(f->dir) < 2 * alive + MIB(1));
	for (unsigned i = 0; i < count; i++)
		if (i % 10 >= 6)
			CHECK(f, i, i, SPREAD_SIZE, true);
}

static void a_disk_that_is_full_is_emptied_pack_by_pack(void **state)
{
	spread_garbage_on_a_full_disk(*state, 0);
}

static void a_disk_that_is_nearly_full_is_not_filled_by_moving(void **state)
{
	spread_garbage_on_a_full_disk(*state, MIB(2));
}

/* ---- snapshots ---- */

static void the_packs_of_a_snapshot_do_not_grow(void **state)
{
	struct fixture *f = *state, *c;
	char dir[80];
	off_t before;

	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	OK(f, store_snapshot(f->store, path_beside(f, dir, sizeof(dir)), &f->err));
	before = sizes_of_packs(dir);
	assert_true(before >= 100000);
	RUN(f, .id = 2, .seed = 2, .to = 100000, .finish = true);
	assert_int_equal(sizes_of_packs(dir), before);
	OK(f, drop_code(f, 1));
	OK(f, store_give_back(f->store, 20000, &f->err));
	c = copy_open(f, dir);
	RUN(c, .id = 3, .seed = 3, .to = 100000, .finish = true);
	CHECK(c, 1, 1, 100000, true);
	CHECK(f, 2, 2, 100000, true);
	copy_free(c);
}

/* ---- stores of format 4 ---- */

/* As format 4 had it: bytes and checksum under the key, in the family of rows. */
static void to_format_4(struct fixture *f, struct rdb *r)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->reads, r->cf[CF_POINTERS]);
	static uint8_t value[CHUNK_MAX + ROW_SUM_SIZE];
	struct key format = key_meta("format"), k;
	struct batch b = batch_new();
	struct pointer p;

	for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		k.len = rdb_iter_key(it).len;
		memcpy(k.b, rdb_iter_key(it).data, k.len);
		assert_true(pointer_decode(rdb_iter_value(it), &p));
		OK(f, packs_read(r->packs, &p.place, value, &f->err));
		memcpy(value + p.place.length, p.sum, ROW_SUM_SIZE);
		batch_put(r, &b, CF_ROWS, &k,
			  (struct bytes){ value, p.place.length + ROW_SUM_SIZE });
		batch_delete(r, &b, CF_POINTERS, &k);
	}
	rocksdb_iter_destroy(it);
	OK(f, rdb_write(r, &b, true, "test", &f->err));
	batch_free(&b);
	OK(f, rdb_flush(r, &f->err));
	raw_put(r, &format, (struct bytes){ (const uint8_t *)"\0\0\0\4", 4 });
}

static void a_store_of_format_4_is_taken_over(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 300000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 10000);
	RUN(f, .id = 3, .seed = 3, .to = 100000, .finish = true);
	r = raw_open(f);
	to_format_4(f, r);
	raw_close(f, r);
	assert_true(files_in(f->dir, ".blob", NULL, 0) > 0);
	for (unsigned round = 0; round < 2; round++) {
		CHECK(f, 1, 1, 300000, true);
		CHECK(f, 3, 3, 100000, true);
		fixture_reopen(f);
	}
	RUN(f, .id = 2, .seed = 2, .from = 10000, .to = 200000, .append = true, .finish = true);
	CHECK(f, 2, 2, 200000, true); /* half of it here, half of it there */
	check_scrubbed(f);
	for (unsigned i = 1; i <= 3; i++)
		OK(f, drop_code(f, i));
	OK(f, store_give_back(f->store, 20000, &f->err));
	assert_int_equal(files_in(f->dir, ".blob", NULL, 0), 0);
	assert_int_equal(pack_files(f), 0);
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

/* ---- without waiting ---- */

/* Not every file system can. */
static bool kernel_reads_now(const struct fixture *f)
{
	char path[128], byte = 'x';
	struct iovec v = { &byte, 1 };
	int fd;
	bool can;

	(void)snprintf(path, sizeof(path), "%s/probe", f->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwritev(fd, &v, 1, 0), 1);
	can = preadv2(fd, &v, 1, 0, RWF_NOWAIT) == 1;
	(void)close(fd);
	(void)unlink(path);
	return can;
}

static enum err_code read_now_code(struct fixture *f, const struct extent *x, uint64_t at)
{
	struct chunk *c = NULL;
	enum err_code rc = store_read_now(f->store, x, at, &c, &f->err);

	assert_true(rc != ERR_OK || content_is(1, at, c->data, c->len));
	chunk_unref(c);
	return rc;
}

/* Of a store just opened nothing is in memory but what the kernel has: where the row lies is asked
 * once with waiting. */
static void a_row_that_the_kernel_has_in_memory_is_had_at_once(void **state)
{
	struct fixture *f = *state;
	struct upload *u;

	if (!kernel_reads_now(f))
		skip();
	RUN(f, .id = 1, .seed = 1, .to = KIB(300), .finish = true);
	u = record(f, 1);
	OK(f, read_now_code(f, &u->extents[0], 0));
	OK(f, read_now_code(f, &u->extents[0], 1000));
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(read_now_code(f, &u->extents[0], KIB(256)), ERR_BUSY);
	CHECK(f, 1, 1, KIB(300), true);
	OK(f, read_now_code(f, &u->extents[0], KIB(256)));
	OK(f, drop_code(f, 1));
	assert_int_equal(read_now_code(f, &u->extents[0], 0), ERR_NOTFOUND);
	upload_free(u);
}

#define PACKS_TESTS                                                             \
	PROMISE(rows_of_4_kib_lie_in_packs_and_shorter_ones_beside_their_keys), \
		PROMISE(a_pack_is_not_written_to_after_a_start),                \
		PROMISE(a_pack_that_is_full_is_followed_by_another),            \
		PROMISE(a_damaged_byte_of_a_pack_is_damage),                    \
		PROMISE(a_damaged_row_is_as_damaged_where_it_is_moved_to),      \
		PROMISE(a_pointer_to_other_bytes_is_damage),                    \
		PROMISE(what_nobody_points_at_after_a_crash_goes_soon),         \
		PROMISE(what_was_moved_survives_a_crash),                       \
		PROMISE(what_is_known_of_garbage_outlives_an_orderly_end),      \
		PROMISE(what_was_dropped_never_comes_back_by_being_moved),      \
		PROMISE(a_row_that_goes_while_it_is_copied_is_gone),            \
		PROMISE(a_read_during_removal_gets_the_right_bytes_or_none),    \
		PROMISE(a_pack_stays_until_its_pointers_are_written),           \
		PROMISE(garbage_of_a_pack_that_was_left_out_is_not_forgotten),  \
		PROMISE(a_number_whose_pack_is_there_is_passed_over),           \
		PROMISE(a_pack_that_cannot_be_read_is_kept_and_let_alone),      \
		PROMISE(what_a_failed_sync_was_for_is_never_durable),           \
		PROMISE(nothing_is_acknowledged_whose_pack_was_not_synced),     \
		PROMISE(a_disk_that_takes_little_at_a_time_gets_all),           \
		PROMISE(the_packs_of_a_snapshot_do_not_grow),                   \
		PROMISE(a_store_of_format_4_is_taken_over),                     \
		PROMISE(a_row_that_the_kernel_has_in_memory_is_had_at_once)

#endif
