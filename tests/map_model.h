/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random changes of one file's map against an array that says what must be where. */
#ifndef TESTS_MAP_MODEL_H
#define TESTS_MAP_MODEL_H

#include <errno.h>

#include "file_internal.h"
#include "map.h"
#include "scratch_fs.h"

struct map_model {
	struct inode *inode;
	uint32_t nblks;			/* logical blocks that the test uses */
	uint32_t max_len;		/* of one inserted run */
	bool unwritten;			/* extents only */
	unsigned seed;
	uint64_t *pblk;			/* 0: hole */
	uint8_t *state;			/* RUN_UNWRITTEN or 0 */
};

static UNUSED void model_init(struct map_model *m, struct inode *inode, uint32_t nblks,
			      uint32_t max_len, bool unwritten, unsigned seed)
{
	*m = (struct map_model) { inode, nblks, max_len, unwritten, seed,
				  calloc(nblks, sizeof(uint64_t)), calloc(nblks, 1) };
	assert_non_null(m->pblk);
	assert_non_null(m->state);
}

static UNUSED void model_fini(struct map_model *m)
{
	free(m->pblk);
	free(m->state);
}

static UNUSED uint32_t model_rand(struct map_model *m, uint32_t n)
{
	return rand_r(&m->seed) % n;
}

/* Reserves, commits and inserts; the run may come out shorter. */
static UNUSED int model_insert_at(struct map_model *m, uint32_t lblk, uint32_t len, uint64_t goal,
				  unsigned flags)
{
	struct fs *fs = m->inode->fs;
	struct run run = { .lblk = lblk, .flags = flags };
	struct handle h;
	int err;

	err = balloc_reserve(fs, goal, len, true, &run.pblk, &run.len);
	if (err)
		return err;
	rwlock_write(&m->inode->lock);
	assert_int_equal(txn_begin(fs, file_insert_credits(m->inode, run.pblk, run.len), &h), 0);
	err = file_insert(&h, m->inode, &run);
	assert_int_equal(inode_store(&h, m->inode, true), 0);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&m->inode->lock);
	for (uint32_t i = 0; !err && i < run.len; i++) {
		m->pblk[lblk + i] = run.pblk + i;
		m->state[lblk + i] = flags;
	}
	return err;
}

static UNUSED void model_insert(struct map_model *m, bool random_goal)
{
	uint32_t lblk = model_rand(m, m->nblks), len = 1 + model_rand(m, m->max_len), n = 0;
	uint64_t goal = m->inode->fs->first_data_block;
	unsigned flags = m->unwritten && model_rand(m, 3) == 0 ? RUN_UNWRITTEN : 0;
	bool clash = false;
	int err;

	while (n < len && lblk + n < m->nblks && !(clash = m->pblk[lblk + n]))
		n++;
	if (clash && model_rand(m, 4))
		len = n;
	else if (!clash)
		len = n;
	if (len == 0 || lblk + len > m->nblks)
		return;
	if (random_goal)
		goal += model_rand(m, m->inode->fs->blocks_count);
	else if (lblk > 0 && m->pblk[lblk - 1])
		goal = m->pblk[lblk - 1] + 1;
	err = model_insert_at(m, lblk, len, goal, flags);
	if (err && err != -ENOSPC)
		assert_int_equal(err, -EEXIST);
}

static UNUSED void model_remove(struct map_model *m, uint32_t lblk, uint64_t end)
{
	struct timespec now = fs_now();

	assert_int_equal(file_unmap(m->inode, lblk, end, &now), 0);
	for (uint64_t i = lblk; i < end && i < m->nblks; i++)
		m->pblk[i] = m->state[i] = 0;
}

static UNUSED void model_convert(struct map_model *m)
{
	uint32_t lblk = model_rand(m, m->nblks), len = 1 + model_rand(m, m->max_len), n = 0;
	unsigned to = model_rand(m, 2) ? RUN_UNWRITTEN : 0;
	struct handle h;

	while (n < len && lblk + n < m->nblks && m->pblk[lblk + n])
		n++;
	if (n == 0)
		return;
	rwlock_write(&m->inode->lock);
	assert_int_equal(txn_begin(m->inode->fs, 4 * map_credits(m->inode), &h), 0);
	assert_int_equal(map_convert(&h, m->inode, lblk, n, to), 0);
	assert_int_equal(inode_store(&h, m->inode, true), 0);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&m->inode->lock);
	memset(&m->state[lblk], to, n);
}

/* One lookup; returns the end of the run. */
static UNUSED uint64_t model_look(struct map_model *m, uint32_t lblk)
{
	struct run run;

	rwlock_read(&m->inode->lock);
	assert_int_equal(map_lookup(m->inode, lblk, &run), 0);
	rwlock_read_unlock(&m->inode->lock);
	assert_int_equal(run.lblk, lblk);
	assert_true(run.len > 0);
	for (uint64_t i = lblk; i < file_run_end(&run) && i < m->nblks; i++) {
		if (run.flags & RUN_HOLE) {
			assert_int_equal(m->pblk[i], 0);
			continue;
		}
		assert_int_equal(m->pblk[i], run.pblk + (i - lblk));
		assert_int_equal(m->state[i], run.flags);
	}
	return file_run_end(&run);
}

static UNUSED void model_look_all(struct map_model *m)
{
	for (int cached = 1; cached >= 0; cached--) {
		if (!cached)
			map_cache_drop(m->inode);
		for (uint64_t i = 0; i < m->nblks;)
			i = model_look(m, i);
	}
}

/* The size follows the last written block, as e2fsck wants it. */
static UNUSED void model_set_size(struct map_model *m, uint64_t size)
{
	struct handle h;

	rwlock_write(&m->inode->lock);
	assert_int_equal(txn_begin(m->inode->fs, INODE_STORE_CREDITS, &h), 0);
	m->inode->size = size;
	assert_int_equal(inode_store(&h, m->inode, true), 0);
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&m->inode->lock);
}

#endif
