#include "server/reuse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "server/answer.h"
#include "server/census.h"
#include "server/dialect/creation.h"
#include "server/dialect/fields.h"
#include "server/media.h"
#include "server/pages.h"
#include "server/permit/challenge.h"
#include "server/problem.h"
#include "server/server.h"

struct reuse {
	struct request *req;
	struct digest blob;
	struct creation creation;        /* of the upload; when asking, its permit only */
	struct bytes challenge;          /* as the client sends it: a view into the request */
	uint8_t mac[CHALLENGE_MAC_SIZE]; /* the client's */
	bool told;                       /* a worker has been */
	struct job job;
	enum err_code rc;
	uint64_t size;
	struct upload *made; /* owned */
};

/* ---- the worker's side ---- */

static enum err_code ask_store(struct reuse *x, struct err *e)
{
	struct blob b;
	enum err_code rc = store_blob(request_server(x->req)->store, &x->blob, &b, e);

	if (rc != ERR_OK)
		return rc;
	x->size = b.size;
	free(b.extents);
	return ERR_OK;
}

static void ask(struct job *job)
{
	struct reuse *x = JOB_OWNER(job, struct reuse, job);
	struct err e = { 0 };

	x->rc = ask_store(x, &e);
	if (x->rc != ERR_OK && x->rc != ERR_NOTFOUND)
		log_warn("event=reuse_failed error=\"%s\"", e.why);
	request_wake(x->req);
}

static enum err_code add_window(struct server *s, const struct media *m,
				const struct challenge_window *w, crypto_auth_hmacsha256_state *st,
				struct err *e)
{
	const uint64_t end = w->offset + w->length;
	uint64_t at = w->offset;

	while (at < end) {
		struct page p;
		uint64_t n;
		enum err_code rc = page_load(s, m, at, NULL, &p, e);

		if (rc != ERR_OK)
			return rc;
		n = p.start + p.chunk->len - at;
		if (n > end - at)
			n = end - at;
		(void)crypto_auth_hmacsha256_update(st, p.chunk->data + (at - p.start), n);
		at += n;
		chunk_unref(p.chunk);
	}
	return ERR_OK;
}

/* The MAC that who holds the bytes would send. */
static enum err_code compute(struct server *s, const struct media *m, const struct challenge *c,
			     uint8_t out[static CHALLENGE_MAC_SIZE], struct err *e)
{
	crypto_auth_hmacsha256_state st;
	enum err_code rc = ERR_OK;

	(void)crypto_auth_hmacsha256_init(&st, (const uint8_t *)c->text, strlen(c->text));
	for (unsigned i = 0; rc == ERR_OK && i < c->count; i++)
		rc = add_window(s, m, &c->windows[i], &st, e);
	(void)crypto_auth_hmacsha256_final(&st, out);
	return rc;
}

static struct challenge_subject subject_of(const struct reuse *x, uint64_t size)
{
	return (struct challenge_subject){ x->blob, size, x->creation.admission.permit.bucket };
}

/* ERR_EXPIRED: not a challenge for this, or too old. */
static enum err_code read_challenge(const struct reuse *x, uint64_t size, struct challenge *out)
{
	const struct challenge_subject subject = subject_of(x, size);
	const enum err_code rc =
		challenge_read(out, (const char *)x->challenge.data, x->challenge.len, &subject,
			       clock_now_s(), server_keys(request_server(x->req)));

	return rc == ERR_OK ? ERR_OK : ERR_EXPIRED;
}

/* ERR_FORGED: not what the blob's bytes give. */
static enum err_code check_proof(struct reuse *x, struct err *e)
{
	uint8_t mac[CHALLENGE_MAC_SIZE];
	struct challenge challenge;
	struct upload as = { .finished = true, .digest = x->blob };
	struct media m = { .upload = &as };
	struct blob b;
	enum err_code rc = store_blob(request_server(x->req)->store, &x->blob, &b, e);

