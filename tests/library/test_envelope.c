/* Envelopes: what may be in one, how it is written, what is read. The table of good and bad ones is
 * tests/library/envelopes.tsv; the schema reads the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <sodium.h>

#include "base/clock.h"
#include "restante/envelope.h"
#include "restante/seal.h"

#define TABLE "tests/library/envelopes.tsv"
#define KEY_TEXT "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG"
#define TOKEN "EQEQERITFBUWFxgZGhscHR4faytNgNnwaC-B3aYF0hbhKkLB77s"
#define MANAGE_TOKEN "EgEQERITFBUWFxgZGhscHR4faytNgO49p19-XGqnmJxKNDU6rTA"
#define LEAST                                                                          \
	"{\"v\":1,\"kind\":\"file\",\"type\":\"text/plain\",\"key\":\"" KEY_TEXT "\"," \
	"\"token\":\"" TOKEN "\"}"
#define DECEMBER UINT64_C(1797847200) /* 2026-12-21T10:00:00Z */

struct fixture {
	struct restante_envelope *envelope;
	struct restante_error error;
	uint8_t key[RESTANTE_KEY_SIZE], sha256[32], bars[64], preview[4096], hash[25];
	char text[RESTANTE_ENVELOPE_MAX + 1];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	for (size_t i = 0; i < sizeof(f->key); i++)
		f->key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(f->bars); i++)
		f->bars[i] = (uint8_t)(i + 37);
	memset(f->sha256, 0xab, sizeof(f->sha256));
	memset(f->preview, 0xff, sizeof(f->preview));
	memset(f->hash, 0x3c, sizeof(f->hash));
	assert_int_equal(restante_envelope_new(&f->envelope, &f->error), RESTANTE_OK);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	restante_envelope_free(f->envelope);
	free(f);
	return 0;
}

static enum restante_code set_text(struct fixture *f, enum restante_text field, const char *value)
{
	return restante_envelope_set_text(f->envelope, field, value, &f->error);
}

static enum restante_code set_number(struct fixture *f, enum restante_number field, uint64_t value)
{
	return restante_envelope_set_number(f->envelope, field, value, &f->error);
}

static enum restante_code set_blob(struct fixture *f, enum restante_blob field, const void *value,
				   size_t size)
{
	return restante_envelope_set_blob(f->envelope, field, value, size, &f->error);
}

static enum restante_code encode(struct fixture *f)
{
	return restante_envelope_encode(f->envelope, f->text, &f->error);
}

static void fill_required(struct fixture *f)
{
	assert_int_equal(set_text(f, RESTANTE_TEXT_KIND, "photo"), RESTANTE_OK);
	assert_int_equal(set_text(f, RESTANTE_TEXT_TYPE, "image/jpeg"), RESTANTE_OK);
	assert_int_equal(set_text(f, RESTANTE_TEXT_TOKEN, TOKEN), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_KEY, f->key, sizeof(f->key)), RESTANTE_OK);
}

static void fill_sizes(struct fixture *f)
{
	assert_int_equal(set_number(f, RESTANTE_NUMBER_SIZE, 1000), RESTANTE_OK);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_SEALED_SIZE, 1224), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_SHA256, f->sha256, 32), RESTANTE_OK);
}

static void fill_all(struct fixture *f)
{
	fill_required(f);
	fill_sizes(f);
	assert_int_equal(set_text(f, RESTANTE_TEXT_NAME, "Grüße \"1\".jpg"), RESTANTE_OK);
	assert_int_equal(set_text(f, RESTANTE_TEXT_PREVIEW_TYPE, "image/webp"), RESTANTE_OK);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_EXPIRES_AT, DECEMBER), RESTANTE_OK);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_WIDTH, 1600), RESTANTE_OK);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_HEIGHT, 1200), RESTANTE_OK);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_DURATION_MS, 61500), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_WAVEFORM, f->bars, 64), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_PREVIEW, f->preview, 4), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_THUMBHASH, f->hash, 3), RESTANTE_OK);
}

/* Of memory of just that size, so that a sanitizer sees the first byte read behind it. */
static enum restante_code decode(struct restante_envelope **out, const char *text, size_t n)
{
	struct restante_error e = { 0 };
	char *copy = malloc(n > 0 ? n : 1);
	enum restante_code rc;

