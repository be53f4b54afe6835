/* An envelope as JSON. jansson has the grammar; which fields there are is the table below. */
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/fail.h"
#include "client/seal/envelope.h"
#include "wire/shallow.h"

#define VERSION 1

enum form { TEXT, NUMBER, TIME, HEX, KEY, BARS, BASE64 };

/* In the order in which they are written. */
static const struct field {
	const char *name;
	enum form form;
	unsigned id; /* enum restante_text, _number or _blob, by the form */
} fields[] = {
	{ "kind", TEXT, RESTANTE_TEXT_KIND },
	{ "type", TEXT, RESTANTE_TEXT_TYPE },
	{ "size", NUMBER, RESTANTE_NUMBER_SIZE },
	{ "sealed_size", NUMBER, RESTANTE_NUMBER_SEALED_SIZE },
	{ "sha256", HEX, RESTANTE_BLOB_SHA256 },
	{ "key", KEY, RESTANTE_BLOB_KEY },
	{ "token", TEXT, RESTANTE_TEXT_TOKEN },
	{ "expires_at", TIME, RESTANTE_NUMBER_EXPIRES_AT },
	{ "width", NUMBER, RESTANTE_NUMBER_WIDTH },
	{ "height", NUMBER, RESTANTE_NUMBER_HEIGHT },
	{ "duration_ms", NUMBER, RESTANTE_NUMBER_DURATION_MS },
	{ "waveform", BARS, RESTANTE_BLOB_WAVEFORM },
	{ "preview", BASE64, RESTANTE_BLOB_PREVIEW },
	{ "preview_type", TEXT, RESTANTE_TEXT_PREVIEW_TYPE },
	{ "thumbhash", BASE64, RESTANTE_BLOB_THUMBHASH },
	{ "name", TEXT, RESTANTE_TEXT_NAME },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Key and token stand in strings of jansson's, which it would free as they are. */
static void drop(json_t *root)
{
	const char *name;
	json_t *value;

	json_object_foreach(root, name, value)
	{
		if (json_is_string(value))
			sodium_memzero((void *)(uintptr_t)json_string_value(value),
				       json_string_length(value));
	}
	json_decref(root);
}

/* ---- writing: NULL means out of memory --------------------------------------------------------
 */

static json_t *write_time(uint64_t unix_s)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(text, (int64_t)unix_s);
	return json_string_nocheck(text);
}

static json_t *write_hex(const uint8_t *value, size_t size)
{
	char text[HEX_LEN(ENVELOPE_SHA256_SIZE) + 1];

	hex_encode(text, value, size);
	return json_string_nocheck(text);
}

static json_t *write_key(const uint8_t *key)
{
	char text[RESTANTE_KEY_TEXT_SIZE];
	json_t *json;

	restante_key_format(text, key);
	json = json_string_nocheck(text);
	sodium_memzero(text, sizeof(text));
	return json;
}

