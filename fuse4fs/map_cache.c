// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recent runs of one file. An unsorted array of disjoint runs: searching sixteen of
 * them costs less than keeping an order.
 */
#include "map_cache.h"

static uint64_t run_end(const struct run *r)
{
	return (uint64_t)r->lblk + r->len;
}

struct map_cache *map_cache_of(struct inode *inode)
{
	struct map_cache *mc = __atomic_load_n(&inode->map, __ATOMIC_ACQUIRE), *old = NULL;

	if (mc)
		return mc;
	mc = calloc(1, sizeof(*mc));
	if (!mc)
		return NULL;
	mutex_init(&mc->lock);
	mc->inode = inode;
	list_init(&mc->claims);
	list_init(&mc->windows_node);
	cond_init(&mc->unclaimed);
	if (__atomic_compare_exchange_n(&inode->map, &old, mc, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return mc;
	/* Another reader of this inode was faster. */
	cond_fini(&mc->unclaimed);
	mutex_fini(&mc->lock);
	free(mc);
	return old;
}

void map_cache_free(struct inode *inode)
{
	struct map_cache *mc = inode->map;

	if (!mc)
		return;
	map_discard_prealloc(inode);
	cond_fini(&mc->unclaimed);
	mutex_fini(&mc->lock);
	free(mc);
	inode->map = NULL;
}

bool map_cache_find(struct inode *inode, uint32_t lblk, struct run *ret_run)
{
	struct map_cache *mc = map_cache_of(inode);
	bool found = false;

	if (!mc)
		return false;
	mutex_lock(&mc->lock);
	for (unsigned i = 0; i < mc->nruns && !found; i++) {
		const struct run *r = &mc->runs[i];

		found = r->lblk <= lblk && lblk < run_end(r);
		if (found)
			*ret_run = *r;
	}
	mutex_unlock(&mc->lock);
	return found;
}

static void drop_at(struct map_cache *mc, unsigned i)
{
	mc->runs[i] = mc->runs[--mc->nruns];
}

static void put_run(struct map_cache *mc, const struct run *run)
{
	if (mc->nruns < MAP_CACHE_RUNS) {
		mc->runs[mc->nruns++] = *run;
		return;
	}
	mc->runs[mc->victim] = *run;
	mc->victim = (mc->victim + 1) % MAP_CACHE_RUNS;
}

static struct run part(const struct run *r, uint64_t lblk, uint64_t end)
{
	uint64_t pblk = r->flags & RUN_HOLE ? 0 : r->pblk + (lblk - r->lblk);

	return (struct run) { lblk, end - lblk, pblk, r->flags };
}

static void cut_locked(struct map_cache *mc, uint64_t lblk, uint64_t end)
{
	for (unsigned i = 0; i < mc->nruns;) {
		struct run r = mc->runs[i];

		if (run_end(&r) <= lblk || r.lblk >= end) {
			i++;
		} else if (r.lblk < lblk) {
			mc->runs[i++] = part(&r, r.lblk, lblk);
			if (run_end(&r) > end && mc->nruns < MAP_CACHE_RUNS)
				mc->runs[mc->nruns++] = part(&r, end, run_end(&r));
		} else if (run_end(&r) > end) {
			mc->runs[i++] = part(&r, end, run_end(&r));
		} else {
			drop_at(mc, i);
		}
	}
}

void map_cache_cut(struct inode *inode, uint64_t lblk, uint64_t end)
{
	struct map_cache *mc = map_cache_of(inode);

	if (!mc)
		return;
	mutex_lock(&mc->lock);
	cut_locked(mc, lblk, end);
	mutex_unlock(&mc->lock);
}

static bool continues(const struct run *a, const struct run *b)
{
	return run_end(a) == b->lblk && a->flags == b->flags &&
	       ((a->flags & RUN_HOLE) || a->pblk + a->len == b->pblk);
}

void map_cache_add(struct inode *inode, const struct run *run)
{
	struct map_cache *mc = map_cache_of(inode);
	struct run all = *run;

	if (!mc)
		return;
	mutex_lock(&mc->lock);
	cut_locked(mc, run->lblk, run_end(run));
	for (unsigned i = 0; i < mc->nruns;) {
		struct run r = mc->runs[i];

		if (continues(&r, &all)) {
			r.len += all.len;
			all = r;
			drop_at(mc, i);
		} else if (continues(&all, &r)) {
			all.len += r.len;
			drop_at(mc, i);
		} else {
			i++;
		}
	}
	put_run(mc, &all);
	mutex_unlock(&mc->lock);
}

void map_cache_drop(struct inode *inode)
{
	if (__atomic_load_n(&inode->map, __ATOMIC_ACQUIRE))
		map_cache_cut(inode, 0, UINT64_MAX);
}
