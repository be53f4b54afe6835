/* body - what goes into an answer: the content or ranges of it, with the text that
 * multipart/byteranges puts between them. All its pages at once while it is short, page by page
 * otherwise; never assembled whole. Loop thread, except body_load(). */
#ifndef RESTANTE_SERVER_BODY_H
#define RESTANTE_SERVER_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/media.h"
#include "server/pages.h"
#include "server/reply.h"
#include "wire/range.h"

struct server;

#define BODY_PARTS_MAX (2 * RANGE_MAX + 1)

struct body {
	struct server *server;
	struct media *media; /* borrowed; outlives the body */
	uint64_t size;       /* bytes of all parts */
	size_t part_count;
	struct body_part {
		uint64_t at, length; /* in the body */
		const char *text;    /* into texts, or NULL: content from `from` on */
		uint64_t from;
	} parts[BODY_PARTS_MAX];
	struct chunk *texts;
	struct page page;       /* what was loaded for it, until it is sent */
	struct collected *held; /* by body_load() so far */
};

/* The whole content, whose first page b->page may be already; one range of it; or several as
 * multipart/byteranges (RFC 9110 section 14.6) with this boundary, of a content of so many bytes.
 * False without memory. */
void body_whole(struct body *b, struct server *s, struct media *m);
void body_range(struct body *b, struct server *s, struct media *m, struct range r);
bool body_ranges(struct body *b, struct server *s, struct media *m, const struct range *r,
		 size_t count, uint64_t size, const char *boundary);

/* Whether the body is short enough to be sent from pages held in memory. */
bool body_is_short(const struct body *b);

/* Hangs all of a short body on the reply, if all its pages are in memory. False: some are not, or
 * there are too many pieces. */
bool body_attach(struct body *b, struct reply *r);

/* Reads the pages that body_attach() misses and hangs them on the reply. For workers. ERR_BUSY: as
 * with page_load(). */
enum err_code body_load(struct body *b, struct reply *r, struct load_wait *w, struct err *e);

/* Whether content stands at pos of the body: from which offset of it, and up to which. */
bool body_content(const struct body *b, uint64_t pos, uint64_t *offset, uint64_t *end);

/* The bytes at pos of the body, which is not its end, as far as they lie together in memory. False
 * if they are not there: then b->page is to be loaded. */
bool body_piece(struct body *b, uint64_t pos, struct reply_piece *out);

/* The same of content, from this offset of it on, and no more than `max` of it. */
bool body_bytes(struct body *b, uint64_t offset, uint64_t max, struct reply_piece *out);

void body_fini(struct body *b);

#endif
