#include "client/retry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "base/clock.h"
#include "client/fail.h"
#include "client/printable.h"
#include "wire/shallow.h"

#define LONGEST_MS 30000U /* of the waits we choose */
#define PATIENCE_S 300U   /* with what the server asks for */
#define WORD_MAX 24

/* ---- what a status means ---- */

static enum restante_code code_of(int status)
{
	switch (status) {
	case 404:
	case 410:
		return RESTANTE_GONE;
	case 401:
	case 403:
		return RESTANTE_DENIED;
	case 413:
		return RESTANTE_TOOBIG;
	case 429:
	case 503:
	case 507:
		return RESTANTE_LIMIT;
	case 408:
	case 423:
	case 425:
	case 500:
	case 502:
	case 504:
		return RESTANTE_NETWORK;
	default:
		return status >= 200 && status < 300 ? RESTANTE_OK : RESTANTE_SERVER;
	}
}

/* A server's words, for a person's terminal: printable ASCII, and no word so long that it may be a
 * token or an address, nor the beginning of one. */
static void tame(char *out, size_t size, const char *text)
{
	size_t used = 0, word = 0;

	for (; *text != '\0' && used + 1 < size; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c != ' ' && ++word > WORD_MAX) {
			if (word == WORD_MAX + 1) {
				used -= WORD_MAX;
				used += (size_t)snprintf(out + used, size - used, "...");
			}
			continue;
		}
		if (c == ' ')
			word = 0;
		out[used++] = (char)c;
	}
	if (*text != '\0' && *text != ' ' && word <= WORD_MAX)
		used -= word;
	out[used] = '\0';
	printable(out);
}

static void tame_member(char *out, size_t size, const json_t *problem, const char *name)
{
	const char *text = json_string_value(json_object_get(problem, name));

	tame(out, size, text != NULL ? text : "");
}

/* RFC 9457; false if the answer is no problem, or one that says nothing. */
static bool tell_problem(const struct exchange *x, enum restante_code code,
			 struct restante_error *e)
{
	static const char type[] = "application/problem+json";
	const char *is = exchange_field(x, "Content-Type");
	const struct bytes text = exchange_text(x);
	char title[96], detail[120];
	json_t *problem;

	if (is == NULL || strncasecmp(is, type, strlen(type)) != 0 || text.len == 0)
		return false;
	problem = shallow_read(text);
	tame_member(title, sizeof(title), problem, "title");
	tame_member(detail, sizeof(detail), problem, "detail");
	json_decref(problem);
	if (title[0] == '\0' && detail[0] == '\0')
		return false;
	(void)fail(e, code, "%s%s%s", title, title[0] != '\0' && detail[0] != '\0' ? ": " : "",
		   detail);
	return true;
}

enum restante_code retry_judge(const struct exchange *x, struct restante_error *e)
{
	const int status = exchange_status(x);
	enum restante_code code;

	if (exchange_state(x) == EXCHANGE_RUNS)
		return fail_plain(e, RESTANTE_MISUSE);
	if (exchange_state(x) == EXCHANGE_FAILED)
		return fail(e, exchange_error(x)->code, "%s", exchange_error(x)->detail);
	code = code_of(status);
	if (code == RESTANTE_OK || tell_problem(x, code, e))
		return code;
	return fail(e, code, "%s (status %d)", restante_error_text(code), status);
}

/* ---- when to try again ---- */

void retry_progress(struct retry *r)
{
	r->tries = 0;
}

static bool worth_it(enum restante_code code)
{
	return code == RESTANTE_NETWORK || code == RESTANTE_LIMIT;
}

/* Between half of it and all of it, so that clients that failed together do not come back so. */
static unsigned backoff_ms(unsigned first_ms, unsigned tries)
{
	uint64_t whole = first_ms;

	for (unsigned i = 0; i < tries && whole < LONGEST_MS; i++)
		whole *= 2;
	if (whole > LONGEST_MS)
		whole = LONGEST_MS;
	return (unsigned)(whole - whole / 2) + randombytes_uniform((uint32_t)(whole / 2) + 1);
}

/* Retry-After as a date counts from the server's own clock, if it tells that. */
static uint64_t seconds_until(const struct exchange *x, int64_t then)
{
	const char *date = exchange_field(x, "Date");
	int64_t now;

	if (date == NULL || !clock_parse_http(date, strlen(date), &now))
		now = clock_now_s();
	return then > now ? (uint64_t)(then - now) : 0;
}

/* delay-seconds, RFC 9110 section 10.2.3: any number of digits; *out is UINT32_MAX at most. */
static bool read_delay(const char *field, uint64_t *out)
{
	uint64_t delay = 0;

	if (*field == '\0' || field[strspn(field, "0123456789")] != '\0')
		return false;
	for (; *field != '\0' && delay < UINT32_MAX; field++)
		delay = delay * 10 + (uint64_t)(*field - '0');
	*out = delay < UINT32_MAX ? delay : UINT32_MAX;
	return true;
}

/* RFC 9110 section 10.2.3; 0 if nothing is said. */
static uint64_t asked_s(const struct exchange *x)
{
	const char *field;
	uint64_t delay;
	int64_t date;

	if (x == NULL || exchange_state(x) != EXCHANGE_ANSWERED)
		return 0;
	field = exchange_field(x, "Retry-After");
	if (field == NULL)
		return 0;
	if (read_delay(field, &delay))
		return delay;
	return clock_parse_http(field, strlen(field), &date) ? seconds_until(x, date) : 0;
}

enum restante_code retry_again(struct retry *r, const struct restante_client *c,
			       const struct exchange *x, struct restante_error *why)
{
	const uint64_t asked = asked_s(x);
	unsigned wait_ms;

	if (!worth_it(why->code) || r->tries >= c->retries)
		return why->code;
	if (asked > PATIENCE_S)
		return fail(why, RESTANTE_LIMIT, "the server asks to come back in %llu minutes",
			    (unsigned long long)(asked / 60));
	wait_ms = backoff_ms(c->first_wait_ms, r->tries);
	/* all were told the same moment: the jitter comes on top */
	if (asked > 0)
		wait_ms = (unsigned)asked * 1000 + backoff_ms(c->first_wait_ms, 0);
	r->tries++;
	r->until_ms = clock_mono_ms() + wait_ms;
	return RESTANTE_OK;
}

int retry_wait_ms(const struct retry *r)
{
	const int64_t left = r->until_ms - clock_mono_ms();

	return left <= 0 ? 0 : (int)left;
}
