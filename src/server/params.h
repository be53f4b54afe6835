/* params - what a client may say of an upload: kind, ttl, recipients, sha256. Strict: an unknown
 * name or a value out of shape is refused, so that a misspelt ttl is not a month of storage. Any
 * thread. */
#ifndef RESTANTE_SERVER_PARAMS_H
#define RESTANTE_SERVER_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/settings.h"
#include "wire/metadata.h"

enum kind { KIND_FILE, KIND_PHOTO, KIND_VIDEO, KIND_VOICE, KIND_COUNT };

struct params {
	bool kind_given, ttl_given, recipients_given; /* by the client; else they are defaults */
	enum kind kind;
	uint64_t ttl_s; /* within the server's bounds */
	uint16_t recipients;
	bool digest_given;
	struct digest digest; /* the content must have */
};

/* Reads the query of an upload (NULL: none). What is not said has the default of its kind. A ttl
 * longer than the server keeps anything is shortened to that. ERR_INVALID; then *complaint is a
 * static sentence for the client. */
enum err_code params_parse(struct params *out, const char *query, const struct settings *set,
			   const char **complaint);

/* The same, of the query and of the keys of an Upload-Metadata field, where others than ours are
 * the client's own business. What stands in both must agree. */
enum err_code params_parse_both(struct params *out, const char *query, const struct metadata *m,
				const struct settings *set, const char **complaint);

/* Adds the digest of a Repr-Digest field (NULL: none). ERR_INVALID as above: not well formed, or
 * not the one of the query. */
enum err_code params_add_digest(struct params *p, const char *field, size_t n,
				const char **complaint);

const char *kind_name(enum kind k);

/* False: no kind of that name. */
bool kind_of_name(const char *name, enum kind *out);

/* How long a kind is kept if nobody says, within the server's bounds. */
uint64_t kind_ttl(enum kind k, const struct settings *set);

#endif
