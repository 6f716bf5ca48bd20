/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the last mount left undone: truncates to finish, unlinked inodes to delete.
 *
 * The list is worked off from its head, and each step takes the head out of it, so a
 * damaged chain cannot hold us: an inode met again is free by then, or ends the chain
 * with its cleared dtime. Whatever does not look like an orphan stops the list (a slot
 * of the file is only skipped) and is left to e2fsck.
 */
#include <errno.h>

#include "file.h"
#include "group.h"
#include "inode_int.h"
#include "orphan_int.h"
#include "super.h"

struct totals {
	unsigned deleted, truncated;
};

static int not_an_orphan(struct fs *fs, uint32_t ino, const char *why)
{
	return fs_error(fs, -EUCLEAN, ino, 0, "orphan inode %u: %s", ino, why);
}

/* Only numbers whose bitmap says that they are in use. */
static int get_orphan(struct fs *fs, uint32_t ino, struct inode **ret)
{
	int err;

	if (ino < fs->first_ino || ino > fs->inodes_count)
		return not_an_orphan(fs, ino, "no such inode");
	err = ialloc_in_use(fs, ino);
	if (err < 0)
		return err;
	if (err == 0)
		return not_an_orphan(fs, ino, "it is free");
	err = inode_get_allow(fs, ino, INODE_ALLOW_INTERNAL | INODE_ALLOW_UNLINKED, ret);
	return err == -ESTALE ? not_an_orphan(fs, ino, "it is unused") : err;
}

static int remove_orphan(struct inode *inode)
{
	struct handle h;
	int err, end;

	rwlock_write(&inode->lock);
	err = inode_begin(inode, ORPHAN_CREDITS, &h);
	if (err) {
		rwlock_write_unlock(&inode->lock);
		return err;
	}
	err = orphan_del(&h, inode);
	end = txn_stop(&h);
	rwlock_write_unlock(&inode->lock);
	return err ? err : end;
}

static int finish_truncate(struct inode *inode)
{
	int err = file_truncate(inode, inode->size);

	/* Usually file_truncate has done that too. */
	return err ? err : remove_orphan(inode);
}

/* Takes over the caller's reference. */
static int process_one(struct inode *inode, uint32_t slot, struct totals *totals)
{
	struct fs *fs = inode->fs;
	bool unlinked = inode->nlink == 0;
	uint32_t ino = inode->ino;
	int err = 0;

	if (!unlinked && !S_ISREG(inode->mode))
		err = not_an_orphan(fs, ino, "it has links and is no file to truncate");
	else if (!orphan_adopt(fs->orphans, inode, slot))
		err = not_an_orphan(fs, ino, "listed twice");
	else if (!unlinked)
		err = finish_truncate(inode);
	if (err || !unlinked)
		inode_put(inode);
	else
		err = inode_put_delete(inode);
	if (err == 0 && unlinked)
		totals->deleted++;
	else if (err == 0)
		totals->truncated++;
	return err;
}

static int process_list(struct fs *fs, struct totals *totals)
{
	uint32_t ino, before = 0;

	for (uint32_t n = 0; n < fs->inodes_count; n++) {
		struct inode *inode;
		int err;

		ino = super_last_orphan(fs);
		if (ino == 0)
			return 0;
		if (ino == before)
			break;
		before = ino;
		err = get_orphan(fs, ino, &inode);
		if (!err)
			err = process_one(inode, ORPHAN_ON_LIST, totals);
		if (err)
			return err;
	}
	return not_an_orphan(fs, before, "the list does not end");
}

/* The slots as they were: processing changes the block. */
static int copy_slots(struct orphans *o, uint32_t block, uint32_t *slots)
{
	AUTOBUF buf = NULL;
	int err = orphan_file_read(o, block, &buf);

	if (err)
		return fs_error(o->fs, err, 0, o->blocks[block].pblk,
				"cannot read orphan file block");
	memcpy(slots, buf->data, o->nslots * sizeof(*slots));
	return 0;
}

static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -ESTALE;
}

static int process_block(struct orphans *o, uint32_t block, uint32_t *slots,
			 struct totals *totals)
{
	struct orphan_block *ob = &o->blocks[block];
	int err = copy_slots(o, block, slots);

	if (err)
		return is_damage(err) ? 0 : err;
	/* All count before one is removed: what stays keeps orphan_present alive. */
	for (uint32_t i = 0; i < o->nslots; i++)
		ob->used += slots[i] != 0;
	for (uint32_t i = 0; i < o->nslots; i++) {
		uint32_t ino = le32toh(slots[i]);
		struct inode *inode;

		if (!ino)
			continue;
		err = get_orphan(o->fs, ino, &inode);
		if (!err)
			err = process_one(inode, block * o->nslots + i, totals);
		if (err && !is_damage(err))
			return err;
	}
	return 0;
}

/* The file is read run by run. */
static void prefetch(struct orphans *o)
{
	enum { AT_ONCE = 32 };
	uint32_t len;

	for (uint32_t i = 0; i < o->nblocks; i += len) {
		uint64_t pblk = o->blocks[i].pblk;

		for (len = 1; len < AT_ONCE && i + len < o->nblocks; len++)
			if (o->blocks[i + len].pblk != pblk + len)
				break;
		cache_prefetch(o->fs->cache, pblk, len);
	}
}

static int process_file(struct orphans *o, struct totals *totals)
{
	AUTOFREE uint32_t *slots = calloc(o->nslots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	prefetch(o);
	for (uint32_t i = 0; i < o->nblocks; i++) {
		int err = process_block(o, i, slots, totals);

		if (err)
			return err;
	}
	return 0;
}

int orphan_process(struct fs *fs)
{
	struct orphans *o = fs->orphans;
	struct totals totals = { 0 };
	int err;

	if (fs->opt.readonly)
		return 0;
	err = process_list(fs, &totals);
	if ((!err || is_damage(err)) && o->nblocks &&
	    ext2fs_has_feature_orphan_present(fs->e2->super))
		err = process_file(o, &totals);
	if (totals.deleted || totals.truncated)
		fs_log(fs, FS_LOG_INFO, "orphans: %u deleted, %u truncated", totals.deleted,
		       totals.truncated);
	/* With errors=remount-ro damage stops us halfway; reading is still possible. */
	return is_damage(err) || err == -EROFS ? 0 : err;
}
