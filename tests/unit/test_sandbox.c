/* The sandbox, by trying what must fail and what must not, each in a process of its own. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/log.h"
#include "server/sandbox.h"
#include "server/sandbox/landlock.h"
#include "server/settings.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static char dir[64] = "/tmp/restante-sandbox-XXXXXX";
static int abi; /* of landlock here; 0: none */
static bool filters;

/* ---- a folder with what a server has, and what it does not have ---- */

static void shell(const char *command)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "cd %s && { %s; }", dir, command);
	if (system(line) != 0)
		fail_msg("failed: %s", command);
}

static int make_folder(void **state)
{
	struct landlock l;
	uint32_t action = SCMP_ACT_KILL_PROCESS;

	(void)state;
	assert_non_null(mkdtemp(dir));
	shell("mkdir -p data/store data/snapshots conf tls/live tls/archive logs outside run");
	shell("echo a >conf/restante.conf; echo b >conf/more; echo s >outside/secret");
	shell("echo 1 >tls/archive/cert1; echo 2 >tls/archive/cert2; echo l >logs/restante.log");
	shell("mkdir shared disk; echo >shared/keys; echo >shared/next");
	shell("ln -s ../archive/cert1 tls/live/cert; ln -s ../archive/cert1 tls/live/key");
	landlock_begin(&l, false);
	abi = l.abi;
	if (l.ruleset >= 0)
		(void)close(l.ruleset);
	filters = !SANITIZED &&
		  syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &action) == 0;
	return 0;
}

static int drop_folder(void **state)
{
	char line[128];

	(void)state;
	(void)snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

static const char *at(const char *name)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static int touch(const char *name, int flags)
{
	int fd = open(at(name), flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0 ? 0 : -1;
}

/* ---- inside ---- */

static char logged[512];

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)snprintf(logged, sizeof(logged), "%s", line);
}

static bool load_settings(struct settings *set, const char *more)
{
	char text[2048];
	struct err e = { 0 };
	int n = snprintf(text, sizeof(text),
			 "data_dir = \"%s/data\";\n"
			 "tls { certificate = \"%s/tls/live/cert\"; key = \"%s/tls/live/key\"; }\n"
			 "admin { socket = \"%s/run/admin.sock\"; }\n%s",
			 dir, dir, dir, dir, more);

	return settings_parse(set, text, (size_t)n, NULL, NULL, &e) == ERR_OK;
}

enum depth { FILES, CALLS };

