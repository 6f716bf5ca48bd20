/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file system of numbered blocks, without ext4, on which transactions run; what the
 * commit tells the modules above it is recorded in `seen`. One rig at a time.
 */
#ifndef TESTS_TXN_RIG_H
#define TESTS_TXN_RIG_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "csum.h"
#include "dev_delay.h"
#include "dev_fault.h"
#include "dev_mem.h"
#include "dev_record.h"
#include "group.h"
#include "no_commits.h"
#include "super.h"
#include "txn.h"

enum { BS = 1024, NBLOCKS = 16384, PER_GROUP = 1000, SEED = 7, MAX_EVENTS = 256 };

/* What the commit told the modules above it; one test at a time looks at it. */
static struct {
	pthread_mutex_t lock;
	unsigned seals, joins, errors, super_errors, releases, inodes;
	int seal_err;
	struct { uint64_t pblk, n; size_t log_at; } released[MAX_EVENTS];
	struct blkdev *log;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Stand-ins for super.c, group.c and fs_error.c. */
#define STUB __attribute__((weak))

STUB int fs_may_write(struct fs *fs)
{
	return fs->state == FS_RW ? 0 : fs->state == FS_RO ? -EROFS : -EIO;
}

STUB void fs_error_at(struct fs *fs, int err, uint32_t ino, uint64_t pblk, const char *func,
		      int line, const char *fmt, ...)
{
	seen.errors++;
}

STUB int super_dirty(struct handle *h)
{
	seen.joins++;
	return 0;
}

STUB int super_seal(struct fs *fs)
{
	seen.seals++;
	return seen.seal_err;
}

STUB void super_write_error(struct fs *fs)
{
	seen.super_errors++;
}

STUB int super_write_recover(struct fs *fs, bool on)
{
	return 0;
}

STUB int fs_errno(errcode_t err)
{
	return err ? -EIO : 0;
}

STUB void fs_log(struct fs *fs, enum fs_log level, const char *fmt, ...)
{
}

STUB int group_seal(struct fs *fs)
{
	return 0;
}

STUB void group_release_blocks(struct fs *fs, uint64_t pblk, uint64_t n)
{
	pthread_mutex_lock(&seen.lock);
	if (seen.releases < MAX_EVENTS) {
		seen.released[seen.releases].pblk = pblk;
		seen.released[seen.releases].n = n;
		seen.released[seen.releases].log_at = dev_record_count(seen.log);
	}
	seen.releases++;
	pthread_mutex_unlock(&seen.lock);
}

STUB void group_release_inode(struct fs *fs, uint32_t ino)
{
	pthread_mutex_lock(&seen.lock);
	seen.inodes++;
	pthread_mutex_unlock(&seen.lock);
}

/* mem <- delay <- fault <- log */
struct rig {
	struct fs fs;
	struct blkdev *mem, *fault, *log;
	bool closed;
};

static inline struct rig *rig_open_opt(const struct fs_options *opt, const struct dev_delay_times *times)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct blkdev *slow;

	assert_non_null(r);
	assert_int_equal(dev_mem_open((uint64_t)NBLOCKS * BS, &r->mem), 0);
	assert_int_equal(dev_delay_open(r->mem, true, times, &slow), 0);
	assert_int_equal(dev_fault_open(slow, true, &r->fault), 0);
	assert_int_equal(dev_record_open(r->fault, true, &r->log), 0);
	memset(&seen.seals, 0, sizeof(seen) - offsetof(__typeof__(seen), seals));
	seen.log = r->log;
	r->fs.dev = r->log;
	r->fs.opt = *opt;
	r->fs.block_size = BS;
	r->fs.block_bits = 10;
	r->fs.blocks_count = NBLOCKS;
	r->fs.first_data_block = 1;
	r->fs.blocks_per_group = PER_GROUP;
	assert_int_equal(cache_open(&r->fs, opt->cache_bytes, &r->fs.cache), 0);
	assert_int_equal(txn_open(&r->fs, &r->fs.txns), 0);
	return r;
}

static inline struct rig *rig_open(void)
{
	/* The thread keeps out of the way unless a test is about it. */
	return rig_open_opt(&(struct fs_options){ NO_COMMITS },
			    &(struct dev_delay_times){ 0 });
}

static inline int rig_stop(struct rig *r)
{
	struct cache_stats st;
	int err = txn_close(r->fs.txns);

	r->closed = true;
	cache_get_stats(r->fs.cache, &st);
	assert_int_equal(st.dirty_bytes, 0);
	return err;
}

static inline void rig_close(struct rig *r)
{
	if (!r->closed)
		assert_int_equal(rig_stop(r), 0);
	cache_close(r->fs.cache);
	assert_int_equal(blkdev_close(r->log), 0);
	free(r);
}

static inline uint64_t on_disk(struct rig *r, uint64_t pblk)
{
	return get_le64(dev_mem_data(r->mem) + pblk * BS);
}

static inline int put_kind(struct rig *r, struct handle *h, uint64_t pblk, uint64_t value,
		    enum buf_kind kind)
{
	AUTOBUF b = NULL;
	int err = cache_read(r->fs.cache, pblk, kind, SEED, &b);

	if (!err)
		err = txn_dirty(h, b);
	if (!err)
		put_le64(b->data, value);
	return err;
}

static inline int put(struct rig *r, struct handle *h, uint64_t pblk, uint64_t value)
{
	return put_kind(r, h, pblk, value, BUF_RAW);
}

/* One handle that sets n blocks from pblk on to value. */
static inline uint32_t change(struct rig *r, uint64_t pblk, unsigned n, uint64_t value)
{
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, n, &h), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(put(r, &h, pblk + i, value), 0);
	assert_int_equal(h.credits, 0);
	assert_int_equal(txn_stop(&h), 0);
	return h.tid;
}

static inline struct txn_stats stats(struct rig *r)
{
	struct txn_stats st;

	txn_get_stats(&r->fs, &st);
	return st;
}

/* A thread that does one thing and says when it is done. */
struct task {
	struct rig *r;
	unsigned id;
	pthread_t thread;
	atomic_bool done;
	int err;
	uint32_t tid;
};

static inline void task_start(struct task *t, struct rig *r, void *(*fn)(void *), unsigned id)
{
	*t = (struct task){ .r = r, .id = id };
	assert_int_equal(pthread_create(&t->thread, NULL, fn, t), 0);
}

static inline int task_end(struct task *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	return t->err;
}

static inline void run_tasks(struct rig *r, void *(*fn)(void *), unsigned n)
{
	struct task t[8];

	for (unsigned i = 0; i < n; i++)
		task_start(&t[i], r, fn, i);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(task_end(&t[i]), 0);
}

#endif
