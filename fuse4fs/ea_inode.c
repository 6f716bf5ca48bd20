/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ea_inodes: making, reading, counting.
 *
 * Images written by Lustre have an older form: owned by one inode, which it names in
 * mtime and i_generation; its count is 1 and there is no hash.
 */
#include <errno.h>

#include "csum.h"
#include "ea_inode.h"
#include "group.h"
#include "map.h"
#include "orphan.h"
#include "xattr.h"

static bool is_lustre(const struct inode *owner, const struct inode *ea)
{
	return (uint32_t)ea->mtime.tv_sec == owner->ino && ea->gen == owner->gen;
}

static uint64_t get_count(const struct inode *ea)
{
	return (uint64_t)(uint32_t)ea->ctime.tv_sec << 32 | (uint32_t)ea->version;
}

/* Sign extended, as a 32-bit time is: an inode without extra fields can hold it too. */
static struct timespec time_of_u32(uint32_t v)
{
	return (struct timespec){ .tv_sec = (int32_t)v };
}

static void put_count(struct inode *ea, uint64_t count)
{
	ea->ctime = time_of_u32(count >> 32);
	ea->version = (uint32_t)count;
}

static uint32_t value_crc(const struct fs *fs, const void *value, uint32_t size)
{
	return csum_crc32c(fs->e2->csum_seed, value, size);
}

static uint32_t ent_hash(const struct xattr_key *key, uint32_t crc, bool sign)
{
	crc = htole32(crc);
	return xattr_hash_value(xattr_hash_name(key, sign), &crc, sizeof(crc));
}

/* -- opening and reading --------------------------------------------------------- */

static const char *open_fault(struct inode *ea)
{
	const char *fault = NULL;

	rwlock_read(&ea->lock);
	if (!(ea->flags & EXT4_EA_INODE_FL) || !S_ISREG(ea->mode) || inode_is_inline(ea))
		fault = "is not an ea_inode";
	else if (ea->nlink == 0)
		fault = "is deleted";
	rwlock_read_unlock(&ea->lock);
	return fault;
}

int ea_inode_open(struct inode *owner, uint32_t ea_ino, struct inode **ret)
{
	struct fs *fs = owner->fs;
	const char *fault;
	struct inode *ea;
	int err;

	/* An ea_inode has no attributes: chains of them end here. */
	if (ea_ino == owner->ino || (owner->flags & EXT4_EA_INODE_FL))
		return fs_error(fs, -EUCLEAN, owner->ino, 0, "attribute refers to ea_inode %u",
				ea_ino);
	err = inode_get_internal(fs, ea_ino, &ea);
	if (err == -ESTALE)
		return fs_error(fs, -EUCLEAN, owner->ino, 0, "ea_inode %u is not in use", ea_ino);
	if (err)
		return err;
	fault = open_fault(ea);
	if (fault) {
		inode_put(ea);
		return fs_error(fs, -EUCLEAN, owner->ino, 0, "ea_inode %u %s", ea_ino, fault);
	}
	*ret = ea;
	return 0;
}

static int copy_run(struct inode *ea, const struct run *run, uint8_t *value, uint32_t size)
{
	struct fs *fs = ea->fs;

	cache_prefetch(fs->cache, run->pblk, run->len);
	for (uint32_t i = 0; i < run->len; i++) {
		uint64_t off = (uint64_t)(run->lblk + i) << fs->block_bits;
		AUTOBUF b = NULL;
		int err = cache_read(fs->cache, run->pblk + i, BUF_RAW, 0, &b);

		if (err)
			return fs_error(fs, err, ea->ino, run->pblk + i, "value of an attribute");
		memcpy(value + off, b->data, MIN(fs->block_size, size - off));
	}
	return 0;
}

