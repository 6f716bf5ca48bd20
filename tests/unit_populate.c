/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree with one of everything, built by mke2fs, debugfs and e2fsck, so that a test of
 * the engine does not start from what the engine wrote.
 *
 *	/lin/f00 .. f23     small files in a linear directory
 *	/lin/d0 .. d3       empty directories; /lin/full holds a file
 *	/hash               3000 names in a hash-indexed directory, hard links of /target
 *	/hash/own0 .. own7  files of their own
 *	/deep               a fragmented file: its map has more than one level
 *	/flat               600 KiB in a row
 *	/sparse             a hole of 1 MiB, then data
 *	/sym/short, /sym/long
 *	/xattr/ibody, /xattr/block, /xattr/both (the first has an ea_inode where the image can)
 *	/tiny, /small       20 and 120 bytes, inline where the image can
 *	/synced             64 KiB that no test changes
 *	/orphan             (inode on the orphan list, no name)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit_image.h"
#include "unit_ops.h"

enum { HASH_NAMES = 3000, DEEP_EXTENTS = 700, DEEP_STEP = 8192, LONG_TARGET = 300, HUGE_VALUE = 9000 };

static void put_file(int dir, const char *name, size_t len, uint64_t off)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	uint8_t buf[1024];

	for (size_t done = 0; done < len; done += sizeof(buf)) {
		unit_pattern(buf, sizeof(buf), off + done);
		if (pwrite(fd, buf, MIN(len - done, sizeof(buf)), (off_t)(off + done)) < 0)
			unit_die("%s: %s", name, strerror(errno));
	}
	close(fd);
}

static void put_fragments(int dir, const char *name)
{
	for (unsigned i = 0; i < DEEP_EXTENTS; i++)
		put_file(dir, name, 1024, (uint64_t)i * DEEP_STEP);
}

static void put_names(int dir)
{
	char name[64];

	put_file(dir, "target", 100, 0);
	if (mkdirat(dir, "hash", 0755))
		unit_die("mkdir: %s", strerror(errno));
	for (unsigned i = 0; i < HASH_NAMES; i++) {
		snprintf(name, sizeof(name), "hash/a-rather-long-name-in-the-index-%05u", i);
		if (linkat(dir, "target", dir, name, 0))
			unit_die("link: %s", strerror(errno));
	}
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "hash/own%u", i);
		put_file(dir, name, 5000, 0);
	}
}

static void put_tree(int dir)
{
	static const char *const dirs[] = { "lin", "lin/d0", "lin/d1", "lin/d2", "lin/d3",
					    "lin/full", "sym", "xattr" };
	char name[64], target[LONG_TARGET + 1];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (mkdirat(dir, dirs[i], 0755))
			unit_die("mkdir: %s", strerror(errno));
	for (unsigned i = 0; i < 24; i++) {
		snprintf(name, sizeof(name), "lin/f%02u", i);
		put_file(dir, name, i * 300, 0);
	}
	put_file(dir, "lin/full/file", 10, 0);
	put_names(dir);
	put_fragments(dir, "deep");
	put_file(dir, "flat", 600 << 10, 0);
	put_file(dir, "sparse", 3000, 1 << 20);
	memset(target, 't', LONG_TARGET);
	target[LONG_TARGET] = '\0';
	if (symlinkat("short-target", dir, "sym/short") || symlinkat(target, dir, "sym/long"))
		unit_die("symlink: %s", strerror(errno));
	put_file(dir, "xattr/ibody", 10, 0);
	put_file(dir, "xattr/block", 10, 0);
	put_file(dir, "xattr/both", 10, 0);
	put_file(dir, "tiny", 20, 0);
	put_file(dir, "small", 120, 0);
	put_file(dir, "synced", 64 << 10, 0);
	put_file(dir, "orphan", 20 << 10, 0);
}

static void add_xattrs(struct blkdev *dev)
{
	char script[4096], big[401];
	int fd = memfd_create("value", 0);

	if (ftruncate(fd, HUGE_VALUE))
		unit_die("no memory");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	snprintf(script, sizeof(script),
		 "ea_set /xattr/ibody user.a 1234\n"
		 "ea_set /xattr/block user.big %s\n"
		 "ea_set /xattr/both user.a 1234\n"
		 "ea_set /xattr/both user.big %s\n"
		 "ea_set /xattr/both user.more %s\n"
		 /* More than a block, where the image can. */
		 "ea_set -f /proc/%d/fd/%d /xattr/ibody user.huge\n", big, big, big, getpid(), fd);
	unit_debugfs(dev, script);
	close(fd);
}

/* Takes the name away and leaves the inode as a crash with the file open would. */
static void add_orphan(struct blkdev *dev)
{
	AUTOFREE char *text = unit_debugfs_ask(dev, "stat /orphan");
	char script[256];
	unsigned ino;

	if (sscanf(text, "Inode: %u", &ino) != 1)
		unit_die("debugfs: %s", text);
	snprintf(script, sizeof(script),
		 "unlink /orphan\nsif <%u> links_count 0\nsif <%u> dtime 0\nssv last_orphan %u\n",
		 ino, ino, ino);
	unit_debugfs(dev, script);
}

struct blkdev *unit_crashed(struct blkdev *dev)
{
	static const char *const names[] = { "truncate_deep", "htree_split", "unlink_xattr",
					     "rename_exchange", "xattr_big", "rmdir_empty", "write_mib",
					     "reuse" };
	struct blkdev *work = unit_copy(dev, blkdev_size(dev)), *ret;
	struct fs *fs = unit_fs_must_open(work, &(struct fs_options){ NO_COMMITS });

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (unsigned k = 0; k < unit_ops_len; k++)
			if (!strcmp(unit_ops[k].name, names[i]) && (unit_ops[k].run(fs) || fs_sync(fs)))
				unit_die("%s failed", names[i]);
	ret = unit_copy(work, blkdev_size(work));
	if (fs_close(fs))
		unit_die("close");
	blkdev_close(work);
	return ret;
}

struct blkdev *unit_mkfs_populated(uint64_t size, const char *args)
{
	char path[256], command[1024];
	const char *tmp = getenv("TMPDIR");
	struct blkdev *dev;
	int dir;

	snprintf(path, sizeof(path), "%s/unit.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		unit_die("%s: %s", path, strerror(errno));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_tree(dir);
	close(dir);
	snprintf(command, sizeof(command), "-d %s %s", path, args);
	dev = unit_mkfs(size, command);
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	if (system(command))
		unit_die("%s stays behind", path);
	add_xattrs(dev);
	/* Builds the index of /hash; status 1 says that it did. */
	if (unit_fsck(dev, "-fyD", 1) & ~1)
		unit_die("e2fsck -D");
	add_orphan(dev);
	return dev;
}
