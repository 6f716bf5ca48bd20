/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How serving ends: somebody unmounted, or a signal says so. */
#ifndef FUSE4FS_SERVER_END_H
#define FUSE4FS_SERVER_END_H

struct server;

/*
 * Waits until the mount is gone or signal_fd becomes readable, and then makes it go: writes
 * back what the page cache holds, unmounts (detaches it if it is in use), ends and joins the
 * threads, frees loop and session. A second signal cuts the write-back short.
 */
void server_wait_end(struct server *srv, int signal_fd);

#endif
