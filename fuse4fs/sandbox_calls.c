// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The system calls that serving needs: one table, sorted by name.
 *
 * A local image has a table without files, sockets and programs: only what works on open
 * descriptors, memory and threads. A remote one may connect, log in and read what that takes.
 * Names that the architecture or the library does not know are left out; so both the old
 * and the new form of a call are listed where libc may use either.
 */
#include "sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who needs it. */
enum who {
	ALL,
	LOCAL,
	REMOTE,
	PROBE,		/* --probe */
	SANITIZER,	/* a build with -fsanitize= */
};

/* Which arguments are allowed. */
enum check {
	ANY,
	A_THREAD,	/* clone: no process */
	BENEATH,	/* openat: to read, from a directory, where Landlock says which files */
	BY_NUMBER_2, BY_NUMBER_3,	/* statx, newfstatat: of a descriptor, not of a name */
	DATA,		/* mmap, mprotect: no code */
	DISCARD,	/* ioctl */
	EXISTS,		/* kill: is there such a process? */
	FLAGS_LOCKS,	/* fcntl: nothing that sends signals */
	INTERNET,	/* socket: domains that logging in needs */
	LOCAL_PAIR,	/* socketpair: no datagrams, which could be sent to others */
	NO_ADDRESS,	/* sendto */
	OURSELVES,	/* tgkill */
	PARENT_DEATH,	/* prctl */
	READING, READING_AT,	/* open, openat */
	REFUSED,	/* EPERM, without being killed in a test: the caller expects it */
};

struct call {
	const char *name;
	enum who who;
	enum check check;
	const char *why;
};

