#include "server/dialect/checks.h"

#include <string.h>

#include "base/text.h"
#include "server/dialect/fields.h"
#include "server/problem.h"
#include "wire/checksum.h"
#include "wire/digest_header.h"
#include "wire/query.h"

#define CHECKSUM "Upload-Checksum"
#define DIGEST "Content-Digest"

static struct reply *add(struct checks *c, const struct sum_claim *claim, enum err_code otherwise)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->sums[i].claim.sum == claim->sum)
			return memcmp(c->sums[i].claim.value, claim->value, sum_size(claim->sum)) ==
					       0
				       ? NULL
				       : problem_reply(400, NULL,
						       "Upload-Checksum and Content-Digest do not "
						       "agree.");
	c->sums[c->count++] = (struct session_sum){ *claim, otherwise };
	return NULL;
}

/* NULL: taken; so for the next. */
static struct reply *take_checksum(struct checks *c, const char *text, size_t n, bool twice)
{
	struct sum_claim claim;
	enum err_code rc = twice ? ERR_INVALID : checksum_parse(&claim, text, n);

	if (rc == ERR_NOTFOUND)
		return problem_reply(400, "unknown-checksum",
				     "The algorithm of Upload-Checksum is not known here; OPTIONS "
				     "tells which are.");
	if (rc != ERR_OK)
		return problem_reply(400, NULL, "Upload-Checksum is not well formed.");
	return add(c, &claim, ERR_SUM);
}

static struct reply *take_digest(struct checks *c, const char *text, size_t n, bool twice)
{
	struct sum_claim claim = { .sum = SUM_SHA256 };
	struct digest d;
	enum digest_header_result found =
		twice ? DIGEST_HEADER_BAD : digest_header_parse(&d, text, n);

	if (found == DIGEST_HEADER_BAD)
		return problem_reply(
			400, NULL,
			"Content-Digest is not a dictionary with a sha-256 of 32 bytes.");
	if (found == DIGEST_HEADER_NONE)
		return NULL; /* of other algorithms only, which RFC 9530 lets us ignore */
	memcpy(claim.value, d.b, sizeof(d.b));
	return add(c, &claim, ERR_DIGEST);
}

static bool take_query(struct checks *c, const struct request *r)
{
	const char *text = request_query(r), *hex;
	struct query q;
	size_t n;

	if (text == NULL)
		return true;
	if (query_parse(&q, text, strlen(text)) != ERR_OK)
		return false;
	hex = query_get(&q, "sha256");
	if (hex == NULL || q.count != 1)
		return q.count == 0;
	c->whole_given = hex_decode(c->whole.b, sizeof(c->whole.b), &n, hex, strlen(hex)) &&
			 n == sizeof(c->whole.b);
	return c->whole_given;
}

static struct reply *read_whole(struct checks *c, const struct request *r)
{
	struct bytes v = { 0 };
	struct digest d;
	enum digest_header_result found = DIGEST_HEADER_NONE;
	enum field f = field_text(r, "Repr-Digest", &v);

	if (f == FIELD_GOOD)
		found = digest_header_parse(&d, (const char *)v.data, v.len);
	if (f == FIELD_BAD || found == DIGEST_HEADER_BAD)
		return problem_reply(400, NULL,
				     "Repr-Digest is not a dictionary with a sha-256 of 32 bytes.");
	if (found == DIGEST_HEADER_NONE)
		return NULL;
	if (c->whole_given && !digest_equal(&c->whole, &d))
		return problem_reply(400, NULL, "sha256 and Repr-Digest do not agree.");
	c->whole_given = true;
	c->whole = d;
	return NULL;
}

/* An existing upload knows one parameter; a creating request reads its own. */
static struct reply *read_query(struct checks *c, const struct request *r)
{
	size_t n;

	if (request_param(r, &n) == NULL || take_query(c, r))
		return NULL;
	return problem_reply(400, NULL,
			     "An upload that is there knows the parameter sha256 only: 64 "
			     "hexadecimal digits.");
}

struct reply *checks_read(struct checks *c, const struct request *r)
{
	struct reply *refusal = NULL;
	bool twice;
	size_t n;
	const char *v = request_header(r, CHECKSUM, &n, &twice);

	if (v != NULL)
		refusal = take_checksum(c, v, n, twice);
	else
		c->checksum_later = field_announced(r, CHECKSUM);
	v = request_header(r, DIGEST, &n, &twice);
	if (refusal == NULL && v != NULL)
		refusal = take_digest(c, v, n, twice);
	else if (v == NULL)
		c->digest_later = field_announced(r, DIGEST);
	if (refusal == NULL)
		refusal = read_query(c, r);
	if (refusal == NULL)
		refusal = read_whole(c, r);
	return refusal;
}

/* What Trailer announced has to come, and what it did not must not. */
static struct reply *
trailer_field(struct checks *c, const struct request *r, const char *name, bool announced,
	      struct reply *(*take)(struct checks *, const char *, size_t, bool))
{
	const bool chunked = request_body_length(r) == HTTP_LENGTH_UNKNOWN;
	bool twice;
	size_t n;
	const char *v = chunked ? request_trailer(r, name, &n, &twice) : NULL;

	if (v != NULL && announced)
		return take(c, v, n, twice);
	if (announced)
		return problem_reply(400, NULL, "What Trailer announced did not come.");
	/* the library may show a field of the head here once more */
	if (v != NULL && !field_there(r, name))
		return problem_reply(400, NULL,
				     "A checksum or digest behind the body has to be announced by "
				     "Trailer.");
	return NULL;
}

struct reply *checks_read_trailer(struct checks *c, const struct request *r)
{
	struct reply *refusal = trailer_field(c, r, CHECKSUM, c->checksum_later, take_checksum);

	return refusal != NULL ? refusal
			       : trailer_field(c, r, DIGEST, c->digest_later, take_digest);
}

unsigned checks_sums(const struct checks *c)
{
	unsigned wanted = c->checksum_later ? SUM_ALL : 0;

	if (c->digest_later)
		wanted |= SUM_BIT(SUM_SHA256);
	for (size_t i = 0; i < c->count; i++)
		wanted |= SUM_BIT(c->sums[i].claim.sum);
	return wanted;
}

bool checks_any(const struct checks *c)
{
	return c->checksum_later || c->digest_later || c->count > 0 || c->whole_given;
}
