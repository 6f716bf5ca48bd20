/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block allocation: no block twice, none lost, none reused early, on many layouts. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "bitmap.h"
#include "group.h"
#include "image.h"
#include "txn.h"

enum { MIB = 1 << 20, THREADS = 3, ROUNDS = 1500, MAX_OWNED = 256 };

static const char *const variants[] = {
	"-t ext4", "-t ext4 -b 1024", "-t ext4 -b 1024 -O ^resize_inode,meta_bg,^flex_bg",
	"-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", "-t ext2 -b 1024", "-t ext4 -O ^64bit",
	"-t ext4 -b 2048 -O sparse_super2,^resize_inode", "-t ext4 -b 1024 -g 1016 -G 4",
	"-t ext4 -b 65536",
};

struct owned {
	uint64_t pblk;
	uint32_t len;
};

struct storm {
	struct fs *fs;
	_Atomic uint8_t *owner;	/* by block: somebody has it */
	unsigned seed;
	struct owned owned[MAX_OWNED];
	unsigned n;
	const char *wrong;
};

static void own(struct storm *s, uint64_t pblk, uint32_t len, uint8_t from, uint8_t to)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t expected = from;

		if (!atomic_compare_exchange_strong(&s->owner[pblk + i], &expected, to))
			s->wrong = from ? "freed block was not ours" : "block handed out twice";
	}
}

static int commit_range(struct fs *fs, uint64_t pblk, uint32_t len)
{
	struct handle h;
	int ret = txn_begin(fs, BALLOC_CREDITS, &h), err;

	if (ret)
		return ret;
	ret = balloc_commit(&h, pblk, len);
	err = txn_stop(&h);
	return ret ? ret : err;
}

static int free_range(struct fs *fs, uint64_t pblk, uint32_t len, bool metadata)
{
	struct handle h;
	int ret = txn_begin(fs, BALLOC_CREDITS * 2, &h), err;

	if (ret)
		return ret;
	ret = balloc_free(&h, pblk, len, metadata);
	err = txn_stop(&h);
	return ret ? ret : err;
}

static void storm_alloc(struct storm *s)
{
	uint32_t want = 1 + (uint32_t)rand_r(&s->seed) % (1U << rand_r(&s->seed) % 12), len;
	uint64_t goal = (uint64_t)rand_r(&s->seed) % s->fs->blocks_count, pblk;
	int ret;

	if (s->n == MAX_OWNED)
		return;
	if (s->n && rand_r(&s->seed) % 2)
		goal = s->owned[s->n - 1].pblk + s->owned[s->n - 1].len;
	ret = balloc_reserve(s->fs, goal, want, rand_r(&s->seed) % 2, &pblk, &len);
	if (ret == -ENOSPC)
		return;
	if (ret || !len || len > want || !fs_block_valid(s->fs, pblk, len)) {
		s->wrong = "bad reservation";
		return;
	}
	own(s, pblk, len, 0, 1);
	if (rand_r(&s->seed) % 4 == 0) {
		uint32_t back = 1 + (uint32_t)rand_r(&s->seed) % len;

		own(s, pblk + len - back, back, 1, 0);
		balloc_unreserve(s->fs, pblk + len - back, back);
		len -= back;
	}
	if (!len)
		return;
	if (commit_range(s->fs, pblk, len))
		s->wrong = "commit failed";
	s->owned[s->n++] = (struct owned){ pblk, len };
}

static void storm_free(struct storm *s, unsigned i)
{
	struct owned *o = &s->owned[i];
	uint32_t len = rand_r(&s->seed) % 2 ? o->len : 1 + (uint32_t)rand_r(&s->seed) % o->len;

	o->len -= len;
	own(s, o->pblk + o->len, len, 1, 0);
	if (free_range(s->fs, o->pblk + o->len, len, rand_r(&s->seed) % 2))
		s->wrong = "free failed";
	if (!o->len)
		*o = s->owned[--s->n];
}

static void *storm_thread(void *arg)
{
	struct storm *s = arg;

	for (int i = 0; i < ROUNDS && !s->wrong; i++) {
		if (s->n && rand_r(&s->seed) % 2)
			storm_free(s, (unsigned)rand_r(&s->seed) % s->n);
		else
			storm_alloc(s);
		if (rand_r(&s->seed) % 200 == 0 && txn_commit_now(s->fs))
			s->wrong = "commit of the transaction failed";
	}
	while (s->n && !s->wrong)
		storm_free(s, s->n - 1);
	return NULL;
}