/* Sorted: tests/mnt_sandbox.sh looks. */
static const struct call calls[] = {
	{ "access", REMOTE, ANY, "is there a key, a configuration?" },
	{ "arm_fadvise64_64", ALL, ANY, "readahead in the image" },
	{ "bind", REMOTE, ANY, "the resolver's netlink socket" },
	{ "brk", ALL, ANY, "malloc" },
	{ "clock_getres", ALL, ANY, "clocks, where the vdso has none" },
	{ "clock_gettime", ALL, ANY, "clocks, where the vdso has none" },
	{ "clock_gettime64", ALL, ANY, "the same with 32 bits" },
	{ "clock_nanosleep", ALL, ANY, "pauses" },
	{ "clock_nanosleep_time64", ALL, ANY, "the same with 32 bits" },
	{ "clone", ALL, A_THREAD, "threads of a resolver or a library" },
	{ "close", ALL, ANY, "the image, the session" },
	{ "connect", REMOTE, ANY, "the SSH server, name servers, the agent" },
	{ "dup", ALL, ANY, "compat_fuse.c: INIT of a mount made later" },
	{ "dup2", ALL, ANY, "leaving the terminal" },
	{ "dup3", ALL, ANY, "leaving the terminal, ending the session" },
	{ "epoll_create1", REMOTE, ANY, "libssh, as built by some" },
	{ "epoll_ctl", REMOTE, ANY, "libssh, as built by some" },
	{ "epoll_pwait", REMOTE, ANY, "libssh, as built by some" },
	{ "epoll_wait", REMOTE, ANY, "libssh, as built by some" },
	{ "eventfd2", ALL, ANY, "wake-ups" },
	{ "exit", ALL, ANY, "the end of a thread" },
	{ "exit_group", ALL, ANY, "the end" },
	{ "faccessat", REMOTE, ANY, "is there a key, a configuration?" },
	{ "faccessat2", REMOTE, ANY, "is there a key, a configuration?" },
	{ "fadvise64", ALL, ANY, "readahead in the image" },
	{ "fadvise64_64", ALL, ANY, "the same with 32 bits" },
	{ "fallocate", ALL, ANY, "discards and zeroes in an image file" },
	{ "fcntl", ALL, FLAGS_LOCKS, "the image's lock, flags of descriptors" },
	{ "fcntl64", ALL, FLAGS_LOCKS, "the same with 32 bits" },
	{ "fdatasync", ALL, ANY, "flushes of the image" },
	{ "fstat", ALL, ANY, "the image's size; stdio" },
	{ "fstat64", ALL, ANY, "the same with 32 bits" },
	{ "fsync", ALL, ANY, "flushes of the image" },
	{ "ftruncate", PROBE, ANY, "partition.c: a copy of where tables are" },
	{ "ftruncate64", PROBE, ANY, "the same with 32 bits" },
	{ "futex", ALL, ANY, "locks" },
	{ "futex_time64", ALL, ANY, "the same with 32 bits" },
	{ "getcwd", REMOTE, ANY, "names in ssh_config" },
	{ "getdents64", REMOTE, ANY, "Include in ssh_config" },
	{ "getegid", ALL, ANY, "who are we?" },
	{ "geteuid", ALL, ANY, "who are we?" },
	{ "getgid", ALL, ANY, "who are we?" },
	{ "getpeername", REMOTE, ANY, "connections" },
	{ "getpid", ALL, ANY, "--status, abort(3)" },
	{ "getrandom", ALL, ANY, "generation numbers, keys" },
	{ "getsockname", REMOTE, ANY, "connections" },
	{ "getsockopt", REMOTE, ANY, "connections" },
	{ "gettid", ALL, ANY, "abort(3)" },
	{ "gettimeofday", ALL, ANY, "clocks, where the vdso has none" },
	{ "getuid", ALL, ANY, "who are we?" },
	{ "ioctl", ALL, DISCARD, "discards on a block device" },
	{ "kill", REMOTE, EXISTS, "does the holder of a lock file live?" },
	{ "lseek", ALL, ANY, "stdio" },
	{ "lstat", REMOTE, ANY, "the files of ssh(1)" },
	{ "madvise", ALL, ANY, "malloc, secret memory" },
	{ "membarrier", ALL, ANY, "libc, for threads" },
	{ "memfd_create", PROBE, ANY, "partition.c: a copy of where tables are" },
	{ "memfd_create", REMOTE, ANY, "ssh_setup.c: our own part of the configuration" },
	{ "mlock", ALL, ANY, "secret memory" },
	{ "mlock2", ALL, ANY, "secret memory" },
	{ "mmap", ALL, DATA, "malloc, secret memory, buffers" },
	{ "mmap2", ALL, DATA, "the same with 32 bits" },
	{ "mprotect", ALL, DATA, "malloc, stacks" },
	{ "mremap", ALL, ANY, "realloc" },
	{ "munlock", ALL, ANY, "secret memory" },
	{ "munmap", ALL, ANY, "free, stacks" },
	{ "nanosleep", ALL, ANY, "pauses" },
	{ "newfstatat", ALL, BY_NUMBER_3, "fstat as libc has it" },
	{ "newfstatat", REMOTE, ANY, "the files of ssh(1)" },
	{ "open", LOCAL, REFUSED, "malloc looks for the kernel's overcommit_memory" },
	{ "open", REMOTE, READING, "the files of ssh(1) and of the resolver" },
	{ "openat", LOCAL, BENEATH, "loop_keeper.c looks whether a caller is dying, in /proc" },
	{ "openat", REMOTE, READING_AT, "the files of ssh(1) and of the resolver" },
	{ "pipe2", ALL, ANY, "ending the session" },
	{ "poll", ALL, ANY, "waiting for requests, for signals, for the net" },
	{ "ppoll", ALL, ANY, "the same" },
	{ "ppoll_time64", ALL, ANY, "the same with 32 bits" },
	{ "prctl", ALL, PARENT_DEATH, "letting the parent go" },
	{ "pread64", ALL, ANY, "the image" },
	{ "preadv", ALL, ANY, "the image" },
	{ "preadv2", ALL, ANY, "the image, if it is in the page cache" },
	{ "pselect6", REMOTE, ANY, "libssh, resolvers" },
	{ "pwrite64", ALL, ANY, "the image" },
	{ "pwritev", ALL, ANY, "the image" },
	{ "pwritev2", ALL, ANY, "the image" },
	{ "read", ALL, ANY, "requests" },
	{ "readlink", REMOTE, ANY, "the files of the resolver" },
	{ "readlinkat", REMOTE, ANY, "the files of the resolver" },
	{ "readv", ALL, ANY, "requests" },
	{ "recv", ALL, ANY, "the same, where libc has it" },
	{ "recvfrom", ALL, ANY, "the monitor's answers; the net" },
	{ "recvmmsg", REMOTE, ANY, "resolvers" },
	{ "recvmsg", REMOTE, ANY, "resolvers, the agent" },
	{ "restart_syscall", ALL, ANY, "a pause that was interrupted" },
	{ "rseq", ALL, ANY, "libc, for new threads" },
	{ "rt_sigaction", ALL, ANY, "abort(3)" },
	{ "rt_sigprocmask", ALL, ANY, "new threads, abort(3)" },
	{ "rt_sigreturn", ALL, ANY, "the end of a signal handler" },
	{ "sched_getaffinity", ALL, ANY, "malloc counts processors" },
	{ "sched_yield", ALL, ANY, "loop.c, between two requests" },
	{ "select", REMOTE, ANY, "libssh, resolvers" },
	{ "send", ALL, ANY, "requests to the monitor, where libc has it; the net" },
	{ "sendmmsg", REMOTE, ANY, "resolvers" },
	{ "sendmsg", REMOTE, ANY, "SFTP requests" },
	{ "sendto", LOCAL, NO_ADDRESS, "requests to the monitor" },
	{ "sendto", REMOTE, ANY, "requests to the monitor; the net" },
	{ "set_robust_list", ALL, ANY, "new threads" },
	{ "setsockopt", REMOTE, ANY, "keepalive, buffers" },
	{ "shutdown", REMOTE, ANY, "the end of a connection" },
	{ "sigaltstack", ALL, ANY, "threads, in some builds" },
	{ "sigreturn", ALL, ANY, "the same with 32 bits" },
	{ "socket", REMOTE, INTERNET, "connections, the resolver, the agent" },
	{ "socketpair", ALL, LOCAL_PAIR, "compat_fuse.c: INIT of a mount made later" },
	{ "stat", REMOTE, ANY, "the files of ssh(1)" },
	{ "statx", ALL, BY_NUMBER_2, "fstat as some libc has it" },
	{ "statx", REMOTE, ANY, "the files of ssh(1)" },
	{ "sysinfo", ALL, ANY, "qsort(3) asks for the memory" },
	{ "tgkill", ALL, OURSELVES, "abort(3)" },
	{ "uname", REMOTE, ANY, "the host's name, for ssh_config" },
	{ "wait4", ALL, ANY, "the end of the monitor" },
	{ "waitpid", ALL, ANY, "the same with 32 bits" },
	{ "write", ALL, ANY, "messages, wake-ups" },
	{ "writev", ALL, ANY, "answers to requests" },
};

