/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The next part of a listing, made while the client takes in the last one.
 *
 * Who lists a large directory asks for one buffer after the other, and server and client wait
 * for each other in turn, half of the time each. So a worker that has sent a full buffer and
 * has nothing else to do makes the one after it. There is one for all: who loses it to another
 * listing has lost nothing. It is sent only if the directory has not changed since.
 */
#ifndef FUSE4FS_OP_AHEAD_H
#define FUSE4FS_OP_AHEAD_H

#include "lock.h"
#include "vfs.h"

enum { OP_AHEAD_MAX = 64 * 1024 };	/* larger buffers are for those who do not wait often */

/* READDIR's answer under construction. */
struct op_listing {
	char *buf;
	size_t size, used;
	bool plus;		/* of READDIRPLUS */
	bool full;		/* there was one entry more, at least */
	uint64_t next;		/* where to go on */
};

struct op_ahead {
	struct mutex lock;
	enum { AHEAD_NONE, AHEAD_WANTED, AHEAD_READY } state;	/* [lock] */
	uint32_t ino;		/* [lock] the directory; what READDIR says ... */
	uint64_t cookie;	/* [lock] ... where to begin */
	struct vfs *vfs;	/* [lock] */
	uint64_t listing;	/* [lock] READY: vfs_readdir_ahead's */
	struct op_listing answer;	/* [lock] of size bytes, in buf */
	char buf[OP_AHEAD_MAX];
};

/* An entry, as vfs_emit. Encodes it behind the others. */
bool op_listing_add(void *listing, const char *name, size_t len, uint32_t ino, mode_t type,
		    uint64_t next_cookie);

void op_ahead_init(struct op_ahead *a);
void op_ahead_fini(struct op_ahead *a);
/* An answer of size bytes is on its way, and it was full: from next on it will be asked for. */
void op_ahead_plan(struct op_ahead *a, struct vfs *v, uint32_t ino, size_t size, uint64_t next);
/* Is the answer ready? Copies it to *listing, whose buf has its size. */
bool op_ahead_take(struct op_ahead *a, uint32_t ino, uint64_t cookie, struct op_listing *listing);

#endif
