/* Scrub finds what is damaged, and nothing else. */
#include "tests/engine/fixture.h"

#include <dirent.h>
#include <fcntl.h>

#include "storage/scrub.h"

static const struct variant on_disk = { "rocksdb", "rocksdb", NULL, true };

/* What scrub told of. */
struct told {
	struct digest blob;
	char why[160];
	unsigned times;
};

static void listen(void *ctx, const struct digest *blob, const char *why)
{
	struct told *t = ctx;

	t->blob = *blob;
	(void)snprintf(t->why, sizeof(t->why), "%s", why);
	t->times++;
}

static struct scrub_result run_scrub(struct fixture *f, struct told *t)
{
	struct scrub_result r = { 0 };

	*t = (struct told){ .times = 0 };
	OK(f, scrub(f->store, listen, t, &r, &f->err));
	assert_int_equal(r.damaged, t->times);
	return r;
}

static void fill(struct fixture *f)
{
	RUN(f, .id = 1, .seed = 1, .to = 0, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 100000, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = MIB(2) + 5, .expect = MIB(2) + 5, .finish = true);
	RUN(f, .id = 4, .seed = 3, .to = MIB(2) + 5, .finish = true); /* the same again */
	RUN(f, .id = 5, .seed = 5, .to = 70000);                      /* not finished: no blob */
}

static void a_sound_store_has_no_damage(void **state)
{
	struct fixture *f = *state;
	struct scrub_result r;
	struct told t;

	r = run_scrub(f, &t);
	assert_int_equal(r.blobs, 0);
	fill(f);
	r = run_scrub(f, &t);
	assert_int_equal(r.blobs, 3);
	assert_int_equal(r.bytes, 100000 + MIB(2) + 5);
	assert_int_equal(r.damaged, 0);
	fixture_reopen(f);
	r = run_scrub(f, &t);
	assert_int_equal(r.blobs, 3);
	assert_int_equal(r.damaged, 0);
}

/* Flips a bit of the largest file of a kind, in the middle unless it is said where. */
static void flip_in_largest(const char *dir, const char *suffix, off_t at)
{
	char path[400], largest[400] = "";
	off_t size = 0;
	DIR *d = opendir(dir);
	struct dirent *e;
	uint8_t byte;
	int fd;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (dot == NULL || strcmp(dot, suffix) != 0 || stat(path, &st) != 0 ||
		    st.st_size < size)
			continue;
		size = st.st_size;
		memcpy(largest, path, sizeof(path));
	}
	closedir(d);
	fd = open(largest, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	at = at > 0 ? at : size / 2;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void check_damage(struct fixture *f, const char *suffix, off_t at, unsigned id)
{
	struct upload_id name = id_of(id);
	struct upload *u;
	struct scrub_result r;
	struct told t;
	bool same;

	fill(f);
	fixture_reopen(f); /* flushes */
	fixture_close(f);
	flip_in_largest(f->dir, suffix, at);
	fixture_open(f);
	r = run_scrub(f, &t);
	assert_int_equal(r.blobs, 3);
	assert_int_equal(r.damaged, 1);
	OK(f, store_lookup(f->store, &name, &u, &f->err));
	assert_memory_equal(&t.blob, &u->digest, sizeof(t.blob));
	assert_int_equal(read_back(f->store, u, id, &same, &f->err), ERR_DAMAGED);
	upload_free(u);
	CHECK(f, 5, 5, 70000, false); /* others are not touched */
}

static void a_flipped_bit_in_a_segment_is_found(void **state)
{
	check_damage(*state, ".sst", 0, 3);
}

static void a_flipped_bit_among_rows_is_found(void **state)
{
	check_damage(*state, ".pack", 50000, 2); /* the first of its pack */
}

static void bytes_of_another_digest_are_found(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 9 };
	struct upload rec = record_of(&j);
	struct digest lie = { { 1, 2, 3 } };
	struct commit c = { .tail = BYTES("not what it says"), .digest = &lie, .length = 16 };
	struct scrub_result r;
	struct told t;
	struct writer *w;

	OK(f, store_create(f->store, &rec, 0, &w, &f->err));
	OK(f, writer_commit(w, &c, NULL, &f->err));
	writer_close(w);
	fill(f);
	r = run_scrub(f, &t);
	assert_int_equal(r.blobs, 4);
	assert_int_equal(r.damaged, 1);
	assert_memory_equal(&t.blob, &lie, sizeof(lie));
}

static void missing_bytes_are_damage(void **state)
{
	struct fixture *f = *state;
	struct scrub_result r;
	struct told t;

	fixture_close(f);
	f->variant = &(struct variant){ "", "faulty", NULL, false };
	f->options.faults = "inner=memory;fail=read:2;code=NOTFOUND";
	fixture_open(f);
	fill(f);
	r = run_scrub(f, &t);
	assert_int_equal(r.damaged, 1);
	assert_string_equal(t.why, "bytes are missing");
	fixture_close(f);
}

static void a_disk_that_does_not_answer_ends_it(void **state)
{
	static const char *const faults[] = { "inner=memory;fail=read:2",
					      "inner=memory;fail=next_blob:1",
					      "inner=memory;fail=next_blob:3" };
	struct fixture *f = *state;
	struct scrub_result r = { .blobs = 77 };

	f->variant = &(struct variant){ "", "faulty", NULL, false };
	for (size_t i = 0; i < 3; i++) {
		fixture_close(f);
		f->options.faults = faults[i];
		fixture_open(f);
		fill(f);
		assert_int_equal(scrub(f->store, NULL, NULL, &r, &f->err), ERR_IO);
		assert_int_equal(r.blobs, 77);
	}
	fixture_close(f);
}

static void *drop_soon(void *arg)
{
	struct fixture *f = arg;
	struct store_stats s;

	do { /* until scrub is amid the long one */
		(void)usleep(1000);
		store_stats(f->store, &s);
	} while (s.reads < 3);
	OK(f, drop_code(f, 1));
	return NULL;
}

static void a_blob_dropped_meanwhile_is_not_damaged(void **state)
{
	struct fixture *f = *state;
	struct scrub_result r;
	struct told t;
	pthread_t dropper;

	fixture_close(f);
	f->variant = &(struct variant){ "", "faulty", NULL, false };
	f->options.faults = "inner=memory;delay_ms=10";
	fixture_open(f);
	RUN(f, .id = 1, .seed = 1, .to = MIB(4), .finish = true);
	assert_int_equal(pthread_create(&dropper, NULL, drop_soon, f), 0);
	r = run_scrub(f, &t);
	pthread_join(dropper, NULL);
	assert_int_equal(r.blobs, 0);
	assert_int_equal(r.damaged, 0);
	fixture_close(f);
}

static int setup(void **state)
{
	struct fixture *f = fixture_new(&on_disk);

	fixture_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE(a_sound_store_has_no_damage),
		PROMISE(a_flipped_bit_in_a_segment_is_found),
		PROMISE(a_flipped_bit_among_rows_is_found),
		PROMISE(bytes_of_another_digest_are_found),
		PROMISE(missing_bytes_are_damage),
		PROMISE(a_disk_that_does_not_answer_ends_it),
		PROMISE(a_blob_dropped_meanwhile_is_not_damaged),
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
