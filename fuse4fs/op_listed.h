/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the kernel shall cache listings, and open directories without asking.
 *
 * Both come with one answer, ENOSYS to OPENDIR, and for good: a directory is then opened
 * without a request, and every listing fills the kernel's cache. That makes later listings
 * free of requests, but the one that fills it half as fast, because the kernel looks up a page
 * for every entry it keeps. Where there are many entries and few requests it takes six more
 * listings to win that back. So the answer is put off until somebody opens a directory that was
 * listed LISTED_OFTEN times, or there have been LISTED_MAX listings, and those of large
 * directories do not count: who lists one again and again, to copy or to count, does not pay for
 * a cache, and who walks trees does not pay for requests.
 */
#ifndef FUSE4FS_OP_LISTED_H
#define FUSE4FS_OP_LISTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	LISTED_MAX = 16,
	LISTED_OFTEN = 3,
	LISTED_LARGE = 128 * 1024,	/* bytes; some thousand entries */
};

/* Zeros to start with. Safe from several threads; losing a listing does no harm. */
struct op_listed {
	atomic_uint n;				/* listings begun, also those not kept */
	_Atomic uint32_t ino[LISTED_MAX];	/* [atomic] 0: not yet */
};

/* A listing of ino begins, a directory of size bytes. */
void op_listed_add(struct op_listed *l, uint32_t ino, uint64_t size);
/* Would one more count? */
bool op_listed_wanted(const struct op_listed *l);
/* A directory is opened: should listings be cached from now on? */
bool op_listed_enough(struct op_listed *l, uint32_t ino);

#endif
