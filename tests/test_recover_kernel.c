/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery of journals the kernel has left: its ext4 works on a loop device, is shut down
 * in the middle (EXT4_IOC_SHUTDOWN), and both e2fsck and we recover what it wrote. Then
 * the file system is opened and closed here and must be clean. Skipped where mounting is
 * not possible. The other way round, too: the kernel takes up what we left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "file.h"
#include "ops.h"
#include "recover_int.h"
#include "recover_fixture.h"

enum { SHUTDOWN_LOGFLUSH = 1, SHUTDOWN_NOLOGFLUSH = 2 };

struct scene {
	const char *mkfs, *mount;
	uint32_t flags;
	const char *work;	/* in the root of the file system, with sh */
	enum { LEAVE_NOTHING, LEAVE_FAST_COMMITS, LEAVE_ORPHAN } left;
};

/* Long enough for a 1 MiB journal to go round. */
#define CHURN "i=0; while [ $i -lt 12 ]; do mkdir d$i; j=0; while [ $j -lt 60 ]; do " \
	"echo $i-$j > d$i/file-with-a-long-name-so-that-directories-grow-$j; j=$((j+1)); done; " \
	"[ $((i%3)) = 0 ] || rm -rf d$((i-1)); sync -f .; i=$((i+1)); done; "
/* Directory blocks are revoked when they are freed, then used for data. */
#define REUSE "mkdir r; for n in 1 2 3 4 5 6; do mkdir r/$n; for m in $(seq 80); do " \
	": > r/$n/some-name-$m-for-the-block; done; done; sync -f .; rm -rf r; sync -f .; " \
	"head -c 3000000 /dev/urandom > data; sync data; "
#define TAIL "mkdir last; echo x > last/y; ln -s y last/z; setfattr -n user.a -v b last/y || :; "

static const struct scene scenes[] = {
	{ "-t ext4 -b 1024 -J size=1", "", SHUTDOWN_LOGFLUSH, CHURN TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 1024 -J size=1", "", SHUTDOWN_NOLOGFLUSH, CHURN TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096", "", SHUTDOWN_LOGFLUSH, CHURN REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096", "", SHUTDOWN_NOLOGFLUSH, REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096 -O ^64bit", "", SHUTDOWN_LOGFLUSH, REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 1024 -O ^64bit,^metadata_csum -J size=1", "", SHUTDOWN_LOGFLUSH,
	  CHURN REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096 -O ^metadata_csum", ",journal_checksum", SHUTDOWN_LOGFLUSH,
	  REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 1024 -O ^metadata_csum,^64bit -J size=1", ",journal_checksum",
	  SHUTDOWN_LOGFLUSH, CHURN TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 1024 -O ^metadata_csum -J size=1", ",journal_async_commit,data=writeback",
	  SHUTDOWN_LOGFLUSH, CHURN TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096", ",data=journal", SHUTDOWN_LOGFLUSH,
	  "printf '\\300\\073\\071\\230 and more' > magic; " REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext3 -b 1024 -J size=1", "", SHUTDOWN_LOGFLUSH, CHURN REUSE TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096 -O orphan_file,inline_data", "", SHUTDOWN_LOGFLUSH, CHURN TAIL, LEAVE_ORPHAN },
	{ "-t ext4 -b 1024 -J size=1", "", SHUTDOWN_LOGFLUSH, TAIL, LEAVE_ORPHAN },
	{ "-t ext4 -b 4096 -O fast_commit", "", SHUTDOWN_LOGFLUSH, CHURN TAIL, LEAVE_NOTHING },
	{ "-t ext4 -b 4096 -O fast_commit", "", SHUTDOWN_NOLOGFLUSH,
	  CHURN "echo a > fc; sync fc; echo b >> fc; sync fc; ", LEAVE_FAST_COMMITS },
};

static bool mounting_works;

static int find_out(void **state)
{
	struct image img;
	char dir[300];

	image_make(&img, 16 << 20, "-t ext4");
	snprintf(dir, sizeof(dir), "%s.mnt", img.path);
	mounting_works = geteuid() == 0 &&
		system(NULL) && image_run("mkdir %s; mount -o loop %s %s 2>/dev/null || "
					  "touch %s.no", dir, img.path, dir, img.path) == 0 &&
		image_run("if [ -e %s.no ]; then rm %s.no; exit 0; fi; umount %s; touch %s.yes",
			  img.path, img.path, dir, img.path) == 0;
	snprintf(dir, sizeof(dir), "%s.yes", img.path);
	mounting_works = mounting_works && unlink(dir) == 0;
	image_run("rmdir %s.mnt", img.path);
	image_free(&img);
	return 0;
}

/* A file held open while its name goes: an orphan for who recovers. */
static int make_orphan(int dir)
{
	static const char text[10000];
	int fd = openat(dir, "orphan", O_RDWR | O_CREAT, 0600);

	if (fd < 0 || write(fd, text, sizeof(text)) < 0 || fsync(fd) || unlinkat(dir, "orphan", 0))
		return -1;
	return fd;
}

