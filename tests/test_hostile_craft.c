/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images made by hand to mislead: loops, overlaps and lies that random damage seldom hits.
 * Serving one gives errors at worst, for what is damaged; no crash, no hang, no flood.
 *
 * UNIT_OP=name takes one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "unit_fork.h"
#include "unit_image.h"
#include "unit_meta.h"
#include "unit_walk.h"

#include <ext2fs/ext2_ext_attr.h>
#include <ext2fs/ext3_extents.h>

#if defined(__SANITIZE_ADDRESS__)
enum { MAX_MBYTES = 1500, CASE_SECONDS = 60 };	/* the sanitizer keeps what was freed */
#else
enum { MAX_MBYTES = 200, CASE_SECONDS = 20 };
#endif
enum { IMAGE_SIZE = 10 << 20, BS = 1024, CACHE_BYTES = 4 << 20, WALKS = 4 };

struct craft {
	struct blkdev *dev;
	struct unit_meta *meta;
	bool readonly;
};

static uint8_t *block_at(struct craft *c, uint64_t pblk) { return dev_mem_data(c->dev) + pblk * BS; }

/* The n-th block of a class that a path owns. */
static uint64_t block_of(struct craft *c, const char *path, enum unit_meta_class class, unsigned n)
{
	const struct unit_meta_range *r = unit_meta_of(c->meta, class, unit_meta_ino(c->dev, path));

	return r[n].off / BS;
}

static struct ext2_inode *inode_by_number(struct craft *c, uint32_t ino)
{
	return (void *)(dev_mem_data(c->dev) + unit_meta_of(c->meta, META_INODE, ino)->off);
}

static struct ext2_inode *inode_of(struct craft *c, const char *path)
{
	return inode_by_number(c, unit_meta_ino(c->dev, path));
}

static struct ext3_extent_header *root_of(struct craft *c, const char *path)
{
	return (void *)inode_of(c, path)->i_block;
}

/* Extent trees. */

static void extent_child_is_itself(struct craft *c)
{
	uint64_t child = block_of(c, "/deep", META_TREE, 0);
	struct ext3_extent_header *eh = (void *)block_at(c, child);

	eh->eh_depth = htole16(1);
	for (unsigned i = 0; i < le16toh(eh->eh_entries); i++) {
		EXT_FIRST_INDEX(eh)[i].ei_leaf = htole32((uint32_t)child);
		EXT_FIRST_INDEX(eh)[i].ei_leaf_hi = 0;
	}
	root_of(c, "/deep")->eh_depth = htole16(2);
}

static void extent_all_children_are_one(struct craft *c)
{
	struct ext3_extent_header *eh = root_of(c, "/deep");
	uint64_t child = block_of(c, "/deep", META_TREE, 0);

	eh->eh_entries = htole16(4);
	for (unsigned i = 0; i < 4; i++) {
		EXT_FIRST_INDEX(eh)[i].ei_block = htole32(i * 100000);
		EXT_FIRST_INDEX(eh)[i].ei_leaf = htole32((uint32_t)child);
		EXT_FIRST_INDEX(eh)[i].ei_leaf_hi = 0;
	}
}

static void extent_child_is_super(struct craft *c)
{
	EXT_FIRST_INDEX(root_of(c, "/deep"))->ei_leaf = htole32(1);
}

static void extent_child_is_bitmap(struct craft *c)
{
	EXT_FIRST_INDEX(root_of(c, "/deep"))->ei_leaf =
		htole32((uint32_t)(c->meta->ranges[c->meta->first[META_BITMAP]].off / BS));
}

static void extent_child_is_far(struct craft *c)
{
	EXT_FIRST_INDEX(root_of(c, "/deep"))->ei_leaf = htole32(0xffffffff);
	EXT_FIRST_INDEX(root_of(c, "/deep"))->ei_leaf_hi = htole16(0xffff);
}

static void extent_deepest(struct craft *c) { root_of(c, "/deep")->eh_depth = htole16(0xffff); }
static void extent_depth_0(struct craft *c) { root_of(c, "/deep")->eh_depth = 0; }
static void extent_many_entries(struct craft *c)
{
	root_of(c, "/flat")->eh_entries = htole16(0xffff);
	root_of(c, "/flat")->eh_max = htole16(0xffff);
	root_of(c, "/deep")->eh_entries = htole16(5);
}
static void extent_no_entries(struct craft *c)
{
	struct ext3_extent_header *eh = (void *)block_at(c, block_of(c, "/deep", META_TREE, 0));

	eh->eh_entries = 0;
	root_of(c, "/flat")->eh_entries = 0;
}

