/* syscalls - which system calls the process may still make (seccomp(2), by libseccomp). */
#ifndef RESTANTE_SERVER_SANDBOX_SYSCALLS_H
#define RESTANTE_SERVER_SANDBOX_SYSCALLS_H

#include <stdbool.h>

#include "base/err.h"

/* Leaves all threads, and those to come, the calls that a running server makes. Calls that only an
 * intruder would make end the process; all others fail with ENOSYS, as on a kernel that does not
 * have them, which is what libraries know how to go on from. `notify`: datagram sockets for
 * sd_notify(3) may be made; else no socket may. `dry`: builds the filter and drops it.
 * ERR_IO: the kernel has no seccomp, or whoever runs us forbids it. */
enum err_code syscalls_restrict(bool notify, bool dry, struct err *e);

#endif
