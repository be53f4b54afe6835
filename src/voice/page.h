/* page - the pages that an Ogg file is made of (RFC 3533 section 6). Any thread. */
#ifndef RESTANTE_VOICE_PAGE_H
#define RESTANTE_VOICE_PAGE_H

#include "base/bytes.h"
#include "base/err.h"

#define PAGE_HEAD ((size_t)27) /* bytes, in front of the lengths */

/* Sets *page to the page of a file that begins at byte `at`, before its end. ERR_INVALID (there is
 * none, or not all of it; e->why is a sentence for a person). */
enum err_code page_at(struct bytes file, size_t at, struct bytes *page, struct err *e);

#endif
