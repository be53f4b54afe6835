#include "cli/job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/emit.h"
#include "cli/say.h"
#include "cli/spool.h"
#include "restante/version.h"

/* ---- what it is ---------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Of photos, videos and voice notes a camera's or recorder's name would tell when they were made.
 * A name that no envelope takes is left out, if nobody asked for it. */
static void choose_name(struct job *j)
{
	const struct send_options *o = j->s->options;
	struct recipe *r = &j->recipe;

	r->name = o->name;
	if (o->name != NULL || o->no_name || r->kind != MEDIA_FILE || j->in.stream)
		return;
	r->name = base_name(j->in.path);
	if (restante_envelope_set_text(j->card, RESTANTE_TEXT_NAME, r->name, NULL) != RESTANTE_OK)
		r->name = NULL;
}

static const char *default_type(enum media kind)
{
	return kind == MEDIA_VOICE ? "audio/ogg" : MEDIA_UNKNOWN_TYPE;
}

/* A video's type is a video's, whatever libmagic makes of it. */
static void choose_type(struct job *j)
{
	const char *asked = j->s->options->type, *guessed = j->guess.type;
	struct recipe *r = &j->recipe;

	if (asked != NULL)
		r->type = asked;
	else if (r->kind == MEDIA_FILE && guessed[0] != '\0')
		r->type = guessed;
	else if (r->kind == MEDIA_VIDEO && strncmp(guessed, "video/", 6) == 0)
		r->type = guessed;
	else
		r->type = default_type(r->kind);
}

/* Of what looks as if it were prepared, and is not, people are told. */
static bool tell_as_it_is(struct job *j)
{
	const char *type = j->guess.type, *what = NULL;

	if (strncmp(type, "image/", 6) == 0)
		what = "pictures of this type";
	else if (j->guess.only_sound)
		what = "recordings of this type";
	if (j->s->options->kind != MEDIA_AUTO || j->recipe.kind != MEDIA_FILE || what == NULL)
		return true;
	if (j->s->options->photo_asked && !j->guess.only_sound)
		return trouble_local(j->t, ERR_INVALID,
				     "%.150s: %s (%s) cannot be prepared; --kind file, without "
				     "options for photos, sends it as it is",
				     j->in.shown, what, type);
	if (!j->recipe.quiet)
		say("%.150s: is sent as it is, metadata and all: %s (%s) are not prepared",
		    j->in.shown, what, type);
	return true;
}

/* Looks into the file where that is of use. Of a stream that is live not longer than it must: the
 * envelope is waited for. */
bool job_decide(struct job *j)
{
	const struct send_options *o = j->s->options;
	bool by_kind = o->kind == MEDIA_VOICE || o->kind == MEDIA_PHOTO;

	j->recipe = (struct recipe){ .kind = o->kind,
				     .photo = o->photo,
				     .quiet = j->s->settings->quiet };
	if (o->kind == MEDIA_AUTO || (o->type == NULL && !by_kind)) {
		if (!input_peek(&j->in, o->live, j->t))
			return false;
		media_guess(&j->guess, (struct bytes){ j->in.head, j->in.head_size });
		if (o->kind == MEDIA_AUTO)
			j->recipe.kind = j->guess.kind;
	}
	choose_type(j);
	choose_name(j);
	return tell_as_it_is(j);
}

/* ---- the upload ---------------------------------------------------------------------------- */

bool job_ok(struct job *j, enum restante_code rc, const struct restante_error *e)
{
	return rc == RESTANTE_OK || trouble_library(j->t, e, j->in.shown);
}

bool job_upload(struct job *j, const char *kind)
{
	const struct settings *set = j->s->settings;
	struct restante_error e = { 0 };

	if (!job_ok(j, restante_upload_new(&j->upload, j->s->client, &e), &e) ||
	    !job_ok(j, restante_upload_set_kind(j->upload, kind, &e), &e))
		return false;
	restante_upload_set_ttl(j->upload, set->ttl_s);
	restante_upload_set_recipients(j->upload, (unsigned)set->recipients);
	restante_upload_set_parts(j->upload, (unsigned)set->parts);
	restante_upload_set_progress(j->upload, progress_update, &j->s->progress);
	return j->s->options->endpoint == NULL ||
	       job_ok(j, restante_upload_set_endpoint(j->upload, j->s->options->endpoint, &e), &e);
}

