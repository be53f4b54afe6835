/* expire - what is due goes when the operator says so: all of it, counted, within a budget; the
 * disk has less on it; and a check proves that nothing is left (DESIGN section 9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/admin.h"
#include "tests/lib/client.h"
#include "tests/lib/minter.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define CONF                                             \
	"upload { min_free = 0; ttl_unfinished = 1s }\n" \
	"expiry { interval = 0 }\n"                      \
	"store { write_buffer = 1mb }\n"

static uint8_t bytes[6 * MB];

static int start_with(void **state, const char *config, const char *faults)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = config, .faults = faults });
	*state = &server;
	return 0;
}

static int start(void **state)
{
	return start_with(state, CONF, NULL);
}

/* Each drop takes a while. */
static int start_slow(void **state)
{
	return start_with(state, CONF, "inner=rocksdb;delay_ms=4");
}

static int start_sweeping(void **state)
{
	return start_with(state, "upload { min_free = 0 }\nexpiry { interval = 1s }\n", NULL);
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

/* ---- what is due ---- */

static uint64_t seed = 7;

/* n uploads of that size, no two alike. */
static void place(const struct test_server *s, const char *query, size_t n, size_t size)
{
	struct placed p;

	for (size_t i = 0; i < n; i++) {
		fill_random(bytes, size, seed++);
		assert_int_equal(http_place(s->port, query, bytes, size, &p), 201);
	}
}

/* Until those with a ttl of 1 s are due, and since a whole second. */
static void wait_until_due(void)
{
	client_nap(2100);
}

static struct admin_swept expire(const struct test_server *s, const char *query)
{
	struct admin_swept r;

	assert_int_equal(admin_expire(s, query, &r), 200);
	return r;
}

static struct admin_left check(const struct test_server *s)
{
	struct admin_left left;

	assert_int_equal(admin_check(s, &left), 200);
	return left;
}

#define assert_nothing_left(s)                            \
	do {                                              \
		const struct admin_left left_ = check(s); \
		assert_int_equal(left_.overdue, 0);       \
		assert_int_equal(left_.unfinished, 0);    \
		assert_int_equal(left_.grants, 0);        \
		assert_int_equal(left_.segments, 0);      \
		assert_int_equal(left_.oldest_s, 0);      \
	} while (0)

/* ---- counting ---- */

static void what_is_due_goes_and_is_counted(void **state)
{
	struct test_server *s = *state;
	struct placed keep, same;
	struct admin_swept r;
	struct answer a;

	place(s, "?ttl=1", 20, 1000);
	assert_int_equal(http_place(s->port, "?ttl=1", bytes, 1000, &same), 201);
	assert_int_equal(http_place(s->port, "?ttl=1", bytes, 900, &same), 201);
	assert_int_equal(http_place(s->port, "", bytes, 900, &keep), 201);
	wait_until_due();
	r = expire(s, "");
	assert_int_equal(r.uploads, 22);
	assert_int_equal(r.unfinished, 0);
	assert_int_equal(r.grants, 0);
	assert_int_equal(r.blobs, 20); /* two held one blob; another one somebody holds still */
	assert_int_equal(r.bytes, 20 * 1000);
	assert_false(r.more);
	assert_true(r.seconds >= 0);
	assert_true(http_has(s->port, keep.token, bytes, 900));
	assert_nothing_left(s);
	assert_int_equal(server_metric(s, "restante_uploads_expired_total"), 22);
	admin_ask(s, "GET", "/admin/status", &a);
	/* a second one, of nothing, if a second has passed while space was given back */
	assert_in_range((int)admin_number(&a, "sweeps.count"), 1, 2);
	assert_int_equal((int)admin_number(&a, "sweeps.expired"), 22);
	if ((int)admin_number(&a, "sweeps.count") == 1)
		assert_int_equal((int)admin_number(&a, "sweeps.last_dropped"), 22);
	assert_true(admin_has(&a, "\"last_at\":\"20"));
	assert_int_equal((int)admin_number(&a, "uploads.alive"), 1);
	answer_free(&a);
	r = expire(s, "");
	assert_int_equal(r.uploads + r.unfinished + r.grants + r.blobs + r.bytes, 0);
}

static void unfinished_ones_go_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload some, none;
	struct admin_swept r;

	fill_random(bytes, 5000, seed++);
	assert_int_equal(tus_create(s, 10000, "", &none), 201);
	assert_int_equal(tus_post(s, "", 10000, "", bytes, 5000, &some), 201);
	wait_until_due();
	assert_int_equal(check(s).unfinished, 2);
	r = expire(s, "");
	assert_int_equal(r.unfinished, 2);
	assert_int_equal(r.uploads, 0);
	assert_int_equal(r.bytes, 5000);
	assert_int_equal(r.blobs, 0);
	assert_int_equal(tus_offset(&some), -2);
	assert_nothing_left(s);
	/* what is unfinished is not counted any more either */
	assert_int_equal(server_metric(s, "restante_uploads_unfinished"), 0);
}

