#include "base/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*   file      = { statement | ";" | "," }
 *   statement = name [ "=" | ":" ] ( value | list ) | name [ "=" | ":" ] [ value ] "{" file "}"
 *             | ".include" string
 *   list      = "[" [ value { "," value } ] "]"
 *   value     = string | anything up to ";" "," "{" "}" or the end of the line
 *
 * A statement ends with ";", ",", the end of its line or of its block. Comments are from "#" to the
 * end of the line, or between slash-stars, which nest. */

#define VALUE_MAX 1023 /* characters of a value */
#define NESTING_MAX 8  /* blocks in blocks, files in files */
#define FILE_MAX (1 << 20)

struct word {
	char text[VALUE_MAX + 1];
	size_t n;
	unsigned line;
};

struct reader {
	const struct conf_user *user;
	const char *file;
	const char *p, *end;
	unsigned line;
	unsigned nesting; /* of blocks */
	unsigned files;   /* of includes */
	unsigned ignored; /* inside so many blocks that nobody knows */
	bool named;       /* inside a named block */
	bool includes;    /* may .include read files? */
	bool nomem;
};

/* ---- problems -------------------------------------------------------------------------- */

/* A problem on a line of the file being read. */
static void complain(struct reader *r, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void complain(struct reader *r, unsigned line, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n = snprintf(text, sizeof(text), "%.200s:%u: ", r->file, line);

	assert(n > 0 && (size_t)n < sizeof(text));
	va_start(ap, fmt);
	(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	r->user->problem(r->user->ctx, text);
}

/* ---- characters ------------------------------------------------------------------------ */

static bool at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

static bool at_any(const struct reader *r, const char *set)
{
	return r->p < r->end && *r->p != '\0' && strchr(set, *r->p) != NULL;
}

static bool at_pair(const struct reader *r, const char *pair)
{
	return r->end - r->p >= 2 && memcmp(r->p, pair, 2) == 0;
}

static void step(struct reader *r)
{
	if (*r->p == '\n')
		r->line++;
	r->p++;
}

static void skip_until(struct reader *r, const char *set)
{
	while (r->p < r->end && !at_any(r, set))
		step(r);
}

static void skip_long_comment(struct reader *r)
{
	unsigned depth = 0, line = r->line;

	do {
		bool open = at_pair(r, "/*"), close = at_pair(r, "*/");

		depth += open;
		depth -= close;
		if (open || close)
			step(r);
		step(r);
	} while (depth > 0 && r->p < r->end);
	if (depth > 0)
		complain(r, line, "comment is never closed");
}

/* Skips comments and characters of the set. */
static void skip(struct reader *r, const char *set)
{
	for (;;) {
		if (at(r, '#'))
			skip_until(r, "\n");
		else if (at_pair(r, "/*"))
			skip_long_comment(r);
		else if (at_any(r, set))
			step(r);
		else
			return;
	}
}

#define BLANK " \t\r"
#define SPACE " \t\r\n"

/* ---- words ----------------------------------------------------------------------------- */

static bool word_add(struct word *w, char c)
{
	if (w->n == VALUE_MAX)
		return false;
	w->text[w->n++] = c;
	w->text[w->n] = '\0';
	return true;
}

static void word_start(struct word *w, const struct reader *r)
{
	w->n = 0;
	w->text[0] = '\0';
	w->line = r->line;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 32 && c != '\t') || c == 127;
}

/* A string in quotes; \" and \\ are the only escapes. */
static bool read_string(struct reader *r, struct word *w)
{
	const char *wrong = NULL;

	word_start(w, r);
	for (step(r); wrong == NULL && !at(r, '"'); step(r)) {
		if (at(r, '\\') && (at_pair(r, "\\\"") || at_pair(r, "\\\\")))
			step(r);
		else if (at(r, '\\'))
			wrong = "only \\\" and \\\\ may follow a backslash";
		if (r->p == r->end || at(r, '\n'))
			wrong = "string is not closed on its line";
		else if (is_control(*r->p))
			wrong = "control character in a string";
		else if (!word_add(w, *r->p))
			wrong = "string is too long";
		if (wrong != NULL)
			break;
	}
	if (wrong == NULL) {
		step(r);
		return true;
	}
	complain(r, w->line, "%s", wrong);
	skip_until(r, "\n");
	return false;
}

/* Does a comment begin here, and not in the middle of a word? */
static bool at_comment(const struct reader *r, const struct word *w)
{
	bool apart = w->n == 0 || strchr(BLANK, w->text[w->n - 1]) != NULL;

	return apart && (at(r, '#') || at_pair(r, "/*"));
}

static bool read_bare(struct reader *r, struct word *w, const char *stop)
{
	const char *wrong = NULL;

	word_start(w, r);
	for (; r->p < r->end && !at_any(r, stop) && !at_comment(r, w); step(r)) {
		if (*r->p == '\r')
			continue;
		if (is_control(*r->p))
			wrong = "control character in a value";
		else if (!word_add(w, *r->p) && wrong == NULL)
			wrong = "value is too long";
	}
	while (w->n > 0 && strchr(BLANK, w->text[w->n - 1]) != NULL)
		w->text[--w->n] = '\0';
	if (wrong != NULL)
		complain(r, w->line, "%s", wrong);
	return wrong == NULL;
}

static bool read_name(struct reader *r, struct word *w)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";

	if (at(r, '"'))
		return read_string(r, w);
	word_start(w, r);
	for (; at_any(r, letters); step(r))
		(void)word_add(w, *r->p); /* no setting is as long as that */
	if (w->n > 0)
		return true;
	complain(r, r->line, "\"%c\" where the name of a setting should be", *r->p);
	step(r);
	skip_until(r, "\n;}");
	return false;
}

