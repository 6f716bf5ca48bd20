/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transactions without a journal: order of writes, waiting, failing, several threads. */
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
#include "super.h"
#include "txn.h"

enum { BS = 1024, NBLOCKS = 16384, PER_GROUP = 1000, SEED = 7, MAX_EVENTS = 256 };

/* What the commit told the modules above it; one test at a time looks at it. */
static struct {
	pthread_mutex_t lock;
	unsigned seals, errors, super_errors, releases, inodes;
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

STUB int fs_error_at(struct fs *fs, int err, uint32_t ino, uint64_t pblk, const char *func,
		     int line, const char *fmt, ...)
{
	seen.errors++;
	return err;
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

static struct rig *rig_open_opt(const struct fs_options *opt, const struct dev_delay_times *times)
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

static struct rig *rig_open(void)
{
	/* The thread keeps out of the way unless a test is about it. */
	return rig_open_opt(&(struct fs_options){ .commit_sec = 100 },
			    &(struct dev_delay_times){ 0 });
}

static int rig_stop(struct rig *r)
{
	struct cache_stats st;
	int err = txn_close(r->fs.txns);

	r->closed = true;
	cache_get_stats(r->fs.cache, &st);
	assert_int_equal(st.dirty_bytes, 0);
	return err;
}

static void rig_close(struct rig *r)
{
	if (!r->closed)
		assert_int_equal(rig_stop(r), 0);
	cache_close(r->fs.cache);
	assert_int_equal(blkdev_close(r->log), 0);
	free(r);
}

static uint64_t on_disk(struct rig *r, uint64_t pblk)
{
	return get_le64(dev_mem_data(r->mem) + pblk * BS);
}

static int put_kind(struct rig *r, struct handle *h, uint64_t pblk, uint64_t value,
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

static int put(struct rig *r, struct handle *h, uint64_t pblk, uint64_t value)
{
	return put_kind(r, h, pblk, value, BUF_RAW);
}

/* One handle that sets n blocks from pblk on to value. */
static uint32_t change(struct rig *r, uint64_t pblk, unsigned n, uint64_t value)
{
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, n, &h), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(put(r, &h, pblk + i, value), 0);
	assert_int_equal(h.credits, 0);
	assert_int_equal(txn_stop(&h), 0);
	return h.tid;
}

static struct txn_stats stats(struct rig *r)
{
	struct txn_stats st;

	txn_get_stats(&r->fs, &st);
	return st;
}

static void a_commit_brings_blocks_home(void **state)
{
	struct rig *r = rig_open();
	struct handle h;
	uint32_t tid = txn_current(&r->fs);

	assert_int_equal(change(r, 100, 3, 0xabc), tid);
	assert_int_equal(on_disk(r, 100), 0);
	assert_int_equal(stats(r).running_blocks, 3);
	/* Again in the same transaction costs no credit. */
	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	assert_int_equal(put(r, &h, 100, 0xabd), 0);
	assert_int_equal(h.credits, 1);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(on_disk(r, 100), 0xabd);
	assert_int_equal(on_disk(r, 102), 0xabc);
	assert_int_equal(txn_current(&r->fs), tid + 1);
	assert_int_equal(stats(r).commits, 1);
	assert_int_equal(stats(r).blocks, 3);
	assert_int_equal(stats(r).overdrawn, 0);
	assert_int_equal(seen.seals, 1);
	rig_close(r);
}

static void nothing_changed_is_nothing_written(void **state)
{
	struct rig *r = rig_open();
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 5, &h), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(txn_force(&r->fs, h.tid, false), 0);
	assert_int_equal(dev_record_count(r->log), 0);
	assert_int_equal(txn_force(&r->fs, h.tid, true), 0);
	assert_int_equal(dev_record_count(r->log), 1);
	assert_int_equal(txn_current(&r->fs), h.tid);
	rig_close(r);
}

static void close_commits(void **state)
{
	struct rig *r = rig_open();

	change(r, 5, 1, 55);
	assert_int_equal(rig_stop(r), 0);
	assert_int_equal(on_disk(r, 5), 55);
	rig_close(r);
}

static void expect(struct rig *r, size_t i, enum dev_record_op op, uint64_t pblk, uint64_t n)
{
	struct dev_record_entry e = dev_record_get(r->log, i);

	assert_int_equal(e.op, op);
	if (op == DEV_RECORD_FLUSH)
		return;
	assert_int_equal(e.off, pblk * BS);
	assert_int_equal(e.len, n * BS);
}

static void names_follow_inodes_and_neighbours_share_a_write(void **state)
{
	struct rig *r = rig_open();
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 20, &h), 0);
	assert_int_equal(put(r, &h, 31, 1), 0);
	assert_int_equal(put(r, &h, 1, 1), 0);
	assert_int_equal(put(r, &h, 30, 1), 0);
	assert_int_equal(put_kind(r, &h, 32, 1, BUF_DIR), 0);
	assert_int_equal(put_kind(r, &h, 33, 1, BUF_DX), 0);
	assert_int_equal(put(r, &h, 34, 1), 0);
	assert_int_equal(put_kind(r, &h, 20, 1, BUF_EXTENT), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(dev_record_count(r->log), 8);
	expect(r, 0, DEV_RECORD_FLUSH, 0, 0);
	expect(r, 1, DEV_RECORD_WRITE, 20, 1);
	expect(r, 2, DEV_RECORD_WRITE, 30, 2);
	expect(r, 3, DEV_RECORD_WRITE, 34, 1);
	expect(r, 4, DEV_RECORD_FLUSH, 0, 0);
	expect(r, 5, DEV_RECORD_WRITE, 1, 1);
	expect(r, 6, DEV_RECORD_WRITE, 32, 2);
	expect(r, 7, DEV_RECORD_FLUSH, 0, 0);
	rig_close(r);
}

