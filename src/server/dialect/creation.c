#include "server/dialect/creation.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "server/census.h"
#include "server/dialect/fields.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/metadata.h"

struct reply *creation_permit(struct creation *c, struct request *r)
{
	c->admission.req = r;
	return permit_read(&c->admission.permit, r);
}

struct reply *creation_read(struct creation *c, struct request *r)
{
	const struct settings *set = request_settings(r);
	struct bytes text = { NULL, 0 }, digest = { NULL, 0 };
	struct metadata metadata = { .count = 0 };
	struct reply *refusal;
	const char *complaint;
	enum field given = field_text(r, "Upload-Metadata", &text);

	if (given == FIELD_BAD ||
	    (given == FIELD_GOOD &&
	     metadata_parse(&metadata, (const char *)text.data, text.len) != ERR_OK))
		return problem_reply(400, NULL, "Upload-Metadata is not well formed.");
	if (field_text(r, "Repr-Digest", &digest) == FIELD_BAD)
		return problem_reply(400, NULL, "Repr-Digest stands twice.");
	if (params_parse_both(&c->params, request_query(r), &metadata, set, &complaint) != ERR_OK ||
	    params_add_digest(&c->params, (const char *)digest.data, digest.len, &complaint) !=
		    ERR_OK)
		return problem_reply(400, NULL, complaint);
	refusal = permit_settle(&c->admission.permit, &c->params, set);
	if (refusal != NULL)
		return refusal;
	c->details.ttl_s = c->params.ttl_s;
	c->details.digest_given = c->params.digest_given;
	c->details.digest = c->params.digest;
	c->details.metadata_given = given == FIELD_GOOD;
	c->details.metadata = text;
	return NULL;
}

/* Who makes parts makes several uploads. */
static struct reply *check_role(const struct creation *c)
{
	if (c->details.role == ROLE_PARTIAL && c->admission.permit.once)
		return problem_reply(403, "grant-for-one-upload",
				     "A grant with jti makes one upload, and no parts of one.");
	return NULL;
}

static struct reply *check_length(const struct creation *c, uint64_t length)
{
	const uint64_t granted = c->admission.permit.max;
	const uint64_t any = request_settings(c->admission.req)->upload_max;
	const uint64_t max = granted != 0 && granted < any ? granted : any;

	return length != UPLOAD_LENGTH_UNKNOWN && length > max ? problem_of(ERR_TOOBIG) : NULL;
}

static struct reply *make_record(struct creation *c, uint64_t length)
{
	const struct settings *set = request_settings(c->admission.req);
	const int64_t now = clock_now_s();
	bool too_long = false;
	size_t n = 0;

	if (c->details.role == ROLE_PARTIAL)
		c->details.ttl_s = set->upload_ttl_unfinished;
	c->rec = (struct upload){
		.length = length,
		.created_s = now,
		.expires_s = now + (int64_t)set->upload_ttl_unfinished,
		.kind = (uint8_t)c->params.kind,
		.recipients = c->params.recipients,
	};
	permit_mark(&c->admission.permit, &c->rec, &c->details);
	if (server_settings(request_server(c->admission.req))->host_count > 0)
		c->details.host = (struct bytes){ (const uint8_t *)set->name, strlen(set->name) };
	c->meta = details_encode(&c->details, &n, &too_long);
	if (c->meta == NULL)
		return too_long ? problem_reply(431, NULL, "Upload-Metadata is too long.")
				: problem_of(ERR_NOMEM);
	c->rec.meta = (struct bytes){ c->meta, n };
	return NULL;
}

static struct reply *count(struct creation *c)
{
	struct request *r = c->admission.req;
	const struct settings *set = request_settings(r);
	const struct address from = request_address(r);
	enum err_code rc = census_enter(request_server(r)->census, &c->rec.id, &from,
					set->upload_open, set->upload_open_per_address, NULL);

	c->counted = rc == ERR_OK;
	return rc == ERR_OK ? NULL : problem_of(rc);
}

enum http_next creation_make(struct creation *c, uint64_t length, struct reply **refusal)
{
	const uint64_t weight = length == UPLOAD_LENGTH_UNKNOWN ? 0 : length;

	*refusal = NULL;
	if (c->meta != NULL) /* made already, and what follows waits */
		return HTTP_GO;
	*refusal = check_role(c);
	if (*refusal == NULL)
		*refusal = check_length(c, length);
	if (*refusal == NULL && admission_pass(&c->admission, weight, refusal) == HTTP_WAIT)
		return HTTP_WAIT;
	if (*refusal != NULL || c->admission.there != NULL)
		return HTTP_GO;
	*refusal = make_record(c, length);
	if (*refusal == NULL)
		*refusal = count(c);
	return HTTP_GO;
}

static void uncount(struct creation *c, const struct request *r)
{
	if (c->counted)
		census_undo(request_server(r)->census, &c->rec.id);
	c->counted = false;
}

bool creation_again(struct creation *c, enum err_code rc)
{
	if ((rc != ERR_EXISTS && rc != ERR_DELETED) || !admission_again(&c->admission))
		return false;
	/* who made the one that is there has it counted as long as it is unfinished */
	uncount(c, c->admission.req);
	free(c->meta);
	c->meta = NULL;
	return true;
}

void creation_fini(struct creation *c, const struct request *r, bool stays)
{
	if (!stays)
		uncount(c, r);
	if (c->admission.req != NULL)
		admission_fini(&c->admission, stays);
	free(c->meta);
	c->meta = NULL;
	c->counted = false;
}
