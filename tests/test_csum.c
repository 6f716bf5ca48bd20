/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums against images that mke2fs, debugfs and e2fsck made, and hostile layouts. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "csum.h"

enum { NKINDS = BUF_ORPHAN + 1 };

/* An image under test, and how many blocks of each kind were found good. */
struct image {
	char dir[64], path[96];
	ext2_filsys e2;
	struct fs fs;
	uint8_t *block;
	uint32_t ino, seed;
	unsigned found[NKINDS], inodes;
};

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		fail_msg("%s", cmd);
}

/* A file with holes enough for an extent block, directories linear and indexed, and an
 * attribute too large for the inode. */
static void make_content(const struct image *im, unsigned names)
{
	char path[128];
	int fd;

	shell("cd %s && mkdir tree tree/big tree/small && cd tree/big && "
	      "seq -f 'a-rather-long-name-to-fill-blocks-%%06g' %u | xargs touch", im->dir, names);
	snprintf(path, sizeof(path), "%s/tree/holes", im->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	for (off_t i = 1; i < 600; i += 2)
		assert_int_equal(pwrite(fd, "x", 1, i * 65536), 1);
	close(fd);
}

/* How many names fill a few blocks, or for the smallest a two-level index. */
static unsigned names_for(unsigned bs)
{
	return bs == 1024 ? 3000 : bs / 16;
}

static void make_image(struct image *im, unsigned bs, unsigned isize, const char *features)
{
	snprintf(im->dir, sizeof(im->dir), "%s/f4t-csum-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(im->dir));
	snprintf(im->path, sizeof(im->path), "%s/img", im->dir);
	make_content(im, names_for(bs));
	shell("PATH=$PATH:/usr/sbin:/sbin; mke2fs -q -F -t ext4 -N 8192 -b %u -I %u "
	      "-O %s -d %s/tree %s %u >%s/log 2>&1", bs, isize, features, im->dir,
	      im->path, bs == 65536 ? 4096 : 65536 * 1024 / bs, im->dir);
	shell("cd %s && head -c 900 /dev/zero >value && PATH=$PATH:/usr/sbin:/sbin && "
	      "debugfs -w -R 'ea_set -f value small user.a' img >log 2>&1", im->dir);
	/* -D gives the big directory its index. */
	shell("cd %s; PATH=$PATH:/usr/sbin:/sbin; e2fsck -fyD img >log 2>&1; [ $? -le 1 ] && "
	      "e2fsck -fn img >log 2>&1", im->dir);
}

static void open_image(struct image *im)
{
	ext2_filsys e2;
	struct fs *fs = &im->fs;

	assert_int_equal(ext2fs_open2(im->path, "", EXT2_FLAG_64BITS | EXT2_FLAG_RW, 0, 0, unix_io_manager,
				      &im->e2), 0);
	e2 = im->e2;
	fs->block_size = e2->blocksize;
	fs->inode_size = EXT2_INODE_SIZE(e2->super);
	fs->blocks_count = ext2fs_blocks_count(e2->super);
	fs->csum_seed = e2->csum_seed;
	fs->has_csum = ext2fs_has_feature_metadata_csum(e2->super);
	im->block = malloc(fs->block_size);
	assert_non_null(im->block);
}

static void remove_image(struct image *im)
{
	ext2fs_close_free(&im->e2);
	free(im->block);
	shell("rm -rf %s", im->dir);
}

/* Good as it is; bad when damaged; sealing the damaged gives what a repair would. */
static void check_block(struct image *im, enum buf_kind kind, uint64_t pblk)
{
	struct fs *fs = &im->fs;
	uint8_t *d = im->block;

	assert_int_equal(io_channel_read_blk64(im->e2->io, pblk, 1, d), 0);
	if (!csum_verify(fs, kind, im->seed, pblk, d))
		fail_msg("inode %u block %lu kind %d", im->ino, (unsigned long)pblk, kind);
	im->found[kind]++;
	/* In a dx root this is a part of the "." name, everywhere else content. */
	d[9] ^= 4;
	assert_false(csum_verify(fs, kind, im->seed, pblk, d));
	d[9] ^= 4;
	if (kind != BUF_XATTR)
		assert_false(csum_verify(fs, kind, im->seed + 1, pblk, d));
	if (kind == BUF_XATTR || kind == BUF_ORPHAN)
		assert_false(csum_verify(fs, kind, im->seed, pblk + 1, d));
	csum_seal(fs, kind, im->seed + 1, pblk + 1, d);
	csum_seal(fs, kind, im->seed, pblk, d);
	assert_true(csum_verify(fs, kind, im->seed, pblk, d));
	assert_int_equal(io_channel_write_blk64(im->e2->io, pblk, 1, d), 0);
}

static void check_extents(struct image *im, const uint8_t *node, unsigned depth)
{
	unsigned n = get_le16(node + 2);

	if (get_le16(node + 6) == 0)
		return;
	assert_true(depth < 5);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *idx = node + 12 + 12 * i;
		uint64_t pblk = get_le32(idx + 4) | (uint64_t)get_le16(idx + 8) << 32;
		uint8_t *child = malloc(im->fs.block_size);

		assert_non_null(child);
		check_block(im, BUF_EXTENT, pblk);
		memcpy(child, im->block, im->fs.block_size);
		check_extents(im, child, depth + 1);
		free(child);
	}
}

/* The kernel's rule: an indexed directory's root is block 0; a block that is one empty
 * entry is an interior node. */
static int check_dir_block(ext2_filsys e2, blk64_t *pblk, e2_blkcnt_t lblk, blk64_t ref,
			   int off, void *arg)
{
	struct image *im = arg;
	struct ext2_inode inode;
	bool dx;

	if (lblk < 0)
		return 0;
	assert_int_equal(ext2fs_read_inode(e2, im->ino, &inode), 0);
	assert_int_equal(io_channel_read_blk64(e2->io, *pblk, 1, im->block), 0);
	dx = (inode.i_flags & EXT2_INDEX_FL) &&
	     (lblk == 0 || (get_le32(im->block) == 0 &&
			    get_le16(im->block + 4) % 65532 == e2->blocksize % 65532));
	check_block(im, dx ? BUF_DX : BUF_DIR, *pblk);
	return 0;
}

static int check_orphan_block(ext2_filsys e2, blk64_t *pblk, e2_blkcnt_t lblk, blk64_t ref,
			      int off, void *arg)
{
	if (lblk >= 0)
		check_block(arg, BUF_ORPHAN, *pblk);
	return 0;
}

static void check_inode_csum(struct image *im, uint8_t *raw)
{
	struct fs *fs = &im->fs;
	uint8_t *copy = malloc(fs->inode_size);

	assert_non_null(copy);
	memcpy(copy, raw, fs->inode_size);
	if (!csum_inode_verify(fs, im->seed, im->ino, raw))
		fail_msg("inode %u", im->ino);
	raw[fs->inode_size - 1] ^= 1;
	assert_false(csum_inode_verify(fs, im->seed, im->ino, raw));
	csum_inode_seal(fs, im->seed, im->ino, raw);
	assert_true(csum_inode_verify(fs, im->seed, im->ino, raw));
	raw[fs->inode_size - 1] ^= 1;
	csum_inode_seal(fs, im->seed, im->ino, raw);
	assert_memory_equal(raw, copy, fs->inode_size);
	free(copy);
	im->inodes++;
}

static void check_inode(struct image *im, struct ext2_inode *inode)
{
	im->seed = csum_inode_seed(&im->fs, im->ino, inode->i_generation);
	check_inode_csum(im, (uint8_t *)inode);
	if (inode->i_flags & EXT4_EXTENTS_FL)
		check_extents(im, (uint8_t *)inode->i_block, 0);
	if (inode->i_file_acl)
		check_block(im, BUF_XATTR, inode->i_file_acl);
	if (LINUX_S_ISDIR(inode->i_mode) && !(inode->i_flags & EXT4_INLINE_DATA_FL))
		assert_int_equal(ext2fs_block_iterate3(im->e2, im->ino, BLOCK_FLAG_READ_ONLY, NULL,
						       check_dir_block, im), 0);
	if (im->ino == im->e2->super->s_orphan_file_inum)
		assert_int_equal(ext2fs_block_iterate3(im->e2, im->ino, BLOCK_FLAG_READ_ONLY, NULL,
						       check_orphan_block, im), 0);
}

static void check_image(unsigned bs, unsigned isize, const char *features)
{
	struct image im = { 0 };
	uint8_t *raw = malloc(isize);

	assert_non_null(raw);
	make_image(&im, bs, isize, features);
	open_image(&im);
	for (uint32_t ino = 1; ino <= im.e2->super->s_inodes_count; ino++) {
		struct ext2_inode *inode = (void *)raw;

		assert_int_equal(ext2fs_read_inode_full(im.e2, ino, inode, isize), 0);
		im.ino = ino;
		if (inode->i_links_count)
			check_inode(&im, inode);
	}
	assert_true(im.inodes > names_for(bs));
	for (int kind = BUF_DIR; kind < NKINDS; kind++)
		if (!im.found[kind] && (kind != BUF_ORPHAN || im.e2->super->s_orphan_file_inum))
			fail_msg("no block of kind %d seen", kind);
	/* What was sealed here satisfies the judge. */
	shell("cd %s && PATH=$PATH:/usr/sbin:/sbin && e2fsck -fn img >log 2>&1", im.dir);
	remove_image(&im);
	free(raw);
}

static void images_of_1k_blocks(void **state)
{
	check_image(1024, 128, "metadata_csum,orphan_file");
}

static void images_of_4k_blocks_with_a_stored_seed(void **state)
{
	check_image(4096, 256, "metadata_csum,metadata_csum_seed,orphan_file");
}

static void images_with_large_inodes(void **state)
{
	check_image(2048, 1024, "metadata_csum,^64bit");
}

static void images_of_64k_blocks(void **state)
{
	check_image(65536, 256, "metadata_csum,orphan_file");
}

static void both_ways_to_compute_agree(void **state)
{
	uint8_t data[4096 + 16];
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rand_r(&seed);
	for (unsigned i = 0; i < 3000; i++) {
		size_t off = rand_r(&seed) % 16, len = rand_r(&seed) % (i % 2 ? 64 : 4096);
		uint32_t crc = rand_r(&seed) * 2654435761u;

		assert_int_equal(csum_crc32c(crc, data + off, len),
				 ext2fs_crc32c_le(crc, data + off, len));
	}
}

static void without_the_feature_everything_is_right(void **state)
{
	struct fs fs = { .block_size = 1024, .inode_size = 256 };
	uint8_t block[1024] = { 1, 2, 3 }, copy[1024];

	memcpy(copy, block, sizeof(copy));
	for (int kind = 0; kind < NKINDS; kind++) {
		assert_true(csum_verify(&fs, kind, 1, 1, block));
		csum_seal(&fs, kind, 1, 1, block);
	}
	assert_true(csum_inode_verify(&fs, 1, 1, block));
	csum_inode_seal(&fs, 1, 1, block);
	assert_memory_equal(block, copy, sizeof(copy));
}

/* Blocks whose fields are as bad as can be, on the heap so that a step outside is seen. */
static void hostile_layouts_are_wrong_and_left_alone(void **state)
{
	static const uint16_t values[] = { 0, 1, 8, 12, 60, 84, 85, 124, 125, 340, 508, 509,
					   1012, 1024, 4096, 8190, 32768, 65524, 65535 };
	const unsigned sizes[] = { 1024, 4096, 65536 };
	unsigned seed = 3;

	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++) {
		struct fs fs = { .block_size = sizes[s], .has_csum = true };
		uint8_t *b = malloc(sizes[s]), *before = malloc(sizes[s]);

		assert_true(b && before);
		for (unsigned i = 0; i < 4000; i++) {
			enum buf_kind kind = rand_r(&seed) % NKINDS;
			static const uint8_t places[] = { 0, 2, 4, 6, 8, 10, 16, 24, 28, 32, 34 };

			memset(b, rand_r(&seed) % 2 ? 0xff : 0, sizes[s]);
			for (unsigned k = 0; k < ARRAY_LEN(places); k++)
				put_le16(b + places[k],
					 values[rand_r(&seed) % ARRAY_LEN(values)]);
			if (kind == BUF_EXTENT)
				put_le16(b, EXT3_EXT_MAGIC);
			if (kind == BUF_DX && i % 2)
				put_le16(b + 4, sizes[s] & 65535);
			memcpy(before, b, sizes[s]);
			csum_seal(&fs, kind, 1, 1, b);
			if (memcmp(before, b, sizes[s]) != 0)
				assert_true(csum_verify(&fs, kind, 1, 1, b));
			else if (kind != BUF_RAW)
				assert_false(csum_verify(&fs, kind, 1, 1, b));
		}
		free(b);
		free(before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_to_compute_agree),
		cmocka_unit_test(without_the_feature_everything_is_right),
		cmocka_unit_test(hostile_layouts_are_wrong_and_left_alone),
		cmocka_unit_test(images_of_1k_blocks),
		cmocka_unit_test(images_of_4k_blocks_with_a_stored_seed),
		cmocka_unit_test(images_with_large_inodes),
		cmocka_unit_test(images_of_64k_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
