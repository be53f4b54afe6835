/* options - OPTIONS on any path, also "*": a preflight asks for what will be asked, and learns the
 * rest there. */
#ifndef RESTANTE_SERVER_OPTIONS_H
#define RESTANTE_SERVER_OPTIONS_H

#include "server/http.h"

extern const struct handler options_handler;

#endif