	if (rc != ERR_OK)
		return rc;
	x->size = as.offset = as.length = b.size;
	as.extents = b.extents;
	as.extent_count = b.extent_count;
	rc = read_challenge(x, b.size, &challenge);
	if (rc == ERR_OK)
		rc = compute(request_server(x->req), &m, &challenge, mac, e);
	free(b.extents);
	if (rc != ERR_OK)
		return rc;
	return sodium_memcmp(mac, x->mac, sizeof(mac)) == 0 ? ERR_OK : ERR_FORGED;
}

static void make(struct job *job)
{
	struct reuse *x = JOB_OWNER(job, struct reuse, job);
	struct server *s = request_server(x->req);
	struct upload *rec = &x->creation.rec;
	struct err e = { 0 };

	rec->expires_s = clock_now_s() + (int64_t)x->creation.details.ttl_s;
	x->rc = store_reuse(s->store, rec, &x->blob, &x->made, &e);
	if (x->rc == ERR_OK)
		census_leave(s->census, &rec->id);
	if (x->rc != ERR_OK && x->rc != ERR_NOTFOUND && x->rc != ERR_EXISTS)
		log_warn("event=reuse_failed error=\"%s\"", e.why);
	request_wake(x->req);
}

static void prove(struct job *job)
{
	struct reuse *x = JOB_OWNER(job, struct reuse, job);
	struct err e = { 0 };

	x->rc = check_proof(x, &e);
	request_wake(x->req);
}

static enum http_next hand_over(struct reuse *x, void (*run)(struct job *))
{
	struct server *s = request_server(x->req);

	x->told = true;
	x->job.run = run;
	request_wait(x->req);
	workers_submit(run == make ? s->writers : s->readers, &x->job);
	return HTTP_WAIT;
}

/* ---- what both have ---- */

static struct reuse *reuse_new(struct request *req)
{
	struct reuse *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->req = req;
	request_set_ctx(req, x);
	return x;
}

static void gone(struct request *req)
{
	struct reuse *x = request_ctx(req);

	creation_fini(&x->creation, req, x->made != NULL);
	upload_free(x->made);
	free(x);
}

/* Blobs are all hosts': whoever may refer to them learns what the others' users have sent. */
static bool may_look(const struct request *r)
{
	return server_settings(request_server(r))->host_count < 2 ||
	       request_settings(r)->grants_reuse_across_hosts;
}

/* In the open nobody may ask: that is what the grant is for. */
static struct reply *check_permit(struct reuse *x)
{
	struct reply *refusal = creation_permit(&x->creation, x->req);

	if (refusal != NULL || (x->creation.admission.permit.reuse && may_look(x->req)))
		return refusal;
	return problem_reply(403, "grant-without-reuse",
			     "This needs a grant that allows it (reuse).");
}

static struct reply *no_such_blob(void)
{
	return problem_reply(404, "no-such-blob", "This content is not here: upload it.");
}

/* ---- asking ---- */

#define RANGES_SIZE (sizeof("bytes=") + CHALLENGE_WINDOWS * 42)

/* RFC 9110 section 14.1.2: both ends are in it. */
static const char *write_ranges(const struct challenge *c, char out[static RANGES_SIZE])
{
	int n = snprintf(out, RANGES_SIZE, "bytes=");

	for (unsigned i = 0; i < c->count; i++)
		n += snprintf(out + n, RANGES_SIZE - (size_t)n, "%s%" PRIu64 "-%" PRIu64,
			      i > 0 ? "," : "", c->windows[i].offset,
			      c->windows[i].offset + c->windows[i].length - 1);
	return out;
}

static struct reply *asked(struct reuse *x)
{
	struct challenge_subject subject;
	struct challenge c;
	char ranges[RANGES_SIZE];
	struct reply *r;

	if (x->rc != ERR_OK)
		return x->rc == ERR_NOTFOUND ? no_such_blob() : problem_of(x->rc);
	subject = subject_of(x, x->size);
	challenge_make(&c, &subject, clock_now_s(), server_keys(request_server(x->req)));
	r = reply_new(204);
	if (r == NULL)
		return NULL;
	reply_header(r, "Blob-Challenge", c.text);
	if (c.count > 0)
		reply_header(r, "Blob-Challenge-Range", write_ranges(&c, ranges));
	reply_header(r, "Cache-Control", "no-store");
	return r;
}

