/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flushes of one device by several callers who depend on one another.
 *
 * A device tells of a lost write once, to whoever flushes next: fdatasync(2) does so for each
 * open file. With this in dev->flushes all callers hear of it: those who flush at the same
 * time, and everybody afterwards, for what was lost does not come back.
 */
#ifndef TRANSPORT_FLUSHES_H
#define TRANSPORT_FLUSHES_H

#include "blkdev.h"

struct flushes;

/* NULL: no memory. To be put into dev->flushes before the device is used, by one owner. */
struct flushes *flushes_new(void);
/* No flush is under way. NULL is a no-op. */
void flushes_free(struct flushes *f);

/*
 * Calls dev->ops->flush. Returns its result, once it is noted; shared: 0 only when no flush
 * that ran at the same time or ended before has failed, else the first error of all.
 * Blocks: for the device, and shared for the flushes that ran when its own ended.
 */
int flushes_run(struct flushes *f, struct blkdev *dev, bool shared);

#endif
