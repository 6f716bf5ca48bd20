/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journals made by hand: descriptor, revoke and commit blocks in every format, at any place
 * of the ring. Include after cmocka.h.
 */
#ifndef TESTS_RECOVER_FORGE_H
#define TESTS_RECOVER_FORGE_H

#include "csum.h"
#include "jbd2_format.h"
#include "recover_fixture.h"

/* A journal made by hand. */
struct forge {
	int fd;
	uint32_t bs;
	uint32_t pblk[32768];	/* of its blocks */
	struct jbd2_super super;
	uint32_t incompat, compat, seed;
	uint32_t first, end;
	uint32_t pos, tid;
	uint32_t crc;		/* v1 */
	uint64_t time;
	uint32_t fill;		/* content of the next block */
};

__attribute__((unused))
static void forge_put(struct forge *f, uint32_t lblk, const void *data)
{
	assert_int_equal(pwrite(f->fd, data, f->bs, (uint64_t)f->pblk[lblk] * f->bs), f->bs);
}

__attribute__((unused))
static uint32_t forge_next(struct forge *f, const void *data)
{
	uint32_t at = f->pos;

	forge_put(f, at, data);
	if (++f->pos == f->end)
		f->pos = f->first;
	return at;
}

__attribute__((unused))
static void forge_super(struct forge *f)
{
	uint8_t block[65536] = { 0 };

	f->super.s_checksum = 0;
	if (f->incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3))
		f->super.s_checksum = htobe32(csum_crc32c(~0U, &f->super, sizeof(f->super)));
	memcpy(block, &f->super, sizeof(f->super));
	forge_put(f, 0, block);
}

__attribute__((unused))
static void forge_open(struct forge *f, const struct image *img, uint32_t compat,
		       uint32_t incompat, uint32_t start, uint32_t tid)
{
	char name[IOMGR_NAME_SIZE];
	struct blkdev *dev;
	ext2_filsys e2;
	blk64_t pblk;

	assert_int_equal(file_dev_open(img->path, -1, false, &dev), 0);
	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS, 0, 0, iomgr_blkdev(), &e2), 0);
	memset(f, 0, sizeof(*f));
	f->bs = e2->blocksize;
	for (uint32_t i = 0; i < ARRAY_LEN(f->pblk); i++) {
		assert_int_equal(ext2fs_bmap2(e2, 8, NULL, NULL, 0, i, NULL, &pblk), 0);
		f->pblk[i] = pblk;
		if (!pblk)
			break;
	}
	ext2fs_free(e2);
	blkdev_close(dev);
	f->fd = open(img->path, O_RDWR);
	assert_true(f->fd >= 0);
	assert_int_equal(pread(f->fd, &f->super, sizeof(f->super), (uint64_t)f->pblk[0] * f->bs),
			 sizeof(f->super));
	f->compat = compat;
	f->incompat = incompat | JBD2_INCOMPAT_REVOKE;
	f->super.s_feature_compat = htobe32(compat);
	f->super.s_feature_incompat = htobe32(f->incompat);
	if (incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3))
		f->super.s_checksum_type = JBD2_CRC32C;
	f->super.s_start = htobe32(start);
	f->super.s_sequence = htobe32(tid);
	f->first = be32toh(f->super.s_first);
	f->end = be32toh(f->super.s_maxlen);
	if (start > f->end)
		f->super.s_start = htobe32(start = f->end - 7);
	f->pos = start;
	f->tid = tid;
	f->crc = ~0U;
	f->time = 1000000;
	f->seed = csum_crc32c(~0U, f->super.s_uuid, 16);
	forge_super(f);
}

/* Sets needs_recovery, too. */
__attribute__((unused))
static void forge_close(struct forge *f, const struct image *img)
{
	close(f->fd);
	assert_int_equal(image_run("debugfs -w -R 'feature needs_recovery' %s", img->path), 0);
}

__attribute__((unused))
static void forge_header(struct forge *f, void *block, uint32_t type)
{
	struct jbd2_header head = { htobe32(JBD2_MAGIC), htobe32(type), htobe32(f->tid) };

	memcpy(block, &head, sizeof(head));
}

__attribute__((unused))
static void forge_tail(struct forge *f, uint8_t *block)
{
	uint32_t sum;

	if (!jbd2_tail_size(f->incompat))
		return;
	sum = htobe32(csum_crc32c(f->seed, block, f->bs));
	memcpy(block + f->bs - 4, &sum, 4);
}

