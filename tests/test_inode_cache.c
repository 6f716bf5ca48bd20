/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In-core inodes: creation, deletion, locks, many threads, many inodes. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "group.h"
#include "inode_fixture.h"
#include "orphan.h"

/* The kernel knows the numbers up to this one. */
static _Atomic uint32_t known_below;

static bool known(void *arg, uint32_t ino)
{
	return ino < atomic_load(&known_below);
}

static void unlink_held(struct image *img, const char *name, uint32_t *ret_ino,
			struct inode **ret)
{
	*ret_ino = make_file(img->fs, name);
	assert_int_equal(inode_get(img->fs, *ret_ino, ret), 0);
	assert_int_equal(ops_unlink(img->fs, EXT2_ROOT_INO, name), 0);
}

static void test_deletion_waits_for_the_last(void **state)
{
	struct inode *inode, *again;
	struct image img;
	uint32_t ino;

	image_make(&img, 32 * MIB, "-t ext4");
	img.opt.inode_known = known;
	image_open(&img);

	/* A reference holds it. */
	atomic_store(&known_below, 0);
	unlink_held(&img, "a", &ino, &inode);
	assert_int_equal(inode_get(img.fs, ino, &again), 0);
	assert_ptr_equal(again, inode);
	inode_put(again);
	assert_int_equal(ialloc_in_use(img.fs, ino), 1);
	inode_put(inode);
	assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	assert_int_equal(inode_get(img.fs, ino, &inode), -ESTALE);

	/* The kernel holds it; a handle may still open it. */
	atomic_store(&known_below, UINT32_MAX);
	unlink_held(&img, "b", &ino, &inode);
	inode_put(inode);
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	inode_put(inode);
	inode_forgotten(img.fs, ino);		/* not yet */
	assert_int_equal(ialloc_in_use(img.fs, ino), 1);
	atomic_store(&known_below, 0);
	inode_forgotten(img.fs, ino);
	inode_forgotten(img.fs, ino);
	assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	assert_int_equal(inode_get(img.fs, ino, &inode), -ESTALE);

	/* Still known at the end. */
	atomic_store(&known_below, UINT32_MAX);
	unlink_held(&img, "c", &ino, &inode);
	inode_put(inode);
	assert_int_equal(img.errors, 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_new_and_abandoned(void **state)
{
	struct inode *root, *inode, *other;
	struct image img;
	struct handle h;
	uint32_t ino, gen;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, EXT2_ROOT_INO, &root), 0);
	for (int stored = 0; stored < 2; stored++) {
		assert_int_equal(txn_begin(img.fs, INODE_NEW_CREDITS + INODE_STORE_CREDITS, &h), 0);
		assert_int_equal(inode_new(&h, root, S_IFREG | 0600, 1, 2, &inode), 0);
		ino = inode->ino;
		assert_int_equal(inode_get(img.fs, ino, &other), -ESTALE);
		assert_int_equal(inode->nlink, 0);
		inode->nlink = 1;
		if (stored)
			assert_int_equal(inode_store(&h, inode, true), 0);
		inode_abandon_new(&h, inode);
		assert_int_equal(txn_stop(&h), 0);
		assert_int_equal(inode_get(img.fs, ino, &other), -ESTALE);
		assert_int_equal(ialloc_in_use(img.fs, ino), 0);
	}
	inode_put(root);
	/* Generations differ from life to life. */
	ino = make_file(img.fs, "x");
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	gen = inode->gen;
	inode_put(inode);
	assert_int_equal(ops_unlink(img.fs, EXT2_ROOT_INO, "x"), 0);
	assert_int_equal(fs_sync(img.fs), 0);
	ino = make_file(img.fs, "y");
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	assert_true(inode->gen != gen);
	inode_put(inode);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_new_content_by_features(void **state)
{
	static const struct { const char *mkfs; uint32_t file, dir; } cases[] = {
		{ "-t ext4 -O inline_data", EXT4_INLINE_DATA_FL, EXT4_INLINE_DATA_FL },
		{ "-t ext4 -I 1024", EXT4_EXTENTS_FL, EXT4_EXTENTS_FL },
		{ "-t ext2", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint32_t mask = EXT4_INLINE_DATA_FL | EXT4_EXTENTS_FL;
		struct inode *inode;
		struct image img;

		image_make(&img, 32 * MIB, cases[i].mkfs);
		image_open(&img);
		assert_int_equal(inode_get(img.fs, make_file(img.fs, "f"), &inode), 0);
		assert_int_equal(inode->flags & mask, cases[i].file);
		inode_put(inode);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "d", S_IFDIR | 0755, 0, NULL,
					  &root_cred, &inode), 0);
		assert_int_equal(inode->flags & mask, cases[i].dir);
		inode_put(inode);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "p", S_IFIFO | 0755, 0, NULL,
					  &root_cred, &inode), 0);
		assert_int_equal(inode->flags & mask, 0);
		inode_put(inode);
		assert_int_equal(image_close(&img), 0);
		image_fsck(&img);
		image_free(&img);
	}
}

