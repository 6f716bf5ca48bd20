/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The orphan file: blocks of inode numbers, a zero is a free slot.
 *
 * Its blocks are mapped once, at mount: the file never changes its size. A block ends in
 * a magic number and a checksum over its number and slots. The feature orphan_present
 * says that slots may be in use; without it nobody has to read the file.
 * Source: linux Documentation/filesystems/ext4/orphan.rst.
 */
#include <errno.h>

#include "inode_int.h"
#include "map.h"
#include "orphan_int.h"
#include "super.h"

/* Larger than mke2fs makes it (512 blocks of at most 64 KiB). */
enum { ORPHAN_FILE_MAX_BYTES = 32 << 20 };

static int damaged(struct fs *fs, uint32_t ino, uint64_t pblk, const char *what)
{
	return fs_error(fs, -EUCLEAN, ino, pblk, "orphan file: %s", what);
}

/* Writes down where the blocks are; holes are damage. */
static int map_blocks(struct orphans *o, struct inode *inode)
{
	struct run run;

	for (uint32_t i = 0; i < o->nblocks; i++) {
		int err = 0;

		if (i == 0 || i - run.lblk >= run.len)
			err = map_lookup(inode, i, &run);
		if (err)
			return err;
		if (run.flags)
			return damaged(o->fs, inode->ino, 0, "not all of it is mapped");
		o->blocks[i].pblk = run.pblk + (i - run.lblk);
		if (!fs_block_valid(o->fs, o->blocks[i].pblk, 1))
			return damaged(o->fs, inode->ino, o->blocks[i].pblk, "block out of range");
	}
	return 0;
}

static int open_blocks(struct orphans *o, struct inode *inode)
{
	struct fs *fs = o->fs;
	uint64_t nblocks = inode->size >> fs->block_bits;

	if (!S_ISREG(inode->mode) || inode_is_inline(inode) || nblocks == 0 ||
	    inode->size > ORPHAN_FILE_MAX_BYTES || fs_block_off(fs, inode->size))
		return damaged(fs, inode->ino, 0, "wrong type or size");
	o->blocks = calloc(nblocks, sizeof(*o->blocks));
	if (!o->blocks)
		return -ENOMEM;
	o->nblocks = nblocks;
	o->nslots = (fs->block_size - sizeof(struct ext4_orphan_block_tail)) / sizeof(uint32_t);
	o->seed = inode->csum_seed;
	return map_blocks(o, inode);
}

int orphan_file_open(struct orphans *o)
{
	struct fs *fs = o->fs;
	uint32_t ino = fs->e2->super->s_orphan_file_inum;
	struct inode *inode;
	int err = inode_get_internal(fs, ino, &inode);

	if (err == -ESTALE)
		return damaged(fs, ino, 0, "no such inode");
	if (err)
		return err;
	rwlock_read(&inode->lock);
	err = open_blocks(o, inode);
	rwlock_read_unlock(&inode->lock);
	inode_put(inode);
	return err;
}

static uint8_t *slot_at(struct buf *buf, uint32_t slot)
{
	return buf->data + (size_t)slot * sizeof(uint32_t);
}

int orphan_file_read(struct orphans *o, uint32_t block, struct buf **ret)
{
	uint32_t magic_off = o->nslots * sizeof(uint32_t);
	AUTOBUF buf = NULL;
	int err = cache_read(o->fs->cache, o->blocks[block].pblk, BUF_ORPHAN, o->seed, &buf);

	if (err)
		return err;
	if (get_le32(buf->data + magic_off) != EXT4_ORPHAN_BLOCK_MAGIC)
		return -EUCLEAN;
	*ret = buf;
	buf = NULL;
	return 0;
}

/* A free slot of a block with room, or nslots: somebody else's numbers are in it. */
static uint32_t find_slot(const struct orphans *o, const struct orphan_block *ob,
			  struct buf *buf)
{
	for (uint32_t n = 0; n < o->nslots; n++) {
		uint32_t slot = (ob->hint + n) % o->nslots;

		if (get_le32(slot_at(buf, slot)) == 0)
			return slot;
	}
	return o->nslots;
}

/* -ENOSPC: this block is full after all. */
static int add_in_block(struct orphans *o, struct handle *h, struct inode *inode,
			uint32_t block)
{
	struct orphan_block *ob = &o->blocks[block];
	AUTOBUF buf = NULL;
	uint32_t slot;
	int err = orphan_file_read(o, block, &buf);

	if (err)
		return fs_error(o->fs, err, 0, ob->pblk, "cannot read orphan file block");
	slot = find_slot(o, ob, buf);
	if (slot == o->nslots) {
		ob->used = o->nslots;
		return -ENOSPC;
	}
	err = txn_dirty(h, buf);
	if (err)
		return err;
	put_le32(slot_at(buf, slot), inode->ino);
	inode->orphan_slot = block * o->nslots + slot;
	ob->used++;
	ob->hint = slot + 1 < o->nslots ? slot + 1 : 0;
	return 0;
}

int orphan_file_add(struct orphans *o, struct handle *h, struct inode *inode)
{
	int err;

	if (!o->nblocks)
		return -ENOSPC;
	err = super_set_feature(h, 0, 0, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
	if (err)
		return err;
	for (uint32_t n = 0; n < o->nblocks; n++) {
		uint32_t block = (o->current + n) % o->nblocks;

		if (o->blocks[block].used >= o->nslots)
			continue;
		err = add_in_block(o, h, inode, block);
		if (err == -ENOSPC)
			continue;
		if (!err)
			o->current = block;
		/* A block that cannot be read is no reason not to delete files. */
		return err == -EUCLEAN || err == -EIO ? -ENOSPC : err;
	}
	return -ENOSPC;
}

int orphan_file_del(struct orphans *o, struct handle *h, struct inode *inode)
{
	uint32_t block = inode->orphan_slot / o->nslots;
	uint32_t slot = inode->orphan_slot % o->nslots;
	struct orphan_block *ob = &o->blocks[block];
	AUTOBUF buf = NULL;
	int err = orphan_file_read(o, block, &buf);

	if (err)
		return fs_error(o->fs, err, inode->ino, ob->pblk, "cannot read orphan file block");
	if (get_le32(slot_at(buf, slot)) != inode->ino)
		return damaged(o->fs, inode->ino, ob->pblk, "a slot has changed");
	err = txn_dirty(h, buf);
	if (err)
		return err;
	put_le32(slot_at(buf, slot), 0);
	ob->used--;
	ob->hint = slot;
	return 0;
}

bool orphan_file_empty(const struct orphans *o)
{
	for (uint32_t i = 0; i < o->nblocks; i++)
		if (o->blocks[i].used)
			return false;
	return true;
}
