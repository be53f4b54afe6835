/* settings_fixture - what the suites of settings share: settings read from a text, and what was
 * complained of. */
#ifndef RESTANTE_TESTS_UNIT_SETTINGS_FIXTURE_H
#define RESTANTE_TESTS_UNIT_SETTINGS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "server/settings.h"

/* Public keys of grants, of seeds that are all 1 and all 2. */
#define KEY_1 "k4.public.iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w"
#define KEY_2 "k4.public.gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q"

/* What was complained of, a line each. */
struct complaints {
	size_t count;
	char text[8192];
};

struct fixture {
	char dir[64]; /* empty to begin with, removed in the end */
	struct settings s;
	struct complaints said;
	struct err err;
};

/* Setup and teardown of a test. */
int fixture_make(void **state);
int fixture_drop(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_drop)

/* Takes down a complaint; ctx is a struct complaints. */
void fixture_hear(void *ctx, const char *text);

/* Reads f->s from a text, anew; f->said is what was complained of. */
enum err_code fixture_parse(struct fixture *f, const char *text);

/* The text is taken without complaint. */
void check_good(struct fixture *f, const char *text);

/* The text is refused with one complaint, in which all of `words` is found. */
void check_bad(struct fixture *f, const char *text, const char *words);

#endif
