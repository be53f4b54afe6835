/* admin - the operator of a test's server, over its admin socket. Each function asks over a
 * connection of its own. */
#ifndef RESTANTE_TESTS_ADMIN_H
#define RESTANTE_TESTS_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

/* A connection to the socket. */
struct client *admin_open(const struct test_server *s);

/* A request without a body. Takes up to a minute. */
void admin_ask(const struct test_server *s, const char *method, const char *target,
	       struct answer *a);
int admin_status(const struct test_server *s, const char *method, const char *target);

/* A number of a JSON body, or of an object in it by its name and a dot: "sweeps.count". -1: it is
 * not there. The other: whether the text `"name":value` is there, as a reply has it. */
double admin_number(const struct answer *a, const char *name);
bool admin_has(const struct answer *a, const char *member);

/* What POST /admin/expire + query, or /admin/check, says. */
struct admin_swept {
	int64_t uploads, unfinished, grants, blobs, bytes, segments;
	bool more;
	double seconds;
	int64_t disk_before, disk_after;
};
struct admin_left {
	int64_t overdue, unfinished, grants, segments, oldest_s;
};
int admin_expire(const struct test_server *s, const char *query, struct admin_swept *out);
int admin_check(const struct test_server *s, struct admin_left *out);

/* Bytes of blocks in the store's folder. */
uint64_t admin_blocks(const struct test_server *s);

#endif