static void extent_overlap(struct craft *c)
{
	struct ext3_extent_header *eh = root_of(c, "/flat");
	struct ext3_extent *ex = EXT_FIRST_EXTENT(eh);

	eh->eh_entries = htole16(4);
	for (unsigned i = 1; i < 4; i++) {
		ex[i] = ex[0];
		ex[i].ee_block = htole32(i);
	}
}

static void extent_backwards(struct craft *c)
{
	struct ext3_extent_header *eh = (void *)block_at(c, block_of(c, "/deep", META_TREE, 1));
	struct ext3_extent *ex = EXT_FIRST_EXTENT(eh), first = ex[0];

	ex[0] = ex[le16toh(eh->eh_entries) - 1];
	ex[le16toh(eh->eh_entries) - 1] = first;
}

static void extent_length(struct craft *c, uint16_t len)
{
	EXT_FIRST_EXTENT(root_of(c, "/flat"))->ee_len = htole16(len);
}
static void extent_len_0(struct craft *c) { extent_length(c, 0); }
static void extent_len_32768(struct craft *c) { extent_length(c, 32768); }
static void extent_len_65535(struct craft *c) { extent_length(c, 65535); }
static void extent_wraps(struct craft *c)
{
	EXT_FIRST_EXTENT(root_of(c, "/flat"))->ee_block = htole32(0xffffffff);
}
static void extent_of_root_dir(struct craft *c)
{
	EXT_FIRST_EXTENT(root_of(c, "/flat"))->ee_start =
		htole32((uint32_t)block_of(c, "/lin", META_DIR, 0));
}

/* Directories. */

static struct ext2_dir_entry *entry(struct craft *c, const char *dir, unsigned n)
{
	uint8_t *p = block_at(c, block_of(c, dir, META_DIR, 0));

	while (n--)
		p += get_le16(p + 4);
	return (void *)p;
}

static void dir_len_0(struct craft *c) { entry(c, "/lin", 3)->rec_len = 0; }
static void dir_len_odd(struct craft *c) { entry(c, "/lin", 3)->rec_len = htole16(13); }
static void dir_len_short(struct craft *c) { entry(c, "/lin", 3)->rec_len = htole16(8); }
static void dir_len_long(struct craft *c) { entry(c, "/lin", 3)->rec_len = htole16(BS); }
static void dir_len_max(struct craft *c) { entry(c, "/lin", 2)->rec_len = htole16(0xfffc); }
static void dir_name_long(struct craft *c) { *((uint8_t *)entry(c, "/lin", 4) + 6) = 255; }
static void dir_name_empty(struct craft *c) { *((uint8_t *)entry(c, "/lin", 4) + 6) = 0; }
static void dir_name_slash(struct craft *c) { entry(c, "/lin", 4)->name[1] = '/'; }
static void dir_name_nul(struct craft *c) { entry(c, "/lin", 4)->name[1] = 0; }
static void dir_ino_far(struct craft *c) { entry(c, "/lin", 4)->inode = htole32(0xffffffff); }
static void dir_ino_journal(struct craft *c) { entry(c, "/lin", 4)->inode = htole32(EXT2_JOURNAL_INO); }
static void dir_ino_free(struct craft *c) { entry(c, "/lin", 4)->inode = htole32(1000); }
static void dir_names_twice(struct craft *c)
{
	memcpy(entry(c, "/lin", 4)->name, entry(c, "/lin", 5)->name, 3);
}
/* A directory inside itself, its parent, and another one. */
static void dir_is_its_child(struct craft *c)
{
	entry(c, "/lin", 4)->inode = htole32(unit_meta_ino(c->dev, "/lin"));
	entry(c, "/lin", 5)->inode = htole32(EXT2_ROOT_INO);
	entry(c, "/lin", 6)->inode = htole32(unit_meta_ino(c->dev, "/hash"));
	for (unsigned i = 4; i < 7; i++)
		*((uint8_t *)entry(c, "/lin", i) + 7) = EXT2_FT_DIR;
}
static void dir_dots_gone(struct craft *c)
{
	memcpy(entry(c, "/lin", 0)->name, "x", 1);
	memcpy(entry(c, "/lin", 1)->name, "yy", 2);
}
static void dir_parent_wrong(struct craft *c)
{
	entry(c, "/lin", 1)->inode = htole32(unit_meta_ino(c->dev, "/lin/full"));
	entry(c, "/hash", 1)->inode = htole32(0x7fffffff);
}
static void dir_of_files_block(struct craft *c)
{
	EXT_FIRST_EXTENT(root_of(c, "/lin"))->ee_start = EXT_FIRST_EXTENT(root_of(c, "/flat"))->ee_start;
}
static void dir_size_0(struct craft *c) { inode_of(c, "/lin")->i_size = 0; }
static void dir_size_odd(struct craft *c) { inode_of(c, "/lin")->i_size = htole32(1000); }
static void dir_size_huge(struct craft *c)
{
	inode_of(c, "/lin")->i_size = htole32(0xfffffc00);
	inode_of(c, "/lin")->i_size_high = htole32(0x7f);
	inode_of(c, "/hash")->i_size = htole32(0xfffffc00);
}
static void dir_flagged_indexed(struct craft *c) { inode_of(c, "/lin")->i_flags |= htole32(EXT2_INDEX_FL); }
static void dir_index_hidden(struct craft *c) { inode_of(c, "/hash")->i_flags &= htole32(~EXT2_INDEX_FL); }

