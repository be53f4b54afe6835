/* fuzz_concat - the input is an Upload-Concat field. */
#undef NDEBUG
#include <assert.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/concat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX "/v1/uploads/"

static enum err_code parse(struct concat *out, const char *text, size_t n)
{
	enum err_code rc;

	out->count = SIZE_MAX;
	rc = concat_parse(out, PREFIX, text, n);
	assert(rc == ERR_OK || rc == ERR_INVALID || rc == ERR_TOOBIG);
	assert(rc == ERR_OK || out->count == SIZE_MAX);
	return rc;
}

/* Compiled once: a target runs for millions of inputs. */
struct pattern {
	const char *text;
	bool ready;
	regex_t re;
};

static bool fits(struct pattern *p, const char *text)
{
	if (!p->ready)
		assert(regcomp(&p->re, p->text, REG_EXTENDED | REG_NOSUB) == 0);
	p->ready = true;
	return regexec(&p->re, text, 0, NULL, 0) == 0;
}

/* A second opinion on one url. */
static bool is_url(const char *url)
{
	static struct pattern shape = {
		.text = "^([Hh][Tt][Tt][Pp][Ss]?://[]:@[%A-Za-z0-9._~!$&'()*+,;=-]+)?" PREFIX
			"[:@A-Za-z0-9._~!$&'()*+,;=-]+$",
	};
	static struct pattern dots = { .text = "/\\.{1,2}$" };

	return fits(&shape, url) && !fits(&dots, url);
}

/* The words behind "final;" are urls and the parts their ends: or it is no final. */
static void check_words(const char *text, enum err_code rc, const struct concat *c)
{
	char *copy = strdup(text + strlen("final;")), *rest = copy;
	size_t count = 0, good = 0;

	assert(copy != NULL);
	for (const char *word; (word = strsep(&rest, " ")) != NULL;) {
		const char *slash = strrchr(word, '/');

		if (word[0] == '\0')
			continue;
		good += is_url(word);
		if (rc == ERR_OK) {
			assert(slash != NULL && count < c->count);
			assert(c->parts[count].len == strlen(slash + 1));
			assert(memcmp(c->parts[count].text, slash + 1, c->parts[count].len) == 0);
		}
		count++;
	}
	assert((rc == ERR_OK) == (count > 0 && good == count && count <= CONCAT_PARTS_MAX));
	assert(rc != ERR_OK || c->count == count);
	assert(rc != ERR_TOOBIG || count > CONCAT_PARTS_MAX);
	free(copy);
}

/* Written down plainly, as paths or absolute, the same parts come back in the same order. */
static void check_again(const struct concat *c, size_t n, const char *before)
{
	char *text = malloc(16 + n + c->count * (strlen(before) + strlen(PREFIX) + 1));
	static struct concat again;
	size_t at;

	assert(text != NULL);
	at = (size_t)sprintf(text, "final;");
	for (size_t i = 0; i < c->count; i++)
		at += (size_t)sprintf(text + at, "%s%s" PREFIX "%.*s", i > 0 ? " " : "", before,
				      (int)c->parts[i].len, c->parts[i].text);
	assert(parse(&again, text, at) == ERR_OK);
	assert(again.kind == CONCAT_FINAL && again.count == c->count);
	for (size_t i = 0; i < c->count; i++) {
		assert(again.parts[i].len == c->parts[i].len);
		assert(memcmp(again.parts[i].text, c->parts[i].text, c->parts[i].len) == 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct concat c;
	enum err_code rc = parse(&c, (const char *)data, size);
	char *text;

	if (size > 0 && memchr(data, '\0', size) != NULL) {
		assert(rc == ERR_INVALID || rc == ERR_TOOBIG);
		return 0;
	}
	text = strndup((const char *)data, size);
	assert(text != NULL);
	if (strcmp(text, "partial") == 0)
		assert(rc == ERR_OK && c.kind == CONCAT_PARTIAL && c.count == 0);
	else if (strncmp(text, "final;", 6) != 0)
		assert(rc == ERR_INVALID);
	else
		check_words(text, rc, &c);
	free(text);
	if (rc != ERR_OK || c.kind != CONCAT_FINAL)
		return 0;
	check_again(&c, size, "");
	check_again(&c, size, "https://[::1]:8443");
	return 0;
}
