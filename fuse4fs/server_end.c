// SPDX-License-Identifier: GPL-2.0-or-later
/* How serving ends; see server_end.h. */
#include "server_end.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "monitor.h"
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
 * Dirty pages of files still open would be lost. The monitor asks the kernel to write them
 * back while the workers serve; should that hang, the signal comes again or time runs out.
 */
static void write_back(struct server *srv, int signal_fd)
{
	struct monitor *m = srv->daemon->monitor;

	if (monitor_sync(m) || wait_either(signal_fd, monitor_fd(m), WRITE_BACK_MS) != 2)
		return;
	monitor_synced(m);
	wait_until_quiet(srv, signal_fd);
}

/* True when the mount is gone. One in use is detached later, with the session. */
static bool unmount(struct server *srv)
{
	if (!monitor_unmount(srv->daemon->monitor, false))
		return true;
	daemon_log(srv->daemon, VFS_LOG_WARN,
		   "told to end while in use: files still open are cut off");
	return false;
}

static void end_by_signal(struct server *srv, int signal_fd)
{
	const bool has_name = !server_passed_on(srv);
	bool unmounted = false;

	drain(signal_fd);
	if (has_name) {
		write_back(srv, signal_fd);
		drain(signal_fd);
		unmounted = unmount(srv);
	}
	if (unmounted)
		wait_either(signal_fd, loop_done_fd(srv->loop), UNMOUNTED_MS);
	loop_stop(srv->loop);
	loop_join(srv->loop);
	mount_end(srv);
	if (has_name && !unmounted)
		monitor_unmount(srv->daemon->monitor, true);
}

/* False: we are told to end, by a signal or by the end of a process that we are to end with. */
static bool wait_for_unmount(struct server *srv, int signal_fd)
{
	struct pollfd fds[] = { { .fd = loop_done_fd(srv->loop), .events = POLLIN },
				{ .fd = signal_fd, .events = POLLIN },
				{ .fd = srv->daemon->end_fd, .events = POLLIN } };

	while (poll(fds, 3, -1) < 0 && errno == EINTR)
		;
	return fds[0].revents != 0;
}

void server_wait_end(struct server *srv, int signal_fd)
{
	int why;

	if (!wait_for_unmount(srv, signal_fd)) {
		end_by_signal(srv, signal_fd);
		return;
	}
	why = loop_join(srv->loop);
	if (why != -ENODEV)
		daemon_printf(srv->daemon, VFS_LOG_WARN, "the connection to the kernel ended: %s",
			      why ? strerror(-why) : "session closed");
	mount_end(srv);
	/* Aborted, not unmounted: the dead mount is still there. */
	if (why != -ENODEV && !server_passed_on(srv))
		monitor_unmount(srv->daemon->monitor, true);
}
