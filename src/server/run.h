/* run - a server from start to stop: opens what it needs, waits for signals, closes in order. */
#ifndef RESTANTE_SERVER_RUN_H
#define RESTANTE_SERVER_RUN_H

#include "base/err.h"
#include "server/reload.h"
#include "server/settings.h"

/* Runs until SIGTERM or SIGINT. Takes over *settings, which came from the file `config` (NULL: from
 * none). Main's thread; no other may exist yet. */
enum err_code run(struct settings *settings, const char *config, reload_source *source, void *ctx,
		  struct err *e);

/* Makes the data directory with its parents, mode 0700. */
enum err_code run_make_data_dir(const char *dir, struct err *e);

/* How the settings describe the store. */
struct store_options;
void run_store_options(const struct settings *set, char *dir, size_t dir_size,
		       struct store_options *out);

#endif
