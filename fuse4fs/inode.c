/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inodes come into being, go to the table, are locked together and made durable.
 *
 * The table block is shared by many inodes: whoever changes one inode's bytes in it
 * holds that inode's slot lock (inode_int.h) from the first byte to the checksum.
 */
#include <errno.h>
#include <sys/random.h>

#include "csum.h"
#include "group.h"
#include "inode_int.h"
#include "map.h"
#include "super.h"
#include "xattr.h"

/* What a new inode takes over from its directory, and of that by type. */
enum {
	INHERITED = EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | EXT2_SYNC_FL |
		EXT2_NODUMP_FL | EXT2_NOATIME_FL | EXT2_NOCOMPR_FL | EXT3_JOURNAL_DATA_FL |
		EXT2_NOTAIL_FL | EXT2_DIRSYNC_FL | EXT4_PROJINHERIT_FL | FS_DAX_FL,
	NOT_FOR_FILES = EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | EXT4_PROJINHERIT_FL,
	FOR_OTHERS = EXT2_NODUMP_FL | EXT2_NOATIME_FL,
};

static uint32_t inherited_flags(uint32_t parent_flags, uint16_t mode)
{
	uint32_t flags = parent_flags & INHERITED;

	if (S_ISDIR(mode))
		return flags;
	return S_ISREG(mode) ? flags & ~NOT_FOR_FILES : flags & FOR_OTHERS;
}

/* Makes stale handles of the number's earlier lives fail; need not be secret. */
static uint32_t random_generation(uint32_t ino)
{
	struct timespec now;
	uint32_t gen;

	if (getrandom(&gen, sizeof(gen), GRND_NONBLOCK) == sizeof(gen))
		return gen;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)now.tv_nsec * UINT32_C(2654435761) ^ (uint32_t)now.tv_sec ^ ino;
}

/* An empty body: inline where that is possible, else an empty map. */
static void init_content(struct inode *inode)
{
	struct fs *fs = inode->fs;
	bool mapped = S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISLNK(inode->mode);

	if (fs->has_inline_data && (S_ISREG(inode->mode) || S_ISDIR(inode->mode)) &&
	    xattr_ibody_data_set(inode, "", 0, false) == 0) {
		inode->flags |= EXT4_INLINE_DATA_FL;
		return;
	}
	if (!mapped)
		return;
	if (fs->has_extents)
		inode->flags |= EXT4_EXTENTS_FL;
	map_init(inode);
}

static void init_new(struct inode *inode, const struct inode *parent, uint16_t mode,
		     uint32_t uid, uint32_t gid)
{
	struct fs *fs = inode->fs;

	inode->mode = mode;
	inode->type = mode & S_IFMT;
	inode->uid = uid;
	inode->gid = gid;
	inode->gen = random_generation(inode->ino);
	inode->csum_seed = csum_inode_seed(fs, inode->ino, inode->gen);
	inode->version = 1;
	inode->flags = inherited_flags(parent ? parent->flags : 0, mode);
	inode->atime = inode->mtime = inode->ctime = inode->crtime = fs_now();
	if (fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE)
		put_le16(inode->raw + offsetof(struct ext2_inode_large, i_extra_isize),
			 fs->want_extra_isize);
	init_content(inode);
}

int inode_new(struct handle *h, struct inode *parent, uint16_t mode, uint32_t uid,
	      uint32_t gid, struct inode **ret)
{
	struct inode *inode;
	uint32_t ino;
	int err = ialloc_new(h, parent, S_ISDIR(mode), &ino);

	if (err)
		return err;
	inode = inode_alloc(h->fs, ino);
	if (!inode) {
		ialloc_free(h, ino, S_ISDIR(mode));
		return -ENOMEM;
	}
	init_new(inode, parent, mode, uid, gid);
	err = inode_join(h, inode);
	if (err) {
		inode_free(inode);
		ialloc_free(h, ino, S_ISDIR(mode));
		return err;
	}
	rwlock_write_unshared(&inode->lock);
	err = inode_hash_new(inode);
	if (err) {
		/* The number stays taken, so that it is not tried again. */
		rwlock_write_unlock(&inode->lock);
		inode_free(inode);
		return fs_error(h->fs, err, ino, 0, "inode is free in its bitmap but in use");
	}
	*ret = inode;
	return 0;
}

void inode_abandon_new(struct handle *h, struct inode *inode)
{
	bool stored = inode->has_sync_tid;
	int err = 0;

	if (stored) {
		inode->nlink = 0;
		inode->size = 0;
		inode->dtime = fs_now().tv_sec;
		err = inode_store(h, inode, false);
	}
	inode_unhash(inode);
	if (!err)
		err = ialloc_free(h, inode->ino, S_ISDIR(inode->mode));
	if (err)
		fs_error(h->fs, err, inode->ino, 0, "cannot give back a new inode");
	rwlock_write_unlock(&inode->lock);
	inode_put(inode);
}