/* The next block's content; every third has to be escaped. */
__attribute__((unused))
static bool forge_data(struct forge *f, uint8_t *block)
{
	uint32_t magic = htobe32(JBD2_MAGIC);

	memset(block, 0x40 + f->fill % 64, f->bs);
	memcpy(block + 8, &f->fill, sizeof(f->fill));
	if (f->fill++ % 3)
		return false;
	memcpy(block, &magic, 4);
	return true;
}

/* Logs blocks home[0..n). They fit one descriptor. */
__attribute__((unused))
static void forge_blocks(struct forge *f, const uint64_t *home, unsigned n)
{
	uint8_t desc[65536] = { 0 };
	AUTOFREE uint8_t *data = malloc((size_t)n * f->bs);
	uint32_t tid_be = htobe32(f->tid);
	size_t pos = sizeof(struct jbd2_header);

	forge_header(f, desc, JBD2_DESCRIPTOR);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *block = data + (size_t)i * f->bs;
		uint32_t flags = (i ? JBD2_TAG_SAME_UUID : 0) | (i == n - 1 ? JBD2_TAG_LAST : 0);
		uint32_t sum;

		if (forge_data(f, block)) {
			flags |= JBD2_TAG_ESCAPE;
			memset(block, 0, 4);
		}
		sum = csum_crc32c(csum_crc32c(f->seed, &tid_be, 4), block, f->bs);
		if (f->incompat & JBD2_INCOMPAT_CSUM_V3) {
			struct jbd2_tag3 tag = { htobe32(home[i]), htobe32(flags),
						 htobe32(home[i] >> 32), htobe32(sum) };
			memcpy(desc + pos, &tag, sizeof(tag));
		} else {
			struct jbd2_tag tag = { htobe32(home[i]), htobe16(sum), htobe16(flags),
						htobe32(home[i] >> 32) };
			if (!(f->incompat & JBD2_INCOMPAT_CSUM_V2))
				tag.t_checksum = 0;
			memcpy(desc + pos, &tag, sizeof(tag));
			if (!(f->incompat & JBD2_INCOMPAT_64BIT))
				memset(desc + pos + 8, 0, 4);
		}
		pos += jbd2_tag_size(f->incompat) + (i ? 0 : 16);
	}
	forge_tail(f, desc);
	f->crc = ext2fs_crc32_be(f->crc, desc, f->bs);
	forge_next(f, desc);
	for (unsigned i = 0; i < n; i++) {
		f->crc = ext2fs_crc32_be(f->crc, data + (size_t)i * f->bs, f->bs);
		forge_next(f, data + (size_t)i * f->bs);
	}
}

__attribute__((unused))
static void forge_revoke(struct forge *f, const uint64_t *pblk, unsigned n)
{
	uint8_t block[65536] = { 0 };
	size_t pos = sizeof(struct jbd2_revoke);

	forge_header(f, block, JBD2_REVOKE);
	for (unsigned i = 0; i < n; i++) {
		uint64_t wide = htobe64(pblk[i]);
		uint32_t narrow = htobe32(pblk[i]);
		bool is_wide = f->incompat & JBD2_INCOMPAT_64BIT;

		memcpy(block + pos, is_wide ? (void *)&wide : (void *)&narrow, is_wide ? 8 : 4);
		pos += is_wide ? 8 : 4;
	}
	((struct jbd2_revoke *)block)->r_count = htobe32(pos);
	forge_tail(f, block);
	forge_next(f, block);
}

/* Returns where the commit block is. */
__attribute__((unused))
static uint32_t forge_commit(struct forge *f)
{
	uint8_t block[65536] = { 0 };
	struct jbd2_commit *head = (void *)block;
	uint32_t at;

	forge_header(f, block, JBD2_COMMIT);
	head->h_commit_sec = htobe64(f->time++);
	if (f->compat & JBD2_COMPAT_CHECKSUM) {
		head->h_chksum_type = JBD2_CRC32;
		head->h_chksum_size = 4;
		head->h_chksum[0] = htobe32(f->crc);
	} else if (jbd2_tail_size(f->incompat)) {
		head->h_chksum[0] = htobe32(csum_crc32c(f->seed, block, f->bs));
	}
	at = forge_next(f, block);
	f->crc = ~0U;
	f->tid++;
	return at;
}

__attribute__((unused))
static void forge_flip(struct forge *f, uint32_t lblk, uint32_t off)
{
	uint64_t at = (uint64_t)f->pblk[lblk] * f->bs + off;
	uint8_t byte;

	assert_int_equal(pread(f->fd, &byte, 1, at), 1);
	byte ^= 0x55;
	assert_int_equal(pwrite(f->fd, &byte, 1, at), 1);
}

#endif