static int copy_blocks(struct inode *ea, uint8_t *value, uint32_t size)
{
	uint32_t nblks = div_up(size, ea->fs->block_size);
	uint32_t lblk = 0;

	while (lblk < nblks) {
		struct run run;
		int err = map_lookup(ea, lblk, &run);

		if (err)
			return err;
		if (run.flags)
			return fs_error(ea->fs, -EUCLEAN, ea->ino, 0,
					"value of an attribute lacks block %u", lblk);
		run.len = MIN(run.len, nblks - lblk);
		err = copy_run(ea, &run, value, size);
		if (err)
			return err;
		lblk += run.len;
	}
	return 0;
}

static int check_hashes(struct inode *owner, struct inode *ea, const struct xattr_ent *ent,
			const void *value)
{
	uint32_t crc = value_crc(ea->fs, value, ent->val.size);

	if (is_lustre(owner, ea))
		return 0;
	if (crc != (uint32_t)ea->atime.tv_sec)
		return fs_error(ea->fs, -EUCLEAN, ea->ino, 0, "value does not match its hash");
	if (ent->val.ea_hash != ent_hash(&ent->key, crc, false) &&
	    ent->val.ea_hash != ent_hash(&ent->key, crc, true))
		return fs_error(ea->fs, -EUCLEAN, owner->ino, 0,
				"attribute's hash does not match ea_inode %u", ea->ino);
	return 0;
}

int ea_inode_read(struct inode *owner, struct inode *ea, const struct xattr_ent *ent, void *value)
{
	int err;

	rwlock_read(&ea->lock);
	if (ea->size != ent->val.size)
		err = fs_error(ea->fs, -EUCLEAN, owner->ino, 0,
			       "attribute of %u bytes in ea_inode %u of %llu bytes",
			       ent->val.size, ea->ino, (unsigned long long)ea->size);
	else
		err = copy_blocks(ea, value, ent->val.size);
	if (!err)
		err = check_hashes(owner, ea, ent, value);
	rwlock_read_unlock(&ea->lock);
	return err;
}

/* -- making ---------------------------------------------------------------------- */

int ea_space_reserve(struct fs *fs, const struct inode *owner, uint32_t size,
		     struct ea_space *ret)
{
	uint32_t left = div_up(size, fs->block_size);
	uint64_t goal = balloc_goal(fs, owner);
	int err;

	*ret = (struct ea_space){ .nruns = 0 };
	while (left) {
		unsigned i = ret->nruns;

		err = i == EA_MAX_RUNS ? -ENOSPC :
		      balloc_reserve(fs, goal, left, false, &ret->runs[i].pblk,
				     &ret->runs[i].len);
		if (err) {
			ea_space_release(fs, ret);
			return err;
		}
		goal = ret->runs[i].pblk + ret->runs[i].len;
		left -= ret->runs[i].len;
		ret->nruns++;
	}
	return 0;
}

void ea_space_release(struct fs *fs, struct ea_space *s)
{
	for (unsigned i = 0; i < s->nruns; i++)
		balloc_unreserve(fs, s->runs[i].pblk, s->runs[i].len);
	s->nruns = 0;
}

static void give_back(struct handle *h, bool allocated, uint64_t pblk, uint32_t len)
{
	if (allocated)
		balloc_free(h, pblk, len, true);
	else
		balloc_unreserve(h->fs, pblk, len);
}

static void space_give_back(struct handle *h, struct ea_space *s)
{
	for (unsigned i = 0; i < s->nruns; i++)
		give_back(h, s->allocated, s->runs[i].pblk, s->runs[i].len);
	s->nruns = 0;
}

/* Block by block, which never waits. */
static int space_allocate(struct handle *h, const struct inode *owner, uint32_t size,
			  struct ea_space *s)
{
	uint32_t left = div_up(size, h->fs->block_size);
	uint64_t goal = balloc_goal(h->fs, owner), pblk;
	int err = 0;