/* Mounts, works, shuts down, unmounts. Nothing may stay mounted whatever fails. */
static void play(const struct scene *scene, const struct image *img)
{
	const int op = _IOR('X', 125, uint32_t);
	uint32_t flags = scene->flags;
	char dir[300];
	int fd, work, down, orphan = -1;

	snprintf(dir, sizeof(dir), "%s.mnt", img->path);
	assert_int_equal(image_run("mkdir %s && mount -o loop%s %s %s", dir, scene->mount,
				   img->path, dir), 0);
	work = image_run("cd %s; set -e; %s", dir, scene->work);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	if (fd >= 0 && scene->left == LEAVE_ORPHAN)
		orphan = make_orphan(fd);
	down = fd < 0 ? -1 : ioctl(fd, op, &flags);
	if (orphan >= 0)
		close(orphan);
	close(fd);
	assert_int_equal(image_run("umount %s && rmdir %s", dir, dir), 0);
	assert_int_equal(work, 0);
	assert_int_equal(down, 0);
}

static char warnings[1000];

static void note_warning(void *arg, enum fs_log level, const char *line)
{
	if (level == FS_LOG_WARN)
		snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n",
			 line);
}

/* Whoever only reads is told what is not there. */
static void look_without_fast_commits(struct image *img, bool norecovery)
{
	struct image ro = *img;

	warnings[0] = '\0';
	ro.opt = (struct fs_options){
		.readonly = true, .norecovery = norecovery, .log = note_warning,
	};
	image_open(&ro);
	if (!norecovery) {
		AUTOINODE inode = NULL;

		assert_int_equal(ops_lookup(ro.fs, EXT2_ROOT_INO, "d11", &inode), 0);
	}
	assert_int_equal(image_close(&ro), 0);
	assert_non_null(strstr(warnings, "fast commits"));
	assert_non_null(strstr(warnings, "not replayed"));
}

/* Refused for writing, by name and untouched; served without them read-only. */
static void judge_fast_commits(struct image *img)
{
	size_t len, len2;
	uint8_t *before = read_all(img->path, &len), *after;
	struct recover_result result;

	assert_int_equal(recover_file(img->path, &result), -EOPNOTSUPP);
	assert_true(result.fast_commits);
	assert_non_null(strstr(why, "fast commit"));
	assert_int_equal(image_try_open(img), -EOPNOTSUPP);
	assert_non_null(strstr(img->why, "fast commit"));
	look_without_fast_commits(img, false);
	look_without_fast_commits(img, true);
	after = read_all(img->path, &len2);
	assert_int_equal(len, len2);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
	/* The way out that the message names. */
	assert_int_equal(image_run("e2fsck -fy %s", img->path) & ~1, 0);
	image_open(img);
	assert_int_equal(image_close(img), 0);
	image_fsck(img);
}

static void judge(const struct scene *scene, struct image *img)
{
	struct recover_result result;

	if (scene->left == LEAVE_FAST_COMMITS) {
		judge_fast_commits(img);
		return;
	}
	/* e2fsck deletes orphans in the same go, so only without. */
	if (scene->left == LEAVE_NOTHING) {
		assert_as_e2fsck(img, &result);
		assert_true(result.dirty);
	}
	image_open(img);
	assert_int_equal(image_close(img), 0);
	assert_int_equal(img->errors, 0);
	image_fsck(img);
}

static void test_kernel_journals(void **state)
{
	if (!mounting_works)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		struct image img;

		image_make(&img, 64 << 20, scenes[i].mkfs);
		play(&scenes[i], &img);
		judge(&scenes[i], &img);
		image_free(&img);
	}
}

/* While a file system is open here, nothing of its journal is set aside for fast commits. */
static void assert_no_fc_area(struct image *img)
{
	struct fs *fs = img->fs;
	struct log log;

	assert_int_equal(log_open(&log, fs->e2, fs->dev, fs->dev, why, sizeof(why)), 0);
	assert_false(log.incompat & JBD2_INCOMPAT_FAST_COMMIT);
	log_close(&log);
}

/* A journal whose end the kernel had set aside for fast commits: we go round in all of it. */
static void test_fast_commit_area_is_taken_over(void **state)
{
	static const struct scene scene = {
		"-t ext4 -b 1024 -J size=2 -O fast_commit", "", SHUTDOWN_LOGFLUSH, TAIL,
		LEAVE_NOTHING,
	};
	static const struct cred cred = { .root = true };
	struct txn_stats stats;
	struct inode *inode;
	struct image img;

	if (!mounting_works)
		skip();
	image_make(&img, 64 << 20, scene.mkfs);
	play(&scene, &img);
	image_keep_still(&img);
	image_open(&img);
	assert_no_fc_area(&img);
	for (int i = 0; i < 900; i++) {
		char name[64];

		snprintf(name, sizeof(name), "a-name-that-fills-directory-blocks-%d", i);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, name, S_IFREG | 0600, 0, NULL,
					  &cred, &inode), 0);
		inode_put(inode);
		assert_int_equal(fs_sync(img.fs), 0);
	}
	txn_get_stats(img.fs, &stats);
	assert_true(stats.blocks > 2 * stats.log_blocks);
	assert_no_fc_area(&img);
	/* A crash now is one for the kernel to recover. */
	assert_int_equal(image_run("cp --sparse=always %s %s.crash && mkdir %s.mnt && "
				   "mount -o loop %s.crash %s.mnt && test -e %s.mnt/*-899; n=$?; "
				   "umount %s.mnt; rmdir %s.mnt; e2fsck -fn %s.crash && "
				   "rm %s.crash && test $n = 0", img.path, img.path, img.path,
				   img.path, img.path, img.path, img.path, img.path, img.path,
				   img.path), 0);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

