/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation of the engine with its first, second, third, ... allocation failing, until
 * it completes without meeting that. It fails alone, with ENOMEM, or not at all; a commit may
 * be put off. Nothing is lost, and the file system goes on.
 *
 * UNIT_OP=name runs one operation, UNIT_N=n one allocation of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "oom.h"
#include "unit_fork.h"
#include "unit_image.h"
#include "unit_ops.h"
#include "unit_variants.h"

enum { MAX_ALLOCATIONS = 20000, CASE_SECONDS = 60, FIRED = 1, SYNCS = 3 };

struct oom_case {
	const struct unit_op *op;
	struct blkdev *image;		/* to be used up */
	unsigned n;			/* the allocation */
};

/* What was put off for want of memory is done by one of the next. */
static void check_sync(struct fs *fs)
{
	int err = -ENOMEM;

	for (int i = 0; err == -ENOMEM && i < SYNCS; i++)
		err = fs_sync(fs);
	UNIT_CHECK(!err, "sync: %s", strerror(-err));
}

static int run_case(void *arg)
{
	struct oom_case *c = arg;
	struct fs *fs = unit_fs_must_open(c->image, &(struct fs_options){
		.errors = FS_ERRORS_RO, NO_COMMITS });
	int err, sync_err, again;
	bool fired;

	oom_arm(c->n);
	err = c->op->run(fs);
	sync_err = fs_sync(fs);
	fired = oom_fired();
	oom_disarm();
	/* EIO: a write that was cut short. */
	UNIT_CHECK(err == 0 || (fired && (err == -ENOMEM || err == -EIO)), "%s", strerror(-err));
	UNIT_CHECK(sync_err == 0 || (fired && sync_err == -ENOMEM), "sync: %s", strerror(-sync_err));
	/* A lock that was left behind shows as a hang. */
	again = c->op->run(fs);
	UNIT_CHECK(err || !again || again == -EEXIST || again == -ENOENT || again == -ENODATA,
		   "again: %s", strerror(-again));
	check_sync(fs);
	UNIT_CHECK(atomic_load(&fs->state) == FS_RW, "writing has ended");
	err = unit_make(fs, "/usable", S_IFREG | 0644, NULL);
	UNIT_CHECK(!err, "make: %s", strerror(-err));
	err = unit_write(fs, "/usable", 10, 20000, 99);
	UNIT_CHECK(!err, "write: %s", strerror(-err));
	err = unit_verify(fs, "/usable", 10, 20000, 99);
	UNIT_CHECK(!err, "verify: %s", strerror(-err));
	err = fs_close(fs);
	UNIT_CHECK(!err, "close: %s", strerror(-err));
	UNIT_CHECK(unit_is_clean_once_mounted(c->image), "not clean");
	return fired ? FIRED : UNIT_PASS;
}

/* Any error, but of one operation after the other. */
static int shortage_case(void *arg)
{
	struct oom_case *c = arg;
	struct fs *fs = unit_fs_must_open(c->image, &(struct fs_options){
		.errors = FS_ERRORS_RO, .commit_sec = 1 });
	int err;

	oom_arm_every(c->n);
	for (unsigned i = 0; i < unit_ops_len; i++) {
		(void)unit_ops[i].run(fs);
		(void)fs_sync(fs);
	}
	oom_disarm();
	UNIT_CHECK(atomic_load(&fs->state) == FS_RW, "writing has ended");
	check_sync(fs);
	err = fs_close(fs);
	UNIT_CHECK(!err, "close: %s", strerror(-err));
	UNIT_CHECK(unit_is_clean_once_mounted(c->image), "not clean");
	return UNIT_PASS;
}

/* Opening and closing: told, and nothing is worse than before. */
static int open_case(void *arg)
{
	struct oom_case *c = arg;
	int err, closed = 0;
	struct fs *fs;
	bool fired;

	oom_arm(c->n);
	err = unit_fs_open(c->image, &(struct fs_options){ .errors = FS_ERRORS_RO, NO_COMMITS }, &fs);
	if (!err)
		closed = fs_close(fs);
	fired = oom_fired();
	oom_disarm();
	UNIT_CHECK(fired || (!err && !closed), "%s, close %s", strerror(-err), strerror(-closed));
	fs = unit_fs_must_open(c->image, NULL);
	UNIT_CHECK(!fs_close(fs), "second close");
	UNIT_CHECK(unit_is_clean_once_mounted(c->image), "not clean");
	return fired ? FIRED : UNIT_PASS;
}

/* All allocations of one case; how many were bad. */
static unsigned sweep(unit_body body, struct oom_case *c, const char *name, unsigned variant)
{
	unsigned only = unit_env("UNIT_N", 0), bad = 0;
	int ret = FIRED;

	for (c->n = only; ret == FIRED && c->n < MAX_ALLOCATIONS && bad < 3; c->n++) {
		ret = unit_fork(body, c, CASE_SECONDS, 0);
		if (ret >= UNIT_FAIL) {
			fprintf(stderr, "UNIT_OP=%s UNIT_N=%u on image %u failed\n", name, c->n, variant);
			ret = FIRED;
			bad++;
		}
		if (only)
			break;
	}
	return bad;
}

static int job(void *arg, unsigned i)
{
	const char *chosen = getenv("UNIT_OP");
	unsigned v = i % UNIT_VARIANTS, nr = i / UNIT_VARIANTS;
	const struct unit_op *op = nr < unit_ops_len ? &unit_ops[nr] : NULL;
	struct oom_case c = { .op = op, .image = unit_variant_images[v] };
	const char *name = op ? op->name : "open";

	if (chosen && strcmp(chosen, name))
		return 0;
	return sweep(op ? run_case : open_case, &c, name, v) != 0;
}

static void any_allocation_may_fail(void **state)
{
	unsigned n = (unit_ops_len + 1) * UNIT_VARIANTS;

	assert_int_equal(unit_fork_all(job, NULL, n), 0);
}

static int shortage_job(void *arg, unsigned i)
{
	static const unsigned every[] = { 2, 3, 5, 7, 13, 40 };
	struct oom_case c = {
		.image = unit_variant_images[i % UNIT_VARIANTS], .n = every[i / UNIT_VARIANTS],
	};
	int ret = unit_fork(shortage_case, &c, CASE_SECONDS, 0);

	if (ret)
		fprintf(stderr, "one of %u, image %u: failed\n", c.n, i % UNIT_VARIANTS);
	return ret;
}

static void many_allocations_may_fail(void **state)
{
	assert_int_equal(unit_fork_all(shortage_job, NULL, 6 * UNIT_VARIANTS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(many_allocations_may_fail),
	};

	cmocka_set_test_filter(getenv("UNIT_TEST"));
	return cmocka_run_group_tests(tests, unit_variants_make, unit_variants_free);
}