/* A deleted upload is remembered for upload.ttl_unfinished. */
static void what_was_deleted_is_forgotten_in_the_end(void **state)
{
	struct test_server *s = *state;
	struct placed p;
	struct admin_swept r;

	fill_random(bytes, 1000, seed++);
	assert_int_equal(http_place(s->port, "", bytes, 1000, &p), 201);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", p.manage), 204);
	assert_int_equal(expire(s, "").grants, 0);
	wait_until_due();
	assert_int_equal(check(s).grants, 1);
	r = expire(s, "");
	assert_int_equal(r.grants, 1);
	assert_int_equal(r.uploads, 0);
	assert_nothing_left(s);
}

static void check_tells_what_is_overdue_and_since_when(void **state)
{
	struct test_server *s = *state;
	struct admin_left left;

	assert_nothing_left(s);
	place(s, "?ttl=1", 3, 1000);
	assert_int_equal(check(s).overdue, 0);
	wait_until_due();
	left = check(s);
	assert_int_equal(left.overdue, 3);
	assert_in_range(left.oldest_s, 1, 10);
	(void)expire(s, "");
	assert_nothing_left(s);
}

static void a_dry_run_changes_nothing(void **state)
{
	struct test_server *s = *state;
	struct admin_swept r;

	place(s, "?ttl=1", 7, 1000);
	wait_until_due();
	for (int i = 0; i < 2; i++) {
		r = expire(s, "?dry_run=1");
		assert_int_equal(r.uploads, 7);
		assert_int_equal(r.bytes, 7000);
		assert_false(r.more);
	}
	r = expire(s, "?dry_run=1&budget=3");
	assert_int_equal(r.uploads, 3);
	assert_true(r.more);
	assert_int_equal(check(s).overdue, 7);
	assert_int_equal(server_metric(s, "restante_uploads_expired_total"), 0);
	assert_int_equal(expire(s, "?dry_run=0").uploads, 7);
}

/* ---- budgets ---- */

static void a_budget_of_uploads_is_kept_to_the_one(void **state)
{
	struct test_server *s = *state;
	struct admin_swept r;

	place(s, "?ttl=1", 230, 100);
	wait_until_due();
	r = expire(s, "?budget=1");
	assert_int_equal(r.uploads, 1);
	assert_true(r.more);
	r = expire(s, "?budget=100");
	assert_int_equal(r.uploads, 100);
	assert_true(r.more);
	r = expire(s, "?budget=129"); /* exactly what is left */
	assert_int_equal(r.uploads, 129);
	assert_false(r.more);
	assert_nothing_left(s);
}

static void a_budget_of_time_is_kept(void **state)
{
	struct test_server *s = *state;
	struct admin_swept r;

	place(s, "?ttl=1", 160, 100);
	wait_until_due();
	r = expire(s, "?budget=1s");
	assert_in_range(r.uploads, 20, 150);
	assert_true(r.more);
	assert_true(r.seconds >= 0.9 && r.seconds < 2);
	r = expire(s, "");
	assert_false(r.more);
	assert_nothing_left(s);
}

static void what_is_no_budget_is_refused(void **state)
{
	static const char *const queries[] = {
		"?budget=0",          "?budget=",    "?budget=-1",          "?budget=0s",
		"?budget=1y",         "?budget=1.5", "?dry_run=2",          "?dry_run",
		"?budget=1&budget=2", "?limit=3",    "?budget=99999999999",
	};
	struct test_server *s = *state;
	struct admin_swept r;

	place(s, "?ttl=1", 1, 100);
	wait_until_due();
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		if (admin_expire(s, queries[i], &r) != 400)
			fail_msg("%s", queries[i]);
	assert_int_equal(check(s).overdue, 1);
}

/* ---- interrupted ---- */

/* Asks and does not wait for the answer. */
static void begin(const struct test_server *s)
{
	struct client *c = admin_open(s);

	assert_true(client_sendf(c, "POST /admin/expire HTTP/1.1\r\nHost: t\r\n\r\n"));
	client_nap(300);
	client_close(c);
}