	assert_non_null(copy);
	memcpy(copy, text, n);
	rc = restante_envelope_decode(out, copy, n, &e);
	if (rc != RESTANTE_OK) {
		assert_int_equal(e.code, rc);
		assert_true(e.detail[0] != '\0');
		assert_null(strstr(e.detail, "SECRET-KEY-1Q"));
		assert_null(strstr(e.detail, "EQEQER"));
	}
	free(copy);
	return rc;
}

static enum restante_code verdict_on(const char *text, size_t n)
{
	struct restante_envelope *e = NULL;
	enum restante_code rc = decode(&e, text, n);

	assert_true((rc == RESTANTE_OK) == (e != NULL));
	restante_envelope_free(e);
	return rc;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void an_envelope_is_written_on_one_line_and_in_one_order(void **state)
{
	struct fixture *f = *state;

	fill_all(f);
	assert_int_equal(encode(f), RESTANTE_OK);
	assert_string_equal(
		f->text,
		"{\"v\":1,\"kind\":\"photo\",\"type\":\"image/jpeg\",\"size\":1000,"
		"\"sealed_size\":1224,\"sha256\":"
		"\"abababababababababababababababababababababababababababababababab\","
		"\"key\":\"" KEY_TEXT "\",\"token\":\"" TOKEN "\","
		"\"expires_at\":\"2026-12-21T10:00:00Z\",\"width\":1600,\"height\":1200,"
		"\"duration_ms\":61500,\"waveform\":[37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,"
		"52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,"
		"79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99,100],"
		"\"preview\":\"/////w==\",\"preview_type\":\"image/webp\",\"thumbhash\":\"PDw8\","
		"\"name\":\"Grüße \\\"1\\\".jpg\"}");
}

static void what_is_required_is_asked_for(void **state)
{
	struct fixture *f = *state;

	for (int missing = 0; missing < 4; missing++) {
		fill_required(f);
		if (missing < 3)
			(void)set_text(f, (enum restante_text)missing, NULL);
		else
			(void)set_blob(f, RESTANTE_BLOB_KEY, NULL, 0);
		assert_int_equal(encode(f), RESTANTE_INVALID);
		assert_non_null(strstr(f->error.detail, "kind, type, token and key"));
	}
	fill_required(f);
	assert_int_equal(encode(f), RESTANTE_OK);
}

static void fields_that_disagree_are_not_written(void **state)
{
	struct fixture *f = *state;

	fill_required(f);
	fill_sizes(f);
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, restante_sealed_size(1000) - 1);
	assert_int_equal(encode(f), RESTANTE_INVALID);
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, restante_sealed_size(1000));
	assert_int_equal(encode(f), RESTANTE_OK);
	/* padding, and the largest header there is */
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, restante_sealed_size(1024) + 16384);
	assert_int_equal(encode(f), RESTANTE_OK);
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, restante_sealed_size(1024) + 16385);
	assert_int_equal(encode(f), RESTANTE_INVALID);
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, restante_sealed_size(1000));
	(void)set_blob(f, RESTANTE_BLOB_SHA256, NULL, 0);
	assert_int_equal(encode(f), RESTANTE_INVALID);
	fill_sizes(f);
	(void)set_number(f, RESTANTE_NUMBER_WIDTH, 1);
	assert_int_equal(encode(f), RESTANTE_INVALID);
	(void)set_number(f, RESTANTE_NUMBER_HEIGHT, 1);
	(void)set_blob(f, RESTANTE_BLOB_PREVIEW, f->preview, 1);
	assert_int_equal(encode(f), RESTANTE_INVALID);
	(void)set_text(f, RESTANTE_TEXT_PREVIEW_TYPE, "image/jpeg");
	assert_int_equal(encode(f), RESTANTE_OK);
}

