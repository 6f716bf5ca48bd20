/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every operation of the engine, once. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "dir.h"
#include "file.h"
#include "group.h"
#include "ops.h"
#include "unit_ops.h"
#include "util.h"

#ifndef RENAME_NOREPLACE
enum { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2, RENAME_WHITEOUT = 4 };
#endif

enum { KIB = 1024, MIB = 1024 * KIB };

/* What may be refused on some images without being a failure of the operation. */
static int or_unsupported(int err)
{
	return err == -EOPNOTSUPP ? 0 : err;
}

static int make_file(struct fs *fs) { return unit_make(fs, "/lin/new", S_IFREG | 0644, NULL); }
static int make_indexed(struct fs *fs) { return unit_make(fs, "/hash/new", S_IFREG | 0644, NULL); }
static int make_dir(struct fs *fs) { return unit_make(fs, "/lin/newdir", S_IFDIR | 0755, NULL); }
static int make_fifo(struct fs *fs) { return unit_make(fs, "/lin/fifo", S_IFIFO | 0600, NULL); }
static int make_node(struct fs *fs) { return unit_make(fs, "/lin/node", S_IFCHR | 0600, NULL); }

static int make_link_fast(struct fs *fs)
{
	return unit_make(fs, "/lin/fast", S_IFLNK | 0777, "target");
}

static int make_link_slow(struct fs *fs)
{
	char target[600];

	memset(target, 'a', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	return unit_make(fs, "/lin/slow", S_IFLNK | 0777, target);
}

static int make_tmpfile(struct fs *fs)
{
	struct cred cred = { .root = true };
	AUTOINODE dir = NULL;
	AUTOINODE inode = NULL;
	int err = unit_get(fs, "/lin", &dir);

	if (!err)
		err = ops_tmpfile(fs, dir->ino, S_IFREG | 0600, &cred, &inode);
	return err;
}

static int tmpfile_link(struct fs *fs)
{
	struct cred cred = { .root = true };
	AUTOINODE dir = NULL;
	AUTOINODE inode = NULL;
	AUTOINODE again = NULL;
	ssize_t n;
	int err = unit_get(fs, "/lin", &dir);

	if (!err)
		err = ops_tmpfile(fs, dir->ino, S_IFREG | 0600, &cred, &inode);
	if (err)
		return err;
	n = file_write(inode, "some bytes", 10, 0, true);
	return n < 0 ? (int)n : ops_link(fs, inode->ino, dir->ino, "named", &again);
}

static int link_file(struct fs *fs) { return unit_link(fs, "/lin/f03", "/hash/linked"); }
static int unlink_small(struct fs *fs) { return unit_unlink(fs, "/lin/f05"); }
static int unlink_deep(struct fs *fs) { return unit_unlink(fs, "/deep"); }
static int unlink_indexed(struct fs *fs) { return unit_unlink(fs, "/hash/own3"); }
static int unlink_xattr(struct fs *fs) { return unit_unlink(fs, "/xattr/both"); }
static int unlink_symlink(struct fs *fs) { return unit_unlink(fs, "/sym/long"); }

static int unlink_open(struct fs *fs)
{
	AUTOINODE inode = NULL;
	ssize_t n;
	int err = unit_get(fs, "/flat", &inode);

	if (!err)
		err = unit_unlink(fs, "/flat");
	if (err)
		return err;
	n = file_write(inode, "more", 4, 700 * KIB, true);
	return n < 0 ? (int)n : 0;
}

static int rmdir_empty(struct fs *fs) { return unit_rmdir(fs, "/lin/d0"); }
static int rmdir_full(struct fs *fs)
{
	int err = unit_rmdir(fs, "/lin/full");

	return err == -ENOTEMPTY ? 0 : err ? err : -EILSEQ;
}

static int rename_same(struct fs *fs) { return unit_rename(fs, "/lin/f01", "/lin/g01", 0); }
static int rename_across(struct fs *fs) { return unit_rename(fs, "/lin/f01", "/hash/g01", 0); }
static int rename_over(struct fs *fs) { return unit_rename(fs, "/lin/f01", "/flat", 0); }
static int rename_dir(struct fs *fs) { return unit_rename(fs, "/lin/full", "/sym/full", 0); }
static int rename_dir_over(struct fs *fs) { return unit_rename(fs, "/lin/full", "/lin/d1", 0); }
static int rename_new(struct fs *fs)
{
	return unit_rename(fs, "/lin/f01", "/lin/g01", RENAME_NOREPLACE);
}
static int rename_exchange(struct fs *fs)
{
	return unit_rename(fs, "/lin/full", "/hash/own1", RENAME_EXCHANGE);
}
static int rename_whiteout(struct fs *fs)
{
	return unit_rename(fs, "/lin/f02", "/sym/f02", RENAME_WHITEOUT);
}

static int write_append(struct fs *fs) { return unit_write(fs, "/lin/f07", 2100, 5000, 1); }
static int write_over(struct fs *fs) { return unit_write(fs, "/flat", 1500, 20 * KIB, 2); }
static int write_hole(struct fs *fs) { return unit_write(fs, "/sparse", 300 * KIB + 7, 9 * KIB, 3); }
static int write_deep(struct fs *fs) { return unit_write(fs, "/deep", 2 * MIB + 3 * KIB, 2 * KIB, 4); }
static int write_mib(struct fs *fs) { return unit_write(fs, "/lin/f00", 0, MIB, 5); }
static int write_far(struct fs *fs) { return unit_write(fs, "/lin/f00", 900 * MIB, 100, 6); }
/* In a block map, the end of one array of pointers and the start of the next: three new levels.
 * Not behind the end of the file, where more would be reserved; read before, so that it is
 * known as one hole and becomes one run. Done again, only the write may store the inode. */
static int write_arrays(struct fs *fs)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, "/lin/f05", &inode);

	if (!err && inode->size < MIB)
		err = unit_truncate(fs, "/lin/f05", MIB);
	if (!err)
		err = unit_read(fs, "/lin/f05");
	return err ? err : unit_write(fs, "/lin/f05", 266 * KIB, 4 * KIB, 12);
}
static int write_tiny(struct fs *fs) { return unit_write(fs, "/tiny", 10, 50, 7); }
static int write_grow(struct fs *fs) { return unit_write(fs, "/tiny", 10, 5000, 8); }
static int write_unwritten(struct fs *fs)
{
	int err = or_unsupported(unit_fallocate(fs, "/lin/f00", 0, 0, 64 * KIB));

	return err ? err : unit_write(fs, "/lin/f00", 10 * KIB, 12 * KIB, 9);
}

