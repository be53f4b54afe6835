#include "server/settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/listen.h"
#include "server/settings/settings_table.h"
#include "server/settings/settings_value.h"

/* Of both kinds, so that there is room for others of either. */
static void drop_listeners(struct settings *s)
{
	settings_value_drop(s, settings_table_find("listen"));
	settings_value_drop(s, settings_table_find("listen_tls"));
}

/* What a block cannot say is in its host as it is here. ERR_NOMEM. */
static enum err_code share(struct settings *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t h = 0; h < s->host_count; h++) {
		drop_listeners(&s->hosts[h]);
		for (size_t i = 0; rc == ERR_OK && i < SETTINGS_COUNT; i++)
			if (!settings_table[i].host)
				rc = settings_value_copy(&s->hosts[h], s, &settings_table[i], e);
	}
	return rc;
}

/* ---- flags, and the end ------------------------------------------------------------------- */

enum err_code settings_add_listen(struct settings *s, const char *address, bool *replaced,
				  struct err *e)
{
	enum err_code rc = listen_check(address, e);

	if (rc == ERR_OK && !*replaced) {
		drop_listeners(s);
		*replaced = true;
	}
	if (rc == ERR_OK)
		rc = settings_value_read(s, settings_table_find("listen"), address, e);
	return rc == ERR_OK ? share(s, e) : rc;
}

enum err_code settings_set_data_dir(struct settings *s, const char *dir, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (dir[0] == '\0')
		return err_set(e, ERR_INVALID, "the data directory has no name");
	for (const char *p = dir; *p != '\0'; p++)
		if ((unsigned char)*p < 32 || *p == 127) /* no file of settings could say it */
			return err_set(e, ERR_INVALID,
				       "control character in the data directory's name");
	rc = settings_value_read(s, settings_table_find("data_dir"), dir, e);
	return rc == ERR_OK ? share(s, e) : rc;
}

void settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		settings_value_drop(s, &settings_table[i]);
	for (size_t i = 0; i < s->host_count; i++)
		settings_free(&s->hosts[i]);
	while (s->file_count > 0)
		free(s->files[--s->file_count]);
	free(s->files);
	free(s->hosts);
	free(s->names);
	memset(s, 0, sizeof(*s));
}

/* ---- who may ------------------------------------------------------------------------------- */

const uint8_t *settings_grant_key(const struct settings *s, const char *kid)
{
	for (size_t i = 0; i < s->grant_key_count; i++)
		if (strcmp(s->grant_keys[i].kid, kid) == 0)
			return s->grant_keys[i].key;
	return NULL;
}

bool settings_open(const struct settings *s)
{
	if (strcmp(s->auth, "auto") == 0)
		return s->grant_key_count == 0;
	return strcmp(s->auth, "open") == 0;
}

const struct settings *settings_first_open(const struct settings *s)
{
	for (size_t i = 0; i < s->host_count; i++)
		if (settings_open(&s->hosts[i]))
			return &s->hosts[i];
	return s->host_count == 0 && settings_open(s) ? s : NULL;
}

static uint64_t largest(const struct settings *s, size_t offset)
{
	uint64_t most = *(const uint64_t *)((const char *)s + offset);

	for (size_t i = 0; i < s->host_count; i++) {
		const uint64_t v = *(const uint64_t *)((const char *)&s->hosts[i] + offset);

		most = v > most ? v : most;
	}
	return most;
}

uint64_t settings_longest_ttl(const struct settings *s)
{
	return largest(s, offsetof(struct settings, upload_ttl_max));
}

uint64_t settings_longest_unfinished(const struct settings *s)
{
	return largest(s, offsetof(struct settings, upload_ttl_unfinished));
}

const struct settings *settings_of_host(const struct settings *s, struct bytes name)
{
	if (name.len == 0)
		return s;
	for (size_t i = 0; i < s->host_count; i++)
		if (strlen(s->hosts[i].name) == name.len &&
		    memcmp(s->hosts[i].name, name.data, name.len) == 0)
			return &s->hosts[i];
	return NULL;
}

/* ---- comparing ---------------------------------------------------------------------------- */

size_t settings_fixed_changes(const struct settings *running, const struct settings *wanted,
			      FILE *out)
{
	size_t count = 0;

	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		if (settings_table[i].live ||
		    settings_value_same(running, wanted, &settings_table[i]))
			continue;
		(void)fprintf(out, "%s%s", count > 0 ? " " : "", settings_table[i].name);
		count++;
	}
	return count;
}

enum err_code settings_keep_fixed(struct settings *wanted, const struct settings *running,
				  struct err *e)
{
	enum err_code rc = ERR_OK;

	drop_listeners(wanted);
	for (size_t i = 0; rc == ERR_OK && i < SETTINGS_COUNT; i++)
		if (!settings_table[i].live)
			rc = settings_value_copy(wanted, running, &settings_table[i], e);
	return rc == ERR_OK ? share(wanted, e) : rc;
}
