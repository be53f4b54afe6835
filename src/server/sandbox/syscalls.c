#include "server/sandbox/syscalls.h"

#include <asm/termbits.h>
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <seccomp.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* malloc of later C libraries names its memory */
#endif

/* Of some, an architecture or a libseccomp knows only one spelling. */
static const char *const allowed[] = {
	/* memory; mmap and mprotect are below */
	"brk", "munmap", "mremap", "madvise", "mlock", "munlock", "membarrier",
	/* threads and signals; clone is below */
	"exit", "exit_group", "futex", "futex_waitv", "set_robust_list", "rseq", "gettid",
	"sched_yield", "sched_getaffinity", "setpriority", "getcpu", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
	/* the time, random numbers, who and where one is */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	"getrandom", "getpid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
	"getrusage", "times", "getcwd",
	/* files, as far as they can be reached */
	"open", "openat", "openat2", "close", "close_range", "dup", "dup2", "dup3", "fcntl",
	"flock", "read", "pread64", "readv", "preadv", "preadv2", "readahead", "write", "pwrite64",
	"writev", "pwritev", "pwritev2", "lseek", "sendfile", "copy_file_range", "fallocate",
	"ftruncate", "fsync", "fdatasync", "sync_file_range", "fadvise64", "stat", "fstat", "lstat",
	"newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
	"getdents64", "readlink", "readlinkat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
	"rename", "renameat", "renameat2", "link", "linkat", "fchmod", "utimensat",
	/* connections; they are all made by others */
	"accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown",
	"recvfrom", "recvmsg", "sendto", "sendmsg", "poll", "ppoll", "select", "pselect6",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2"
};

/* Nothing of ours, and no library in a bad moment, makes these: who does is not us any more. */
static const char *const hostile[] = {
	/* other programs, and their memory */
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
	/* another view of the system */
	"mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount",
	"mount_setattr", "setns", "unshare",
	/* the kernel itself */
	"bpf", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
	"reboot", "swapon", "swapoff", "perf_event_open", "userfaultfd", "add_key", "request_key",
	"keyctl",
	/* another user */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset"
};

/* Looks a name up; false where it is unknown, and then it stays forbidden. */
static bool resolve(const char *name, int *nr)
{
	*nr = seccomp_syscall_resolve_name(name);
	return *nr != __NR_SCMP_ERROR;
}

static int add_all(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
	int nr, rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (resolve(names[i], &nr))
			rc = seccomp_rule_add(f, action, nr, 0);
	return rc;
}

/* Allows a call whose argument, as far as mask goes, is value. */
static int add_if(scmp_filter_ctx f, int nr, unsigned arg, uint64_t mask, uint64_t value)
{
	const struct scmp_arg_cmp cmp = { arg, SCMP_CMP_MASKED_EQ, mask, value };

	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 1, &cmp);
}

/* Values of a C int: what stands above its 32 bits is left to chance. */
static int add_values(scmp_filter_ctx f, int nr, unsigned arg, const uint64_t *values, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_if(f, nr, arg, 0xffffffff, values[i]);
	return rc;
}

/* What depends on arguments. New threads and no new processes: of clone3() the kernel cannot see
 * the flags, so it is refused, and the C library then takes clone(). No memory to be run. */
static int add_conditional(scmp_filter_ctx f)
{
	static const uint64_t ioctls[] = { TCGETS, FIONREAD, FIONBIO };
	static const uint64_t prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA };
	const uint64_t self = (uint64_t)getpid();
	const struct scmp_arg_cmp ask_own[] = { SCMP_A0_64(SCMP_CMP_EQ, 0),
						SCMP_A2_64(SCMP_CMP_EQ, 0) };
	int rc = add_if(f, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);

	if (rc == 0)
		rc = add_if(f, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
	if (rc == 0)
		rc = add_if(f, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
	if (rc == 0)
		rc = add_values(f, SCMP_SYS(ioctl), 1, ioctls, COUNT(ioctls));
	if (rc == 0)
		rc = add_values(f, SCMP_SYS(prctl), 0, prctls, COUNT(prctls));
	if (rc == 0)
		rc = add_if(f, SCMP_SYS(tgkill), 0, 0xffffffff, self); /* abort() */
	if (rc == 0)
		rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), COUNT(ask_own),
					    ask_own);
	return rc;
}

static int add_notify(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp unix_datagram[] = {
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, 0xffffffff, AF_UNIX),
		SCMP_A1_64(SCMP_CMP_MASKED_EQ,
			   0xffffffff & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_DGRAM),
	};

	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), COUNT(unix_datagram),
				      unix_datagram);
}

/* All threads at once; a tree instead of a list; and no slower memory (SSBD) for it on kernels
 * before 5.16: no code of strangers runs here that could look on. */
static int set_up(scmp_filter_ctx f)
{
	int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	(void)seccomp_attr_set(f, SCMP_FLTATR_API_SYSRAWRC, 1); /* says why the kernel refuses */
	return rc;
}

static int fill(scmp_filter_ctx f, bool notify)
{
	int rc = set_up(f);

	if (rc == 0)
		rc = add_all(f, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
	if (rc == 0)
		rc = add_all(f, SCMP_ACT_KILL_PROCESS, hostile, COUNT(hostile));
	if (rc == 0)
		rc = add_conditional(f);
	if (rc == 0 && notify)
		rc = add_notify(f);
	return rc;
}

enum err_code syscalls_restrict(bool notify, bool dry, struct err *e)
{
	scmp_filter_ctx f;
	int rc = -ENOSYS;

#if defined(__x86_64__) || defined(__aarch64__) /* where the list has been gone through */
	f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (f == NULL)
		return err_set(e, ERR_IO, "seccomp: no filter can be made");
	rc = fill(f, notify);
	if (rc == 0 && !dry)
		rc = seccomp_load(f);
	seccomp_release(f);
#endif
	return rc == 0 ? ERR_OK : err_set(e, ERR_IO, "seccomp: %s", strerror(rc < 0 ? -rc : rc));
}
