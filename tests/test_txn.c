/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transactions without a journal: what is written, in which order, and what is not. */
#include "txn_rig.h"

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
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS,
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
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS, .discard = true },
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

static void transactions_stay_bounded(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS,
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
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS,
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

static void *begin_and_stop(void *arg)
{
	struct rig *r = arg;
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 20, &h), 0);
	assert_int_equal(txn_stop(&h), 0);
	return NULL;
}

/* Who waits for room goes on when another stops without having used what it had reserved. */
static void unused_credits_make_room(void **state)
{
	struct rig *r = rig_open_opt(&(struct fs_options){ NO_COMMITS,
							   .cache_bytes = 64 * BS },
				     &(struct dev_delay_times){ 0 });
	struct timespec until;
	pthread_t thread;
	struct handle h;

	assert_int_equal(txn_begin(&r->fs, 1000, &h), 0);
	assert_int_equal(pthread_create(&thread, NULL, begin_and_stop, r), 0);
	usleep(100000);
	assert_int_equal(txn_stop(&h), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(thread, NULL, &until), 0);
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
		cmocka_unit_test(transactions_stay_bounded),
		cmocka_unit_test(one_oversized_handle_is_let_in),
		cmocka_unit_test(blocks_without_credit_are_counted),
		cmocka_unit_test(unused_credits_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
