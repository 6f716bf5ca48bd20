// SPDX-License-Identifier: GPL-2.0-or-later
/* How serving ends; see server_end.h. */
#include "server_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "mount.h"
#include "server.h"

enum {
	WRITE_BACK_MS = 20000,	/* for the page cache of files that are open */
	UNMOUNTED_MS = 5000,	/* for the threads to notice */
	QUIET_MS = 50,		/* without a request: nothing is being written back */
};

/* Readable ones of two descriptors as bits 1 and 2; 0 on timeout. */
static int wait_either(int fd1, int fd2, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = fd1, .events = POLLIN }, { .fd = fd2, .events = POLLIN } };
	int n;

	do
		n = poll(fds, 2, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n <= 0 ? 0 : (fds[0].revents ? 1 : 0) | (fds[1].revents ? 2 : 0);
}

struct sync_job {
	char mountpoint[PATH_MAX];
	int done_fd;
};

/* Outlives nobody: it ends when the kernel answers, which it does when the session ends. */
static void *sync_mount(void *arg)
{
	struct sync_job *job = arg;
	int fd = open(job->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0) {
		if (syncfs(fd))
			errno = 0;	/* reported to those who call fsync */
		close(fd);
	}
	eventfd_write(job->done_fd, 1);
	return NULL;
}

/* Since Linux 6.16 syncfs starts FUSE's writes but does not wait for them. */
static void wait_until_quiet(struct server *srv, int signal_fd)
{
	struct loop_stats before, after;

	loop_get_stats(srv->loop, &after);
	do {
		before = after;
		if (wait_either(signal_fd, loop_done_fd(srv->loop), QUIET_MS))
			return;
		loop_get_stats(srv->loop, &after);
	} while (after.total != before.total);
}

static void drain(int signal_fd)
{
	char byte;

	while (read(signal_fd, &byte, 1) > 0)
		;
}

/*
 * Dirty pages of files still open would be lost. Our own thread asks the kernel to write
 * them back while the workers serve; should that hang, the signal comes again or time runs
 * out. The thread is not joined then: ending the session wakes it.
 */
static void write_back(struct server *srv, int signal_fd, pthread_t *thread, bool *ret_started,
		       struct sync_job *job)
{
	snprintf(job->mountpoint, sizeof(job->mountpoint), "%s", srv->mountpoint);
	*ret_started = !pthread_create(thread, NULL, sync_mount, job);
	if (*ret_started && wait_either(signal_fd, job->done_fd, WRITE_BACK_MS) == 2)
		wait_until_quiet(srv, signal_fd);
}

static bool has_name(const struct server *srv)
{
	return strncmp(srv->mountpoint, "/dev/fd/", 8) != 0;
}

/* True when the mount is gone. One in use is detached later, with the session. */
static bool unmount(struct server *srv)
{
	if (!mount_umount(srv->mountpoint, false, false))
		return true;
	daemon_log(srv->daemon, VFS_LOG_WARN,
		   "told to end while in use: files still open are cut off");
	return false;
}

static void end_by_signal(struct server *srv, int signal_fd)
{
	struct sync_job job = { .done_fd = eventfd(0, EFD_CLOEXEC) };
	bool started = false, unmounted = false;
	pthread_t thread;

	drain(signal_fd);
	if (has_name(srv) && job.done_fd >= 0)
		write_back(srv, signal_fd, &thread, &started, &job);
	drain(signal_fd);
	if (has_name(srv))
		unmounted = unmount(srv);
	if (unmounted)
		wait_either(signal_fd, loop_done_fd(srv->loop), UNMOUNTED_MS);
	loop_stop(srv->loop);
	loop_join(srv->loop);
	mount_end(srv, !unmounted);	/* no connection: the thread's call returns */
	if (started)
		pthread_join(thread, NULL);
	if (job.done_fd >= 0)
		close(job.done_fd);
}

void server_wait_end(struct server *srv, int signal_fd)
{
	int ended = wait_either(signal_fd, loop_done_fd(srv->loop), -1), why;

	if (!(ended & 2)) {
		end_by_signal(srv, signal_fd);
		return;
	}
	why = loop_join(srv->loop);
	if (why != -ENODEV) {
		daemon_printf(srv->daemon, VFS_LOG_WARN, "the connection to the kernel ended: %s",
			      why ? strerror(-why) : "session closed");
		/* Aborted, not unmounted: the dead mount is still there. */
		if (has_name(srv))
			mount_umount(srv->mountpoint, true, false);
	}
	mount_end(srv, false);
}
