/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going to the background after everything has worked, and where messages go.
 *
 * Threads do not survive fork(), so the child does all the work from the start; the parent
 * only waits for its word and exits with its status. Until then messages go to stderr,
 * afterwards to syslog, or always to stderr in the foreground.
 */
#ifndef FUSE4FS_DAEMON_H
#define FUSE4FS_DAEMON_H

#include <stdbool.h>
#include <stdatomic.h>
#include <sys/types.h>

struct monitor;

struct daemon {
	int ready_fd;			/* pipe to the parent, or -1 */
	int null_fd;			/* /dev/null, kept for daemon_ready, or -1 */
	struct monitor *monitor;	/* [init only] the process beside this one */
	_Atomic bool background;	/* messages go to syslog */
	bool attached;			/* [init only] keeps its terminal and its parent */
	int end_fd;			/* [init only] readable: we are to end, or -1 */
	const char *name;		/* of the image, in front of every message */
};

/*
 * Starts the monitor, and forks before unless foreground. The parent never returns: it exits
 * with what the child reports, or with MNT_EX_USER or MNT_EX_SOFTWARE when the child dies first;
 * a child that has not reported gets SIGTERM when the parent dies. 0 in the child; -errno when
 * there is none.
 */
int daemon_start(struct daemon *d, bool foreground, const char *name);
/* The same in a process that somebody forked for it, who reads the status from ready_fd and is
 * not left. 0 or -errno. */
int daemon_adopt(struct daemon *d, int ready_fd, const char *name);
/* The exit status for a server that ended before it reported anything: reaps it, and says what it
 * died of, unless it was interrupted. */
int daemon_status_of_death(pid_t child);
/* Leaves the parent's session and directory; what daemon_ready needs of the file system. */
void daemon_detach(struct daemon *d);
/* All has worked: lets the parent go with status 0 and leaves its terminal. No signal comes any more
 * when the parent ends. */
void daemon_ready(struct daemon *d);
/* It has not: the parent exits with status. Returns status. No-op after daemon_ready. */
int daemon_failed(struct daemon *d, int status);
/* The monitor may end. */
void daemon_end(struct daemon *d);
/* One line "fuse4fs: NAME: line". level: enum vfs_log. Any thread. */
void daemon_log(void *daemon, int level, const char *line);
void daemon_printf(struct daemon *d, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
