/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor: a small process beside the server that does what a confined server cannot.
 *
 * It is forked before the server has opened anything, keeps nothing but a socket to it, and has a
 * sandbox of its own, with what unmounting needs (sandbox_enter_monitor). On request it writes the mount's dirty pages back,
 * unmounts it, or passes a line to syslog. When the server dies without having said goodbye,
 * it detaches the mount if that was asked for: what stays otherwise is a mount that answers
 * ENOTCONN, which keeps programs from going on in the directory below. A server that has been
 * taken over can make it do these things to this one mount and nothing else.
 *
 * Requests come from one thread, except for monitor_log.
 */
#ifndef FUSE4FS_MONITOR_H
#define FUSE4FS_MONITOR_H

#include <stdbool.h>

struct monitor;

/*
 * Forks. Call it while there is one thread and nothing that a second process must not hold.
 * 0 or -errno.
 */
int monitor_start(struct monitor **ret);
/* Names the mount point, absolute, before there is a mount: a server that dies while it mounts is
 * one that dies. detach: when that happens. Only the first call counts. 0 or -errno. */
int monitor_expect(struct monitor *m, const char *mountpoint, bool detach);
/* The mount is there: from now on it is this one, whatever is mounted over it later. 0 or -errno. */
int monitor_mounted(struct monitor *m);
/* Has it give up what it does not need; see sandbox_enter_monitor. 0 or -errno. */
int monitor_confine(struct monitor *m);
/* One line for syslog. priority: LOG_ERR and so on. Dropped when the monitor is behind. */
void monitor_log(struct monitor *m, int priority, const char *line);
/*
 * Begins to write back what the page cache holds of the mount. monitor_fd becomes readable
 * when that is done; monitor_synced then takes the answer. Never waited for any longer than
 * one likes: it ends with the session. 0 or -errno.
 */
int monitor_sync(struct monitor *m);
int monitor_fd(const struct monitor *m);
void monitor_synced(struct monitor *m);
/*
 * Unmounts, as mount_umount does. 0, also when it is not there any more; -EBUSY; -EPERM;
 * -EPIPE the monitor is gone.
 */
int monitor_unmount(struct monitor *m, bool lazy);
/* The mount has ended as it should: so does the monitor, which is waited for. Frees m; NULL is
 * a no-op. */
void monitor_end(struct monitor *m);

#endif
