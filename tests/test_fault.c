/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation with its first, second, third, ... device call failing, until it
 * completes without meeting the fault. See unit_ops.h for what an operation starts from.
 *
 * A failed read costs that operation and nothing else. A failed write or flush of metadata
 * ends writing but for the superblocks (I6); what had been synced before is there after
 * e2fsck, and so is a consistent tree.
 *
 * UNIT_OP=name runs one operation, UNIT_N=n one fault of it (messages with UNIT_VERBOSE=1).
 * Without UNIT_FULL=1 the sweeps over writes leave out every other fault, and some images:
 * neighbouring operations fill the gaps.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "inode.h"
#include "jbd2_format.h"
#include "unit_fork.h"
#include "unit_image.h"
#include "unit_ops.h"
#include "unit_variants.h"

enum {
	MAX_FAULTS = 4000,	/* per operation: more means that it never gets through */
	DENSE_FAULTS = 16,	/* every one up to here, then some */
	CASE_SECONDS = 30,
	FIRED = 1,		/* a case passed and met the fault */
	SYNCED_LEN = 64 << 10,	/* of /synced */
	DURABLE_LEN = 30 << 10,
};

static uint64_t journal_at[UNIT_VARIANTS];	/* byte its superblock starts at, or 0 */

struct fault_case {
	const struct unit_variant *v;
	const struct unit_op *op;	/* NULL: none */
	struct blkdev *image;		/* to be used up */
	unsigned n;			/* the fault */
	unsigned first, step;
	bool forever;
	enum fs_errors errors;
};

/* The file system still works. */
static void check_usable(struct fs *fs)
{
	int err = unit_make(fs, "/usable", S_IFREG | 0644, NULL);

	UNIT_CHECK(!err, "make: %s", strerror(-err));
	err = unit_write(fs, "/usable", 10, 20000, 99);
	UNIT_CHECK(!err, "write: %s", strerror(-err));
	err = unit_verify(fs, "/usable", 10, 20000, 99);
	UNIT_CHECK(!err, "verify: %s", strerror(-err));
	err = fs_sync(fs);
	UNIT_CHECK(!err, "sync: %s", strerror(-err));
}

static int read_case(void *arg)
{
	struct fault_case *c = arg;
	struct blkdev *dev;
	struct fs *fs;
	bool fired;
	int err;

	UNIT_CHECK(!dev_fault_open(c->image, false, &dev), "memory");
	fs = unit_fs_must_open(dev, &(struct fs_options){ .errors = c->errors, NO_COMMITS });
	dev_fault_arm(dev, DEV_FAULT_READ, c->n, -EIO, false);
	err = c->op->run(fs);
	fired = dev_fault_fired(dev);
	dev_fault_disarm(dev);
	UNIT_CHECK(err == 0 || (fired && err == -EIO), "%s", strerror(-err));
	/* Again: a lock that was left behind shows as a hang. */
	c->op->run(fs);
	check_usable(fs);
	err = fs_close(fs);
	UNIT_CHECK(!err, "close: %s", strerror(-err));
	blkdev_close(dev);
	UNIT_CHECK(unit_is_clean_once_mounted(c->image), "not clean");
	return fired ? FIRED : UNIT_PASS;
}

static void make_durable(struct fs *fs)
{
	int err = unit_make(fs, "/durable", S_IFREG | 0644, NULL);

	UNIT_CHECK(!err, "make: %s", strerror(-err));
	err = unit_write(fs, "/durable", 0, DURABLE_LEN, 0);
	UNIT_CHECK(!err, "write: %s", strerror(-err));
	err = unit_write(fs, "/durable", 5000, 6000, 0);
	UNIT_CHECK(!err, "write: %s", strerror(-err));
	err = unit_fsync(fs, "/durable");
	UNIT_CHECK(!err, "fsync: %s", strerror(-err));
}

/* What was synced is there, by whoever reads it. */
static void check_durable(struct fs *fs)
{
	int err = unit_verify(fs, "/durable", 0, DURABLE_LEN, 0);

	UNIT_CHECK(!err, "/durable: %s", strerror(-err));
	err = unit_verify(fs, "/synced", 0, SYNCED_LEN, 0);
	UNIT_CHECK(!err, "/synced: %s", strerror(-err));
}

