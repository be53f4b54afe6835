#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/log.h"

/* The last line written and how many there were; broken counts lines that are not whole. */
struct seen {
	int lines, broken;
	enum log_level level;
	char last[1024];
};

static void remember(void *ctx, enum log_level level, const char *line)
{
	struct seen *s = ctx;

	s->level = level;
	s->lines++;
	assert_true(strlen(line) < sizeof(s->last));
	strcpy(s->last, line);
}

static int begin(void **state)
{
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	log_setup(LOG_LEVEL_INFO, remember, &seen);
	*state = &seen;
	return 0;
}

static void a_line_has_time_level_and_what_the_caller_says(void **state)
{
	struct seen *s = *state;

	log_info("event=%s count=%d", "swept", 3);
	assert_int_equal(s->lines, 1);
	assert_memory_equal(s->last, "time=2", 6);
	assert_string_equal(s->last + strlen("time=2026-12-21T10:00:00Z"),
			    " level=info event=swept count=3");
}

static void levels_below_the_lowest_are_silent(void **state)
{
	struct seen *s = *state;

	log_debug("event=never");
	assert_int_equal(s->lines, 0);
	log_warn("event=warned");
	assert_non_null(strstr(s->last, " level=warn event=warned"));
	log_error("event=failed");
	assert_non_null(strstr(s->last, " level=error event=failed"));
	assert_int_equal(s->level, LOG_LEVEL_ERROR);
	assert_int_equal(s->lines, 2);
	log_setup(LOG_LEVEL_DEBUG, remember, s);
	log_debug("event=now");
	assert_non_null(strstr(s->last, " level=debug event=now"));
	log_setup(LOG_LEVEL_ERROR, remember, s);
	log_warn("event=never");
	assert_int_equal(s->lines, 3);
}

/* What a value is written as, between the caller's quotes and without them. */
static void is_written(struct seen *s, const char *value, const char *quoted, const char *bare)
{
	char expect[256];

	log_info("why=\"%s\" end=1", value);
	(void)snprintf(expect, sizeof(expect), " level=info why=%s end=1", quoted);
	assert_string_equal(s->last + strlen("time=2026-12-21T10:00:00Z"), expect);
	log_info("why=%s end=1", value);
	(void)snprintf(expect, sizeof(expect), " level=info why=%s end=1", bare);
	assert_string_equal(s->last + strlen("time=2026-12-21T10:00:00Z"), expect);
}

