/* sandbox - the process gives up what it does not need, so that whoever takes it over through a
 * fault gets little: no new privileges, nobody looks into it, only its own files (landlock), only
 * the system calls of a running server (seccomp). What the kernel, or whoever runs us, does not
 * allow is left out and said in the log.
 *
 * In two steps, as landlock holds for threads that are started later, and the filter for all.
 * Called by main's thread. */
#ifndef RESTANTE_SERVER_SANDBOX_H
#define RESTANTE_SERVER_SANDBOX_H

#include <stdbool.h>

struct settings; /* server/settings.h */

struct sandbox {
	bool on;
	bool no_new_privs, undumpable;
	int landlock; /* ABI; 0: not in force */
	bool seccomp;
};

/* Before the first thread: from here on only these can be reached, each as far as it must be:
 * data_dir and its store, wherever they lead; the folders of the admin socket, of the logs, of the
 * settings file (`config`, NULL: none is read again) and those it includes, of certificate and key
 * (landlock_allow_around() has the rule). Nothing if the settings say so. */
void sandbox_files(struct sandbox *s, const struct settings *set, const char *config);

/* When all is open: no more programs, sockets, memory to be run. Logs what is in force. */
void sandbox_calls(struct sandbox *s);

#endif
