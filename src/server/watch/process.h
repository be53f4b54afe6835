/* process - what the system knows of this process. Any thread. */
#ifndef RESTANTE_SERVER_WATCH_PROCESS_H
#define RESTANTE_SERVER_WATCH_PROCESS_H

/* Negative: cannot be told here (no /proc). */
struct process {
	double cpu_s;
	double resident_bytes, virtual_bytes;
	double open_files, most_files;
};

void process_look(struct process *out);

#endif