static void checksums_are_sealed_on_the_way(void **state)
{
	struct rig *r = rig_open();
	struct handle h;
	struct buf *b;

	r->fs.has_csum = true;
	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	assert_int_equal(cache_new(r->fs.cache, 50, BUF_DIR, SEED, &b), 0);
	assert_int_equal(txn_dirty(&h, b), 0);
	put_le16(b->data + 4, BS - 12);
	put_le16(b->data + BS - 8, 12);
	b->data[BS - 5] = 0xDE;
	cache_put(b);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_true(csum_verify(&r->fs, BUF_DIR, SEED, 50, dev_mem_data(r->mem) + 50 * BS));
	rig_close(r);
}

static void what_is_dirty_is_not_evicted(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100,
							   .cache_bytes = 64 * BS },
				     &(struct dev_delay_times){ 0 });
	struct buf *b;

	change(r, 0, 30, 1);
	for (uint64_t i = 1000; i < 3000; i++) {
		assert_int_equal(cache_read(r->fs.cache, i, BUF_RAW, 0, &b), 0);
		cache_put(b);
	}
	for (uint64_t i = 0; i < 30; i++) {
		assert_int_equal(cache_read(r->fs.cache, i, BUF_RAW, 0, &b), 0);
		assert_int_equal(get_le64(b->data), 1);
		cache_put(b);
	}
	rig_close(r);
}

static void freed_blocks_are_released_when_durable(void **state)
{
	struct rig *r = rig_open();
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	assert_int_equal(put(r, &h, 3, 1), 0);
	assert_int_equal(txn_free_blocks(&h, 500, 10), 0);
	assert_int_equal(txn_free_blocks(&h, 200, 10), 0);
	assert_int_equal(txn_free_blocks(&h, 510, 1000), 0);
	assert_int_equal(txn_free_blocks(&h, 490, 10), 0);
	for (uint32_t ino = 11; ino < 211; ino++)
		assert_int_equal(txn_free_inode(&h, ino), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(seen.releases, 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	/* Sorted, merged, and cut where a group ends. */
	assert_int_equal(seen.releases, 3);
	assert_int_equal(seen.released[0].pblk, 200);
	assert_int_equal(seen.released[0].n, 10);
	assert_int_equal(seen.released[0].log_at, dev_record_count(r->log));
	assert_int_equal(seen.released[1].pblk, 490);
	assert_int_equal(seen.released[1].n, 1 + PER_GROUP - 490);
	assert_int_equal(seen.released[2].pblk, 1 + PER_GROUP);
	assert_int_equal(seen.released[2].n, 1510 - 1 - PER_GROUP);
	assert_int_equal(seen.inodes, 200);
	rig_close(r);
}

static void discard_comes_before_reuse(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100, .discard = true },
				     &(struct dev_delay_times){ 0 });
	struct handle h;
	size_t n;

	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	assert_int_equal(put(r, &h, 3, 1), 0);
	assert_int_equal(txn_free_blocks(&h, 500, 10), 0);
	assert_int_equal(txn_stop(&h), 0);
	dev_fault_arm(r->fault, DEV_FAULT_DISCARD, 0, -EIO, false);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	n = dev_record_count(r->log);
	expect(r, n - 1, DEV_RECORD_DISCARD, 500, 10);
	expect(r, n - 2, DEV_RECORD_FLUSH, 0, 0);
	assert_int_equal(seen.released[0].log_at, n);
	rig_close(r);
}

