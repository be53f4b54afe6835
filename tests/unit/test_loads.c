/* Pages that are being read: who wants one too waits, without a thread, and gets the same. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/loads.h"

static const struct cache_key here = { 1, 0 }, elsewhere = { 1, CHUNK_MAX };

struct fixture {
	struct workers *workers;
	struct loads *loads;
};

static int begin(void **state)
{
	static struct fixture f;
	struct err e;

	assert_int_equal(workers_new(&f.workers, 2, "test", &e), ERR_OK);
	assert_int_equal(loads_new(&f.loads, f.workers, &e), ERR_OK);
	*state = &f;
	return 0;
}

/* What was put aside has been run then. */
static void let_run(struct fixture *f)
{
	workers_free(f->workers);
	f->workers = NULL;
}

static int end(void **state)
{
	struct fixture *f = *state;

	loads_free(f->loads);
	workers_free(f->workers);
	assert_int_equal(chunk_memory(), 0);
	return 0;
}

/* Somebody who wants a page. */
struct reader {
	struct job job;
	struct load_wait wait;
	atomic_int runs;
};

static void note(struct job *job)
{
	(void)atomic_fetch_add(&JOB_OWNER(job, struct reader, job)->runs, 1);
}

static void init(struct reader *r)
{
	memset(r, 0, sizeof(*r));
	r->job.run = note;
	r->wait.job = &r->job;
}

static struct chunk *page(int content)
{
	struct chunk *c = chunk_new(1000);

	assert_non_null(c);
	memset(c->data, content, 1000);
	c->len = 1000;
	return c;
}

static void the_first_reads_and_the_others_wait(void **state)
{
	struct fixture *f = *state;
	struct load mine, theirs;
	struct reader r[3];

	assert_true(loads_begin(f->loads, &mine, here, NULL));
	assert_false(loads_wanted(f->loads, &mine));
	for (int i = 0; i < 3; i++) {
		init(&r[i]);
		assert_false(loads_begin(f->loads, &theirs, here, &r[i].wait));
		assert_true(loads_wanted(f->loads, &mine));
	}
	loads_end(f->loads, &mine, ERR_IO, NULL);
	let_run(f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&r[i].runs), 1);
}

static void who_waited_gets_the_same_chunk(void **state)
{
	struct fixture *f = *state;
	struct chunk *c = page(5), *got[2];
	struct load mine, theirs;
	struct reader r[2];
	enum err_code rc;

	assert_true(loads_begin(f->loads, &mine, here, NULL));
	for (int i = 0; i < 2; i++) {
		init(&r[i]);
		assert_false(loads_begin(f->loads, &theirs, here, &r[i].wait));
	}
	loads_end(f->loads, &mine, ERR_OK, c);
	let_run(f);
	assert_int_equal(atomic_load(&c->refs), 3);
	for (int i = 0; i < 2; i++) {
		assert_true(load_wait_take(&r[i].wait, here, &rc, &got[i]));
		assert_int_equal(rc, ERR_OK);
		assert_ptr_equal(got[i], c);
		/* once */
		assert_false(load_wait_take(&r[i].wait, here, &rc, &got[i]));
		chunk_unref(c);
	}
	chunk_unref(c);
}

static void other_pages_are_read_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct load one, two, again;
	struct reader r;

	init(&r);
	assert_true(loads_begin(f->loads, &one, here, NULL));
	assert_true(loads_begin(f->loads, &two, elsewhere, &r.wait));
	assert_false(loads_wanted(f->loads, &one));
	/* nor does one wait who does not want to */
	assert_false(loads_begin(f->loads, &again, here, NULL));
	assert_false(loads_wanted(f->loads, &one));
	loads_end(f->loads, &one, ERR_IO, NULL);
	loads_end(f->loads, &two, ERR_IO, NULL);
	let_run(f);
	assert_int_equal(atomic_load(&r.runs), 0);
}

static void a_failure_is_for_those_who_waited_only(void **state)
{
	struct fixture *f = *state;
	struct load mine, theirs;
	struct reader r;
	struct chunk *c;
	enum err_code rc;

	init(&r);
	assert_true(loads_begin(f->loads, &mine, here, NULL));
	assert_false(loads_begin(f->loads, &theirs, here, &r.wait));
	loads_end(f->loads, &mine, ERR_DAMAGED, NULL);
	assert_true(loads_begin(f->loads, &mine, here, NULL));
	loads_end(f->loads, &mine, ERR_OK, c = page(1));
	chunk_unref(c);
	let_run(f);
	assert_int_equal(atomic_load(&r.runs), 1);
	assert_true(load_wait_take(&r.wait, here, &rc, &c));
	assert_int_equal(rc, ERR_DAMAGED);
}

