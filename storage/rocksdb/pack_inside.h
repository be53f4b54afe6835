/* pack_inside - the inside of the packs, for the files that make them: pack_list.c has which there
 * are and who has them in use, pack_append.c writes and makes durable, pack_read.c reads,
 * pack_collect.c counts what is alive and removes, pack.c opens, copies and closes. */
#ifndef RESTANTE_STORAGE_ROCKSDB_PACK_INSIDE_H
#define RESTANTE_STORAGE_ROCKSDB_PACK_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "storage/rocksdb/pack.h"

struct pack {
	uint64_t number;
	int fd;             /* -1: not open. By the lock of all, like what follows */
	uint64_t end;       /* bytes that are given out */
	uint64_t allocated; /* set aside on the disk, at least */
	unsigned refs;      /* who has it in use */
	unsigned unpointed; /* appends that no pointer tells of yet */
	bool sealed;        /* nothing more is appended */
	bool removed;       /* from the folder */
	bool looked_at;     /* being collected: sealed when that began, */
	bool counted, going;
	bool kept;      /* not all of it can be read: what is alive stays where it is */
	uint64_t alive; /* bytes found so */
	pthread_mutex_t sync_lock;
	pthread_cond_t sync_ended;
	uint64_t written, synced; /* appends that are in the file; that are durable */
	bool syncing;
	bool named; /* its name is durable: whoever syncs sees to it */
	int broken; /* errno of a sync that failed: nobody knows what the disk has */
};

struct packs {
	int dir;
	uint64_t size, step;
	pack_number_fn *number;
	void *ctx;
	pthread_mutex_t lock; /* may be held while a disk works */
	pthread_cond_t pointed;
	/* Held as well by who changes the list below or any fd, and never while a disk works: by it
	 * alone packs_read_now() looks, and copies what it finds. */
	pthread_rwlock_t table;
	struct pack **v; /* by number */
	size_t count, room;
	struct pack *current; /* NULL: the next append makes one */
	size_t idle_open, hand;
	atomic_uint_fast64_t bytes;
};

/* An errno as an error: ERR_FULL or ERR_IO. */
enum err_code pack_failed(struct err *e, const char *what, int error);

#define PACK_NAME_SIZE 32
void pack_name(char out[static PACK_NAME_SIZE], uint64_t number);
bool pack_number(const char *name, uint64_t *out); /* false: it is no pack's name */

/* ---- pack_list.c; the lock is held ---- */

size_t pack_place_in_list(const struct packs *s, uint64_t number);
struct pack *pack_find(const struct packs *s, uint64_t number); /* NULL: there is none */
struct pack *pack_add(struct packs *s, uint64_t number);        /* NULL without memory */
void pack_set_fd(struct packs *s, struct pack *p, int fd);

/* From the folder and the list; its file goes with the last who has it in use. */
void pack_remove_at(struct packs *s, size_t i);
void pack_free(struct pack *p);

/* Who has it in use finds its file open as it was, or removed from the folder but open. */
void pack_use(struct packs *s, struct pack *p);
void pack_leave(struct packs *s, struct pack *p);

/* ---- pack_append.c; the lock is held ---- */

/* What was set aside beyond its end. If that fails, the next opening does it. */
void pack_give_rest_back(int fd, uint64_t end);

/* The current one keeps its length from here on; there is none then. */
void pack_seal(struct packs *s);

#endif