/* A promise not kept ends the process: with the line, as it is a process of its own. */
#define KEEP(promise)                                                                           \
	do {                                                                                    \
		errno = 0;                                                                      \
		if (!(promise)) {                                                               \
			(void)dprintf(2, "line %d: " #promise ": errno %d\n", __LINE__, errno); \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)
#define REFUSED(call, why) KEEP((call) == -1 && errno == (why))
/* For sanitizers everything stays readable. */
#define UNREADABLE(call) KEEP(SANITIZED || ((call) == -1 && errno == EACCES))

static void enter(enum depth depth, const char *more)
{
	struct settings set;
	struct sandbox s;

	log_setup(LOG_LEVEL_INFO, keep_line, NULL);
	KEEP(load_settings(&set, more));
	sandbox_files(&s, &set, at("conf/restante.conf"));
	if (depth == CALLS)
		sandbox_calls(&s);
}

/* Runs it in a process of its own: its exit code, or -signal. */
static int apart(void (*attempt)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(20);
		attempt();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void keeps(void (*attempt)(void))
{
	assert_int_equal(apart(attempt), 0);
}

/* ---- files ---- */

static void work_in_data(void)
{
	enter(FILES, "");
	KEEP(touch("data/keys", O_RDWR | O_CREAT) == 0);
	KEEP(touch("data/keys", O_RDWR | O_TRUNC) == 0);
	KEEP(mkdir(at("data/store/tmp"), 0700) == 0);
	KEEP(rename(at("data/keys"), at("data/store/tmp/keys")) == 0);
	KEEP(link(at("data/store/tmp/keys"), at("data/snapshots/keys")) == 0);
	KEEP(truncate(at("data/snapshots/keys"), 0) == 0);
	KEEP(unlink(at("data/store/tmp/keys")) == 0);
	KEEP(unlink(at("data/snapshots/keys")) == 0);
	KEEP(rmdir(at("data/store/tmp")) == 0);
}

static void data_can_be_written_moved_and_linked(void **state)
{
	(void)state;
	keeps(work_in_data);
}

static void work_on_another_disk(void)
{
	KEEP(rename(at("data/store"), at("data/was")) == 0);
	KEEP(symlink("../disk", at("data/store")) == 0);
	enter(FILES, "");
	KEEP(touch("data/store/CURRENT", O_RDWR | O_CREAT) == 0);
	KEEP(mkdir(at("disk/tmp"), 0700) == 0);
	KEEP(rename(at("data/store/CURRENT"), at("disk/tmp/CURRENT")) == 0);
	KEEP(link(at("disk/tmp/CURRENT"), at("data/snapshots/CURRENT")) == 0);
	KEEP(unlink(at("data/snapshots/CURRENT")) == 0);
	KEEP(unlink(at("data/store")) == 0);
	KEEP(rename(at("data/was"), at("data/store")) == 0);
}

static void the_store_may_be_a_link(void **state)
{
	(void)state;
	keeps(work_on_another_disk);
}

static void leave_data(void)
{
	enter(FILES, "");
	UNREADABLE(touch("outside/secret", O_RDONLY));
	REFUSED(touch("outside/secret", O_WRONLY), EACCES);
	REFUSED(touch("outside/new", O_WRONLY | O_CREAT), EACCES);
	REFUSED(unlink(at("outside/secret")), EACCES);
	REFUSED(mkdir(at("outside/folder"), 0700), EACCES);
	REFUSED(symlink("/etc", at("data/etc")), EACCES);
	REFUSED(mkfifo(at("data/pipe"), 0600), EACCES);
	UNREADABLE(open("/etc/passwd", O_RDONLY));
	UNREADABLE(open("/proc/1/status", O_RDONLY));
	UNREADABLE(open("/", O_RDONLY | O_DIRECTORY));
	KEEP(touch("data/loot", O_WRONLY | O_CREAT) == 0);
	KEEP(rename(at("data/loot"), at("outside/loot")) == -1 &&
	     (errno == EXDEV || errno == EACCES));
	KEEP(link(at("outside/secret"), at("data/secret")) == -1 &&
	     (errno == EXDEV || errno == EACCES));
	KEEP(unlink(at("data/loot")) == 0);
	if (abi >= 3)
		REFUSED(truncate(at("outside/secret"), 0), EACCES);
}

static void files_elsewhere_are_out_of_reach(void **state)
{
	(void)state;
	if (abi == 0)
		skip();
	keeps(leave_data);
}

static void read_settings(void)
{
	enter(FILES, "");
	KEEP(touch("conf/restante.conf", O_RDONLY) == 0);
	KEEP(touch("conf/more", O_RDONLY) == 0); /* included, or the next one */
	KEEP(touch("tls/live/cert", O_RDONLY) == 0);
	if (abi == 0)
		_exit(0);
	REFUSED(touch("conf/restante.conf", O_WRONLY), EACCES);
	REFUSED(touch("tls/live/key", O_WRONLY), EACCES);
	REFUSED(touch("conf/new", O_WRONLY | O_CREAT), EACCES);
	REFUSED(unlink(at("conf/more")), EACCES);
}

static void settings_and_certificates_are_read_and_not_written(void **state)
{
	(void)state;
	keeps(read_settings);
}

static void read_bare_name(void)
{
	struct settings set;
	struct sandbox s;

	KEEP(chdir(at("conf")) == 0);
	KEEP(load_settings(&set, ""));
	sandbox_files(&s, &set, "restante.conf");
	KEEP(open("restante.conf", O_RDONLY) >= 0);
	if (abi > 0)
		UNREADABLE(open("more", O_RDONLY));
}

static void settings_by_a_bare_name_open_no_folder(void **state)
{
	(void)state;
	keeps(read_bare_name);
}

static void read_included(void)
{
	struct settings set;
	struct sandbox s;
	struct err e = { 0 };
	FILE *f = fopen(at("conf/including"), "w");

	KEEP(f != NULL && fputs(".include \"../shared/keys\"\n", f) > 0 && fclose(f) == 0);
	KEEP(settings_load(&set, at("conf/including"), NULL, NULL, &e) == ERR_OK);
	sandbox_files(&s, &set, at("conf/including"));
	KEEP(touch("shared/keys", O_RDONLY) == 0);
	KEEP(touch("shared/next", O_RDONLY) == 0); /* that may take its place */
	UNREADABLE(touch("outside/secret", O_RDONLY));
}

static void included_settings_are_read_again_wherever_they_are(void **state)
{
	(void)state;
	if (abi == 0)
		skip();
	keeps(read_included);
}

/* As certbot renews. */
static void read_renewed(void)
{
	enter(FILES, "");
	KEEP(touch("tls/archive/cert2", O_RDONLY) == 0);
}

static void a_certificate_behind_a_link_can_be_renewed(void **state)
{
	(void)state;
	keeps(read_renewed);
}

static void write_logs(void)
{
	char more[256];

	(void)snprintf(more, sizeof(more), "log { file = \"%s/logs/restante.log\"; }\n", dir);
	enter(FILES, more);
	KEEP(touch("logs/restante.log", O_WRONLY | O_APPEND | O_CREAT) == 0);
	KEEP(touch("logs/another", O_WRONLY | O_APPEND | O_CREAT) == 0);
	if (abi == 0)
		_exit(0);
	UNREADABLE(touch("logs/restante.log", O_RDONLY));
	REFUSED(unlink(at("logs/restante.log")), EACCES);
}

static void logs_are_opened_anew_and_neither_read_nor_removed(void **state)
{
	(void)state;
	keeps(write_logs);
}

static void log_to_device(void)
{
	enter(FILES, "log { file = \"/dev/null\"; access = \"-\"; }\n");
	KEEP(open("/dev/null", O_WRONLY | O_APPEND) >= 0);
	REFUSED(open("/dev/zero", O_WRONLY), EACCES);
}

static void a_log_that_is_a_device_opens_no_other_device(void **state)
{
	(void)state;
	if (abi == 0)
		skip();
	keeps(log_to_device);
}

static int unix_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", at(name));
	return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

static void make_admin_socket(void)
{
	enter(FILES, "");
	KEEP(unix_socket("run/admin.sock") == 0);
	KEEP(unlink(at("run/admin.sock")) == 0);
	if (abi > 0)
		REFUSED(touch("run/file", O_WRONLY | O_CREAT), EACCES);
}

static void the_admin_socket_is_made_in_its_folder(void **state)
{
	(void)state;
	keeps(make_admin_socket);
}

/* ---- the network, other processes ---- */

static int tcp(int (*act)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return act(fd, (struct sockaddr *)&sa, sizeof(sa));
}

static void use_tcp(void)
{
	enter(FILES, "");
	REFUSED(tcp(connect), EACCES);
	REFUSED(tcp(bind), EACCES);
}

static void no_tcp_port_is_bound_or_connected_to(void **state)
{
	(void)state;
	if (abi < 4)
		skip();
	keeps(use_tcp);
}

static void signal_parent(void)
{
	enter(FILES, "");
	KEEP(kill(getpid(), 0) == 0);
	REFUSED(kill(getppid(), 0), EPERM);
}

static void other_processes_get_no_signals(void **state)
{
	(void)state;
	if (abi < 6)
		skip();
	keeps(signal_parent);
}

static void look_at_process(void)
{
	enter(FILES, "");
	KEEP(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	KEEP(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == (SANITIZED ? 1 : 0));
	KEEP(open("/proc/self/status", O_RDONLY) >= 0);
	KEEP(opendir("/proc/self/fd") != NULL);
}

static void nobody_looks_into_the_process_but_itself(void **state)
{
	(void)state;
	keeps(look_at_process);
}

/* ---- calls ---- */

static void run_program(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	enter(CALLS, "");
	(void)execv("/bin/true", argv);
}
static void trace(void)
{
	enter(CALLS, "");
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static void mount_something(void)
{
	enter(CALLS, "");
	(void)mount("none", dir, "tmpfs", 0, NULL);
}
static void load_bpf(void)
{
	enter(CALLS, "");
	(void)syscall(SYS_bpf, 0, NULL, 0);
}
static void become_another(void)
{
	enter(CALLS, "");
	(void)syscall(SYS_setuid, 0);
}
static void leave_namespace(void)
{
	enter(CALLS, "");
	(void)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}
static void load_module(void)
{
	enter(CALLS, "");
	(void)syscall(SYS_init_module, NULL, 0, "");
}

static void hostile_calls_end_the_process(void **state)
{
	void (*const all[])(void) = { run_program,    trace,           mount_something, load_bpf,
				      become_another, leave_namespace, load_module };

	(void)state;
	if (!filters)
		skip();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(apart(all[i]), -SIGSYS);
}

static void make_processes(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	pid_t pid;

	enter(CALLS, "");
	REFUSED(fork(), ENOSYS);
	KEEP(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == ENOSYS);
	REFUSED(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL), ENOSYS);
}

static void no_process_is_started(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(make_processes);
}

static void *count_up(void *n)
{
	++*(int *)n;
	return NULL;
}

static void make_threads(void)
{
	pthread_t t[8];
	int n[8] = { 0 };

	enter(CALLS, "");
	for (int i = 0; i < 8; i++)
		KEEP(pthread_create(&t[i], NULL, count_up, &n[i]) == 0);
	for (int i = 0; i < 8; i++)
		KEEP(pthread_join(t[i], NULL) == 0 && n[i] == 1);
}

static void threads_are(void **state)
{
	(void)state;
	keeps(make_threads);
}

static int new_socket(int family, int type)
{
	return socket(family, type | SOCK_CLOEXEC, 0);
}

static void make_sockets(void)
{
	int inet = new_socket(AF_INET, SOCK_STREAM), both[2];
	struct sockaddr_in sa = { .sin_family = AF_INET };

	enter(CALLS, "");
	REFUSED(new_socket(AF_INET, SOCK_STREAM), ENOSYS);
	REFUSED(new_socket(AF_INET6, SOCK_DGRAM), ENOSYS);
	REFUSED(new_socket(AF_UNIX, SOCK_STREAM), ENOSYS);
	REFUSED(new_socket(AF_UNIX, SOCK_DGRAM), ENOSYS);
	REFUSED(new_socket(AF_NETLINK, SOCK_RAW), ENOSYS);
	REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, both), ENOSYS);
	REFUSED(bind(inet, (struct sockaddr *)&sa, sizeof(sa)), ENOSYS);
	REFUSED(listen(inet, 1), ENOSYS);
	REFUSED(connect(inet, (struct sockaddr *)&sa, sizeof(sa)), ENOSYS);
}

static void no_socket_is_made_bound_or_connected(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(make_sockets);
}

/* The service manager hears of a reload by datagram; sometimes at an abstract address. */
static void notify(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int there = new_socket(AF_UNIX, SOCK_DGRAM), here;
	const size_t n = strlen(name);
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);

	(void)memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	KEEP(bind(there, (struct sockaddr *)&a, size) == 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	enter(CALLS, "");
	here = new_socket(AF_UNIX, SOCK_DGRAM);
	KEEP(sendto(here, "x", 1, 0, (struct sockaddr *)&a, size) == 1);
	if (!filters)
		_exit(0);
	REFUSED(new_socket(AF_UNIX, SOCK_STREAM), ENOSYS);
	REFUSED(new_socket(AF_INET, SOCK_DGRAM), ENOSYS);
}

static void notify_by_path(void)
{
	notify(at("run/notify"));
}

static void notify_abstract(void)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "@%s", dir);
	notify(name);
}

static void the_service_manager_is_told(void **state)
{
	(void)state;
	keeps(notify_by_path);
	keeps(notify_abstract);
}

static void make_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	enter(CALLS, "");
	REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC), ENOSYS);
	KEEP(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		     MAP_FAILED &&
	     errno == ENOSYS);
	KEEP(mprotect(page, 4096, PROT_READ) == 0);
	KEEP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void no_memory_becomes_executable(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(make_executable);
}

