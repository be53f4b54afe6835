#include "server/settings/settings_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "server/hosts.h"
#include "server/listen.h"
#include "wire/paserk.h"

#define ELEMENT_SIZE (SETTINGS_KID_MAX + 1 + PASERK_PUBLIC_SIZE)

static void *field(const struct settings *s, const struct setting *t)
{
	return (char *)(uintptr_t)s + t->offset;
}

static enum err_code no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "settings");
}

/* ---- reading ----------------------------------------------------------------------------- */

static enum err_code put_string(char **at, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return no_memory(e);
	free(*at);
	*at = copy;
	return ERR_OK;
}

static enum err_code put_number(uint64_t *at, const struct setting *t, const char *value,
				struct err *e)
{
	static const char *const kinds[] = {
		[SETTING_SIZE] = "a size such as 64mb",
		[SETTING_SECONDS] = "a time such as 30d",
		[SETTING_COUNT] = "a number",
	};
	size_t n = strlen(value);
	char low[SETTINGS_AMOUNT_SIZE], high[SETTINGS_AMOUNT_SIZE];
	uint64_t v = 0;
	bool ok = t->type == SETTING_SIZE      ? num_size(value, n, UINT64_MAX, &v)
		  : t->type == SETTING_SECONDS ? num_duration(value, n, UINT64_MAX, &v)
					       : num_u64(value, n, UINT64_MAX, &v);

	if (!ok)
		return err_set(e, ERR_INVALID, "\"%.40s\" is not %s", value, kinds[t->type]);
	if (v < t->min || v > t->max)
		return err_set(e, ERR_INVALID, "\"%.40s\" is out of range: %s to %s", value,
			       settings_table_amount(low, t->type, t->min),
			       settings_table_amount(high, t->type, t->max));
	*at = v;
	return ERR_OK;
}

static enum err_code put_bool(bool *at, const char *value, struct err *e)
{
	static const struct {
		const char *text;
		bool is;
	} words[] = { { "true", true },   { "yes", true }, { "on", true },
		      { "false", false }, { "no", false }, { "off", false } };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(value, words[i].text) == 0) {
			*at = words[i].is;
			return ERR_OK;
		}
	return err_set(e, ERR_INVALID, "\"%.40s\" is neither true nor false", value);
}

static enum err_code add_listen(struct settings *s, const char *address, bool tls, struct err *e)
{
	struct settings_listen *l = &s->listen[s->listen_count];
	enum err_code rc = listen_check(address, e);

	if (rc != ERR_OK)
		return rc;
	if (s->listen_count == SETTINGS_LISTEN_MAX)
		return err_set(e, ERR_INVALID, "more than %d listeners", SETTINGS_LISTEN_MAX);
	rc = put_string(&l->address, address, e);
	if (rc == ERR_OK) {
		l->tls = tls;
		s->listen_count++;
	}
	return rc;
}

/* Where the key begins in "KID k4.public.…". */
static const char *key_of(const char *value)
{
	const size_t kid = strcspn(value, " \t");

	return value[kid] == '\0' ? value : value + kid + strspn(value + kid, " \t");
}

/* Without a KID it is the id that PASERK gives the key. */
static enum err_code read_key(struct settings_grant_key *k, const char *value, struct err *e)
{
	const size_t kid = strcspn(value, " \t");
	const char *text = key_of(value);

	_Static_assert(PASERK_PID_SIZE <= sizeof(k->kid), "the key's own id fits");
	/* nothing of the value is said: a secret key has been put into the wrong file before */
	if (strncmp(text, "k4.secret.", 10) == 0)
		return err_set(e, ERR_INVALID,
			       "this is the secret key, which stays where grants are made: a "
			       "k4.public. one goes here");
	if (!paserk_read_public(k->key, text, strlen(text)))
		return err_set(e, ERR_INVALID,
			       "not a key: k4.public. and 43 characters, and in "
			       "front of it a key id and a space, if it has one");
	if (text != value && (kid == 0 || kid > SETTINGS_KID_MAX))
		return err_set(e, ERR_INVALID, "the key id is not one of 1 to %d bytes",
			       SETTINGS_KID_MAX);
	if (text == value)
		paserk_pid(k->kid, k->key);
	else
		(void)snprintf(k->kid, sizeof(k->kid), "%.*s", (int)kid, value);
	return ERR_OK;
}

static enum err_code add_key(struct settings *s, const char *value, struct err *e)
{
	struct settings_grant_key k, *more;
	enum err_code rc = read_key(&k, value, e);

