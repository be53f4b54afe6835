#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/card.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/words.h"

/* Shown is what is no secret to who may look over one's shoulder: neither key nor token, and of the
 * preview that there is one. */

static const struct option_row options[] = { OPTIONS_COMMON };

/* ---- JSON ---------------------------------------------------------------------------------- */

static const struct {
	enum restante_text field;
	const char *name;
} texts[] = {
	{ RESTANTE_TEXT_KIND, "kind" },
	{ RESTANTE_TEXT_TYPE, "type" },
	{ RESTANTE_TEXT_NAME, "name" },
	{ RESTANTE_TEXT_PREVIEW_TYPE, "preview_type" },
};

static const struct {
	enum restante_number field;
	const char *name;
} numbers[] = {
	{ RESTANTE_NUMBER_SIZE, "size" },
	{ RESTANTE_NUMBER_SEALED_SIZE, "sealed_size" },
	{ RESTANTE_NUMBER_WIDTH, "width" },
	{ RESTANTE_NUMBER_HEIGHT, "height" },
	{ RESTANTE_NUMBER_DURATION_MS, "duration_ms" },
};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static void add_waveform(json_t *o, const struct restante_envelope *card)
{
	size_t size = 0;
	const uint8_t *bars = restante_envelope_blob(card, RESTANTE_BLOB_WAVEFORM, &size);
	json_t *list;

	if (bars == NULL)
		return;
	list = json_array();
	for (size_t i = 0; i < size; i++)
		(void)json_array_append_new(list, json_integer(bars[i]));
	json_add(o, "waveform", list);
}

static void add_size_of(json_t *o, const char *name, const struct restante_envelope *card,
			enum restante_blob field)
{
	size_t size = 0;

	if (restante_envelope_blob(card, field, &size) != NULL)
		json_add(o, name, json_integer((json_int_t)size));
}

static bool show_json(const struct restante_envelope *card, struct trouble *t)
{
	json_t *o = json_object();
	size_t size = 0;
	uint64_t value;
	const uint8_t *sum = restante_envelope_blob(card, RESTANTE_BLOB_SHA256, &size);

	json_add(o, "v", json_integer(1));
	for (size_t i = 0; i < COUNT(texts); i++)
		json_add(o, texts[i].name, json_text(restante_envelope_text(card, texts[i].field)));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		if (restante_envelope_number(card, numbers[i].field, &value))
			json_add(o, numbers[i].name, json_integer((json_int_t)value));
	}
	json_add(o, "sha256", json_hex(sum, size));
	if (restante_envelope_number(card, RESTANTE_NUMBER_EXPIRES_AT, &value))
		json_add(o, "expires_at", json_time(value));
	add_waveform(o, card);
	add_size_of(o, "preview_size", card, RESTANTE_BLOB_PREVIEW);
	add_size_of(o, "thumbhash_size", card, RESTANTE_BLOB_THUMBHASH);
	return json_print(o, t);
}

/* ---- a table ------------------------------------------------------------------------------- */