static void who_gives_up_lets_another_try(void **state)
{
	struct fixture *f = *state;
	struct load mine, theirs;
	struct reader r;
	struct chunk *c;
	enum err_code rc;

	init(&r);
	assert_true(loads_begin(f->loads, &mine, here, NULL));
	assert_false(loads_begin(f->loads, &theirs, here, &r.wait));
	loads_end(f->loads, &mine, ERR_BUSY, NULL);
	let_run(f);
	assert_int_equal(atomic_load(&r.runs), 1);
	assert_false(load_wait_take(&r.wait, here, &rc, &c));
	assert_true(loads_begin(f->loads, &theirs, here, &r.wait));
	loads_end(f->loads, &theirs, ERR_IO, NULL);
}

static void what_is_not_wanted_any_more_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct load mine, theirs;
	struct reader r[2];
	struct chunk *c = page(7), *got;
	enum err_code rc;

	assert_true(loads_begin(f->loads, &mine, here, NULL));
	for (int i = 0; i < 2; i++) {
		init(&r[i]);
		assert_false(loads_begin(f->loads, &theirs, here, &r[i].wait));
	}
	loads_end(f->loads, &mine, ERR_OK, c);
	let_run(f);
	assert_false(load_wait_take(&r[0].wait, elsewhere, &rc, &got));
	load_wait_drop(&r[1].wait);
	load_wait_drop(&r[1].wait);
	assert_int_equal(atomic_load(&c->refs), 1);
	chunk_unref(c);
}

/* ---- many ---- */

#define CROWD 200
#define PAGES 50

/* Each reads all the pages, one after the other. */
struct walker {
	struct job job;
	struct load_wait wait;
	struct loads *loads;
	unsigned at, got, failed;
};

static atomic_uint at_once[PAGES], most;

/* Every third read fails. */
static enum err_code read_page(struct walker *w, struct load *l, struct chunk **out)
{
	static atomic_uint reads;
	const unsigned others = atomic_fetch_add(&at_once[w->at], 1);
	enum err_code rc = atomic_fetch_add(&reads, 1) % 3 == 2 ? ERR_IO : ERR_OK;

	if (others > 0)
		atomic_store(&most, others + 1);
	*out = rc == ERR_OK ? page((int)w->at) : NULL;
	(void)atomic_fetch_sub(&at_once[w->at], 1);
	loads_end(w->loads, l, rc, *out);
	return rc;
}

static void walk(struct job *job)
{
	struct walker *w = JOB_OWNER(job, struct walker, job);
	struct chunk *c = NULL;
	enum err_code rc;

	for (; w->at < PAGES; w->at++) {
		const struct cache_key key = { w->at, 0 };
		struct load l;

		if (!load_wait_take(&w->wait, key, &rc, &c)) {
			if (!loads_begin(w->loads, &l, key, &w->wait))
				return;
			rc = read_page(w, &l, &c);
		}
		if (rc != ERR_OK)
			w->failed++;
		else if (c->data[999] == (uint8_t)w->at)
			w->got++;
		chunk_unref(c);
		c = NULL;
	}
}

static void nobody_of_many_is_forgotten(void **state)
{
	static struct walker w[CROWD];
	struct fixture *f = *state;
	struct err e;

	let_run(f);
	loads_free(f->loads);
	assert_int_equal(workers_new(&f->workers, 8, "test", &e), ERR_OK);
	assert_int_equal(loads_new(&f->loads, f->workers, &e), ERR_OK);
	for (int i = 0; i < CROWD; i++) {
		w[i].loads = f->loads;
		w[i].job.run = walk;
		w[i].wait.job = &w[i].job;
		workers_submit(f->workers, &w[i].job);
	}
	let_run(f);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(w[i].got + w[i].failed, PAGES);
	assert_int_equal(atomic_load(&most), 0); /* never two at the same page */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_reads_and_the_others_wait),
		TEST(who_waited_gets_the_same_chunk),
		TEST(other_pages_are_read_meanwhile),
		TEST(a_failure_is_for_those_who_waited_only),
		TEST(who_gives_up_lets_another_try),
		TEST(what_is_not_wanted_any_more_is_given_back),
		TEST(nobody_of_many_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
