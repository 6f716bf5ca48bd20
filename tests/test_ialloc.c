/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inode numbers: unique, near their directory, not reused early, tables cleared. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "group.h"
#include "image.h"
#include "inode.h"
#include "txn.h"

enum { MIB = 1 << 20, THREADS = 3, PER_THREAD = 700 };

static const char *const variants[] = {
	"-t ext4 -i 8192", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg -i 8192",
	"-t ext2 -b 1024 -i 4096", "-t ext4 -O ^flex_bg -b 1024 -g 1024 -i 4096",
	"-t ext4 -b 1024 -O ^resize_inode,meta_bg -E lazy_itable_init=1 -i 8192",
};

static int new_inode(struct fs *fs, const struct inode *parent, bool is_dir, uint32_t *ret_ino)
{
	struct handle h;
	int ret = txn_begin(fs, IALLOC_CREDITS, &h), err;

	if (ret)
		return ret;
	ret = ialloc_new(&h, parent, is_dir, ret_ino);
	err = txn_stop(&h);
	return ret ? ret : err;
}

static int free_inode(struct fs *fs, uint32_t ino, bool is_dir)
{
	struct handle h;
	int ret = txn_begin(fs, IALLOC_CREDITS, &h), err;

	if (ret)
		return ret;
	ret = ialloc_free(&h, ino, is_dir);
	err = txn_stop(&h);
	return ret ? ret : err;
}

struct storm {
	struct fs *fs;
	struct inode *root;
	_Atomic uint8_t *owner;
	unsigned seed;
	const char *wrong;
};

static void *storm_thread(void *arg)
{
	struct storm *s = arg;
	struct { uint32_t ino; bool dir; } have[PER_THREAD];
	int n = 0;

	for (int i = 0; i < 4 * PER_THREAD && !s->wrong; i++) {
		if (n < PER_THREAD && rand_r(&s->seed) % 3) {
			have[n].dir = rand_r(&s->seed) % 8 == 0;
			if (new_inode(s->fs, s->root, have[n].dir, &have[n].ino))
				s->wrong = "no inode";
			else if (have[n].ino < s->fs->first_ino || s->owner[have[n].ino]++)
				s->wrong = "inode handed out twice";
			else if (ialloc_in_use(s->fs, have[n].ino) != 1)
				s->wrong = "new inode is not in use";
			else
				n++;
		} else if (n) {
			int k = rand_r(&s->seed) % n;

			s->owner[have[k].ino]--;
			if (free_inode(s->fs, have[k].ino, have[k].dir))
				s->wrong = "free failed";
			have[k] = have[--n];
		}
		if (rand_r(&s->seed) % 300 == 0)
			txn_commit_now(s->fs);
	}
	while (n-- && !s->wrong) {
		s->owner[have[n].ino]--;
		if (free_inode(s->fs, have[n].ino, have[n].dir))
			s->wrong = "free failed";
	}
	return NULL;
}

static void storm(const char *variant)
{
	struct storm s[THREADS];
	pthread_t thread[THREADS];
	_Atomic uint8_t *owner;
	struct statvfs before, after;
	struct inode *root;
	struct image img;

	image_make(&img, 64 * MIB, variant);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	assert_int_equal(fs_statfs(img.fs, &before), 0);
	owner = calloc(img.fs->inodes_count + 1, 1);
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct storm){ img.fs, root, owner, (unsigned)i + 1, NULL };
		pthread_create(&thread[i], NULL, storm_thread, &s[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		if (s[i].wrong)
			fail_msg("%s: %s (%s)", variant, s[i].wrong, img.last_error);
	}
	/* While the commit thread releases inodes, their number is off. */
	assert_int_equal(txn_commit_now(img.fs), 0);
	fs_statfs(img.fs, &after);
	assert_int_equal(after.f_ffree, before.f_ffree);
	inode_put(root);
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(img.errors, 0);
	image_fsck(&img);
	free(owner);
	image_free(&img);
}

static void storms_leave_clean_images(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		storm(variants[i]);
}

