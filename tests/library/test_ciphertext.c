/* ciphertext - got as it is, and opened whoever has sealed it: what age makes too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/sealed.h"
#include "tests/lib/server.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB ((size_t)1 << 20)

static struct test_server server;

/* Puts it on the real server, and tells what fetches it. */
static void place(const struct sealed *c, struct fetching *f)
{
	char token[52];

	assert_int_equal(http_put(server.port, "", c->bytes, c->sealed_size, token), 201);
	fetching_open(f, server.url, sealed_envelope(c, token));
}

/* ---- ciphertext as it is ---- */

static bool taken_sealed(void *ctx, const void *data, size_t size)
{
	return taken_write(ctx, data, size);
}

/* The ciphertext as what is expected. */
static struct sealed as_plain(const struct sealed *c)
{
	return (struct sealed){ .plain = c->bytes, .size = c->sealed_size };
}

static void ciphertext_comes_as_it_is(void **state)
{
	struct sealed c, expected;
	struct taken t = { .of = &expected };
	struct restante_client *client = quick_client(server.url);
	struct restante_error e;
	char token[52];

	(void)state;
	sealed_make(&c, 500000, true, 16);
	expected = as_plain(&c);
	assert_int_equal(http_put(server.port, "", c.bytes, c.sealed_size, token), 201);
	assert_code(restante_fetch_sealed(client, token, c.sealed_size, taken_sealed, &t, &e),
		    RESTANTE_OK, &e);
	assert_true(taken_all(&t));
	t = (struct taken){ .of = &expected };
	assert_code(restante_fetch_sealed(client, token, c.sealed_size - 1, taken_sealed, &t, &e),
		    RESTANTE_TOOBIG, &e);
	assert_int_equal(t.calls, 0);
	assert_int_equal(restante_fetch_sealed(client, "a b", 1, taken_sealed, &t, &e),
			 RESTANTE_INVALID);
	assert_int_equal(restante_fetch_sealed(client, "a\r\nb: c", 1, taken_sealed, &t, &e),
			 RESTANTE_INVALID);
	restante_client_free(client);
	sealed_free(&c);
}

static void an_empty_blob_is_nothing_and_no_failure(void **state)
{
	struct restante_client *client = quick_client(server.url);
	struct restante_error e;
	struct sealed nothing = { 0 };
	struct taken t = { .of = &nothing };
	char token[52];

	(void)state;
	assert_int_equal(http_put(server.port, "", "", 0, token), 201);
	assert_code(restante_fetch_sealed(client, token, 10, taken_sealed, &t, &e), RESTANTE_OK,
		    &e);
	assert_int_equal(t.calls, 0);
	restante_client_free(client);
}

static void ciphertext_is_only_put_together_under_a_tag(void **state)
{
	struct sealed c, expected;
	struct taken t = { .of = &expected };
	struct restante_client *client;
	struct restante_error e;
	struct shelf s;

	(void)state;
	sealed_make(&c, 500000, true, 17);
	expected = as_plain(&c);
	shelf_open(&s, &c);
	s.cut = 100000;
	client = quick_client(fake_url(s.fake));
	assert_code(restante_fetch_sealed(client, SEALED_TOKEN, MB, taken_sealed, &t, &e),
		    RESTANTE_OK, &e);
	assert_true(taken_all(&t));
	s.etag[0] = '\0';
	t = (struct taken){ .of = &expected };
	assert_code(restante_fetch_sealed(client, SEALED_TOKEN, MB, taken_sealed, &t, &e),
		    RESTANTE_NETWORK, &e);
	assert_int_equal(t.n, 100000);
	assert_false(t.wrong);
	restante_client_free(client);
	shelf_close(&s);
	sealed_free(&c);
}

/* ---- age ---- */

static char *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	char *text;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	text = malloc((size_t)st.st_size + 1);
	assert_non_null(text);
	*n = fread(text, 1, (size_t)st.st_size, f);
	(void)fclose(f);
	return text;
}

/* Seals with the age tool, for somebody else and for us: the header is longer than those we make.
 */
static void seal_with_age(struct sealed *c, const char *dir, size_t size)
{
	char path[128], text[RESTANTE_KEY_TEXT_SIZE], command[1024];
	uint8_t key[RESTANTE_KEY_SIZE], *plain = malloc(size + 1);
	struct restante_error e;
	char *bytes;
	FILE *f;
	size_t n;

	assert_non_null(plain);
	fill_random(plain, size, size + 1);
	assert_code(restante_key_new(key, &e), RESTANTE_OK, &e);
	restante_key_format(text, key);
	(void)snprintf(path, sizeof(path), "%s/identity", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fprintf(f, "%s\n", text);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/plain", dir);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(plain, 1, size, f), size);
	(void)fclose(f);
	(void)snprintf(command, sizeof(command),
		       "cd %s && rm -f other sealed && age-keygen -o other 2>/dev/null && "
		       "age -r $(age-keygen -y other) -r $(age-keygen -y identity) -o sealed plain",
		       dir);
	assert_int_equal(system(command), 0);
	(void)snprintf(path, sizeof(path), "%s/sealed", dir);
	bytes = slurp(path, &n);
	sealed_take(c, plain, size, bytes, n, key);
	free(bytes);
	free(plain);
}

static void remove_all(const char *dir)
{
	static const char *const names[] = { "identity", "other", "plain", "sealed", "got" };
	char path[128];

	for (size_t i = 0; i < COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void what_age_has_sealed_comes_and_opens(void **state)
{
	static const size_t sizes[] = { 0, 1, 65536, 200000 };
	char dir[] = "/tmp/restante-test-XXXXXX";

	(void)state;
	if (system("age --version >/dev/null 2>&1") != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct fetching f;
		struct sealed c;
		struct taken t = { .of = &c };
		uint8_t end[10];
		size_t got;

		seal_with_age(&c, dir, sizes[i]);
		assert_true(c.sealed_size > restante_sealed_size(c.size));
		place(&c, &f);
		assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
		assert_true(taken_all(&t));
		fetching_close(&f);
		if (c.size > 10) { /* and from the middle, the head not being known yet */
			place(&c, &f);
			assert_code(restante_fetch_at(f.fetch, c.size - 10, end, 10, &got, &f.e),
				    RESTANTE_OK, &f.e);
			assert_int_equal(got, 10);
			assert_memory_equal(end, c.plain + c.size - 10, 10);
			fetching_close(&f);
		}
		sealed_free(&c);
	}
	remove_all(dir);
}

static int start(void **state)
{
	(void)state;
	server_start(&server, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ciphertext_comes_as_it_is),
		cmocka_unit_test(an_empty_blob_is_nothing_and_no_failure),
		cmocka_unit_test(ciphertext_is_only_put_together_under_a_tag),
		cmocka_unit_test(what_age_has_sealed_comes_and_opens),
	};

	return cmocka_run_group_tests_name("ciphertext", tests, start, stop);
}
