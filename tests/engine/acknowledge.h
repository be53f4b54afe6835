/* acknowledge - what store.h promises of recipients who say to have an upload: part of
 * test_engine.c, which has every engine keep it. Uploads of the fixture have three. */
#ifndef RESTANTE_TESTS_ENGINE_ACKNOWLEDGE_H
#define RESTANTE_TESTS_ENGINE_ACKNOWLEDGE_H

#include "tests/engine/concat.h"

static enum err_code ack_code(struct fixture *f, unsigned id, uint16_t recipient, uint16_t *left)
{
	struct upload_id name = id_of(id);

	return store_acknowledge(f->store, &name, recipient, 5000, left, NULL, &f->err);
}

static uint16_t ack(struct fixture *f, unsigned id, uint16_t recipient)
{
	uint16_t left = 99;

	OK(f, ack_code(f, id, recipient, &left));
	return left;
}

static void an_upload_goes_when_all_its_recipients_have_it(void **state)
{
	struct fixture *f = *state;
	uint16_t left = 99;

	RUN(f, .id = 1, .seed = 1, .to = LONG, .finish = true);
	assert_int_equal(ack(f, 1, 3), 2);
	assert_int_equal(ack(f, 1, 1), 1);
	CHECK(f, 1, 1, LONG, true);
	assert_int_equal(ack(f, 1, 2), 0);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	assert_int_equal(blob_count(f), 0);
	assert_int_equal(ack_code(f, 1, 2, &left), ERR_DELETED);
	assert_int_equal(left, 99);
	assert_int_equal(due_count(f, 5000), 1);
	DROP(f, 1);
	check_nothing_left(f);
}

static void each_recipient_counts_once(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(ack(f, 1, 2), 2);
		if (f->variant->durable)
			fixture_reopen(f);
	}
	CHECK(f, 1, 1, 10, true);
	DROP(f, 1); /* and what is known of its recipients */
	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	assert_int_equal(ack(f, 1, 1), 2);
	DROP(f, 1);
	check_nothing_left(f);
}

static void nobody_acknowledges_for_others_or_too_early(void **state)
{
	struct fixture *f = *state;
	uint16_t left = 99;

	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 10);
	assert_int_equal(ack_code(f, 1, 0, &left), ERR_INVALID);
	assert_int_equal(ack_code(f, 1, 4, &left), ERR_INVALID);
	assert_int_equal(ack_code(f, 1, 1025, &left), ERR_INVALID);
	assert_int_equal(ack_code(f, 1, UINT16_MAX, &left), ERR_INVALID);
	assert_int_equal(ack_code(f, 2, 1, &left), ERR_NOTFOUND);
	assert_int_equal(ack_code(f, 3, 1, &left), ERR_NOTFOUND);
	assert_int_equal(left, 99);
	CHECK(f, 1, 1, 10, true);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

static void one_content_of_two_uploads_goes_with_the_last(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = LONG, .finish = true);
	RUN(f, .id = 2, .seed = 1, .to = LONG, .finish = true);
	for (uint16_t n = 1; n <= 3; n++)
		ack(f, 1, n);
	CHECK(f, 2, 1, LONG, true);
	for (uint16_t n = 1; n <= 3; n++)
		ack(f, 2, n);
	assert_int_equal(blob_count(f), 0);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

struct who {
	struct fixture *f;
	uint16_t recipient;
};

static void *acknowledge_as_one(void *arg)
{
	struct who *who = arg;
	struct upload_id name = id_of(1);
	uint16_t left;
	enum err_code rc =
		store_acknowledge(who->f->store, &name, who->recipient, 5000, &left, NULL, NULL);

	return rc == ERR_OK && left == 0 ? arg : NULL;
}

/* Of recipients who say it at once exactly one is the last. */
static void one_of_many_at_once_is_the_last(void **state)
{
	struct fixture *f = *state;
	struct who who[3];
	pthread_t threads[3];
	unsigned last = 0;
	void *out;

	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	for (unsigned i = 0; i < 3; i++) {
		who[i].f = f;
		who[i].recipient = (uint16_t)(i + 1);
		assert_int_equal(pthread_create(&threads[i], NULL, acknowledge_as_one, &who[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], &out);
		last += out != NULL;
	}
	assert_int_equal(last, 1);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	DROP(f, 1);
	check_nothing_left(f);
}

#define ACKNOWLEDGE_PROMISES(X)                           \
	X(an_upload_goes_when_all_its_recipients_have_it) \
	X(each_recipient_counts_once)                     \
	X(nobody_acknowledges_for_others_or_too_early)    \
	X(one_content_of_two_uploads_goes_with_the_last)  \
	X(one_of_many_at_once_is_the_last)

#endif
