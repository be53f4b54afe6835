#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/soak.h"

static const char *command(void)
{
	static char path[256];
	const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build/release";

	(void)snprintf(path, sizeof(path), "%s/restante", build);
	return path;
}

bool backup_take(struct soak *s)
{
	char line[1024];
	const int64_t began = now_ms();
	int status;

	if (access(command(), X_OK) != 0)
		return false;
	(void)snprintf(line, sizeof(line),
		       "%s backup %s --keep 3 --socket %s/data/admin.sock >>%s/commands 2>&1",
		       command(), s->folder, s->c.server.dir, s->c.server.dir);
	status = system(line); /* NOLINT: all words are ours */
	if (atomic_load(&s->c.killing))
		return true; /* as it may */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail("a backup ended with %d; %s/commands says why", status, s->c.server.dir);
	s->backup_began_ms = began;
	s->backup_ended_ms = now_ms();
	atomic_fetch_add(&s->backups, 1);
	return true;
}

/* Of those that live long, what was promised before and nobody had begun to end until it was over.
 */
static bool is_in_it(const struct soak *s, const struct promise *p)
{
	return p->kept && p->answered_ms != 0 && p->answered_ms < s->backup_began_ms &&
	       (p->going_ms == 0 || p->going_ms > s->backup_ended_ms);
}

void backup_prove(struct soak *s)
{
	struct test_server_options o = s->c.server.options;
	struct soak beside = {
		.c = { .seed = s->c.seed, .random = s->c.random, .pool = s->c.pool }
	};
	struct hand h = { .w = { .c = &beside.c, .random = { 1 } }, .s = &beside };
	char flags[512], said[4096] = "";
	size_t found = 0;

	if (s->backup_began_ms == 0)
		fail("no backup was taken");
	server_start(&beside.c.server, &o);
	if (server_stop(&beside.c.server) != 0)
		fail("an empty server does not stop");
	(void)snprintf(flags, sizeof(flags), "rm -rf %s/data", beside.c.server.dir);
	if (system(flags) != 0) /* NOLINT */
		fail("an empty folder does not go");
	(void)snprintf(flags, sizeof(flags), "--restore %s", s->folder);
	if (server_command(&beside.c.server, flags, said, sizeof(said)) != 0)
		fail("restore failed: %s", said);
	if (server_command(&beside.c.server, "--scrub", said, sizeof(said)) != 0)
		fail("the backup does not scrub clean: %s", said);
	server_again(&beside.c.server);
	for (size_t i = 0; i < PROMISES_MAX; i++) {
		struct promise p = s->promises[i];

		if (!is_in_it(s, &p))
			continue;
		p.state = ALIVE;
		if (!deed_fetch(&h, &p) || p.state != ALIVE)
			fail("a backup does not hold what was promised before it");
		found++;
	}
	if (found == 0)
		fail("the backup holds nothing that could be looked for");
	(void)printf("# the last of %llu backups holds all %zu that it must, and scrubs clean\n",
		     (unsigned long long)s->backups, found);
	drop_client(&h.w);
	server_remove(&beside.c.server);
}
