#include "cli/card.h"

#include <string.h>

#include "cli/input.h"

bool card_new(struct restante_envelope **out, struct trouble *t)
{
	struct restante_error e = { 0 };

	return restante_envelope_new(out, &e) == RESTANTE_OK || trouble_library(t, &e, NULL);
}

bool card_text(struct restante_envelope *card, enum restante_text field, const char *value,
	       struct trouble *t)
{
	struct restante_error e = { 0 };

	return restante_envelope_set_text(card, field, value, &e) == RESTANTE_OK ||
	       trouble_library(t, &e, NULL);
}

bool card_number(struct restante_envelope *card, enum restante_number field, uint64_t value,
		 struct trouble *t)
{
	struct restante_error e = { 0 };

	return restante_envelope_set_number(card, field, value, &e) == RESTANTE_OK ||
	       trouble_library(t, &e, NULL);
}

bool card_blob(struct restante_envelope *card, enum restante_blob field, const void *value,
	       size_t size, struct trouble *t)
{
	struct restante_error e = { 0 };

	return restante_envelope_set_blob(card, field, value, size, &e) == RESTANTE_OK ||
	       trouble_library(t, &e, NULL);
}

bool card_copy_text(struct restante_envelope *to, const struct restante_envelope *from,
		    enum restante_text field, struct trouble *t)
{
	const char *value = restante_envelope_text(from, field);

	return value == NULL || card_text(to, field, value, t);
}

bool card_copy_number(struct restante_envelope *to, const struct restante_envelope *from,
		      enum restante_number field, struct trouble *t)
{
	uint64_t value;

	return !restante_envelope_number(from, field, &value) || card_number(to, field, value, t);
}

bool card_copy_blob(struct restante_envelope *to, const struct restante_envelope *from,
		    enum restante_blob field, struct trouble *t)
{
	size_t size = 0;
	const uint8_t *value = restante_envelope_blob(from, field, &size);

	return value == NULL || card_blob(to, field, value, size, t);
}

static bool no_envelope(const char *shown, struct trouble *t)
{
	return trouble_local(t, ERR_INVALID, "%.200s: is no envelope, which put prints", shown);
}

/* A JPEG, a sentence, nothing: there is no place in it to point at. */
static bool read_envelope(const char *path, const char *shown, char *text, struct trouble *t)
{
	if (!input_text(path, text, RESTANTE_ENVELOPE_MAX, t))
		return t->from == TROUBLE_LOCAL && t->local == ERR_TOOBIG ? no_envelope(shown, t)
									  : false;
	return text[strspn(text, " \t\r\n")] == '{' || no_envelope(shown, t);
}

bool card_read(struct restante_envelope **out, const char *path, struct trouble *t)
{
	char text[RESTANTE_ENVELOPE_MAX + 2];
	const char *shown = strcmp(path, "-") == 0 ? "standard input" : path;
	struct restante_error e = { 0 };
	bool ok = read_envelope(path, shown, text, t);

	if (ok && restante_envelope_decode(out, text, strlen(text), &e) != RESTANTE_OK)
		ok = trouble_library(t, &e, shown);
	explicit_bzero(text, sizeof(text));
	return ok;
}
