/* leg_inside - the inside of a leg, for the two files that make it: leg.c moves it, leg_answer.c
 * reads what the server says and chooses where to. One thread. */
#ifndef RESTANTE_CLIENT_LEG_INSIDE_H
#define RESTANTE_CLIENT_LEG_INSIDE_H

#include "client/leg.h"
#include "client/retry.h"

enum leg_state {
	LEG_IDLE,
	LEG_CREATE,
	LEG_ASK,
	LEG_SEND,
	LEG_REST,
	LEG_WAIT,
	LEG_DONE,
	LEG_STATES,
};

struct leg {
	const struct leg_shared *shared;
	enum leg_role role;
	enum leg_state state;
	enum leg_state after_wait;

	uint64_t begin, end; /* UINT64_MAX: where the source ends */
	char *parts;
	char *url;
	bool taken_up; /* from a file that may be wrong */
	struct tus_news news;

	struct exchange *exchange; /* in create, ask and send */
	struct reader *reader;
	struct retry retry;

	uint64_t acked;   /* the server has all before; as all offsets here, one of the source */
	uint64_t best;    /* the most that was ever acked: only more than that is progress */
	uint64_t sent;    /* all before was given to this request, or is acked */
	uint64_t given;   /* all before was given to one of its requests */
	bool length_told; /* the server knows it */
	bool telling;     /* this request tells it */
	bool cut;         /* this request is to end */

	int64_t quiet_since;           /* this request has nothing to send since; 0: it has */
	int64_t final_since;           /* the final is being waited for; 0: not yet */
	bool anew;                     /* it was created a second time already */
	struct restante_error trouble; /* what reading the source met */
};

/* Where it ends; false while nobody knows. */
bool leg_ends_at(const struct leg *l, uint64_t *end);

/* Moves to `next`, ending the exchange and beginning the one that goes with it. */
enum restante_code leg_go(struct leg *l, enum leg_state next, struct restante_error *e);

/* The exchange has ended, in create, ask or send: moves on. A failure is one of leg_step(). */
enum restante_code leg_ended(struct leg *l, struct restante_error *e);

#endif