/* What the run-time libraries of sanitizers do on top, at the end above all. */
static const struct call sanitizer_calls[] = {
	{ "clone", SANITIZER, ANY, "the leak checker is a process of its own" },
	{ "close_range", SANITIZER, ANY, "and closes what it inherits" },
	{ "fork", SANITIZER, ANY, "symbols" },
	{ "getdents", SANITIZER, ANY, "lists of threads" },
	{ "getdents64", SANITIZER, ANY, "lists of threads" },
	{ "getppid", SANITIZER, ANY, "the leak checker: does its parent live?" },
	{ "getrlimit", SANITIZER, ANY, "sizes of stacks" },
	{ "getrusage", SANITIZER, ANY, "memory" },
	{ "kill", SANITIZER, ANY, "the leak checker's process" },
	{ "mmap", SANITIZER, ANY, "shadow memory" },
	{ "mprotect", SANITIZER, ANY, "shadow memory" },
	{ "open", SANITIZER, READING, "/proc/self" },
	{ "openat", SANITIZER, READING_AT, "/proc/self" },
	{ "personality", SANITIZER, ANY, "where shadow memory may be" },
	{ "prctl", SANITIZER, ANY, "the leak checker may look" },
	{ "prlimit64", SANITIZER, ANY, "sizes of stacks" },
	{ "process_vm_readv", SANITIZER, ANY, "the leak checker" },
	{ "ptrace", SANITIZER, ANY, "the leak checker" },
	{ "readlink", SANITIZER, ANY, "/proc/self" },
	{ "readlinkat", SANITIZER, ANY, "/proc/self" },
	{ "sched_getaffinity", SANITIZER, ANY, "processors" },
	{ "stat", SANITIZER, ANY, "/proc/self" },
	{ "uname", SANITIZER, ANY, "which kernel is it?" },
};

