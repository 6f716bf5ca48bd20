/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flushes that tell each other; see flushes.h.
 *
 * Of two that run at the same time either may be the one that hears of a loss, whichever
 * began or ended first. So a good one waits, without the lock, until all that were under way
 * when it ended have ended too. Those that begin later cannot hear of what it covered.
 */
#include <stdlib.h>

#include "flushes.h"
#include "fuse4fs/lock.h"
#include "fuse4fs/util.h"

struct flushes {
	struct mutex lock;
	struct cond ended;
	struct list running;	/* [lock] struct flight, oldest first */
	uint64_t started;	/* [lock] */
	int error;		/* [lock] the first, for good; or 0 */
};

/* A flush under way, on its caller's stack. */
struct flight {
	struct list node;
	uint64_t number;
};

struct flushes *flushes_new(void)
{
	struct flushes *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	mutex_init(&f->lock);
	cond_init(&f->ended);
	list_init(&f->running);
	return f;
}

void flushes_free(struct flushes *f)
{
	if (!f)
		return;
	mutex_fini(&f->lock);
	cond_fini(&f->ended);
	free(f);
}

/* Whether one of the first n is under way. */
static bool any_running(const struct flushes *f, uint64_t n) REQUIRES(f->lock)
{
	return !list_empty(&f->running) &&
	       container_of(f->running.next, struct flight, node)->number <= n;
}

int flushes_run(struct flushes *f, struct blkdev *dev, bool shared)
{
	struct flight own;
	uint64_t before;
	int err;

	mutex_lock(&f->lock);
	own.number = ++f->started;
	list_push(&f->running, &own.node);
	mutex_unlock(&f->lock);
	err = dev->ops->flush(dev);
	mutex_lock(&f->lock);
	list_unlink(&own.node);
	if (!f->error)
		f->error = err;
	cond_broadcast(&f->ended);
	before = f->started;
	while (shared && !f->error && any_running(f, before))
		cond_wait(&f->ended, &f->lock);
	if (shared && f->error)
		err = f->error;
	mutex_unlock(&f->lock);
	return err;
}
