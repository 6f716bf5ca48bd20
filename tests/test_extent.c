// SPDX-License-Identifier: GPL-2.0-or-later
/* Extent trees: random changes against a model, judged by e2fsck. */
#include "extent.h"
#include "map_model.h"

static unsigned depth_of(struct inode *inode)
{
	return le16toh(((struct ext3_extent_header *)inode_block(inode))->eh_depth);
}

struct params {
	const char *mkfs;
	uint32_t nblks, max_len, steps;
	bool random_goal;
	unsigned min_depth;	/* that must have been seen */
};

static void random_ops(const struct params *p, unsigned seed)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;
	unsigned deepest = 0;

	scratch_new(&s, 256 << 20, p->mkfs);
	inode = scratch_file(&s, "f");
	model_init(&m, inode, p->nblks, p->max_len, true, seed);
	model_set_size(&m, fs_off(s.fs, p->nblks));
	for (uint32_t i = 0; i < p->steps; i++) {
		uint32_t lblk = model_rand(&m, p->nblks), what = model_rand(&m, 100);

		if (what < 60)
			model_insert(&m, p->random_goal);
		else if (what < 75)
			model_convert(&m);
		else if (what < 80)
			model_remove(&m, lblk, lblk + 1 + model_rand(&m, 4 * p->max_len));
		else if (what == 80 && model_rand(&m, 100) == 0)
			model_remove(&m, lblk, lblk + p->nblks / 3);
		else
			model_look(&m, lblk);
		deepest = MAX(deepest, depth_of(inode));
	}
	model_look_all(&m);
	inode_put(inode);
	scratch_check(&s);
	scratch_open(&s);
	assert_int_equal(ops_lookup(s.fs, EXT2_ROOT_INO, "f", &inode), 0);
	m.inode = inode;
	model_look_all(&m);
	model_remove(&m, 0, MAP_END);
	assert_int_equal(depth_of(inode), 0);
	assert_int_equal(inode->blocks, 0);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
	assert_true(deepest >= p->min_depth);
}

static void random_1k(void **state)
{
	random_ops(&(struct params) { "-b 1024 -O ^has_journal", 40000, 8, 60000, true, 2 }, 1);
}

static void random_4k(void **state)
{
	random_ops(&(struct params) { "-b 4096 -O ^has_journal", 40000, 20, 40000, false, 1 }, 2);
}

static void random_no_csum_32bit(void **state)
{
	random_ops(&(struct params) { "-b 1024 -O ^has_journal,^metadata_csum,^64bit", 3000, 3,
				      20000, true, 1 }, 3);
}

/* Every second block, in an order that splits nodes everywhere. */
static void fragmented_to_depth_3(void **state)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;
	const uint32_t n = 65536, step = 40503;

	scratch_new(&s, 256 << 20, "-b 1024 -O ^has_journal");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, n, 1, true, 4);
	model_set_size(&m, fs_off(s.fs, n));
	for (uint32_t i = 0; i < n / 2; i++)
		assert_int_equal(model_insert_at(&m, i * step * 2 % n, 1, 10000 + i * 3, 0), 0);
	assert_true(depth_of(inode) >= 3);
	model_look_all(&m);
	inode_put(inode);
	scratch_check(&s);
	scratch_open(&s);
	assert_int_equal(ops_lookup(s.fs, EXT2_ROOT_INO, "f", &inode), 0);
	m.inode = inode;
	for (uint32_t i = 0; i < n; i += 4096)
		model_remove(&m, i, i + 4095);
	model_look_all(&m);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

static void written_in_order_fills_leaves(void **state)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;

	scratch_new(&s, 64 << 20, "-b 1024 -O ^has_journal");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, 20000, 1, true, 5);
	model_set_size(&m, fs_off(s.fs, 20000));
	for (uint32_t i = 0; i < 84 * 84; i++)
		assert_int_equal(model_insert_at(&m, i * 2, 1, 10000 + i * 2, 0), 0);
	/* 84 full leaves below one index below the root. */
	assert_int_equal(inode->blocks / 2, 84 * 84 + 84 + 1);
	assert_int_equal(depth_of(inode), 2);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

