/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block of multi-mount protection on devices that fail, and when somebody else is in it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "csum.h"
#include "dev_fault.h"
#include "dev_mem.h"
#include "fs_probe.h"
#include "image.h"
#include "txn.h"
#include "unit_tree.h"

enum { SIZE = 16 << 20, SUPER_OFF = 1024, BS = 1024 };

/* A file system in memory, behind a device that can fail. */
struct world {
	struct image img;
	struct blkdev *mem, *dev;
	struct fs *fs;
};

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void world_new(struct world *w, const char *args)
{
	int fd;

	image_make(&w->img, SIZE, args);
	fd = open(w->img.path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(dev_mem_open(SIZE, &w->mem), 0);
	assert_int_equal(pread(fd, dev_mem_data(w->mem), SIZE, 0), SIZE);
	close(fd);
	assert_int_equal(dev_fault_open(w->mem, true, &w->dev), 0);
	w->fs = NULL;
}

static void world_mount(struct world *w)
{
	if (fs_open(w->dev, &w->img.opt, &w->fs, w->img.why, sizeof(w->img.why)))
		fail_msg("fs_open: %s", w->img.why);
}

static void world_free(struct world *w)
{
	blkdev_close(w->dev);
	image_free(&w->img);
}

static struct mmp_struct *block(struct world *w)
{
	const struct ext2_super_block *sb = (void *)(dev_mem_data(w->mem) + SUPER_OFF);

	return (void *)(dev_mem_data(w->mem) + le64toh(sb->s_mmp_block) * BS);
}

static struct mmp_struct now(struct world *w)
{
	struct mmp_struct m;

	dev_mem_hold(w->mem);
	memcpy(&m, block(w), sizeof(m));
	dev_mem_release(w->mem);
	return m;
}

static uint32_t seq(struct world *w)
{
	const struct mmp_struct m = now(w);

	return le32toh(m.mmp_seq);
}

/* Somebody else's hand; images without checksums. */
static void change(struct world *w, uint32_t number, const char *node)
{
	dev_mem_hold(w->mem);
	block(w)->mmp_seq = htole32(number);
	memcpy(block(w)->mmp_nodename, node, strlen(node) + 1);
	dev_mem_release(w->mem);
}

static bool await_change(struct world *w, uint32_t from)
{
	for (int i = 0; i < 1200; i++, sleep_ms(50))
		if (seq(w) != from)
			return true;
	return false;
}

/* No journal: nobody but us calls the device while nothing changes. */
#define MMP_1S	"-t ext4 -b 1024 -O mmp,^metadata_csum,^has_journal -E mmp_update_interval=1"
#define MMP_1S_JOURNAL "-t ext4 -b 1024 -J size=1 -O mmp -E mmp_update_interval=1"
#define MMP_60S	"-t ext4 -b 1024 -J size=1 -O mmp,^metadata_csum -E mmp_update_interval=60"
#define MMP_5S	"-t ext4 -b 1024 -J size=1 -O mmp,^metadata_csum"

static void try_every_failure(unsigned kinds, bool forever)
{
	bool fired = true;
	struct world w;

	for (uint64_t n = 1; fired; n++) {
		int ret;

		world_new(&w, "-t ext4 -b 1024 -J size=1 -O mmp");
		dev_fault_arm(w.dev, kinds, n, -EIO, forever);
		ret = fs_open(w.dev, &w.img.opt, &w.fs, w.img.why, sizeof(w.img.why));
		assert_true(!ret || w.img.why[0]);
		if (!ret)
			ret = fs_close(w.fs);
		fired = dev_fault_fired(w.dev);
		assert_int_equal(fired, ret != 0);
		assert_int_equal(le32toh(now(&w).mmp_magic), EXT4_MMP_MAGIC);
		if (!fired)
			assert_int_equal(seq(&w), EXT4_MMP_SEQ_CLEAN);
		world_free(&w);
		assert_in_range(n, 1, 200);
	}
}

/* Whichever call of a mount and an unmount fails: it is told, and the block never lies. */
static void every_failure_is_told(void **state)
{
	try_every_failure(DEV_FAULT_ALL, true);
}

/* A lost write is met by one flush, the thread's or another. */
static void one_failed_flush_is_told(void **state)
{
	try_every_failure(DEV_FAULT_FLUSH, false);
}

/* One update that fails is an error of the device; the next one heals. */
static void updates_go_on_after_a_failure(void **state)
{
	static const unsigned kinds[] = { DEV_FAULT_READ, DEV_FAULT_WRITE };
	uint32_t before;
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		world_new(&w, MMP_1S);
		w.img.opt.errors = FS_ERRORS_CONTINUE;
		world_mount(&w);
		assert_true(await_change(&w, seq(&w)));
		dev_fault_arm(w.dev, kinds[i], 1, -EIO, false);
		for (int k = 0; k < 1200 && !dev_fault_fired(w.dev); k++)
			sleep_ms(50);
		assert_true(dev_fault_fired(w.dev));
		before = seq(&w);
		assert_true(await_change(&w, before));
		assert_int_equal(w.img.errors, 1);
		assert_non_null(strstr(w.img.last_error, "multi-mount protection"));
		assert_int_equal(fs_may_write(w.fs), 0);
		assert_int_equal(fs_close(w.fs), 0);
		assert_int_equal(seq(&w), EXT4_MMP_SEQ_CLEAN);
		world_free(&w);
	}
}

