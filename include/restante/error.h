/* error - what may go wrong, for programs that link librestante (pkg-config restante).
 *
 * Functions that can fail return a code and, if asked, a sentence. Misuse by the caller is a code
 * as well (RESTANTE_MISUSE): the library never ends the program, never writes to its streams, and
 * changes neither signal handlers nor the locale. Any thread may call. */
#ifndef RESTANTE_ERROR_H
#define RESTANTE_ERROR_H

/* In front of everything that the shared library exports. */
#if defined(__GNUC__)
#define RESTANTE_API __attribute__((visibility("default")))
#else
#define RESTANTE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are part of the interface and are never used again for something else. */
enum restante_code {
	RESTANTE_OK = 0,
	RESTANTE_NOMEM = 1,      /* out of memory */
	RESTANTE_MISUSE = 2,     /* the program called it wrongly */
	RESTANTE_INVALID = 3,    /* an input is not well formed: envelope, token, key, address */
	RESTANTE_TAMPERED = 4,   /* not authentic: changed, cut short, or not what was announced */
	RESTANTE_KEY = 5,        /* the key does not open it */
	RESTANTE_TOOBIG = 6,     /* more than allowed or announced */
	RESTANTE_IO = 7,         /* a local file cannot be read or written */
	RESTANTE_CHANGED = 8,    /* the file changed while, or since, it was being sent */
	RESTANTE_NETWORK = 9,    /* no answer, however often it was tried: worth trying later */
	RESTANTE_UNTRUSTED = 10, /* neither https nor loopback, a certificate that does not hold, or
				  * a server that points elsewhere */
	RESTANTE_GONE = 11,      /* not there (any more): expired, deleted, acknowledged, unknown */
	RESTANTE_DENIED = 12,    /* the server wants another permission, or forbids it */
	RESTANTE_LIMIT = 13,     /* the server has no room, or has had enough of us for now */
	RESTANTE_SERVER =
		14, /* an answer that makes no sense; it is no restante, or no tus server */
	RESTANTE_CANCELLED = 15 /* restante_cancel() */
};

/* A sentence for a person, in English, without newline. It may name local files; it never holds
 * keys, tokens or addresses of uploads. */
struct restante_error {
	enum restante_code code;
	char detail[240];
};

/* The general sentence for a code, a static string; of a number that is none: "unknown error". */
RESTANTE_API const char *restante_error_text(enum restante_code code);

#ifdef __cplusplus
}
#endif
#endif
