/* pack - files that bytes are appended to and read from by place: NUMBER.pack in the store's
 * folder. Nothing is ever changed in one, and none grows again once it is sealed. What lies where,
 * and whether anybody needs it, is said by pointers that others keep (packed.c).
 *
 * Any thread, several at once; a hold belongs to one thread at a time. */
#ifndef RESTANTE_STORAGE_ROCKSDB_PACK_H
#define RESTANTE_STORAGE_ROCKSDB_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct packs; /* all of a store */
struct pack;  /* one of them */

/* Where bytes lie. */
struct pack_place {
	uint64_t pack;
	uint32_t at, length;
};

/* What somebody has appended. Zeroes are nothing. */
struct pack_hold {
	struct pack *pack;  /* its file stays open; NULL: none */
	uint64_t ticket;    /* to be durable up to */
	unsigned unpointed; /* appended, but no pointer says so yet: not to be collected */
};

/* A number that no pack ever had. */
typedef enum err_code pack_number_fn(void *ctx, uint64_t *out, struct err *e);

/* Those in a folder, which is borrowed; of one that a crash left unsealed the end is given back.
 * size: bytes after which one is sealed; step: set aside on the disk at a time. ERR_IO, ERR_NOMEM.
 */
enum err_code packs_open(struct packs **out, const char *dir, uint64_t size, uint64_t step,
			 pack_number_fn *number, void *ctx, struct err *e);
void packs_close(struct packs *s); /* seals; NULL is fine */

uint64_t packs_bytes(struct packs *s); /* in all of them */

/* ---- writing ---- */

/* Appends, which does not make durable. What the hold had before in another pack is made durable
 * first, and must be pointed at. ERR_FULL, ERR_IO, ERR_NOMEM. */
enum err_code packs_append(struct packs *s, struct pack_hold *h, struct bytes data,
			   struct pack_place *out, struct err *e);

/* Waits until all that was appended is durable: one sync for all that came before it began.
 * Nothing is fine. ERR_IO, ERR_FULL; from then on that pack takes nothing more, and its bytes never
 * become durable. */
enum err_code packs_durable(struct packs *s, struct pack_hold *h, struct err *e);

/* The pointers to it are written, or never will be. */
void packs_pointed(struct packs *s, struct pack_hold *h);

/* Lets go; pointed at, too. */
void packs_release(struct packs *s, struct pack_hold *h);

/* ---- reading ---- */

/* Reads all of the bytes of a place. ERR_NOTFOUND: there is no such pack (any more). ERR_DAMAGED:
 * it is shorter. ERR_IO. */
enum err_code packs_read(struct packs *s, const struct pack_place *at, uint8_t *out, struct err *e);

/* The same without waiting: false if the kernel would have to ask the disk, or whatever else is in
 * the way. */
bool packs_read_now(struct packs *s, const struct pack_place *at, uint8_t *out);

/* ---- collecting: one thread at a time ---- */

/* Begins to count what is alive: seals those that are written to. Packs whose pointers are not all
 * written yet are left out. */
void packs_count_begin(struct packs *s);
void packs_count(struct packs *s, const struct pack_place *alive);

/* What came of it. Packs of which most is dead are to be emptied, as far as no more than `most`
 * bytes are to be moved for it: told by packs_is_going(), until packs_spare() or
 * packs_remove_going().
 */
struct packs_counted {
	uint64_t garbage; /* bytes */
	uint64_t going;   /* packs to be emptied, */
	uint64_t dead;    /* of which nothing is alive in so many, */
	uint64_t to_move; /* and so many bytes in the others */
};
void packs_count_end(struct packs *s, uint64_t most, struct packs_counted *out);
bool packs_is_going(struct packs *s, uint64_t number);
/* Not all of it can be read: kept from then on, until nothing in it is alive. */
void packs_spare(struct packs *s, uint64_t number);

/* Removes those to be emptied, or of these only the dead ones. Nothing may point at them, durably.
 * Returns the garbage gone. */
uint64_t packs_remove_going(struct packs *s, bool only_dead);

/* ---- copying ---- */

/* Seals those that are written to, waits until nobody writes to them any more, and makes hard links
 * of all in another folder. No collecting meanwhile. ERR_FULL, ERR_IO. */
enum err_code packs_link(struct packs *s, const char *dir, struct err *e);

#endif
