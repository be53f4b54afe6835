#include "server/hosts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, size_t n, const char *set)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\0' || strchr(set, text[i]) == NULL)
			return false;
	return n > 0;
}

static bool fits_address(const char *name, size_t n)
{
	return n > 2 && name[n - 1] == ']' &&
	       is_one_of(name + 1, n - 2, "0123456789abcdefABCDEF:.");
}

bool hosts_fits(const char *name, bool pattern)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_";
	size_t n = strlen(name);

	if (n > HOSTS_NAME_MAX)
		return false;
	if (name[0] == '[')
		return fits_address(name, n);
	if (pattern && strncmp(name, "*.", 2) == 0)
		name += 2;
	for (;; name++) { /* a label each time */
		n = strcspn(name, ".");
		if (!is_one_of(name, n, letters))
			return false;
		name += n;
		if (name[0] == '\0' || name[1] == '\0')
			return true;
	}
}

/* tolower() asks the locale. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void hosts_plain(char *name)
{
	size_t n = strlen(name);

	if (n > 0 && name[n - 1] == '.')
		name[n - 1] = '\0';
	for (; *name != '\0'; name++)
		*name = lower(*name);
}

/* ---- the index --------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct settings_name *)a)->name,
		      ((const struct settings_name *)b)->name);
}

static void add(struct settings *s, const char *name, const struct settings *host)
{
	if (name[0] != '\0')
		s->names[s->name_count++] = (struct settings_name){ name, host };
}

static void add_all(struct settings *s, const struct settings *host)
{
	add(s, host->name, host);
	for (size_t i = 0; i < host->alias_count; i++)
		add(s, host->alias[i], host);
}

enum err_code hosts_index(struct settings *s,
			  void (*twice)(void *ctx, const char *name, const struct settings *first,
					const struct settings *second),
			  void *ctx, struct err *e)
{
	size_t n = 0;

	assert(s->names == NULL);
	for (size_t i = 0; i < s->host_count; i++)
		n += 1 + s->hosts[i].alias_count;
	if (n == 0)
		return ERR_OK;
	s->names = calloc(n, sizeof(*s->names));
	if (s->names == NULL)
		return err_set(e, ERR_NOMEM, "names of hosts");
	for (size_t i = 0; i < s->host_count; i++)
		add_all(s, &s->hosts[i]);
	qsort(s->names, s->name_count, sizeof(*s->names), compare);
	for (size_t i = 1; i < s->name_count; i++) {
		const struct settings_name *a = &s->names[i - 1], *b = &s->names[i];

		if (compare(a, b) == 0)
			twice(ctx, a->name, a->host < b->host ? a->host : b->host,
			      a->host < b->host ? b->host : a->host);
	}
	return ERR_OK;
}

/* ---- finding ----------------------------------------------------------------------------- */

static const struct settings *look(const struct settings *s, const char *name)
{
	const struct settings_name wanted = { name, NULL };
	const struct settings_name *found =
		bsearch(&wanted, s->names, s->name_count, sizeof(wanted), compare);

	return found == NULL ? NULL : found->host;
}

/* What is in front of the port. */
static size_t name_length(const char *authority, size_t n)
{
	const char *end;

	if (n > 0 && authority[0] == '[') {
		end = memchr(authority, ']', n);
		return end == NULL ? n : (size_t)(end - authority) + 1;
	}
	end = memchr(authority, ':', n);
	return end == NULL ? n : (size_t)(end - authority);
}

static const struct settings *find(const struct settings *s, const char *authority, size_t n)
{
	char name[HOSTS_NAME_MAX + 2];
	const struct settings *host;

	n = name_length(authority, n);
	if (n == 0 || n >= sizeof(name) || memchr(authority, '\0', n) != NULL ||
	    memchr(authority, '*', n) != NULL)
		return NULL;
	memcpy(name, authority, n);
	name[n] = '\0';
	hosts_plain(name);
	host = look(s, name);
	for (char *dot = name; host == NULL && (dot = strchr(dot + 1, '.')) != NULL;) {
		dot[-1] = '*'; /* of what is in front of the dot nothing is needed any more */
		host = look(s, dot - 1);
	}
	return host;
}

const struct settings *hosts_find(const struct settings *s, const char *authority, size_t n)
{
	const struct settings *host;

	if (s->host_count == 0)
		return s;
	host = find(s, authority, n);
	if (host != NULL)
		return host;
	return strcmp(s->unknown_host, "refuse") == 0 ? NULL : &s->hosts[0];
}
