/* job - one file on its way: what the ways of sending it (cli/send.c) share. One thread. */
#ifndef RESTANTE_CLI_JOB_H
#define RESTANTE_CLI_JOB_H

#include "cli/feed.h"
#include "cli/input.h"
#include "cli/prepare.h"
#include "cli/send.h"
#include "cli/sink.h"
#include "cli/state.h"
#include "restante/envelope.h"
#include "restante/upload.h"

struct job {
	struct sender *s;
	struct input in;
	struct recipe recipe; /* after job_decide() */
	struct media_guess guess;
	struct restante_envelope *card; /* what will be handed out */
	struct restante_upload *upload; /* after job_upload() */
	struct content content;
	struct state state;
	struct feed *feed;
	bool printed;         /* --live: the envelope was handed out */
	struct sink final;    /* --final: where the whole envelope goes */
	struct trouble begun; /* --live: what kept the envelope from being handed out */
	struct trouble *t;
};

/* All return false with *j->t filled. */

/* Finds out what it is, looking into it where that is of use. */
bool job_decide(struct job *j);

/* Makes the upload, with all that is asked for. */
bool job_upload(struct job *j, const char *kind);

/* True if rc is RESTANTE_OK; else the trouble is about this file. */
bool job_ok(struct job *j, enum restante_code rc, const struct restante_error *e);

/* Runs the upload and fills in the envelope; and with its state in j->state, which stays if it is
 * of use to come back. */
bool job_run(struct job *j, struct restante_envelope *card);
bool job_run_resumable(struct job *j, struct restante_envelope *card);

/* Takes the place of this file, sent in this way, in the state folder. */
bool job_take_place(struct job *j);

/* Prints j->card. */
bool job_print(struct job *j, struct trouble *t);

/* Deletes what was sent, as what nobody was told of is of use to nobody, and says so in *t, which
 * has the cause. Always false. */
bool job_take_back(struct job *j, struct trouble *t);

/* job_print(), and if it fails job_take_back(). */
bool job_hand_out(struct job *j);

/* ---- the ways ---- */

bool send_file(struct job *j);   /* a regular file: resumed by a second put */
bool send_stream(struct job *j); /* a pipe, to its end */
bool send_live(struct job *j);   /* the envelope is printed before the end */
bool send_sealed(struct job *j); /* as it is */

#endif