static void the_largest_envelope_fits(void **state)
{
	struct fixture *f = *state;
	char name[256], type[128];

	memset(name, '"', 255); /* two characters each in JSON */
	name[255] = '\0';
	memset(type, 'x', 127);
	type[60] = '/';
	type[127] = '\0';
	memset(f->bars, 100, sizeof(f->bars));
	fill_all(f);
	(void)set_number(f, RESTANTE_NUMBER_SIZE, UINT64_C(9000000000000000));
	(void)set_number(f, RESTANTE_NUMBER_SEALED_SIZE, (UINT64_C(1) << 53) - 1);
	(void)set_number(f, RESTANTE_NUMBER_DURATION_MS, UINT64_C(1) << 40);
	(void)set_number(f, RESTANTE_NUMBER_WIDTH, 1000000);
	(void)set_number(f, RESTANTE_NUMBER_HEIGHT, 1000000);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_PREVIEW, f->preview, 4096), RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_THUMBHASH, f->hash, 25), RESTANTE_OK);
	assert_int_equal(set_text(f, RESTANTE_TEXT_NAME, name), RESTANTE_OK);
	assert_int_equal(set_text(f, RESTANTE_TEXT_TYPE, type), RESTANTE_OK);
	assert_int_equal(
		set_text(f, RESTANTE_TEXT_TOKEN,
			 "EQEQERITFBUWFxgZGhscHR4faytNgAFrKfwAAWsp_AABayn8AAFrKfwAAWsp_AABayn8AAFr"
			 "KfwAAWsp_AC5eDfX7SBWgvfZojje6Kh6"),
		RESTANTE_OK);
	assert_int_equal(encode(f), RESTANTE_OK);
	assert_in_range(strlen(f->text), 6800, RESTANTE_ENVELOPE_MAX - 1000);
	assert_int_equal(verdict_on(f->text, strlen(f->text)), RESTANTE_OK);
}

/* ---- fields -----------------------------------------------------------------------------------
 */

static void assert_same(const struct restante_envelope *a, const struct restante_envelope *b)
{
	for (int i = 0; i < RESTANTE_TEXT_COUNT; i++) {
		const char *x = restante_envelope_text(a, (enum restante_text)i);
		const char *y = restante_envelope_text(b, (enum restante_text)i);

		assert_string_equal(x != NULL ? x : "", y != NULL ? y : "");
	}
	for (int i = 0; i < RESTANTE_NUMBER_COUNT; i++) {
		uint64_t x = 7, y = 7;

		assert_int_equal(restante_envelope_number(a, (enum restante_number)i, &x),
				 restante_envelope_number(b, (enum restante_number)i, &y));
		assert_int_equal(x, y);
	}
	for (int i = 0; i < RESTANTE_BLOB_COUNT; i++) {
		size_t n = 0, m = 0;
		const uint8_t *x = restante_envelope_blob(a, (enum restante_blob)i, &n);
		const uint8_t *y = restante_envelope_blob(b, (enum restante_blob)i, &m);

		assert_int_equal(n, m);
		assert_true((x == NULL) == (y == NULL));
		if (x != NULL)
			assert_memory_equal(x, y, n);
	}
}

static void what_was_written_is_read_back(void **state)
{
	struct fixture *f = *state;
	struct restante_envelope *back;

	fill_required(f);
	for (int more = 0; more < 3; more++) {
		if (more == 1)
			fill_sizes(f);
		else if (more == 2)
			fill_all(f);
		assert_int_equal(encode(f), RESTANTE_OK);
		assert_int_equal(decode(&back, f->text, strlen(f->text)), RESTANTE_OK);
		assert_same(f->envelope, back);
		restante_envelope_free(back);
	}
}

static void a_field_that_is_not_there_is_none(void **state)
{
	struct fixture *f = *state;
	uint64_t number = 7;
	size_t size = 7;

	for (int i = 0; i < RESTANTE_TEXT_COUNT; i++)
		assert_null(restante_envelope_text(f->envelope, (enum restante_text)i));
	for (int i = 0; i < RESTANTE_NUMBER_COUNT; i++)
		assert_false(
			restante_envelope_number(f->envelope, (enum restante_number)i, &number));
	for (int i = 0; i < RESTANTE_BLOB_COUNT; i++)
		assert_null(restante_envelope_blob(f->envelope, (enum restante_blob)i, &size));
	assert_int_equal(number, 7);
}

