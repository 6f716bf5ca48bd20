// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending what is dirty before an unmount, while the mount can still be asked how it goes.
 *
 * A thread has the kernel write back and the server commit; this one looks and reports.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "status.h"

enum { LOOK_MS = 500, QUIET_MS = 1500, LINE_MS = 5000, MIB = 1 << 20 };

struct drain {
	char mountpoint[PATH_MAX];
	int done_fd;
	int err;		/* of writing: the thread's until done_fd is readable */
	bool terminal;		/* one line, written over; else one now and then */
	bool said;
};

static void *write_all(void *arg)
{
	struct drain *d = arg;
	int fd = open(d->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* The page cache first, then the server's own. */
	if (fd >= 0) {
		if (syncfs(fd))
			d->err = -errno;
		if (fsync(fd))
			d->err = -errno;
		close(fd);
	}
	eventfd_write(d->done_fd, 1);
	return NULL;
}

static void report(struct drain *d)
{
	struct status_progress p;
	char how[96] = "";

	if (status_progress(d->mountpoint, &p))
		return;
	if (p.outage_ms)
		snprintf(how, sizeof(how), "; no connection for %llu s",
			 (unsigned long long)p.outage_ms / 1000);
	else if (p.write_rate)
		snprintf(how, sizeof(how), ", %.1f MiB/s", (double)p.write_rate / MIB);
	fprintf(stderr, "%sfuse4fs: %s: %.1f MiB to be sent%s%s", d->terminal ? "\r\033[K" : "",
		d->mountpoint, (double)p.unsynced_len / MIB, how, d->terminal ? "" : "\n");
	d->said = true;
}

static void watch(struct drain *d)
{
	struct pollfd done = { .fd = d->done_fd, .events = POLLIN };
	int step_ms = QUIET_MS;

	for (;;) {
		int n = poll(&done, 1, step_ms);

		if (n > 0 || (n < 0 && errno != EINTR))
			break;
		report(d);
		step_ms = d->terminal ? LOOK_MS : LINE_MS;
	}
	if (d->said && d->terminal)
		fprintf(stderr, "\r\033[K");
}

int mount_drain(const char *mountpoint)
{
	struct drain d = { .done_fd = -1, .terminal = isatty(STDERR_FILENO) };
	pthread_t thread;

	if (strlen(mountpoint) >= sizeof(d.mountpoint))
		return 0;
	memcpy(d.mountpoint, mountpoint, strlen(mountpoint) + 1);
	d.done_fd = eventfd(0, EFD_CLOEXEC);
	if (d.done_fd < 0)
		return 0;
	if (!pthread_create(&thread, NULL, write_all, &d)) {
		watch(&d);
		pthread_join(thread, NULL);
	}
	close(d.done_fd);
	return d.err;
}
