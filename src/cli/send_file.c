#include <stdlib.h>
#include <string.h>

#include "cli/card.h"
#include "cli/job.h"
#include "cli/spool.h"
#include "restante/client.h"

static bool same_blob(const struct restante_envelope *a, const struct restante_envelope *b)
{
	size_t size_a = 0, size_b = 0;
	const uint8_t *sum_a = restante_envelope_blob(a, RESTANTE_BLOB_SHA256, &size_a);
	const uint8_t *sum_b = restante_envelope_blob(b, RESTANTE_BLOB_SHA256, &size_b);

	return sum_a != NULL && sum_b != NULL && size_a == size_b &&
	       memcmp(sum_a, sum_b, size_a) == 0;
}

/* What was sent has to be what the draft is about; a disk may have lost some of it. */
static bool complete_draft(struct job *j, const struct restante_envelope *sent)
{
	const char *manage = restante_upload_manage_token(j->upload);

	if (!same_blob(j->card, sent)) {
		if (manage != NULL)
			(void)restante_delete(j->s->client, manage, NULL);
		return trouble_local(j->t, ERR_IO,
				     "what was prepared did not stay as it was on the disk; "
				     "send it again");
	}
	return card_text(j->card, RESTANTE_TEXT_TOKEN,
			 restante_envelope_text(sent, RESTANTE_TEXT_TOKEN), j->t) &&
	       card_copy_number(j->card, sent, RESTANTE_NUMBER_EXPIRES_AT, j->t);
}

/* j->card is the draft of what lies in the spool. */
static bool send_spool(struct job *j)
{
	struct restante_error e = { 0 };
	struct restante_envelope *sent = NULL;
	char *path = state_path(&j->state, SPOOL_SEALED);
	bool ok;

	if (path == NULL)
		return trouble_local(j->t, ERR_NOMEM, "out of memory");
	ok = job_upload(j, restante_envelope_text(j->card, RESTANTE_TEXT_KIND)) &&
	     job_ok(j, restante_upload_sealed_file(j->upload, path, &e), &e) &&
	     card_new(&sent, j->t) && job_run_resumable(j, sent) && complete_draft(j, sent);
	restante_envelope_free(sent);
	free(path);
	return ok;
}

static bool send_as_it_is(struct job *j)
{
	struct restante_error e = { 0 };

	return job_upload(j, media_name(j->recipe.kind)) &&
	       job_ok(j, restante_upload_file(j->upload, j->in.path, &e), &e) &&
	       job_run_resumable(j, j->card);
}

static bool find_spool(struct job *j)
{
	struct restante_envelope *draft;

	if (!spool_find(&draft, &j->state))
		return false;
	restante_envelope_free(j->card);
	j->card = draft;
	return true;
}

bool send_file(struct job *j)
{
	if (!job_take_place(j))
		return false;
	if (find_spool(j))
		return send_spool(j) && job_hand_out(j);
	if (!job_decide(j) ||
	    !prepare(&j->content, j->card, &j->in, &j->recipe, j->state.folder, j->t))
		return false;
	if (j->content.from == CONTENT_AS_IS)
		return send_as_it_is(j) && job_hand_out(j);
	if (!spool_make(&j->state, &j->content, j->card, j->t))
		return false;
	prepare_fini(&j->content); /* not needed while it is sent */
	return send_spool(j) && job_hand_out(j);
}
