#include <limits.h>
#include <string.h>

#include "cli/cancel.h"
#include "cli/command.h"
#include "cli/prepare.h"
#include "cli/send.h"

static const struct option_row options[] = {
	{ "kind", "KIND", "photo, video, voice or file; auto, the default, looks into it", 0 },
	{ "quality", "QUALITY", "of photos: standard, high or original", 0 },
	{ "format", "FORMAT", "of photos: auto, jpeg or webp", 0 },
	{ "strip", NULL, "remove metadata of original photos as well", 0 },
	{ "type", "TYPE", "media type, such as application/pdf", 0 },
	{ "name", "NAME", "file name in the envelope; without it only files have theirs", 0 },
	{ "no-name", NULL, "no file name in the envelope", 0 },
	{ "ttl", "TIME", "how long the server keeps it: 7d, 12h", 0 },
	{ "recipients", "N", "how many will acknowledge; after the last it is dropped", 0 },
	{ "parts", "N", "send in so many parts at once", 0 },
	{ "live", NULL, "print the envelope at once, while it is still being recorded", 0 },
	{ "final", "FILE", "with --live: write the whole envelope at the end", 0 },
	{ "sealed", NULL, "it is sealed already: send it as it is", 0 },
	{ "endpoint", "PATH", "where another tus server takes uploads", 0 },
	OPTIONS_SERVER,
	OPTIONS_COMMON,
};

/* ---- options ------------------------------------------------------------------------------- */

static bool read_format(const char *text, enum photo_format *out)
{
	static const char *const names[] = {
		[PHOTO_AUTO] = "auto", [PHOTO_JPEG] = "jpeg", [PHOTO_WEBP] = "webp"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], text) == 0) {
			*out = (enum photo_format)i;
			return true;
		}
	}
	return false;
}

/* The settings have been checked. */
static enum photo_tier tier_of(const char *quality)
{
	if (strcmp(quality, "high") == 0)
		return PHOTO_HIGH;
	return strcmp(quality, "original") == 0 ? PHOTO_ORIGINAL : PHOTO_STANDARD;
}

/* Envelopes say what a name and a type may be. */
static bool fits(enum restante_text field, const char *value)
{
	struct restante_envelope *card = NULL;
	bool ok = restante_envelope_new(&card, NULL) == RESTANTE_OK &&
		  restante_envelope_set_text(card, field, value, NULL) == RESTANTE_OK;

	restante_envelope_free(card);
	return ok;
}

static bool check(const struct send_options *s, struct trouble *t)
{
	if (s->name != NULL && s->no_name)
		return trouble_usage(t, "--name and --no-name do not go together");
	if (s->name != NULL && !fits(RESTANTE_TEXT_NAME, s->name))
		return trouble_usage(t, "--name: is a file name without folders, UTF-8, "
					"of at most 255 bytes");
	if (s->type != NULL && !fits(RESTANTE_TEXT_TYPE, s->type))
		return trouble_usage(t, "--type: is a media type such as application/pdf");
	if (s->final != NULL && !s->live)
		return trouble_usage(t, "--final goes with --live");
	if (s->live && s->sealed)
		return trouble_usage(t, "--live and --sealed do not go together");
	if (s->live && s->kind == MEDIA_PHOTO)
		return trouble_usage(t, "a photo is not sent live");
	return true;
}

static bool read_options(struct send_options *s, const struct options *o,
			 const struct settings *set, struct trouble *t)
{
	const char *kind = options_get(o, "kind"), *format = options_get(o, "format");

	*s = (struct send_options){
		.photo = { .tier = tier_of(set->quality),
			   .strip = options_get(o, "strip") != NULL },
		.photo_asked = options_get(o, "quality") != NULL || format != NULL ||
			       options_get(o, "strip") != NULL,
		.type = options_get(o, "type"),
		.name = options_get(o, "name"),
		.no_name = options_get(o, "no-name") != NULL,
		.live = options_get(o, "live") != NULL,
		.final = options_get(o, "final"),
		.sealed = options_get(o, "sealed") != NULL,
		.endpoint = options_get(o, "endpoint"),
	};
	if (kind != NULL && !media_read(kind, &s->kind))
		return trouble_usage(t, "--kind: is auto, photo, video, voice or file");
	if (format != NULL && !read_format(format, &s->photo.format))
		return trouble_usage(t, "--format: is auto, jpeg or webp");
	return check(s, t);
}

/* ---- all files ----------------------------------------------------------------------------- */

/* Whether the next file may fare better: this one's trouble is its own. */
static bool others_may_do(const struct trouble *t)
{
	if (cancel_signal() != 0)
		return false;
	if (t->from == TROUBLE_LOCAL)
		return t->local != ERR_NOMEM;
	return t->library == RESTANTE_INVALID || t->library == RESTANTE_TOOBIG ||
	       t->library == RESTANTE_CHANGED || t->library == RESTANTE_IO;
}

/* Troubles are told file by file; the first counts for the exit code. */
static bool send_all(struct sender *s, char **paths, struct trouble *t)
{
	bool ok = true;

	for (; *paths != NULL; paths++) {
		struct trouble now = { 0 };

		if (send_one(s, *paths, &now))
			continue;
		trouble_tell(&now);
		if (ok)
			*t = now;
		ok = false;
		if (!others_may_do(&now))
			break;
	}
	return ok;
}

static bool one_input(char **paths, const struct send_options *o, int count, struct trouble *t)
{
	int streams = 0;

	for (; *paths != NULL; paths++)
		streams += strcmp(*paths, "-") == 0;
	if (streams > 1)
		return trouble_usage(t, "standard input can be sent once");
	if (count > 1 && (o->live || o->name != NULL))
		return trouble_usage(t, "--live and --name go with one file");
	return true;
}

static bool put(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct send_options so;
	struct sender s = { .options = &so, .settings = set };
	bool ok;

	if (!command_takes(o, 1, INT_MAX, t) || !read_options(&so, o, set, t) ||
	    !one_input(o->args, &so, o->arg_count, t) || !settings_client(&s.client, set, t))
		return false;
	ok = send_all(&s, o->args, t);
	settings_release(s.client);
	prepare_stop();
	return ok;
}

const struct command command_put = {
	"put",
	"FILE...",
	"Prepares, seals and sends each FILE, and prints its envelope; - is standard input",
	options,
	put,
};