static void a_field_is_taken_out_with_null(void **state)
{
	struct fixture *f = *state;
	size_t size;

	fill_all(f);
	assert_int_equal(set_text(f, RESTANTE_TEXT_NAME, NULL), RESTANTE_OK);
	assert_null(restante_envelope_text(f->envelope, RESTANTE_TEXT_NAME));
	assert_int_equal(set_blob(f, RESTANTE_BLOB_THUMBHASH, NULL, 0), RESTANTE_OK);
	assert_null(restante_envelope_blob(f->envelope, RESTANTE_BLOB_THUMBHASH, &size));
	assert_int_equal(encode(f), RESTANTE_OK);
	assert_null(strstr(f->text, "\"name\""));
	assert_null(strstr(f->text, "thumbhash"));
}

static void a_field_can_be_set_to_what_it_is(void **state)
{
	struct fixture *f = *state;
	size_t size;

	fill_all(f);
	assert_int_equal(set_text(f, RESTANTE_TEXT_TYPE,
				  restante_envelope_text(f->envelope, RESTANTE_TEXT_TYPE)),
			 RESTANTE_OK);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_KEY,
				  restante_envelope_blob(f->envelope, RESTANTE_BLOB_KEY, &size),
				  32),
			 RESTANTE_OK);
	assert_string_equal(restante_envelope_text(f->envelope, RESTANTE_TEXT_TYPE), "image/jpeg");
	assert_memory_equal(restante_envelope_blob(f->envelope, RESTANTE_BLOB_KEY, &size), f->key,
			    32);
}

static void a_text_that_may_not_be_leaves_the_field_as_it_was(void **state)
{
	static const struct {
		enum restante_text field;
		const char *value;
	} bad[] = {
		{ RESTANTE_TEXT_KIND, "" },
		{ RESTANTE_TEXT_KIND, "picture" },
		{ RESTANTE_TEXT_TYPE, "image/" },
		{ RESTANTE_TEXT_TYPE, "/jpeg" },
		{ RESTANTE_TEXT_TYPE, "image/jpeg; q=1" },
		{ RESTANTE_TEXT_TYPE, "image/jp\xc3\xa4g" },
		{ RESTANTE_TEXT_TOKEN, "" },
		{ RESTANTE_TEXT_TOKEN, MANAGE_TOKEN },
		{ RESTANTE_TEXT_TOKEN, TOKEN "A" },
		{ RESTANTE_TEXT_NAME, "a/b" },
		{ RESTANTE_TEXT_NAME, "C:\\b" },
		{ RESTANTE_TEXT_NAME, "." },
		{ RESTANTE_TEXT_NAME, ".." },
		{ RESTANTE_TEXT_NAME, "a\tb" },
		{ RESTANTE_TEXT_NAME, "a\x7f" },
		{ RESTANTE_TEXT_NAME, "\xc2\x80" },  /* C1 */
		{ RESTANTE_TEXT_NAME, "a\xd8\x9c" }, /* U+061C */
		{ RESTANTE_TEXT_NAME, "\xe2\x80\x8e" },
		{ RESTANTE_TEXT_NAME, "\xe2\x80\x8f" },
		{ RESTANTE_TEXT_NAME, "\xe2\x80\xa8" },
		{ RESTANTE_TEXT_NAME, "a\xe2\x80\xa9z" },
		{ RESTANTE_TEXT_NAME, "\xe2\x80\xaa" },
		{ RESTANTE_TEXT_NAME, "photo\xe2\x80\xaegpj.exe" },
		{ RESTANTE_TEXT_NAME, "\xe2\x81\xa6" },
		{ RESTANTE_TEXT_NAME, "\xe2\x81\xa9" },
		{ RESTANTE_TEXT_NAME, "\xc2" },         /* cut short */
		{ RESTANTE_TEXT_NAME, "\x80" },         /* begins nothing */
		{ RESTANTE_TEXT_NAME, "\xc0\xaf" },     /* "/" in two bytes */
		{ RESTANTE_TEXT_NAME, "\xe0\x80\xaf" }, /* and in three */
		{ RESTANTE_TEXT_NAME, "\xf0\x80\x80\xaf" },
		{ RESTANTE_TEXT_NAME, "\xed\xa0\x80" },     /* a surrogate */
		{ RESTANTE_TEXT_NAME, "\xf4\x90\x80\x80" }, /* past the last character */
		{ RESTANTE_TEXT_NAME, "\xf8\x88\x80\x80\x80" },
		{ RESTANTE_TEXT_NAME, "\xe2\x82z" },
		{ RESTANTE_TEXT_NAME, "\xff" },
		{ RESTANTE_TEXT_PREVIEW_TYPE, "image/png" },
	};
	struct fixture *f = *state;

	fill_all(f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char before[256];

		strcpy(before, restante_envelope_text(f->envelope, bad[i].field));
		if (set_text(f, bad[i].field, bad[i].value) != RESTANTE_INVALID)
			fail_msg("\"%s\" was taken", bad[i].value);
		assert_int_equal(f->error.code, RESTANTE_INVALID);
		assert_string_equal(restante_envelope_text(f->envelope, bad[i].field), before);
	}
}