static bool line(struct trouble *t, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static bool line(struct trouble *t, const char *name, const char *fmt, ...)
{
	char raw[512], clean[512], whole[560];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	say_clean(clean, sizeof(clean), raw);
	(void)snprintf(whole, sizeof(whole), "%-10s %s", name, clean);
	return output_line(whole, t);
}

static bool text_line(const struct restante_envelope *card, const char *name,
		      enum restante_text field, struct trouble *t)
{
	const char *value = restante_envelope_text(card, field);

	return value == NULL || line(t, name, "%s", value);
}

static bool size_line(const struct restante_envelope *card, const char *name,
		      enum restante_number field, struct trouble *t)
{
	char words[WORDS_SIZE];
	uint64_t size;

	if (!restante_envelope_number(card, field, &size))
		return true;
	if (size < 1024)
		return line(t, name, "%s", words_bytes(words, size));
	return line(t, name, "%s (%" PRIu64 " bytes)", words_bytes(words, size), size);
}

static bool frame_line(const struct restante_envelope *card, struct trouble *t)
{
	uint64_t width, height;

	return !restante_envelope_number(card, RESTANTE_NUMBER_WIDTH, &width) ||
	       !restante_envelope_number(card, RESTANTE_NUMBER_HEIGHT, &height) ||
	       line(t, "frame", "%" PRIu64 " x %" PRIu64 " pixels", width, height);
}

static bool duration_line(const struct restante_envelope *card, struct trouble *t)
{
	char words[WORDS_SIZE];
	uint64_t ms;

	return !restante_envelope_number(card, RESTANTE_NUMBER_DURATION_MS, &ms) ||
	       line(t, "duration", "%s", words_seconds(words, (ms + 500) / 1000));
}

/* As blocks of eight heights. */
static bool waveform_line(const struct restante_envelope *card, struct trouble *t)
{
	static const char blocks[8][4] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	char drawn[64 * 3 + 1] = "";
	size_t size = 0;
	const uint8_t *bars = restante_envelope_blob(card, RESTANTE_BLOB_WAVEFORM, &size);

	if (bars == NULL)
		return true;
	for (size_t i = 0; i < size && i < 64; i++)
		memcpy(drawn + 3 * i, blocks[bars[i] * 7 / 100 % 8], 3);
	return line(t, "waveform", "%s", drawn);
}

static bool expiry_line(const struct restante_envelope *card, struct trouble *t)
{
	char text[CLOCK_RFC3339_SIZE];
	uint64_t when;
	int64_t now = clock_now_s();

	if (!restante_envelope_number(card, RESTANTE_NUMBER_EXPIRES_AT, &when))
		return true;
	clock_rfc3339(text, (int64_t)when);
	return line(t, "expires", "%s%s", text, (int64_t)when <= now ? " (it is over)" : "");
}

static bool preview_line(const struct restante_envelope *card, struct trouble *t)
{
	const char *type = restante_envelope_text(card, RESTANTE_TEXT_PREVIEW_TYPE);
	size_t size = 0;

	if (restante_envelope_blob(card, RESTANTE_BLOB_PREVIEW, &size) == NULL)
		return true;
	return line(t, "preview", "%zu bytes of %s", size, type != NULL ? type : "a picture");
}

static bool digest_line(const struct restante_envelope *card, struct trouble *t)
{
	char hex[HEX_LEN(32) + 1];
	size_t size = 0;
	const uint8_t *sum = restante_envelope_blob(card, RESTANTE_BLOB_SHA256, &size);

	if (sum == NULL || size != 32)
		return line(t, "state", "it was still arriving");
	hex_encode(hex, sum, size);
	return line(t, "sha256", "%s", hex);
}

static bool show_table(const struct restante_envelope *card, struct trouble *t)
{
	return text_line(card, "kind", RESTANTE_TEXT_KIND, t) &&
	       text_line(card, "type", RESTANTE_TEXT_TYPE, t) &&
	       text_line(card, "name", RESTANTE_TEXT_NAME, t) &&
	       size_line(card, "size", RESTANTE_NUMBER_SIZE, t) &&
	       size_line(card, "sealed", RESTANTE_NUMBER_SEALED_SIZE, t) && frame_line(card, t) &&
	       duration_line(card, t) && waveform_line(card, t) && preview_line(card, t) &&
	       expiry_line(card, t) && digest_line(card, t);
}

/* ---- interface ----------------------------------------------------------------------------- */

static bool show(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct restante_envelope *card = NULL;
	bool ok = command_takes(o, 1, 1, t) && card_read(&card, o->args[0], t);

	ok = ok && (set->json ? show_json(card, t) : show_table(card, t));
	restante_envelope_free(card);
	return ok;
}

const struct command command_envelope_show = {
	"envelope show", "ENVELOPE", "Shows what an envelope tells, without its secrets",
	options,         show,
};