static void forgotten_blocks_are_not_written(void **state)
{
	struct rig *r = rig_open();
	struct handle h;
	struct buf *b;

	assert_int_equal(txn_begin(&r->fs, 10, &h), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(put(r, &h, 60 + i, 0xbad), 0);
	b = cache_peek(r->fs.cache, 60);
	assert_non_null(b);
	txn_forget(&h, b);
	txn_revoke(&h, 61, 7);
	txn_revoke(&h, 5000, 100);
	assert_int_equal(stats(r).running_blocks, 0);
	assert_null(cache_peek(r->fs.cache, 60));
	assert_null(cache_peek(r->fs.cache, 67));
	assert_int_equal(put(r, &h, 70, 1), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(on_disk(r, 60), 0);
	assert_int_equal(on_disk(r, 67), 0);
	assert_int_equal(stats(r).blocks, 1);
	rig_close(r);
}

static void a_forgotten_block_may_come_back(void **state)
{
	struct rig *r = rig_open();
	struct handle h;
	struct buf *b;

	assert_int_equal(txn_begin(&r->fs, 2, &h), 0);
	assert_int_equal(put(r, &h, 60, 0xbad), 0);
	txn_revoke(&h, 60, 1);
	assert_int_equal(cache_new(r->fs.cache, 60, BUF_RAW, 0, &b), 0);
	assert_int_equal(txn_dirty(&h, b), 0);
	put_le64(b->data, 0x900d);
	cache_put(b);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(on_disk(r, 60), 0x900d);
	rig_close(r);
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

static void task_start(struct task *t, struct rig *r, void *(*fn)(void *), unsigned id)
{
	*t = (struct task){ .r = r, .id = id };
	assert_int_equal(pthread_create(&t->thread, NULL, fn, t), 0);
}

static int task_end(struct task *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	return t->err;
}

static void *do_commit(void *arg)
{
	struct task *t = arg;

	t->err = txn_commit_now(&t->r->fs);
	t->done = true;
	return NULL;
}

static void *do_change(void *arg)
{
	struct task *t = arg;
	struct handle h;

	t->err = txn_begin(&t->r->fs, 1, &h);
	t->done = true;
	if (t->err)
		return NULL;
	t->err = put(t->r, &h, 400, 4);
	t->tid = h.tid;
	txn_stop(&h);
	return NULL;
}

static void a_commit_waits_for_open_handles_and_new_ones_for_it(void **state)
{
	struct rig *r = rig_open();
	struct task commit, late;
	struct handle h;

	change(r, 9, 1, 9);
	assert_int_equal(txn_begin(&r->fs, 2, &h), 0);
	task_start(&commit, r, do_commit, 0);
	/* Once it closes the transaction, extending is refused. */
	while (txn_extend(&h, 0) == 0)
		usleep(1000);
	assert_int_equal(txn_extend(&h, 1), -EAGAIN);
	task_start(&late, r, do_change, 0);
	usleep(20000);
	assert_false(commit.done);
	assert_false(late.done);
	assert_int_equal(put(r, &h, 10, 10), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(task_end(&commit), 0);
	assert_int_equal(task_end(&late), 0);
	assert_int_equal(late.tid, h.tid + 1);
	assert_int_equal(on_disk(r, 10), 10);
	assert_int_equal(on_disk(r, 400), 0);
	rig_close(r);
}

static void the_next_transaction_runs_while_one_is_written(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100 },
				     &(struct dev_delay_times){ .flush_us = 100000 });
	struct task commit;
	uint32_t tid = change(r, 9, 1, 9);

	task_start(&commit, r, do_commit, 0);
	while (txn_current(&r->fs) == tid)
		usleep(1000);
	assert_int_equal(change(r, 9, 1, 10), tid + 1);
	assert_false(commit.done);
	assert_int_equal(task_end(&commit), 0);
	assert_int_equal(on_disk(r, 9), 9);
	assert_int_equal(txn_force(&r->fs, tid, false), 0);
	assert_int_equal(on_disk(r, 9), 9);
	assert_int_equal(txn_force(&r->fs, tid + 1, false), 0);
	assert_int_equal(on_disk(r, 9), 10);
	rig_close(r);
}

static void a_sync_handle_is_durable_when_it_stops(void **state)
{
	struct rig *r = rig_open();
	struct handle h;
	size_t n;

	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	h.sync = true;
	assert_int_equal(put(r, &h, 8, 8), 0);
	assert_int_equal(txn_stop(&h), 0);
	n = dev_record_count(r->log);
	assert_int_equal(dev_record_durable(r->log, n), n);
	assert_int_equal(on_disk(r, 8), 8);
	rig_close(r);
}

static void *do_fsyncs(void *arg)
{
	struct task *t = arg;

	for (unsigned i = 0; i < 20 && !t->err; i++) {
		struct handle h;

		t->err = txn_begin(&t->r->fs, 1, &h);
		if (t->err)
			break;
		t->err = put(t->r, &h, 600 + t->id, i);
		txn_stop(&h);
		if (!t->err)
			t->err = txn_force(&t->r->fs, h.tid, true);
	}
	return NULL;
}

static void *do_flushes(void *arg)
{
	struct task *t = arg;

	for (unsigned i = 0; i < 20 && !t->err; i++)
		t->err = txn_force(&t->r->fs, 0, true);
	return NULL;
}

static void run_tasks(struct rig *r, void *(*fn)(void *), unsigned n)
{
	struct task t[8];

	for (unsigned i = 0; i < n; i++)
		task_start(&t[i], r, fn, i);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(task_end(&t[i]), 0);
}

static void fsyncs_at_once_share_commits_and_flushes(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100 },
				     &(struct dev_delay_times){ .flush_us = 1000 });
	uint64_t flushes;

	run_tasks(r, do_fsyncs, 8);
	assert_true(stats(r).commits <= 80);
	flushes = r->log->stats.flushes;
	run_tasks(r, do_flushes, 8);
	assert_true(r->log->stats.flushes - flushes <= 80);
	rig_close(r);
}

