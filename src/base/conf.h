/* conf - reads the text of settings files: statements, values, lists, blocks and includes. What a
 * name means, and whether a value does, is for the caller to say. restante.conf(5) has the rules.
 *
 * Own code, where a library would be better, because Debian 12 has no libucl (its libucl-dev
 * compresses) and its libconfuse, 3.3, fails an operator: it counts a line with a comment three
 * times, takes blocks and comments that are never closed, loses characters ("64+" is 64), and stops
 * at the first error. */
#ifndef RESTANTE_BASE_CONF_H
#define RESTANTE_BASE_CONF_H

#include <stddef.h>

#include "base/err.h"

/* A named block is written `server "a" { ... }`, outside of any other, as often as there are names.
 */
enum conf_kind { CONF_UNKNOWN, CONF_VALUE, CONF_LIST, CONF_BLOCK, CONF_NAMED };

#define CONF_WHERE_SIZE 216 /* "FILE:3" and its NUL; a file's name is cut to fit */

/* Who is told. Names are full: "upload", "upload.max"; in a named block as they are outside. What
 * is told lasts for the call only. */
struct conf_user {
	void *ctx;
	enum conf_kind (*kind)(void *ctx, const char *name);
	/* A value, or one of a list's, each time that one is written. No control characters but
	 * tabs. */
	void (*value)(void *ctx, const char *name, const char *value, const char *where);
	/* A problem of the text, "FILE:3: ..."; it may quote any character. Reading goes on. */
	void (*problem)(void *ctx, const char *text);
	/* A file has been opened, by this path; before what is in it. NULL: nobody asks. */
	void (*file)(void *ctx, const char *path);
	/* A named block begins, and ends. NULL where no kind is CONF_NAMED. */
	void (*begin)(void *ctx, const char *block, const char *name, const char *where);
	void (*end)(void *ctx);
};

/* Reads a file, and those that it includes. Whatever is wrong inside is told to the user, as is an
 * include that cannot be read. Fails with ERR_IO if the file itself cannot be read, ERR_NOMEM. */
enum err_code conf_read_file(const char *path, const struct conf_user *user, struct err *e);

/* Reads a text that stands under `name` in problems; including is one. ERR_NOMEM. */
enum err_code conf_read_text(const char *name, const char *text, size_t n,
			     const struct conf_user *user, struct err *e);

#endif
