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

struct reply *creation_read(struct creation *c, struct request *r)
{
	const struct settings *set = request_settings(r);
	struct bytes text = { NULL, 0 }, digest = { NULL, 0 };
	struct metadata metadata = { .count = 0 };
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
	c->details.ttl_s = c->params.ttl_s;
	c->details.digest_given = c->params.digest_given;
	c->details.digest = c->params.digest;
	c->details.metadata_given = given == FIELD_GOOD;
	c->details.metadata = text;
	return NULL;
}

struct reply *creation_make(struct creation *c, struct request *r, uint64_t length)
{
	struct server *s = request_server(r);
	const struct settings *set = request_settings(r);
	const struct address from = request_address(r);
	const int64_t now = clock_now_s();
	bool too_long = false;
	size_t n = 0;
	enum err_code rc;

	if (c->details.role == ROLE_PARTIAL)
		c->details.ttl_s = set->upload_ttl_unfinished;
	c->meta = details_encode(&c->details, &n, &too_long);
	if (c->meta == NULL)
		return too_long ? problem_reply(431, NULL, "Upload-Metadata is too long.")
				: problem_of(ERR_NOMEM);
	c->rec = (struct upload){
		.length = length,
		.created_s = now,
		.expires_s = now + (int64_t)set->upload_ttl_unfinished,
		.kind = (uint8_t)c->params.kind,
		.recipients = c->params.recipients,
		.meta = { c->meta, n },
	};
	randombytes_buf(c->rec.id.b, sizeof(c->rec.id.b));
	rc = census_enter(s->census, &c->rec.id, &from, set->upload_open,
			  set->upload_open_per_address, NULL);
	c->counted = rc == ERR_OK;
	return rc == ERR_OK ? NULL : problem_of(rc);
}

void creation_fini(struct creation *c, const struct request *r, bool stays)
{
	if (c->counted && !stays)
		census_leave(request_server(r)->census, &c->rec.id);
	free(c->meta);
	c->meta = NULL;
	c->counted = false;
}
