/* soak - everything at once for a while: uploads with grants, fetches, acknowledgements, deletions,
 * extensions, expiry, reloads, backups and kill -9; then nothing is lost, nothing is overdue, and
 * memory has not grown. soak.c runs it, ledger.c knows what was promised, deeds.c are the requests,
 * backup.c takes backups and looks into the last one. What speaks to a server that may be dying is
 * the crash campaign's. */
#ifndef RESTANTE_TESTS_SOAK_H
#define RESTANTE_TESTS_SOAK_H

#include "tests/crash/campaign.h"
#include "tests/lib/minter.h"

#define PROMISES_MAX 20000
#define BUCKETS 8
#define RECIPIENTS_MAX 3

/* An upload that was answered with 201. Times are Unix milliseconds, 0: not yet. */
struct promise {
	enum state state; /* ALIVE, DOUBTFUL, GONE; NOT_KNOWN: a free place */
	bool busy;        /* a worker's */
	bool kept;        /* lives for an hour: for backups */
	struct slice content;
	char token[TOKEN_SIZE], manage[TOKEN_SIZE];
	int64_t expires_s;
	int64_t extended_s; /* or perhaps until then */
	unsigned recipients, acknowledged;
	int64_t answered_ms, going_ms; /* when it was promised; when somebody began to end it */
};

struct soak {
	struct campaign c;
	struct minter minter;
	struct promise *promises; /* under c.lock, but for one that is busy */
	atomic_bool over;
	atomic_uint kept;
	atomic_ullong expired, acknowledged, extended, spent, backups, reloads, kills;
	char folder[128];                         /* of the backups */
	int64_t backup_began_ms, backup_ended_ms; /* the last whole one */
};

struct hand { /* a thread of requests */
	struct worker w;
	struct soak *s;
	pthread_t thread;
};

int64_t now_ms(void);

/* ---- ledger.c ---- */

/* A free place, busy; NULL: none. */
struct promise *ledger_new(struct hand *h);
/* One that is alive or doubtful, busy; NULL: none was found. */
struct promise *ledger_any(struct hand *h);
void ledger_release(struct hand *h, struct promise *p);

/* ---- deeds.c ---- */

/* One request or a few. */
void deed(struct hand *h);

/* Fetches, and holds what comes against what was promised. False: the connection broke. */
bool deed_fetch(struct hand *h, struct promise *p);

/* ---- backup.c ---- */

/* Takes one with the restante command. False: there is no such command. */
bool backup_take(struct soak *s);

/* Restores the last one beside, and finds in it all that was promised before it began. */
void backup_prove(struct soak *s);

#endif
