/* count_io FILE PROGRAM... - runs a program, hands SIGTERM on to it, and after its end writes its
 * /proc/PID/io to FILE: all that it wrote in its life, to the last flush. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "dial.h"

static volatile pid_t child;

static void hand_on(int sig)
{
	kill(child, sig);
}

static void copy_io(const char *path)
{
	char name[64], buf[4096];
	ssize_t n;
	int from, to;

	snprintf(name, sizeof(name), "/proc/%d/io", (int)child);
	from = open(name, O_RDONLY | O_CLOEXEC);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		die(from < 0 ? name : path);
	n = read(from, buf, sizeof(buf));
	if (n <= 0 || write(to, buf, (size_t)n) != n)
		die(path);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = hand_on };
	siginfo_t info;
	int status;

	if (argc < 3)
		die("usage: count_io FILE PROGRAM...");
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	sigaction(SIGTERM, &act, NULL);
	while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) !=
	       0) /* a zombie still has its io */
		if (errno != EINTR)
			die("waitid");
	copy_io(argv[1]);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
