/* admin - what the operator asks over the admin socket, and is answered in JSON. doc/http-api.md,
 * "Operating", has the table; the restante command asks all of it. */
#ifndef RESTANTE_SERVER_ADMIN_ADMIN_H
#define RESTANTE_SERVER_ADMIN_ADMIN_H

#include "server/http.h"

extern const struct handler admin_status_handler, admin_stats_handler, admin_config_handler;
extern const struct handler admin_reload_handler, admin_stop_handler, admin_rotate_handler;
extern const struct handler admin_expire_handler, admin_check_handler;
extern const struct handler admin_backup_handler, admin_backup_end_handler;

/* Removes what backups of an earlier run have left in the data directory. At the start. */
void admin_backup_clean(const char *data_dir);

/* Has those removed that nobody has given back for 20 hours, soon. Any thread. */
void admin_backup_tidy(struct server *s);

#endif