static int truncate_zero(struct fs *fs) { return unit_truncate(fs, "/flat", 0); }
static int truncate_deep(struct fs *fs) { return unit_truncate(fs, "/deep", 16500); }
static int truncate_mid(struct fs *fs) { return unit_truncate(fs, "/flat", 100 * KIB + 11); }
static int truncate_up(struct fs *fs) { return unit_truncate(fs, "/lin/f09", 5 * MIB + 1); }
static int truncate_tiny(struct fs *fs) { return unit_truncate(fs, "/small", 7); }

static int falloc(struct fs *fs, const char *path, int mode, uint64_t off, uint64_t len)
{
	return or_unsupported(unit_fallocate(fs, path, mode, off, len));
}
static int falloc_plain(struct fs *fs) { return falloc(fs, "/sparse", 0, 0, 1200 * KIB); }
static int falloc_keep(struct fs *fs)
{
	return falloc(fs, "/lin/f04", FALLOC_FL_KEEP_SIZE, 0, 300 * KIB);
}
static int falloc_punch(struct fs *fs)
{
	return falloc(fs, "/flat", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 300 * KIB);
}
static int falloc_punch_deep(struct fs *fs)
{
	return falloc(fs, "/deep", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB);
}
static int falloc_zero(struct fs *fs)
{
	return falloc(fs, "/flat", FALLOC_FL_ZERO_RANGE, 5000, 900 * KIB);
}
static int falloc_tiny(struct fs *fs) { return falloc(fs, "/tiny", 0, 0, 4000); }