/* As found after a crash: with a journal, replay alone makes it consistent but for
 * orphans, which e2fsck's preen and our mount delete. A sparse sweep asks one of the two. */
static void check_after_crash(const struct fault_case *c)
{
	bool ours = c->v->journal && (c->step == 1 || c->n & 2);
	struct fs *fs;
	int err;

	if (ours) {
		struct blkdev *copy = unit_copy(c->image, blkdev_size(c->image));

		fs = unit_fs_must_open(copy, NULL);
		check_durable(fs);
		err = fs_close(fs);
		UNIT_CHECK(!err, "close after the crash: %s", strerror(-err));
		UNIT_CHECK(unit_is_clean(copy), "not clean after our recovery");
		blkdev_close(copy);
		if (c->step != 1)
			return;
	}
	unit_fsck(c->image, c->v->journal ? "-p" : "-fy", 1);
	UNIT_CHECK(unit_is_clean(c->image), "not clean after e2fsck");
	fs = unit_fs_must_open(c->image, &(struct fs_options){ .readonly = true });
	check_durable(fs);
	UNIT_CHECK(fs_close(fs) == 0, "read-only close");
}

/* What an abort may still write: both superblocks, to say why (I6). */
static bool may_follow(void *arg, uint64_t off, uint64_t len)
{
	const struct fault_case *c = arg;
	uint64_t journal = journal_at[c->v - unit_variants];

	if (off == SUPERBLOCK_OFFSET && len == SUPERBLOCK_SIZE)
		return true;
	return journal && off == journal && len == (uint64_t)EXT2_BLOCK_SIZE(unit_super(c->image));
}

/* The journal remembers an error that it could write down. */
static void check_abort_recorded(struct fault_case *c, struct blkdev *dev)
{
	const struct jbd2_super *js = (void *)(dev_mem_data(c->image) +
					       journal_at[c->v - unit_variants]);

	UNIT_CHECK(!dev_fault_strays(dev), "%llu writes after the abort",
		   (unsigned long long)dev_fault_strays(dev));
	if (c->forever)
		return;
	UNIT_CHECK(unit_super(c->image)->s_state & htole16(EXT2_ERROR_FS), "nothing recorded");
	UNIT_CHECK(!c->v->journal || js->s_errno, "the journal does not know");
}

static int write_case(void *arg)
{
	struct fault_case *c = arg;
	int err, sync_err, state, n;
	struct blkdev *dev;
	struct fs *fs;
	bool fired;

	UNIT_CHECK(!dev_fault_open(c->image, false, &dev), "memory");
	fs = unit_fs_must_open(dev, &(struct fs_options){ .errors = c->errors, NO_WRITES });
	make_durable(fs);
	dev_fault_watch(dev, may_follow, c);
	dev_fault_arm(dev, DEV_FAULT_WRITE | DEV_FAULT_FLUSH, c->n, -EIO, c->forever);
	err = c->op->run(fs);
	sync_err = fs_sync(fs);
	fired = dev_fault_fired(dev);
	state = atomic_load(&fs->state);
	UNIT_CHECK(!fired || err || sync_err || state == FS_RO, "nobody was told");
	UNIT_CHECK(fired || (!err && !sync_err && state == FS_RW), "%s, sync %s, state %d",
		   strerror(-err), strerror(-sync_err), state);
	UNIT_CHECK(!sync_err || state == FS_RO, "sync failed (%s) but it goes on writing",
		   strerror(-sync_err));
	check_durable(fs);
	n = unit_readdir(fs, "/hash");
	UNIT_CHECK(n > 3000, "readdir: %d", n);
	err = fs_close(fs);
	UNIT_CHECK(err || fired || !dev_fault_fired(dev), "close did not tell");
	fired = dev_fault_fired(dev);
	if (state == FS_RO)
		check_abort_recorded(c, dev);
	blkdev_close(dev);
	check_after_crash(c);
	return fired ? FIRED : UNIT_PASS;
}