static void try_the_rest(void)
{
	struct rlimit r;
	char c = 'x';
	int pipe_ends[2];

	enter(CALLS, "");
	KEEP(getrlimit(RLIMIT_NOFILE, &r) == 0);
	REFUSED(setrlimit(RLIMIT_NOFILE, &r), ENOSYS);
	REFUSED(ioctl(0, TIOCSTI, &c), ENOSYS);
	REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), ENOSYS);
	REFUSED(chmod(at("data"), 0777), ENOSYS);
	REFUSED(kill(getppid(), 0), ENOSYS);
	REFUSED(pipe2(pipe_ends, 0), ENOSYS);
	REFUSED((int)syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
	REFUSED((int)syscall(100000), ENOSYS);
}

static void what_is_not_needed_is_not_there(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(try_the_rest);
}

static void fall(void)
{
	enter(CALLS, "");
	abort();
}

static void a_failed_assertion_still_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(apart(fall), -SIGABRT);
}

/* ---- threads that were there ---- */

static int go[2];

static void *try_late(void *outcome)
{
	char c;

	if (read(go[0], &c, 1) == 1)
		*(bool *)outcome = new_socket(AF_INET, SOCK_STREAM) == -1 && errno == ENOSYS;
	return NULL;
}

static void enter_beside_threads(void)
{
	pthread_t t;
	bool refused = false;

	KEEP(pipe2(go, O_CLOEXEC) == 0);
	KEEP(pthread_create(&t, NULL, try_late, &refused) == 0);
	enter(CALLS, "");
	KEEP(write(go[1], "x", 1) == 1);
	KEEP(pthread_join(t, NULL) == 0);
	KEEP(refused);
}