/* Holes in what was one extent: each adds an entry, some add tree blocks. */
static int extent_split(struct fs *fs)
{
	int err = 0;

	for (unsigned i = 0; i < 100 && !err; i++)
		err = falloc(fs, "/flat", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (uint64_t)i * 6 * KIB, 2 * KIB);
	return err;
}

static int htree_split(struct fs *fs)
{
	char name[64];
	int err = 0;

	for (unsigned i = 0; i < 120 && !err; i++) {
		snprintf(name, sizeof(name), "/hash/one-more-of-the-long-names-%05u", i);
		err = unit_link(fs, "/lin/f06", name);
	}
	return err;
}

/* From one block to an index. */
static int htree_convert(struct fs *fs)
{
	char name[64];
	int err = 0;

	for (unsigned i = 0; i < 110 && !err; i++) {
		snprintf(name, sizeof(name), "/lin/one-more-of-the-long-names-%05u", i);
		err = unit_link(fs, "/lin/f06", name);
	}
	return err;
}

static int xattr_small(struct fs *fs) { return unit_setxattr(fs, "/xattr/ibody", "user.b", 10); }
static int xattr_big(struct fs *fs) { return unit_setxattr(fs, "/xattr/ibody", "user.b", 500); }
static int xattr_replace(struct fs *fs) { return unit_setxattr(fs, "/xattr/block", "user.big", 300); }
static int xattr_grow(struct fs *fs) { return unit_setxattr(fs, "/xattr/both", "user.a", 90); }
static int xattr_drop(struct fs *fs) { return unit_removexattr(fs, "/xattr/ibody", "user.a"); }
static int xattr_drop_big(struct fs *fs) { return unit_removexattr(fs, "/xattr/block", "user.big"); }
static int xattr_read(struct fs *fs)
{
	int err = unit_listxattr(fs, "/xattr/both");

	return err ? err : unit_getxattr(fs, "/xattr/both", "user.big");
}

static int set_attr(struct fs *fs)
{
	struct stat st = { .st_mode = S_IFREG | 0600, .st_uid = 7, .st_gid = 100000 };
	AUTOINODE inode = NULL;
	int err = unit_get(fs, "/xattr/block", &inode);

	return err ? err : ops_setattr(fs, inode->ino, &st, SET_MODE | SET_UID | SET_GID,
				       &(struct cred){ .root = true }, &st);
}

static int set_flags(struct fs *fs)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, "/lin/f01", &inode);

	return err ? err : ops_set_flags(fs, inode->ino, EXT2_NOATIME_FL, EXT2_NOATIME_FL);
}

static int copy_range(struct fs *fs)
{
	AUTOINODE src = NULL;
	AUTOINODE dst = NULL;
	const size_t len = 200 * KIB;
	bool is_short = false;
	size_t done = 0;
	ssize_t n = 1;
	int err = unit_get(fs, "/flat", &src);

	if (!err)
		err = unit_get(fs, "/lin/f01", &dst);
	while (!err && n > 0 && done < len) {
		n = file_copy(src, 3000 + done, dst, 100 + done, len - done, true);
		is_short |= n > 0 && (size_t)n < len - done;
		done += n > 0 ? (size_t)n : 0;
	}
	return err ? err : n < 0 ? (int)n : is_short ? -EIO : 0;
}

static int seek_deep(struct fs *fs)
{
	AUTOINODE inode = NULL;
	int64_t off = 0;
	int err = unit_get(fs, "/deep", &inode);

	while (!err && off >= 0)
		off = file_seek(inode, (uint64_t)off + 1, off & 1 ? SEEK_HOLE : SEEK_DATA);
	return err ? err : off == -ENXIO ? 0 : (int)off;
}