/* The index. */

static uint8_t *index_root(struct craft *c) { return block_at(c, block_of(c, "/hash", META_DIR, 0)); }

/* Block number of the directory's logical block that entry n of the root names. */
static uint8_t *root_entry(struct craft *c, unsigned n) { return index_root(c) + 32 + 8 * n; }

static void index_to_root(struct craft *c) { put_le32(root_entry(c, 0) + 4, 0); put_le32(root_entry(c, 1) + 4, 0); }
static void index_to_one_leaf(struct craft *c)
{
	for (unsigned i = 0; i < get_le16(root_entry(c, 0) + 2); i++)
		put_le32(root_entry(c, i) + 4, 2);
}
static void index_beyond(struct craft *c) { put_le32(root_entry(c, 0) + 4, 0x0ffffff0); }
static void index_levels_0(struct craft *c) { index_root(c)[30] = 0; }
static void index_levels_2(struct craft *c) { index_root(c)[30] = 2; }
static void index_levels_255(struct craft *c) { index_root(c)[30] = 255; }
static void index_count_0(struct craft *c) { put_le16(root_entry(c, 0) + 2, 0); }
static void index_count_max(struct craft *c) { put_le16(root_entry(c, 0) + 2, 0xffff); }
static void index_limit_max(struct craft *c)
{
	put_le16(root_entry(c, 0), 0xffff);
	put_le16(root_entry(c, 0) + 2, 0xfff0);
}
static void index_limit_0(struct craft *c) { put_le16(root_entry(c, 0), 0); }
static void index_version(struct craft *c) { index_root(c)[28] = 77; }
static void index_info_length(struct craft *c) { index_root(c)[29] = 200; }
static void index_unsorted(struct craft *c)
{
	put_le32(root_entry(c, 1), 0xfffffffe);
	put_le32(root_entry(c, get_le16(root_entry(c, 0) + 2) - 1u), 2);
}
/* All hashes "continue" from the leaf before: a search goes through all leaves. */
static void index_all_continue(struct craft *c)
{
	const struct unit_meta_range *r = unit_meta_of(c->meta, META_DIR, unit_meta_ino(c->dev, "/hash"));

	for (; r->class == META_DIR && r->kind == BUF_DX; r++)
		for (unsigned i = 1; i < 100; i++)
			put_le32(dev_mem_data(c->dev) + r->off + 32 + 8 * i, 0x40000001);
}

/* Attributes. */

static uint8_t *xattr_block(struct craft *c) { return block_at(c, block_of(c, "/xattr/block", META_XATTR, 0)); }
static struct ext2_ext_attr_entry *xattr_entry(struct craft *c) { return (void *)(xattr_block(c) + 32); }

