#include "server/sandbox/landlock.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

/* Later than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

/* struct landlock_ruleset_attr as of ABI 6; kernels before it want the rest to be zero. */
struct handled {
	uint64_t fs, net, scoped;
};

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define STORE_RIGHTS                                                                             \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                          \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER | \
	 LANDLOCK_ACCESS_FS_TRUNCATE)
/* What a rule for a single file may speak of. */
#define FILE_RIGHTS                                                     \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* Before ABI 2 nothing could be moved or linked from one folder to another. */
#define ABI_LEAST 2

static uint64_t known_to(int abi)
{
	uint64_t all = STORE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		       LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
		       LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_IOCTL_DEV;

	if (abi < 3)
		all &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi < 5)
		all &= ~LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return all;
}

static uint64_t rights(enum landlock_right right)
{
	static const uint64_t table[] = {
		[LANDLOCK_READ] = READ_RIGHTS,
		[LANDLOCK_APPEND] = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG,
		[LANDLOCK_SOCKET] = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
		[LANDLOCK_ALL] = STORE_RIGHTS,
	};

	return table[right];
}

void landlock_begin(struct landlock *l, bool abstract)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct handled h = { 0 };

	*l = (struct landlock){ .ruleset = -1 };
	if (abi < ABI_LEAST)
		return;
	h.fs = known_to((int)abi);
	if (abi >= 4)
		h.net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
	if (abi >= 6)
		h.scoped = LANDLOCK_SCOPE_SIGNAL |
			   (abstract ? 0 : LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET);
	l->ruleset = (int)syscall(SYS_landlock_create_ruleset, &h, sizeof(h), 0);
	if (l->ruleset >= 0)
		l->abi = (int)abi;
}

void landlock_allow(struct landlock *l, const char *path, enum landlock_right right)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = -1 };
	struct stat st;

	if (l->ruleset < 0)
		return;
	rule.allowed_access = rights(right) & known_to(l->abi);
	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FILE_RIGHTS;
	/* of pipes and sockets, which no rule can speak of, nothing is refused either */
	(void)syscall(SYS_landlock_add_rule, l->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	(void)close(rule.parent_fd);
}

/* Neither file nor folder; of a socket the folder counts, in which it is made anew. */
static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	       !S_ISSOCK(st.st_mode);
}

/* A bare name, or one right below the root: the folder is not there for it. */
static bool stands_alone(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash == path;
}

static void allow_folder_of(struct landlock *l, const char *path, enum landlock_right right)
{
	char copy[PATH_MAX]; /* dirname() writes into it */

	if (strlen(path) >= sizeof(copy))
		return;
	(void)strcpy(copy, path);
	landlock_allow(l, dirname(copy), right);
}

void landlock_allow_around(struct landlock *l, const char *path, enum landlock_right right)
{
	char *leads_to;

	if (path[0] == '\0')
		return;
	if (is_special(path) || (right == LANDLOCK_READ && stands_alone(path))) {
		landlock_allow(l, path, right);
		return;
	}
	allow_folder_of(l, path, right);
	leads_to = realpath(path, NULL);
	if (leads_to != NULL)
		allow_folder_of(l, leads_to, right);
	free(leads_to);
}

bool landlock_enforce(struct landlock *l)
{
	bool done = l->ruleset >= 0 && syscall(SYS_landlock_restrict_self, l->ruleset, 0) == 0;

	if (l->ruleset >= 0)
		(void)close(l->ruleset);
	*l = (struct landlock){ .ruleset = -1, .abi = done ? l->abi : 0 };
	return done;
}
