/* fuzz_sf - the input is a field that should be a boolean or an integer. */
#undef NDEBUG
#include <assert.h>
#include <inttypes.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/digest_header.h"
#include "wire/sf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED UINT64_MAX

/* RFC 9651 appendix C, as a second opinion: the whole grammar of what is taken here, except that a
 * display string may hold any escape. */
#define KEY "[a-z*][-a-z0-9_.*]*"
#define NUMBER "-?([0-9]{1,15}|[0-9]{1,12}\\.[0-9]{1,3})"
#define STRING "\"([] !#-[^-~]|\\\\[\"\\\\])*\""
#define TOKEN "[A-Za-z*][-A-Za-z0-9!#$%&'*+.^_`|~:/]*"
#define BYTES_ ":[A-Za-z0-9+/=]*:"
#define DISPLAY "%\"([ !#$&-~]|%[0-9a-f]{2})*\""
#define ITEM "(" NUMBER "|" STRING "|" TOKEN "|" BYTES_ "|\\?[01]|@-?[0-9]{1,15}|" DISPLAY ")"
#define PARAMETERS "(; *" KEY "(=" ITEM ")?)*"

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

/* What is taken has the grammar, and what has the grammar is taken. */
static void check_grammar(const char *text, bool is_boolean, bool is_integer)
{
	static struct pattern booleans = { .text = "^ *\\?[01]" PARAMETERS " *$" };
	static struct pattern integers = { .text = "^ *([0-9]{1,15}|-0{1,15})" PARAMETERS " *$" };
	bool display = strchr(text, '%') != NULL;
	bool boolean = fits(&booleans, text);
	bool integer = fits(&integers, text);

	assert(!is_boolean || boolean);
	assert(!is_integer || integer);
	assert(display || (is_boolean == boolean && is_integer == integer));
}

static void check_integer(const char *text, uint64_t v)
{
	char plain[32], *end;
	uint64_t again = UNTOUCHED;
	int n = snprintf(plain, sizeof(plain), "%" PRIu64 ";a ", v);

	assert(v <= UINT64_C(999999999999999));
	assert(strtoull(text + strspn(text, " -"), &end, 10) == v);
	assert(sf_unsigned(&again, plain, (size_t)n) && again == v);
}

static void check_boolean(const char *text, bool v)
{
	bool again = !v;

	assert(text[strspn(text, " ?")] == (v ? '1' : '0'));
	assert(sf_boolean(&again, v ? " ?1" : " ?0", 3) && again == v);
}

/* As the value of a dictionary's member it is well formed too. */
static void check_as_member(const char *text)
{
	size_t spaces = strspn(text, " ");
	char *field = malloc(strlen(text) + 3);
	struct digest unused;

	assert(field != NULL);
	sprintf(field, "a=%s", text + spaces);
	assert(digest_header_parse(&unused, field, strlen(field)) == DIGEST_HEADER_NONE);
	free(field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_boolean, is_integer, no = false, yes = true;
	uint64_t v = UNTOUCHED;
	char *text;

	is_integer = sf_unsigned(&v, (const char *)data, size);
	is_boolean = sf_boolean(&no, (const char *)data, size);
	assert(is_boolean == sf_boolean(&yes, (const char *)data, size));
	assert(!(is_boolean && is_integer) && (is_integer || v == UNTOUCHED));
	assert(is_boolean ? no == yes : (yes && !no));
	if (size > 256 || (size > 0 && memchr(data, '\0', size) != NULL)) {
		assert(size > 256 || !(is_boolean || is_integer));
		return 0;
	}
	text = strndup((const char *)data, size);
	assert(text != NULL);
	check_grammar(text, is_boolean, is_integer);
	if (is_integer)
		check_integer(text, v);
	if (is_boolean)
		check_boolean(text, yes);
	if (is_boolean || is_integer)
		check_as_member(text);
	free(text);
	return 0;
}
