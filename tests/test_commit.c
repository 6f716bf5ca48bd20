/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commits among several threads: waiting, sharing, timers, failures. */
#include "txn_rig.h"

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
	struct rig *r = rig_open();
	struct task commit;
	uint32_t tid = change(r, 9, 1, 9);

	/* It cannot be written until then; who waits for that waits for ever. */
	dev_mem_hold(r->mem);
	alarm(300);
	task_start(&commit, r, do_commit, 0);
	while (txn_current(&r->fs) == tid)
		usleep(1000);
	assert_int_equal(change(r, 9, 1, 10), tid + 1);
	assert_false(commit.done);
	alarm(0);
	dev_mem_release(r->mem);
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
		t->err = i % 2 ? txn_flush(&t->r->fs) : txn_force(&t->r->fs, 0, true);
	return NULL;
}

static void fsyncs_at_once_share_commits_and_flushes(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS },
				     &(struct dev_delay_times){ .flush_us = 10000 });
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
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS },
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
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 100 },
				     &(struct dev_delay_times){ 0 });

	/* The thread must be asleep for good first, then be woken. */
	usleep(50000);
	change(r, 9, 1, 9);
	assert_true(wait_for_commits(r, 1, 60000, false));
	assert_int_equal(on_disk(r, 9), 9);
	rig_close(r);
}

static void a_busy_file_system_commits_by_the_clock(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ .commit_sec = 1 },
				     &(struct dev_delay_times){ 0 });

	change(r, 9, 1, 9);
	assert_true(wait_for_commits(r, 1, 60000, true));
	change(r, 9, 1, 10);
	assert_true(wait_for_commits(r, 2, 60000, true));
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
		cmocka_unit_test(a_commit_waits_for_open_handles_and_new_ones_for_it),
		cmocka_unit_test(the_next_transaction_runs_while_one_is_written),
		cmocka_unit_test(a_sync_handle_is_durable_when_it_stops),
		cmocka_unit_test(fsyncs_at_once_share_commits_and_flushes),
		cmocka_unit_test(a_flush_that_began_earlier_does_not_count),
		cmocka_unit_test(an_idle_file_system_commits_soon),
		cmocka_unit_test(a_busy_file_system_commits_by_the_clock),
		cmocka_unit_test(a_failed_write_or_flush_stops_everything),
		cmocka_unit_test(a_failed_flush_alone_stops_everything),
		cmocka_unit_test(a_failed_seal_stops_everything),
		cmocka_unit_test(without_memory_a_commit_is_put_off),
		cmocka_unit_test(an_abort_wakes_who_waits),
		cmocka_unit_test(many_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