static void who_hangs_up_does_not_stop_it(void **state)
{
	struct test_server *s = *state;

	place(s, "?ttl=1", 100, 100);
	wait_until_due();
	begin(s);
	for (int i = 0; i < 100 && check(s).overdue > 0; i++)
		client_nap(50);
	assert_nothing_left(s);
}

static void the_second_of_two_waits(void **state)
{
	struct test_server *s = *state;
	struct admin_swept r;

	place(s, "?ttl=1", 100, 100);
	wait_until_due();
	begin(s);
	r = expire(s, "");
	assert_int_equal(r.uploads, 0);
	assert_nothing_left(s);
}

static void a_stop_ends_it_and_the_next_one_goes_on(void **state)
{
	struct test_server *s = *state;
	int64_t began, left;

	place(s, "?ttl=1", 300, 100);
	wait_until_due();
	begin(s);
	began = clock_mono_ms();
	assert_int_equal(server_stop(s), 0);
	assert_in_range(clock_mono_ms() - began, 0, 1500);
	server_again(s);
	left = check(s).overdue;
	assert_in_range(left, 1, 299);
	assert_int_equal(expire(s, "").uploads, left);
	assert_nothing_left(s);
}

static void a_kill_leaves_what_is_whole_and_the_next_one_goes_on(void **state)
{
	struct test_server *s = *state;
	struct placed keep;
	char out[512];
	int64_t left;

	place(s, "?ttl=1", 300, 100);
	fill_random(bytes, 100, seed++);
	assert_int_equal(http_place(s->port, "", bytes, 100, &keep), 201);
	wait_until_due();
	begin(s);
	server_kill(s);
	server_again(s);
	left = check(s).overdue;
	assert_in_range(left, 1, 299);
	assert_int_equal(expire(s, "").uploads, left);
	assert_nothing_left(s);
	assert_true(http_has(s->port, keep.token, bytes, 100));
	assert_int_equal(server_stop(s), 0);
	s->options.faults = NULL;
	server_configure(s, CONF);
	assert_int_equal(server_command(s, "--scrub", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "1 blobs, 100 bytes, 0 damaged"));
	server_again(s);
}

/* ---- the disk ---- */

static void the_disk_has_less_on_it_afterwards(void **state)
{
	struct test_server *s = *state;
	const uint64_t empty = admin_blocks(s);
	struct admin_swept r;
	uint64_t before, after;

	place(s, "?ttl=1", 100, 100 * KB); /* rows */
	place(s, "?ttl=1", 5, 6 * MB);     /* segments */
	place(s, "", 20, 100 * KB);        /* among them */
	place(s, "?ttl=1", 100, 100 * KB);
	wait_until_due();
	before = admin_blocks(s);
	assert_true(before - empty > 50 * MB);
	r = expire(s, "");
	after = admin_blocks(s);
	assert_int_equal(r.uploads, 205);
	assert_int_equal(r.bytes, 200 * 100 * KB + 30 * MB);
	assert_in_range((uint64_t)r.disk_before, before - MB, before + MB);
	assert_in_range((uint64_t)r.disk_after, after - MB, after + MB);
	/* what is alive, and as much again, and what an empty store has, logs and all */
	if (after > empty + 2 * 20 * 100 * KB + 8 * MB)
		fail_msg("%llu MiB before, %llu after, %llu empty",
			 (unsigned long long)(before / MB), (unsigned long long)(after / MB),
			 (unsigned long long)(empty / MB));
	assert_nothing_left(s);
}

/* ---- by itself ---- */

static void the_status_tells_what_du_does(void **state)
{
	struct test_server *s = *state;
	int64_t on_disk = 0, blocks = 0;
	struct answer a;

	place(s, "", 20, 100000);
	for (int i = 0; i < 100; i++) {
		admin_ask(s, "GET", "/admin/status", &a);
		on_disk = (int64_t)admin_number(&a, "bytes.on_disk");
		answer_free(&a);
		blocks = (int64_t)admin_blocks(s);
		if (on_disk == blocks)
			break;
		client_nap(100);
	}
	assert_int_equal(on_disk, blocks);
}

static void the_server_sweeps_by_itself(void **state)
{
	struct test_server *s = *state;

	place(s, "?ttl=1", 200, 100);
	for (int i = 0; i < 100 && server_metric(s, "restante_uploads_expired_total") < 200; i++)
		client_nap(100);
	assert_int_equal(server_metric(s, "restante_uploads_expired_total"), 200);
	assert_int_equal(expire(s, "").uploads, 0);
	assert_nothing_left(s);
}

