/* send_legs - what a run begins with: the legs of an upload, made anew or taken up from the state
 * file, which is kept up to date as the server creates them. One thread. */
#ifndef RESTANTE_CLIENT_SEND_LEGS_H
#define RESTANTE_CLIENT_SEND_LEGS_H

#include "client/send.h"

/* Opens the state file, if there is to be one, and sees to it that there are legs; not started.
 * With a state file they are made for each run, since another process may have been here. */
enum restante_code send_prepare(struct send *s, struct restante_error *e);

/* Of parts that are done: what puts them together. */
enum restante_code send_make_final(struct send *s, struct restante_error *e);

void send_drop_legs(struct send *s);

#endif