/* Data written during a commit's last flush is not covered by it. */
static void a_flush_that_began_earlier_does_not_count(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100 },
				     &(struct dev_delay_times){ .flush_us = 50000 });
	struct task commit;
	uint32_t tid = change(r, 9, 1, 9);

	task_start(&commit, r, do_commit, 0);
	while (r->log->stats.flushes < 2)
		usleep(1000);
	assert_int_equal(blkdev_write(r->fs.dev, "data", 4, 700 * BS), 0);
	assert_int_equal(txn_force(&r->fs, tid, true), 0);
	assert_int_equal(r->log->stats.flushes, 3);
	assert_int_equal(dev_record_durable(r->log, dev_record_count(r->log)),
			 dev_record_count(r->log));
	assert_int_equal(task_end(&commit), 0);
	rig_close(r);
}

static bool wait_for_commits(struct rig *r, uint64_t n, unsigned ms, bool busy)
{
	for (unsigned i = 0; i < ms / 10; i++) {
		struct handle h;

		if (stats(r).commits >= n)
			return true;
		usleep(10000);
		if (!busy)
			continue;
		assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
		assert_int_equal(txn_stop(&h), 0);
	}
	return false;
}

static void an_idle_file_system_commits_soon(void **state)
{
	struct rig *r = rig_open();

	/* The thread must be asleep for good first, then be woken. */
	usleep(50000);
	change(r, 9, 1, 9);
	assert_true(wait_for_commits(r, 1, 10000, false));
	assert_int_equal(on_disk(r, 9), 9);
	rig_close(r);
}

static void a_busy_file_system_commits_by_the_clock(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 1 },
				     &(struct dev_delay_times){ 0 });

	change(r, 9, 1, 9);
	assert_true(wait_for_commits(r, 1, 10000, true));
	change(r, 9, 1, 10);
	assert_true(wait_for_commits(r, 2, 10000, true));
	rig_close(r);
}

static void transactions_stay_bounded(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100,
							   .cache_bytes = 1024 * BS },
				     &(struct dev_delay_times){ .flush_us = 2000 });
	uint64_t largest = 0;

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t n;

		change(r, i * 15, 15, i);
		n = stats(r).running_blocks;
		largest = MAX(largest, n);
	}
	assert_true(largest <= 1024);
	assert_true(stats(r).commits >= 15000 / 1024 - 2);
	assert_int_equal(rig_stop(r), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(on_disk(r, i * 15 + 14), i);
	rig_close(r);
}

static void one_oversized_handle_is_let_in(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100,
							   .cache_bytes = 64 * BS },
				     &(struct dev_delay_times){ 0 });

	change(r, 100, 1000, 1);
	assert_int_equal(txn_commit_now(&r->fs), 0);
	assert_int_equal(on_disk(r, 1099), 1);
	rig_close(r);
}