static void the_filter_holds_for_threads_that_were_there(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(enter_beside_threads);
}

/* ---- where not all can be had ---- */

/* An outer filter, as of a service or a container: all goes but these. */
static void forbid(const char *const *names, size_t n)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	for (size_t i = 0; i < n; i++)
		KEEP(seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM),
				      seccomp_syscall_resolve_name(names[i]), 0) == 0);
	KEEP(seccomp_load(f) == 0);
	seccomp_release(f);
}

static void enter_where_nothing_goes(void)
{
	static const char *const names[] = { "seccomp", "landlock_create_ruleset", "prctl" };

	forbid(names, 3);
	enter(CALLS, "");
	KEEP(strstr(logged, "level=warn event=sandbox no_new_privs=no undumpable=no landlock=no "
			    "seccomp=no") != NULL);
	KEEP(open("/etc/passwd", O_RDONLY) >= 0);
}

static void where_it_is_forbidden_the_log_says_so_and_all_goes_on(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(enter_where_nothing_goes);
}

static void enter_within_service(void)
{
	static const char *const names[] = { "mount", "bpf", "swapon", "reboot" };

	forbid(names, 4);
	enter(CALLS, "");
	KEEP(strstr(logged, "seccomp=yes") != NULL);
	REFUSED(new_socket(AF_INET, SOCK_STREAM), ENOSYS);
}

