#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/output.h"
#include "restante/grant.h"

#define USUAL_FILE "grant.key"

static const struct option_row options[] = {
	{ "output", "FILE", "where the secret key goes; grant.key", 'o' },
	{ "kid", "KID", "what the key is called, instead of its k4.pid", 0 },
	OPTIONS_COMMON,
};

/* What can be written in restante.conf, and in a grant, as it is. */
static bool is_kid(const char *kid)
{
	const size_t n = strlen(kid);

	return n > 0 && n <= RESTANTE_GRANT_NAME_MAX &&
	       strspn(kid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			   "-._~") == n;
}

/* A file that was there before is somebody's key. */
static bool write_secret(const char *path, const char *secret, struct trouble *t)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0 && errno == EEXIST)
		return trouble_local(t, ERR_EXISTS,
				     "%.200s is there already; keys are not replaced", path);
	if (fd < 0)
		return trouble_errno(t, path);
	ok = output_bytes(fd, path, secret, strlen(secret), t) &&
	     output_bytes(fd, path, "\n", 1, t) && (fsync(fd) == 0 || trouble_errno(t, path));
	if (close(fd) != 0 && ok)
		ok = trouble_errno(t, path);
	if (!ok)
		(void)unlink(path);
	return ok;
}

static bool print_line(const char *kid, const char *public_key, struct trouble *t)
{
	char line[RESTANTE_GRANT_NAME_MAX + RESTANTE_GRANT_PUBLIC_SIZE + 16];

	(void)snprintf(line, sizeof(line), "key = \"%s %s\"", kid, public_key);
	return output_line(line, t);
}

static bool print_json(const char *path, const char *kid, const char *public_key, struct trouble *t)
{
	json_t *o = json_object();

	json_add(o, "file", json_text(path));
	json_add(o, "kid", json_text(kid));
	json_add(o, "public_key", json_text(public_key));
	return json_print(o, t);
}

static bool make(char secret[static RESTANTE_GRANT_SECRET_SIZE],
		 char public_key[static RESTANTE_GRANT_PUBLIC_SIZE],
		 char kid[static RESTANTE_GRANT_KID_SIZE], struct trouble *t)
{
	struct restante_error e = { 0 };

	return (restante_grant_keygen(secret, &e) == RESTANTE_OK &&
		restante_grant_public(public_key, kid, secret, &e) == RESTANTE_OK) ||
	       trouble_library(t, &e, NULL);
}

static bool keygen(const struct options *o, const struct settings *set, struct trouble *t)
{
	const char *path = options_get(o, "output"), *kid = options_get(o, "kid");
	char secret[RESTANTE_GRANT_SECRET_SIZE], public_key[RESTANTE_GRANT_PUBLIC_SIZE];
	char pid[RESTANTE_GRANT_KID_SIZE];
	bool ok;

	if (!command_takes(o, 0, 0, t))
		return false;
	if (path == NULL)
		path = USUAL_FILE;
	if (kid != NULL && !is_kid(kid))
		return trouble_usage(t, "--kid: is 1 to 128 letters, digits, \"-\", \".\", \"_\"");
	if (path[0] == '\0' || strcmp(path, "-") == 0)
		return trouble_usage(t, "--output: is a file, which a secret key has to itself");
	ok = make(secret, public_key, pid, t) && write_secret(path, secret, t);
	explicit_bzero(secret, sizeof(secret));
	if (kid == NULL)
		kid = pid;
	return ok &&
	       (set->json ? print_json(path, kid, public_key, t) : print_line(kid, public_key, t));
}

const struct command command_keygen = {
	"keygen", "",     "Makes the key that grants are signed with, and prints what servers need",
	options,  keygen,
};
