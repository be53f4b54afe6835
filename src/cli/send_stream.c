#include <stdio.h>
#include <stdlib.h>

#include "cli/cancel.h"
#include "cli/card.h"
#include "cli/emit.h"
#include "cli/folders.h"
#include "cli/job.h"
#include "cli/say.h"

/* ---- a stream ------------------------------------------------------------------------------ */

/* What was taken out of it to look into it is passed on in front of the rest. */
static bool open_stream(struct job *j, bool padded, size_t keep_max)
{
	struct restante_error e = { 0 };
	int fd = j->in.fd;

	if ((j->in.stream && j->in.head != NULL) || keep_max > 0) {
		if (!feed_start(&j->feed, &j->in, keep_max, j->s->client, j->t))
			return false;
		fd = feed_fd(j->feed);
	}
	return job_ok(j, restante_upload_fd(j->upload, fd, padded, &e), &e);
}

/* What the feed could not read is the cause of everything else. */
static bool run_stream(struct job *j)
{
	bool ok = job_run(j, j->card);

	return (j->feed == NULL || feed_end(j->feed, j->t)) && ok;
}

static bool send_memory(struct job *j)
{
	struct restante_error e = { 0 };
	struct bytes b = j->content.memory;

	return job_ok(j, restante_upload_memory(j->upload, b.data, b.len, &e), &e) &&
	       job_run(j, j->card);
}

/* The library wants a path. */
static bool send_prepared_file(struct job *j)
{
	struct restante_error e = { 0 };
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", j->content.fd);
	return job_ok(j, restante_upload_file(j->upload, path, &e), &e) && job_run(j, j->card);
}

/* Only a video needs a folder: who pipes something else need not have a home. */
static bool prepare_stream(struct job *j)
{
	bool needed = j->recipe.kind == MEDIA_VIDEO;
	char *folder = needed ? folders_state(j->t) : NULL;
	bool ok = (folder != NULL || !needed) &&
		  prepare(&j->content, j->card, &j->in, &j->recipe, folder, j->t);

	free(folder);
	return ok;
}

static bool send_content(struct job *j)
{
	switch (j->content.from) {
	case CONTENT_MEMORY:
		return send_memory(j);
	case CONTENT_FD:
		return send_prepared_file(j);
	case CONTENT_AS_IS:
		break;
	}
	return open_stream(j, true, 0) && run_stream(j);
}

bool send_stream(struct job *j)
{
	return job_decide(j) && prepare_stream(j) && job_upload(j, media_name(j->recipe.kind)) &&
	       send_content(j) && job_hand_out(j);
}

/* ---- a recording that goes on -------------------------------------------------------------- */

static bool begun(void *ctx, const struct restante_envelope *so_far)
{
	struct job *j = ctx;

	(void)so_far; /* it is j->card: what the upload has filled in so far */
	progress_clear(&j->s->progress);
	j->printed = job_print(j, &j->begun);
	return j->printed;
}

/* Opened before anything is sent: at the end it would be too late to find out that it cannot be. */
static bool open_final(struct job *j)
{
	const char *path = j->s->options->final;

	if (path == NULL)
		return true;
	if (!sink_open(&j->final, path, j->t))
		return false;
	j->final.secret = true; /* also if others may read what was there */
	return true;
}

static bool close_final(struct job *j, bool whole)
{
	return j->s->options->final == NULL || sink_close(&j->final, whole, j->t);
}

/* A recording that cannot be measured has no duration: it was sent all the same. */
static bool write_final(struct job *j)
{
	struct bytes copy = j->feed != NULL ? feed_copy(j->feed) : (struct bytes){ 0 };
	struct trouble ignored;
	struct err e = { 0 };

	if (j->s->options->final == NULL ||
	    restante_envelope_text(j->card, RESTANTE_TEXT_TOKEN) == NULL)
		return true;
	if (j->recipe.kind == MEDIA_VOICE && copy.data != NULL)
		(void)prepare_voice(j->card, copy, &e, &ignored);
	return emit_to(j->final.fd, j->s->options->final, j->card, j->t);
}

/* If the envelope could not be printed that is the trouble, not that the upload was given up. */
static bool run_live(struct job *j)
{
	bool ok = run_stream(j);

	if (!ok && j->begun.from != TROUBLE_NONE) {
		*j->t = j->begun;
		(void)job_take_back(j, j->t);
	}
	return ok;
}

static bool send_as_it_comes(struct job *j, size_t keep_max)
{
	if (!prepare_label(j->card, &j->recipe, j->t) ||
	    !job_upload(j, media_name(j->recipe.kind)) || !open_stream(j, false, keep_max))
		return false;
	restante_upload_set_begun(j->upload, begun, j);
	/* another tus server has given no token to begin with */
	return run_live(j) && (j->printed || job_hand_out(j));
}

static void note_live(const struct job *j)
{
	if (j->recipe.kind != MEDIA_FILE && !j->recipe.quiet)
		say("%.200s: is live, so it is sent as it is, metadata and all", j->in.shown);
}

bool send_live(struct job *j)
{
	bool keep, ok;

	cancel_pass_one();
	if (!job_decide(j))
		return false;
	if (j->recipe.kind == MEDIA_PHOTO)
		return trouble_local(j->t, ERR_INVALID,
				     "%.150s: is a photo, and a photo is not sent live; "
				     "--kind file sends it as it is",
				     j->in.shown);
	keep = j->recipe.kind == MEDIA_VOICE && j->s->options->final != NULL;
	if (!open_final(j))
		return false;
	note_live(j);
	ok = send_as_it_comes(j, keep ? PREPARE_VOICE_STREAM_MAX : 0) && write_final(j);
	return close_final(j, ok) && ok;
}
