#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fixture_hear(void *ctx, const char *text)
{
	struct complaints *c = ctx;
	size_t n = strlen(c->text);

	c->count++;
	(void)snprintf(c->text + n, sizeof(c->text) - n, "%s\n", text);
}

int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/restante-settings-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

int fixture_drop(void **state)
{
	struct fixture *f = *state;
	char command[128];

	settings_free(&f->s);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

enum err_code fixture_parse(struct fixture *f, const char *text)
{
	settings_free(&f->s);
	memset(&f->said, 0, sizeof(f->said));
	return settings_parse(&f->s, text, strlen(text), fixture_hear, &f->said, &f->err);
}

void check_good(struct fixture *f, const char *text)
{
	if (fixture_parse(f, text) != ERR_OK)
		fail_msg("\"%s\" was refused: %s", text, f->said.text);
	assert_int_equal(f->said.count, 0);
}

void check_bad(struct fixture *f, const char *text, const char *words)
{
	if (fixture_parse(f, text) != ERR_INVALID)
		fail_msg("\"%s\" was taken", text);
	if (f->said.count != 1 || strstr(f->said.text, words) == NULL)
		fail_msg("\"%s\": \"%s\" expected, was: %s", text, words, f->said.text);
	if (strstr(f->err.why, words) == NULL && strlen(f->err.why) < sizeof(f->err.why) - 1)
		fail_msg("\"%s\": the failure says: %s", text, f->err.why);
}
