/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bottom of the device stack for an image on an SSH server; for device.c. */
#ifndef FUSE4FS_DEVICE_REMOTE_H
#define FUSE4FS_DEVICE_REMOTE_H

#include "device.h"

struct device_remote;

/* Whether the image is on another machine. */
bool device_remote_is(const char *image);

/*
 * device_remote_open - log in, open the image there, take its lock
 *
 * ret       the device
 * ret_more  what it needs to live: device_remote_free after it has been closed
 * why       on failure one sentence for the user
 *
 * Asks on the terminal where the server wants an answer. Starts a thread. Errors: those of
 * sshurl_parse, stream_ssh_open, stream_cmd_new and sftp_dev_open.
 */
int device_remote_open(const struct device_options *opt, struct blkdev **ret,
		       struct device_remote **ret_more, char *why, size_t why_len);
/* Whether programs are started to log in again: ssh_command=, a ProxyCommand. */
bool device_remote_programs(const struct device_remote *r);
/* NULL is a no-op. */
void device_remote_free(struct device_remote *r);

#endif
