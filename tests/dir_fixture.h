/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the directory tests share: a scratch image, directories in it, a model of one
 * directory, and e2fsck as the judge. Static functions, so that each test links alone.
 */
#ifndef TESTS_DIR_FIXTURE_H
#define TESTS_DIR_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../transport/file.h"
#include "dir.h"
#include "dir_hash.h"

#define UNUSED __attribute__((unused))

enum { FX_FILES = 32 };		/* inodes that names point to */

struct fx {
	char path[256];
	struct blkdev *dev;
	struct fs *fs;
	struct inode *root, *dir;
	uint32_t files[FX_FILES];
	unsigned links[FX_FILES];
	unsigned errors;	/* lines logged as errors */
	char last_error[256];
};

static UNUSED uint64_t fx_seed(void)
{
	const char *s = getenv("TEST_SEED");

	return s ? strtoull(s, NULL, 0) : 20240607;
}

static UNUSED uint64_t fx_rand(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static UNUSED int fx_run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;
	int st;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	st = system(cmd);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void fx_log(void *arg, enum fs_log level, const char *line)
{
	struct fx *fx = arg;

	if (level != FS_LOG_ERR)
		return;
	fx->errors++;
	snprintf(fx->last_error, sizeof(fx->last_error), "%s", line);
}

static UNUSED void fx_open_dev(struct fx *fx)
{
	struct fs_options opt = { .log = fx_log, .log_arg = fx, .errors = FS_ERRORS_CONTINUE };
	char why[256] = "";

	assert_int_equal(file_dev_open(fx->path, -1, false, &fx->dev), 0);
	if (fs_open(fx->dev, &opt, &fx->fs, why, sizeof(why)))
		fail_msg("fs_open: %s", why);
	assert_int_equal(inode_get(fx->fs, EXT2_ROOT_INO, &fx->root), 0);
}

/* A formatted image, opened. tune: a command to run on it first, or NULL. */
static UNUSED void fx_make(struct fx *fx, const char *mkfs, const char *tune, const char *size)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	memset(fx, 0, sizeof(*fx));
	snprintf(fx->path, sizeof(fx->path), "%s/fxdir-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(fx->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fx_run("mke2fs -q -F -t ext4 -O ^has_journal,^resize_inode -E "
				"lazy_itable_init=1 %s %s %s >/dev/null 2>&1", mkfs, fx->path, size), 0);
	if (tune)
		assert_int_equal(fx_run("%s %s >/dev/null 2>&1", tune, fx->path), 0);
	fx_open_dev(fx);
}

static UNUSED void fx_begin(struct fx *fx, struct handle *h, unsigned credits)
{
	assert_int_equal(txn_begin(fx->fs, credits, h), 0);
}

/* A new directory or file under `parent`, linked there. Referenced. */
static UNUSED struct inode *fx_create(struct fx *fx, struct inode *parent, const char *name,
				      uint16_t mode)
{
	struct inode *inode;
	struct handle h;

	rwlock_write(&parent->lock);
	fx_begin(fx, &h, 100 + dir_credits(parent));
	assert_int_equal(inode_new(&h, parent, mode, 0, 0, &inode), 0);
	if (S_ISDIR(mode))
		assert_int_equal(dir_init(&h, inode, parent->ino), 0);
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	assert_int_equal(inode_store(&h, inode, true), 0);
	assert_int_equal(dir_insert(&h, parent, name, strlen(name), inode->ino, dir_ftype(mode)), 0);
	if (S_ISDIR(mode)) {
		parent->nlink++;
		assert_int_equal(inode_store(&h, parent, true), 0);
	}
	inode_unlock_new(inode);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&parent->lock);
	return inode;
}

static UNUSED void fx_make_files(struct fx *fx)
{
	for (unsigned i = 0; i < FX_FILES; i++) {
		char name[16];
		struct inode *f;

		snprintf(name, sizeof(name), "f%u", i);
		f = fx_create(fx, fx->root, name, S_IFREG | 0644);
		fx->files[i] = f->ino;
		fx->links[i] = 1;
		inode_put(f);
	}
}

/* The image as above with an empty directory "d" as fx->dir, and target files. */
static UNUSED void fx_setup(struct fx *fx, const char *mkfs, const char *tune, const char *size)
{
	fx_make(fx, mkfs, tune, size);
	fx_make_files(fx);
	fx->dir = fx_create(fx, fx->root, "d", S_IFDIR | 0755);
}

/* Link counts as the names now are. */
static UNUSED void fx_store_links(struct fx *fx)
{
	for (unsigned i = 0; i < FX_FILES; i++) {
		struct inode *f;
		struct handle h;

		if (!fx->files[i])
			continue;
		assert_int_equal(inode_get(fx->fs, fx->files[i], &f), 0);
		rwlock_write(&f->lock);
		fx_begin(fx, &h, 4);
		f->nlink = fx->links[i];
		assert_int_equal(inode_store(&h, f, false), 0);
		assert_int_equal(txn_stop(&h), 0);
		rwlock_write_unlock(&f->lock);
		inode_put(f);
	}
}

static UNUSED void fx_close(struct fx *fx)
{
	struct txn_stats stats;

	inode_put(fx->dir);
	inode_put(fx->root);
	fx->dir = fx->root = NULL;
	txn_get_stats(fx->fs, &stats);
	if (stats.overdrawn)
		fail_msg("%llu blocks more than the credits said", (unsigned long long)stats.overdrawn);
	assert_int_equal(fs_close(fx->fs), 0);
	assert_int_equal(blkdev_close(fx->dev), 0);
	fx->fs = NULL;
	fx->dev = NULL;
}

