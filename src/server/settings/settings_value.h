/* settings_value - one value of a struct settings, for settings*.c only: read, copied, compared,
 * printed, let go, as its type in the table wants it. */
#ifndef RESTANTE_SERVER_SETTINGS_SETTINGS_VALUE_H
#define RESTANTE_SERVER_SETTINGS_SETTINGS_VALUE_H

#include <stdio.h>

#include "server/settings.h"
#include "server/settings/settings_table.h"

/* Reads a value into its field; one of a list is added to it. ERR_INVALID: why says what is wrong
 * with it, without its name. ERR_NOMEM. */
enum err_code settings_value_read(struct settings *s, const struct setting *t, const char *value,
				  struct err *e);

/* Puts the default in, nothing into a list. ERR_NOMEM. */
enum err_code settings_value_default(struct settings *s, const struct setting *t, struct err *e);

/* Puts what `from` has in place of what `to` has. ERR_NOMEM, and `to` keeps it or, of a list, has
 * less. */
enum err_code settings_value_copy(struct settings *to, const struct settings *from,
				  const struct setting *t, struct err *e);

bool settings_value_same(const struct settings *a, const struct settings *b,
			 const struct setting *t);

/* As it would stand behind "name = " in a file: a list in brackets. */
void settings_value_print(const struct settings *s, const struct setting *t, FILE *f);

/* In quotes. */
void settings_value_quote(const char *text, FILE *f);

/* Frees what the field holds: a list is empty then, a string NULL. */
void settings_value_drop(struct settings *s, const struct setting *t);

#endif
