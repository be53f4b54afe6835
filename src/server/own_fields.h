/* own_fields - header fields that an answer has because of who asked, not of what: CORS for pages
 * of other origins (Fetch standard, "CORS protocol"), Tus-Resumable for tus clients (tus 1.0.0,
 * "Tus-Resumable"). The transport adds them to every answer, errors too. Any thread. */
#ifndef RESTANTE_SERVER_OWN_FIELDS_H
#define RESTANTE_SERVER_OWN_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

struct settings;

#define OWN_FIELDS 3
#define TUS_VERSION "1.0.0"

struct own_field {
	const char *name, *value;
};

/* Whether other origins are let in at all. */
bool own_fields_cors(const struct settings *set);

/* The fields, by its host's settings, for a request that names an origin, or speaks tus; how many.
 */
size_t own_fields_of(const struct settings *set, bool origin, bool tus,
		     struct own_field out[static OWN_FIELDS]);

#endif
