/* manage - tokens are not left behind: neither in memory that the library gives back, nor on the
 * stack. What libcurl keeps for itself is not looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include "tests/library/asking.h"
#include "wire/token.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void given_back_memory_holds_no_token(void **state)
{
	(void)state;
	skip(); /* the sanitizer has an allocator of its own */
}

static void the_stack_holds_no_token(void **state)
{
	(void)state;
	skip(); /* and a stack */
}
#else

#define STACK_SIZE ((size_t)512 << 10)
#define GRANT "this-is-the-grant-of-the-suite"

static char token[TOKEN_PLAIN_CHARS + 1];

/* Not the token, so that who looks for it does not find itself. */
static char mask[TOKEN_PLAIN_CHARS];

static bool has_token(const char *p, size_t n)
{
	const size_t len = TOKEN_PLAIN_CHARS;

	for (size_t at = 0, same; at + len <= n; at++) {
		for (same = 0; same < len && (p[at + same] ^ 0x55) == mask[same]; same++)
			continue;
		if (same == len)
			return true;
	}
	return false;
}

/* ---- what is given back ---- */

static struct {
	bool looking;
	int found;
} memory;

extern char __executable_start, etext; /* the linker's */
extern void __libc_free(void *p);

static bool is_ours(const void *caller)
{
	return (const char *)caller >= &__executable_start && (const char *)caller < &etext;
}

/* The C library's, for all of the program. Lists of fields are libcurl's to give back, and ours to
 * wipe. */
#pragma GCC visibility push(default)
void free(void *p)
{
	if (p != NULL && memory.looking) {
		const size_t n = malloc_usable_size(p);
		const char *text = p;

		if (is_ours(__builtin_return_address(0)))
			memory.found += has_token(text, n) || memmem(text, n, GRANT, strlen(GRANT));
		else
			memory.found += strncmp(text, "Authorization: ", 15) == 0;
	}
	__libc_free(p);
}
#pragma GCC visibility pop

static void mint(void)
{
	static const uint8_t key[TOKEN_KEYBYTES] = { 7 };
	const struct token t = { .type = TOKEN_MANAGE,
				 .upload = { { 1, 2, 3 } },
				 .not_after = UINT32_MAX };

	token_mint(token, &t, key);
	for (size_t i = 0; i < sizeof(mask); i++)
		mask[i] = (char)(token[i] ^ 0x55);
}

static void ask_with_grant(struct story *s)
{
	struct exchange_request rq = { .method = "POST", .body_size = BODY_NONE };
	struct exchange *x = NULL;
	char *url;

	assert_int_equal(restante_client_set_grant(s->c, GRANT, NULL), RESTANTE_OK);
	assert_int_equal(transport_url(s->c->transport, "/v1/x", &url, NULL), RESTANTE_OK);
	rq.url = url;
	rq.fields[0] = s->c->authorization;
	assert_int_equal(client_ask(s->c, &rq, &x, NULL), RESTANTE_OK);
	exchange_end(x);
	free(url);
}

static void given_back_memory_holds_no_token(void **state)
{
	char *probe = strdup(token);
	struct story s;

	(void)state;
	memory.looking = true;
	free(probe);
	assert_int_equal(memory.found, 1); /* it does look */
	memory.looking = false;
	memory.found = 0;
	tell(&s);
	will_answer(&s, 200, "Location: /v1/uploads/x\r\n", token);
	memory.looking = true;
	assert_int_equal(restante_delete(s.c, token, NULL), RESTANTE_OK);
	ask_with_grant(&s);
	restante_client_free(s.c);
	memory.looking = false;
	s.c = NULL;
	end(&s);
	assert_int_equal(memory.found, 0);
}

/* ---- the stack ---- */

/* Further down than what a thread needs to end, and writes over. */
static void *delete_it(void *arg)
{
	volatile char room[64 << 10];
	struct story *s = arg;

	room[0] = 0;
	assert_int_equal(restante_delete(s->c, token, NULL), RESTANTE_OK);
	return room[0] == 0 ? NULL : s;
}

static void the_stack_holds_no_token(void **state)
{
	char *stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	struct story s;

	(void)state;
	assert_true(stack != MAP_FAILED);
	tell(&s);
	will_answer(&s, 204, "", NULL);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attr, delete_it, &s), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(has_token(stack, STACK_SIZE));
	assert_int_equal(pthread_attr_destroy(&attr), 0);
	end(&s);
	(void)munmap(stack, STACK_SIZE);
}
#endif

static int setup(void **state)
{
	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	mint();
#endif
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(given_back_memory_holds_no_token),
		cmocka_unit_test(the_stack_holds_no_token),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