static void all_inodes_can_be_used(void **state)
{
	struct inode *root;
	struct statvfs st;
	struct image img;
	uint32_t ino, n = 0;
	int ret;

	image_make(&img, 64 * MIB, "-t ext4 -b 1024 -N 2048");
	image_keep_still(&img);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	fs_statfs(img.fs, &st);
	while (!(ret = new_inode(img.fs, root, n % 7 == 0, &ino)))
		n++;
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(n, st.f_ffree);
	assert_int_equal(free_inode(img.fs, 600, false), 0);
	assert_int_equal(new_inode(img.fs, root, false, &ino), -ENOSPC);
	assert_int_equal(txn_commit_now(img.fs), 0);
	assert_int_equal(new_inode(img.fs, root, false, &ino), 0);
	assert_int_equal(ino, 600);
	inode_put(root);
	image_free(&img);
}

static void frees_are_checked(void **state)
{
	struct image img;

	image_make(&img, 16 * MIB, "-t ext4 -e continue");
	image_open(&img);
	assert_int_equal(free_inode(img.fs, 2000, false), -EUCLEAN);
	assert_int_equal(free_inode(img.fs, EXT2_ROOT_INO, true), -EUCLEAN);
	assert_int_equal(free_inode(img.fs, img.fs->inodes_count + 1, true), -EUCLEAN);
	assert_int_equal(ialloc_in_use(img.fs, 0), -EUCLEAN);
	assert_int_equal(ialloc_in_use(img.fs, 2000), 0);
	assert_int_equal(ialloc_in_use(img.fs, EXT2_ROOT_INO), 1);
	image_free(&img);
}

/* Garbage behind the used part of a table must not become inodes. */
static void unused_table_is_cleared_on_use(void **state)
{
	struct inode *root;
	struct image img;
	uint32_t ino, inos[100], off, used;
	uint64_t pblk;
	uint8_t junk[4096], raw[4096];
	int fd;

	image_make(&img, 64 * MIB, "-t ext4 -b 4096 -E lazy_itable_init=1");
	memset(junk, 0x5a, sizeof(junk));
	image_open(&img);
	used = img.fs->inodes_per_group - ext2fs_bg_itable_unused(img.fs->e2, 0);
	assert_int_equal(group_inode_loc(img.fs, used + 16, &pblk, &off), 0);
	image_close(&img);
	fd = open(img.path, O_RDWR);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pwrite(fd, junk, 4096, (off_t)(pblk + i) * 4096), 4096);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(new_inode(img.fs, root, false, &inos[i]), 0);
	ino = inos[99];
	for (int i = 0; i < 100; i++)
		assert_int_equal(free_inode(img.fs, inos[i], false), 0);
	inode_put(root);
	assert_int_equal(image_close(&img), 0);
	assert_true(ino > used + 64);
	assert_int_equal(pread(fd, raw, 4096, (off_t)pblk * 4096), 4096);
	assert_int_equal(raw[0], 0);
	close(fd);
	image_fsck(&img);
	image_free(&img);
}

static void files_stay_near_top_directories_spread(void **state)
{
	struct inode *root;
	struct image img;
	uint32_t ino, groups[8], g, seen = 0;

	image_make(&img, 1ULL << 30, "-t ext4 -O ^flex_bg");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(new_inode(img.fs, root, false, &ino), 0);
		assert_in_range(ino, 1, img.fs->inodes_per_group);
	}
	for (int i = 0; i < 6; i++) {
		assert_int_equal(new_inode(img.fs, root, true, &ino), 0);
		groups[i] = (ino - 1) / img.fs->inodes_per_group;
		g = groups[i];
		seen |= 1U << g;
	}
	assert_true(__builtin_popcount(seen) >= 5);
	inode_put(root);
	image_free(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storms_leave_clean_images),
		cmocka_unit_test(all_inodes_can_be_used),
		cmocka_unit_test(frees_are_checked),
		cmocka_unit_test(unused_table_is_cleared_on_use),
		cmocka_unit_test(files_stay_near_top_directories_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
