/* Requests whose heads are wrong, odd or hostile. Where libmicrohttpd answers before our code has
 * seen the request (text/html), or just closes, the tables say so. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

/* What a smuggler would like to see answered: with 200 and "ok". */
#define SMUGGLED "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
#define PUT(fields, body) RAW("PUT /v1/media HTTP/1.1\r\nHost: t\r\n" fields "\r\n" body SMUGGLED)
#define CHUNKED(body) PUT("Transfer-Encoding: chunked\r\n", body)
#define GET(fields) RAW("GET /healthz HTTP/1.1\r\n" fields "\r\n" SMUGGLED)
#define GET_T(target) RAW("GET " target " HTTP/1.1\r\nHost: t\r\n\r\n")
#define RAW(text) (text), sizeof(text) - 1
#define HELLO "5\r\nhello\r\n0\r\n\r\n"

enum voice {
	OURS,   /* problem+json */
	THEIRS, /* libmicrohttpd's own words */
	NOBODY, /* closed without a word */
};

struct hostile {
	const char *name;
	const char *raw;
	size_t len;
	int status;
	enum voice voice;
};

static struct test_server server;

static int start(void **state)
{
	static const struct test_server_options options = {
		.config = "upload { min_free = 0; max = 1mb; }\nstore { engine = memory; }\n"
	};

	(void)state;
	server_start(&server, &options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

/* All that comes until the server closes; NULL if it does not within 8 s. The caller's to free. */
static char *all_of(struct client *c)
{
	size_t n = 0, cap = 1 << 18;
	char *text = malloc(cap);
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t k = 1;

	assert_non_null(text);
	while (n < cap - 1 && k > 0 && poll(&p, 1, 8000) > 0) {
		k = recv(c->fd, text + n, cap - 1 - n, 0);
		n += k > 0 ? (size_t)k : 0;
	}
	text[n] = '\0';
	if (k <= 0)
		return text;
	free(text);
	return NULL;
}

static int status_of(const char *text)
{
	return strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
}

static bool all_refusals(const char *text)
{
	for (const char *p = text; (p = strstr(p, "HTTP/1.1 ")) != NULL; p += 9)
		if (atoi(p + 9) < 400)
			return false;
	return true;
}

static void a_good_request_is_answered(void)
{
	struct answer a;

	http_get(server.port, "/healthz", "", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
}

/* Refused, closed, and what stood behind it never taken for a request. */
static void refused(const struct hostile *h)
{
	struct client *c = client_open(server.port);
	char *text;

	(void)client_send(c, h->raw, h->len);
	text = all_of(c);
	if (text == NULL)
		fail_msg("%s: the connection stays open", h->name);
	if (status_of(text) != h->status || !all_refusals(text))
		fail_msg("%s: expected %d, came: %s", h->name, h->status, text);
	if ((strstr(text, "application/problem+json") != NULL) != (h->voice == OURS))
		fail_msg("%s: worded by someone else: %s", h->name, text);
	if (h->voice != NOBODY && strstr(text, "Connection: close") == NULL)
		fail_msg("%s: does not say that it closes: %s", h->name, text);
	free(text);
	client_close(c);
	a_good_request_is_answered();
}

#define REFUSED(table)                                                           \
	do {                                                                     \
		for (size_t i_ = 0; i_ < sizeof(table) / sizeof(table[0]); i_++) \
			refused(&table[i_]);                                     \
	} while (0)

/* ---- framing ---- */

static void a_request_framed_in_two_ways_is_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "CL and TE",
		  PUT("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
		  OURS },
		{ "TE and CL",
		  PUT("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400,
		  OURS },
		{ "two equal CL", PUT("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400,
		  OURS },
		{ "two CL", PUT("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400, OURS },
		{ "TE twice",
		  PUT("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HELLO), 400,
		  OURS },
		{ "chunked in HTTP/1.0",
		  RAW("PUT /v1/media HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n" HELLO SMUGGLED),
		  400, OURS },
	};

	(void)state;
	REFUSED(cases);
}

static void a_length_that_is_no_plain_number_is_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "plus", PUT("Content-Length: +5\r\n", "hello"), 400, THEIRS },
		{ "minus", PUT("Content-Length: -5\r\n", "hello"), 400, THEIRS },
		{ "space inside", PUT("Content-Length: 5 5\r\n", "hello"), 400, THEIRS },
		{ "space behind", PUT("Content-Length: 5 \r\n", "hello"), 400, THEIRS },
		{ "hex", PUT("Content-Length: 0x5\r\n", "hello"), 400, THEIRS },
		{ "list", PUT("Content-Length: 5, 5\r\n", "hello"), 400, THEIRS },
		{ "empty", PUT("Content-Length:\r\n", "hello"), 400, THEIRS },
		{ "2^64", PUT("Content-Length: 18446744073709551616\r\n", "hello"), 413, THEIRS },
		{ "2^64-1", PUT("Content-Length: 18446744073709551615\r\n", "hello"), 400, OURS },
		{ "2^63", PUT("Content-Length: 9223372036854775808\r\n", "hello"), 400, OURS },
		{ "19 digits", PUT("Content-Length: 0000000000000000005\r\n", "hello"), 400, OURS },
		{ "vertical tab", PUT("Content-Length:\v5\r\n", "hello"), 400, THEIRS },
		{ "space before the colon", PUT("Content-Length : 5\r\n", "hello"), 400, OURS },
	};

	(void)state;
	REFUSED(cases);
}

static void a_transfer_encoding_other_than_chunked_is_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "gzip", PUT("Transfer-Encoding: gzip, chunked\r\n", HELLO), 501, OURS },
		{ "identity", PUT("Transfer-Encoding: identity\r\n", HELLO), 501, OURS },
		{ "space behind", PUT("Transfer-Encoding: chunked \r\n", HELLO), 501, OURS },
		{ "letter before", PUT("Transfer-Encoding: xchunked\r\n", HELLO), 501, OURS },
		{ "list", PUT("Transfer-Encoding: chunked, identity\r\n", HELLO), 501, OURS },
		{ "quoted", PUT("Transfer-Encoding: \"chunked\"\r\n", HELLO), 501, OURS },
		{ "parameter", PUT("Transfer-Encoding: chunked;q=1\r\n", HELLO), 501, OURS },
		{ "empty", PUT("Transfer-Encoding:\r\n", HELLO), 501, OURS },
		{ "NUL", PUT("Transfer-Encoding: x\0chunked\r\n", HELLO), 501, OURS },
		{ "space before the colon", PUT("Transfer-Encoding : chunked\r\n", HELLO), 400,
		  OURS },
	};

	(void)state;
	REFUSED(cases);
}

