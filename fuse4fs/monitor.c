// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process beside the server; see monitor.h.
 *
 * Both ends talk in datagrams that keep their borders (SOCK_SEQPACKET). A request that may
 * take long, the write-back, has a child of its own, which answers itself.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "monitor_int.h"
#include "mount.h"
#include "sandbox.h"

enum {
	TEXT_BYTES = 2048,		/* of a line */
	/* fusermount3 ends what it has begun, also for the dead. */
	APPEAR_MS = 10000,
	APPEAR_STEP_MS = 50,
};

struct monitor {
	int fd;				/* [init only] */
	pid_t pid;			/* [init only] */
};

/* What the process itself knows. */
struct watch {
	int fd;
	char mountpoint[PATH_MAX];	/* "" until it is known */
	char before[32];		/* what was mounted there: its MAJOR:MINOR, or "" */
	char device[32];		/* that of our mount; "" until there is one */
	bool detach;			/* when the server dies */
	bool mounted;			/* the server says so */
	bool confined;
	pid_t sync;			/* the child that writes back, or 0 */
};

static bool still_mounted(const struct watch *w)
{
	char device[32];

	return mount_device(w->mountpoint, device, sizeof(device)) && !strcmp(device, w->device);
}

static int unmount(const struct watch *w, bool lazy)
{
	if (!w->mountpoint[0])
		return -EINVAL;
	if (w->device[0] && !still_mounted(w))
		return 0;
	return mount_umount(w->mountpoint, lazy, false);
}

static void answer(const struct watch *w, int kind, int err)
{
	const struct answer a = { .kind = kind, .err = err };

	/* A server that is gone needs none. */
	if (send(w->fd, &a, sizeof(a), MSG_NOSIGNAL) < 0)
		errno = 0;
}

static int sync_mount(const struct watch *w)
{
	int fd = open(w->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), err = 0;

	if (fd < 0)
		return -errno;
	/* Errors are reported to those who call fsync. */
	if (syncfs(fd))
		err = -errno;
	close(fd);
	return err;
}

/* One at a time: it may hang as long as the server likes. */
static void start_sync(struct watch *w)
{
	pid_t pid = w->mountpoint[0] && !w->sync ? fork() : -1;

	if (pid < 0) {
		answer(w, SYNC, -EAGAIN);
	} else if (!pid) {
		answer(w, SYNC, sync_mount(w));
		_exit(0);
	} else {
		w->sync = pid;
	}
}

static void reap(struct watch *w)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		if (pid == w->sync)
			w->sync = 0;
}

static int confine(struct watch *w)
{
	int err = w->confined ? 0 : sandbox_enter_monitor();

	w->confined = true;
	return err;
}

static void expect(struct watch *w, const char *mountpoint, bool detach)
{
	if (w->mountpoint[0] || mountpoint[0] != '/')
		return;
	snprintf(w->mountpoint, sizeof(w->mountpoint), "%s", mountpoint);
	w->detach = detach;
	if (!mount_device(w->mountpoint, w->before, sizeof(w->before)))
		w->before[0] = '\0';
}

/* Takes note of the mount that is there, if it is not the one from before. */
static bool appeared(struct watch *w)
{
	char device[32];

	if (!mount_device(w->mountpoint, device, sizeof(device)) || !strcmp(device, w->before))
		return false;
	memcpy(w->device, device, sizeof(device));
	return true;
}

/* False: the end. */
static bool handle(struct watch *w, const struct request *r)
{
	switch (r->kind) {
	case EXPECT:
		expect(w, r->text, r->arg);
		answer(w, EXPECT, 0);
		return true;
	case MOUNTED:
		w->mounted = w->mounted || w->mountpoint[0];
		answer(w, MOUNTED, w->device[0] || appeared(w) ? 0 : -ENOENT);
		return true;
	case LOG_LINE:
		syslog(LOG_PRI(r->arg), "%.*s", TEXT_BYTES, r->text);
		return true;
	case SYNC:
		start_sync(w);
		return true;
	case UNMOUNT:
		answer(w, UNMOUNT, unmount(w, r->arg));
		return true;
	case CONFINE:
		answer(w, CONFINE, confine(w));
		return true;
	default:
		return false;
	}
}

