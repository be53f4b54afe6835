#include "restante/token.h"

#include <string.h>

#include "client/fail.h"
#include "wire/token.h"

_Static_assert(RESTANTE_TOKEN_SIZE == TOKEN_TEXT_SIZE, "the longest token");
_Static_assert(RESTANTE_TOKEN_CAVEATS == TOKEN_CAVEATS_MAX, "how often one is narrowed");
_Static_assert((int)RESTANTE_TOKEN_FETCH == TOKEN_FETCH &&
		       (int)RESTANTE_TOKEN_MANAGE == TOKEN_MANAGE &&
		       (int)RESTANTE_TOKEN_UPLOAD == TOKEN_UPLOAD,
	       "types of tokens");

/* No further than it takes to see that a text is too long for a token. */
static size_t length_of(const char *token)
{
	return strnlen(token, TOKEN_TEXT_SIZE);
}

static enum restante_code misuse(struct restante_error *e)
{
	return fail(e, RESTANTE_MISUSE, "a token, or room for one, is missing");
}

static enum restante_code verdict(enum err_code rc, struct restante_error *e)
{
	switch (rc) {
	case ERR_OK:
		return RESTANTE_OK;
	case ERR_TOOBIG:
		return fail(e, RESTANTE_TOOBIG, "the token was narrowed %d times already",
			    TOKEN_CAVEATS_MAX);
	default:
		return fail(e, RESTANTE_INVALID, "this is no token of restante");
	}
}

static void describe(struct restante_token_info *out, const struct token *t)
{
	*out = (struct restante_token_info){
		.type = (enum restante_token_type)t->type,
		.key_id = t->key_id,
		.not_after = t->not_after,
		.caveat_count = t->caveat_count,
		.recipient_count = t->recipient_count,
	};
	memcpy(out->recipients, t->recipients, sizeof(out->recipients));
}

enum restante_code restante_token_read(struct restante_token_info *out, const char *token,
				       struct restante_error *error)
{
	enum restante_code rc;
	struct token t;

	if (out == NULL || token == NULL)
		return misuse(error);
	rc = verdict(token_read(&t, token, length_of(token)), error);
	if (rc == RESTANTE_OK)
		describe(out, &t);
	return rc;
}

enum restante_code restante_token_not_after(char out[RESTANTE_TOKEN_SIZE], const char *token,
					    uint64_t not_after, struct restante_error *error)
{
	if (out == NULL || token == NULL)
		return misuse(error);
	if (not_after > UINT32_MAX)
		return fail(error, RESTANTE_INVALID, "a token ends in the year 2106 at the latest");
	return verdict(token_narrow_time(out, token, length_of(token), (uint32_t)not_after), error);
}

enum restante_code restante_token_recipient(char out[RESTANTE_TOKEN_SIZE], const char *token,
					    uint16_t recipient, struct restante_error *error)
{
	if (out == NULL || token == NULL)
		return misuse(error);
	return verdict(token_narrow_recipient(out, token, length_of(token), recipient), error);
}
