/* landlock - which files a process, and what it becomes, may still reach (landlock(7), Linux 5.19
 * and later). Only adds: what the files' own modes refuse stays refused. */
#ifndef RESTANTE_SERVER_SANDBOX_LANDLOCK_H
#define RESTANTE_SERVER_SANDBOX_LANDLOCK_H

#include <stdbool.h>

struct landlock {
	int ruleset; /* -1: there is none */
	int abi;     /* what the kernel knows of it; 0: nothing, or too little */
};

enum landlock_right {
	LANDLOCK_READ,   /* files and lists of files */
	LANDLOCK_APPEND, /* open for writing and make files: logs */
	LANDLOCK_SOCKET, /* make a Unix socket, remove it */
	LANDLOCK_ALL,    /* all but run programs and make devices */
};

/* Starts a set of rules that allows nothing: no file, no program to run, no TCP port bound or
 * connected to, and, where the kernel knows of them, no signal to other processes and (unless
 * `abstract`) no abstract Unix socket of theirs. Without landlock in the kernel abi is 0, and the
 * calls below do nothing. */
void landlock_begin(struct landlock *l, bool abstract);

/* Allows that of what lies below a folder, or of a file. One that is not there is passed over. */
void landlock_allow(struct landlock *l, const char *path, enum landlock_right right);

/* Allows that of the folder in which a file lies or will lie, and of the one into which it leads if
 * it is a symbolic link: others may take its place by renaming. Of what is neither file nor folder,
 * as /dev/stderr, it alone; and to be read it alone if its path names no folder, or the root. */
void landlock_allow_around(struct landlock *l, const char *path, enum landlock_right right);

/* Puts the rules into force for the calling thread and those it starts, and ends the set. Needs
 * no_new_privs. Whether they are in force. */
bool landlock_enforce(struct landlock *l);

#endif