/* Flags of open(2) that change something. */
static const uint64_t changing = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

static int allow(scmp_filter_ctx ctx, int nr, unsigned n, const struct scmp_arg_cmp *args)
{
	int err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, n, args);

	/* EDOM, EINVAL: a call of other architectures. */
	return err == -EDOM || err == -EINVAL ? 0 : err;
}

/* The argument has none, or exactly these, of the bits in mask. */
static int allow_bits(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t mask, uint64_t bits)
{
	const struct scmp_arg_cmp cmp = { .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask,
					  .datum_b = bits };

	return allow(ctx, nr, 1, &cmp);
}

static int allow_value(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t value)
{
	const struct scmp_arg_cmp cmp = { .arg = arg, .op = SCMP_CMP_EQ, .datum_a = value };

	return allow(ctx, nr, 1, &cmp);
}

/* Needs no rule but in tests. */
static int refuse(scmp_filter_ctx ctx, int nr, unsigned n, const struct scmp_arg_cmp *args)
{
	return sandbox_unlisted() == SCMP_ACT_KILL_PROCESS ?
		seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), nr, n, args) : 0;
}

static int allow_values(scmp_filter_ctx ctx, int nr, unsigned arg, const int *values, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = allow_value(ctx, nr, arg, (uint64_t)values[i]);
	return err;
}

/* AF_UNIX leads to every service of the system: for an agent only. Resolvers that are one have a
 * substitute in libc. */
static int allow_sockets(scmp_filter_ctx ctx, int nr, bool agent)
{
	static const int domains[] = { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX };
	const size_t n = sizeof(domains) / sizeof(domains[0]);
	const struct scmp_arg_cmp local = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX };
	int err = allow_values(ctx, nr, 0, domains, agent ? n : n - 1);

	return err || agent ? err : refuse(ctx, nr, 1, &local);
}

static int allow_pairs(scmp_filter_ctx ctx, int nr)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	int err = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !err; i++) {
		const struct scmp_arg_cmp cmp[] = {
			{ .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX },
			{ .arg = 1, .op = SCMP_CMP_MASKED_EQ,
			  .datum_a = ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX,
			  .datum_b = (uint64_t)types[i] },
		};

		err = allow(ctx, nr, 2, cmp);
	}
	return err;
}

/* F_SETOWN, F_SETSIG and O_ASYNC together signal any process of the same user. */
static int allow_fcntl(scmp_filter_ctx ctx, int nr)
{
	static const int commands[] = { F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_OFD_SETLK,
					F_OFD_GETLK };
	const struct scmp_arg_cmp flags[] = {
		{ .arg = 1, .op = SCMP_CMP_EQ, .datum_a = F_SETFL },
		{ .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = O_ASYNC, .datum_b = 0 },
	};
	int err = allow(ctx, nr, 2, flags);

	return err ? err : allow_values(ctx, nr, 1, commands, sizeof(commands) / sizeof(commands[0]));
}

/*
 * Of loop_keeper.c, which can do without. A directory does not confine: an absolute path ignores
 * it, and ".." from /proc's root leads to the mounts that were there, also from an empty
 * namespace. Only Landlock does. malloc looks for the kernel's overcommit_memory by
 * openat(AT_FDCWD), and does without, too.
 */