static void storm(const char *variant, uint64_t size)
{
	static struct storm s[THREADS];
	pthread_t thread[THREADS];
	_Atomic uint8_t *owner;
	struct statvfs before, after;
	struct image img;

	image_make(&img, size, variant);
	image_open(&img);
	assert_int_equal(fs_statfs(img.fs, &before), 0);
	owner = calloc(img.fs->blocks_count, 1);
	assert_non_null(owner);
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct storm){ .fs = img.fs, .owner = owner, .seed = (unsigned)i + 1 };
		assert_int_equal(pthread_create(&thread[i], NULL, storm_thread, &s[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		if (s[i].wrong)
			fail_msg("%s: %s (%s)", variant, s[i].wrong, img.last_error);
	}
	/* While the commit thread releases blocks, their number is off. */
	assert_int_equal(txn_commit_now(img.fs), 0);
	assert_int_equal(fs_statfs(img.fs, &after), 0);
	assert_int_equal(after.f_bfree, before.f_bfree);
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(img.errors, 0);
	image_fsck(&img);
	free(owner);
	image_free(&img);
}

static void storms_leave_clean_images(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		storm(variants[i], strstr(variants[i], "65536") ? 512 * MIB : 96 * MIB);
}

/* Takes everything; returns how much that was. */
static uint64_t take_all(struct fs *fs, bool root)
{
	uint64_t pblk, total = 0;
	uint32_t len;
	int ret;

	while (!(ret = balloc_reserve(fs, 0, 1 << 15, root, &pblk, &len))) {
		total += len;
		assert_int_equal(commit_range(fs, pblk, len), 0);
	}
	assert_int_equal(ret, -ENOSPC);
	return total;
}

static void reserve_is_kept_for_root(void **state)
{
	struct statvfs st;
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4 -b 1024 -m 10");
	image_open(&img);
	fs_statfs(img.fs, &st);
	assert_int_equal(take_all(img.fs, false), st.f_bavail);
	assert_int_equal(take_all(img.fs, true), st.f_bfree - st.f_bavail);
	fs_statfs(img.fs, &st);
	assert_int_equal(st.f_bfree, 0);
	assert_int_equal(st.f_bavail, 0);
	image_free(&img);
}

static void freed_blocks_wait_for_their_commit(void **state)
{
	uint64_t pblk, again;
	uint32_t len, tid;
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4 -b 1024 -m 0");
	image_keep_still(&img);
	image_open(&img);
	assert_int_equal(balloc_reserve(img.fs, 9000, 8, true, &pblk, &len), 0);
	assert_int_equal(commit_range(img.fs, pblk, len), 0);
	assert_int_equal(free_range(img.fs, pblk, len, false), 0);
	assert_int_equal(balloc_reserve(img.fs, pblk, 8, true, &again, &len), 0);
	assert_int_not_equal(again, pblk);
	balloc_unreserve(img.fs, again, len);
	assert_int_equal(txn_commit_now(img.fs), 0);
	assert_int_equal(balloc_reserve(img.fs, pblk, 8, true, &again, &len), 0);
	assert_int_equal(again, pblk);
	balloc_unreserve(img.fs, again, len);

	/* With nothing else left, the reservation itself waits for the commit. */
	take_all(img.fs, true);
	assert_int_equal(free_range(img.fs, pblk, 4, false), 0);
	tid = txn_current(img.fs);
	assert_int_equal(balloc_reserve(img.fs, pblk, 4, true, &again, &len), 0);
	assert_int_equal(again, pblk);
	assert_true(txn_current(img.fs) != tid);
	balloc_unreserve(img.fs, again, len);
	image_free(&img);
}

static void frees_are_checked(void **state)
{
	struct image img;
	struct statvfs st, same;

	image_make(&img, 16 * MIB, "-t ext4 -b 1024 -e continue");
	image_open(&img);
	fs_statfs(img.fs, &st);
	assert_int_equal(free_range(img.fs, 16000, 4, false), -EUCLEAN);
	assert_int_equal(free_range(img.fs, 1, 1, true), -EUCLEAN);
	assert_int_equal(free_range(img.fs, 16380, 100, true), -EUCLEAN);
	assert_int_equal(free_range(img.fs, UINT64_MAX - 3, 8, true), -EUCLEAN);
	fs_statfs(img.fs, &same);
	assert_int_equal(st.f_bfree, same.f_bfree);
	assert_int_equal(img.errors, 4);
	image_close(&img);
	image_run("e2fsck -fy %s >/dev/null", img.path);	/* the recorded errors */
	image_free(&img);
}

/* A bitmap that cannot be right: allocation goes elsewhere, the group is left alone. */
static void bad_bitmap_takes_its_group_out(void **state)
{
	struct image img;
	uint64_t bitmap, pblk, first;
	uint32_t len;
	int fd;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024 -O ^flex_bg -e continue -m 0");
	image_open(&img);
	first = 1 + 3 * 8192;
	assert_int_equal(balloc_reserve(img.fs, first, 1, true, &pblk, &len), 0);
	assert_int_equal(commit_range(img.fs, pblk, len), 0);
	assert_int_equal(free_range(img.fs, pblk, len, false), 0);
	bitmap = ext2fs_block_bitmap_loc(img.fs->e2, 3);
	image_close(&img);
	fd = open(img.path, O_WRONLY);
	assert_int_equal(pwrite(fd, "", 1, (off_t)bitmap * 1024 + 700), 1);
	assert_int_equal(pwrite(fd, "\x55", 1, (off_t)bitmap * 1024 + 701), 1);
	close(fd);
	image_open(&img);
	assert_int_equal(balloc_reserve(img.fs, first + 5000, 1, true, &pblk, &len), 0);
	assert_true(pblk < first || pblk >= first + 8192);
	assert_int_equal(img.errors, 1);
	balloc_unreserve(img.fs, pblk, len);
	assert_int_equal(free_range(img.fs, first + 5000, 1, false), -EUCLEAN);
	take_all(img.fs, true);
	image_free(&img);
}

static void runs_continue_at_the_goal(void **state)
{
	uint64_t pblk, next;
	uint32_t len;
	struct image img;

	image_make(&img, 256 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(balloc_reserve(img.fs, 50000, 1000, false, &pblk, &len), 0);
	assert_int_equal(pblk, 50000);
	assert_int_equal(len, 1000);
	assert_int_equal(balloc_reserve(img.fs, 51000, 1000, false, &next, &len), 0);
	assert_int_equal(next, 51000);
	assert_int_equal(balloc_reserve(img.fs, 50000, 1000, false, &next, &len), 0);
	assert_int_equal(next, 52000);
	assert_int_equal(len, 1000);
	image_free(&img);
}

static void trim_discards_what_is_free(void **state)
{
	struct statvfs before, after;
	uint64_t trimmed, pblk;
	uint32_t len;
	struct image img;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024");
	image_open(&img);
	if (!img.dev->info.can_discard) {
		image_free(&img);
		return;
	}
	assert_int_equal(balloc_reserve(img.fs, 9000, 5, false, &pblk, &len), 0);
	assert_int_equal(commit_range(img.fs, pblk, len), 0);
	fs_statfs(img.fs, &before);
	assert_int_equal(balloc_trim(img.fs, 0, UINT64_MAX, 0, &trimmed), 0);
	assert_int_equal(trimmed, before.f_bfree * 1024);
	/* Exactly the range asked for, its last block included. */
	assert_int_equal(balloc_trim(img.fs, 9003 * 1024, 10 * 1024, 1024, &trimmed), 0);
	assert_int_equal(trimmed, 8 * 1024);
	assert_int_equal(balloc_trim(img.fs, 9003 * 1024, 10 * 1024, 9 * 1024, &trimmed), 0);
	assert_int_equal(trimmed, 0);
	assert_int_equal(balloc_trim(img.fs, 1ULL << 50, 1024, 0, &trimmed), -EINVAL);
	fs_statfs(img.fs, &after);
	assert_int_equal(after.f_bfree, before.f_bfree);
	assert_int_equal(free_range(img.fs, pblk, len, false), 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void bitmap_ranges(void **state)
{
	uint64_t map[5] = { 0 };
	uint32_t start = 99;

	bitmap_set(map, 60, 10);
	assert_true(bitmap_all_set(map, 60, 10));
	assert_false(bitmap_test(map, 59) || bitmap_test(map, 70));
	assert_int_equal(bitmap_next_one(map, 0, 320), 60);
	assert_int_equal(bitmap_next_one(map, 0, 50), 50);
	assert_int_equal(bitmap_next_zero(map, 60, 320), 70);
	assert_int_equal(bitmap_next_zero(map, 60, 65), 65);
	assert_int_equal(bitmap_count_zero(map, 50, 80), 20);
	assert_int_equal(bitmap_count_zero(map, 7, 7), 0);
	assert_int_equal(bitmap_find_run(map, 0, 320, 61, &start), 61);
	assert_int_equal(start, 70);
	assert_int_equal(bitmap_find_run(map, 0, 100, 61, &start), 60);
	assert_int_equal(start, 0);
	bitmap_clear(map, 64, 64);
	assert_true(bitmap_all_clear(map, 64, 64));
	assert_true(bitmap_all_set(map, 60, 4));
	bitmap_set(map, 0, 320);
	assert_int_equal(bitmap_find_run(map, 0, 320, 1, &start), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bitmap_ranges),
		cmocka_unit_test(storms_leave_clean_images),
		cmocka_unit_test(reserve_is_kept_for_root),
		cmocka_unit_test(freed_blocks_wait_for_their_commit),
		cmocka_unit_test(frees_are_checked),
		cmocka_unit_test(bad_bitmap_takes_its_group_out),
		cmocka_unit_test(runs_continue_at_the_goal),
		cmocka_unit_test(trim_discards_what_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