static void blocks_without_credit_are_counted(void **state)
{
	struct rig *r = rig_open();
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 1, &h), 0);
	assert_int_equal(put(r, &h, 9, 9), 0);
	assert_int_equal(put(r, &h, 10, 9), 0);
	assert_int_equal(txn_extend(&h, 5), 0);
	assert_int_equal(h.credits, 5);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(stats(r).overdrawn, 1);
	rig_close(r);
}

static void check_aborted(struct rig *r, uint32_t tid)
{
	struct handle h;
	uint64_t writes = r->log->stats.writes;

	assert_true(stats(r).aborted);
	assert_int_equal(r->fs.state, FS_RO);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.super_errors, 1);
	assert_int_equal(txn_begin(&r->fs, 1, &h), -EROFS);
	assert_int_equal(txn_force(&r->fs, tid, true), -EIO);
	assert_int_equal(txn_commit_now(&r->fs), -EIO);
	assert_int_equal(seen.releases, 0);
	assert_int_equal(rig_stop(r), -EIO);
	assert_int_equal(r->log->stats.writes, writes);
}

static void a_failed_write_or_flush_stops_everything(void **state)
{
	bool fired = true;

	for (unsigned n = 1; fired; n++) {
		struct rig *r = rig_open();
		struct handle h, open;
		struct buf *b;
		int err;

		assert_int_equal(txn_begin(&r->fs, 10, &h), 0);
		assert_int_equal(put(r, &h, 30, 30), 0);
		assert_int_equal(put(r, &h, 40, 40), 0);
		assert_int_equal(put_kind(r, &h, 50, 50, BUF_DIR), 0);
		assert_int_equal(txn_free_blocks(&h, 60, 6), 0);
		assert_int_equal(txn_stop(&h), 0);
		dev_fault_arm(r->fault, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, n, -EIO, false);
		err = txn_force(&r->fs, h.tid, true);
		fired = dev_fault_fired(r->fault);
		assert_int_equal(err, fired ? -EIO : 0);
		if (fired) {
			/* What is in memory stays what readers see. */
			assert_int_equal(cache_read(r->fs.cache, 40, BUF_RAW, 0, &b), 0);
			assert_int_equal(get_le64(b->data), 40);
			open = (struct handle){ .fs = &r->fs };
			assert_int_equal(txn_dirty(&open, b), 0);
			cache_put(b);
			check_aborted(r, h.tid);
		} else {
			assert_true(n > 6);
		}
		rig_close(r);
	}
}

static void a_failed_flush_alone_stops_everything(void **state)
{
	struct rig *r = rig_open();
	uint32_t tid;

	dev_fault_arm(r->fault, DEV_FAULT_FLUSH, 1, -EIO, false);
	assert_int_equal(txn_force(&r->fs, 0, true), -EIO);
	tid = txn_current(&r->fs);
	check_aborted(r, tid);
	rig_close(r);
}

static void a_failed_seal_stops_everything(void **state)
{
	struct rig *r = rig_open();
	uint32_t tid = change(r, 9, 1, 9);

	seen.seal_err = -EIO;
	assert_int_equal(txn_force(&r->fs, tid, true), -EIO);
	check_aborted(r, tid);
	rig_close(r);
}

static void without_memory_a_commit_is_put_off(void **state)
{
	struct rig *r = rig_open();
	uint32_t tid = change(r, 9, 1, 9);

	seen.seal_err = -ENOMEM;
	assert_int_equal(txn_force(&r->fs, tid, true), -ENOMEM);
	assert_false(stats(r).aborted);
	seen.seal_err = 0;
	assert_int_equal(change(r, 10, 1, 9), tid);
	assert_int_equal(txn_force(&r->fs, tid, true), 0);
	assert_int_equal(on_disk(r, 9), 9);
	rig_close(r);
}

static void an_abort_wakes_who_waits(void **state)
{
	struct rig *r = rig_open();
	struct task commit, late;
	struct handle h;
	struct buf *b;

	change(r, 9, 1, 9);
	assert_int_equal(txn_begin(&r->fs, 2, &h), 0);
	task_start(&commit, r, do_commit, 0);
	while (txn_extend(&h, 0) == 0)
		usleep(1000);
	task_start(&late, r, do_change, 0);
	usleep(10000);
	txn_abort(&r->fs, -EUCLEAN);
	assert_int_equal(task_end(&late), -EROFS);
	assert_int_equal(cache_read(r->fs.cache, 33, BUF_RAW, 0, &b), 0);
	assert_int_equal(txn_dirty(&h, b), -EIO);
	cache_put(b);
	assert_int_equal(txn_stop(&h), 0);
	assert_int_equal(task_end(&commit), -EIO);
	assert_int_equal(dev_record_count(r->log), 0);
	assert_int_equal(rig_stop(r), -EIO);
	rig_close(r);
}