static int allow_beneath(scmp_filter_ctx ctx, int nr, bool landlock)
{
	const struct scmp_arg_cmp reading[] = {
		{ .arg = 0, .op = SCMP_CMP_LE, .datum_a = INT32_MAX },
		{ .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = changing, .datum_b = O_RDONLY },
	};
	const struct scmp_arg_cmp current = { .arg = 0, .op = SCMP_CMP_GT, .datum_a = INT32_MAX };
	int err = landlock ? allow(ctx, nr, 2, reading) : 0;

	if (!landlock)
		return refuse(ctx, nr, 0, NULL);
	return err ? err : refuse(ctx, nr, 1, &current);
}

static int add(scmp_filter_ctx ctx, const struct call *call, const struct sandbox_needs *needs,
	       bool landlock)
{
	const int nr = seccomp_syscall_resolve_name(call->name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	switch (call->check) {
	case BENEATH: return allow_beneath(ctx, nr, landlock);
	case BY_NUMBER_2: return allow_bits(ctx, nr, 2, AT_EMPTY_PATH, AT_EMPTY_PATH);
	case BY_NUMBER_3: return allow_bits(ctx, nr, 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
	case REFUSED: return refuse(ctx, nr, 0, NULL);
	case A_THREAD: return allow_bits(ctx, nr, CLONE_FLAGS_ARG, CLONE_THREAD, CLONE_THREAD);
	case DATA: return allow_bits(ctx, nr, 2, PROT_EXEC, 0);
	case DISCARD: return allow_value(ctx, nr, 1, BLKDISCARD);
	case EXISTS: return allow_value(ctx, nr, 1, 0);
	case FLAGS_LOCKS: return allow_fcntl(ctx, nr);
	case INTERNET: return allow_sockets(ctx, nr, needs->agent);
	case LOCAL_PAIR: return allow_pairs(ctx, nr);
	case NO_ADDRESS: return allow_value(ctx, nr, 4, 0);
	case OURSELVES: return allow_value(ctx, nr, 0, (uint64_t)getpid());
	case PARENT_DEATH: return allow_value(ctx, nr, 0, PR_SET_PDEATHSIG);
	case READING: return allow_bits(ctx, nr, 1, changing, O_RDONLY);
	case READING_AT: return allow_bits(ctx, nr, 2, changing, O_RDONLY);
	default: return allow(ctx, nr, 0, NULL);
	}
}

static bool is_needed(const struct call *call, const struct sandbox_needs *needs)
{
	return call->who == ALL || call->who == (needs->network ? REMOTE : LOCAL) ||
	       (call->who == PROBE && needs->probing);
}

static int add_all(scmp_filter_ctx ctx, const struct sandbox_needs *needs, bool landlock)
{
	const size_t ncalls = sizeof(calls) / sizeof(calls[0]);
	const size_t nmore = SANITIZED ? sizeof(sanitizer_calls) / sizeof(sanitizer_calls[0]) : 0;
	int err = 0;

	for (size_t i = 0; i < ncalls && !err; i++)
		if (is_needed(&calls[i], needs))
			err = add(ctx, &calls[i], needs, landlock);
	for (size_t i = 0; i < nmore && !err; i++)
		err = add(ctx, &sanitizer_calls[i], needs, landlock);
	/* Its flags are in memory, where a filter cannot look: libc takes clone(2) instead. */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return err;
}

/* A filter that is a tree of numbers, not a list, for all threads. */
static int set_up(scmp_filter_ctx ctx)
{
	int err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);	/* they have it */
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	return err;
}

int sandbox_calls(const struct sandbox_needs *needs, bool landlock)
{
	scmp_filter_ctx ctx = seccomp_init(sandbox_unlisted());
	int err;

	if (!ctx)
		return -ENOMEM;
	err = set_up(ctx);
	if (!err)
		err = add_all(ctx, needs, landlock);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