/* The thread's flush hears that a write of a file was lost; the file's fsync fails all the
 * same, and so does everything after it. The thread goes on. */
static void a_loss_that_an_update_meets_is_everybodys(void **state)
{
	static const char *const args[] = { MMP_1S, MMP_1S_JOURNAL };
	struct handle h;
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		world_new(&w, args[i]);
		w.img.opt.errors = FS_ERRORS_CONTINUE;
		w.img.opt.commit_sec = 1000;
		w.img.opt.idle_ms = FS_NEVER_IDLE;
		world_mount(&w);
		assert_int_equal(unit_make(w.fs, "/file", S_IFREG | 0600, NULL), 0);
		assert_int_equal(unit_fsync(w.fs, "/file"), 0);
		/* No commit, and no flush but the thread's. */
		assert_int_equal(txn_begin(w.fs, 1, &h), 0);
		assert_int_equal(unit_write(w.fs, "/file", 0, 5000, 1), 0);
		dev_fault_arm(w.dev, DEV_FAULT_FLUSH, 1, -EIO, false);
		for (int k = 0; k < 1200 && !dev_fault_fired(w.dev); k++)
			sleep_ms(50);
		assert_true(dev_fault_fired(w.dev));
		txn_stop(&h);
		assert_int_equal(unit_fsync(w.fs, "/file"), -EIO);
		/* The thread that has met it says so a moment later. */
		for (int k = 0; k < 600 && !fs_may_write(w.fs); k++)
			sleep_ms(50);
		assert_int_equal(fs_may_write(w.fs), -EROFS);
		assert_true(await_change(&w, seq(&w)));
		assert_int_equal(fs_close(w.fs), -EROFS);
		assert_int_equal(seq(&w), EXT4_MMP_SEQ_CLEAN);
		world_free(&w);
	}
}

static void errors_ro_applies(void **state)
{
	struct world w;

	world_new(&w, MMP_1S);
	w.img.opt.errors = FS_ERRORS_RO;
	world_mount(&w);
	assert_true(await_change(&w, seq(&w)));
	dev_fault_arm(w.dev, DEV_FAULT_READ, 1, -EIO, true);
	for (int k = 0; k < 1200 && !fs_may_write(w.fs); k++)
		sleep_ms(50);
	assert_int_equal(fs_may_write(w.fs), -EROFS);
	dev_fault_disarm(w.dev);
	assert_int_not_equal(fs_close(w.fs), 0);
	world_free(&w);
}

/* Between two updates of ours and right before the end. */
static void what_was_taken_stays_taken(void **state)
{
	struct world w;
	int ret;

	world_new(&w, MMP_60S);
	world_mount(&w);
	/* The first update says twice the interval. */
	while (le16toh(now(&w).mmp_check_interval) != 120)
		sleep_ms(10);
	change(&w, 77, "thief");
	ret = fs_close(w.fs);
	assert_int_equal(ret, -EBUSY);
	assert_int_equal(seq(&w), 77);
	world_free(&w);
}

static void the_fs_is_shut_when_taken(void **state)
{
	uint64_t writes;
	struct world w;

	world_new(&w, MMP_1S);
	world_mount(&w);
	assert_true(await_change(&w, seq(&w)));
	/* The number may happen to be the same. An update under way may undo it. */
	for (int k = 0; k < 1200 && !fs_may_write(w.fs); k++) {
		change(&w, seq(&w), "thi\33ef");
		sleep_ms(50);
	}
	assert_int_equal(fs_may_write(w.fs), -EIO);
	assert_int_equal(fs_may_read(w.fs), -EIO);
	writes = atomic_load(&w.dev->stats.writes);
	assert_int_not_equal(fs_close(w.fs), 0);
	assert_int_equal(atomic_load(&w.dev->stats.writes), writes);
	assert_non_null(strstr(w.img.last_error, "'thi?ef'"));
	world_free(&w);
}

/* A look costs no waiting and claims nothing. */
static void a_probe_only_looks(void **state)
{
	struct fs_probe *p = calloc(1, sizeof(*p));
	struct world w;

	assert_non_null(p);
	world_new(&w, MMP_5S);
	change(&w, 77, "owner");
	assert_int_equal(fs_probe(w.dev, p), 0);
	assert_string_equal(p->mount, "rw");
	assert_int_equal(p->nnotes, 1);
	assert_non_null(strstr(p->notes[0], "node 'owner'"));
	change(&w, EXT4_MMP_SEQ_FSCK, "owner");
	assert_int_equal(fs_probe(w.dev, p), 0);
	assert_string_equal(p->mount, "ro");
	assert_non_null(strstr(p->why, "e2fsck is running"));
	assert_int_equal(seq(&w), EXT4_MMP_SEQ_FSCK);
	free(p);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_is_told),
		cmocka_unit_test(one_failed_flush_is_told),
		cmocka_unit_test(a_loss_that_an_update_meets_is_everybodys),
		cmocka_unit_test(updates_go_on_after_a_failure),
		cmocka_unit_test(errors_ro_applies),
		cmocka_unit_test(what_was_taken_stays_taken),
		cmocka_unit_test(the_fs_is_shut_when_taken),
		cmocka_unit_test(a_probe_only_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