/* Frees a block of the thread's own and takes it again, with new content. */
static int renew(struct task *t, struct handle *h, uint64_t value)
{
	struct buf *b;
	int err;

	txn_revoke(h, 4000 + 2 * t->id, 2);
	err = cache_new(t->r->fs.cache, 4000 + 2 * t->id, BUF_RAW, 0, &b);
	if (err)
		return err;
	err = txn_dirty(h, b);
	if (!err)
		put_le64(b->data, value);
	cache_put(b);
	return err;
}

/* Each handle adds one to two blocks that start equal; forced now and then. */
static void *do_pairs(void *arg)
{
	struct task *t = arg;
	unsigned seed = t->id + 1;

	for (unsigned i = 0; i < 3000 && !t->err; i++) {
		uint64_t pblk = 2000 + rand_r(&seed) % 50;
		struct handle h;
		struct buf *b;

		t->err = txn_begin(&t->r->fs, 3, &h);
		for (unsigned k = 0; k < 2 && !t->err; k++) {
			t->err = cache_read(t->r->fs.cache, pblk + k * 1000, BUF_RAW, 0, &b);
			if (t->err)
				break;
			t->err = txn_dirty(&h, b);
			if (!t->err)
				__atomic_fetch_add((uint64_t *)(void *)b->data, 1,
						   __ATOMIC_RELAXED);
			cache_put(b);
		}
		if (!t->err)
			t->err = renew(t, &h, i);
		txn_stop(&h);
		if (!t->err && rand_r(&seed) % 32 == 0)
			t->err = txn_force(&t->r->fs, h.tid, true);
	}
	return NULL;
}

static void many_threads_lose_nothing(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 1,
							   .cache_bytes = 128 * BS },
				     &(struct dev_delay_times){ .flush_us = 100 });
	uint64_t sum = 0;

	run_tasks(r, do_pairs, 4);
	assert_int_equal(rig_stop(r), 0);
	for (uint64_t i = 2000; i < 2050; i++) {
		assert_int_equal(on_disk(r, i), on_disk(r, i + 1000));
		sum += on_disk(r, i);
	}
	assert_int_equal(sum, 4 * 3000);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(on_disk(r, 4000 + 2 * i), 2999);
	rig_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_brings_blocks_home),
		cmocka_unit_test(nothing_changed_is_nothing_written),
		cmocka_unit_test(close_commits),
		cmocka_unit_test(names_follow_inodes_and_neighbours_share_a_write),
		cmocka_unit_test(checksums_are_sealed_on_the_way),
		cmocka_unit_test(what_is_dirty_is_not_evicted),
		cmocka_unit_test(freed_blocks_are_released_when_durable),
		cmocka_unit_test(discard_comes_before_reuse),
		cmocka_unit_test(forgotten_blocks_are_not_written),
		cmocka_unit_test(a_forgotten_block_may_come_back),
		cmocka_unit_test(a_commit_waits_for_open_handles_and_new_ones_for_it),
		cmocka_unit_test(the_next_transaction_runs_while_one_is_written),
		cmocka_unit_test(a_sync_handle_is_durable_when_it_stops),
		cmocka_unit_test(fsyncs_at_once_share_commits_and_flushes),
		cmocka_unit_test(a_flush_that_began_earlier_does_not_count),
		cmocka_unit_test(an_idle_file_system_commits_soon),
		cmocka_unit_test(a_busy_file_system_commits_by_the_clock),
		cmocka_unit_test(transactions_stay_bounded),
		cmocka_unit_test(one_oversized_handle_is_let_in),
		cmocka_unit_test(blocks_without_credit_are_counted),
		cmocka_unit_test(a_failed_write_or_flush_stops_everything),
		cmocka_unit_test(a_failed_flush_alone_stops_everything),
		cmocka_unit_test(a_failed_seal_stops_everything),
		cmocka_unit_test(without_memory_a_commit_is_put_off),
		cmocka_unit_test(an_abort_wakes_who_waits),
		cmocka_unit_test(many_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