/* Until the server says goodbye (true) or is gone. */
static bool obey(struct watch *w)
{
	struct request r;
	ssize_t n;

	for (;;) {
		n = recv(w->fd, &r, sizeof(r) - 1, 0);
		reap(w);
		if (n < 0 && errno == EINTR)
			continue;
		/* Nothing that is known of the server: its mount is left alone. */
		if (n < 0 && errno != ECONNRESET)
			return true;
		if (n < (ssize_t)offsetof(struct request, text))
			return false;
		((char *)&r)[n] = '\0';
		if (!handle(w, &r))
			return true;
	}
}

/* No terminal, no descriptor and no signal of the server's; the socket becomes number 3. */
static void leave_server(int *fd)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGTSTP };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "fuse4fs-monitor", 0, 0, 0);
	for (int i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	if (*fd != 3 && dup2(*fd, 3) == 3)
		*fd = 3;
	if (fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0 && *fd == 3)
		close_range(4, ~0U, 0);
	if (chdir("/"))
		errno = 0;	/* stays where it is */
}

/* The server died while it was being mounted, or before. What appears is its mount. */
static void await_mount(struct watch *w)
{
	for (int ms = 0; w->mountpoint[0] && ms < APPEAR_MS; ms += APPEAR_STEP_MS) {
		if (mount_is_ours(w->mountpoint) && appeared(w))
			break;
		poll(NULL, 0, APPEAR_STEP_MS);
	}
}

static void bury(struct watch *w)
{
	if (!w->mounted)
		await_mount(w);
	if (!w->device[0] || !still_mounted(w))
		return;
	syslog(LOG_WARNING, "%s: the server died%s", w->mountpoint,
	       w->detach ? "; the mount is detached" : " (fuse4fs -u -l removes the mount)");
	if (w->detach)
		mount_umount(w->mountpoint, true, false);
}

static void __attribute__((noreturn)) run(int fd)
{
	struct watch w = { .fd = fd };
	char ident[32];

	snprintf(ident, sizeof(ident), "fuse4fs[%d]", (int)getppid());
	leave_server(&w.fd);
	openlog(ident, 0, LOG_DAEMON);
	if (!obey(&w))
		bury(&w);
	_exit(0);
}

int monitor_start(struct monitor **ret)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int pair[2], err;
	pid_t pid;

	if (!m)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		free(m);
		return err;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		run(pair[1]);
	err = pid < 0 ? -errno : 0;
	close(pair[1]);
	m->fd = pair[0];
	m->pid = pid;
	if (err) {
		close(pair[0]);
		free(m);
		return err;
	}
	*ret = m;
	return 0;
}

/* text is shorter than PATH_MAX. */
static int ask(struct monitor *m, int kind, int arg, const char *text, int flags)
{
	struct request r = { .kind = kind, .arg = arg };
	const size_t len = strnlen(text, sizeof(r.text) - 1);

	memcpy(r.text, text, len);
	if (send(m->fd, &r, offsetof(struct request, text) + len, MSG_NOSIGNAL | flags) < 0)
		return -errno;
	return 0;
}

/* The answer to that kind of request; older ones to others are dropped. */
static int await(struct monitor *m, int kind)
{
	struct answer a = { .kind = -1 };

	while (a.kind != kind) {
		ssize_t n = recv(m->fd, &a, sizeof(a), 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n >= 0 && n != sizeof(a))
			return -EPIPE;
	}
	return a.err;
}

static int ask_and_wait(struct monitor *m, int kind, int arg, const char *text)
{
	int err = ask(m, kind, arg, text, 0);

	return err ? err : await(m, kind);
}

int monitor_expect(struct monitor *m, const char *mountpoint, bool detach)
{
	return ask_and_wait(m, EXPECT, detach, mountpoint);
}

int monitor_mounted(struct monitor *m)
{
	return ask_and_wait(m, MOUNTED, 0, "");
}

int monitor_confine(struct monitor *m)
{
	return ask_and_wait(m, CONFINE, 0, "");
}

void monitor_log(struct monitor *m, int priority, const char *line)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "%s", line);
	ask(m, LOG_LINE, priority, text, MSG_DONTWAIT);
}

int monitor_sync(struct monitor *m)
{
	return ask(m, SYNC, 0, "", 0);
}

int monitor_fd(const struct monitor *m)
{
	return m->fd;
}

void monitor_synced(struct monitor *m)
{
	await(m, SYNC);
}

int monitor_unmount(struct monitor *m, bool lazy)
{
	return ask_and_wait(m, UNMOUNT, lazy, "");
}

void monitor_end(struct monitor *m)
{
	if (!m)
		return;
	ask(m, GOODBYE, 0, "", 0);
	close(m->fd);
	while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(m);
}
