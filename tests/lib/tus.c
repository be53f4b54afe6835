#include "tests/lib/tus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"

#define FIELDS_SIZE 9000 /* more than the server takes */

void tus_request(const struct test_server *s, const char *method, const char *target,
		 const char *fields, const void *body, size_t n, struct answer *a)
{
	char all[FIELDS_SIZE];

	(void)snprintf(all, sizeof(all), "%s%s", TUS, fields);
	http_request(s->port, method, target, all, body, n, a);
}

void tus_learn(const struct test_server *s, const struct answer *a, struct tus_upload *u)
{
	char offset[32];

	*u = (struct tus_upload){ .server = s, .offset = -1 };
	if (a->status != 201)
		return;
	(void)answer_field(a, "Location", u->path, sizeof(u->path));
	(void)answer_field(a, "Media-Token", u->token, sizeof(u->token));
	(void)answer_field(a, "Media-Manage-Token", u->manage, sizeof(u->manage));
	if (answer_field(a, "Upload-Offset", offset, sizeof(offset)))
		u->offset = strtoll(offset, NULL, 10);
}

int tus_post(const struct test_server *s, const char *query, uint64_t length, const char *fields,
	     const void *body, size_t n, struct tus_upload *u)
{
	char target[600], all[FIELDS_SIZE], said[64] = "";
	struct answer a;
	int status;

	if (length == TUS_DEFERRED)
		(void)snprintf(said, sizeof(said), "Upload-Defer-Length: 1\r\n");
	else if (length != TUS_UNSAID)
		(void)snprintf(said, sizeof(said), "Upload-Length: %" PRIu64 "\r\n", length);
	(void)snprintf(target, sizeof(target), "/v1/uploads%s", query);
	(void)snprintf(all, sizeof(all), "%s%s%s", body != NULL ? TUS_BYTES : TUS, said, fields);
	http_request(s->port, "POST", target, all, body, n, &a);
	status = a.status;
	if (u != NULL)
		tus_learn(s, &a, u);
	answer_free(&a);
	return status;
}

int tus_create(const struct test_server *s, uint64_t length, const char *fields,
	       struct tus_upload *u)
{
	return tus_post(s, "", length, fields, NULL, 0, u);
}

int tus_place(const struct test_server *s, const char *fields, const void *p, size_t n,
	      struct tus_upload *u)
{
	const int status = tus_create(s, n, fields, u);

	return status == 201 ? tus_patch(u, 0, p, n) : status;
}

void tus_ask(const struct tus_upload *u, const char *method, const char *fields, const void *body,
	     size_t n, struct answer *a)
{
	tus_request(u->server, method, u->path, fields, body, n, a);
}

void tus_head(const struct tus_upload *u, struct answer *a)
{
	tus_ask(u, "HEAD", "", NULL, 0, a);
}

