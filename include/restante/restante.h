/* restante - everything of librestante. In short:
 *
 *   error.h     codes and sentences
 *   seal.h      the sealed container: keys, sealing, opening
 *   envelope.h  what the chat layer carries
 *   client.h    a server; delete, extend, acknowledge
 *   upload.h    seal and send, resumable
 *   fetch.h     get and open, resumable, by ranges, live
 *   token.h     look at tokens and narrow them
 *   grant.h     for a chat's server: permissions to upload
 *   operator.h  ask a server on this machine what its operator asks
 *
 * The library has no settings of its own outside its handles. doc/embedding.md shows it at work. */
#ifndef RESTANTE_RESTANTE_H
#define RESTANTE_RESTANTE_H

#include "restante/client.h"
#include "restante/envelope.h"
#include "restante/error.h"
#include "restante/fetch.h"
#include "restante/grant.h"
#include "restante/operator.h"
#include "restante/seal.h"
#include "restante/token.h"
#include "restante/upload.h"
#include "restante/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RESTANTE_VERSION of the library that runs, a static string. Any thread. */
RESTANTE_API const char *restante_version(void);

#ifdef __cplusplus
}
#endif
#endif
