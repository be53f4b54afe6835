/* leg - one tus upload from its creation to its last byte: all of a source, a part of it, or the
 * putting together of parts. It asks how far it got whenever it does not know, and sends on from
 * there.
 *
 *   idle ----> create ----> send ----> done
 *     |                     ^  |        ^
 *     |                     |  v        |
 *     '-------------------> ask --------'
 *
 * When something failed, create, send and ask lead to wait, and from there one goes on; when the
 * upload has gone, send and ask lead to create. While a pipe has nothing to send, it is in rest,
 * which leads to send.
 *
 * One thread. Legs of one upload run side by side. */
#ifndef RESTANTE_CLIENT_LEG_H
#define RESTANTE_CLIENT_LEG_H

#include "client/client.h"
#include "client/source.h"
#include "client/tally.h"
#include "client/tus.h"

struct leg;

enum leg_role {
	LEG_WHOLE,
	LEG_PART,
	LEG_FINAL, /* has no bytes of its own */
};

/* What the legs of an upload share; borrowed, and outlives them. */
struct leg_shared {
	struct restante_client *client;
	struct source *source;
	struct tally *tally;
	const char *endpoint; /* absolute */
	const char *metadata;
	unsigned quiet_ms; /* a request that has had nothing to send for so long is ended */
	bool bound;        /* somebody was told the token: another upload cannot take its place */
	/* The upload was created; before its first byte. A failure ends the leg. */
	enum restante_code (*created)(void *ctx, const struct leg *leg, struct restante_error *e);
	void *ctx;
};

/* A leg for the sealed bytes from begin to before end (UINT64_MAX: to the end of the pipe), or for
 * a final: then `parts` is the value of Upload-Concat, copied, else NULL. On RESTANTE_OK the caller
 * owns *out. */
enum restante_code leg_new(struct leg **out, const struct leg_shared *shared, enum leg_role role,
			   uint64_t begin, uint64_t end, const char *parts,
			   struct restante_error *e);
void leg_free(struct leg *l); /* breaks off what runs; NULL is fine */

/* Takes up an upload that was created earlier; url is absolute, and copied. Before leg_start(). */
enum restante_code leg_take_up(struct leg *l, const char *url, struct restante_error *e);

/* Begins, or begins again after leg_stop(); one that is done stays so. */
enum restante_code leg_start(struct leg *l, struct restante_error *e);

/* Breaks off what runs; the leg can be started again. */
void leg_stop(struct leg *l);

/* One that is done asks whether that still holds. */
enum restante_code leg_doubt(struct leg *l, struct restante_error *e);

/* Goes on as far as it can; call after each transport_run(). A failure is final for this run; the
 * leg is then to be stopped. RESTANTE_GONE: the server does not know it (any more), and it cannot
 * begin anew; of a final also if it does not know one of the parts. */
enum restante_code leg_step(struct leg *l, struct restante_error *e);

/* Milliseconds after which leg_step() has something to do by itself; INT_MAX: no time is known. */
int leg_wait_ms(const struct leg *l);

bool leg_is_done(const struct leg *l);
uint64_t leg_sent(const struct leg *l);   /* bytes of it: acknowledged or on their way */
const char *leg_url(const struct leg *l); /* NULL: not created yet */
enum leg_role leg_role(const struct leg *l);
const struct tus_news *leg_news(const struct leg *l);

#endif
