#include "cli/emit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/say.h"
#include "restante/seal.h"

/* ---- pieces -------------------------------------------------------------------------------- */

static json_t *text_of(const struct restante_envelope *card, enum restante_text field)
{
	return json_text(restante_envelope_text(card, field));
}

static json_t *number_of(const struct restante_envelope *card, enum restante_number field)
{
	uint64_t value;

	return restante_envelope_number(card, field, &value) ? json_integer((json_int_t)value)
							     : NULL;
}

static json_t *key_of(const struct restante_envelope *card)
{
	size_t size = 0;
	const uint8_t *key = restante_envelope_blob(card, RESTANTE_BLOB_KEY, &size);
	char text[RESTANTE_KEY_TEXT_SIZE];
	json_t *out;

	if (key == NULL)
		return NULL;
	restante_key_format(text, key);
	out = json_string(text);
	explicit_bzero(text, sizeof(text));
	return out;
}

static json_t *digest_text(const struct restante_envelope *card)
{
	size_t size = 0;
	const uint8_t *sum = restante_envelope_blob(card, RESTANTE_BLOB_SHA256, &size);

	return sum != NULL ? json_hex(sum, size) : NULL;
}

static json_t *expiry_of(const struct restante_envelope *card)
{
	uint64_t expires_at;

	return restante_envelope_number(card, RESTANTE_NUMBER_EXPIRES_AT, &expires_at)
		       ? json_time(expires_at)
		       : NULL;
}

/* ---- interface ----------------------------------------------------------------------------- */

bool emit_to(int fd, const char *name, const struct restante_envelope *card, struct trouble *t)
{
	char text[RESTANTE_ENVELOPE_MAX + 2];
	struct restante_error e = { 0 };
	bool ok;

	if (restante_envelope_encode(card, text, &e) != RESTANTE_OK)
		return trouble_library(t, &e, NULL);
	strcat(text, "\n"); /* there is room for one more */
	ok = output_bytes(fd, name, text, strlen(text), t);
	explicit_bzero(text, sizeof(text));
	return ok;
}

static json_t *whole_of(const struct restante_envelope *card)
{
	char text[RESTANTE_ENVELOPE_MAX + 1];
	json_t *out = NULL;

	if (restante_envelope_encode(card, text, NULL) == RESTANTE_OK)
		out = json_loads(text, 0, NULL);
	explicit_bzero(text, sizeof(text));
	return out;
}

/* Who gets it has to be told otherwise where it is. */
static bool emit_elsewhere(const struct restante_envelope *card,
			   const struct restante_upload *upload, struct trouble *t)
{
	json_t *o = json_object();

	json_add(o, "location", json_text(restante_upload_location(upload)));
	json_add(o, "key", key_of(card));
	json_add(o, "kind", text_of(card, RESTANTE_TEXT_KIND));
	json_add(o, "type", text_of(card, RESTANTE_TEXT_TYPE));
	json_add(o, "size", number_of(card, RESTANTE_NUMBER_SIZE));
	json_add(o, "sealed_size", number_of(card, RESTANTE_NUMBER_SEALED_SIZE));
	json_add(o, "sha256", digest_text(card));
	return json_print(o, t);
}

bool emit_envelope(const struct restante_envelope *card, const struct restante_upload *upload,
		   bool json, struct trouble *t)
{
	json_t *o;

	if (restante_envelope_text(card, RESTANTE_TEXT_TOKEN) == NULL)
		return emit_elsewhere(card, upload, t);
	if (!json)
		return emit_to(STDOUT_FILENO, "standard output", card, t);
	o = json_object();
	json_add(o, "envelope", whole_of(card));
	json_add(o, "manage_token", json_text(restante_upload_manage_token(upload)));
	json_add(o, "location", json_text(restante_upload_location(upload)));
	return json_print(o, t);
}

bool emit_sealed(const struct restante_envelope *card, const struct restante_upload *upload,
		 struct trouble *t)
{
	json_t *o = json_object();

	json_add(o, "token", text_of(card, RESTANTE_TEXT_TOKEN));
	json_add(o, "manage_token", json_text(restante_upload_manage_token(upload)));
	json_add(o, "location", json_text(restante_upload_location(upload)));
	json_add(o, "size", number_of(card, RESTANTE_NUMBER_SEALED_SIZE));
	json_add(o, "sha256", digest_text(card));
	json_add(o, "expires_at", expiry_of(card));
	return json_print(o, t);
}

void emit_note(const struct restante_upload *upload)
{
	const char *token = restante_upload_manage_token(upload);

	if (token != NULL && isatty(STDERR_FILENO) == 1)
		say("to take it back: restante rm %s", token);
}