static void a_bad_chunk_ends_the_connection(void **state)
{
	static const struct hostile cases[] = {
		{ "0x5", CHUNKED("0x5\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "space before", CHUNKED(" 5\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "space behind", CHUNKED("5 \r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "minus", CHUNKED("-1\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "plus", CHUNKED("+5\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "17 digits", CHUNKED("10000000000000000\r\nhello\r\n0\r\n\r\n"), 413, THEIRS },
		{ "no CRLF", CHUNKED("5\r\nhello0\r\n\r\n"), 400, THEIRS },
		{ "size too small", CHUNKED("3\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "size too large", CHUNKED("8\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "no size", CHUNKED("\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
		{ "no digit", CHUNKED("zz\r\nhello\r\n0\r\n\r\n"), 400, THEIRS },
	};

	(void)state;
	REFUSED(cases);
	/* nothing half-arrived was kept */
	assert_int_equal(server_metric(&server, "restante_uploads_finished_total"), 0);
}

/* libmicrohttpd glues folded text to the field's name, so that the framing would go unseen. */
static void a_folded_framing_field_is_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "TE", PUT("Transfer-Encoding:\r\n chunked\r\n", HELLO), 400, OURS },
		{ "TE after text", PUT("Transfer-Encoding: x\r\n chunked\r\n", HELLO), 400, OURS },
		{ "CL", PUT("Content-Length:\r\n 5\r\n", "hello"), 400, OURS },
		{ "CL by tab", PUT("Content-Length:\r\n\t34\r\n", ""), 400, OURS },
		{ "CL goes on", PUT("Content-Length: 5\r\n 5\r\n", "hello"), 400, OURS },
		{ "CL in a fold", PUT("X-A: a\r\n Content-Length: 5\r\n", "hello"), 400, OURS },
		{ "before any field", GET(" x\r\nHost: t\r\n"), 400, THEIRS },
		{ "Host", GET("Host:\r\n t\r\n"), 400, THEIRS },
	};

	(void)state;
	REFUSED(cases);
}

/* ---- fields ---- */

static void control_characters_in_fields_are_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "CR in a value", GET("Host: t\r\nX-A: a\rb\r\n"), 400, OURS },
		{ "CR hides a field", PUT("X-A: a\rContent-Length: 5\r\n", "hello"), 400, OURS },
		{ "LF in a value", GET("Host: t\r\nX-A: a\nb\r\n"), 400, THEIRS },
		{ "0x01 in a value", GET("Host: t\r\nX-A: a\1b\r\n"), 400, OURS },
		{ "DEL in a value", GET("Host: t\r\nX-A: a\177b\r\n"), 400, OURS },
		{ "NUL in a name", GET("Host: t\r\nX-\0A: ab\r\n"), 400, THEIRS },
		{ "CR in a name", GET("Host: t\r\nX-\rA: ab\r\n"), 400, OURS },
		{ "LF in a name", GET("Host: t\r\nX-\nA: ab\r\n"), 400, THEIRS },
		{ "a space in a name", GET("Host: t\r\nX A: ab\r\n"), 400, OURS },
		{ "8 bit in a name", GET("Host: t\r\nX-\200A: ab\r\n"), 400, OURS },
		{ "no colon", GET("Host: t\r\nhello\r\n"), 400, THEIRS },
	};

	(void)state;
	REFUSED(cases);
}

static void there_must_be_one_host(void **state)
{
	static const struct hostile cases[] = {
		{ "none", GET(""), 400, THEIRS },
		{ "two", GET("Host: t\r\nHost: t\r\n"), 400, OURS },
		{ "two different", GET("Host: t\r\nHost: u\r\n"), 400, OURS },
		{ "two in HTTP/1.0",
		  RAW("GET /healthz HTTP/1.0\r\nHost: t\r\nHost: t\r\n\r\n" SMUGGLED), 400, OURS },
	};

	(void)state;
	REFUSED(cases);
}

static void other_versions_are_refused(void **state)
{
	static const struct hostile cases[] = {
		{ "1.9", RAW("GET /healthz HTTP/1.9\r\nHost: t\r\n\r\n" SMUGGLED), 505, OURS },
		{ "HTTP/2 preface", RAW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, THEIRS },
		{ "0.9", RAW("GET /healthz\r\n\r\n" SMUGGLED), 400, THEIRS },
		{ "lower case", RAW("GET /healthz http/1.1\r\nHost: t\r\n\r\n" SMUGGLED), 400,
		  THEIRS },
		{ "1.10", RAW("GET /healthz HTTP/1.10\r\nHost: t\r\n\r\n" SMUGGLED), 400, THEIRS },
		{ "space behind", RAW("GET /healthz HTTP/1.1 \r\nHost: t\r\n\r\n" SMUGGLED), 400,
		  THEIRS },
		{ "space in the URI", RAW("GET /heal thz HTTP/1.1\r\nHost: t\r\n\r\n" SMUGGLED), 0,
		  NOBODY },
		{ "space before", RAW(" GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n" SMUGGLED), 0,
		  NOBODY },
	};

	(void)state;
	REFUSED(cases);
}

/* ---- what is let pass, because libmicrohttpd shows no more of it ---- */

struct taken {
	const char *name;
	const char *raw;
	size_t len;
	int first, second; /* two requests, two answers, and no third */
};

static void answered(const struct taken *t)
{
	struct client *c = client_open(server.port);
	struct answer a;

	assert_true(client_send(c, t->raw, t->len));
	client_answer(c, false, &a, NULL);
	if (a.status != t->first)
		fail_msg("%s: %d instead of %d", t->name, a.status, t->first);
	answer_free(&a);
	client_answer(c, false, &a, NULL);
	if (a.status != t->second)
		fail_msg("%s: then %d instead of %d", t->name, a.status, t->second);
	answer_free(&a);
	assert_int_equal(client_peek(c, 20), 0);
	client_close(c);
}

static void what_is_merely_odd_keeps_its_framing(void **state)
{
	static const struct taken cases[] = {
		{ "leading zeros", PUT("Content-Length: 005\r\n", "hello"), 201, 200 },
		{ "tab before the length", PUT("Content-Length:\t5\r\n", "hello"), 201, 200 },
		{ "upper case", PUT("Transfer-Encoding: CHUNKED\r\n", HELLO), 201, 200 },
		{ "chunk extension", CHUNKED("5;a=b\r\nhello\r\n0\r\n\r\n"), 201, 200 },
		{ "17 digits of zeros", CHUNKED("00000000000000005\r\nhello\r\n0\r\n\r\n"), 201,
		  200 },
		{ "framing fields in the trailer",
		  CHUNKED("5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n"),
		  201, 200 },
		{ "empty line first", RAW("\r\n" SMUGGLED SMUGGLED), 200, 200 },
		{ "8 bit in a value", GET("Host: t\r\nX-A: \200\r\n"), 200, 200 },
		{ "empty Host", GET("Host:\r\n"), 200, 200 },
		/* RFC 9112 section 2.2 allows LF for CRLF */
		{ "bare LF", RAW("GET /healthz HTTP/1.1\nHost: t\n\n" SMUGGLED), 200, 200 },
		{ "bare LF in chunks", CHUNKED("5\nhello\n0\n\n"), 201, 200 },
		/* The library's, and behind a proxy only of use where that lets the same pass: */
		{ "chunk extension that ends with LF", CHUNKED("5;a\nhello\r\n0\r\n\r\n"), 201,
		  200 },
		{ "folded field of no meaning", GET("Host: t\r\nX-A: a\r\n b\r\n"), 200, 200 },
		{ "value cut at a NUL", GET("Host: t\r\nX-A: a\0b\r\n"), 200, 200 },
		{ "target cut at a NUL", RAW("GET /health\0z HTTP/1.1\r\nHost: t\r\n\r\n" SMUGGLED),
		  404, 200 },
		/* a line without a name is taken for the end of the head */
		{ "field without a name", GET("Host: t\r\n: x\r\n"), 200, 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		answered(&cases[i]);
}

/* ---- targets ---- */

static void gets(const char *name, const char *raw, size_t len, int status)
{
	struct client *c = client_open(server.port);
	struct answer a;
	char type[64];

	assert_true(client_send(c, raw, len));
	client_answer(c, false, &a, NULL);
	if (a.status != status)
		fail_msg("%s: %d instead of %d", name, a.status, status);
	if (status >= 400) {
		assert_true(answer_field(&a, "Content-Type", type, sizeof(type)));
		assert_string_equal(type, "application/problem+json");
	}
	answer_free(&a);
	/* a well-framed request costs nobody the connection */
	client_sendf(c, "%s", SMUGGLED);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	client_close(c);
}

static void the_absolute_form_is_understood(void **state)
{
	(void)state;
	gets("http", GET_T("http://t/healthz"), 200);
	gets("https", GET_T("HTTPS://x.example:8443/healthz?x"), 200);
	gets("no path", GET_T("http://t"), 404);
	gets("other scheme", GET_T("ftp://t/healthz"), 404);
}

static void odd_paths_are_other_paths(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
	} odd[] = {
		{ GET_T("//healthz") },
		{ GET_T("/./healthz") },
		{ GET_T("/x/../healthz") },
		{ GET_T("/%68ealthz") },
		{ GET_T("/%2e/healthz") },
		{ GET_T("/healthz%00") },
		{ GET_T("/%2Fhealthz") },
		{ GET_T("/healthz/") },
		{ GET_T("/healthz;x") },
		{ GET_T("/healthz#f") },
		{ GET_T("healthz") },
		{ GET_T("*") },
		{ GET_T("/v1/media/") },
		{ GET_T("/v1//media") },
		{ GET_T("/v1/media/%2e%2e/healthz") },
		{ GET_T("/v1/media/..%2f..%2fetc%2fpasswd") },
		{ GET_T("/v1/media/%00") },
		{ GET_T("/healthz\tx") },
		{ GET_T("/\377\376") },
		{ GET_T("/metrics") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		gets(odd[i].raw, odd[i].raw, odd[i].len, 404);
	gets("a query is no path", GET_T("/healthz?x=%00"), 200);
}

/* ---- size ---- */

static char *repeated(const char *before, char c, size_t n, const char *after)
{
	char *text = malloc(strlen(before) + n + strlen(after) + 1);

	assert_non_null(text);
	strcpy(text, before);
	memset(text + strlen(before), c, n);
	strcpy(text + strlen(before) + n, after);
	return text;
}

/* Far too much: we may be closed upon, and the answer lost, before all of it was sent. */
static void refused_or_closed(const char *raw, int status)
{
	struct client *c = client_open(server.port);
	char *text;

	(void)client_send(c, raw, strlen(raw));
	text = all_of(c);
	assert_non_null(text);
	assert_true(all_refusals(text));
	assert_true(status_of(text) == status || text[0] == '\0');
	free(text);
	client_close(c);
	a_good_request_is_answered();
}

static void a_long_target_is_refused(void **state)
{
	const char end[] = " HTTP/1.1\r\nHost: t\r\n\r\n" SMUGGLED;
	char *raw = repeated("GET /", 'a', 9000, end);
	struct hostile ours = { "9000", raw, strlen(raw), 431, OURS };

	(void)state;
	refused(&ours);
	free(raw);
	raw = repeated("GET /", 'a', 30000, end); /* more than the library has room for */
	refused_or_closed(raw, 414);
	free(raw);
	raw = repeated("GET /", 'a', 300000, end);
	refused_or_closed(raw, 414);
	free(raw);
	raw = repeated("GET /", 'a', 7000, " HTTP/1.1\r\nHost: t\r\n\r\n");
	gets("7000", raw, strlen(raw), 404);
	free(raw);
}

static void a_long_head_is_refused(void **state)
{
	static const char *const begins[] = {
		"GET /healthz HTTP/1.1\r\nHost: t\r\nX-A: ",
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 34\r\nX-A: ",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *raw = repeated(begins[i], 'a', 9000, "\r\n\r\n" SMUGGLED);
		struct hostile ours = { "9000", raw, strlen(raw), 431, OURS };

		refused(&ours);
		free(raw);
		raw = repeated(begins[i], 'a', 100000, "\r\n\r\n" SMUGGLED);
		refused_or_closed(raw, 431);
		free(raw);
	}
}

static char *many_fields(unsigned count, const char *value)
{
	char *raw = malloc((size_t)count * (strlen(value) + 24) + 200);
	char *p = raw;

	assert_non_null(raw);
	p += sprintf(p, "GET /healthz HTTP/1.1\r\nHost: t\r\n");
	for (unsigned i = 1; i < count; i++)
		p += sprintf(p, "X-%u: %s\r\n", i, value);
	(void)sprintf(p, "\r\n");
	return raw;
}

static void many_fields_are_refused(void **state)
{
	char *raw = many_fields(101, "a");
	struct hostile ours = { "101", raw, strlen(raw), 431, OURS };

	(void)state;
	refused(&ours);
	free(raw);
	raw = many_fields(100, "a");
	gets("100", raw, strlen(raw), 200);
	free(raw);
	raw = many_fields(3000, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
	refused_or_closed(raw, 431);
	free(raw);
}

/* ---- methods ---- */

static void an_unknown_method_is_501(void **state)
{
	static const char *const names[] = {
		"BREW", "TRACE", "CONNECT", "get", "G{}T", "PROPFIND"
	};
	char raw[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(raw, sizeof(raw), "%s /healthz HTTP/1.1\r\nHost: t\r\n\r\n",
			       names[i]);
		gets(names[i], raw, strlen(raw), 501);
	}
	gets("authority-form", RAW("CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n"), 501);
}

static void a_wrong_method_is_405_with_what_is_allowed(void **state)
{
	static const struct {
		const char *method, *target, *allow;
	} cases[] = {
		{ "PATCH", "/v1/media", "GET, HEAD, PUT, POST, OPTIONS" },
		{ "DELETE", "/v1/media?x", "GET, HEAD, PUT, POST, OPTIONS" },
		{ "PUT", "/v1/media/x", "GET, HEAD, DELETE, OPTIONS" },
		{ "POST", "/v1/media/x", "GET, HEAD, DELETE, OPTIONS" },
		{ "PUT", "/v1/uploads/x", "GET, HEAD, PATCH, DELETE, OPTIONS" },
		{ "PATCH", "/v1/uploads", "PUT, POST, OPTIONS" },
		{ "DELETE", "/healthz", "GET, HEAD, OPTIONS" },
		{ "PUT", "/readyz", "GET, HEAD, OPTIONS" },
		{ "POST", "http://t/readyz", "GET, HEAD, OPTIONS" },
	};
	struct answer a;
	char field[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		http_request(server.port, cases[i].method, cases[i].target, "", NULL, 0, &a);
		assert_int_equal(a.status, 405);
		assert_true(answer_field(&a, "Allow", field, sizeof(field)));
		assert_string_equal(field, cases[i].allow);
		assert_true(answer_field(&a, "Content-Type", field, sizeof(field)));
		assert_string_equal(field, "application/problem+json");
		answer_free(&a);
	}
}

/* ---- expectations ---- */

static void an_unknown_expectation_is_417(void **state)
{
	static const struct hostile chunked = {
		"chunked", PUT("Expect: tea\r\nTransfer-Encoding: chunked\r\n", HELLO), 417, OURS
	};
	static const struct taken length = { "length",
					     PUT("Expect: tea\r\nContent-Length: 5\r\n", "hello"),
					     417, 200 };

	(void)state;
	refused(&chunked);
	answered(&length);
	gets("GET", RAW("GET /healthz HTTP/1.1\r\nHost: t\r\nExpect: tea\r\n\r\n"), 417);
}

static void a_client_that_asks_first_hears_100_and_then_201(void **state)
{
	struct client *c = client_open(server.port);
	struct answer a;
	int interim;
	char head[64] = { 0 };

	(void)state;
	client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
			"Expect: 100-continue\r\n\r\n");
	assert_true(client_peek(c, 5000) > 0);
	assert_true(recv(c->fd, head, sizeof(head) - 1, MSG_PEEK) > 0);
	assert_memory_equal(head, "HTTP/1.1 100 ", 13);
	client_sendf(c, "hello");
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 1);
	assert_int_equal(a.status, 201);
	answer_free(&a);
	client_close(c);
}

static void a_client_that_asks_first_is_refused_without_100(void **state)
{
	static const struct {
		const char *target, *length;
		int status;
	} cases[] = {
		{ "/v1/media", "1048577", 413 },
		{ "/v1/media?ttl=x", "5", 400 },
		{ "/v1/media/x", "5", 405 },
		{ "/nowhere", "5", 404 },
	};
	struct answer a;
	int interim;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client *c = client_open(server.port);

		client_sendf(c,
			     "PUT %s HTTP/1.1\r\nHost: t\r\nContent-Length: %s\r\n"
			     "Expect: 100-continue\r\n\r\n",
			     cases[i].target, cases[i].length);
		client_answer(c, false, &a, &interim);
		assert_int_equal(a.status, cases[i].status);
		assert_int_equal(interim, 0);
		/* else the body might be sent after all, and be taken for a request */
		assert_true(client_closed_within(c, 5000));
		answer_free(&a);
		client_close(c);
	}
}

/* ---- bodies where none belongs, and good company ---- */

static void a_body_where_none_belongs_is_not_taken_for_a_request(void **state)
{
	static const struct taken cases[] = {
		{ "GET", GET("Host: t\r\nContent-Length: 5\r\n\r\nhello"), 400, 200 },
		{ "404",
		  RAW("GET /v2/media/x HTTP/1.1\r\nHost: t\r\nContent-Length: "
		      "5\r\n\r\nhello" SMUGGLED),
		  404, 200 },
		{ "405",
		  RAW("PUT /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: "
		      "5\r\n\r\nhello" SMUGGLED),
		  405, 200 },
		{ "501",
		  RAW("BREW /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 34\r\n\r\n" SMUGGLED
			      SMUGGLED),
		  501, 200 },
	};

	(void)state;
	/* GET() ends the head once more: an empty line, passed over before the next request */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		answered(&cases[i]);
}

static void a_refused_chunked_body_ends_the_connection(void **state)
{
	struct client *c = client_open(server.port);
	char *text;

	(void)state;
	client_sendf(c,
		     "POST /nowhere HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n%s%s",
		     HELLO, SMUGGLED);
	text = all_of(c);
	assert_non_null(text);
	assert_int_equal(status_of(text), 404);
	assert_non_null(strstr(text, "Connection: close"));
	assert_null(strstr(text + 9, "HTTP/1.1"));
	free(text);
	client_close(c);
}

static void good_requests_may_be_pipelined(void **state)
{
	static const char one[] =
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
		"Transfer-Encoding: chunked\r\n\r\n" HELLO SMUGGLED
		"HEAD /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
		"GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n";
	static const int want[] = { 201, 201, 200, 200, 404 };
	struct client *c = client_open(server.port);
	struct answer a;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(client_send(c, one, sizeof(one) - 1));
	for (int i = 0; i < 100; i++) {
		client_answer(c, i % 5 == 3, &a, NULL);
		assert_int_equal(a.status, want[i % 5]);
		assert_true(a.whole);
		answer_free(&a);
	}
	client_close(c);
}

/* The body of an incomplete or foreign conversation harms nobody; the timeout is its end. */
static void noise_is_not_answered(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xaa\xaa\xaa";
	struct client *c = client_open(server.port);

	(void)state;
	assert_true(client_send(c, hello, sizeof(hello)));
	assert_int_equal(client_peek(c, 100), 0);
	a_good_request_is_answered();
	client_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_chunk_ends_the_connection),
		cmocka_unit_test(a_request_framed_in_two_ways_is_refused),
		cmocka_unit_test(a_length_that_is_no_plain_number_is_refused),
		cmocka_unit_test(a_transfer_encoding_other_than_chunked_is_refused),
		cmocka_unit_test(a_folded_framing_field_is_refused),
		cmocka_unit_test(control_characters_in_fields_are_refused),
		cmocka_unit_test(there_must_be_one_host),
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(what_is_merely_odd_keeps_its_framing),
		cmocka_unit_test(the_absolute_form_is_understood),
		cmocka_unit_test(odd_paths_are_other_paths),
		cmocka_unit_test(a_long_target_is_refused),
		cmocka_unit_test(a_long_head_is_refused),
		cmocka_unit_test(many_fields_are_refused),
		cmocka_unit_test(an_unknown_method_is_501),
		cmocka_unit_test(a_wrong_method_is_405_with_what_is_allowed),
		cmocka_unit_test(an_unknown_expectation_is_417),
		cmocka_unit_test(a_client_that_asks_first_hears_100_and_then_201),
		cmocka_unit_test(a_client_that_asks_first_is_refused_without_100),
		cmocka_unit_test(a_body_where_none_belongs_is_not_taken_for_a_request),
		cmocka_unit_test(a_refused_chunked_body_ends_the_connection),
		cmocka_unit_test(good_requests_may_be_pipelined),
		cmocka_unit_test(noise_is_not_answered),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
