/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists an image's metadata with libext2fs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "csum.h"
#include "unit_image.h"
#include "unit_meta.h"

struct scan {
	struct unit_meta *m;
	ext2_filsys e2;
	struct blkdev *dev;
	ext2_ino_t ino;
	struct ext2_inode inode;
};

static void add(struct scan *s, enum unit_meta_class class, uint64_t off, uint32_t len,
		enum buf_kind kind)
{
	struct unit_meta *m = s->m;

	if (m->n % 256 == 0)
		m->ranges = realloc(m->ranges, (m->n + 256) * sizeof(*m->ranges));
	if (!m->ranges)
		unit_die("no memory");
	m->ranges[m->n++] = (struct unit_meta_range){
		.class = class, .off = off, .len = len, .ino = s->ino,
		.gen = s->inode.i_generation, .kind = kind,
	};
}

static void add_block(struct scan *s, enum unit_meta_class class, blk64_t pblk, enum buf_kind kind)
{
	add(s, class, pblk * s->e2->blocksize, s->e2->blocksize, kind);
}

/* An index node looks like one unused entry over the whole block. */
static enum buf_kind dir_kind(struct scan *s, blk64_t pblk, e2_blkcnt_t lblk)
{
	const uint8_t *block = dev_mem_data(s->dev) + pblk * s->e2->blocksize;
	bool indexed = s->inode.i_flags & EXT2_INDEX_FL;

	if (indexed && (lblk == 0 || (get_le32(block) == 0 && get_le16(block + 4) >= s->e2->blocksize)))
		return BUF_DX;
	return BUF_DIR;
}

static bool is_zero(struct scan *s, blk64_t pblk)
{
	const uint8_t *p = dev_mem_data(s->dev) + pblk * s->e2->blocksize;

	return !p[0] && !memcmp(p, p + 1, s->e2->blocksize - 1);
}

static int visit_block(ext2_filsys e2, blk64_t *pblk, e2_blkcnt_t lblk, blk64_t ref, int off,
		       void *arg)
{
	struct scan *s = arg;

	if (lblk < 0)
		add_block(s, META_TREE, *pblk, s->inode.i_flags & EXT4_EXTENTS_FL ? BUF_EXTENT : BUF_RAW);
	else if (LINUX_S_ISDIR(s->inode.i_mode))
		add_block(s, META_DIR, *pblk, dir_kind(s, *pblk, lblk));
	else if (LINUX_S_ISLNK(s->inode.i_mode))
		add_block(s, META_LINK, *pblk, BUF_RAW);
	else if (s->ino == s->e2->super->s_journal_inum && !is_zero(s, *pblk))
		add_block(s, META_JOURNAL, *pblk, BUF_RAW);
	else if (s->ino == s->e2->super->s_orphan_file_inum)
		add_block(s, META_JOURNAL, *pblk, BUF_RAW);
	return 0;
}

static void scan_inode(struct scan *s)
{
	dgrp_t group = ext2fs_group_of_ino(s->e2, s->ino);
	uint32_t index = (s->ino - 1) % s->e2->super->s_inodes_per_group;
	uint32_t size = EXT2_INODE_SIZE(s->e2->super);
	uint64_t off = ext2fs_inode_table_loc(s->e2, group) * s->e2->blocksize;

	add(s, META_INODE, off + (uint64_t)index * size, size, BUF_RAW);
	if (ext2fs_file_acl_block(s->e2, &s->inode))
		add_block(s, META_XATTR, ext2fs_file_acl_block(s->e2, &s->inode), BUF_XATTR);
	if (ext2fs_inode_has_valid_blocks2(s->e2, &s->inode))
		ext2fs_block_iterate3(s->e2, s->ino, BLOCK_FLAG_READ_ONLY, NULL, visit_block, s);
}

static void scan_inodes(struct scan *s)
{
	ext2_inode_scan is;

	if (ext2fs_open_inode_scan(s->e2, 0, &is))
		unit_die("inode scan");
	while (!ext2fs_get_next_inode(is, &s->ino, &s->inode) && s->ino)
		if (s->inode.i_links_count || s->inode.i_mode)
			scan_inode(s);
	ext2fs_close_inode_scan(is);
}