	s->allocated = true;
	for (; left && !err; left--, goal = pblk + 1) {
		err = balloc_new_block(h, goal, &pblk);
		if (err)
			break;
		if (s->nruns && pblk == goal) {
			s->runs[s->nruns - 1].len++;
		} else if (s->nruns < EA_MAX_RUNS) {
			s->runs[s->nruns].pblk = pblk;
			s->runs[s->nruns++].len = 1;
		} else {
			balloc_free(h, pblk, 1, true);
			err = -ENOSPC;
		}
	}
	if (err)
		space_give_back(h, s);
	return err;
}

static int put_block(struct handle *h, struct buf *b, const uint8_t *value, uint32_t len)
{
	int err = txn_dirty(h, b);

	if (err)
		return err;
	memcpy(b->data, value, len);
	memset(b->data + len, 0, h->fs->block_size - len);
	return 0;
}

/* The blocks of one run, in the cache; value is what they shall hold. */
static int fill_run(struct handle *h, uint64_t pblk, uint32_t nblks, const uint8_t *value,
		    uint32_t size)
{
	struct fs *fs = h->fs;

	for (uint32_t i = 0; i < nblks; i++) {
		uint32_t off = i << fs->block_bits;
		AUTOBUF b = NULL;
		int err = cache_new(fs->cache, pblk + i, BUF_RAW, 0, &b);

		if (!err)
			err = put_block(h, b, value + off, MIN(fs->block_size, size - off));
		if (err)
			return err;
	}
	return 0;
}

/* One run becomes part of ea; on failure it is free again. */
static int add_run(struct handle *h, struct inode *ea, const struct run *run, bool allocated,
		   const uint8_t *value, uint32_t size)
{
	uint64_t off = (uint64_t)run->lblk << h->fs->block_bits;
	int err = allocated ? 0 : balloc_commit(h, run->pblk, run->len);

	if (err) {
		balloc_unreserve(h->fs, run->pblk, run->len);
		return err;
	}
	err = fill_run(h, run->pblk, run->len, value + off, size - off);
	if (!err)
		err = map_insert(h, ea, run);
	if (err)
		balloc_free(h, run->pblk, run->len, true);
	return err;
}

static int add_value(struct handle *h, struct inode *ea, const void *value, uint32_t size,
		     struct ea_space *space)
{
	struct run run = { .lblk = 0 };
	int err = 0;

	for (unsigned i = 0; i < space->nruns; i++) {
		run.pblk = space->runs[i].pblk;
		run.len = space->runs[i].len;
		if (err)
			give_back(h, space->allocated, run.pblk, run.len);
		else
			err = add_run(h, ea, &run, space->allocated, value, size);
		run.lblk += run.len;
	}
	space->nruns = 0;
	return err;
}

/* A plain empty file, whatever a new file of this file system gets. */
static int make_plain(struct inode *ea)
{
	int err = inode_is_inline(ea) ? xattr_ibody_data_set(ea, NULL, 0, true) : 0;

	ea->flags = EXT4_EA_INODE_FL | (ea->fs->has_extents ? EXT4_EXTENTS_FL : 0);
	memset(inode_block(ea), 0, 60);
	map_init(ea);
	return err;
}

static void init_ea(struct inode *ea, const void *value, uint32_t size)
{
	ea->nlink = 1;
	ea->size = size;
	ea->mtime = fs_now();
	ea->atime = time_of_u32(value_crc(ea->fs, value, size));
	put_count(ea, 1);
}

int ea_inode_make(struct handle *h, struct inode *owner, const void *value, uint32_t size,
		  struct ea_space *space, struct inode **ret)
{
	struct inode *ea;
	int err = space->nruns ? 0 : space_allocate(h, owner, size, space);

	if (err)
		return err;
	err = inode_new(h, owner, S_IFREG | 0600, owner->uid, owner->gid, &ea);
	if (err) {
		space_give_back(h, space);
		return err;
	}
	err = make_plain(ea);
	if (err) {
		space_give_back(h, space);
		ea->size = 0;
		ea_inode_abandon(h, ea);
		return err;
	}
	init_ea(ea, value, size);
	err = add_value(h, ea, value, size, space);
	if (!err)
		err = inode_store(h, ea, true);
	if (err) {
		ea_inode_abandon(h, ea);
		return err;
	}
	*ret = ea;
	return 0;
}

