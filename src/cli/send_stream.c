#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/card.h"
#include "cli/emit.h"
#include "cli/job.h"

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

bool send_stream(struct job *j)
{
	if (!job_decide(j) || !prepare(&j->content, j->card, &j->in, &j->recipe, NULL, j->t) ||
	    !job_upload(j, media_name(j->recipe.kind)))
		return false;
	if (j->content.from == CONTENT_MEMORY ? !send_memory(j)
					      : !open_stream(j, true, 0) || !run_stream(j))
		return false;
	return job_print(j, j->t);
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
	j->final = strcmp(path, "-") == 0 ? STDOUT_FILENO
					  : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return j->final >= 0 || trouble_errno(j->t, path);
}

/* A recording that cannot be measured has no duration: it was sent all the same. */
static bool write_final(struct job *j)
{
	struct bytes copy = j->feed != NULL ? feed_copy(j->feed) : (struct bytes){ 0 };
	struct trouble ignored;
	struct err e = { 0 };

	if (j->final < 0 || restante_envelope_text(j->card, RESTANTE_TEXT_TOKEN) == NULL)
		return true;
	if (j->recipe.kind == MEDIA_VOICE && copy.data != NULL)
		(void)prepare_voice(j->card, copy, &e, &ignored);
	if (j->final != STDOUT_FILENO && ftruncate(j->final, 0) != 0 && errno != EINVAL)
		return trouble_errno(j->t, j->s->options->final);
	return emit_to(j->final, j->s->options->final, j->card, j->t);
}

/* If the envelope could not be printed that is the trouble, not that the upload was given up. */
static bool run_live(struct job *j)
{
	bool ok = run_stream(j);

	if (!ok && j->begun.from != TROUBLE_NONE)
		*j->t = j->begun;
	return ok;
}

bool send_live(struct job *j)
{
	bool keep;

	if (!job_decide(j))
		return false;
	if (j->recipe.kind == MEDIA_PHOTO)
		return trouble_local(j->t, ERR_INVALID,
				     "%.150s: is a photo, and a photo is not sent live; "
				     "--kind file sends it as it is",
				     j->in.shown);
	keep = j->recipe.kind == MEDIA_VOICE && j->s->options->final != NULL;
	if (!open_final(j) || !prepare_label(j->card, &j->recipe, j->t) ||
	    !job_upload(j, media_name(j->recipe.kind)) ||
	    !open_stream(j, false, keep ? PREPARE_VOICE_STREAM_MAX : 0))
		return false;
	restante_upload_set_begun(j->upload, begun, j);
	if (!run_live(j))
		return false;
	/* another tus server has given no token to begin with */
	return (j->printed || job_print(j, j->t)) && write_final(j);
}
