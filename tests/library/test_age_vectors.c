/* age_vectors - the test vectors of the age specification (C2SP/CCTV, folder age), each a test of
 * its name: whole and in small pieces. Those about what we do not have (text armor, passphrases,
 * hybrid keys) have to be refused with a sentence that says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include <isa-l/igzip_lib.h>

#include "base/digest.h"
#include "base/text.h"
#include "tests/library/sealing.h"

#define FOLDER "../shared/vectors/age/"
#define VECTORS_MAX 256
#define FILE_MAX ((size_t)20 << 20)

struct vector {
	char expect[32];
	char comment[80];
	struct digest payload; /* of all that may come out; of nothing unless the file says */
	uint8_t key[RESTANTE_KEY_SIZE];
	bool has_key, has_other_key, has_passphrase, armored, compressed;
	struct bytes file;
};

/* ---- reading one ---- */

static uint8_t text[FILE_MAX], inflated[FILE_MAX];

static void take_identity(struct vector *v, const char *value)
{
	struct restante_error e;

	if (restante_key_parse(v->key, value, strlen(value), &e) == RESTANTE_OK) {
		v->has_key = true;
		return;
	}
	assert_non_null(strstr(e.detail, "hybrid"));
	v->has_other_key = true;
}

static void take_field(struct vector *v, const char *name, const char *value)
{
	size_t n;

	if (strcmp(name, "expect") == 0)
		(void)snprintf(v->expect, sizeof(v->expect), "%s", value);
	if (strcmp(name, "payload") == 0)
		assert_true(hex_decode(v->payload.b, 32, &n, value, strlen(value)));
	if (strcmp(name, "identity") == 0)
		take_identity(v, value);
	v->has_passphrase |= strcmp(name, "passphrase") == 0;
	v->armored |= strcmp(name, "armored") == 0;
	v->compressed |= strcmp(name, "compressed") == 0;
}

static struct bytes inflate(struct bytes in)
{
	struct inflate_state z;

	isal_inflate_init(&z);
	z.crc_flag = ISAL_ZLIB;
	z.next_in = (uint8_t *)(uintptr_t)in.data;
	z.avail_in = (uint32_t)in.len;
	z.next_out = inflated;
	z.avail_out = sizeof(inflated);
	assert_int_equal(isal_inflate(&z), ISAL_DECOMP_OK);
	assert_int_equal(z.block_state, ISAL_BLOCK_FINISH);
	return (struct bytes){ inflated, z.total_out };
}

/* Fields, an empty line, and the file. */
static void load(struct vector *v, const char *name)
{
	char path[256], *line = (char *)text, *end, *colon;
	size_t n;
	FILE *f;

	*v = (struct vector){ .file = { NULL, 0 } };
	digest_of((struct bytes){ text, 0 }, &v->payload);
	(void)snprintf(path, sizeof(path), FOLDER "%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	for (; *line != '\n'; line = end + 1) {
		end = memchr(line, '\n', n - (size_t)(line - (char *)text));
		assert_non_null(end);
		*end = '\0';
		colon = strstr(line, ": ");
		assert_non_null(colon);
		*colon = '\0';
		take_field(v, line, colon + 2);
	}
	v->file = (struct bytes){ (uint8_t *)line + 1, n - (size_t)(line + 1 - (char *)text) };
	if (v->compressed)
		v->file = inflate(v->file);
}

/* ---- judging the outcome ---- */

static bool expects(const struct vector *v, const char *what)
{
	return strcmp(v->expect, what) == 0;
}

static void same_payload(const struct vector *v, const struct outcome *o)
{
	struct digest d;

	digest_of(outcome_bytes(o), &d);
	assert_memory_equal(d.b, v->payload.b, sizeof(d.b));
}

/* A file that ends within its head is cut short; any other bad header is malformed. */
static void judge_header(const struct outcome *o)
{
	if (o->code == RESTANTE_TAMPERED)
		assert_non_null(strstr(o->error.detail, "before the payload begins"));
	else
		assert_int_equal(o->code, RESTANTE_INVALID);
	assert_int_equal(o->size, 0);
}

static void judge(const struct vector *v, const struct outcome *o)
{
	static const struct {
		const char *expect;
		enum restante_code code;
	} codes[] = { { "success", RESTANTE_OK },
		      { "no match", RESTANTE_KEY },
		      { "HMAC failure", RESTANTE_TAMPERED },
		      { "payload failure", RESTANTE_TAMPERED } };

	same_payload(v, o);
	if (expects(v, "header failure")) {
		judge_header(o);
		return;
	}
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (expects(v, codes[i].expect)) {
			assert_int_equal(o->code, codes[i].code);
			return;
		}
	fail_msg("the vector expects \"%s\", which nobody knows", v->expect);
}

static void says(const struct outcome *o, const char *word)
{
	if (strstr(o->error.detail, word) == NULL)
		fail_msg("\"%s\" does not speak of \"%s\"", o->error.detail, word);
}

static bool has_x25519(const struct vector *v)
{
	return memmem(v->file.data, v->file.len, "-> X25519 ", 10) != NULL;
}

/* What we do not have: never opens, gives nothing, and the sentence names it, unless the header is
 * malformed as well. */
static void judge_unsupported(const struct vector *v, const struct outcome *o)
{
	assert_int_equal(o->size, 0);
	if (v->armored) {
		assert_int_equal(o->code, RESTANTE_INVALID);
		says(o, "armor");
		return;
	}
	assert_true(o->code == RESTANTE_INVALID || o->code == RESTANTE_KEY);
	if (o->code == RESTANTE_KEY) /* "Scrypt", too, is but a type that nobody knows */
		says(o, has_x25519(v) ? "another key" : "hybrid");
	else if (v->has_passphrase && !expects(v, "header failure"))
		says(o, "passphrase");
}

static void keeps_the_vector(void **state)
{
	static const struct pieces ways[] = { { 0, 0 }, { 50, 1 }, { 3000, 2 }, { 131072, 3 } };
	struct vector v;
	struct outcome o;

	load(&v, *state);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		open_pieces(&o, v.key, v.file, ways[i]);
		if (v.armored || v.has_passphrase || (v.has_other_key && !v.has_key))
			judge_unsupported(&v, &o);
		else
			judge(&v, &o);
		free(o.data);
	}
}

/* ---- all of them ---- */

static void the_vectors_are_here(void **state)
{
	(void)state;
	skip();
}

static int is_vector(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(void)
{
	static struct CMUnitTest tests[VECTORS_MAX];
	static const struct CMUnitTest none[] = { cmocka_unit_test(the_vectors_are_here) };
	struct dirent **names;
	int count = scandir(FOLDER, &names, is_vector, alphasort), failed;

	if (count <= 0)
		return cmocka_run_group_tests(none, NULL, NULL);
	for (int i = 0; i < count && i < VECTORS_MAX; i++)
		tests[i] = (struct CMUnitTest){ .name = names[i]->d_name,
						.test_func = keeps_the_vector,
						.initial_state = names[i]->d_name };
	failed = _cmocka_run_group_tests("age vectors", tests,
					 (size_t)(count < VECTORS_MAX ? count : VECTORS_MAX), NULL,
					 NULL);
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return failed;
}