static UNUSED void fx_fsck(struct fx *fx)
{
	if (fx_run("e2fsck -fn %s >%s.log 2>&1", fx->path, fx->path) != 0) {
		fx_run("head -40 %s.log >&2", fx->path);
		fail_msg("e2fsck is not content with %s", fx->path);
	}
	fx_run("rm -f %s.log", fx->path);
}

static UNUSED void fx_remove(struct fx *fx)
{
	unlink(fx->path);
}

static UNUSED void fx_reopen(struct fx *fx)
{
	uint32_t ino = fx->dir ? fx->dir->ino : 0;

	fx_store_links(fx);
	fx_close(fx);
	fx_fsck(fx);
	fx_open_dev(fx);
	if (ino)
		assert_int_equal(inode_get(fx->fs, ino, &fx->dir), 0);
}

static UNUSED void fx_finish(struct fx *fx)
{
	fx_store_links(fx);
	fx_close(fx);
	fx_fsck(fx);
	fx_remove(fx);
}

static UNUSED int fx_insert(struct fx *fx, const char *name, size_t len, unsigned file)
{
	struct handle h;
	int err;

	rwlock_write(&fx->dir->lock);
	fx_begin(fx, &h, dir_credits(fx->dir));
	err = dir_insert(&h, fx->dir, name, len, fx->files[file], EXT2_FT_REG_FILE);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&fx->dir->lock);
	fx->links[file] += err == 0;
	return err;
}

static UNUSED int fx_delete(struct fx *fx, const char *name, size_t len, unsigned file)
{
	struct handle h;
	int err;

	rwlock_write(&fx->dir->lock);
	fx_begin(fx, &h, dir_credits(fx->dir));
	err = dir_remove(&h, fx->dir, name, len);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&fx->dir->lock);
	fx->links[file] -= err == 0;
	return err;
}

static UNUSED int fx_replace(struct fx *fx, const char *name, size_t len, unsigned from, unsigned to)
{
	struct handle h;
	int err;

	rwlock_write(&fx->dir->lock);
	fx_begin(fx, &h, dir_credits(fx->dir));
	err = dir_replace(&h, fx->dir, name, len, fx->files[to], EXT2_FT_REG_FILE);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&fx->dir->lock);
	fx->links[from] -= err == 0;
	fx->links[to] += err == 0;
	return err;
}

static UNUSED int fx_lookup(struct fx *fx, const char *name, size_t len, uint32_t *ret_ino)
{
	uint8_t ftype;
	int err;

	rwlock_read(&fx->dir->lock);
	err = dir_lookup(fx->dir, name, len, ret_ino, &ftype);
	rwlock_read_unlock(&fx->dir->lock);
	if (!err)
		assert_int_equal(ftype, fx->fs->has_filetype ? EXT2_FT_REG_FILE : 0);
	return err;
}

/*
 * Numbered names.
 */

/* Names of `len` bytes that differ in the number at their beginning. */
static UNUSED size_t fx_name(unsigned i, size_t len, char *buf)
{
	memset(buf, 'x', len);
	buf[snprintf(buf, len, "%06u", i)] = '-';
	return len;
}

struct fx_listing {
	unsigned n, taken, batch;
	uint64_t cookie;
	uint8_t *seen;			/* by number, if given */
	unsigned max;
};

static UNUSED bool fx_take(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		 uint64_t next)
{
	struct fx_listing *l = arg;
	char num[8] = "";
	unsigned i;

	if (l->taken == l->batch)
		return false;
	assert_true(next > l->cookie && next < INT64_MAX);
	l->cookie = next;
	l->taken++;
	if (name[0] == '.')
		return true;
	l->n++;
	if (!l->seen)
		return true;
	memcpy(num, name, 6);
	i = strtoul(num, NULL, 10);
	assert_true(i < l->max && !l->seen[i]);
	l->seen[i] = 1;
	return true;
}

/* Entries without the dots, listed in batches; each number once if max is given. */
static UNUSED unsigned fx_count(struct inode *dir, unsigned batch, unsigned max)
{
	struct fx_listing l = { .batch = batch, .max = max, .seen = max ? calloc(1, max) : NULL };

	do {
		l.taken = 0;
		assert_int_equal(dir_read(dir, l.cookie, fx_take, &l), 0);
	} while (l.taken);
	free(l.seen);
	return l.n;
}

/* Inserts numbered names until one fails; returns how many went in. */
static UNUSED unsigned fx_fill(struct fx *fx, size_t len, unsigned max, int *ret_err)
{
	char name[256];
	unsigned i;

	*ret_err = 0;
	for (i = 0; i < max && !*ret_err; i++)
		*ret_err = fx_insert(fx, name, fx_name(i, len, name), i % FX_FILES);
	return *ret_err ? i - 1 : i;
}

static UNUSED void fx_expect(struct fx *fx, size_t len, unsigned n)
{
	char name[256];
	uint32_t ino;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(fx_lookup(fx, name, fx_name(i, len, name), &ino), 0);
		assert_int_equal(ino, fx->files[i % FX_FILES]);
	}
	assert_int_equal(fx_lookup(fx, name, fx_name(n, len, name), &ino), -ENOENT);
}

#endif
