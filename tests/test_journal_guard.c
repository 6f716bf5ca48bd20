/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal's blocks belong to the journal: no file, tree, directory or bitmap gets at
 * them, and a journal that lies where it must not is refused by name.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "group.h"
#include "inode.h"
#include "recover.h"
#include "unit_image.h"
#include "unit_tree.h"

enum { MIB = 1 << 20, BS = 1024 };

/* What the mount says, warnings and errors. */
struct said {
	char text[2000];
};

static void listen(void *arg, enum fs_log level, const char *line)
{
	struct said *said = arg;
	size_t used = strlen(said->text);

	if (level != FS_LOG_INFO)
		snprintf(said->text + used, sizeof(said->text) - used, "%s\n", line);
}

static int try_open(struct blkdev *dev, bool readonly, struct said *said, struct fs **ret)
{
	struct fs_options opt = {
		.readonly = readonly, .errors = FS_ERRORS_CONTINUE, .log = listen,
		.log_arg = said,
	};

	said->text[0] = '\0';
	return fs_open(dev, &opt, ret, said->text, sizeof(said->text));
}

static uint64_t first_block_of(struct blkdev *dev, const char *what)
{
	AUTOFREE char *blocks = NULL;
	char ask[64];

	snprintf(ask, sizeof(ask), "blocks %s", what);
	blocks = unit_debugfs_ask(dev, ask);
	return strtoull(blocks, NULL, 10);
}

/* A file, a directory and a tree whose blocks are the journal's. */
static void nobody_maps_the_journal(void **state)
{
	struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext2 -b 1024 -j -J size=1");
	uint64_t mine = first_block_of(dev, "<8>") + 100;
	uint8_t before[4 * BS];
	struct said said;
	struct fs *fs = unit_fs_must_open(dev, NULL);
	char cmd[300];

	assert_int_equal(unit_make(fs, "/f", S_IFREG | 0644, NULL), 0);
	assert_int_equal(unit_write(fs, "/f", 0, 20 * BS, 1), 0);
	assert_int_equal(unit_make(fs, "/d", S_IFDIR | 0755, NULL), 0);
	assert_int_equal(fs_close(fs), 0);
	snprintf(cmd, sizeof(cmd), "sif /f block[0] %llu\nsif /f block[IND] %llu\n"
		 "sif /d block[0] %llu\n", (unsigned long long)mine,
		 (unsigned long long)mine + 1, (unsigned long long)mine + 2);
	unit_debugfs(dev, cmd);
	memcpy(before, dev_mem_data(dev) + mine * BS, sizeof(before));
	assert_int_equal(try_open(dev, false, &said, &fs), 0);
	assert_int_equal(unit_verify(fs, "/f", 0, BS, 1), -EUCLEAN);
	assert_int_equal(unit_write(fs, "/f", 0, BS, 2), -EUCLEAN);
	assert_int_equal(unit_write(fs, "/f", 15 * BS, BS, 2), -EUCLEAN);
	assert_true(unit_readdir(fs, "/d") <= 2);	/* the dots come from elsewhere */
	assert_int_equal(unit_make(fs, "/d/x", S_IFREG | 0644, NULL), -EUCLEAN);
	assert_true(unit_truncate(fs, "/f", 0) <= 0);
	(void)unit_unlink(fs, "/f");
	fs_close(fs);
	assert_memory_equal(before, dev_mem_data(dev) + mine * BS, sizeof(before));
	blkdev_close(dev);
}

/* Bits that say the journal is free give nobody its blocks. */
static void a_bitmap_cannot_free_the_journal(void **state)
{
	struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext4 -b 1024 -J size=1 -O ^metadata_csum");
	uint64_t mine = first_block_of(dev, "<8>");
	struct said said;
	struct fs *fs;
	char cmd[100];
	int err = 0;

	snprintf(cmd, sizeof(cmd), "freeb %llu 500\n", (unsigned long long)mine);
	unit_debugfs(dev, cmd);
	assert_int_equal(try_open(dev, false, &said, &fs), 0);
	while (!err) {
		uint64_t pblk;
		uint32_t len;

		err = balloc_reserve(fs, mine, 500, true, &pblk, &len);
		if (!err)
			assert_true(pblk + len <= mine || pblk >= mine + 1024);
	}
	assert_int_equal(err, -ENOSPC);
	fs_close(fs);
	blkdev_close(dev);
}