static void names_of_all_languages_are_taken(void **state)
{
	static const char *const good[] = {
		"a",
		"...",
		".profile",
		"a b",
		"Grüße",
		"日本語.jpg",
		"файл",
		"שלום",
		"\xe2\x80\x8d", /* joins, as in emoji */
		"\xe2\x80\xa7",
		"\xe2\x80\xaf",
		"\xe2\x81\xa5",
		"\xe2\x81\xaa",
		"\xf0\x9f\x8c\x84",
		"\xc2\xa0",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (set_text(f, RESTANTE_TEXT_NAME, good[i]) != RESTANTE_OK)
			fail_msg("\"%s\" was refused", good[i]);
	}
}

static void numbers_and_blobs_have_bounds(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set_number(f, RESTANTE_NUMBER_SIZE, UINT64_C(1) << 53), RESTANTE_INVALID);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_WIDTH, 0), RESTANTE_INVALID);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_HEIGHT, 1000001), RESTANTE_INVALID);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_DURATION_MS, (UINT64_C(1) << 40) + 1),
			 RESTANTE_INVALID);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_EXPIRES_AT, UINT64_C(253402300800)),
			 RESTANTE_INVALID);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_KEY, f->key, 31), RESTANTE_INVALID);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_SHA256, f->bars, 33), RESTANTE_INVALID);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_PREVIEW, f->preview, 0), RESTANTE_INVALID);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_PREVIEW, f->preview, 4097), RESTANTE_INVALID);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_THUMBHASH, f->preview, 26), RESTANTE_INVALID);
	f->bars[63] = 101;
	assert_int_equal(set_blob(f, RESTANTE_BLOB_WAVEFORM, f->bars, 64), RESTANTE_INVALID);
	a_field_that_is_not_there_is_none(state);
}

