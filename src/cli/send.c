#include "cli/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/card.h"
#include "cli/emit.h"
#include "cli/folders.h"
#include "cli/job.h"

/* ---- what is sealed already ---------------------------------------------------------------- */

#define AGE "age-encryption.org/v1\n"

/* What is not sealed would go to the server for everybody to read there. */
static bool is_sealed(struct job *j)
{
	if (!input_peek(&j->in, false, j->t))
		return false;
	return (j->in.head_size > strlen(AGE) && memcmp(j->in.head, AGE, strlen(AGE)) == 0) ||
	       trouble_local(j->t, ERR_INVALID,
			     "%.200s: is not sealed: no age file (binary, version 1) begins like "
			     "this; without --sealed it is sealed and sent",
			     j->in.shown);
}

/* The library wants a file: one without a name is made of the stream. */
static bool send_sealed_stream(struct job *j)
{
	char *folder = folders_state(j->t), path[40];
	struct restante_error e = { 0 };
	int fd = folder != NULL ? folders_temporary(folder, j->t) : -1;
	bool ok = fd >= 0;

	free(folder);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok = ok && input_copy(&j->in, fd, "the state folder", UINT64_MAX, j->t) &&
	     job_ok(j, restante_upload_sealed_file(j->upload, path, &e), &e) && job_run(j, j->card);
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

bool send_sealed(struct job *j)
{
	enum media kind = j->s->options->kind;
	struct restante_error e = { 0 };
	bool ok;

	if (!is_sealed(j) || !job_upload(j, media_name(kind == MEDIA_AUTO ? MEDIA_FILE : kind)))
		return false;
	if (j->in.stream)
		ok = send_sealed_stream(j);
	else
		ok = job_take_place(j) &&
		     job_ok(j, restante_upload_sealed_file(j->upload, j->in.path, &e), &e) &&
		     job_run_resumable(j, j->card);
	return ok && (emit_sealed(j->card, j->upload, j->t) || job_take_back(j, j->t));
}

/* ---- interface ----------------------------------------------------------------------------- */

static bool dispatch(struct job *j)
{
	if (!input_open(&j->in, j->in.path, j->t) || !card_new(&j->card, j->t))
		return false;
	if (j->s->options->sealed)
		return send_sealed(j);
	if (j->s->options->live)
		return send_live(j);
	return j->in.stream ? send_stream(j) : send_file(j);
}

bool send_one(struct sender *s, const char *path, struct trouble *t)
{
	struct job j = { .s = s, .t = t };
	bool ok;

	j.in.path = path;
	j.in.fd = j.content.fd = j.state.lock = -1;
	progress_start(&s->progress, !s->settings->quiet);
	ok = dispatch(&j);
	progress_clear(&s->progress);
	feed_free(j.feed);
	restante_upload_free(j.upload);
	prepare_fini(&j.content);
	state_close(&j.state);
	restante_envelope_free(j.card);
	input_close(&j.in);
	return ok;
}
