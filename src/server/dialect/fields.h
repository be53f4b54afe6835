/* fields - header fields as the resumable dialects read them. A field that may stand once and
 * stands twice is bad, whatever it says. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_FIELDS_H
#define RESTANTE_SERVER_DIALECT_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "server/http.h"

enum field { FIELD_NONE, FIELD_GOOD, FIELD_BAD };

enum field field_text(const struct request *r, const char *name, struct bytes *out);

/* A decimal number of at most max (base/num.h). *too_large (unless NULL): it is a number, but
 * larger.
 */
enum field field_number(const struct request *r, const char *name, uint64_t max, uint64_t *out,
			bool *too_large);

/* Structured fields: one that is not well formed is as good as not there (RFC 9651 section 4.2).
 * False then, and *out as it was. */
bool field_sf_boolean(const struct request *r, const char *name, bool *out);
bool field_sf_unsigned(const struct request *r, const char *name, uint64_t *out);

/* Whether Content-Type is this one, whatever its parameters. */
bool field_has_type(const struct request *r, const char *type);

bool field_there(const struct request *r, const char *name);

/* Whether Trailer (RFC 9110 section 6.6.2) announces this field. */
bool field_announced(const struct request *r, const char *name);

#endif
