#include "cli/prepare.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cancel.h"
#include "cli/card.h"
#include "cli/folders.h"
#include "cli/say.h"
#include "video/video.h"
#include "voice/strip.h"
#include "voice/voice.h"

/* ---- troubles ------------------------------------------------------------------------------ */

/* It is the file's fault, and there is a way to send it all the same, unless the sentence says it
 * already. */
static bool unusable(const struct input *in, const struct err *e, struct trouble *t)
{
	if ((e->code != ERR_INVALID && e->code != ERR_TOOBIG) || strstr(e->why, "--kind") != NULL)
		return trouble_err(t, e, in->shown);
	return trouble_local(t, e->code, "%.150s: %s; --kind file sends it as it is", in->shown,
			     e->why[0] != '\0' ? e->why : err_text(e->code));
}

/* ---- photos -------------------------------------------------------------------------------- */

static bool photos_started;

static bool start_photos(struct trouble *t)
{
	struct err e = { 0 };

	if (!photos_started && photo_start(&e) != ERR_OK)
		return trouble_err(t, &e, NULL);
	photos_started = true;
	return true;
}

void prepare_stop(void)
{
	if (photos_started)
		photo_stop();
	photos_started = false;
}

static bool put_preview(struct restante_envelope *card, const struct photo_preview *p,
			struct trouble *t)
{
	if (p->image_size > 0 &&
	    (!card_blob(card, RESTANTE_BLOB_PREVIEW, p->image, p->image_size, t) ||
	     !card_text(card, RESTANTE_TEXT_PREVIEW_TYPE, p->image_type, t)))
		return false;
	return p->thumbhash_size == 0 ||
	       card_blob(card, RESTANTE_BLOB_THUMBHASH, p->thumbhash, p->thumbhash_size, t);
}

static bool put_frame(struct restante_envelope *card, const char *type, uint64_t width,
		      uint64_t height, struct trouble *t)
{
	return card_text(card, RESTANTE_TEXT_TYPE, type, t) &&
	       card_number(card, RESTANTE_NUMBER_WIDTH, width, t) &&
	       card_number(card, RESTANTE_NUMBER_HEIGHT, height, t);
}

static bool photo(struct content *out, struct restante_envelope *card, struct input *in,
		  const struct recipe *r, struct trouble *t)
{
	struct err e = { 0 };
	size_t size = 0;

	if (!start_photos(t) || !input_whole(in, PREPARE_PHOTO_MAX, &out->whole, &size, t))
		return false;
	out->memory = (struct bytes){ out->whole, size };
	if (photo_prepare(&out->photo, out->memory, &r->photo, &e) != ERR_OK)
		return unusable(in, &e, t);
	if (out->photo.data != NULL) {
		free(out->whole);
		out->whole = NULL;
		out->memory = (struct bytes){ out->photo.data, out->photo.size };
	}
	if (out->photo.data != NULL || in->stream)
		out->from = CONTENT_MEMORY;
	return put_frame(card, out->photo.type, out->photo.width, out->photo.height, t) &&
	       put_preview(card, &out->photo.preview, t);
}

/* ---- voice notes --------------------------------------------------------------------------- */

bool prepare_voice(struct restante_envelope *card, struct bytes recording, struct err *e,
		   struct trouble *t)
{
	struct voice v;

	if (voice_measure(&v, recording, e) != ERR_OK)
		return trouble_err(t, e, NULL);
	return card_number(card, RESTANTE_NUMBER_DURATION_MS, v.duration_ms, t) &&
	       card_blob(card, RESTANTE_BLOB_WAVEFORM, v.bars, sizeof(v.bars), t);
}

/* Measured is what is sent: without what somebody wrote into it. */
static bool voice(struct content *out, struct restante_envelope *card, struct input *in,
		  struct trouble *t)
{
	size_t max = in->stream ? PREPARE_VOICE_STREAM_MAX : PREPARE_VOICE_MAX, size = 0;
	struct err e = { 0 };
	uint8_t *stripped;

	if (!input_whole(in, max, &out->whole, &size, t))
		return false;
	if (voice_strip((struct bytes){ out->whole, size }, &stripped, &size, &e) != ERR_OK)
		return unusable(in, &e, t);
	free(out->whole);
	out->whole = stripped;
	out->memory = (struct bytes){ stripped, size };
	out->from = CONTENT_MEMORY;
	if (prepare_voice(card, out->memory, &e, t))
		return true;
	return e.code == ERR_OK ? false : unusable(in, &e, t);
}

