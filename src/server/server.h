/* server - what all requests share. Made by main, ended by main; everything in it may be used by
 * any thread. */
#ifndef RESTANTE_SERVER_SERVER_H
#define RESTANTE_SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/cache.h"
#include "server/keys.h"
#include "server/loads.h"
#include "server/media.h"
#include "server/settings.h"
#include "server/workers.h"
#include "storage/store.h"

struct census;
struct claims;
struct finals;
struct http;
struct listener;
struct live_table;
struct quota;
struct reload;
struct running_table;
struct sweeper;

struct server {
	/* Replaced by a reload; whoever has one may use it until the program ends. */
	_Atomic(const struct settings *) settings;
	_Atomic(const struct keys *) keys;

	struct reload *reload; /* replaces those two */

	struct store *store;
	struct workers *writers;  /* hash and write uploads */
	struct workers *readers;  /* read for fetches */
	struct workers *operator; /* what the operator asks for */
	struct cache *cache;
	struct loads *loads; /* pages that are being read from the store */
	struct media_table *media;
	struct claims *claims;         /* who works on which unfinished upload */
	struct census *census;         /* how many of them there are */
	struct quota *quota;           /* what buckets have, and may */
	struct running_table *running; /* long answers on their way */
	struct live_table *live;       /* unfinished ones that are fetched meanwhile */
	struct finals *finals;         /* those that wait for their parts */
	struct sweeper *sweeper;       /* drops what is due */
	_Atomic(struct http *) http;   /* NULL until it has started: it answers before that */

	const struct listener *listeners; /* that clients connect to */
	size_t listener_count;
	pthread_t main_thread; /* takes signals */

	int64_t started_s;
	int64_t snapshot_s; /* the last snapshot is named after; the operator's thread only */
	atomic_int_fast64_t swept_s;    /* when a sweep last left nothing due */
	atomic_uint_fast64_t disk_free; /* bytes, refreshed by the keeper */
	atomic_size_t parked; /* connections since memory was last given back to the system */
	atomic_uint_fast64_t upload_memory; /* bytes in full-size buffers of uploads */
	atomic_bool ready;
};

static inline const struct settings *server_settings(const struct server *s)
{
	return atomic_load_explicit(&s->settings, memory_order_acquire);
}

static inline const struct keys *server_keys(const struct server *s)
{
	return atomic_load_explicit(&s->keys, memory_order_acquire);
}

#endif
