/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directory blocks: reading, walking, adding them; damage is reported here. */
#include "csum.h"
#include "dir_block.h"
#include "group.h"

enum {
	FAULTS_LOGGED = 8,	/* per in-core inode */
	TAIL_LEN = sizeof(struct ext2_dir_entry_tail),
};

void dir_log_damage(struct inode *dir, uint32_t lblk, const struct buf *buf, const char *what)
{
	if (__atomic_load_n(&dir->dir_faults, __ATOMIC_RELAXED) >= FAULTS_LOGGED)
		return;
	__atomic_fetch_add(&dir->dir_faults, 1, __ATOMIC_RELAXED);
	fs_error(dir->fs, -EUCLEAN, dir->ino, buf ? buf->pblk : 0,
		 "directory inode %u, block %u: %s", dir->ino, lblk, what);
}

uint32_t dir_nblks(const struct inode *dir)
{
	uint64_t n = dir->size >> dir->fs->block_bits;

	n = MIN(n, dir->fs->blocks_count);
	return MIN(n, UINT32_MAX);
}

bool dir_hash_ordered(const struct inode *dir)
{
	const struct fs *fs = dir->fs;

	if (!fs->has_dir_index || fs->def_hash_version > EXT2_HASH_TEA_UNSIGNED)
		return false;
	return inode_is_inline(dir) || dir_is_indexed(dir) || dir_nblks(dir) == 1;
}

int dir_block_read(struct inode *dir, uint32_t lblk, enum buf_kind kind, struct buf **ret)
{
	int err = map_read_block(dir, lblk, kind, ret);

	if (err == -ENODATA)
		return dir_damaged(dir, lblk, NULL, "hole in a directory");
	if (err == -EUCLEAN)
		return dir_damaged(dir, lblk, NULL, "unreadable (bad checksum or block number)");
	return err;
}

void dir_block_area_init(const struct fs *fs, uint8_t *data, struct dir_area *ret)
{
	*ret = (struct dir_area){
		.data = data,
		.end = fs->block_size - (fs->has_csum ? TAIL_LEN : 0),
		.wide = fs->block_size >= 65536 ? fs->block_size : 0,
	};
}

void dir_block_tail_init(const struct fs *fs, uint8_t *data)
{
	uint8_t *p = data + fs->block_size - TAIL_LEN;

	if (!fs->has_csum)
		return;
	memset(p, 0, TAIL_LEN);
	put_le16(p + offsetof(struct ext2_dir_entry_tail, det_rec_len), TAIL_LEN);
	put_le16(p + offsetof(struct ext2_dir_entry_tail, det_reserved_name_len),
		 EXT2_DIR_NAME_LEN_CSUM);
}

int dir_block_area(struct inode *dir, uint32_t lblk, struct buf *b, struct dir_area *ret)
{
	const struct fs *fs = dir->fs;
	const uint8_t *p = b->data + fs->block_size - TAIL_LEN;

	dir_block_area_init(fs, b->data, ret);
	if (fs->has_csum &&
	    (get_le32(p) || get_le16(p + 4) != TAIL_LEN || get_le16(p + 6) != EXT2_DIR_NAME_LEN_CSUM))
		return dir_damaged(dir, lblk, b, "no checksum at its end");
	return 0;
}

void dir_block_dots_init(const struct inode *dir, struct dir_area *a, uint32_t parent,
			 uint32_t dotdot_len)
{
	uint8_t ftype = dir->fs->has_filetype ? EXT2_FT_DIR : 0;
	struct dir_ent dot = { ".", dir->ino, 1, ftype }, dotdot = { "..", parent, 2, ftype };
	uint32_t off = a->start, at;

	dir_area_append(a, &off, &dot);
	at = off;
	dir_area_append(a, &off, &dotdot);
	dir_rec_set_len(a, a->data + at, dotdot_len);
}

int dir_block_dotdot(struct inode *dir, struct buf *b, uint32_t *ret_off)
{
	struct dir_area a;
	struct dir_rec dot, dotdot;

	dir_block_area_init(dir->fs, b->data, &a);
	if (dir_is_indexed(dir))
		a.end = dir->fs->block_size;
	if (!dir_rec_get(&a, 0, &dot) || dot.name_len != 1 || dot.name[0] != '.' ||
	    dot.len >= a.end || !dir_rec_get(&a, dot.len, &dotdot) || dotdot.name_len != 2 ||
	    memcmp(dotdot.name, "..", 2) != 0)
		return dir_damaged(dir, 0, b, "does not begin with \".\" and \"..\"");
	*ret_off = dotdot.off;
	return 0;
}

int dir_check_ino(struct inode *dir, uint32_t lblk, const struct buf *b, uint32_t ino)
{
	const struct fs *fs = dir->fs;

	if (ino <= fs->inodes_count && (ino >= fs->first_ino || ino == EXT2_ROOT_INO))
		return 0;
	return dir_damaged(dir, lblk, b, "entry with an impossible inode number");
}

int dir_check_child(struct inode *dir, uint32_t lblk, const struct buf *b, uint32_t ino)
{
	if (ino == dir->ino || ino == EXT2_ROOT_INO)
		return dir_damaged(dir, lblk, b, "entry that leads back up");
	return dir_check_ino(dir, lblk, b, ino);
}

void dir_walk_init(struct dir_walk *w, struct inode *dir, uint32_t first)
{
	uint32_t n = dir_nblks(dir);

	*w = (struct dir_walk){ .dir = dir, .next = first < n ? first : 0, .left = n, .nblks = n };
}

