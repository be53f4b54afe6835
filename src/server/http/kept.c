#include "server/http/inside.h"

#include <stdlib.h>
#include <string.h>

struct kept {
	size_t count, room; /* fields, and bytes of text */
	char *text;         /* what is not taken yet */
	struct kept_field {
		const char *name, *value;
		size_t name_len, len;
	} fields[];
};

static enum MHD_Result measure(void *cls, enum MHD_ValueKind kind, const char *name,
			       size_t name_len, const char *value, size_t len)
{
	struct kept *k = cls;

	(void)kind;
	(void)name;
	(void)value;
	k->count++;
	k->room += name_len + len + 2;
	return MHD_YES;
}

static const char *copy(struct kept *k, const char *text, size_t n)
{
	char *at = k->text;

	if (n > 0)
		memcpy(at, text, n);
	at[n] = '\0';
	k->text += n + 1;
	return at;
}

static enum MHD_Result take(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
			    const char *value, size_t len)
{
	struct kept *k = cls;
	struct kept_field *f = &k->fields[k->count++];

	(void)kind;
	*f = (struct kept_field){ .name_len = name_len, .len = len };
	f->name = copy(k, name, name_len);
	f->value = copy(k, value, len);
	return MHD_YES;
}

void kept_make(struct request *r)
{
	struct kept size = { 0 }, *k;

	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, measure, &size);
	k = malloc(sizeof(*k) + size.count * sizeof(k->fields[0]) + size.room);
	if (k == NULL)
		return;
	*k = (struct kept){ .text = (char *)&k->fields[size.count] };
	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, take, k);
	r->kept = k;
}

void kept_each(const struct kept *k, MHD_KeyValueIteratorN each, void *cls)
{
	for (size_t i = 0; i < k->count; i++)
		if (each(cls, MHD_HEADER_KIND, k->fields[i].name, k->fields[i].name_len,
			 k->fields[i].value, k->fields[i].len) != MHD_YES)
			return;
}