	if (rc != ERR_OK)
		return rc;
	if (settings_grant_key(s, k.kid) != NULL)
		return err_set(e, ERR_INVALID, "there is a key of the id \"%.100s\" already",
			       k.kid);
	if (s->grant_key_count == SETTINGS_GRANT_KEYS_MAX)
		return err_set(e, ERR_INVALID, "more than %d keys", SETTINGS_GRANT_KEYS_MAX);
	more = reallocarray(s->grant_keys, s->grant_key_count + 1, sizeof(*more));
	if (more == NULL)
		return no_memory(e);
	more[s->grant_key_count++] = k;
	s->grant_keys = more;
	return ERR_OK;
}

/* Kept as hosts_find() compares them. */
static enum err_code add_alias(struct settings *s, const char *value, struct err *e)
{
	char **more, *copy = NULL;
	enum err_code rc = ERR_OK;

	if (!hosts_fits(value, true))
		return err_set(e, ERR_INVALID, "\"%.40s\" is no name of a host, nor *. and one",
			       value);
	if (s->alias_count == SETTINGS_ALIASES_MAX)
		return err_set(e, ERR_INVALID, "more than %d", SETTINGS_ALIASES_MAX);
	rc = put_string(&copy, value, e);
	if (rc != ERR_OK)
		return rc;
	hosts_plain(copy);
	more = reallocarray(s->alias, s->alias_count + 1, sizeof(*more));
	if (more == NULL) {
		free(copy);
		return no_memory(e);
	}
	more[s->alias_count++] = copy;
	s->alias = more;
	return ERR_OK;
}

enum err_code settings_value_read(struct settings *s, const struct setting *t, const char *value,
				  struct err *e)
{
	switch (t->type) {
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		return put_number(field(s, t), t, value, e);
	case SETTING_BOOL:
		return put_bool(field(s, t), value, e);
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		return add_listen(s, value, t->type == SETTING_LISTEN_TLS, e);
	case SETTING_KEYS:
		return add_key(s, value, e);
	case SETTING_NAMES:
		return add_alias(s, value, e);
	case SETTING_STRING:
		break;
	}
	if (t->fits != NULL && !t->fits(value))
		return err_set(e, ERR_INVALID, "\"%.40s\" does not do: %s", value, t->range);
	return put_string(field(s, t), value, e);
}

enum err_code settings_value_default(struct settings *s, const struct setting *t, struct err *e)
{
	if (settings_table_is_list(t)) {
		settings_value_drop(s, t);
		return ERR_OK;
	}
	return settings_value_read(s, t, t->unset != NULL ? t->unset : "", e);
}

/* ---- letting go -------------------------------------------------------------------------- */

static void drop_listeners(struct settings *s, bool tls)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->listen_count; i++) {
		if (s->listen[i].tls == tls) {
			free(s->listen[i].address);
			free(s->listen[i].where);
		} else {
			s->listen[kept++] = s->listen[i];
		}
	}
	memset(s->listen + kept, 0, (s->listen_count - kept) * sizeof(s->listen[0]));
	s->listen_count = kept;
}

void settings_value_drop(struct settings *s, const struct setting *t)
{
	switch (t->type) {
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		drop_listeners(s, t->type == SETTING_LISTEN_TLS);
		return;
	case SETTING_KEYS:
		free(s->grant_keys);
		s->grant_keys = NULL;
		s->grant_key_count = 0;
		return;
	case SETTING_NAMES:
		while (s->alias_count > 0)
			free(s->alias[--s->alias_count]);
		free(s->alias);
		s->alias = NULL;
		return;
	case SETTING_STRING:
		free(*(char **)field(s, t));
		*(char **)field(s, t) = NULL;
		return;
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
	case SETTING_BOOL:
		return;
	}
}

/* ---- copying ----------------------------------------------------------------------------- */

static enum err_code copy_listeners(struct settings *to, const struct settings *from, bool tls,
				    struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < from->listen_count; i++)
		if (from->listen[i].tls == tls)
			rc = add_listen(to, from->listen[i].address, tls, e);
	return rc;
}

static enum err_code copy_keys(struct settings *to, const struct settings *from, struct err *e)
{
	const size_t n = from->grant_key_count;

	if (n == 0)
		return ERR_OK;
	to->grant_keys = calloc(n, sizeof(*to->grant_keys));
	if (to->grant_keys == NULL)
		return no_memory(e);
	memcpy(to->grant_keys, from->grant_keys, n * sizeof(*to->grant_keys));
	to->grant_key_count = n;
	return ERR_OK;
}

static enum err_code copy_aliases(struct settings *to, const struct settings *from, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < from->alias_count; i++)
		rc = add_alias(to, from->alias[i], e);
	return rc;
}