static void scan_groups(struct scan *s)
{
	s->ino = 0;
	memset(&s->inode, 0, sizeof(s->inode));
	add(s, META_SUPER, SUPERBLOCK_OFFSET, sizeof(struct ext2_super_block), BUF_RAW);
	add(s, META_GDT, (uint64_t)ext2fs_descriptor_block_loc2(s->e2, s->e2->super->s_first_data_block, 0) *
	    s->e2->blocksize, s->e2->group_desc_count * EXT2_DESC_SIZE(s->e2->super), BUF_RAW);
	for (dgrp_t g = 0; g < s->e2->group_desc_count; g++) {
		add_block(s, META_BITMAP, ext2fs_block_bitmap_loc(s->e2, g), BUF_RAW);
		add_block(s, META_BITMAP, ext2fs_inode_bitmap_loc(s->e2, g), BUF_RAW);
	}
}

static int by_class(const void *a, const void *b)
{
	const struct unit_meta_range *x = a, *y = b;

	return x->class != y->class ? (int)x->class - (int)y->class :
	       x->off < y->off ? -1 : x->off > y->off;
}

static void decode(struct fs *fs, ext2_filsys e2)
{
	fs->block_size = e2->blocksize;
	while (1U << fs->block_bits < fs->block_size)
		fs->block_bits++;
	fs->inode_size = EXT2_INODE_SIZE(e2->super);
	fs->csum_seed = e2->csum_seed;
	fs->has_csum = ext2fs_has_feature_metadata_csum(e2->super);
}

struct unit_meta *unit_meta_scan(struct blkdev *dev)
{
	struct unit_meta *m = calloc(1, sizeof(*m));
	struct scan s = { .m = m, .dev = dev };
	int fd = memfd_create("image", 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!m || pwrite(fd, dev_mem_data(dev), blkdev_size(dev), 0) != (ssize_t)blkdev_size(dev))
		unit_die("no memory");
	if (ext2fs_open2(path, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
			 unix_io_manager, &s.e2))
		unit_die("libext2fs cannot open it");
	scan_inodes(&s);
	scan_groups(&s);
	qsort(m->ranges, m->n, sizeof(*m->ranges), by_class);
	for (unsigned i = 0, c = 0; c <= META_CLASSES; c++) {
		while (i < m->n && m->ranges[i].class < c)
			i++;
		m->first[c] = i;
	}
	decode(&m->codec, s.e2);
	ext2fs_free(s.e2);
	close(fd);
	return m;
}

void unit_meta_free(struct unit_meta *m)
{
	free(m->ranges);
	free(m);
}

void unit_meta_seal(const struct unit_meta *m, const struct unit_meta_range *r,
		    struct blkdev *dev)
{
	uint8_t *data = dev_mem_data(dev) + r->off;
	uint32_t seed = csum_inode_seed(&m->codec, r->ino, r->gen);

	if (!m->codec.has_csum)
		return;
	if (r->class == META_SUPER)
		put_le32(data + offsetof(struct ext2_super_block, s_checksum),
			 csum_crc32c(~0U, data, offsetof(struct ext2_super_block, s_checksum)));
	else if (r->class == META_INODE)
		csum_inode_seal(&m->codec, csum_inode_seed(&m->codec, r->ino, get_le32(data + 100)),
				r->ino, data);
	else if (r->kind != BUF_RAW)
		csum_seal(&m->codec, r->kind, seed, r->off >> m->codec.block_bits, data);
}

const struct unit_meta_range *unit_meta_of(const struct unit_meta *m, enum unit_meta_class class,
					   uint32_t ino)
{
	for (unsigned i = m->first[class]; i < m->first[class + 1]; i++)
		if (m->ranges[i].ino == ino)
			return &m->ranges[i];
	unit_die("inode %u has no metadata of class %d", ino, class);
}

uint32_t unit_meta_ino(struct blkdev *dev, const char *path)
{
	AUTOFREE char *text = NULL;
	char command[256];
	unsigned ino;

	snprintf(command, sizeof(command), "stat %s", path);
	text = unit_debugfs_ask(dev, command);
	if (sscanf(text, "Inode: %u", &ino) != 1)
		unit_die("no %s: %s", path, text);
	return ino;
}