static void assert_refused_rw(struct blkdev *dev, const char *name)
{
	struct said said;
	struct fs *fs;

	assert_int_equal(try_open(dev, false, &said, &fs), -EUCLEAN);
	if (!strstr(said.text, "journal") || !strstr(said.text, name))
		fail_msg("'%s' does not say '%s'", said.text, name);
	assert_int_equal(try_open(dev, true, &said, &fs), 0);
	assert_non_null(strstr(said.text, "journal"));
	assert_int_equal(unit_readdir(fs, "/"), 3);
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
}

/* On the inode table, and on the descriptors. */
static void a_journal_over_metadata_is_refused(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext3 -b 1024 -J size=1");
		struct said said;
		uint64_t at = 2;
		char cmd[64];
		struct fs *fs;

		if (i) {
			assert_int_equal(try_open(dev, true, &said, &fs), 0);
			uint32_t off;

			assert_int_equal(group_inode_loc(fs, 100, &at, &off), 0);
			assert_int_equal(fs_close(fs), 0);
		}
		snprintf(cmd, sizeof(cmd), "sif <8> block[3] %llu\n", (unsigned long long)at);
		unit_debugfs(dev, cmd);
		assert_refused_rw(dev, "lies over metadata");
	}
}

static void a_hostile_journal_inode_is_refused(void **state)
{
	static const struct { const char *change, *name; } cases[] = {
		{ "sif <8> size 524288", "impossible size" },
		{ "sif <8> size 0x7fffffff000", "impossible size" },
		{ "sif <8> block[2] 0", "hole" },
		{ "sif <8> block[2] 1000000", "out of range" },
		{ "sif <8> mode 040755", "not a plain file" },
		{ "sif <8> block[IND] 0", "hole" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext3 -b 1024 -J size=1");

		unit_debugfs(dev, cases[i].change);
		assert_refused_rw(dev, cases[i].name);
	}
	for (int i = 0; i < 2; i++) {
		struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext3 -b 1024 -J size=1");
		uint64_t first = first_block_of(dev, "<8>");
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "sif <8> block[5] %llu\n", (unsigned long long)first + i);
		unit_debugfs(dev, cmd);
		assert_refused_rw(dev, "used twice");
	}
}

/* The journal's own inode is never served. */
static void the_journal_is_not_a_file(void **state)
{
	struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext4 -b 1024");
	struct fs *fs = unit_fs_must_open(dev, NULL);
	struct inode *inode;

	assert_true(inode_get(fs, EXT2_JOURNAL_INO, &inode) < 0);
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
}

/* Refused for writing with the ways out; readable, and if it is dirty, as it is. */
static void an_external_journal_is_refused(void **state)
{
	struct blkdev *dev = unit_mkfs(16 * MIB, "-t ext4 -b 1024");
	struct fs_options norecovery = { .norecovery = true };
	struct said said;
	struct fs *fs;

	unit_debugfs(dev, "ssv journal_inum 0\nssv journal_dev 0x701\n");
	assert_int_equal(try_open(dev, false, &said, &fs), -EROFS);
	assert_non_null(strstr(said.text, "journal is on another device"));
	assert_non_null(strstr(said.text, "tune2fs"));
	assert_int_equal(try_open(dev, true, &said, &fs), 0);
	assert_int_equal(unit_readdir(fs, "/"), 3);
	assert_int_equal(fs_close(fs), 0);
	unit_debugfs(dev, "feature needs_recovery\n");
	assert_true(try_open(dev, true, &said, &fs) < 0);
	assert_non_null(strstr(said.text, "journal is on another device"));
	assert_int_equal(unit_fs_open(dev, &norecovery, &fs), 0);
	assert_int_equal(unit_readdir(fs, "/"), 3);
	assert_int_equal(fs_close(fs), 0);
	blkdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_maps_the_journal),
		cmocka_unit_test(a_bitmap_cannot_free_the_journal),
		cmocka_unit_test(a_journal_over_metadata_is_refused),
		cmocka_unit_test(a_hostile_journal_inode_is_refused),
		cmocka_unit_test(the_journal_is_not_a_file),
		cmocka_unit_test(an_external_journal_is_refused),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
