#include "client/seal/envelope.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/header.h"
#include "wire/token.h"

#define SAFE_INTEGER ((UINT64_C(1) << 53) - 1) /* what every JSON reader has exactly (RFC 7493) */
#define LAST_SECOND UINT64_C(253402300799)     /* 9999-12-31T23:59:59Z */
#define PIXELS_MAX UINT64_C(1000000)
#define DURATION_MAX (UINT64_C(1) << 40)
#define MEDIA_TYPE_MAX 127
#define BAR_MAX 100

/* ---- what a text may be -----------------------------------------------------------------------
 */

static bool is_one_of(const char *value, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcmp(value, *words) == 0)
			return true;
	}
	return false;
}

static bool is_kind(const char *value, size_t n)
{
	static const char *const kinds[] = { "photo", "video", "voice", "file", NULL };

	(void)n;
	return is_one_of(value, kinds);
}

static bool is_preview_type(const char *value, size_t n)
{
	static const char *const types[] = { "image/jpeg", "image/webp", NULL };

	(void)n;
	return is_one_of(value, types);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* restricted-name, RFC 6838 section 4.2; its length is bounded by that of the whole. */
static bool is_restricted_name(const char *p, size_t n)
{
	if (n == 0 || !is_alnum(p[0]))
		return false;
	for (size_t i = 1; i < n; i++) {
		if (!is_alnum(p[i]) && strchr("!#$&-^_.+", p[i]) == NULL)
			return false;
	}
	return true;
}

/* Without parameters: what a player has to know about the inside, it finds inside. */
static bool is_media_type(const char *value, size_t n)
{
	const char *slash = strchr(value, '/');

	return n <= MEDIA_TYPE_MAX && slash != NULL &&
	       is_restricted_name(value, (size_t)(slash - value)) &&
	       is_restricted_name(slash + 1, n - (size_t)(slash - value) - 1);
}

/* A manage token must never go to a recipient by mistake. */
static bool is_fetch_token(const char *value, size_t n)
{
	struct token t;

	return token_read(&t, value, n) == ERR_OK && t.type == TOKEN_FETCH;
}

/* One character of UTF-8 (RFC 3629): its bytes, or 0 if it is none: stray or missing bytes, a
 * longer form than needed, a surrogate, or past U+10FFFF. */
static size_t take_char(const char *text, size_t n, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)text;
	const size_t len = p[0] < 0x80   ? 1
			   : p[0] < 0xc0 ? 0
			   : p[0] < 0xe0 ? 2
			   : p[0] < 0xf0 ? 3
					 : 4;
	uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);

	if (len == 0 || len > n || p[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

/* C0, DEL and C1. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

/* What turns text around or breaks a line, so that a name looks like another: the characters that
 * Unicode calls Bidi_Control (UAX #9), and its separators of lines and paragraphs. */
static bool turns_or_breaks(uint32_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static bool is_name(const char *value, size_t n)
{
	uint32_t c;

	if (n == 0 || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return false;
	for (size_t at = 0, len; at < n; at += len) {
		len = take_char(value + at, n - at, &c);
		if (len == 0 || is_control(c) || turns_or_breaks(c) || c == '/' || c == '\\')
			return false;
	}
	return true;
}

static const struct {
	bool (*fits)(const char *value, size_t n); /* n is at most ENVELOPE_TEXT_MAX */
	const char *rule;
} texts[RESTANTE_TEXT_COUNT] = {
	[RESTANTE_TEXT_KIND] = { is_kind, "the kind is photo, video, voice or file" },
	[RESTANTE_TEXT_TYPE] = { is_media_type,
				 "the type is a media type without parameters, such as image/jpeg, "
				 "of at most 127 bytes" },
	[RESTANTE_TEXT_TOKEN] = { is_fetch_token, "the token is a fetch token" },
	[RESTANTE_TEXT_NAME] = { is_name,
				 "the name is 1 to 255 bytes of UTF-8, with neither control "
				 "characters (bidirectional ones too) nor folders" },
	[RESTANTE_TEXT_PREVIEW_TYPE] = { is_preview_type,
					 "the type of a preview is image/jpeg or image/webp" },
};

/* ---- numbers and blobs ------------------------------------------------------------------------
 */

static const struct {
	uint64_t min, max;
	const char *rule;
} numbers[RESTANTE_NUMBER_COUNT] = {
	[RESTANTE_NUMBER_SIZE] = { 0, SAFE_INTEGER, "the size is less than 2^53" },
	[RESTANTE_NUMBER_SEALED_SIZE] = { 0, SAFE_INTEGER, "the sealed size is less than 2^53" },
	[RESTANTE_NUMBER_EXPIRES_AT] = { 0, LAST_SECOND, "the end is before the year 10000" },
	[RESTANTE_NUMBER_WIDTH] = { 1, PIXELS_MAX, "the width is 1 to 1000000 pixels" },
	[RESTANTE_NUMBER_HEIGHT] = { 1, PIXELS_MAX, "the height is 1 to 1000000 pixels" },
	[RESTANTE_NUMBER_DURATION_MS] = { 0, DURATION_MAX, "the duration is at most 2^40 ms" },
};

#define PLACE(member) offsetof(struct restante_envelope, member)

static const struct {
	size_t at, min, max; /* where in the struct, and how many bytes */
	const char *rule;
} blobs[RESTANTE_BLOB_COUNT] = {
	[RESTANTE_BLOB_KEY] = { PLACE(key), RESTANTE_KEY_SIZE, RESTANTE_KEY_SIZE,
				"the key has 32 bytes" },
	[RESTANTE_BLOB_SHA256] = { PLACE(sha256), ENVELOPE_SHA256_SIZE, ENVELOPE_SHA256_SIZE,
				   "a SHA-256 has 32 bytes" },
	[RESTANTE_BLOB_WAVEFORM] = { PLACE(waveform), ENVELOPE_BARS, ENVELOPE_BARS,
				     "the waveform has 64 bars from 0 to 100" },
	[RESTANTE_BLOB_PREVIEW] = { PLACE(preview), 1, ENVELOPE_PREVIEW_MAX,
				    "the preview has 1 to 4096 bytes" },
	[RESTANTE_BLOB_THUMBHASH] = { PLACE(thumbhash), 1, ENVELOPE_THUMBHASH_MAX,
				      "the thumbhash has 1 to 25 bytes" },
};

static bool are_bars(const uint8_t *bars, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bars[i] > BAR_MAX)
			return false;
	}
	return true;
}

static bool blob_fits(enum restante_blob field, const void *value, size_t size)
{
	return size >= blobs[field].min && size <= blobs[field].max &&
	       (field != RESTANTE_BLOB_WAVEFORM || are_bars(value, size));
}

/* ---- the handle -------------------------------------------------------------------------------
 */

enum restante_code restante_envelope_new(struct restante_envelope **out,
					 struct restante_error *error)
{
	struct restante_envelope *e;

	if (out == NULL)
		return fail(error, RESTANTE_MISUSE, "there is nowhere to put the envelope");
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	*out = e;
	return RESTANTE_OK;
}

void restante_envelope_free(struct restante_envelope *envelope)
{
	if (envelope == NULL)
		return;
	sodium_memzero(envelope, sizeof(*envelope));
	free(envelope);
}

static enum restante_code refuse(struct restante_error *e, const char *rule)
{
	return fail(e, RESTANTE_INVALID, "in an envelope, %s", rule);
}

static enum restante_code misuse(struct restante_error *e)
{
	return fail(e, RESTANTE_MISUSE, "an envelope has no such field, or there is no envelope");
}

enum restante_code restante_envelope_set_text(struct restante_envelope *envelope,
					      enum restante_text field, const char *value,
					      struct restante_error *error)
{
	size_t n = value != NULL ? strnlen(value, ENVELOPE_TEXT_MAX + 1) : 0;

	if (envelope == NULL || (unsigned)field >= RESTANTE_TEXT_COUNT)
		return misuse(error);
	if (value != NULL && (n > ENVELOPE_TEXT_MAX || !texts[field].fits(value, n)))
		return refuse(error, texts[field].rule);
	/* value may be what the field has now */
	memmove(envelope->texts[field], value != NULL ? value : "", n);
	sodium_memzero(envelope->texts[field] + n, sizeof(envelope->texts[field]) - n);
	return RESTANTE_OK;
}

enum restante_code restante_envelope_set_number(struct restante_envelope *envelope,
						enum restante_number field, uint64_t value,
						struct restante_error *error)
{
	if (envelope == NULL || (unsigned)field >= RESTANTE_NUMBER_COUNT)
		return misuse(error);
	if (value < numbers[field].min || value > numbers[field].max)
		return refuse(error, numbers[field].rule);
	envelope->numbers[field] = value;
	envelope->has_number[field] = true;
	return RESTANTE_OK;
}

enum restante_code restante_envelope_set_blob(struct restante_envelope *envelope,
					      enum restante_blob field, const void *value,
					      size_t size, struct restante_error *error)
{
	uint8_t *place;

	if (envelope == NULL || (unsigned)field >= RESTANTE_BLOB_COUNT)
		return misuse(error);
	if (value != NULL && !blob_fits(field, value, size))
		return refuse(error, blobs[field].rule);
	size = value != NULL ? size : 0;
	place = (uint8_t *)envelope + blobs[field].at;
	if (size > 0)
		memmove(place, value, size);
	sodium_memzero(place + size, blobs[field].max - size);
	envelope->blob_sizes[field] = size;
	return RESTANTE_OK;
}

const char *restante_envelope_text(const struct restante_envelope *envelope,
				   enum restante_text field)
{
	if (envelope == NULL || (unsigned)field >= RESTANTE_TEXT_COUNT ||
	    envelope->texts[field][0] == '\0')
		return NULL;
	return envelope->texts[field];
}

bool restante_envelope_number(const struct restante_envelope *envelope, enum restante_number field,
			      uint64_t *out)
{
	if (envelope == NULL || out == NULL || (unsigned)field >= RESTANTE_NUMBER_COUNT ||
	    !envelope->has_number[field])
		return false;
	*out = envelope->numbers[field];
	return true;
}

const uint8_t *restante_envelope_blob(const struct restante_envelope *envelope,
				      enum restante_blob field, size_t *size)
{
	if (envelope == NULL || size == NULL || (unsigned)field >= RESTANTE_BLOB_COUNT ||
	    envelope->blob_sizes[field] == 0)
		return NULL;
	*size = envelope->blob_sizes[field];
	return (const uint8_t *)envelope + blobs[field].at;
}

/* ---- as a whole -------------------------------------------------------------------------------
 */

static bool has_text(const struct restante_envelope *e, enum restante_text field)
{
	return e->texts[field][0] != '\0';
}

static bool has_blob(const struct restante_envelope *e, enum restante_blob field)
{
	return e->blob_sizes[field] != 0;
}

static bool has_required(const struct restante_envelope *e)
{
	return has_text(e, RESTANTE_TEXT_KIND) && has_text(e, RESTANTE_TEXT_TYPE) &&
	       has_text(e, RESTANTE_TEXT_TOKEN) && has_blob(e, RESTANTE_BLOB_KEY);
}

/* All three, or none while it is still being recorded. */
static bool tells_sizes_or_none(const struct restante_envelope *e)
{
	const bool has_digest = has_blob(e, RESTANTE_BLOB_SHA256);

	return e->has_number[RESTANTE_NUMBER_SIZE] == has_digest &&
	       e->has_number[RESTANTE_NUMBER_SEALED_SIZE] == has_digest;
}

/* More there may be, but not any: padding, and headers that others make. */
static bool sizes_agree(const struct restante_envelope *e)
{
	const uint64_t size = e->numbers[RESTANTE_NUMBER_SIZE];
	const uint64_t sealed = e->numbers[RESTANTE_NUMBER_SEALED_SIZE];

	return !e->has_number[RESTANTE_NUMBER_SIZE] ||
	       (sealed >= restante_sealed_size(size) &&
		sealed <= restante_sealed_size(restante_padded_size(size)) + HEADER_MAX);
}

enum restante_code envelope_check(const struct restante_envelope *envelope,
				  struct restante_error *e)
{
	if (!has_required(envelope))
		return refuse(e, "kind, type, token and key are there");
	if (!tells_sizes_or_none(envelope))
		return refuse(e, "size, sealed size and SHA-256 are there, or none of them");
	if (!sizes_agree(envelope))
		return refuse(e, "the sealed size is that of the size, padded or not");
	if (envelope->has_number[RESTANTE_NUMBER_WIDTH] !=
	    envelope->has_number[RESTANTE_NUMBER_HEIGHT])
		return refuse(e, "width and height go together");
	if (has_blob(envelope, RESTANTE_BLOB_PREVIEW) !=
	    has_text(envelope, RESTANTE_TEXT_PREVIEW_TYPE))
		return refuse(e, "a preview and its type go together");
	return RESTANTE_OK;
}
