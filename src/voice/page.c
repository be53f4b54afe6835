#include "voice/page.h"

#include <string.h>

/* Bytes of the page that begins in, with what is missing of it; 0 if none begins. */
static size_t page_size(struct bytes in)
{
	static const uint8_t magic[5] = "OggS";
	size_t size;

	if (memcmp(in.data, magic, in.len < sizeof(magic) ? in.len : sizeof(magic)) != 0)
		return 0;
	if (in.len < PAGE_HEAD)
		return PAGE_HEAD;
	size = PAGE_HEAD + (size_t)in.data[PAGE_HEAD - 1];
	for (size_t i = PAGE_HEAD; i < PAGE_HEAD + (size_t)in.data[PAGE_HEAD - 1]; i++)
		size += i < in.len ? in.data[i] : 0;
	return size;
}

enum err_code page_at(struct bytes file, size_t at, struct bytes *page, struct err *e)
{
	size_t size = page_size((struct bytes){ file.data + at, file.len - at });

	if (size == 0)
		return err_set(e, ERR_INVALID, "the recording is damaged: no Ogg page at byte %zu",
			       at);
	if (size > file.len - at)
		return err_set(e, ERR_INVALID,
			       "the recording was cut short: its last page is not whole");
	*page = (struct bytes){ file.data + at, size };
	return ERR_OK;
}
