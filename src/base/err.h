/* err - one table of failures: a code for what the program decides, a sentence for what the
 * operator reads. HTTP statuses and exit codes are chosen at the edges, nowhere else.
 *
 * Any thread may call; a struct err belongs to one caller. */
#ifndef RESTANTE_BASE_ERR_H
#define RESTANTE_BASE_ERR_H

#define ERR_LIST(X)                                 \
	X(OK, "success")                            \
	X(NOMEM, "out of memory")                   \
	X(INVALID, "not well formed")               \
	X(FORGED, "tag does not match")             \
	X(EXPIRED, "its time is over")              \
	X(NOTFOUND, "no such blob or upload")       \
	X(DELETED, "it was deleted")                \
	X(EXISTS, "it is there already")            \
	X(OFFSET, "offset is not where we stopped") \
	X(DIGEST, "digest does not match")          \
	X(SUM, "checksum does not match")           \
	X(LENGTH, "not the length announced")       \
	X(TOOBIG, "larger than allowed")            \
	X(FULL, "no room on the disk")              \
	X(BUSY, "in use elsewhere")                 \
	X(LIMIT, "more than one client may have")   \
	X(FORMAT, "written by a newer version")     \
	X(DAMAGED, "stored bytes are damaged")      \
	X(IO, "storage failed")

#define X(code, text) ERR_##code,
enum err_code { ERR_LIST(X) ERR_COUNT };
#undef X

/* What went wrong, for the log; `why` is never sent to a client. */
struct err {
	enum err_code code;
	char why[160];
};

/* Fills *e (NULL is fine) and returns code, so that `return err_set(...)` reads well. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The sentence for a code; a static string. */
const char *err_text(enum err_code code);

#endif
