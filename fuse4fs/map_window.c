// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks reserved ahead of growing files, see map_window.h. */
#include "map_window.h"

static void give_back(struct fs *fs, const struct prealloc *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (w[i].len)
			balloc_unreserve(fs, w[i].pblk, w[i].len);
}

static void enlist(struct fs *fs, struct map_cache *mc)
{
	mutex_lock(&fs->super_lock);
	if (!fs->windows.next)
		list_init(&fs->windows);
	list_push(&fs->windows, &mc->windows_node);
	mc->enlisted = true;
	mutex_unlock(&fs->super_lock);
}

/* Moves all windows to w and takes the file off the list. */
static void empty(struct map_cache *mc, struct prealloc w[MAP_WINDOWS])
{
	memcpy(w, mc->window, sizeof(mc->window));
	memset(mc->window, 0, sizeof(mc->window));
	list_unlink(&mc->windows_node);
	mc->enlisted = false;
}

void map_discard_prealloc(struct inode *inode)
{
	struct map_cache *mc = inode->map;
	struct prealloc w[MAP_WINDOWS];
	bool any;

	if (!mc)
		return;
	mutex_lock(&inode->fs->super_lock);
	any = mc->enlisted;
	if (any)
		empty(mc, w);
	mutex_unlock(&inode->fs->super_lock);
	if (any)
		give_back(inode->fs, w, MAP_WINDOWS);
}

/* One file's windows; false: no file is left that has some and is not locked. */
static bool reclaim_one(struct fs *fs) NO_TSA
{
	struct prealloc w[MAP_WINDOWS];
	bool found = false;

	mutex_lock(&fs->super_lock);
	for (struct list *l = fs->windows.next; l && l != &fs->windows && !found; l = l->next) {
		struct map_cache *mc = container_of(l, struct map_cache, windows_node);

		/* Only tried: super_lock comes after inode->lock. */
		if (!rwlock_trywrite(&mc->inode->lock))
			continue;
		empty(mc, w);
		rwlock_write_unlock(&mc->inode->lock);
		found = true;
		break;
	}
	mutex_unlock(&fs->super_lock);
	if (found)
		give_back(fs, w, MAP_WINDOWS);
	return found;
}

void map_window_reclaim(struct fs *fs)
{
	while (reclaim_one(fs))
		;
}

void map_window_keep(struct inode *inode, struct map_cache *mc, uint32_t lblk, uint64_t pblk,
		     uint32_t len)
{
	struct prealloc *least = &mc->window[0], w = { lblk, len, pblk };

	if (len == 0)
		return;
	for (unsigned i = 1; i < MAP_WINDOWS; i++)
		if (mc->window[i].len < least->len)
			least = &mc->window[i];
	if (least->len >= len) {
		give_back(inode->fs, &w, 1);
		return;
	}
	give_back(inode->fs, least, 1);
	*least = w;
	if (!mc->enlisted)
		enlist(inode->fs, mc);
}

bool map_window_take(struct inode *inode, struct map_cache *mc, uint32_t lblk, uint32_t want,
		     uint64_t *ret_pblk, uint32_t *ret_len)
{
	for (unsigned i = 0; i < MAP_WINDOWS; i++) {
		struct prealloc w = mc->window[i];
		uint32_t before = lblk - w.lblk, n;

		if (lblk < w.lblk || before >= w.len)
			continue;
		n = MIN(want, w.len - before);
		mc->window[i].len = 0;
		map_window_keep(inode, mc, w.lblk, w.pblk, before);
		map_window_keep(inode, mc, lblk + n, w.pblk + before + n, w.len - before - n);
		*ret_pblk = w.pblk + before;
		*ret_len = n;
		return true;
	}
	return false;
}

uint32_t map_window_room(const struct map_cache *mc, uint32_t lblk, uint32_t want)
{
	for (unsigned i = 0; i < MAP_WINDOWS; i++) {
		const struct prealloc *w = &mc->window[i];

		if (w->len && w->lblk > lblk && w->lblk - lblk < want)
			want = w->lblk - lblk;
	}
	return want;
}