/* "upload" and "max" make "upload.max". */
static void full_name(char out[static 80], const char *block, const char *name)
{
	(void)snprintf(out, 80, "%.38s%s%.38s", block, block[0] == '\0' ? "" : ".", name);
}

/* ---- statements ------------------------------------------------------------------------ */

static enum conf_kind kind(const struct reader *r, const char *name)
{
	return r->user->kind(r->user->ctx, name);
}

static void take(struct reader *r, const char *name, const struct word *value)
{
	char where[CONF_WHERE_SIZE];

	(void)snprintf(where, sizeof(where), "%.200s:%u", r->file, value->line);
	r->user->value(r->user->ctx, name, value->text, where);
}

/* May a value stand under the name, or a list of them? */
static bool takes(struct reader *r, unsigned line, const char *name, bool list)
{
	switch (kind(r, name)) {
	case CONF_VALUE:
		if (list)
			complain(r, line, "%s: takes one value, not a list", name);
		return !list;
	case CONF_LIST:
		return true;
	case CONF_BLOCK:
		complain(r, line, "%s is a block: write %s { ... }", name, name);
		return false;
	case CONF_NAMED:
		complain(r, line, "%s is a block with a name: write %s \"NAME\" { ... }", name,
			 name);
		return false;
	case CONF_UNKNOWN:
		break;
	}
	complain(r, line, "unknown setting %s", name);
	return false;
}

/* The value behind a name, up to where the statement ends. A second thing in braces behind it
 * (`server "name" { ... }`) is left for the caller. */
static bool read_value(struct reader *r, const char *name, struct word *w, const char *stop)
{
	bool quoted = at(r, '"');

	if (quoted ? !read_string(r, w) : !read_bare(r, w, stop))
		return false;
	skip(r, BLANK);
	if (!quoted && w->n == 0 && !at(r, '{')) {
		complain(r, w->line, "%s: value is missing", name);
		return false;
	}
	if (r->p < r->end && !at_any(r, stop)) {
		complain(r, r->line, "%s: \"%c\" behind the value", name, *r->p);
		skip_until(r, "\n;}");
		return false;
	}
	return true;
}