/* The inode's table block, dirtied in h, and the inode's bytes in it. */
static int dirty_slot(struct handle *h, struct inode *inode, struct buf **ret_buf,
		      uint8_t **ret_bytes)
{
	struct fs *fs = h->fs;
	AUTOBUF buf = NULL;
	uint64_t pblk;
	uint32_t off;
	int err = group_inode_loc(fs, inode->ino, &pblk, &off);

	if (err)
		return err;
	err = cache_read(fs->cache, pblk, BUF_RAW, 0, &buf);
	if (err)
		return fs_error(fs, err, inode->ino, pblk, "cannot read inode table");
	err = txn_dirty(h, buf);
	if (err)
		return err;
	*ret_bytes = buf->data + off;
	*ret_buf = buf;
	buf = NULL;
	return 0;
}

int inode_join(struct handle *h, struct inode *inode)
{
	AUTOBUF buf = NULL;
	uint8_t *bytes;

	return dirty_slot(h, inode, &buf, &bytes);
}

int inode_begin(struct inode *inode, unsigned credits, struct handle *h)
{
	int err = txn_begin(inode->fs, credits, h);

	if (err)
		return err;
	err = inode_join(h, inode);
	if (err)
		txn_stop(h);
	return err;
}

static void note_tid(struct handle *h, struct inode *inode, bool datasync)
{
	inode->sync_tid = h->tid;
	if (datasync || !inode->has_sync_tid)
		inode->datasync_tid = h->tid;
	inode->has_sync_tid = true;
}

/* Files over 2 GiB are what the feature is about. */
static int note_large_file(struct handle *h, const struct inode *inode)
{
	if (!S_ISREG(inode->mode) || inode->size <= INT32_MAX ||
	    ext2fs_has_feature_large_file(h->fs->e2->super))
		return 0;
	return super_set_feature(h, 0, 0, EXT2_FEATURE_RO_COMPAT_LARGE_FILE);
}

int inode_store(struct handle *h, struct inode *inode, bool datasync)
{
	struct fs *fs = h->fs;
	struct mutex *slot = inode_slot_lock(fs, inode->ino);
	AUTOBUF buf = NULL;
	uint8_t *bytes;
	int err = inode_encode(inode);

	if (err)
		return fs_error(fs, err, inode->ino, 0, "block count of the inode overflows");
	err = note_large_file(h, inode);
	if (err)
		return err;
	err = dirty_slot(h, inode, &buf, &bytes);
	if (err)
		return err;
	mutex_lock(slot);
	put_le32(inode->raw + offsetof(struct ext2_inode, i_dtime), inode->dtime);
	memcpy(bytes, inode->raw, fs->inode_size);
	csum_inode_seal(fs, inode->csum_seed, inode->ino, bytes);
	mutex_unlock(slot);
	note_tid(h, inode, datasync);
	return 0;
}

int inode_store_dtime(struct handle *h, struct inode *inode, uint32_t dtime)
{
	struct mutex *slot = inode_slot_lock(h->fs, inode->ino);
	AUTOBUF buf = NULL;
	uint8_t *bytes;
	int err = dirty_slot(h, inode, &buf, &bytes);

	if (err)
		return err;
	mutex_lock(slot);
	inode->dtime = dtime;
	put_le32(bytes + offsetof(struct ext2_inode, i_dtime), dtime);
	csum_inode_seal(h->fs, inode->csum_seed, inode->ino, bytes);
	mutex_unlock(slot);
	return 0;
}

enum { LOCK_MANY_MAX = 4 };

/* Ascending by number, without NULLs and duplicates. Returns how many. */
static unsigned sort_inodes(struct inode **inodes, unsigned n,
			    struct inode *sorted[LOCK_MANY_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < n && i < LOCK_MANY_MAX; i++) {
		unsigned at = 0;

		if (!inodes[i])
			continue;
		while (at < count && sorted[at]->ino < inodes[i]->ino)
			at++;
		if (at < count && sorted[at] == inodes[i])
			continue;
		memmove(&sorted[at + 1], &sorted[at], (count - at) * sizeof(*sorted));
		sorted[at] = inodes[i];
		count++;
	}
	return count;
}

void inode_lock_many(struct inode **inodes, unsigned n)
{
	struct inode *sorted[LOCK_MANY_MAX + 1];
	unsigned count = sort_inodes(inodes, n, sorted);

	for (unsigned i = 0; i < count; i++)
		rwlock_write(&sorted[i]->lock);
}

void inode_unlock_many(struct inode **inodes, unsigned n)
{
	struct inode *sorted[LOCK_MANY_MAX + 1];
	unsigned count = sort_inodes(inodes, n, sorted);

	for (unsigned i = count; i-- > 0;)
		rwlock_write_unlock(&sorted[i]->lock);
}

int inode_sync(struct inode *inode, bool datasync)
{
	struct fs *fs = inode->fs;
	bool changed;
	uint32_t tid;
	int err = fs_may_read(fs);

	if (err || fs->opt.readonly)
		return err;
	rwlock_read(&inode->lock);
	changed = inode->has_sync_tid;
	tid = datasync ? inode->datasync_tid : inode->sync_tid;
	rwlock_read_unlock(&inode->lock);
	/* File data overwritten in place needs the device flushed all the same. */
	return changed ? txn_force(fs, tid, true) : txn_flush(fs);
}

int inode_sync_if_wanted(struct inode *inode)
{
	bool wanted;

	rwlock_read(&inode->lock);
	wanted = inode_wants_sync(inode);
	rwlock_read_unlock(&inode->lock);
	return wanted ? inode_sync(inode, false) : 0;
}