static int read_linear(struct fs *fs) { int n = unit_readdir(fs, "/lin"); return MIN(n, 0); }
static int read_indexed(struct fs *fs) { int n = unit_readdir(fs, "/hash"); return MIN(n, 0); }
static int read_deep(struct fs *fs) { return unit_read(fs, "/deep"); }
static int read_flat(struct fs *fs) { return unit_read(fs, "/flat"); }
static int read_tiny(struct fs *fs) { return unit_read(fs, "/small"); }
static int read_link(struct fs *fs) { return unit_readlink(fs, "/sym/long"); }
static int lookup_indexed(struct fs *fs)
{
	AUTOINODE inode = NULL;

	return unit_get(fs, "/hash/a-rather-long-name-in-the-index-02345", &inode);
}
static int lookup_absent(struct fs *fs)
{
	AUTOINODE inode = NULL;
	int err = unit_get(fs, "/hash/no-such-name", &inode);

	return err == -ENOENT ? 0 : err ? err : -EILSEQ;
}
static int parent(struct fs *fs)
{
	AUTOINODE inode = NULL;
	uint32_t ino;
	int err = unit_get(fs, "/lin/full", &inode);

	return err ? err : ops_parent(fs, inode->ino, &ino);
}
static int stat_fs(struct fs *fs) { struct statvfs st; return fs_statfs(fs, &st); }
static int set_label(struct fs *fs) { return fs_set_label(fs, "new label"); }
static int trim(struct fs *fs)
{
	uint64_t n;

	return or_unsupported(balloc_trim(fs, 0, UINT64_MAX, 4096, &n));
}

static int sync_file(struct fs *fs)
{
	int err = unit_write(fs, "/lin/f08", 500, 7000, 10);

	return err ? err : unit_fsync(fs, "/lin/f08");
}
static int sync_dir(struct fs *fs)
{
	int err = unit_make(fs, "/hash/durable", S_IFREG | 0644, NULL);

	return err ? err : unit_fsync(fs, "/hash");
}
static int sync_all(struct fs *fs)
{
	int err = unit_unlink(fs, "/deep");

	if (!err)
		err = unit_make(fs, "/lin/after", S_IFDIR | 0755, NULL);
	return err ? err : fs_sync(fs);
}

/* Freed by one transaction, used by the next. */
static int reuse(struct fs *fs)
{
	int err = unit_unlink(fs, "/flat");

	if (!err)
		err = fs_sync(fs);
	if (!err)
		err = unit_write(fs, "/lin/f00", 0, 500 * KIB, 11);
	return err ? err : fs_sync(fs);
}

#define OP(f) { #f, f }
const struct unit_op unit_ops[] = {
	OP(make_file), OP(make_indexed), OP(make_dir), OP(make_fifo), OP(make_node),
	OP(make_link_fast), OP(make_link_slow), OP(make_tmpfile), OP(tmpfile_link),
	OP(link_file), OP(unlink_small), OP(unlink_deep), OP(unlink_indexed), OP(unlink_xattr),
	OP(unlink_symlink), OP(unlink_open), OP(rmdir_empty), OP(rmdir_full),
	OP(rename_same), OP(rename_across), OP(rename_over), OP(rename_dir), OP(rename_dir_over),
	OP(rename_new), OP(rename_exchange), OP(rename_whiteout),
	OP(write_append), OP(write_over), OP(write_hole), OP(write_deep), OP(write_mib),
	OP(write_far), OP(write_arrays), OP(write_tiny), OP(write_grow), OP(write_unwritten),
	OP(truncate_zero), OP(truncate_deep), OP(truncate_mid), OP(truncate_up),
	OP(truncate_tiny),
	OP(falloc_plain), OP(falloc_keep), OP(falloc_punch), OP(falloc_punch_deep),
	OP(falloc_zero), OP(falloc_tiny), OP(extent_split), OP(htree_split), OP(htree_convert),
	OP(xattr_small), OP(xattr_big), OP(xattr_replace), OP(xattr_grow), OP(xattr_drop),
	OP(xattr_drop_big), OP(xattr_read),
	OP(set_attr), OP(set_flags), OP(copy_range), OP(seek_deep), OP(read_linear),
	OP(read_indexed), OP(read_deep), OP(read_flat), OP(read_tiny), OP(read_link),
	OP(lookup_indexed), OP(lookup_absent), OP(parent), OP(stat_fs), OP(set_label), OP(trim),
	OP(sync_file), OP(sync_dir), OP(sync_all), OP(reuse),
};
const unsigned unit_ops_len = ARRAY_LEN(unit_ops);