static void no_value_can_be_taken_for_a_line_or_a_pair(void **state)
{
	static const struct {
		const char *value, *quoted, *bare;
	} cases[] = {
		{ "plain", "\"plain\"", "plain" },
		{ "", "\"\"", "\"\"" },
		{ "two words", "\"two words\"", "\"two words\"" },
		{ "a=b", "\"a=b\"", "\"a=b\"" },
		{ "a\nlevel=error", "\"a\\nlevel=error\"", "\"a\\nlevel=error\"" },
		{ "x\" event=\"forged", "\"x\\\" event=\\\"forged\"",
		  "\"x\\\" event=\\\"forged\"" },
		{ "back\\", "\"back\\\\\"", "\"back\\\\\"" },
		{ "\r\t\x1b[31m\x7f", "\"\\r\\t\\x1b[31m\\x7f\"", "\"\\r\\t\\x1b[31m\\x7f\"" },
		{ "gr\xc3\xb6\xc3\x9f"
		  "e",
		  "\"gr\xc3\xb6\xc3\x9f"
		  "e\"",
		  "gr\xc3\xb6\xc3\x9f"
		  "e" },
		{ "\xf0\x9f\x93\xae", "\"\xf0\x9f\x93\xae\"", "\xf0\x9f\x93\xae" },
		/* C1 controls, a line separator, an override of the direction */
		{ "\xc2\x9b", "\"\\xc2\\x9b\"", "\"\\xc2\\x9b\"" },
		{ "\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"", "\"\\xe2\\x80\\xa8\"" },
		{ "\xe2\x80\xae", "\"\\xe2\\x80\\xae\"", "\"\\xe2\\x80\\xae\"" },
		/* no UTF-8: overlong, a surrogate, cut short, beyond the last */
		{ "\xc0\x8a", "\"\\xc0\\x8a\"", "\"\\xc0\\x8a\"" },
		{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\xed\\xa0\\x80\"" },
		{ "\xe2\x82", "\"\\xe2\\x82\"", "\"\\xe2\\x82\"" },
		{ "\xf5\x80\x80\x80", "\"\\xf5\\x80\\x80\\x80\"", "\"\\xf5\\x80\\x80\\x80\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_written(*state, cases[i].value, cases[i].quoted, cases[i].bare);
}

static void conversions_are_those_of_printf(void **state)
{
	struct seen *s = *state;

	log_info("a=%d b=%u c=%zu d=%llu e=%lld f=%" PRIu64 " g=%" PRId64 " h=%x i=%.*s j=%% k=%ld",
		 -1, 2u, (size_t)3, 4ull, -5ll, UINT64_MAX, INT64_MIN, 0xbeefu, 2, "yes", 7L);
	assert_string_equal(s->last + strlen("time=2026-12-21T10:00:00Z level=info "),
			    "a=-1 b=2 c=3 d=4 e=-5 f=18446744073709551615 g=-9223372036854775808 "
			    "h=beef i=ye j=% k=7");
}

/* Quotes that are not escaped. */
static int quotes_in(const char *line)
{
	int n = 0;

	for (; *line != '\0'; line++) {
		if (*line == '\\')
			line++;
		else if (*line == '"')
			n++;
	}
	return n;
}

static void a_line_that_is_cut_has_its_quotes_closed(void **state)
{
	struct seen *s = *state;
	char value[600];

	for (int n = 380; n < 520; n++) { /* wherever the end falls */
		memset(value, 'x', sizeof(value));
		memcpy(value + n, "\n\"\n\"\n\"", 7);
		log_info("event=long error=\"%s\" after=\"%s\"", value, value);
		assert_in_range(strlen(s->last), 1, 500);
		assert_true(quotes_in(s->last) % 2 == 0 && quotes_in(s->last) > 0);
	}
}

static void a_line_is_cut_at_500_bytes(void **state)
{
	struct seen *s = *state;
	char long_text[2000];

	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	log_info("why=%s", long_text);
	assert_int_equal(strlen(s->last), 500);
	assert_int_equal(s->last[499], 'x');
}

static void logging_keeps_errno(void **state)
{
	(void)state;
	errno = ENOSPC;
	log_info("event=full");
	assert_int_equal(errno, ENOSPC);
}

#define THREADS 4
#define LINES_EACH 2000

static void check_whole(void *ctx, enum log_level level, const char *line)
{
	struct seen *s = ctx;
	const char *a = strstr(line, "a="), *b = strstr(line, " b=");

	(void)level;
	/* Under the log's lock, so plain counting is safe. */
	s->lines++;
	if (a == NULL || b == NULL || strncmp(a + 2, b + 3, (size_t)(b - a - 2)) != 0)
		s->broken++;
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES_EACH; i++)
		log_info("a=%d-%d b=%d-%d", *(int *)arg, i, *(int *)arg, i);
	return NULL;
}

static void lines_of_several_threads_do_not_interleave(void **state)
{
	struct seen *s = *state;
	pthread_t threads[THREADS];
	int names[THREADS];

	log_setup(LOG_LEVEL_INFO, check_whole, s);
	for (int i = 0; i < THREADS; i++) {
		names[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->lines, THREADS * LINES_EACH);
	assert_int_equal(s->broken, 0);
}

/* What log_error() puts on standard error, caught in a file. */
static void catch_stderr(char *out, size_t size)
{
	FILE *caught = tmpfile();
	int kept = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(caught);
	assert_true(kept >= 0 && dup2(fileno(caught), STDERR_FILENO) >= 0);
	log_error("event=default");
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	rewind(caught);
	n = fread(out, 1, size - 1, caught);
	out[n] = '\0';
	fclose(caught);
}

static void without_a_sink_lines_go_to_standard_error(void **state)
{
	char text[256];

	(void)state;
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	catch_stderr(text, sizeof(text));
	assert_non_null(strstr(text, " level=error event=default\n"));
	assert_int_equal(strlen(text),
			 strlen("time=2026-12-21T10:00:00Z level=error event=default\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_time_level_and_what_the_caller_says, begin),
		cmocka_unit_test_setup(levels_below_the_lowest_are_silent, begin),
		cmocka_unit_test_setup(no_value_can_be_taken_for_a_line_or_a_pair, begin),
		cmocka_unit_test_setup(conversions_are_those_of_printf, begin),
		cmocka_unit_test_setup(a_line_that_is_cut_has_its_quotes_closed, begin),
		cmocka_unit_test_setup(a_line_is_cut_at_500_bytes, begin),
		cmocka_unit_test_setup(logging_keeps_errno, begin),
		cmocka_unit_test_setup(lines_of_several_threads_do_not_interleave, begin),
		cmocka_unit_test_setup(without_a_sink_lines_go_to_standard_error, begin),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