/* A list that is not wanted is read past. */
static void read_list(struct reader *r, const char *name)
{
	struct word w;
	unsigned line = r->line;
	bool wanted = r->ignored == 0 && takes(r, line, name, true);

	step(r);
	for (skip(r, SPACE ","); r->p < r->end && !at(r, ']'); skip(r, SPACE ",")) {
		if (at_any(r, "[{}")) {
			complain(r, r->line, "%s: \"%c\" in a list", name, *r->p);
			step(r);
		} else if (read_value(r, name, &w, "\n;,{}[]") && wanted) {
			take(r, name, &w);
		}
		if (at(r, ';'))
			step(r);
	}
	if (r->p == r->end) {
		complain(r, line, "%s: list is never closed", name);
		return;
	}
	step(r);
	skip(r, BLANK);
	if (r->p < r->end && !at_any(r, "\n;,}")) {
		complain(r, r->line,
			 "%s: \"%c\" behind a list; does a value that begins with \"[\" "
			 "lack quotes?",
			 name, *r->p);
		skip_until(r, "\n;}");
	}
}

static void read_include(struct reader *r);
static void read_block(struct reader *r, const char *block, const char *title, unsigned line);

/* What is between the braces; the first of them is next. */
static void read_braces(struct reader *r, const char *block, const char *title)
{
	const unsigned line = r->line;

	if (r->nesting == NESTING_MAX) {
		complain(r, line, "blocks within blocks within blocks");
		r->p = r->end;
		return;
	}
	r->nesting++;
	step(r);
	read_block(r, block, title, line);
	r->nesting--;
}

static void say_unknown(struct reader *r, const char *full)
{
	switch (kind(r, full)) {
	case CONF_VALUE:
	case CONF_LIST:
		complain(r, r->line, "%s: takes a value, not a block", full);
		return;
	case CONF_NAMED:
		complain(r, r->line,
			 r->named ? "%s: not inside another one" : "%s: its name is missing", full);
		return;
	case CONF_UNKNOWN:
	case CONF_BLOCK:
		complain(r, r->line, "unknown block %s", full);
		return;
	}
}

/* A block where `name` stands in `outer`; what is in one that nobody knows is read past. */
static void enter_block(struct reader *r, const char *outer, const char *name, bool titled)
{
	char full[80];
	bool known = outer[0] == '\0' && kind(r, name) == CONF_BLOCK && !titled;

	full_name(full, outer, name);
	if (!known && r->ignored == 0)
		say_unknown(r, full);
	r->ignored += !known;
	read_braces(r, name, name);
	r->ignored -= !known;
}

static void enter_named(struct reader *r, const char *block, const struct word *name)
{
	char where[CONF_WHERE_SIZE];

	(void)snprintf(where, sizeof(where), "%.200s:%u", r->file, name->line);
	r->user->begin(r->user->ctx, block, name->text, where);
	r->named = true;
	read_braces(r, "", block);
	r->named = false;
	r->user->end(r->user->ctx);
}

/* Skips to "{" if that is what comes next, be it on another line. */
static void skip_to_brace(struct reader *r)
{
	struct reader ahead = *r;

	while (at_any(&ahead, SPACE))
		step(&ahead);
	if (at(r, '\n') && at(&ahead, '{'))
		*r = ahead;
}

static void read_statement(struct reader *r, const char *block)
{
	struct word name, value;
	char full[80];
	bool named;

	if (!read_name(r, &name))
		return;
	full_name(full, block, name.text);
	named = r->ignored == 0 && !r->named && kind(r, full) == CONF_NAMED;
	skip(r, BLANK);
	skip_to_brace(r);
	if (strcmp(name.text, ".include") == 0) {
		read_include(r);
		return;
	}
	if (at_any(r, "=:")) {
		step(r);
		skip(r, BLANK);
	}
	if (at(r, '{')) {
		enter_block(r, block, name.text, false);
	} else if (at(r, '[')) {
		read_list(r, full);
	} else if (read_value(r, full, &value, "\n;,{}")) {
		if (named)
			skip_to_brace(r);
		if (named && at(r, '{'))
			enter_named(r, full, &value);
		else if (at(r, '{'))
			enter_block(r, block, name.text, true);
		else if (r->ignored == 0 && takes(r, value.line, full, false))
			take(r, full, &value);
	}
}

/* Statements up to the end of the block, or of the file. Names begin with the block's; the title is
 * for people. */
