/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server and its monitor say to each other: datagrams on a SOCK_SEQPACKET pair. */
#ifndef FUSE4FS_MONITOR_INT_H
#define FUSE4FS_MONITOR_INT_H

#include <limits.h>

enum request_kind { EXPECT, MOUNTED, LOG_LINE, SYNC, UNMOUNT, GOODBYE, CONFINE };

struct request {
	int kind;			/* enum request_kind */
	int arg;			/* priority, lazy, or detach */
	char text[PATH_MAX];		/* a path or a line; only its bytes are sent */
};

struct answer {
	int kind;			/* of the request */
	int err;
};

#endif