static void longest_extents_merge_up_to_their_limit(void **state)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;
	struct extent_path path;

	scratch_new(&s, 600 << 20, "-b 4096 -O ^has_journal -G 16384");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, 70000, 1, true, 6);
	model_set_size(&m, fs_off(s.fs, 70000));
	for (uint32_t i = 0; i < 70000;) {
		uint32_t n = MIN(5000u, 70000 - i);
		uint64_t goal = i ? m.pblk[i - 1] + 1 : 40000;

		assert_int_equal(model_insert_at(&m, i, n, goal, 0), 0);
		while (i < 70000 && m.pblk[i])
			i++;
	}
	model_look_all(&m);
	/* Whole extents to unwritten and back. */
	for (int to = 1; to >= 0; to--) {
		struct handle h;

		rwlock_write(&inode->lock);
		assert_int_equal(txn_begin(s.fs, 8 * map_credits(inode), &h), 0);
		assert_int_equal(map_convert(&h, inode, 0, 70000, to), 0);
		assert_int_equal(inode_store(&h, inode, true), 0);
		txn_stop(&h);
		rwlock_write_unlock(&inode->lock);
		memset(m.state, to ? RUN_UNWRITTEN : 0, 70000);
		model_look_all(&m);
	}
	assert_int_equal(extent_path_open(inode, 0, &path), 0);
	assert_true(extent_entries(&path.level[path.depth]) <= 16);
	extent_path_close(&path);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

/* Reserves everything but one block. Returns how many runs. */
static unsigned reserve_all(struct fs *fs, struct fs_run *runs, unsigned max)
{
	uint32_t len;
	unsigned n = 0;

	for (uint32_t want = 4096; want; want /= 2)
		while (n < max && !balloc_reserve(fs, 0, want, true, &runs[n].pblk, &len))
			runs[n++].len = len;
	assert_in_range(n, 1, max - 1);
	assert_int_equal(atomic_load(&fs->avail_blocks), 0);
	balloc_unreserve(fs, runs[n - 1].pblk + runs[n - 1].len - 1, 1);
	runs[n - 1].len--;
	return n;
}

/*
 * Ten unwritten blocks in a row, whose two extents stand in two full leaves: to convert the
 * middle takes two new nodes, and there is room for one.
 */
static void half_a_conversion(uint32_t size_nblks)
{
	enum { FULL = 84, AT = 200, PBLK = 6000, MAX_RUNS = 1000 };
	static struct fs_run runs[MAX_RUNS];
	uint8_t data[6 << 10], back[3 << 10];
	struct scratch s;
	struct map_model m;
	struct inode *inode;
	unsigned n;

	scratch_new(&s, 16 << 20, "-b 1024 -O ^has_journal,metadata_csum");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, 500, 1, true, 8);
	model_set_size(&m, fs_off(s.fs, size_nblks));
	for (uint32_t k = 0; k < FULL - 1; k++)
		assert_int_equal(model_insert_at(&m, k * 2, 1, 3000 + k * 2, RUN_UNWRITTEN), 0);
	assert_int_equal(model_insert_at(&m, AT, 4, PBLK, RUN_UNWRITTEN), 0);
	assert_int_equal(model_insert_at(&m, AT + 5, 5, PBLK + 5, RUN_UNWRITTEN), 0);
	assert_int_equal(model_insert_at(&m, AT + 4, 1, PBLK + 4, RUN_UNWRITTEN), 0);
	for (uint32_t k = 1; k < FULL; k++)
		assert_int_equal(model_insert_at(&m, AT + 10 + k * 2, 1, 4000 + k * 2,
						 RUN_UNWRITTEN), 0);
	model_look_all(&m);
	n = reserve_all(s.fs, runs, MAX_RUNS);
	memset(data, 'x', sizeof(data));
	model_look(&m, AT);
	model_look(&m, AT + 5);		/* known as one run */
	assert_int_equal(file_write(inode, data, sizeof(data), (AT + 2) << 10, true), 3 << 10);
	while (n-- > 0)
		balloc_unreserve(s.fs, runs[n].pblk, runs[n].len);
	memset(m.state + AT + 2, 0, 3);
	inode_put(inode);
	scratch_check(&s);
	scratch_open(&s);
	assert_int_equal(ops_lookup(s.fs, EXT2_ROOT_INO, "f", &inode), 0);
	m.inode = inode;
	model_look_all(&m);
	assert_int_equal(inode->size, fs_off(s.fs, MAX(size_nblks, AT + 5)));
	assert_int_equal(file_read(inode, back, sizeof(back), (AT + 2) << 10), sizeof(back));
	assert_memory_equal(back, data, sizeof(back));
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

