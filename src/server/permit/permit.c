#include "server/permit.h"

#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "server/settings.h"
#include "wire/grant.h"

_Static_assert(GRANT_RECIPIENTS_MAX <= STORE_RECIPIENTS_MAX,
	       "a grant allows no more than we count");

#define CHALLENGE "Bearer realm=\"restante\""

/* RFC 6750 section 3: an error is named only where there was a token. */
static struct reply *unauthorized(const char *slug, const char *detail, bool token)
{
	struct reply *r = problem_reply(401, slug, detail);

	metric_add(METRIC_GRANTS_REFUSED, 1);
	if (r != NULL)
		reply_header(r, "WWW-Authenticate",
			     token ? CHALLENGE ", error=\"invalid_token\"" : CHALLENGE);
	return r;
}

static struct reply *differs(const char *detail)
{
	metric_add(METRIC_GRANTS_REFUSED, 1);
	return problem_reply(403, "grant-differs", detail);
}

/* Strings with their NUL, so that none can be taken for the end of another. */
static void name_hash(uint8_t out[static 16], const char personal[static 16],
		      const char *const names[], size_t count)
{
	crypto_generichash_blake2b_state st;

	(void)crypto_generichash_blake2b_init_salt_personal(&st, NULL, 0, 16, NULL,
							    (const uint8_t *)personal);
	for (size_t i = 0; i < count; i++)
		(void)crypto_generichash_blake2b_update(&st, (const uint8_t *)names[i],
							strlen(names[i]) + 1);
	(void)crypto_generichash_blake2b_final(&st, out, 16);
}

static void take_names(struct permit *p, const struct grant *g, const struct settings *set)
{
	static const char grant[] = "restante.grant.1", bucket[16] = "restante.bucket";
	const char *const once[] = { set->name, g->kid, g->jti };
	const char *const owner[] = { set->name, g->bucket };

	p->once = g->jti[0] != '\0';
	if (p->once) {
		name_hash(p->id.b, grant, once, 3);
		p->spent_until_s = g->exp + (int64_t)set->grants_leeway;
	}
	if (g->bucket[0] != '\0')
		name_hash(p->bucket.b, bucket, owner, 2);
}

/* False: a claim has a value that this server does not know. */
static bool take_claims(struct permit *p, const struct grant *g, const struct settings *set)
{
	p->kind_given = g->kind[0] != '\0';
	if (p->kind_given && !kind_of_name(g->kind, &p->kind))
		return false;
	p->given = true;
	p->max = g->max_given ? g->max : 0;
	p->ttl_s = g->ttl_given ? g->ttl : 0;
	p->recipients_given = g->recipients_given;
	p->recipients = g->recipients;
	p->digest_given = g->digest_given;
	p->digest = g->digest;
	p->reuse = g->reuse;
	take_names(p, g, set);
	return true;
}

static enum err_code verify(struct grant *g, const struct settings *set, const char *text, size_t n)
{
	char kid[GRANT_NAME_MAX + 1];
	const uint8_t *key;
	enum err_code rc = grant_kid(kid, text, n);

	if (rc != ERR_OK)
		return rc;
	key = settings_grant_key(set, kid);
	if (key == NULL)
		return ERR_NOTFOUND;
	return grant_verify(g, text, n, key, set->name, clock_now_s(), set->grants_leeway, NULL);
}

/* The ids of grants for one upload are remembered as long. */
static bool lives_too_long(const struct grant *g, const struct settings *set)
{
	return g->exp - clock_now_s() > (int64_t)(set->grants_life_max + set->grants_leeway);
}

struct reply *permit_read(struct permit *out, const struct request *r)
{
	const struct settings *set = request_settings(r);
	struct grant g;
	bool twice = false;
	size_t n = 0;
	const char *text;
	enum err_code rc;

	*out = (struct permit){ 0 };
	if (settings_open(set))
		return NULL;
	text = request_header(r, "Authorization", &n, &twice);
	if (text == NULL || n < 7 || strncasecmp(text, "Bearer ", 7) != 0)
		return unauthorized("grant-missing", "Uploading here needs a grant.", false);
	if (twice)
		return problem_reply(400, NULL, "Authorization stands twice.");
	rc = verify(&g, set, text + 7, n - 7);
	if (rc == ERR_OK && lives_too_long(&g, set))
		return unauthorized("grant-refused", "This grant lives longer than any may.", true);
	if (rc == ERR_EXPIRED)
		return unauthorized("grant-expired", "The time of this grant is over, or not come.",
				    true);
	if (rc != ERR_OK || !take_claims(out, &g, set))
		return unauthorized("grant-refused", "This grant is not one for this server.",
				    true);
	return NULL;
}

struct reply *permit_settle(const struct permit *p, struct params *params,
			    const struct settings *set)
{
	if (p->kind_given && params->kind_given && p->kind != params->kind)
		return differs("The grant is for another kind.");
	if (p->recipients_given && params->recipients_given && p->recipients != params->recipients)
		return differs("The grant is for another number of recipients.");
	if (p->digest_given && params->digest_given && !digest_equal(&p->digest, &params->digest))
		return differs("The grant is for another content.");
	if (p->kind_given) {
		params->kind = p->kind;
		if (!params->ttl_given)
			params->ttl_s = kind_ttl(p->kind, set);
	}
	if (params->ttl_s > set->upload_ttl_max)
		params->ttl_s = set->upload_ttl_max;
	if (p->ttl_s != 0 && params->ttl_s > p->ttl_s)
		params->ttl_s = p->ttl_s;
	if (p->recipients_given)
		params->recipients = p->recipients;
	if (p->digest_given) {
		params->digest_given = true;
		params->digest = p->digest;
	}
	return NULL;
}

void permit_mark(const struct permit *p, struct upload *rec, struct details *d)
{
	if (p->once)
		rec->id = p->id;
	else
		randombytes_buf(rec->id.b, sizeof(rec->id.b));
	rec->bucket = p->bucket;
	rec->spent_until_s = p->spent_until_s;
	d->max = p->max;
	d->ttl_max_s = p->ttl_s;
}
