/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FORGETs that are carried out when nobody waits for an answer.
 *
 * The kernel sends one for each inode that it drops, right before the next request of who made
 * it drop that: rm deletes file after file, and would wait for each end of the one before.
 * So it is put off until the queue is empty; that is soon, and some are enough for that. The
 * count of references only stays higher for a moment, as if the kernel had sent it later.
 */
#ifndef FUSE4FS_OP_FORGET_H
#define FUSE4FS_OP_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "lock.h"

struct server;

enum { OP_FORGETS_MAX = 64 };

struct op_forgets {
	struct mutex lock;
	unsigned head, tail;	/* [lock] free-running; [tail, head) wait */
	struct {
		uint32_t ino;
		uint64_t count;
	} ring[OP_FORGETS_MAX];	/* [lock] */
};

void op_forgets_init(struct op_forgets *f);
void op_forgets_fini(struct op_forgets *f);
/* Carries out the oldest one. False: there is none. */
bool op_forgets_do_one(struct server *srv);
/* All that have been put off so far. */
void op_forgets_finish(struct server *srv);

#endif
