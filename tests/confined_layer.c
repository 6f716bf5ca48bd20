// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of server_layer.c: a device that tries out, from inside the server, what its
 * sandbox forbids. At the first flush after the server has been confined it writes a line
 * "ATTEMPT ERRNO-NAME" (or "ok") for each to the file that CONFINED_LOG names.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor_int.h"
#include "server_layer.h"
#include "transport/blkdev.h"

struct confined {
	struct blkdev dev;
	struct blkdev *lower;	/* [init only] */
	int log_fd;		/* [init only] */
	_Atomic bool tried;
};

static int proc_fd = -1;	/* as loop_keeper.c has it */
static int monitor_fd = -1;

static long try_open(void) { return open("/etc/passwd", O_RDONLY | O_CLOEXEC); }
static long try_open_root(void) { return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }
static long try_create(void) { return open("/tmp/confined", O_WRONLY | O_CREAT | O_CLOEXEC, 0600); }
static long try_open_image(void)
{
	const char *name = getenv("CONFINED_IMAGE");

	return open(name ? name : "/", O_RDONLY | O_CLOEXEC);
}

/* A file that no login needs. */
static long try_secret(void)
{
	const char *name = getenv("CONFINED_SECRET");

	return open(name ? name : "/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static long try_shadow(void) { return open("/etc/shadow", O_RDONLY | O_CLOEXEC); }
/* The directory does not count for the one, and is a way out for the other. */
static long try_openat(void) { return openat(proc_fd, "/etc/passwd", O_RDONLY | O_CLOEXEC); }
static long try_openat_up(void) { return openat(proc_fd, "../etc/passwd", O_RDONLY | O_CLOEXEC); }
static long try_stat(void) { struct stat st; return stat("/etc/passwd", &st); }
static long try_mkdir(void) { return mkdir("/tmp/confined.d", 0700); }
static long try_unlink(void) { return unlink("/tmp/confined.none"); }
static long try_chroot(void) { return chroot("/"); }
static long try_chown(void) { return chown("/", 1, 1); }
static long try_mount(void) { return mount("tmpfs", "/", "tmpfs", 0, NULL); }
static long try_umount(void) { return umount2("/", MNT_DETACH); }
static long try_unshare(void) { return unshare(CLONE_NEWUSER); }
static long try_ptrace(void) { return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL); }
static long try_kill(void) { return kill(1, 0); }
static long try_setuid(void) { return syscall(SYS_setuid, 12345); }
static long try_bpf(void) { return syscall(SYS_bpf, 0, NULL, 0); }
static long try_io_uring(void) { return syscall(SYS_io_uring_setup, 1, NULL); }
static long try_keyctl(void) { return syscall(SYS_keyctl, 0, -1, 0); }
static long try_unix(void) { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }
static long try_packet(void) { return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); }

static long try_dgram(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair);
}

/* To somebody else than the other end. */
static long try_sendto(void)
{
	const struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	return sendto(pair[0], "", 1, MSG_NOSIGNAL, (const struct sockaddr *)&a, sizeof(a));
}

/* By these a descriptor sends signals to other processes. */
static long try_setown(void) { return fcntl(proc_fd, F_SETOWN, 1); }
static long try_setsig(void) { return fcntl(proc_fd, F_SETSIG, 9); }

static long try_async(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	return fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK);
}

static long try_exec(void)
{
	char *argv[] = { (char *)"true", NULL };

	return execve("/bin/true", argv, NULL);
}

static long try_fork(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long try_code(void)
{
	const int prot = PROT_READ | PROT_WRITE | PROT_EXEC, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	/* cppcheck-suppress invalidFunctionArg ; -1 is what an anonymous mapping takes */
	void *p = mmap(NULL, 4096, prot, flags, -1, 0);

	return p == MAP_FAILED ? -1 : munmap(p, 4096);
}

static long try_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static const struct {
	const char *name;
	long (*try)(void);
} attempts[] = {
	{ "open", try_open }, { "open-root", try_open_root }, { "open-image", try_open_image },
	{ "create", try_create }, { "stat", try_stat }, { "mkdir", try_mkdir },
	{ "unlink", try_unlink }, { "chroot", try_chroot }, { "chown", try_chown },
	{ "mount", try_mount }, { "umount", try_umount }, { "unshare", try_unshare },
	{ "ptrace", try_ptrace }, { "kill", try_kill }, { "setuid", try_setuid },
	{ "bpf", try_bpf }, { "io_uring", try_io_uring }, { "keyctl", try_keyctl },
	{ "unix", try_unix }, { "packet", try_packet }, { "tcp", try_tcp }, { "code", try_code },
	{ "fork", try_fork }, { "exec", try_exec }, { "secret", try_secret }, { "shadow", try_shadow },
	{ "openat", try_openat }, { "openat-up", try_openat_up }, { "dgram", try_dgram },
	{ "sendto", try_sendto }, { "setown", try_setown }, { "setsig", try_setsig },
	{ "async", try_async },
};

static void try_all(struct confined *c)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const char *outcome = "ok";

		errno = 0;
		if (attempts[i].try() < 0)
			outcome = strerrorname_np(errno);
		dprintf(c->log_fd, "%s %s\n", attempts[i].name, outcome);
	}
	dprintf(c->log_fd, "end\n");
}

/*
 * Many orders to write back, and no help with any of them until
 * somebody lets us go on.
 */
static void flood(void)
{
	const struct request request = { .kind = SYNC };

	for (int i = 0; i < 100; i++)
		if (send(monitor_fd, &request, offsetof(struct request, text), MSG_NOSIGNAL) < 0)
			break;
	raise(SIGSTOP);
}

/* With the filter the question itself is refused; before it, and before no_new_privs, it is 0. */
static bool is_confined(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0;
}

static int confined_flush(struct blkdev *dev)
{
	struct confined *c = (struct confined *)dev;

	if (is_confined() && !atomic_exchange(&c->tried, true)) {
		try_all(c);
		if (getenv("CONFINED_FLOOD"))
			flood();
	}
	return blkdev_flush(c->lower);
}

static int confined_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(((struct confined *)dev)->lower, buf, len, off);
}

static int confined_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	return blkdev_write(((struct confined *)dev)->lower, buf, len, off);
}

static int confined_discard(struct blkdev *dev, uint64_t off, uint64_t len)
{
	return blkdev_discard(((struct confined *)dev)->lower, off, len);
}

static int confined_close(struct blkdev *dev)
{
	struct confined *c = (struct confined *)dev;
	int err = blkdev_close(c->lower);

	close(c->log_fd);
	free(c);
	return err;
}

static const struct blkdev_ops confined_ops = {
	.read = confined_read,
	.write = confined_write,
	.flush = confined_flush,
	.discard = confined_discard,
	.close = confined_close,
};

/* Of the sockets that keep messages apart, the first. */
static int find_monitor(void)
{
	for (int fd = 3, type; fd < 64; fd++) {
		socklen_t len = sizeof(type);

		if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET)
			return fd;
	}
	return -1;
}

int server_layer(struct blkdev **dev, char *why, size_t why_len)
{
	const char *path = getenv("CONFINED_LOG");
	struct confined *c = path ? calloc(1, sizeof(*c)) : NULL;

	if (!path)
		return 0;
	if (!c)
		return -ENOMEM;
	monitor_fd = find_monitor();
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	c->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (c->log_fd < 0) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		free(c);
		return -EIO;
	}
	c->dev.ops = &confined_ops;
	c->dev.info = (*dev)->info;
	c->lower = *dev;
	*dev = &c->dev;
	return 0;
}
