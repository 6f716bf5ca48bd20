/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does anybody ask while a request waits for the device?
 *
 * Passing the lead on before a short read costs a wake-up before it and another one for the
 * next request, a tenth of what the read itself takes, and is in vain when the only client waits
 * for the answer. Each such read says whether it was, before it is answered: while others read
 * no request, or, where the lead was kept, none waits. A lead that should not have been kept costs
 * who waits a short read, or two of the deputy's ticks where it is not short. So the lead is kept
 * when passing it on was in vain for a while, and a few that waited are enough to end that.
 */
#ifndef FUSE4FS_LOOP_ALONE_H
#define FUSE4FS_LOOP_ALONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	ALONE_ENOUGH = 8,		/* score from which on the lead is kept */
	ALONE_MAX = 16,
	ALONE_MIN = -32,
	ALONE_COMPANY = -4,		/* what one request that waited counts */
	ALONE_SLOW_NS = 1000000,	/* a read that took longer is not short */
};

/* Zero to start with. Safe from several threads; a note that is lost does no harm. */
struct loop_alone {
	_Atomic int score;
};

static inline bool alone_keeps(const struct loop_alone *a)
{
	return atomic_load_explicit(&a->score, memory_order_relaxed) >= ALONE_ENOUGH;
}

/* A read was waited for: did nobody ask meanwhile? */
static inline void alone_note(struct loop_alone *a, bool was_alone)
{
	int score = atomic_load_explicit(&a->score, memory_order_relaxed);

	score += was_alone ? 1 : ALONE_COMPANY;
	score = score > ALONE_MAX ? ALONE_MAX : score;
	score = score < ALONE_MIN ? ALONE_MIN : score;
	atomic_store_explicit(&a->score, score, memory_order_relaxed);
}

/* The lead was kept through a read of so many nanoseconds. */
static inline void alone_note_time(struct loop_alone *a, uint64_t ns)
{
	if (ns > ALONE_SLOW_NS)
		atomic_store_explicit(&a->score, ALONE_MIN, memory_order_relaxed);
}

#endif