/* Opening itself, of an image that was not closed: journal to replay, orphans to delete. */
static int open_case(void *arg, unsigned ops)
{
	struct fault_case *c = arg;
	struct blkdev *dev;
	struct fs *fs;
	bool fired;
	int err;

	UNIT_CHECK(!dev_fault_open(c->image, false, &dev), "memory");
	dev_fault_watch(dev, may_follow, c);
	dev_fault_arm(dev, ops, c->n, -EIO, c->forever);
	err = unit_fs_open(dev, &(struct fs_options){ .errors = c->errors }, &fs);
	fired = dev_fault_fired(dev);
	UNIT_CHECK(fired || !err, "%s", strerror(-err));
	if (ops == DEV_FAULT_READ)
		dev_fault_disarm(dev);
	if (!err) {
		unit_readdir(fs, "/hash");
		fs_close(fs);
		fired |= dev_fault_fired(dev);
	}
	UNIT_CHECK(ops == DEV_FAULT_READ || !dev_fault_strays(dev), "%llu writes after a failed one",
		   (unsigned long long)dev_fault_strays(dev));
	blkdev_close(dev);
	if (c->v->journal)
		check_after_crash(c);
	return fired ? FIRED : UNIT_PASS;
}

static int open_read_case(void *arg) { return open_case(arg, DEV_FAULT_READ); }
static int open_write_case(void *arg) { return open_case(arg, DEV_FAULT_WRITE | DEV_FAULT_FLUSH); }

/* One operation on one image with every fault; 0 when all passed. */
static int sweep(unit_body body, struct fault_case *c, const char *what)
{
	unsigned only = unit_env("UNIT_N", 0);
	int ret = FIRED, bad = 0;

	for (c->n = only ? only : c->first; ret == FIRED && c->n < MAX_FAULTS;
	     c->n += c->step + c->n / DENSE_FAULTS) {
		ret = unit_fork(body, c, CASE_SECONDS, 0);
		if (ret >= UNIT_FAIL) {
			fprintf(stderr, "%s: UNIT_OP=%s UNIT_N=%u on %s%s failed\n", what,
				c->op ? c->op->name : "-", c->n, c->v->name,
				c->forever ? ", all later ones too" : "");
			ret = FIRED;
			if (++bad >= 3)
				break;
		}
		if (only)
			break;
	}
	if (ret == FIRED && !only && !bad) {
		fprintf(stderr, "%s: %s on %s never gets through\n", what, c->op ? c->op->name : "-",
			c->v->name);
		bad = 1;
	}
	return bad != 0;
}

static bool is_chosen(const struct unit_op *op)
{
	const char *name = getenv("UNIT_OP");

	return !name || !strcmp(name, op->name);
}

struct sweep_arg {
	const char *what;
	unit_body body;
	bool forever;
	enum fs_errors errors;
	bool sparse;		/* every other fault, odd or even images */
};

static int sweep_job(void *arg, unsigned i)
{
	const struct sweep_arg *s = arg;
	unsigned v = i / unit_ops_len;
	bool sparse = s->sparse && !unit_env("UNIT_FULL", 0);
	struct fault_case c = {
		.v = &unit_variants[v], .op = &unit_ops[i % unit_ops_len],
		.image = unit_variant_images[v],
		.first = sparse ? 1 + i % 2 : 1, .step = sparse ? 2 : 1,
		.forever = s->forever, .errors = s->errors,
	};

	if (!is_chosen(c.op) || (sparse && v % 2 != s->forever))
		return 0;
	return sweep(s->body, &c, s->what);
}

static void sweep_all(const struct sweep_arg *s)
{
	assert_int_equal(unit_fork_all(sweep_job, (void *)s,
				       UNIT_VARIANTS * unit_ops_len), 0);
}

static void test_failed_reads(void **state)
{
	sweep_all(&(struct sweep_arg){ "read", read_case, false, FS_ERRORS_CONTINUE, false });
}

static void test_one_failed_write(void **state)
{
	sweep_all(&(struct sweep_arg){ "write", write_case, false, FS_ERRORS_RO, true });
}

static void test_all_writes_fail(void **state)
{
	sweep_all(&(struct sweep_arg){ "writes", write_case, true, FS_ERRORS_CONTINUE, true });
}