/* The kernel mounts what a crash of ours left: a journal in use, and orphans. */
static void kernel_takes_up(const char *mkfs)
{
	static const struct cred cred = { .root = true };
	static const char data[100000];
	struct inode *held[20];
	struct image img;
	char name[32];

	image_make(&img, 64 << 20, mkfs);
	image_keep_still(&img);
	image_open(&img);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, name, S_IFREG | 0600, 0, NULL,
					  &cred, &held[i]), 0);
		assert_int_equal(file_write(held[i], data, sizeof(data), 0, true), sizeof(data));
		if (i % 2)
			assert_int_equal(ops_unlink(img.fs, EXT2_ROOT_INO, name), 0);
	}
	assert_int_equal(fs_sync(img.fs), 0);
	assert_int_equal(image_run("cp --sparse=always %s %s.crash && mkdir %s.mnt && "
				   "mount -o loop %s.crash %s.mnt", img.path, img.path, img.path,
				   img.path, img.path), 0);
	assert_int_equal(image_run("n=$(ls %s.mnt | grep -c name); umount %s.mnt; rmdir %s.mnt; "
				   "test $n -eq 10", img.path, img.path, img.path), 0);
	assert_int_equal(image_run("e2fsck -fn %s.crash && rm %s.crash", img.path, img.path), 0);
	for (int i = 0; i < 20; i++)
		inode_put(held[i]);
	assert_int_equal(image_close(&img), 0);
	image_fsck(&img);
	image_free(&img);
}

static void test_kernel_takes_up_ours(void **state)
{
	if (!mounting_works)
		skip();
	kernel_takes_up("-t ext4 -b 1024");
	kernel_takes_up("-t ext4 -b 4096 -O orphan_file");
	kernel_takes_up("-t ext4 -b 4096 -O fast_commit");
	kernel_takes_up("-t ext4 -b 4096 -O ^metadata_csum,^64bit");
	kernel_takes_up("-t ext3 -b 4096");
}

/* Our journal failed and says so: the kernel marks the file system, clears the journal's
 * note, and e2fsck finds nothing but that. */
static void test_kernel_hears_of_our_abort(void **state)
{
	static const struct cred cred = { .root = true };
	struct blkdev *fault;
	struct inode *inode;
	struct image img;

	if (!mounting_works)
		skip();
	image_make(&img, 64 << 20, "-t ext4 -b 1024");
	image_keep_still(&img);
	assert_int_equal(file_dev_open(img.path, -1, false, &img.dev), 0);
	assert_int_equal(dev_fault_open(img.dev, false, &fault), 0);
	assert_int_equal(fs_open(fault, &img.opt, &img.fs, img.why, sizeof(img.why)), 0);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "kept", S_IFREG | 0600, 0, NULL, &cred,
				  &inode), 0);
	assert_int_equal(fs_sync(img.fs), 0);
	inode_put(inode);
	assert_int_equal(ops_make(img.fs, EXT2_ROOT_INO, "lost", S_IFREG | 0600, 0, NULL, &cred,
				  &inode), 0);
	inode_put(inode);
	dev_fault_arm(fault, DEV_FAULT_WRITE, 1, -EIO, false);
	assert_int_equal(fs_sync(img.fs), -EIO);
	assert_true(fs_close(img.fs) < 0);
	img.fs = NULL;
	blkdev_close(fault);
	assert_int_equal(blkdev_close(img.dev), 0);
	img.dev = NULL;
	assert_int_equal(image_run("dumpe2fs -h %s | grep -q '^Journal errno:' && mkdir %s.mnt && "
				   "mount -o loop %s %s.mnt && { test -e %s.mnt/kept && "
				   "! test -e %s.mnt/lost; n=$?; umount %s.mnt; test $n = 0; }",
				   img.path, img.path, img.path, img.path, img.path, img.path,
				   img.path), 0);
	assert_int_equal(image_run("rmdir %s.mnt; ! dumpe2fs -h %s | grep -q '^Journal errno:' && "
				   "dumpe2fs -h %s | grep -q 'clean with errors'", img.path, img.path,
				   img.path), 0);
	assert_int_equal(image_run("e2fsck -fy %s", img.path) & ~1, 0);
	image_fsck(&img);
	image_free(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_journals),
		cmocka_unit_test(test_fast_commit_area_is_taken_over),
		cmocka_unit_test(test_kernel_takes_up_ours),
		cmocka_unit_test(test_kernel_hears_of_our_abort),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, find_out, NULL);
}
