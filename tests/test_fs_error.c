/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of an error, and a write home of the superblock that is under way meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lock.h"
#include "txn.h"
#include "unit_image.h"

enum { MIB = 1 << 20, SUPER_OFF = 1024 };

/* Holds the first write of the superblock, once it is armed, before it reaches the device. */
struct gate {
	struct blkdev dev;
	struct blkdev *lower;		/* [init only] */
	struct mutex lock;
	struct cond changed;
	bool armed, entered, open;	/* [lock] */
};

static struct gate *to_gate(struct blkdev *dev)
{
	return (struct gate *)dev;
}

static void hold(struct gate *g, uint64_t off, size_t len)
{
	mutex_lock(&g->lock);
	if (g->armed && off <= SUPER_OFF && SUPER_OFF < off + len) {
		g->armed = false;
		g->entered = true;
		cond_broadcast(&g->changed);
		while (!g->open)
			cond_wait(&g->changed, &g->lock);
	}
	mutex_unlock(&g->lock);
}

static int gate_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(to_gate(dev)->lower, buf, len, off);
}

static int gate_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	hold(to_gate(dev), off, len);
	return blkdev_write(to_gate(dev)->lower, buf, len, off);
}

static int gate_flush(struct blkdev *dev)
{
	return blkdev_flush(to_gate(dev)->lower);
}

static int gate_close(struct blkdev *dev)
{
	struct gate *g = to_gate(dev);
	int err = blkdev_close(g->lower);

	mutex_fini(&g->lock);
	cond_fini(&g->changed);
	free(g);
	return err;
}

static const struct blkdev_ops gate_ops = {
	.read = gate_read, .write = gate_write, .flush = gate_flush, .close = gate_close,
};

static struct gate *gate_new(struct blkdev *lower)
{
	struct gate *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->dev.ops = &gate_ops;
	g->dev.info = lower->info;
	g->lower = lower;
	mutex_init(&g->lock);
	cond_init(&g->changed);
	return g;
}

static bool is_entered(struct gate *g)
{
	bool entered;

	mutex_lock(&g->lock);
	entered = g->entered;
	mutex_unlock(&g->lock);
	return entered;
}

static void *change_thread(void *fs)
{
	for (int i = 0; !fs_may_write(fs); i++)
		(void)fs_set_label(fs, i & 1 ? "odd" : "even");
	return NULL;
}

static void record_amid_a_write_home(const char *mkfs, enum fs_state end)
{
	const struct fs_options opt = { .errors = FS_ERRORS_RO, NO_COMMITS };
	struct blkdev *mem = unit_mkfs(8 * MIB, mkfs);
	struct gate *g = gate_new(mem);
	struct fs *fs = unit_fs_must_open(&g->dev, &opt);
	pthread_t changer;

	assert_int_equal(fs_sync(fs), 0);
	g->armed = true;
	assert_int_equal(pthread_create(&changer, NULL, change_thread, fs), 0);
	while (!is_entered(g))
		sched_yield();
	if (end == FS_RO)
		fs_error(fs, -EUCLEAN, 12, 34, "bad thing");
	else
		assert_int_equal(fs_shutdown(fs, false), 0);
	mutex_lock(&g->lock);
	g->open = true;
	cond_broadcast(&g->changed);
	mutex_unlock(&g->lock);
	pthread_join(changer, NULL);
	assert_true(fs_close(fs) < 0);
	assert_int_equal(le32toh(unit_super(mem)->s_error_count), end == FS_RO);
	assert_int_equal(!!(le16toh(unit_super(mem)->s_state) & EXT2_ERROR_FS), end == FS_RO);
	blkdev_close(&g->dev);
}

/* Of both it is the record that stays. */
static void a_write_home_does_not_undo_the_record(void **state)
{
	record_amid_a_write_home("-t ext4 -b 1024 -O ^has_journal", FS_RO);
	record_amid_a_write_home("-t ext4 -b 4096 -O ^has_journal", FS_RO);
	record_amid_a_write_home("-t ext4 -b 1024 -J size=1", FS_RO);
}

static void a_shutdown_leaves_no_record(void **state)
{
	record_amid_a_write_home("-t ext4 -b 1024 -O ^has_journal", FS_SHUTDOWN);
	record_amid_a_write_home("-t ext4 -b 1024 -J size=1", FS_SHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_home_does_not_undo_the_record),
		cmocka_unit_test(a_shutdown_leaves_no_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
