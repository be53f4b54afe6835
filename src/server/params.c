#include "server/params.h"

#include <string.h>

#include "base/digest.h"
#include "base/num.h"
#include "base/text.h"
#include "storage/store.h"
#include "wire/digest_header.h"
#include "wire/query.h"

static const char *const kinds[KIND_COUNT] = {
	[KIND_FILE] = "file",
	[KIND_PHOTO] = "photo",
	[KIND_VIDEO] = "video",
	[KIND_VOICE] = "voice",
};

const char *kind_name(enum kind k)
{
	return kinds[k];
}

bool kind_of_name(const char *name, enum kind *out)
{
	for (int i = 0; i < KIND_COUNT; i++) {
		if (strcmp(name, kinds[i]) == 0) {
			*out = (enum kind)i;
			return true;
		}
	}
	return false;
}

static const char *take_kind(struct params *p, const char *v)
{
	p->kind_given = kind_of_name(v, &p->kind);
	return p->kind_given ? NULL : "kind is one of photo, video, voice, file.";
}

static const char *take_ttl(struct params *p, const char *v)
{
	p->ttl_given = num_duration(v, strlen(v), UINT32_MAX, &p->ttl_s) && p->ttl_s > 0;
	return p->ttl_given ? NULL : "ttl is a time such as 3600, 12h or 7d.";
}

static const char *take_recipients(struct params *p, const char *v)
{
	uint64_t n;

	if (!num_u64(v, strlen(v), STORE_RECIPIENTS_MAX, &n))
		return "recipients is a number from 0 to 1024.";
	p->recipients = (uint16_t)n;
	p->recipients_given = true;
	return NULL;
}

static const char *take_sha256(struct params *p, const char *v)
{
	size_t n;

	if (!hex_decode(p->digest.b, sizeof(p->digest.b), &n, v, strlen(v)) ||
	    n != sizeof(p->digest.b))
		return "sha256 is 64 hexadecimal digits.";
	p->digest_given = true;
	return NULL;
}

static const struct {
	const char *name;
	const char *(*take)(struct params *p, const char *value);
} readers[] = {
	{ "kind", take_kind },
	{ "ttl", take_ttl },
	{ "recipients", take_recipients },
	{ "sha256", take_sha256 },
};

static const char *take(struct params *p, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (strcmp(name, readers[i].name) == 0)
			return readers[i].take(p, value);
	return "An upload knows the parameters kind, ttl, recipients and sha256 only.";
}

uint64_t kind_ttl(enum kind k, const struct settings *set)
{
	switch (k) {
	case KIND_PHOTO:
		return set->upload_ttl_photo;
	case KIND_VIDEO:
		return set->upload_ttl_video;
	case KIND_VOICE:
		return set->upload_ttl_voice;
	default:
		return set->upload_ttl_file;
	}
}

static enum err_code take_query(struct params *p, struct query *q, const char *text,
				const char **complaint)
{
	*complaint = "The query is not well formed.";
	if (text != NULL && query_parse(q, text, strlen(text)) != ERR_OK)
		return ERR_INVALID;
	for (size_t i = 0; i < q->count; i++) {
		*complaint = take(p, q->pairs[i].name, q->pairs[i].value);
		if (*complaint != NULL)
			return ERR_INVALID;
	}
	return ERR_OK;
}

static enum err_code take_metadata(struct params *p, const struct metadata *m,
				   const struct query *q, const char **complaint)
{
	char value[QUERY_VALUE_MAX + 1];
	const char *before;
	bool there;

	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		*complaint = "A parameter in Upload-Metadata is too long.";
		if (!metadata_get(m, readers[i].name, value, sizeof(value), &there)) {
			if (there)
				return ERR_INVALID;
			continue;
		}
		before = query_get(q, readers[i].name);
		*complaint = before != NULL && strcmp(before, value) != 0
				     ? "A parameter stands in the query and in Upload-Metadata, "
				       "and they do not agree."
				     : readers[i].take(p, value);
		if (*complaint != NULL)
			return ERR_INVALID;
	}
	return ERR_OK;
}

enum err_code params_parse_both(struct params *out, const char *query, const struct metadata *m,
				const struct settings *set, const char **complaint)
{
	struct params p = { .kind = KIND_FILE };
	struct query q = { 0 };
	enum err_code rc = take_query(&p, &q, query, complaint);

	if (rc == ERR_OK && m != NULL)
		rc = take_metadata(&p, m, &q, complaint);
	if (rc != ERR_OK)
		return rc;
	if (!p.ttl_given)
		p.ttl_s = kind_ttl(p.kind, set);
	if (p.ttl_s > set->upload_ttl_max)
		p.ttl_s = set->upload_ttl_max;
	*out = p;
	return ERR_OK;
}

enum err_code params_parse(struct params *out, const char *query, const struct settings *set,
			   const char **complaint)
{
	return params_parse_both(out, query, NULL, set, complaint);
}

enum err_code params_add_digest(struct params *p, const char *field, size_t n,
				const char **complaint)
{
	struct digest d;

	if (field == NULL)
		return ERR_OK;
	switch (digest_header_parse(&d, field, n)) {
	case DIGEST_HEADER_NONE:
		return ERR_OK;
	case DIGEST_HEADER_BAD:
		*complaint = "Repr-Digest is not a dictionary with a sha-256 of 32 bytes.";
		return ERR_INVALID;
	case DIGEST_HEADER_FOUND:
		break;
	}
	if (p->digest_given && !digest_equal(&p->digest, &d)) {
		*complaint = "sha256 and Repr-Digest do not agree.";
		return ERR_INVALID;
	}
	p->digest_given = true;
	p->digest = d;
	return ERR_OK;
}