bool job_run(struct job *j, struct restante_envelope *card)
{
	struct restante_error e = { 0 };
	enum restante_code rc = restante_upload_run(j->upload, card, &e);

	progress_clear(&j->s->progress);
	return job_ok(j, rc, &e);
}

bool job_print(struct job *j, struct trouble *t)
{
	const struct settings *set = j->s->settings;

	if (!emit_envelope(j->card, j->upload, set->json, t))
		return false;
	if (!set->quiet && !set->json)
		emit_note(j->upload);
	return true;
}

bool job_take_back(struct job *j, struct trouble *t)
{
	const char *manage = restante_upload_manage_token(j->upload);
	struct trouble cause = *t;
	bool gone = manage != NULL && restante_delete(j->s->client, manage, NULL) == RESTANTE_OK;

	return trouble_local(t, cause.local, "%.300s; %s", cause.text,
			     gone ? "what was sent was deleted again"
				  : "what was sent stays on the server for its time");
}

bool job_hand_out(struct job *j)
{
	return job_print(j, j->t) || job_take_back(j, j->t);
}

/* ---- taking up again ----------------------------------------------------------------------- */

/* The content cannot be looked at before it is read, so its state on the disk stands for it. */
static void add_file(struct digester *d, const struct stat *st)
{
	const int64_t what[] = { (int64_t)st->st_dev, (int64_t)st->st_ino, (int64_t)st->st_size,
				 st->st_mtim.tv_sec,  st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
				 st->st_ctim.tv_nsec };

	state_id_add(d, what, sizeof(what));
}

static void add_text(struct digester *d, const char *text)
{
	if (text == NULL)
		state_id_add(d, "", 0);
	else
		state_id_add(d, text, strlen(text) + 1);
}

static void add_options(struct digester *d, const struct send_options *o,
			const struct settings *set)
{
	const uint64_t numbers[] = { o->kind,        o->photo.tier,   o->photo.format,
				     o->photo.strip, o->no_name,      o->sealed,
				     set->ttl_s,     set->recipients, set->parts };

	state_id_add(d, numbers, sizeof(numbers));
	add_text(d, o->type);
	add_text(d, o->name);
	add_text(d, o->endpoint);
	add_text(d, set->server);
	add_text(d, RESTANTE_VERSION); /* another one may prepare otherwise */
}

bool job_take_place(struct job *j)
{
	char real[PATH_MAX], id[STATE_ID_SIZE];
	struct digester d;

	if (realpath(j->in.path, real) == NULL)
		return trouble_errno(j->t, j->in.shown);
	digest_init(&d);
	add_text(&d, real);
	add_file(&d, &j->in.st);
	add_options(&d, j->s->options, j->s->settings);
	state_id_end(&d, id);
	return state_open(&j->state, id, clock_now_s(), j->t);
}

/* Whether it is of use to come back to what lies there. */
static bool worth_keeping(enum restante_code code)
{
	switch (code) {
	case RESTANTE_TAMPERED:
	case RESTANTE_CHANGED:
	case RESTANTE_TOOBIG:
	case RESTANTE_INVALID:
	case RESTANTE_MISUSE:
		return false;
	default:
		return true;
	}
}

bool job_run_resumable(struct job *j, struct restante_envelope *card)
{
	struct restante_error e = { 0 };
	char *path = state_path(&j->state, SPOOL_UPLOAD);
	bool ok;

	if (path == NULL)
		return trouble_local(j->t, ERR_NOMEM, "out of memory");
	ok = job_ok(j, restante_upload_set_state(j->upload, path, &e), &e);
	free(path);
	if (!ok)
		return false;
	if (job_run(j, card)) {
		j->state.keep = false;
		return true;
	}
	j->state.keep = j->t->from == TROUBLE_LIBRARY && worth_keeping(j->t->library);
	j->t->resumable = j->state.keep;
	return false;
}
