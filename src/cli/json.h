/* json - JSON for standard output, by jansson. One thread. */
#ifndef RESTANTE_CLI_JSON_H
#define RESTANTE_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cli/trouble.h"

/* Values; NULL of NULL. */
json_t *json_text(const char *text);
json_t *json_hex(const uint8_t *bytes, size_t size);
json_t *json_time(uint64_t unix_s); /* RFC 3339 */

/* Adds a field, taking the value over; a value that is NULL is left out. */
void json_add(json_t *object, const char *name, json_t *value);

/* Prints it on one line and frees it. TROUBLE_LOCAL. */
bool json_print(json_t *object, struct trouble *t);

#endif
