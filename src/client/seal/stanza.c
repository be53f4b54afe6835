#include "client/seal/stanza.h"

#include <string.h>

#include <sodium.h>

#define LINE_LEN 64
#define LINE_SIZE 48 /* bytes in a full line */
#define VARIANT sodium_base64_VARIANT_ORIGINAL_NO_PADDING

_Static_assert(STANZA_BODY_KEPT >= LINE_SIZE, "the first line is kept whole");

/* Through a buffer, since libsodium ends what it writes with a NUL. */
void raw64_encode(char *out, const uint8_t *in, size_t n)
{
	char text[RAW64_LEN(LINE_SIZE) + 1];

	sodium_bin2base64(text, sizeof(text), in, n, VARIANT);
	memcpy(out, text, RAW64_LEN(n));
	sodium_memzero(text, sizeof(text));
}

/* libsodium 1.0.18 takes bytes from 0x80 on for letters of base64. */
bool raw64_decode(uint8_t *out, size_t cap, size_t *size, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 0x80)
			return false;
	return sodium_base642bin(out, cap, (const char *)text.data, text.len, NULL, size, NULL,
				 VARIANT) == 0;
}

void header_reader_init(struct header_reader *r, struct bytes in)
{
	r->in = in;
	r->at = sizeof(HEADER_VERSION) - 1;
}

/* The next line without its LF, if all of it is there. */
static bool next_line(struct header_reader *r, struct bytes *line)
{
	const uint8_t *from, *end;

	if (r->at >= r->in.len)
		return false;
	from = r->in.data + r->at;
	end = memchr(from, '\n', r->in.len - r->at);
	if (end == NULL)
		return false;
	*line = (struct bytes){ from, (size_t)(end - from) };
	r->at += line->len + 1;
	return true;
}

/* argument *(SP argument), each of visible ASCII. */
static bool are_arguments(struct bytes text)
{
	uint8_t before = ' ';

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
		if (text.data[i] == ' ' && before == ' ')
			return false;
		before = text.data[i];
	}
	return before != ' ';
}

/* Lines of 64 characters and then a shorter one, which may be empty. */
static enum header_item read_body(struct header_reader *r, struct stanza *s)
{
	uint8_t bytes[LINE_SIZE];
	struct bytes line;
	size_t n;

	s->body_size = 0;
	do {
		if (!next_line(r, &line))
			return HEADER_MORE;
		if (line.len > LINE_LEN || !raw64_decode(bytes, sizeof(bytes), &n, line))
			return HEADER_BROKEN;
		if (s->body_size == 0)
			memcpy(s->body, bytes, n);
		s->body_size += n;
	} while (line.len == LINE_LEN);
	return HEADER_STANZA;
}

static bool starts_with(struct bytes line, struct bytes with)
{
	return line.len >= with.len && memcmp(line.data, with.data, with.len) == 0;
}

static struct bytes behind(struct bytes line, size_t n)
{
	return (struct bytes){ line.data + n, line.len - n };
}

static enum header_item read_end(struct bytes line, uint8_t mac[static HEADER_MAC_SIZE])
{
	size_t n;

	if (!raw64_decode(mac, HEADER_MAC_SIZE, &n, line) || n != HEADER_MAC_SIZE)
		return HEADER_BROKEN;
	return HEADER_END;
}

enum header_item header_next(struct header_reader *r, struct stanza *stanza,
			     uint8_t mac[static HEADER_MAC_SIZE])
{
	static const struct bytes arrow = { (const uint8_t *)"-> ", 3 };
	static const struct bytes mark = { (const uint8_t *)"--- ", HEADER_MARK_LEN + 1 };
	struct bytes line;

	if (!next_line(r, &line))
		return HEADER_MORE;
	if (starts_with(line, mark))
		return read_end(behind(line, mark.len), mac);
	if (!starts_with(line, arrow))
		return HEADER_BROKEN;
	stanza->args = behind(line, arrow.len);
	return are_arguments(stanza->args) ? read_body(r, stanza) : HEADER_BROKEN;
}

bool stanza_is(const struct stanza *s, const char *type)
{
	const size_t n = strlen(type);

	return s->args.len >= n && memcmp(s->args.data, type, n) == 0 &&
	       (s->args.len == n || s->args.data[n] == ' ');
}

bool stanza_argument(const struct stanza *s, uint8_t *out, size_t n)
{
	const uint8_t *space = memchr(s->args.data, ' ', s->args.len);
	size_t got;

	if (space == NULL)
		return false;
	return raw64_decode(out, n, &got, behind(s->args, (size_t)(space - s->args.data) + 1)) &&
	       got == n;
}