static void misuse_is_a_code(void **state)
{
	struct fixture *f = *state;
	uint64_t number;
	size_t size;

	assert_int_equal(restante_envelope_new(NULL, NULL), RESTANTE_MISUSE);
	restante_envelope_free(NULL);
	assert_int_equal(set_text(f, RESTANTE_TEXT_COUNT, "x"), RESTANTE_MISUSE);
	assert_int_equal(set_number(f, RESTANTE_NUMBER_COUNT, 1), RESTANTE_MISUSE);
	assert_int_equal(set_blob(f, RESTANTE_BLOB_COUNT, "x", 1), RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_set_text(NULL, RESTANTE_TEXT_NAME, "x", NULL),
			 RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_set_number(NULL, RESTANTE_NUMBER_SIZE, 1, NULL),
			 RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_set_blob(NULL, RESTANTE_BLOB_KEY, f->key, 32, NULL),
			 RESTANTE_MISUSE);
	assert_null(restante_envelope_text(NULL, RESTANTE_TEXT_NAME));
	assert_null(restante_envelope_text(f->envelope, RESTANTE_TEXT_COUNT));
	assert_false(restante_envelope_number(f->envelope, RESTANTE_NUMBER_COUNT, &number));
	assert_null(restante_envelope_blob(f->envelope, RESTANTE_BLOB_COUNT, &size));
	assert_int_equal(restante_envelope_encode(NULL, f->text, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_encode(f->envelope, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_decode(NULL, LEAST, strlen(LEAST), NULL),
			 RESTANTE_MISUSE);
	assert_int_equal(restante_envelope_decode(&f->envelope, NULL, 0, NULL), RESTANTE_MISUSE);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Of a table's line: the next field, ended by a tab or the line's end. */
static char *next_field(char **rest)
{
	char *field = strsep(rest, "\t\n");

	assert_non_null(field);
	return field;
}

/* Replaces "@X" by what stands for it, until there is none left. */
static void expand(char text[static 2 * RESTANTE_ENVELOPE_MAX], char *const words[static 128])
{
	char *at;

	while ((at = strchr(text, '@')) != NULL) {
		const char *word = words[at[1] & 127];
		const size_t n = word != NULL ? strlen(word) : 0;

		assert_non_null(word);
		assert_true(strlen(text) + n < 2 * RESTANTE_ENVELOPE_MAX);
		memmove(at + n, at + 2, strlen(at + 2) + 1);
		memcpy(at, word, n);
	}
}

static void the_table_is_judged_as_it_says(void **state)
{
	char *words[128] = { NULL }, *line = NULL;
	char text[2 * RESTANTE_ENVELOPE_MAX];
	FILE *table = fopen(TABLE, "r");
	size_t room = 0;
	int count = 0;

	(void)state;
	assert_non_null(table);
	while (getline(&line, &room, table) > 0) {
		char *rest = line, *first = next_field(&rest), *second, *third;

		if (first[0] == '#')
			continue;
		second = next_field(&rest);
		third = next_field(&rest);
		if (strcmp(first, "let") == 0) {
			words[second[0] & 127] = strdup(third);
			continue;
		}
		(void)snprintf(text, sizeof(text), "%s", next_field(&rest));
		expand(text, words);
		if (verdict_on(text, strlen(text)) !=
		    (strcmp(first, "good") == 0 ? RESTANTE_OK : RESTANTE_INVALID))
			fail_msg("%s: is not found to be %s", third, first);
		count++;
	}
	assert_true(count > 80);
	for (int i = 0; i < 128; i++)
		free(words[i]);
	free(line);
	(void)fclose(table);
}

static void only_utf8_without_nul_is_read(void **state)
{
	static const char raw[] = "{\"v\":1,\"kind\":\"file\",\"type\":\"a/b\",\"key\":\"" KEY_TEXT
				  "\",\"token\":\"" TOKEN "\",\"x\":\"?\"} ";
	char text[sizeof(raw)];
	char *mark, *end = text + sizeof(raw) - 2;

	(void)state;
	memcpy(text, raw, sizeof(raw));
	mark = strchr(text, '?');
	assert_int_equal(verdict_on(text, sizeof(raw) - 1), RESTANTE_OK);
	for (int c = 0; c < 256; c++) {
		bool good = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

		*mark = (char)c;
		assert_int_equal(verdict_on(text, sizeof(raw) - 1),
				 good ? RESTANTE_OK : RESTANTE_INVALID);
	}
	*mark = '?';
	for (int c = 0; c < 256; c++) {
		bool good = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		*end = (char)c;
		assert_int_equal(verdict_on(text, sizeof(raw) - 1),
				 good ? RESTANTE_OK : RESTANTE_INVALID);
	}
	assert_int_equal(verdict_on("\xef\xbb\xbf" LEAST, strlen(LEAST) + 3), RESTANTE_INVALID);
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < strlen(LEAST); n++)
		assert_int_equal(verdict_on(LEAST, n), RESTANTE_INVALID);
	assert_int_equal(verdict_on(LEAST, strlen(LEAST)), RESTANTE_OK);
}

static void more_than_8_kib_are_not_looked_at(void **state)
{
	char text[RESTANTE_ENVELOPE_MAX + 1];

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, LEAST, strlen(LEAST));
	assert_int_equal(verdict_on(text, RESTANTE_ENVELOPE_MAX), RESTANTE_OK);
	assert_int_equal(verdict_on(text, sizeof(text)), RESTANTE_TOOBIG);
}

static void *read_nested(void *arg)
{
	char text[RESTANTE_ENVELOPE_MAX];

	memset(text, '[', sizeof(text));
	assert_int_equal(verdict_on(text, sizeof(text)), RESTANTE_INVALID);
	memset(text, '{', sizeof(text));
	assert_int_equal(verdict_on(text, sizeof(text)), RESTANTE_INVALID);
	for (size_t i = 0; i + 5 <= sizeof(text); i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_int_equal(verdict_on(text, sizeof(text)), RESTANTE_INVALID);
	return arg;
}

static void what_is_nested_deep_needs_no_deep_stack(void **state)
{
	pthread_attr_t small;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_attr_init(&small), 0);
	assert_int_equal(pthread_attr_setstacksize(&small, 128 * 1024), 0);
	assert_int_equal(pthread_create(&thread, &small, read_nested, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_attr_destroy(&small), 0);
}

static void times_are_read_as_they_are_written(void **state)
{
	static const char *const bad[] = { "",
					   "2026-12-21",
					   "2026-12-21T10:00:00",
					   "2026-12-21t10:00:00Z",
					   "2026-12-21T10:00:00z",
					   "2026-12-21 10:00:00Z",
					   "2026-12-21T10:00:00+00:00",
					   "2026-12-21T10:00:00.0Z",
					   "2026-12-21T10:00:60Z",
					   "2026-12-21T24:00:00Z",
					   "2026-00-21T10:00:00Z",
					   "2026-02-29T10:00:00Z",
					   "1969-12-31T23:59:59Z",
					   "02026-12-21T10:00:00Z",
					   "2026-12-21T10:00:00Z " };
	int64_t back = -1;

	(void)state;
	for (int64_t t = 0; t < INT64_C(253402300800); t += INT64_C(98765432)) {
		char text[CLOCK_RFC3339_SIZE];

		clock_rfc3339(text, t);
		assert_true(clock_parse_rfc3339(text, strlen(text), &back));
		assert_int_equal(back, t);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t t = -99;

		if (clock_parse_rfc3339(bad[i], strlen(bad[i]), &t))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(t, -99);
	}
}

/* ---- memory -----------------------------------------------------------------------------------
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void freed_memory_holds_no_key(void **state)
{
	(void)state;
	skip(); /* the sanitizer has an allocator of its own */
}

static void without_memory_nothing_is_half_done(void **state)
{
	(void)state;
	skip();
}
#else
static struct {
	bool looking; /* at what is given back */
	int found;
	uint8_t key[RESTANTE_KEY_SIZE];
	long left; /* allocations that succeed; below zero: all */
} memory = { .left = -1 };

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void __libc_free(void *p);

static bool is_refused(void)
{
	return memory.left >= 0 && (memory.left == 0 || memory.left-- == 0);
}

/* The C library's, for all of the program, jansson included: visible to it. */
#pragma GCC visibility push(default)
void *malloc(size_t n)
{
	return is_refused() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(n, size);
}

void free(void *p)
{
	if (p != NULL && memory.looking) {
		const size_t n = malloc_usable_size(p);

		memory.found += memmem(p, n, KEY_TEXT, strlen(KEY_TEXT)) != NULL ||
				memmem(p, n, memory.key, sizeof(memory.key)) != NULL ||
				memmem(p, n, TOKEN, strlen(TOKEN)) != NULL;
	}
	__libc_free(p);
}
#pragma GCC visibility pop

static void freed_memory_holds_no_key(void **state)
{
	struct fixture *f = *state;
	struct restante_envelope *back;
	json_t *probe = json_string(KEY_TEXT);

	memcpy(memory.key, f->key, sizeof(memory.key));
	memory.looking = true;
	json_decref(probe);
	assert_int_equal(memory.found, 1); /* it does look */
	fill_all(f);
	assert_int_equal(encode(f), RESTANTE_OK);
	assert_int_equal(restante_envelope_decode(&back, f->text, strlen(f->text), NULL),
			 RESTANTE_OK);
	restante_envelope_free(back);
	memory.looking = false;
	assert_int_equal(memory.found, 1);
}

static void without_memory_nothing_is_half_done(void **state)
{
	struct fixture *f = *state;
	char whole[RESTANTE_ENVELOPE_MAX + 1];
	struct restante_envelope *back = NULL;
	enum restante_code rc;
	long n = 0;

	fill_all(f);
	assert_int_equal(encode(f), RESTANTE_OK);
	strcpy(whole, f->text);
	do {
		memory.left = n++;
		rc = encode(f);
		memory.left = -1;
		assert_true(rc == RESTANTE_OK || rc == RESTANTE_NOMEM);
	} while (rc != RESTANTE_OK);
	assert_string_equal(f->text, whole);
	assert_true(n > 80);
	n = 0;
	do {
		memory.left = n++;
		rc = restante_envelope_decode(&back, whole, strlen(whole), &f->error);
		memory.left = -1;
		/* jansson does not always know that it was for want of memory */
		assert_true(rc == RESTANTE_OK || rc == RESTANTE_NOMEM || rc == RESTANTE_INVALID);
		assert_true(rc == RESTANTE_OK || strchr(f->error.detail, '-') == NULL);
	} while (rc != RESTANTE_OK);
	assert_true(n > 80);
	assert_same(f->envelope, back);
	restante_envelope_free(back);
}
#endif

/* ---- doc/envelope.schema.json -----------------------------------------------------------------
 */

#define SCHEMA "python3 tests/library/envelope_schema.py doc/envelope.schema.json"

/* Asked once: starting Python takes longer than all other tests here. */
static bool there_is_jsonschema(void)
{
	static int answer = -1;

	if (answer < 0)
		answer = system("python3 -c 'import jsonschema' 2>/dev/null");
	return answer == 0;
}

static void ask_schema(const char *command, const char *input)
{
	FILE *p;

	if (!there_is_jsonschema())
		skip(); /* python3-jsonschema is not installed */
	p = popen(command, "w");
	assert_non_null(p);
	(void)fputs(input, p);
	assert_int_equal(pclose(p), 0);
}

static void the_schema_is_one(void **state)
{
	(void)state;
	ask_schema(SCHEMA " >&2", "");
}

static void the_schema_agrees_with_the_table(void **state)
{
	(void)state;
	ask_schema(SCHEMA " table " TABLE " >&2", "");
}

static void the_page_names_every_field_of_the_schema(void **state)
{
	(void)state;
	ask_schema(SCHEMA " page doc/envelope.md >&2", "");
}

static void the_example_of_the_page_is_read(void **state)
{
	struct fixture *f = *state;
	FILE *page = fopen("doc/envelope.md", "r");
	char all[16384], *begin, *end;

	assert_non_null(page);
	all[fread(all, 1, sizeof(all) - 1, page)] = '\0';
	(void)fclose(page);
	begin = strstr(all, "```json\n");
	assert_non_null(begin);
	begin += strlen("```json\n");
	end = strstr(begin, "```");
	assert_non_null(end);
	restante_envelope_free(f->envelope);
	f->envelope = NULL;
	assert_int_equal(decode(&f->envelope, begin, (size_t)(end - begin)), RESTANTE_OK);
	assert_string_equal(restante_envelope_text(f->envelope, RESTANTE_TEXT_NAME), "holiday.jpg");
}

static void what_is_written_matches_the_schema(void **state)
{
	char lines[4 * RESTANTE_ENVELOPE_MAX] = "";
	struct fixture *f = *state;

	fill_required(f);
	for (int more = 0; more < 3; more++) {
		if (more == 1)
			fill_sizes(f);
		else if (more == 2)
			fill_all(f);
		assert_int_equal(encode(f), RESTANTE_OK);
		strcat(strcat(lines, f->text), "\n");
	}
	ask_schema(SCHEMA " lines >&2", lines);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_envelope_is_written_on_one_line_and_in_one_order),
		TEST(what_is_required_is_asked_for),
		TEST(fields_that_disagree_are_not_written),
		TEST(the_largest_envelope_fits),
		TEST(what_was_written_is_read_back),
		TEST(a_field_that_is_not_there_is_none),
		TEST(a_field_is_taken_out_with_null),
		TEST(a_field_can_be_set_to_what_it_is),
		TEST(a_text_that_may_not_be_leaves_the_field_as_it_was),
		TEST(names_of_all_languages_are_taken),
		TEST(numbers_and_blobs_have_bounds),
		TEST(misuse_is_a_code),
		TEST(the_table_is_judged_as_it_says),
		TEST(only_utf8_without_nul_is_read),
		TEST(every_truncation_is_refused),
		TEST(more_than_8_kib_are_not_looked_at),
		TEST(what_is_nested_deep_needs_no_deep_stack),
		TEST(times_are_read_as_they_are_written),
		TEST(freed_memory_holds_no_key),
		TEST(without_memory_nothing_is_half_done),
		TEST(the_schema_is_one),
		TEST(the_schema_agrees_with_the_table),
		TEST(the_page_names_every_field_of_the_schema),
		TEST(the_example_of_the_page_is_read),
		TEST(what_is_written_matches_the_schema),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
