// SPDX-License-Identifier: GPL-2.0-or-later
/* The cache of runs: random additions and cuts against an array of blocks. */
#include <stdlib.h>

#include "map_cache.h"
#include "scratch_fs.h"

enum { BLOCKS = 400, STEPS = 200000 };

/* What a block of the model is: 0 unknown, 1 hole, else its address. */
static void model_set(uint64_t *model, const struct run *r)
{
	for (uint32_t i = 0; i < r->len; i++)
		model[r->lblk + i] = r->flags & RUN_HOLE ? 1 : r->pblk + i + ((uint64_t)r->flags << 40);
}

static void check_found(const uint64_t *model, const struct run *r, uint32_t lblk)
{
	assert_true(r->lblk <= lblk && lblk < (uint64_t)r->lblk + r->len);
	for (uint32_t i = 0; i < r->len; i++) {
		uint64_t want = r->flags & RUN_HOLE ? 1 :
				r->pblk + i + ((uint64_t)r->flags << 40);

		assert_int_equal(model[r->lblk + i], want);
	}
}

static void cached_runs_never_lie(void **state)
{
	static struct fs fs;
	struct inode inode = { .fs = &fs, .ino = 12 };
	static uint64_t model[BLOCKS];
	unsigned seed = 1, hits = 0;

	mutex_init(&fs.super_lock);
	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t lblk = rand_r(&seed) % BLOCKS;
		uint32_t len = 1 + rand_r(&seed) % MIN(40u, BLOCKS - lblk);
		struct run run = { lblk, len, 1000 + lblk, 0 };

		switch (rand_r(&seed) % 6) {
		case 0:
			map_cache_cut(&inode, lblk, lblk + len);
			memset(&model[lblk], 0, len * sizeof(model[0]));
			break;
		case 1:
			run.flags = rand_r(&seed) % 2 ? RUN_HOLE : RUN_UNWRITTEN;
			run.pblk = run.flags & RUN_HOLE ? 0 : 5000 + lblk;
			/* fall through */
		case 2:
			map_cache_add(&inode, &run);
			model_set(model, &run);
			break;
		default:
			if (map_cache_find(&inode, lblk, &run)) {
				check_found(model, &run, lblk);
				hits++;
			}
		}
	}
	assert_true(hits > STEPS / 20);
	map_cache_free(&inode);
}

static void neighbours_become_one_run(void **state)
{
	static struct fs fs;
	struct inode inode = { .fs = &fs, .ino = 12 };
	struct run run;

	mutex_init(&fs.super_lock);
	map_cache_add(&inode, &(struct run) { 0, 10, 100, 0 });
	map_cache_add(&inode, &(struct run) { 20, 10, 120, 0 });
	map_cache_add(&inode, &(struct run) { 10, 10, 110, 0 });
	assert_true(map_cache_find(&inode, 15, &run));
	assert_int_equal(run.lblk, 0);
	assert_int_equal(run.len, 30);
	map_cache_cut(&inode, 12, 14);
	assert_false(map_cache_find(&inode, 13, &run));
	assert_true(map_cache_find(&inode, 14, &run));
	assert_int_equal(run.pblk, 114);
	map_cache_free(&inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cached_runs_never_lie),
		cmocka_unit_test(neighbours_become_one_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