static json_t *write_bars(const uint8_t *bars)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ENVELOPE_BARS; i++) {
		if (json_array_append_new(array, json_integer(bars[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *write_base64(const uint8_t *value, size_t size)
{
	char text[BASE64_LEN(ENVELOPE_PREVIEW_MAX) + 1];

	base64_encode(text, value, size);
	return json_string_nocheck(text);
}

static json_t *write_blob(const struct field *f, const uint8_t *value, size_t size)
{
	switch (f->form) {
	case HEX:
		return write_hex(value, size);
	case KEY:
		return write_key(value);
	case BARS:
		return write_bars(value);
	default:
		return write_base64(value, size);
	}
}

/* True as well if the field is not there. */
static bool add_field(json_t *root, const struct field *f, const struct restante_envelope *e)
{
	const uint8_t *blob;
	const char *text;
	uint64_t number;
	size_t size;

	switch (f->form) {
	case TEXT:
		text = restante_envelope_text(e, (enum restante_text)f->id);
		return text == NULL ||
		       json_object_set_new_nocheck(root, f->name, json_string_nocheck(text)) == 0;
	case NUMBER:
	case TIME:
		if (!restante_envelope_number(e, (enum restante_number)f->id, &number))
			return true;
		return json_object_set_new_nocheck(root, f->name,
						   f->form == TIME
							   ? write_time(number)
							   : json_integer((json_int_t)number)) == 0;
	default:
		blob = restante_envelope_blob(e, (enum restante_blob)f->id, &size);
		return blob == NULL ||
		       json_object_set_new_nocheck(root, f->name, write_blob(f, blob, size)) == 0;
	}
}

static json_t *build(const struct restante_envelope *e)
{
	json_t *root = json_object();
	bool ok = json_object_set_new_nocheck(root, "v", json_integer(VERSION)) == 0;

	for (size_t i = 0; i < FIELDS && ok; i++)
		ok = add_field(root, &fields[i], e);
	if (ok)
		return root;
	drop(root);
	return NULL;
}

enum restante_code restante_envelope_encode(const struct restante_envelope *envelope, char *out,
					    struct restante_error *error)
{
	enum restante_code rc;
	json_t *root;
	size_t n;

	if (envelope == NULL || out == NULL)
		return fail(error, RESTANTE_MISUSE,
			    "an envelope, or room for its text, is missing");
	rc = envelope_check(envelope, error);
	if (rc != RESTANTE_OK)
		return rc;
	root = build(envelope);
	if (root == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	n = json_dumpb(root, out, RESTANTE_ENVELOPE_MAX, JSON_COMPACT);
	drop(root);
	if (n > 0 && n <= RESTANTE_ENVELOPE_MAX) {
		out[n] = '\0';
		return RESTANTE_OK;
	}
	sodium_memzero(out, RESTANTE_ENVELOPE_MAX + 1);
	return n == 0 ? fail_plain(error, RESTANTE_NOMEM)
		      : fail(error, RESTANTE_TOOBIG, "the envelope would exceed 8 KiB");
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum restante_code bad(const struct field *f, struct restante_error *e)
{
	return fail(e, RESTANTE_INVALID, "the envelope's field \"%s\" is not well formed", f->name);
}

static enum restante_code read_number(struct restante_envelope *out, const struct field *f,
				      const json_t *value, struct restante_error *e)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return bad(f, e);
	return restante_envelope_set_number(out, (enum restante_number)f->id,
					    (uint64_t)json_integer_value(value), e);
}

static enum restante_code read_time(struct restante_envelope *out, const struct field *f,
				    const json_t *value, struct restante_error *e)
{
	int64_t t;

	if (!clock_parse_rfc3339(json_string_value(value), json_string_length(value), &t))
		return bad(f, e);
	return restante_envelope_set_number(out, (enum restante_number)f->id, (uint64_t)t, e);
}

/* In one way only, so that the same bytes have the same text. */
static bool is_lower(const char *text)
{
	return text[strcspn(text, "ABCDEF")] == '\0';
}

static enum restante_code read_hex(struct restante_envelope *out, const struct field *f,
				   const json_t *value, struct restante_error *e)
{
	const char *text = json_string_value(value);
	uint8_t bytes[ENVELOPE_SHA256_SIZE];
	size_t size;

	if (!is_lower(text) ||
	    !hex_decode(bytes, sizeof(bytes), &size, text, json_string_length(value)))
		return bad(f, e);
	return restante_envelope_set_blob(out, (enum restante_blob)f->id, bytes, size, e);
}

static enum restante_code read_key(struct restante_envelope *out, const struct field *f,
				   const json_t *value, struct restante_error *e)
{
	uint8_t key[RESTANTE_KEY_SIZE];
	enum restante_code rc =
		restante_key_parse(key, json_string_value(value), json_string_length(value), e);

	if (rc == RESTANTE_OK)
		rc = restante_envelope_set_blob(out, (enum restante_blob)f->id, key, sizeof(key),
						e);
	sodium_memzero(key, sizeof(key));
	return rc;
}

static enum restante_code read_base64(struct restante_envelope *out, const struct field *f,
				      const json_t *value, struct restante_error *e)
{
	uint8_t bytes[ENVELOPE_PREVIEW_MAX];
	size_t size;

	if (!base64_decode(bytes, sizeof(bytes), &size, json_string_value(value),
			   json_string_length(value)))
		return bad(f, e);
	return restante_envelope_set_blob(out, (enum restante_blob)f->id, bytes, size, e);
}

static enum restante_code read_bars(struct restante_envelope *out, const struct field *f,
				    const json_t *value, struct restante_error *e)
{
	uint8_t bars[ENVELOPE_BARS];

	if (json_array_size(value) != ENVELOPE_BARS) /* 0 of what is no array */
		return bad(f, e);
	for (size_t i = 0; i < ENVELOPE_BARS; i++) {
		const json_t *bar = json_array_get(value, i);

		if (!json_is_integer(bar) || json_integer_value(bar) < 0 ||
		    json_integer_value(bar) > UINT8_MAX)
			return bad(f, e);
		bars[i] = (uint8_t)json_integer_value(bar);
	}
	return restante_envelope_set_blob(out, (enum restante_blob)f->id, bars, sizeof(bars), e);
}

static enum restante_code read_string(struct restante_envelope *out, const struct field *f,
				      const json_t *value, struct restante_error *e)
{
	switch (f->form) {
	case TEXT:
		return restante_envelope_set_text(out, (enum restante_text)f->id,
						  json_string_value(value), e);
	case TIME:
		return read_time(out, f, value, e);
	case HEX:
		return read_hex(out, f, value, e);
	case KEY:
		return read_key(out, f, value, e);
	default:
		return read_base64(out, f, value, e);
	}
}

static enum restante_code read_field(struct restante_envelope *out, const struct field *f,
				     const json_t *value, struct restante_error *e)
{
	if (f->form == NUMBER)
		return read_number(out, f, value, e);
	if (f->form == BARS)
		return read_bars(out, f, value, e);
	return json_is_string(value) ? read_string(out, f, value, e) : bad(f, e);
}

static enum restante_code read_fields(struct restante_envelope *out, const json_t *root,
				      struct restante_error *e)
{
	const json_t *version = json_object_get(root, "v");
	enum restante_code rc = RESTANTE_OK;

	if (!json_is_integer(version) || json_integer_value(version) != VERSION)
		return fail(e, RESTANTE_INVALID, "this is no envelope of version %d", VERSION);
	for (size_t i = 0; i < FIELDS && rc == RESTANTE_OK; i++) {
		const json_t *value = json_object_get(root, fields[i].name);

		if (value != NULL)
			rc = read_field(out, &fields[i], value, e);
	}
	return rc != RESTANTE_OK ? rc : envelope_check(out, e);
}

/* jansson's own sentences quote the text, and so perhaps the key: only the place is told. */
static enum restante_code parse(json_t **out, const char *text, size_t n, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	json_error_t why;

	*out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	if (*out == NULL && why.line < 0) /* mostly it says nothing when memory is wanting */
		rc = fail_plain(e, RESTANTE_NOMEM);
	else if (*out == NULL)
		rc = fail(e, RESTANTE_INVALID,
			  "the envelope is no JSON as it should be: line %d, column %d", why.line,
			  why.column);
	else if (!json_is_object(*out))
		rc = fail(e, RESTANTE_INVALID, "the envelope is no JSON object");
	sodium_memzero(&why, sizeof(why));
	return rc;
}

enum restante_code restante_envelope_decode(struct restante_envelope **out, const char *text,
					    size_t length, struct restante_error *error)
{
	struct restante_envelope *e = NULL;
	json_t *root = NULL;
	enum restante_code rc;

	if (out == NULL || text == NULL)
		return fail(error, RESTANTE_MISUSE, "an envelope, or room for one, is missing");
	if (length > RESTANTE_ENVELOPE_MAX)
		return fail(error, RESTANTE_TOOBIG, "an envelope has at most 8 KiB");
	if (!shallow_fits((struct bytes){ (const uint8_t *)text, length }))
		return fail(error, RESTANTE_INVALID, "the envelope is nested too deep");
	rc = parse(&root, text, length, error);
	if (rc == RESTANTE_OK)
		rc = restante_envelope_new(&e, error);
	if (rc == RESTANTE_OK)
		rc = read_fields(e, root, error);
	if (rc == RESTANTE_OK) {
		*out = e;
		e = NULL;
	}
	restante_envelope_free(e);
	drop(root);
	return rc;
}