static void xattr_value_beyond(struct craft *c) { xattr_entry(c)->e_value_offs = htole16(BS - 4); }
static void xattr_value_over_names(struct craft *c) { xattr_entry(c)->e_value_offs = htole16(32); }
static void xattr_value_size(struct craft *c) { xattr_entry(c)->e_value_size = htole32(0xffffffff); }
static void xattr_value_inum(struct craft *c)
{
	xattr_entry(c)->e_value_inum = htole32(unit_meta_ino(c->dev, "/flat"));
}
static void xattr_value_inum_self(struct craft *c)
{
	xattr_entry(c)->e_value_inum = htole32(unit_meta_ino(c->dev, "/xattr/block"));
}
static void xattr_name_long(struct craft *c) { xattr_entry(c)->e_name_len = 255; }
static void xattr_names_endless(struct craft *c) { memset(xattr_block(c) + 32, 1, BS - 32); }
static void xattr_refcount_0(struct craft *c) { put_le32(xattr_block(c) + 4, 0); }
static void xattr_refcount_max(struct craft *c) { put_le32(xattr_block(c) + 4, 0xffffffff); }
static void xattr_blocks_99(struct craft *c) { put_le32(xattr_block(c) + 8, 99); }
static void xattr_is_directory(struct craft *c)
{
	inode_of(c, "/xattr/block")->i_file_acl = htole32((uint32_t)block_of(c, "/lin", META_DIR, 0));
}
static void xattr_block_of_all(struct craft *c)
{
	uint32_t acl = inode_of(c, "/xattr/block")->i_file_acl;

	for (unsigned i = c->meta->first[META_INODE]; i < c->meta->first[META_INODE + 1]; i++)
		if (c->meta->ranges[i].ino == EXT2_ROOT_INO || c->meta->ranges[i].ino >= 11)
			inode_by_number(c, c->meta->ranges[i].ino)->i_file_acl = acl;
}
static void xattr_extra_isize(struct craft *c)
{
	put_le16((uint8_t *)inode_of(c, "/xattr/ibody") + 128, 0xffff);
	put_le16((uint8_t *)inode_of(c, "/xattr/both") + 128, 124);
	put_le16((uint8_t *)inode_of(c, "/tiny") + 128, 3);
}
static void xattr_ibody_value(struct craft *c)
{
	uint8_t *e = (uint8_t *)inode_of(c, "/xattr/ibody") + 128 + 32 + 4;

	put_le16(e + 2, 0xfff0);
	e = (uint8_t *)inode_of(c, "/tiny") + 128 + 32 + 4;
	put_le32(e + 8, 0x10000);
}

/* Inodes. */

static void inode_size_huge(struct craft *c)
{
	inode_of(c, "/flat")->i_size = htole32(0xffffffff);
	inode_of(c, "/flat")->i_size_high = htole32(0x7fffffff);
	inode_of(c, "/deep")->i_size_high = htole32(0x3ff);
	inode_of(c, "/tiny")->i_size = htole32(100000);
	inode_of(c, "/sym/long")->i_size = htole32(0xffffffff);
	inode_of(c, "/sym/short")->i_size = htole32(5000);
}
static void inode_size_0(struct craft *c)
{
	inode_of(c, "/flat")->i_size = 0;
	inode_of(c, "/tiny")->i_size = 0;
	inode_of(c, "/sym/long")->i_size = 0;
	inode_of(c, "/sym/short")->i_size = 0;
}
static void inode_flags_all(struct craft *c)
{
	inode_of(c, "/flat")->i_flags = htole32(0xffffffff);
	inode_of(c, "/lin")->i_flags = htole32(EXT4_INLINE_DATA_FL);
	inode_of(c, "/deep")->i_flags = htole32(EXT4_INLINE_DATA_FL);
	inode_of(c, "/sym/long")->i_flags = htole32(EXT4_INLINE_DATA_FL);
	inode_of(c, "/hash")->i_flags |= htole32(EXT4_INLINE_DATA_FL);
}
static void inode_no_extents(struct craft *c)
{
	inode_of(c, "/flat")->i_flags = 0;
	inode_of(c, "/deep")->i_flags = 0;
	inode_of(c, "/lin")->i_flags = 0;
}
static void inode_modes(struct craft *c)
{
	inode_of(c, "/flat")->i_mode = htole16(0xffff);
	inode_of(c, "/deep")->i_mode = htole16(S_IFDIR | 0755);
	inode_of(c, "/lin")->i_mode = htole16(S_IFREG | 0644);
	inode_of(c, "/sym")->i_mode = htole16(S_IFLNK | 0777);
	inode_of(c, "/hash")->i_mode = htole16(S_IFREG | 0644);
}
static void inode_links(struct craft *c)
{
	inode_of(c, "/flat")->i_links_count = 0;
	inode_of(c, "/target")->i_links_count = htole16(1);
	inode_of(c, "/lin")->i_links_count = 0;
	inode_of(c, "/lin/full")->i_links_count = htole16(0xffff);
	inode_of(c, "/deep")->i_links_count = htole16(0xffff);
}
static void inode_blocks_0(struct craft *c)
{
	inode_of(c, "/flat")->i_blocks = 0;
	inode_of(c, "/deep")->i_blocks = 0;
	inode_of(c, "/xattr/block")->i_blocks = 0;
}
static void root_is_file(struct craft *c) { inode_by_number(c, EXT2_ROOT_INO)->i_mode = htole16(S_IFREG); }