/* True when a block of an indexed directory holds index entries, not names. */
static bool is_node(const struct fs *fs, uint32_t lblk, const struct buf *b)
{
	struct dir_area a;

	dir_block_area_init(fs, b->data, &a);
	return lblk == 0 || (get_le32(b->data) == 0 && dir_rec_len(&a, b->data) == fs->block_size);
}

/* 0 with a leaf, -ENOENT for an index node, -ENODATA for a hole, else as usual. */
static int walk_read(struct inode *dir, uint32_t lblk, struct buf **ret_buf,
		     struct dir_area *ret_area)
{
	struct buf *b = NULL;
	int err = map_read_block(dir, lblk, BUF_DIR, &b);

	if (err == -EUCLEAN && dir_is_indexed(dir)) {
		if (map_read_block(dir, lblk, BUF_DX, &b))
			return dir_block_read(dir, lblk, BUF_DIR, ret_buf);
		err = is_node(dir->fs, lblk, b) ? -ENOENT :
		      dir_damaged(dir, lblk, b, "bad checksum");
		cache_put(b);
		return err;
	}
	if (err == -EUCLEAN)
		return dir_damaged(dir, lblk, NULL, "unreadable (bad checksum or block number)");
	if (err)
		return err;
	if (dir_is_indexed(dir) && is_node(dir->fs, lblk, b))
		err = -ENOENT;
	else
		err = dir_block_area(dir, lblk, b, ret_area);
	if (err)
		cache_put(b);
	else
		*ret_buf = b;
	return err;
}

/* Moves on by one, or over all of what is not there. */
static int walk_step(struct dir_walk *w, bool hole)
{
	uint32_t n = 1;
	struct run run;
	int err;

	if (hole) {
		dir_damaged(w->dir, w->next, NULL, "hole in a directory");
		w->damaged++;
		err = map_lookup(w->dir, w->next, &run);
		if (err)
			return err;
		n = run.flags ? run.len : 1;
	}
	n = MIN(MIN(n, w->left), w->nblks - w->next);
	w->left -= n;
	w->next = w->nblks - w->next > n ? w->next + n : 0;
	return 0;
}

int dir_walk_next(struct dir_walk *w, struct buf **ret_buf, uint32_t *ret_lblk,
		  struct dir_area *ret_area)
{
	while (w->left) {
		uint32_t lblk = w->next;
		int err, step;

		if (lblk % DIR_PREFETCH == 0 && w->nblks > 1)
			dir_block_prefetch(w->dir, lblk);
		err = walk_read(w->dir, lblk, ret_buf, ret_area);
		if (err && err != -EUCLEAN && err != -ENOENT && err != -ENODATA)
			return err;
		w->damaged += err == -EUCLEAN;
		step = walk_step(w, err == -ENODATA);
		if (!err) {
			*ret_lblk = lblk;
			return 1;
		}
		if (step)
			return step;
	}
	return 0;
}

void dir_block_prefetch(struct inode *dir, uint32_t lblk)
{
	uint32_t first = lblk - lblk % DIR_PREFETCH, n = dir_nblks(dir);
	uint32_t end = n - first > DIR_PREFETCH ? first + DIR_PREFETCH : n;
	struct run run;

	while (first < end) {
		if (map_lookup(dir, first, &run))
			return;
		run.len = MIN(run.len, end - first);
		if (!(run.flags & RUN_HOLE))
			cache_prefetch(dir->fs->cache, run.pblk, run.len);
		first += run.len;
	}
}

/* An unindexed or indexed directory may not grow past this many bytes. */
static uint64_t max_size(const struct fs *fs)
{
	uint64_t blks = fs->has_large_dir ? EXT4_DX_BLOCK_MASK : INT32_MAX >> fs->block_bits;

	return blks << fs->block_bits;
}

void dir_blocks_undo(struct handle *h, struct inode *dir, unsigned n, struct buf **bufs)
{
	uint64_t first = dir->size >> dir->fs->block_bits, next = first;

	for (unsigned i = 0; i < n; i++)
		cache_put(bufs[i]);
	if (n && (map_remove(h, dir, first, first + n, &next) || next != first + n))
		fs_log(dir->fs, FS_LOG_WARN, "directory inode %u: blocks past its end remain",
		       dir->ino);
}

int dir_blocks_new(struct handle *h, struct inode *dir, unsigned n, const enum buf_kind *kinds,
		   struct buf **ret)
{
	struct fs *fs = dir->fs;
	uint64_t first = dir->size >> fs->block_bits;
	int err = 0;
	unsigned i;

	if (dir->size + ((uint64_t)n << fs->block_bits) > max_size(fs))
		return -ENOSPC;
	for (i = 0; i < n; i++) {
		err = map_new_block(h, dir, first + i, kinds[i], &ret[i]);
		if (err)
			break;
	}
	if (!err)
		return 0;
	dir_blocks_undo(h, dir, i, ret);
	return err == -EEXIST ? dir_damaged(dir, first + i, NULL, "block past the end") : err;
}

int dir_store(struct handle *h, struct inode *dir, uint64_t size, uint32_t flags)
{
	struct timespec mtime = dir->mtime, ctime = dir->ctime;
	uint64_t old_size = dir->size, version = dir->version;
	uint32_t old_flags = dir->flags;
	int err;

	if (size)
		dir->size = size;
	dir->flags = flags;
	dir->mtime = dir->ctime = fs_now();
	dir->version++;
	err = inode_store(h, dir, true);
	if (!err)
		return 0;
	dir->size = old_size;
	dir->flags = old_flags;
	dir->mtime = mtime;
	dir->ctime = ctime;
	dir->version = version;
	return err;
}
