// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor's sandbox: capabilities, no_new_privs, and a list of system calls. Landlock would
 * forbid to unmount.
 */
#include "sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	KEPT = 1 << CAP_SYS_ADMIN | 1 << CAP_DAC_READ_SEARCH,
	NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
		     CLONE_NEWNET | CLONE_NEWCGROUP,
};

/* Requests, memory, time, mountinfo, syslog, the child that writes back, the end. */
static const char *const plain_calls[] = {
	"brk", "clock_getres", "clock_gettime", "clock_gettime64", "close", "connect", "exit",
	"exit_group", "fstat", "fstat64", "fstatfs", "futex", "futex_time64", "getpid", "getppid",
	"getrandom", "gettid", "gettimeofday", "lseek", "_llseek", "madvise", "mremap", "munmap",
	"newfstatat", "read", "recv", "recvfrom", "restart_syscall", "rseq", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "send", "sendto", "set_robust_list", "sigreturn", "stat", "stat64", "statx", "syncfs",
	"time", "umount2", "wait4", "waitpid", "write", "writev",
};

/* Calls of which one argument has none but some values: masked, it is that. */
static const struct {
	const char *name;
	unsigned arg;
	uint64_t mask, value;
} checked_calls[] = {
	{ "clone", CLONE_FLAGS_ARG, NAMESPACES, 0 },
	{ "fork", 0, 0, 0 },
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	{ "open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY },
	{ "openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY },
	{ "socket", 0, UINT32_MAX, AF_UNIX },
};

static int allow(scmp_filter_ctx ctx, const char *name, unsigned n, const struct scmp_arg_cmp *cmp)
{
	const int nr = seccomp_syscall_resolve_name(name);
	int err = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, n, cmp);

	/* A call of other architectures. */
	return err == -EDOM || err == -EINVAL ? 0 : err;
}

static int add_all(scmp_filter_ctx ctx)
{
	int err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);

	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; i < sizeof(plain_calls) / sizeof(plain_calls[0]) && !err; i++)
		err = allow(ctx, plain_calls[i], 0, NULL);
	for (size_t i = 0; i < sizeof(checked_calls) / sizeof(checked_calls[0]) && !err; i++) {
		const struct scmp_arg_cmp cmp = { .arg = checked_calls[i].arg, .op = SCMP_CMP_MASKED_EQ,
						  .datum_a = checked_calls[i].mask,
						  .datum_b = checked_calls[i].value };

		err = allow(ctx, checked_calls[i].name, 1, &cmp);
	}
	/* Its flags are in memory, where a filter cannot look. */
	return err ? err : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(sandbox_unlisted());
	int err = ctx ? add_all(ctx) : -ENOMEM;

	if (!err)
		err = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return err;
}

int sandbox_enter_monitor(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int err;

	if (syscall(SYS_capget, &head, data))
		return -errno;
	if (!(data[0].effective & 1 << CAP_SYS_ADMIN))
		return 0;
	/* What the process has not got it cannot keep. */
	err = sandbox_capabilities(KEPT & data[0].permitted);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	return err || SANITIZED ? err : filter_calls();
}