/* A number that is free in the bitmap but has a live inode must not be handed out twice. */
static void test_bitmap_that_lies(void **state)
{
	struct inode *inode, *fresh;
	struct image img;
	uint32_t ino;
	int err;

	image_make(&img, 32 * MIB, "-t ext4");
	img.opt.errors = FS_ERRORS_CONTINUE;
	image_open(&img);
	ino = make_file(img.fs, "f");
	assert_int_equal(image_close(&img), 0);
	assert_int_equal(image_run("debugfs -w -R 'freei <%u>' %s", ino, img.path), 0);
	image_open(&img);
	assert_int_equal(inode_get(img.fs, ino, &inode), 0);
	err = ops_make(img.fs, EXT2_ROOT_INO, "g", S_IFREG, 0, NULL, &root_cred, &fresh);
	assert_int_equal(err, -EUCLEAN);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "g", S_IFREG, 0, NULL, &root_cred, &fresh),
			 0);
	assert_true(fresh->ino != ino);
	inode_put(fresh);
	inode_put(inode);
	image_close(&img);
	image_free(&img);
}

static void test_lock_many(void **state)
{
	struct inode *a, *b;
	struct image img;

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "a"), &a), 0);
	assert_int_equal(inode_get(img.fs, make_file(img.fs, "b"), &b), 0);
	for (int i = 0; i < 2; i++) {
		struct inode *four[] = { i ? a : b, NULL, i ? b : a, b };

		inode_lock_many(four, 4);
		assert_int_not_equal(pthread_rwlock_trywrlock(&a->lock.l), 0);
		assert_int_not_equal(pthread_rwlock_trywrlock(&b->lock.l), 0);
		inode_unlock_many(four, 4);
		assert_int_equal(pthread_rwlock_trywrlock(&a->lock.l), 0);
		assert_int_equal(pthread_rwlock_trywrlock(&b->lock.l), 0);
		rwlock_write_unlock(&a->lock);
		rwlock_write_unlock(&b->lock);
	}
	inode_put(a);
	inode_put(b);
	image_close(&img);
	image_free(&img);
}

/* Threads that get, change, store and unlink the same inodes. */
enum { CROWD = 6, FILES = 64, ROUNDS = 1500 };

struct crowd {
	struct fs *fs;
	uint32_t inos[FILES];
	unsigned seed;
	int err;
};

static int visit(struct fs *fs, uint32_t ino, unsigned what)
{
	struct inode *inode;
	struct stat st;
	int err = inode_get(fs, ino, &inode);

	if (err)
		return err;
	if (what % 4 == 0) {
		rwlock_write(&inode->lock);
		inode->mtime.tv_sec++;
		err = store(inode);
		rwlock_write_unlock(&inode->lock);
	} else {
		rwlock_read(&inode->lock);
		inode_fill_stat(inode, &st);
		rwlock_read_unlock(&inode->lock);
		if (st.st_ino != ino)
			err = -EINVAL;
	}
	inode_put(inode);
	return err;
}

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	char name[32];

	for (int i = 0; i < ROUNDS && !c->err; i++) {
		unsigned what = rand_r(&c->seed);

		c->err = visit(c->fs, c->inos[what % FILES], what / FILES);
		if (i % 10 == 0 && !c->err) {
			struct inode *inode;

			snprintf(name, sizeof(name), "own-%p", (void *)c);
			c->err = ops_make(c->fs, EXT2_ROOT_INO, name, S_IFREG, 0, NULL,
					  &root_cred, &inode);
			if (!c->err) {
				c->err = ops_unlink(c->fs, EXT2_ROOT_INO, name);
				inode_put(inode);
			}
		}
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct inode_cache_stats stats;
	struct crowd crowd[CROWD] = { 0 };
	pthread_t threads[CROWD];
	struct image img;
	char name[16];

	image_make(&img, 32 * MIB, "-t ext4");
	image_open(&img);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		crowd[0].inos[i] = make_file(img.fs, name);
	}
	img.fs->inodes->lru_max = 1;	/* everything is read again and again */
	for (int i = 0; i < CROWD; i++) {
		crowd[i].fs = img.fs;
		crowd[i].seed = i;
		memcpy(crowd[i].inos, crowd[0].inos, sizeof(crowd[0].inos));
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(crowd[i].err, 0);
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.misses > FILES && stats.cached <= 2 * INODE_SHARDS + FILES);
	assert_int_equal(img.errors, 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

/* More files than the table keeps: it grows, shrinks, and fsync still works. */
static void test_many(void **state)
{
	enum { MANY = 6000 };
	struct inode_cache_stats stats;
	static struct inode *held[MANY];
	struct image img;
	char name[16];

	image_make(&img, 64 * MIB, "-t ext4 -N 8192 -O ^has_journal");
	image_open(&img);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(inode_get(img.fs, make_file(img.fs, name), &held[i]), 0);
	}
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.cached >= MANY);
	for (int i = 0; i < MANY; i++)
		inode_put(held[i]);
	inode_cache_get_stats(img.fs->inodes, &stats);
	assert_true(stats.cached <= stats.limit + 16);
	assert_int_equal(visit(img.fs, 12, 1), 0);
	assert_int_equal(inode_get(img.fs, 12, &held[0]), 0);
	/* It has left and come back: what it was changed by must be durable all the same. */
	assert_true(held[0]->has_sync_tid);
	assert_int_equal(inode_sync(held[0], true), 0);
	inode_put(held[0]);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deletion_waits_for_the_last),
		cmocka_unit_test(test_new_and_abandoned),
		cmocka_unit_test(test_new_content_by_features),
		cmocka_unit_test(test_bitmap_that_lies),
		cmocka_unit_test(test_lock_many),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