enum err_code settings_value_copy(struct settings *to, const struct settings *from,
				  const struct setting *t, struct err *e)
{
	switch (t->type) {
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		settings_value_drop(to, t);
		return copy_listeners(to, from, t->type == SETTING_LISTEN_TLS, e);
	case SETTING_KEYS:
		settings_value_drop(to, t);
		return copy_keys(to, from, e);
	case SETTING_NAMES:
		settings_value_drop(to, t);
		return copy_aliases(to, from, e);
	case SETTING_STRING:
		return put_string(field(to, t), *(char **)field(from, t), e);
	case SETTING_BOOL:
		*(bool *)field(to, t) = *(bool *)field(from, t);
		return ERR_OK;
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		break;
	}
	*(uint64_t *)field(to, t) = *(uint64_t *)field(from, t);
	return ERR_OK;
}

/* ---- comparing --------------------------------------------------------------------------- */

/* The i-th listener of a kind, NULL behind the last. */
static const char *listener_at(const struct settings *s, bool tls, size_t i)
{
	for (size_t k = 0; k < s->listen_count; k++)
		if (s->listen[k].tls == tls && i-- == 0)
			return s->listen[k].address;
	return NULL;
}

static bool same_listeners(const struct settings *a, const struct settings *b, bool tls)
{
	for (size_t i = 0;; i++) {
		const char *x = listener_at(a, tls, i), *y = listener_at(b, tls, i);

		if (x == NULL || y == NULL)
			return x == y;
		if (strcmp(x, y) != 0)
			return false;
	}
}

static bool same_keys(const struct settings *a, const struct settings *b)
{
	bool same = a->grant_key_count == b->grant_key_count;

	for (size_t i = 0; same && i < a->grant_key_count; i++)
		same = strcmp(a->grant_keys[i].kid, b->grant_keys[i].kid) == 0 &&
		       memcmp(a->grant_keys[i].key, b->grant_keys[i].key,
			      sizeof(a->grant_keys[i].key)) == 0;
	return same;
}

static bool same_aliases(const struct settings *a, const struct settings *b)
{
	bool same = a->alias_count == b->alias_count;

	for (size_t i = 0; same && i < a->alias_count; i++)
		same = strcmp(a->alias[i], b->alias[i]) == 0;
	return same;
}

bool settings_value_same(const struct settings *a, const struct settings *b,
			 const struct setting *t)
{
	switch (t->type) {
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		return same_listeners(a, b, t->type == SETTING_LISTEN_TLS);
	case SETTING_KEYS:
		return same_keys(a, b);
	case SETTING_NAMES:
		return same_aliases(a, b);
	case SETTING_STRING:
		return strcmp(*(char **)field(a, t), *(char **)field(b, t)) == 0;
	case SETTING_BOOL:
		return *(bool *)field(a, t) == *(bool *)field(b, t);
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		break;
	}
	return *(uint64_t *)field(a, t) == *(uint64_t *)field(b, t);
}

/* ---- printing ---------------------------------------------------------------------------- */

void settings_value_quote(const char *text, FILE *f)
{
	(void)fputc('"', f);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', f);
		(void)fputc(*text, f);
	}
	(void)fputc('"', f);
}

/* The i-th of a list; NULL behind the last. What it gives may be in `room`. */
static const char *element(const struct settings *s, const struct setting *t, size_t i,
			   char room[static ELEMENT_SIZE])
{
	char key[PASERK_PUBLIC_SIZE];

	if (t->type == SETTING_NAMES)
		return i < s->alias_count ? s->alias[i] : NULL;
	if (t->type != SETTING_KEYS)
		return listener_at(s, t->type == SETTING_LISTEN_TLS, i);
	if (i == s->grant_key_count)
		return NULL;
	paserk_public(key, s->grant_keys[i].key);
	(void)snprintf(room, ELEMENT_SIZE, "%s %s", s->grant_keys[i].kid, key);
	return room;
}

static void print_list(FILE *f, const struct settings *s, const struct setting *t)
{
	char room[ELEMENT_SIZE];
	const char *text;

	(void)fputc('[', f);
	for (size_t i = 0; (text = element(s, t, i, room)) != NULL; i++) {
		(void)fputs(i > 0 ? ", " : " ", f);
		settings_value_quote(text, f);
	}
	(void)fputs(" ]", f);
}

void settings_value_print(const struct settings *s, const struct setting *t, FILE *f)
{
	char amount[SETTINGS_AMOUNT_SIZE];

	if (settings_table_is_list(t))
		print_list(f, s, t);
	else if (t->type == SETTING_STRING)
		settings_value_quote(*(char **)field(s, t), f);
	else if (t->type == SETTING_BOOL)
		(void)fputs(*(bool *)field(s, t) ? "true" : "false", f);
	else
		(void)fputs(settings_table_amount(amount, t->type, *(uint64_t *)field(s, t)), f);
}
