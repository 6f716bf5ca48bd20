/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of write-back, told to the writer at its next write(2).
 *
 * With the write-back cache the kernel takes every write into memory and asks us only
 * later; when that fails it remembers the error for fsync(2) and close(2), but goes on
 * taking writes, so that a program filling the disk would never stop. A cached write(2)
 * does ask for attributes first when they were invalidated, naming its open file, and hands
 * on what that request fails with. So a failed write-back invalidates the attributes, and the
 * first request of that kind gets the error, once: the next write(2) fails, the one
 * after it is taken again. stat(2) and fstat(2) never name a file and see nothing of this.
 *
 * A bounded table: an error that finds no slot is still reported by fsync and close.
 */
#include "op.h"

#include <errno.h>

static _Atomic uint64_t *slot_of(struct server *srv, uint32_t ino)
{
	return &srv->late[ino % SERVER_LATE_SLOTS];
}

void op_late_note(struct server *srv, fuse_ino_t nodeid, uint32_t ino, int err)
{
	if (err != -ENOSPC && err != -EFBIG)
		return;
	atomic_store(slot_of(srv, ino), (uint64_t)ino << 32 | (uint32_t)-err);
	fuse_lowlevel_notify_inval_inode(srv->se, nodeid, -1, 0);
}

int op_late_take(struct server *srv, uint32_t ino)
{
	_Atomic uint64_t *slot = slot_of(srv, ino);
	uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);

	if (seen >> 32 != ino || !seen)
		return 0;
	return atomic_compare_exchange_strong(slot, &seen, 0) ? -(int)(uint32_t)seen : 0;
}