static void it_holds_within_the_filter_of_a_service(void **state)
{
	(void)state;
	if (!filters)
		skip();
	keeps(enter_within_service);
}

static void enter_and_read_log(void)
{
	char expected[128], number[16] = "no";

	if (abi > 0)
		(void)snprintf(number, sizeof(number), "%d", abi);
	(void)snprintf(expected, sizeof(expected),
		       "level=%s event=sandbox no_new_privs=yes undumpable=%s landlock=%s "
		       "seccomp=%s",
		       filters && abi > 0 ? "info" : "warn", SANITIZED ? "no" : "yes", number,
		       filters ? "yes" : "no");
	enter(CALLS, "");
	KEEP(strstr(logged, expected) != NULL);
}

static void the_log_says_what_is_in_force(void **state)
{
	(void)state;
	keeps(enter_and_read_log);
}

static void stay_outside(void)
{
	enter(CALLS, "sandbox = false;\n");
	KEEP(strstr(logged, "level=warn event=sandbox off") != NULL);
	KEEP(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	KEEP(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
	KEEP(new_socket(AF_INET, SOCK_STREAM) >= 0);
	KEEP(touch("outside/secret", O_RDONLY) == 0);
	KEEP(execl("/bin/true", "true", (char *)NULL) == 0);
}

static void off_is_off(void **state)
{
	(void)state;
	keeps(stay_outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_can_be_written_moved_and_linked),
		cmocka_unit_test(the_store_may_be_a_link),
		cmocka_unit_test(files_elsewhere_are_out_of_reach),
		cmocka_unit_test(settings_and_certificates_are_read_and_not_written),
		cmocka_unit_test(settings_by_a_bare_name_open_no_folder),
		cmocka_unit_test(included_settings_are_read_again_wherever_they_are),
		cmocka_unit_test(a_certificate_behind_a_link_can_be_renewed),
		cmocka_unit_test(logs_are_opened_anew_and_neither_read_nor_removed),
		cmocka_unit_test(a_log_that_is_a_device_opens_no_other_device),
		cmocka_unit_test(the_admin_socket_is_made_in_its_folder),
		cmocka_unit_test(no_tcp_port_is_bound_or_connected_to),
		cmocka_unit_test(other_processes_get_no_signals),
		cmocka_unit_test(nobody_looks_into_the_process_but_itself),
		cmocka_unit_test(hostile_calls_end_the_process),
		cmocka_unit_test(no_process_is_started),
		cmocka_unit_test(threads_are),
		cmocka_unit_test(no_socket_is_made_bound_or_connected),
		cmocka_unit_test(the_service_manager_is_told),
		cmocka_unit_test(no_memory_becomes_executable),
		cmocka_unit_test(what_is_not_needed_is_not_there),
		cmocka_unit_test(a_failed_assertion_still_ends_the_process),
		cmocka_unit_test(the_filter_holds_for_threads_that_were_there),
		cmocka_unit_test(where_it_is_forbidden_the_log_says_so_and_all_goes_on),
		cmocka_unit_test(it_holds_within_the_filter_of_a_service),
		cmocka_unit_test(the_log_says_what_is_in_force),
		cmocka_unit_test(off_is_off),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
