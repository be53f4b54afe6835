#include "cli/cancel.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static volatile sig_atomic_t caught;
static volatile sig_atomic_t patient;
static struct restante_client *_Atomic watched;

static void on_signal(int number)
{
	struct restante_client *client = atomic_load(&watched);

	if (number == SIGINT && patient != 0) {
		patient = 0;
		return;
	}
	caught = number;
	(void)signal(number, SIG_DFL);
	if (client != NULL)
		restante_cancel(client);
}

/* Who started us in the background may have had it ignored; then it stays so. */
static void catch_one(int number)
{
	struct sigaction end = { .sa_handler = on_signal }, was;

	if (sigaction(number, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
		(void)sigaction(number, &end, NULL);
}

void cancel_catch(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	catch_one(SIGINT);
	catch_one(SIGTERM);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

void cancel_watch(struct restante_client *client)
{
	atomic_store(&watched, client);
	if (client != NULL && caught != 0)
		restante_cancel(client);
}

void cancel_pass_one(void)
{
	patient = 1;
}

int cancel_signal(void)
{
	return caught;
}

bool cancel_not(struct trouble *t)
{
	struct restante_error e = { RESTANTE_CANCELLED, "broken off" };

	return caught == 0 || trouble_library(t, &e, NULL);
}