void ea_inode_publish(struct inode *ea)
{
	inode_unlock_new(ea);
}

void ea_inode_abandon(struct handle *h, struct inode *ea)
{
	uint64_t end = div_up(ea->size, h->fs->block_size), next = 0;
	int err = 0;

	while (!err && next < end) {
		uint64_t from = next;

		err = map_remove(h, ea, from, end, &next);
		if (!err && next <= from)
			err = -ENOSPC;
	}
	if (err)
		fs_error(h->fs, err, ea->ino, 0, "cannot undo the creation of an ea_inode");
	ea->nlink = 0;
	inode_abandon_new(h, ea);
}

int ea_inode_rewrite(struct handle *h, struct inode *ea, const void *value, uint32_t size)
{
	struct fs *fs = h->fs;
	int err = 0;

	rwlock_write(&ea->lock);
	for (uint32_t off = 0; !err && off < size; off += fs->block_size) {
		AUTOBUF b = NULL;

		err = map_read_block(ea, off >> fs->block_bits, BUF_RAW, &b);
		if (!err)
			err = put_block(h, b, (const uint8_t *)value + off,
					MIN(fs->block_size, size - off));
	}
	if (!err) {
		ea->atime = time_of_u32(value_crc(fs, value, size));
		err = inode_store(h, ea, true);
	}
	rwlock_write_unlock(&ea->lock);
	return err;
}

/* -- counting -------------------------------------------------------------------- */

uint64_t ea_inode_refs(struct inode *owner, struct inode *ea)
{
	uint64_t n;

	rwlock_read(&ea->lock);
	n = is_lustre(owner, ea) ? 1 : get_count(ea);
	rwlock_read_unlock(&ea->lock);
	return n;
}

uint64_t ea_inode_sectors(struct inode *owner, struct inode *ea)
{
	const struct fs *fs = ea->fs;

	return is_lustre(owner, ea) ? 0 : round_up(ea->size, fs->block_size) >> 9;
}

uint32_t ea_inode_ent_hash(struct inode *ea, const struct xattr_key *key)
{
	return ent_hash(key, (uint32_t)ea->atime.tv_sec, false);
}

static int set_count(struct handle *h, struct inode *ea, uint64_t count)
{
	int err = inode_join(h, ea);

	if (err)
		return err;
	put_count(ea, count);
	if (count == 0) {
		ea->nlink = 0;
		err = orphan_add(h, ea);
	}
	return err ? err : inode_store(h, ea, false);
}

int ea_inode_count(struct handle *h, struct inode *owner, struct inode *ea, int by)
{
	uint64_t count;
	int err;

	rwlock_write(&ea->lock);
	count = is_lustre(owner, ea) ? 1 : get_count(ea);
	if (count == 0 || ea->nlink == 0 || count == UINT64_MAX)
		err = fs_error(h->fs, -EUCLEAN, ea->ino, 0, "bad count of an ea_inode");
	else
		err = set_count(h, ea, by > 0 ? count + 1 : count - 1);
	rwlock_write_unlock(&ea->lock);
	return err;
}

/* -- credits --------------------------------------------------------------------- */

unsigned ea_make_credits(const struct fs *fs, const struct ea_space *s)
{
	enum { TREE = 3 };	/* blocks that map up to EA_MAX_RUNS runs */
	unsigned n = INODE_NEW_CREDITS + INODE_STORE_CREDITS;

	if (s->nruns > 4)
		n += TREE * (1 + BALLOC_CREDITS);
	for (unsigned i = 0; i < s->nruns; i++)
		n += BALLOC_CREDITS + s->runs[i].len;
	return n;
}

unsigned ea_rewrite_credits(const struct fs *fs, uint32_t size)
{
	return div_up(size, fs->block_size) + INODE_STORE_CREDITS;
}