/* Image of a file system in use, as a crash leaves it. */
static struct blkdev *crashed_image(struct blkdev *image)
{
	struct blkdev *work = unit_copy(image, blkdev_size(image)), *ret;
	struct fs *fs = unit_fs_must_open(work, &(struct fs_options){ NO_COMMITS });
	struct inode *open_file;

	make_durable(fs);
	UNIT_CHECK(!unit_unlink(fs, "/lin/f20"), "unlink");
	UNIT_CHECK(!unit_get(fs, "/deep", &open_file), "get");
	UNIT_CHECK(!unit_unlink(fs, "/deep"), "unlink");
	UNIT_CHECK(!unit_make(fs, "/hash/one", S_IFDIR | 0755, NULL), "make");
	UNIT_CHECK(!fs_sync(fs), "sync");
	ret = unit_copy(work, blkdev_size(work));
	inode_put(open_file);
	UNIT_CHECK(!fs_close(fs), "close");
	blkdev_close(work);
	return ret;
}

static int open_job(void *arg, unsigned i)
{
	struct blkdev *image = crashed_image(unit_variant_images[i / 3]);
	struct fault_case c = {
		.v = &unit_variants[i / 3], .image = image, .errors = FS_ERRORS_RO,
		.forever = i % 3 == 2, .first = 1, .step = 1,
	};
	int ret = sweep(i % 3 ? open_write_case : open_read_case, &c, "open");

	blkdev_close(image);
	return ret;
}

static void test_open(void **state)
{
	if (!getenv("UNIT_OP"))
		assert_int_equal(unit_fork_all(open_job, NULL, 3 * UNIT_VARIANTS), 0);
}

/* errors=panic ends the process at the first damage, errors=remount-ro writing. */
static int policy_case(void *arg)
{
	struct fault_case *c = arg;
	AUTOFREE char *block = unit_debugfs_ask(c->image, "blocks /lin");
	struct fs *fs;
	int err;

	dev_mem_data(c->image)[strtoull(block, NULL, 10) * 1024 + 30] ^= 1;
	fs = unit_fs_must_open(c->image, &(struct fs_options){ .errors = c->errors });
	err = unit_readlink(fs, "/lin/f03");
	UNIT_CHECK(err == -EUCLEAN, "%d", err);
	err = unit_make(fs, "/new", S_IFREG | 0644, NULL);
	UNIT_CHECK(err == (c->errors == FS_ERRORS_RO ? -EROFS : 0), "%s", strerror(-err));
	UNIT_CHECK(unit_readdir(fs, "/hash") > 3000, "read");
	fs_close(fs);
	UNIT_CHECK(unit_super(c->image)->s_state & htole16(EXT2_ERROR_FS), "nothing recorded");
	unit_fsck(c->image, "-fy", 1);
	UNIT_CHECK(unit_is_clean(c->image), "not clean");
	return UNIT_PASS;
}

static void test_policies(void **state)
{
	static const enum fs_errors survived[] = { FS_ERRORS_CONTINUE, FS_ERRORS_RO };
	struct fault_case c = { .v = &unit_variants[0], .image = unit_variant_images[0] };
	int status;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_LEN(survived); i++) {
		c.errors = survived[i];
		assert_int_equal(unit_fork(policy_case, &c, CASE_SECONDS, 0), UNIT_PASS);
	}
	c.errors = FS_ERRORS_PANIC;
	pid = fork();
	if (!pid)
		_exit(policy_case(&c));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* The images, and where their journals are. */
static int make_images(void **state)
{
	unit_variants_make(state);
	for (size_t i = 0; i < UNIT_VARIANTS; i++) {
		AUTOFREE char *blocks = NULL;

		if (!unit_variants[i].journal)
			continue;
		blocks = unit_debugfs_ask(unit_variant_images[i], "blocks <8>");
		journal_at[i] = strtoull(blocks, NULL, 10) *
			EXT2_BLOCK_SIZE(unit_super(unit_variant_images[i]));
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_reads),
		cmocka_unit_test(test_one_failed_write),
		cmocka_unit_test(test_all_writes_fail),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_policies),
	};

	cmocka_set_test_filter(getenv("UNIT_TEST"));
	return cmocka_run_group_tests(tests, make_images, unit_variants_free);
}