/* Orphans. */

static void orphan_list(struct craft *c, const char *first, const char *second)
{
	uint32_t ino = unit_meta_ino(c->dev, first);

	unit_super(c->dev)->s_last_orphan = htole32(ino);
	inode_by_number(c, ino)->i_dtime = htole32(unit_meta_ino(c->dev, second));
}
static void orphan_is_next_itself(struct craft *c) { orphan_list(c, "/flat", "/flat"); }
static void orphan_cycle(struct craft *c)
{
	orphan_list(c, "/flat", "/deep");
	inode_of(c, "/deep")->i_dtime = htole32(unit_meta_ino(c->dev, "/flat"));
}
static void orphan_unlinked_cycle(struct craft *c)
{
	orphan_cycle(c);
	inode_of(c, "/deep")->i_links_count = 0;
	inode_of(c, "/flat")->i_links_count = 0;
}
static void orphan_is_directory(struct craft *c) { orphan_list(c, "/lin", "/hash"); }
static void orphan_is_root(struct craft *c) { unit_super(c->dev)->s_last_orphan = htole32(EXT2_ROOT_INO); }
static void orphan_is_journal(struct craft *c) { unit_super(c->dev)->s_last_orphan = htole32(EXT2_JOURNAL_INO); }
static void orphan_is_far(struct craft *c) { unit_super(c->dev)->s_last_orphan = htole32(0xffffffff); }
static void orphan_is_free(struct craft *c) { unit_super(c->dev)->s_last_orphan = htole32(1000); }

/* Bitmaps and descriptors. */

static void bitmaps_filled(struct craft *c, int byte)
{
	for (unsigned i = c->meta->first[META_BITMAP]; i < c->meta->first[META_BITMAP + 1]; i++)
		memset(dev_mem_data(c->dev) + c->meta->ranges[i].off, byte, BS);
}
static void bitmaps_empty(struct craft *c) { bitmaps_filled(c, 0); }
static void bitmaps_full(struct craft *c) { bitmaps_filled(c, 0xff); }
static uint8_t *descriptor(struct craft *c, unsigned group)
{
	return dev_mem_data(c->dev) + c->meta->ranges[c->meta->first[META_GDT]].off + 32 * group;
}
static void groups_share_table(struct craft *c)
{
	memcpy(descriptor(c, 1), descriptor(c, 0), 12);
}
static void group_table_is_bitmap(struct craft *c) { put_le32(descriptor(c, 0) + 8, get_le32(descriptor(c, 0))); }
static void group_counts(struct craft *c)
{
	put_le16(descriptor(c, 0) + 12, 0xffff);
	put_le16(descriptor(c, 1) + 14, 0xffff);
}
static void super_counts(struct craft *c)
{
	unit_super(c->dev)->s_free_blocks_count = 0xffffffff;
	unit_super(c->dev)->s_free_inodes_count = 0xffffffff;
	unit_super(c->dev)->s_r_blocks_count = 0xffffffff;
}