/* ---- videos -------------------------------------------------------------------------------- */

static bool put_poster(struct restante_envelope *card, const struct video *v, struct trouble *t)
{
	struct photo_preview preview;
	struct err e = { 0 };

	if (v->frame == NULL)
		return true;
	if (!start_photos(t))
		return false;
	if (photo_preview_of(&preview, v->frame, v->frame_width, v->frame_height, 3, &e) != ERR_OK)
		return trouble_err(t, &e, NULL);
	return put_preview(card, &preview, t);
}

static bool put_video(struct restante_envelope *card, const struct video *v, struct trouble *t)
{
	if (v->width > 0 && v->height > 0 && !put_frame(card, v->type, v->width, v->height, t))
		return false;
	return card_text(card, RESTANTE_TEXT_TYPE, v->type, t) &&
	       card_number(card, RESTANTE_NUMBER_DURATION_MS, v->duration_ms, t) &&
	       put_poster(card, v, t);
}

static bool video_file(struct content *out, struct restante_envelope *card, struct input *in,
		       int fd, const char *folder, struct trouble *t)
{
	struct video v = { 0 };
	struct err e = { 0 };
	bool ok;

	out->fd = folders_temporary(folder, t);
	if (out->fd < 0)
		return false;
	if (video_prepare(&v, fd, out->fd, &e) != ERR_OK)
		return unusable(in, &e, t);
	if (v.rewritten)
		out->from = CONTENT_FD;
	ok = put_video(card, &v, t);
	video_fini(&v);
	return ok;
}

/* A file without a name that holds what comes out of a pipe; -1: *t tells why not. */
static int spool_stream(struct input *in, const char *folder, struct trouble *t)
{
	int fd = folders_temporary(folder, t);

	if (fd < 0 || input_copy(in, fd, folder, PREPARE_VIDEO_STREAM_MAX, t))
		return fd;
	if (t->from == TROUBLE_LOCAL && t->local == ERR_TOOBIG)
		(void)trouble_local(t, ERR_TOOBIG,
				    "%.150s: is larger than 2 GiB, too much for a video out of a "
				    "pipe; --kind file sends it as it is",
				    in->shown);
	(void)close(fd);
	return -1;
}

static bool video(struct content *out, struct restante_envelope *card, struct input *in,
		  const struct recipe *r, const char *folder, struct trouble *t)
{
	int fd = in->fd;
	bool ok;

	if (!video_supported()) {
		if (!r->quiet)
			say("%.200s: is sent as it is: this restante is built without ffmpeg's "
			    "libraries",
			    in->shown);
		return true;
	}
	if (in->stream)
		fd = spool_stream(in, folder, t);
	ok = fd >= 0 && video_file(out, card, in, fd, folder, t);
	if (in->stream && fd >= 0)
		(void)close(fd);
	return ok;
}

/* ---- all of them --------------------------------------------------------------------------- */

bool prepare_label(struct restante_envelope *card, const struct recipe *r, struct trouble *t)
{
	return card_text(card, RESTANTE_TEXT_KIND, media_name(r->kind), t) &&
	       card_text(card, RESTANTE_TEXT_TYPE, r->type, t) &&
	       (r->name == NULL || card_text(card, RESTANTE_TEXT_NAME, r->name, t));
}

bool prepare(struct content *out, struct restante_envelope *card, struct input *in,
	     const struct recipe *r, const char *folder, struct trouble *t)
{
	bool ok;

	*out = (struct content){ .from = CONTENT_AS_IS, .fd = -1 };
	ok = prepare_label(card, r, t);
	if (ok && r->kind == MEDIA_PHOTO)
		ok = photo(out, card, in, r, t);
	else if (ok && r->kind == MEDIA_VOICE)
		ok = voice(out, card, in, t);
	else if (ok && r->kind == MEDIA_VIDEO)
		ok = video(out, card, in, r, folder, t);
	if (ok && out->from == CONTENT_AS_IS) { /* what was read was for looking only */
		free(out->whole);
		out->whole = NULL;
	}
	return ok && input_unchanged(in, t) && cancel_not(t);
}

void prepare_fini(struct content *c)
{
	photo_fini(&c->photo);
	free(c->whole);
	if (c->fd >= 0)
		(void)close(c->fd);
	*c = (struct content){ .fd = -1 };
}
