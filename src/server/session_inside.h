/* session_inside - the inside of a session, for the files that make it: session.c is the loop's
 * side, session_turns.c has the workers' turns at what the loop hands over, session_commit.c is
 * what a worker does in them: hash, stage, and make durable. */
#ifndef RESTANTE_SERVER_SESSION_INSIDE_H
#define RESTANTE_SERVER_SESSION_INSIDE_H

#include <pthread.h>

#include "server/meter.h"
#include "server/piece.h"
#include "server/session.h"
#include "server/workers.h"

/* Pieces on their way to the store at once; a waiting client goes on when half of them are done,
 * and as long as more is at hand workers are asked for so many at a time: to wake somebody costs
 * about as much as a piece. */
#define IN_FLIGHT_MAX 8u
#define IN_FLIGHT_LOW 4u
#define BATCH 4u

enum command { GO_ON, FINISH, BREAK_OFF };

/* A worker's turn at a session: at most one of a kind at a time. */
struct turn {
	struct session *session;
	struct job job;
	bool active;
};

struct session {
	struct server *server;
	const struct settings *settings; /* of the request's host */
	struct request *req;
	struct session_plan plan; /* its rec is ours */
	struct session_close close;
	uint64_t end;      /* of the upload, as far as is known: nothing is taken beyond */
	uint64_t limit;    /* nor beyond this */
	bool apart;        /* hashed and stored by different workers */
	struct live *live; /* for those who fetch it meanwhile; NULL: nobody else knows of it */

	/* the loop's */
	struct meter meter; /* ... but for what is stored */
	struct quota_refusal refusal;

	/* between all, under lock */
	pthread_mutex_t lock;
	struct piece *filling; /* the loop's to fill; while somebody follows, a worker takes it */
	uint64_t received;     /* upload offset of what comes next */
	uint64_t marked;       /* ... up to which it is durable, or soon will be */
	int64_t marked_ms;
	bool lent;                   /* room in it: it stays where it is */
	bool followed;               /* what comes is shown as fast as the disk takes it */
	struct piece *queue;         /* to be hashed, stored, or both */
	unsigned in_flight, unasked; /* of the latter nobody has told a worker */
	struct turn storing, hashing;
	bool mark_hashed; /* in the turn under way */
	bool waiting;
	enum command command;
	enum session_state state;
	enum err_code error;
	uint64_t durable;
	struct piece *kept;
	unsigned kept_count;
	bool keep;

	struct digester digester; /* of whose turn it is to hash; the next as well */
	struct sums *sums;        /* NULL: none asked for */
	struct writer *writer;    /* of whose turn it is to store */
	struct upload *done;
};

/* ---- session.c ---- */

/* When no worker has a turn, nor will have one. */
void session_free(struct session *s);

/* Under lock: what is filling goes to be hashed and stored, and made durable if `mark`. */
void session_hand_over(struct session *s, bool mark);

/* ---- session_turns.c; under lock ---- */

/* A worker is to store what is in the queue, and then to see to the command; one is to hash.
 * Nothing if one does already. */
void session_turn_to_store(struct session *s);
void session_turn_to_hash(struct session *s);

/* A worker is to show what has come, if somebody follows; nothing if one will anyway. */
void session_turn_to_show(struct session *s);

/* ---- session_commit.c; for the worker whose turn it is, without the lock ---- */

void session_hash(struct session *s, struct bytes data);
enum err_code session_stage(struct session *s, struct piece *p, struct err *e);

/* What has been staged, and `tail` behind it, counts from now on, and the upload stays open. *rec
 * is its record then, for the caller; NULL: not wanted. */
enum err_code session_commit_open(struct session *s, struct bytes tail, const struct midstate *m,
				  struct upload **rec, struct err *e);

/* Makes everything that has come durable, the last piece too; s->done is the record then. With all
 * of the upload there, that finishes it. */
enum err_code session_commit_all(struct session *s, struct piece *tail, struct err *e);

/* Whoever comes next may write. */
void session_close_writer(struct session *s);

#endif