static enum http_next ask_head(struct request *req)
{
	struct reuse *x = request_ctx(req);
	struct reply *refusal;
	const char *hex;
	size_t n = 0, len;

	if (x != NULL)
		return request_reply(req, asked(x));
	x = reuse_new(req);
	if (x == NULL)
		return HTTP_CUT;
	refusal = check_permit(x);
	if (refusal != NULL)
		return request_reply(req, refusal);
	hex = request_param(req, &n);
	if (!hex_decode(x->blob.b, sizeof(x->blob.b), &len, hex, n) || len != sizeof(x->blob.b))
		return request_reply(req, problem_reply(400, NULL,
							"A blob is named by 64 hexadecimal "
							"digits."));
	return hand_over(x, ask);
}

/* ---- creating ---- */

static struct reply *read_proof(struct reuse *x)
{
	struct bytes proof = { NULL, 0 };
	size_t len;

	if (field_text(x->req, "Blob-Challenge", &x->challenge) != FIELD_GOOD ||
	    field_text(x->req, "Blob-Proof", &proof) != FIELD_GOOD ||
	    !hex_decode(x->mac, sizeof(x->mac), &len, (const char *)proof.data, proof.len) ||
	    len != sizeof(x->mac))
		return problem_reply(400, NULL,
				     "Blob-Challenge is as it was given, Blob-Proof 64 hexadecimal "
				     "digits.");
	if (!x->creation.params.digest_given)
		return problem_reply(400, NULL, "The content is named by sha256.");
	x->blob = x->creation.params.digest;
	return NULL;
}

static struct reply *read(struct reuse *x)
{
	struct reply *refusal = check_permit(x);

	if (refusal == NULL && request_body_length(x->req) != 0)
		refusal = problem_reply(400, NULL, "A proof takes the place of the bytes.");
	if (refusal == NULL)
		refusal = creation_read(&x->creation, x->req);
	return refusal != NULL ? refusal : read_proof(x);
}

static struct reply *refusal_of(enum err_code rc)
{
	if (rc == ERR_EXPIRED)
		return problem_reply(403, "proof-refused",
				     "The challenge is not one for this content, or too old.");
	if (rc == ERR_FORGED)
		return problem_reply(403, "proof-refused",
				     "The proof is not of the bytes of this content.");
	return rc == ERR_NOTFOUND ? no_such_blob() : problem_of(rc);
}

/* The proof is good: what is left is what any new upload has to pass. */
static enum http_next admit(struct reuse *x)
{
	struct creation *c = &x->creation;
	struct reply *refusal;

	if (creation_make(c, x->size, &refusal) == HTTP_WAIT)
		return HTTP_WAIT;
	if (refusal == NULL && c->admission.there != NULL)
		refusal = c->admission.there->finished ? answer_finished(x->req, c->admission.there)
						       : problem_of(ERR_EXISTS);
	return refusal != NULL ? request_reply(x->req, refusal) : hand_over(x, make);
}

static enum http_next create_head(struct request *req)
{
	struct reuse *x = request_ctx(req);
	struct reply *refusal;

	if (x == NULL) {
		x = reuse_new(req);
		if (x == NULL)
			return HTTP_CUT;
		refusal = read(x);
		return refusal != NULL ? request_reply(req, refusal) : hand_over(x, prove);
	}
	if (x->made != NULL)
		return request_reply(req, answer_finished(req, x->made));
	if (x->rc == ERR_EXISTS && creation_again(&x->creation, x->rc)) {
		x->rc = ERR_OK;
		return admit(x);
	}
	return x->rc == ERR_OK ? admit(x) : request_reply(req, refusal_of(x->rc));
}

const struct handler reuse_ask_handler = { .head = ask_head, .gone = gone };
const struct handler reuse_create_handler = { .head = create_head, .gone = gone };
