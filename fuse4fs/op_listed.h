/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the kernel shall cache listings, and open directories without asking.
 *
 * Both come with one answer, ENOSYS to OPENDIR, and for good: a directory is then opened
 * without a request, and every listing fills the kernel's cache. That makes later listings
 * free of requests, but the one that fills it half as fast, because the kernel looks up a page
 * for every entry it keeps: it costs what two or three cached ones save. So the answer is put
 * off until somebody opens a directory that was listed LISTED_OFTEN times, or there have been
 * LISTED_MAX listings: who lists one large directory now and then, to copy or to count, does
 * not pay for a cache, and who walks trees does not pay for requests.
 */
#ifndef FUSE4FS_OP_LISTED_H
#define FUSE4FS_OP_LISTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { LISTED_MAX = 16, LISTED_OFTEN = 3 };

/* Zeros to start with. Safe from several threads; losing a listing does no harm. */
struct op_listed {
	atomic_uint n;				/* listings begun, also those not kept */
	_Atomic uint32_t ino[LISTED_MAX];	/* [atomic] 0: not yet */
};

void op_listed_add(struct op_listed *l, uint32_t ino);	/* a listing of ino begins */
/* A directory is opened: should listings be cached from now on? */
bool op_listed_enough(struct op_listed *l, uint32_t ino);

#endif
