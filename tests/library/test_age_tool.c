/* age_tool - what we seal opens with `age`, and what it seals opens with us. Skipped where age is
 * not installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "client/seal/bech32.h"
#include "tests/lib/client.h"
#include "tests/library/sealing.h"

#define PLAIN_MAX 1000000
#define RECIPIENT_SIZE (3 + 1 + BECH32_LEN(32) + 1)

static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, PLAIN_MAX };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t plain[PLAIN_MAX];
static uint8_t key[RESTANTE_KEY_SIZE];
static char recipient[RECIPIENT_SIZE];
static char dir[] = "/tmp/restante-age-XXXXXX";

static int run(const char *command)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "cd %s && %s 2>said", dir, command);
	return system(line);
}

static FILE *open_file(const char *name, const char *mode)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, mode);
	assert_non_null(f);
	return f;
}

static void write_file(const char *name, const void *data, size_t n)
{
	FILE *f = open_file(name, "wb");

	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static struct bytes read_file(const char *name)
{
	static uint8_t data[2 * PLAIN_MAX];
	FILE *f = open_file(name, "rb");
	size_t n = fread(data, 1, sizeof(data), f);

	assert_true(n < sizeof(data));
	fclose(f);
	return (struct bytes){ data, n };
}

static int setup(void **state)
{
	char text[RESTANTE_KEY_TEXT_SIZE];
	uint8_t public[32];

	(void)state;
	fill_random(plain, sizeof(plain), 4);
	if (mkdtemp(dir) == NULL || restante_key_new(key, NULL) != RESTANTE_OK)
		return 1;
	restante_key_format(text, key);
	write_file("key", text, strlen(text));
	crypto_scalarmult_base(public, key);
	bech32_encode(recipient, "age", (struct bytes){ public, sizeof(public) });
	return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, drop, 4, FTW_DEPTH | FTW_PHYS);
}

static void need_age(void)
{
	if (run("age --version >/dev/null") != 0)
		skip();
}

static void age_opens_what_we_seal(void **state)
{
	(void)state;
	need_age();
	for (size_t i = 0; i < SIZES; i++) {
		struct outcome sealed;
		struct bytes opened;

		seal_pieces(&sealed, key, (struct bytes){ plain, sizes[i] },
			    (struct pieces){ 20000, 2 });
		write_file("sealed", sealed.data, sealed.size);
		assert_int_equal(run("age -d -i key <sealed >opened"), 0);
		opened = read_file("opened");
		assert_int_equal(opened.len, sizes[i]);
		assert_memory_equal(opened.data, plain, sizes[i]);
		free(sealed.data);
	}
}

static void opens(size_t n)
{
	struct outcome o;

	open_pieces(&o, key, read_file("sealed"), (struct pieces){ 20000, 3 });
	assert_int_equal(o.code, RESTANTE_OK);
	assert_int_equal(o.size, n);
	assert_memory_equal(o.data, plain, n);
	free(o.data);
}

static void we_open_what_age_seals(void **state)
{
	char command[160];

	(void)state;
	need_age();
	(void)snprintf(command, sizeof(command), "age -r %s <plain >sealed", recipient);
	for (size_t i = 0; i < SIZES; i++) {
		write_file("plain", plain, sizes[i]);
		assert_int_equal(run(command), 0);
		opens(sizes[i]);
	}
}

static void we_open_what_age_seals_for_several(void **state)
{
	static const char somebody[] =
		"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
	char command[320];

	(void)state;
	need_age();
	(void)snprintf(command, sizeof(command), "age -r %s -r %s -r %s <plain >sealed", somebody,
		       recipient, somebody);
	write_file("plain", plain, 70000);
	assert_int_equal(run(command), 0);
	opens(70000);
}

static void age_refuses_what_we_seal_once_it_was_changed(void **state)
{
	struct outcome sealed;

	(void)state;
	need_age();
	seal_pieces(&sealed, key, (struct bytes){ plain, 1000 }, one_piece);
	sealed.data[sealed.size - 20] ^= 1;
	write_file("sealed", sealed.data, sealed.size);
	assert_int_not_equal(run("age -d -i key <sealed >opened"), 0);
	free(sealed.data);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(age_opens_what_we_seal),
		cmocka_unit_test(we_open_what_age_seals),
		cmocka_unit_test(we_open_what_age_seals_for_several),
		cmocka_unit_test(age_refuses_what_we_seal_once_it_was_changed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