#define CRAFT(f) { #f, f }
static const struct {
	const char *name;
	void (*make)(struct craft *c);
} crafts[] = {
	CRAFT(extent_child_is_itself), CRAFT(extent_all_children_are_one),
	CRAFT(extent_child_is_super), CRAFT(extent_child_is_bitmap), CRAFT(extent_child_is_far),
	CRAFT(extent_deepest), CRAFT(extent_depth_0), CRAFT(extent_many_entries),
	CRAFT(extent_no_entries), CRAFT(extent_overlap), CRAFT(extent_backwards),
	CRAFT(extent_len_0), CRAFT(extent_len_32768), CRAFT(extent_len_65535),
	CRAFT(extent_wraps), CRAFT(extent_of_root_dir),
	CRAFT(dir_len_0), CRAFT(dir_len_odd), CRAFT(dir_len_short), CRAFT(dir_len_long),
	CRAFT(dir_len_max), CRAFT(dir_name_long), CRAFT(dir_name_empty), CRAFT(dir_name_slash),
	CRAFT(dir_name_nul), CRAFT(dir_ino_far), CRAFT(dir_ino_journal), CRAFT(dir_ino_free),
	CRAFT(dir_names_twice), CRAFT(dir_is_its_child), CRAFT(dir_dots_gone),
	CRAFT(dir_parent_wrong), CRAFT(dir_of_files_block), CRAFT(dir_size_0),
	CRAFT(dir_size_odd), CRAFT(dir_size_huge), CRAFT(dir_flagged_indexed),
	CRAFT(dir_index_hidden),
	CRAFT(index_to_root), CRAFT(index_to_one_leaf), CRAFT(index_beyond), CRAFT(index_levels_0),
	CRAFT(index_levels_2), CRAFT(index_levels_255), CRAFT(index_count_0),
	CRAFT(index_count_max), CRAFT(index_limit_max), CRAFT(index_limit_0),
	CRAFT(index_version), CRAFT(index_info_length), CRAFT(index_unsorted),
	CRAFT(index_all_continue),
	CRAFT(xattr_value_beyond), CRAFT(xattr_value_over_names), CRAFT(xattr_value_size),
	CRAFT(xattr_value_inum), CRAFT(xattr_value_inum_self), CRAFT(xattr_name_long),
	CRAFT(xattr_names_endless), CRAFT(xattr_refcount_0), CRAFT(xattr_refcount_max),
	CRAFT(xattr_blocks_99), CRAFT(xattr_is_directory), CRAFT(xattr_block_of_all),
	CRAFT(xattr_extra_isize), CRAFT(xattr_ibody_value),
	CRAFT(inode_size_huge), CRAFT(inode_size_0), CRAFT(inode_flags_all),
	CRAFT(inode_no_extents), CRAFT(inode_modes), CRAFT(inode_links), CRAFT(inode_blocks_0),
	CRAFT(root_is_file),
	CRAFT(orphan_is_next_itself), CRAFT(orphan_cycle), CRAFT(orphan_unlinked_cycle),
	CRAFT(orphan_is_directory), CRAFT(orphan_is_root), CRAFT(orphan_is_journal),
	CRAFT(orphan_is_far), CRAFT(orphan_is_free),
	CRAFT(bitmaps_empty), CRAFT(bitmaps_full), CRAFT(groups_share_table),
	CRAFT(group_table_is_bitmap), CRAFT(group_counts), CRAFT(super_counts),
};

struct craft_case {
	struct craft c;
	unsigned craft, walk;
};

/* The first walk only looks. */
static int craft_case(void *arg)
{
	struct craft_case *cc = arg;
	struct fs_options opt = { .errors = FS_ERRORS_CONTINUE, .cache_bytes = CACHE_BYTES,
				  .readonly = cc->walk == 0 };
	struct fs *fs;
	int err;

	crafts[cc->craft].make(&cc->c);
	err = unit_fs_open(cc->c.dev, &opt, &fs);
	UNIT_CHECK(err <= 0 && err >= -4095, "fs_open returned %d", err);
	if (err)
		return UNIT_PASS;
	unit_walk(fs, cc->walk);
	err = fs_close(fs);
	UNIT_CHECK(err <= 0 && err >= -4095, "fs_close returned %d", err);
	return UNIT_PASS;
}

static int craft_job(void *arg, unsigned i)
{
	struct craft_case cc = { .c = *(struct craft *)arg, .craft = i };
	const char *only = getenv("UNIT_OP");
	int bad = 0;

	if (only && strcmp(only, crafts[i].name))
		return 0;
	for (cc.walk = 0; cc.walk < unit_env("UNIT_SEEDS", WALKS); cc.walk++) {
		if (unit_fork(craft_case, &cc, CASE_SECONDS, MAX_MBYTES) == UNIT_PASS)
			continue;
		fprintf(stderr, "UNIT_OP=%s failed (walk %u)\n", crafts[i].name, cc.walk);
		bad = 1;
	}
	return bad;
}

static void test_crafts(void **state)
{
	struct craft c = { .dev = unit_mkfs_populated(IMAGE_SIZE, "-t ext4 -b 1024 -g 4096 -N 1024 "
					"-O ^has_journal,^metadata_csum,^uninit_bg,^64bit,inline_data") };

	c.meta = unit_meta_scan(c.dev);
	assert_int_equal(unit_fork_all(craft_job, &c, ARRAY_LEN(crafts)), 0);
	unit_meta_free(c.meta);
	blkdev_close(c.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crafts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
