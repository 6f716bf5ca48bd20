/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orphans while the file system is in use.
 *
 * The list is chained on disk: s_last_orphan names the youngest, each one's i_dtime the
 * next older, 0 ends it. To take one out of the middle the younger neighbour's i_dtime
 * changes, so the chain is kept in core too. A file system with the orphan_file feature
 * has slots in a file instead (orphan_file.c), which do not meet in the superblock; the
 * list is what remains when they are full.
 */
#include <errno.h>

#include "inode_int.h"
#include "orphan_int.h"
#include "super.h"

int orphan_open(struct fs *fs, struct orphans **ret)
{
	struct orphans *o = calloc(1, sizeof(*o));
	int err = 0;

	if (!o)
		return -ENOMEM;
	o->fs = fs;
	mutex_init(&o->lock);
	list_init(&o->list);
	if (fs->has_orphan_file && !fs->opt.readonly)
		err = orphan_file_open(o);
	if (err) {
		mutex_fini(&o->lock);
		free(o->blocks);
		free(o);
		return err;
	}
	*ret = o;
	return 0;
}

static int clear_present(struct fs *fs)
{
	struct handle h;
	int err, end;

	err = txn_begin(fs, ORPHAN_CREDITS, &h);
	if (err)
		return err;
	err = super_clear_feature(&h, 0, 0, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
	end = txn_stop(&h);
	return err ? err : end;
}

void orphan_close(struct orphans *o)
{
	if (!o)
		return;
	/* A failure leaves the flag: the next mount looks into an empty file. */
	if (o->nblocks && !fs_may_write(o->fs) && orphan_file_empty(o))
		(void)clear_present(o->fs);
	mutex_fini(&o->lock);
	free(o->blocks);
	free(o);
}

bool orphan_adopt(struct orphans *o, struct inode *inode, uint32_t slot)
{
	bool fresh;

	mutex_lock(&o->lock);
	fresh = !inode->orphan;
	if (fresh) {
		inode->orphan = true;
		atomic_fetch_add(&inode->fs->doomed, 1);
		inode->orphan_slot = slot;
		if (slot == ORPHAN_ON_LIST)
			list_add_before(o->list.next, &inode->orphan_node);
	}
	mutex_unlock(&o->lock);
	return fresh;
}

static int list_add(struct orphans *o, struct handle *h, struct inode *inode)
	REQUIRES(o->lock)
{
	int err = inode_store_dtime(h, inode, super_last_orphan(h->fs));

	if (!err)
		err = super_set_last_orphan(h, inode->ino);
	if (err)
		return err;
	inode->orphan_slot = ORPHAN_ON_LIST;
	list_add_before(o->list.next, &inode->orphan_node);
	return 0;
}

static int list_del(struct orphans *o, struct handle *h, struct inode *inode)
	REQUIRES(o->lock)
{
	struct list *younger = inode->orphan_node.prev;
	int err;

	if (younger == &o->list)
		err = super_set_last_orphan(h, inode->dtime);
	else
		err = inode_store_dtime(h, container_of(younger, struct inode, orphan_node),
					inode->dtime);
	if (!err)
		err = inode_store_dtime(h, inode, 0);
	if (!err)
		list_unlink(&inode->orphan_node);
	return err;
}

int orphan_add(struct handle *h, struct inode *inode)
{
	struct orphans *o = h->fs->orphans;
	int err = 0;

	mutex_lock(&o->lock);
	if (!inode->orphan) {
		err = orphan_file_add(o, h, inode);
		if (err == -ENOSPC)
			err = list_add(o, h, inode);
		inode->orphan = !err;
		if (!err) {
			atomic_fetch_add(&h->fs->doomed, 1);
			atomic_store(&h->fs->doomed_sec, fs_now().tv_sec);
		}
	}
	mutex_unlock(&o->lock);
	return err;
}

int orphan_del(struct handle *h, struct inode *inode)
{
	struct orphans *o = h->fs->orphans;
	int err = 0;

	mutex_lock(&o->lock);
	if (inode->orphan) {
		if (inode->orphan_slot == ORPHAN_ON_LIST)
			err = list_del(o, h, inode);
		else
			err = orphan_file_del(o, h, inode);
		inode->orphan = err != 0;
		if (!err)
			atomic_fetch_sub(&h->fs->doomed, 1);
	}
	mutex_unlock(&o->lock);
	return err;
}