static void half_a_conversion_is_half_a_write(void **state)
{
	half_a_conversion(400);
	half_a_conversion(150);
}

struct damage {
	bool leaf;
	unsigned off, value;
};

/* A file with a tree of depth 1, then one damaged field of its root or leaf. */
static void refuse_damage(const struct damage *d)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;
	struct handle h;
	struct buf *b;
	struct run run;
	uint64_t next;
	bool quiet = true;
	int err = 0;

	scratch_new(&s, 8 << 20, "-b 1024 -O ^has_journal");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, 100, 1, true, 7);
	for (uint32_t k = 0; k < 40; k++)
		assert_int_equal(model_insert_at(&m, k * 2, 1, 3000 + k * 2, 0), 0);
	assert_int_equal(depth_of(inode), 1);
	s.fs->opt.log_arg = &quiet;
	assert_int_equal(cache_read(s.fs->cache, get_le32(inode_block(inode) + 16), BUF_EXTENT,
				    inode->csum_seed, &b), 0);
	put_le16((d->leaf ? b->data : inode_block(inode)) + d->off, d->value);
	map_cache_drop(inode);
	for (uint32_t k = 0; k < 80 && !err; k++)
		err = map_lookup(inode, k, &run);
	assert_int_equal(err, -EUCLEAN);
	/* Changes may fail or not, but not crash or hang. */
	assert_int_equal(txn_begin(s.fs, 200, &h), 0);
	map_insert(&h, inode, &(struct run) { 200, 1, 4000, 0 });
	map_convert(&h, inode, 2, 1, true);
	map_remove(&h, inode, 0, MAP_END, &next);
	txn_stop(&h);
	cache_put(b);
	inode_put(inode);
	fs_close(s.fs);
	blkdev_close(s.dev);
	scratch_free(&s);
	model_fini(&m);
}

static void damaged_trees_are_refused(void **state)
{
	static const struct damage damage[] = {
		{ false, 0, 0x1234 }, { false, 2, 5 }, { false, 2, 0 }, { false, 4, 9 },
		{ false, 6, 6 }, { false, 6, 2 }, { false, 6, 0xffff }, { false, 16, 0 },
		{ false, 20, 0xffff }, { true, 0, 0 }, { true, 2, 200 }, { true, 4, 1 },
		{ true, 4, 200 }, { true, 6, 1 }, { true, 16, 0 }, { true, 22, 0xffff },
		{ true, 24, 0 }, { true, 28, 0x7fff },
	};

	for (unsigned i = 0; i < ARRAY_LEN(damage); i++)
		refuse_damage(&damage[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_1k),
		cmocka_unit_test(random_4k),
		cmocka_unit_test(random_no_csum_32bit),
		cmocka_unit_test(fragmented_to_depth_3),
		cmocka_unit_test(written_in_order_fills_leaves),
		cmocka_unit_test(longest_extents_merge_up_to_their_limit),
		cmocka_unit_test(half_a_conversion_is_half_a_write),
		cmocka_unit_test(damaged_trees_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