int tus_delete(const struct tus_upload *u)
{
	struct answer a;
	int status;

	tus_ask(u, "DELETE", "", NULL, 0, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

void tus_patch_answer(const struct tus_upload *u, uint64_t offset, const char *fields,
		      const void *p, size_t n, struct answer *a)
{
	char all[FIELDS_SIZE];

	(void)snprintf(all, sizeof(all), "%sUpload-Offset: %" PRIu64 "\r\n%s", TUS_BYTES, offset,
		       fields);
	http_request(u->server->port, "PATCH", u->path, all, p == NULL ? "" : p, n, a);
}

int tus_patch(const struct tus_upload *u, uint64_t offset, const void *p, size_t n)
{
	struct answer a;
	int status;

	tus_patch_answer(u, offset, "", p, n, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

int tus_patch_chunked(const struct tus_upload *u, uint64_t offset, const uint8_t *p, size_t n,
		      size_t step)
{
	struct client *c = tus_begin(u, offset, TUS_CHUNKED);

	for (size_t at = 0; at < n; at += step)
		if (!client_chunk(c, p + at, n - at < step ? n - at : step))
			break;
	(void)client_chunk(c, NULL, 0);
	return tus_end(c);
}

static bool says(const struct answer *a, const char *name, uint64_t want)
{
	char value[64], text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, want);
	return answer_field(a, name, value, sizeof(value)) && strcmp(value, text) == 0;
}

bool tus_is_at(const struct tus_upload *u, uint64_t offset, uint64_t length)
{
	char value[64];
	struct answer a;
	bool ok;

	tus_head(u, &a);
	ok = a.status == 200 && says(&a, "Upload-Offset", offset) &&
	     says(&a, "Upload-Length", length) &&
	     !answer_field(&a, "Upload-Defer-Length", value, sizeof(value)) &&
	     answer_field(&a, "Cache-Control", value, sizeof(value)) &&
	     strcmp(value, "no-store") == 0;
	if (!ok)
		(void)fprintf(stderr, "not at %" PRIu64 " of %" PRIu64 ":\n%s", offset, length,
			      a.head != NULL ? a.head : "");
	answer_free(&a);
	return ok;
}

bool tus_stays(const struct tus_upload *u, uint64_t at)
{
	struct answer a;
	bool ok;

	tus_patch_answer(u, at, "", NULL, 0, &a);
	ok = a.status == 204 && says(&a, "Upload-Offset", at);
	answer_free(&a);
	return ok;
}

/* Whether an answer has none of the fields that tell of an upload. */
static bool says_nothing(const struct answer *a)
{
	static const char *const fields[] = { "Upload-Offset",      "Upload-Length",
					      "Upload-Metadata",    "Media-Token",
					      "Media-Manage-Token", "Repr-Digest" };
	char value[64];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (answer_field(a, fields[i], value, sizeof(value)))
			return false;
	return true;
}

bool tus_tells_nothing(const struct tus_upload *u, int status)
{
	static const char *const methods[] = { "HEAD", "PATCH", "DELETE" };
	bool ok = true;

	for (int i = 0; i < 3 && ok; i++) {
		struct answer a;

		tus_ask(u, methods[i],
			"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n",
			i == 1 ? "hello" : NULL, i == 1 ? 5 : 0, &a);
		ok = a.status == status && says_nothing(&a) &&
		     (i == 0 || answer_is_problem(&a, status));
		if (!ok)
			(void)fprintf(stderr, "%s tells, not %d:\n%s", methods[i], status,
				      a.head != NULL ? a.head : "");
		answer_free(&a);
	}
	return ok;
}

int64_t tus_offset(const struct tus_upload *u)
{
	int64_t offset = -2;
	char text[32];
	struct answer a;

	tus_head(u, &a);
	if (a.status == 200)
		offset = answer_field(&a, "Upload-Offset", text, sizeof(text))
				 ? strtoll(text, NULL, 10)
				 : -1;
	answer_free(&a);
	return offset;
}

bool tus_reaches(const struct tus_upload *u, uint64_t offset, int ms)
{
	const int64_t until = clock_mono_ms() + ms;
	bool there;

	while (!(there = tus_offset(u) == (int64_t)offset) && clock_mono_ms() < until)
		client_nap(20);
	return there;
}

static int head_status(const struct tus_upload *u)
{
	struct answer a;
	int status;

	tus_head(u, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

bool tus_becomes(const struct tus_upload *u, int status, int ms)
{
	const int64_t until = clock_mono_ms() + ms;
	bool there;

	while (!(there = head_status(u) == status) && clock_mono_ms() < until)
		client_nap(50);
	return there;
}

bool tus_has(const struct tus_upload *u, const void *p, size_t n)
{
	return http_has(u->server->port, u->token, p, n);
}

struct client *tus_begin(const struct tus_upload *u, uint64_t offset, const char *fields)
{
	struct client *c = client_open(u->server->port);

	(void)client_sendf(c,
			   "PATCH %s HTTP/1.1\r\nHost: t\r\n%sUpload-Offset: %" PRIu64 "\r\n%s\r\n",
			   u->path, TUS_BYTES, offset, fields);
	return c;
}

int tus_end(struct client *c)
{
	struct answer a;
	int status;

	client_answer(c, false, &a, NULL);
	status = a.status;
	answer_free(&a);
	client_close(c);
	return status;
}

void tus_digest(char out[static TUS_DIGEST_SIZE], const void *p, size_t n)
{
	char base64[BASE64_LEN(sizeof(struct digest)) + 1];
	struct digest d;

	digest_of((struct bytes){ p, n }, &d);
	base64_encode(base64, d.b, sizeof(d.b));
	(void)snprintf(out, TUS_DIGEST_SIZE, "sha-256=:%s:", base64);
}

bool answer_is_problem(const struct answer *a, int status)
{
	char type[64], member[64], code[16], after[16];

	(void)snprintf(code, sizeof(code), "%d", status);
	if (a->status != status || !a->whole ||
	    !answer_field(a, "Content-Type", type, sizeof(type)) ||
	    strcmp(type, "application/problem+json") != 0)
		return false;
	if (!answer_json(a, "status", member, sizeof(member)) || strcmp(member, code) != 0 ||
	    !answer_json(a, "type", member, sizeof(member)) ||
	    !answer_json(a, "title", member, sizeof(member)))
		return false;
	if (status != 429 && status != 503 && status != 507)
		return true;
	return answer_field(a, "Retry-After", after, sizeof(after)) && atoi(after) > 0;
}

int64_t answer_life(const struct answer *a)
{
	char text[64], again[CLOCK_HTTP_SIZE];
	int64_t when;

	if (!answer_field(a, "Upload-Expires", text, sizeof(text)) ||
	    !clock_parse_http(text, strlen(text), &when))
		return INT64_MIN;
	clock_http(again, when);
	return strcmp(text, again) == 0 ? when - clock_now_s() : INT64_MIN;
}

bool list_has(const char *list, const char *element)
{
	const size_t n = strlen(element);

	for (const char *p = list; *p != '\0'; p += strcspn(p, ",")) {
		p += strspn(p, ", ");
		if (strncasecmp(p, element, n) == 0 && strchr(" ,", p[n]) != NULL)
			return true;
	}
	return false;
}