static void read_block(struct reader *r, const char *block, const char *title, unsigned line)
{
	for (skip(r, SPACE ";,"); r->p < r->end; skip(r, SPACE ";,")) {
		if (!at(r, '}')) {
			read_statement(r, block);
			continue;
		}
		step(r);
		if (r->nesting > 0)
			return;
		complain(r, r->line, "\"}\" without a block");
	}
	if (r->nesting > 0)
		complain(r, line, "block %.40s is never closed", title);
}

/* ---- files ----------------------------------------------------------------------------- */

/* Reads a whole file; the caller frees *out. */
static enum err_code slurp(const char *path, char **out, size_t *n, struct err *e)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	enum err_code rc = ERR_OK;

	if (f == NULL)
		return err_set(e, ERR_IO, "%.100s: %s", path, strerror(errno));
	text = malloc(FILE_MAX + 1);
	if (text == NULL) {
		rc = err_set(e, ERR_NOMEM, "reading settings");
		goto out;
	}
	*n = fread(text, 1, FILE_MAX + 1, f);
	if (ferror(f))
		rc = err_set(e, ERR_IO, "%.100s: %s", path, strerror(errno));
	else if (*n > FILE_MAX)
		rc = err_set(e, ERR_IO, "%.100s: larger than 1 MB", path);
	if (rc != ERR_OK)
		goto out;
	*out = text;
	text = NULL;
out:
	free(text);
	(void)fclose(f);
	return rc;
}

static void tell_file(const struct conf_user *user, const char *path)
{
	if (user->file != NULL)
		user->file(user->ctx, path);
}

/* An included file: a relative path starts at the folder of the file that includes it. */
static void include(struct reader *r, const char *path, unsigned line)
{
	const char *slash = strrchr(r->file, '/');
	int folder = path[0] == '/' || slash == NULL ? 0 : (int)(slash - r->file) + 1;
	struct reader inner = {
		.user = r->user, .line = 1, .files = r->files + 1, .includes = true
	};
	char *full = NULL, *text = NULL;
	size_t n = 0;
	enum err_code rc;
	struct err e;

	if (asprintf(&full, "%.*s%s", folder, r->file, path) < 0) {
		r->nomem = true;
		return;
	}
	rc = slurp(full, &text, &n, &e);
	if (rc == ERR_OK) {
		tell_file(r->user, full);
		inner.file = full;
		inner.p = text;
		inner.end = text + n;
		read_block(&inner, "", "", 1);
	} else if (rc == ERR_IO) {
		complain(r, line, ".include: %s", e.why);
	}
	r->nomem |= rc == ERR_NOMEM || inner.nomem;
	free(text);
	free(full);
}

static void read_include(struct reader *r)
{
	struct word w;

	if (!read_value(r, ".include", &w, "\n;,}"))
		return;
	if (r->nesting > 0)
		complain(r, w.line, ".include: not inside a block");
	else if (!r->includes)
		complain(r, w.line, ".include: only in a file");
	else if (r->files == NESTING_MAX)
		complain(r, w.line, ".include: files within files within files");
	else
		include(r, w.text, w.line);
}

static enum err_code read_all(const char *file, const char *text, size_t n,
			      const struct conf_user *user, bool includes, struct err *e)
{
	struct reader r = { .user = user,
			    .file = file,
			    .p = text,
			    .end = text + n,
			    .line = 1,
			    .includes = includes };

	read_block(&r, "", "", 1);
	return r.nomem ? err_set(e, ERR_NOMEM, "reading settings") : ERR_OK;
}

enum err_code conf_read_text(const char *name, const char *text, size_t n,
			     const struct conf_user *user, struct err *e)
{
	return read_all(name, text, n, user, false, e);
}

enum err_code conf_read_file(const char *path, const struct conf_user *user, struct err *e)
{
	char *text = NULL;
	size_t n = 0;
	enum err_code rc = slurp(path, &text, &n, e);

	if (rc == ERR_OK) {
		tell_file(user, path);
		rc = read_all(path, text, n, user, true, e);
	}
	free(text);
	return rc;
}