/* ---- a clock that is set ---- */

static char shift_path[64];

static void set_ahead(int64_t seconds)
{
	int fd = open(shift_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(pwrite(fd, &seconds, sizeof(seconds), 0), sizeof(seconds));
	(void)close(fd);
}

static int start_ahead(void **state)
{
	const char *build = getenv("BUILD");
	char shim[256];
	int rc;

	(void)snprintf(shift_path, sizeof(shift_path), "/tmp/restante-shift-%d", (int)getpid());
	set_ahead(7200);
	(void)snprintf(shim, sizeof(shim), "%s/tests/lib/shift.so",
		       build != NULL ? build : "build/release");
	(void)setenv("RESTANTE_TEST_SHIFT", shift_path, 1);
	(void)setenv("LD_PRELOAD", shim, 1);
	rc = start_sweeping(state);
	(void)unsetenv("LD_PRELOAD");
	return rc;
}

static int stop_ahead(void **state)
{
	(void)unlink(shift_path);
	return stop(state);
}

static void a_clock_that_comes_back_does_not_stop_the_sweeps(void **state)
{
	struct test_server *s = *state;
	uint64_t swept;

	set_ahead(0);
	place(s, "?ttl=1", 5, 100);
	swept = server_metric(s, "restante_sweep_last_timestamp_seconds");
	assert_in_range(swept, 0, (uint64_t)clock_now_s()); /* not in time to come */
	for (int i = 0; i < 80 && server_metric(s, "restante_uploads_expired_total") < 5; i++)
		client_nap(100);
	assert_int_equal(server_metric(s, "restante_uploads_expired_total"), 5);
}

/* ---- grants that are good for one upload ---- */

static struct minter minter;

static int start_granting(void **state)
{
	static char config[1024];
	char key[256];

	minter_init(&minter, 3);
	(void)snprintf(config, sizeof(config),
		       CONF "auth = grants\ngrants { key = %s; leeway = 0 }\n",
		       minter_key(&minter, key, sizeof(key)));
	return start_with(state, config, NULL);
}

static void a_grant_stays_spent_when_its_upload_has_expired(void **state)
{
	struct test_server *s = *state;
	struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE];
	struct admin_swept r;
	struct answer a;

	(void)snprintf(g.jti, sizeof(g.jti), "once");
	g.exp = clock_now_s() + 5;
	(void)minter_field(&minter, &g, field);
	http_request(s->port, "PUT", "/v1/media?ttl=1", field, "sealed", 6, &a);
	assert_status(&a, 201);
	answer_free(&a);
	wait_until_due();
	r = expire(s, "");
	assert_int_equal(r.uploads, 1);
	http_request(s->port, "PUT", "/v1/media?ttl=1", field, "sealed", 6, &a);
	if (a.status / 100 == 2)
		fail_msg("a spent grant made another upload: %d", a.status);
	answer_free(&a);
	assert_int_equal(expire(s, "").grants, 0);
	client_nap(5000);
	assert_int_equal(expire(s, "").grants, 1); /* once it has expired itself */
	assert_nothing_left(s);
}

#define TEST(t, how) cmocka_unit_test_setup_teardown(t, how, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_due_goes_and_is_counted, start),
		TEST(unfinished_ones_go_too, start),
		TEST(what_was_deleted_is_forgotten_in_the_end, start),
		TEST(check_tells_what_is_overdue_and_since_when, start),
		TEST(a_dry_run_changes_nothing, start),
		TEST(a_budget_of_uploads_is_kept_to_the_one, start),
		TEST(a_budget_of_time_is_kept, start_slow),
		TEST(what_is_no_budget_is_refused, start),
		TEST(who_hangs_up_does_not_stop_it, start_slow),
		TEST(the_second_of_two_waits, start_slow),
		TEST(a_stop_ends_it_and_the_next_one_goes_on, start_slow),
		TEST(a_kill_leaves_what_is_whole_and_the_next_one_goes_on, start_slow),
		TEST(the_disk_has_less_on_it_afterwards, start),
		TEST(the_status_tells_what_du_does, start),
		TEST(the_server_sweeps_by_itself, start_sweeping),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* want to be the first */
		cmocka_unit_test_setup_teardown(a_clock_that_comes_back_does_not_stop_the_sweeps,
						start_ahead, stop_ahead),
#endif
		TEST(a_grant_stays_spent_when_its_upload_has_expired, start_granting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
