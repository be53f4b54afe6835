#include "wire/shallow.h"

bool shallow_fits(struct bytes text)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		const uint8_t c = text.data[i];

		if (c == '\\')
			i++; /* outside of strings no JSON has one */
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && depth > 0 && (c == '}' || c == ']'))
			depth--;
		if (depth > SHALLOW_DEPTH_MAX)
			return false;
	}
	return true;
}

json_t *shallow_read(struct bytes text)
{
	if (text.len == 0 || !shallow_fits(text))
		return NULL;
	return json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
}
