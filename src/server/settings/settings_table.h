/* settings_table - the table behind settings.h, for settings*.c only: what there is to set, and how
 * it is written. Constant; any thread. */
#ifndef RESTANTE_SERVER_SETTINGS_SETTINGS_TABLE_H
#define RESTANTE_SERVER_SETTINGS_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
	SETTING_SIZE,
	SETTING_SECONDS,
	SETTING_COUNT,
	SETTING_STRING,
	SETTING_BOOL,
	SETTING_LISTEN,
	SETTING_LISTEN_TLS,
	SETTING_KEYS,
	SETTING_NAMES
};

struct setting {
	const char *name; /* "upload.max": block and name in it */
	enum setting_type type;
	size_t offset;     /* of its field in struct settings; not for lists */
	const char *unset; /* the default, as an operator would write it; NULL: none */
	uint64_t min, max; /* of numbers */
	bool host;         /* may differ between virtual hosts; the others are of the server */
	bool host_only;    /* stands in a server block only */
	bool live;         /* taken up on SIGHUP; the others need a restart */
	bool bare;         /* a string of one plain word, printed without quotes */
	bool (*fits)(const char *value); /* of strings; NULL: anything does */
	const char *range;               /* of strings, in words */
	const char *example;             /* where there is no default */
	const char *help;                /* sentences */
};

#define SETTINGS_COUNT 55

/* In the order in which they are printed; the settings of a block follow each other. */
extern const struct setting settings_table[SETTINGS_COUNT];

/* By full name; NULL if there is none. */
const struct setting *settings_table_find(const char *name);

/* Does any setting stand in a block of this name? */
bool settings_table_has_block(const char *name);

/* May it stand in a server block? */
bool settings_table_in_host(const struct setting *t);

/* The length of the block in the setting's name, 0 if it is outside of any. */
int settings_table_block_length(const struct setting *t);

bool settings_table_is_listen(const struct setting *t);

/* May it have several values, one a statement or in brackets? */
bool settings_table_is_list(const struct setting *t);

#define SETTINGS_AMOUNT_SIZE 32

/* A number as an operator would write it: in the largest unit that leaves no remainder. Returns
 * out. */
const char *settings_table_amount(char out[static SETTINGS_AMOUNT_SIZE], enum setting_type type,
				  uint64_t v);

#endif
