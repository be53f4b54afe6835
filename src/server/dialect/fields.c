#include "server/dialect/fields.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "wire/sf.h"

enum field field_text(const struct request *r, const char *name, struct bytes *out)
{
	bool twice;
	size_t n;
	const char *v = request_header(r, name, &n, &twice);

	if (v == NULL)
		return FIELD_NONE;
	*out = (struct bytes){ (const uint8_t *)v, n };
	return twice ? FIELD_BAD : FIELD_GOOD;
}

enum field field_number(const struct request *r, const char *name, uint64_t max, uint64_t *out,
			bool *too_large)
{
	struct bytes v;
	uint64_t n;
	enum field f = field_text(r, name, &v);

	if (f != FIELD_GOOD)
		return f;
	if (num_u64((const char *)v.data, v.len, max, out))
		return FIELD_GOOD;
	if (too_large != NULL)
		*too_large = num_u64((const char *)v.data, v.len, UINT64_MAX, &n);
	return FIELD_BAD;
}

bool field_sf_boolean(const struct request *r, const char *name, bool *out)
{
	struct bytes v;

	return field_text(r, name, &v) == FIELD_GOOD &&
	       sf_boolean(out, (const char *)v.data, v.len);
}

bool field_sf_unsigned(const struct request *r, const char *name, uint64_t *out)
{
	struct bytes v;

	return field_text(r, name, &v) == FIELD_GOOD &&
	       sf_unsigned(out, (const char *)v.data, v.len);
}

bool field_has_type(const struct request *r, const char *type)
{
	const size_t n = strlen(type);
	struct bytes v;

	if (field_text(r, "Content-Type", &v) != FIELD_GOOD || v.len < n ||
	    strncasecmp((const char *)v.data, type, n) != 0)
		return false;
	return v.len == n || strchr("; \t", v.data[n]) != NULL;
}

bool field_there(const struct request *r, const char *name)
{
	size_t n;

	return request_header(r, name, &n, NULL) != NULL;
}

bool field_announced(const struct request *r, const char *name)
{
	const char *line;
	size_t n, k;

	for (unsigned i = 0; (line = request_header_line(r, "Trailer", i, &n)) != NULL; i++) {
		for (; n > 0; line += k, n -= k) {
			k = strspn(line, ", \t");
			k = k < n ? k : n;
			line += k;
			n -= k;
			k = strcspn(line, ", \t");
			k = k < n ? k : n;
			if (k == strlen(name) && strncasecmp(line, name, k) == 0)
				return true;
		}
	}
	return false;
}
