// SPDX-License-Identifier: GPL-2.0-or-later
/* Block maps: random changes against a model, judged by e2fsck. */
#include "indirect.h"
#include "map_model.h"

static void random_ops(const char *mkfs, uint32_t nblks, uint32_t max_len,
		       uint32_t steps, bool random_goal, unsigned seed)
{
	struct scratch s;
	struct map_model m;
	struct inode *inode;

	scratch_new(&s, 256 << 20, mkfs);
	inode = scratch_file(&s, "f");
	assert_false(inode->flags & EXT4_EXTENTS_FL);
	model_init(&m, inode, nblks, max_len, false, seed);
	model_set_size(&m, fs_off(s.fs, nblks));
	for (uint32_t i = 0; i < steps; i++) {
		uint32_t lblk = model_rand(&m, nblks), what = model_rand(&m, 100);

		if (what < 60)
			model_insert(&m, random_goal);
		else if (what < 70)
			model_remove(&m, lblk, lblk + 1 + model_rand(&m, 4 * max_len));
		else if (what == 80 && model_rand(&m, 100) == 0)
			model_remove(&m, lblk, lblk + nblks / 3);
		else
			model_look(&m, lblk);
	}
	model_look_all(&m);
	inode_put(inode);
	scratch_check(&s);
	scratch_open(&s);
	assert_int_equal(ops_lookup(s.fs, EXT2_ROOT_INO, "f", &inode), 0);
	m.inode = inode;
	model_look_all(&m);
	model_remove(&m, 0, MAP_END);
	assert_int_equal(inode->blocks, 0);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

static void random_1k(void **state)
{
	/* 12 + 256 + 65536: into the triple indirect blocks. */
	random_ops("-b 1024 -O ^has_journal,^extent,^64bit", 80000, 250, 20000, true, 1);
}

static void random_4k(void **state)
{
	random_ops("-b 4096 -O ^has_journal,^extent,^64bit", 30000, 40, 40000, false, 2);
}

static void single_blocks_at_the_borders(void **state)
{
	static const uint32_t at[] = {
		0, 11, 12, 267, 268, 523, 524, 65803, 65804, 66059, 66060, 131339, 131340,
		16843019,
	};
	struct scratch s;
	struct map_model m;
	struct inode *inode;

	scratch_new(&s, 64 << 20, "-b 1024 -O ^has_journal,^extent,^64bit");
	inode = scratch_file(&s, "f");
	model_init(&m, inode, 16843020, 1, false, 3);
	model_set_size(&m, fs_off(s.fs, 16843020));
	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		assert_int_equal(model_insert_at(&m, at[i], 1, 5000, 0), 0);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		uint64_t next;

		assert_int_equal(map_next_mapped(inode, i ? at[i - 1] + 1 : 0, &next), 0);
		assert_int_equal(next, at[i]);
	}
	assert_int_equal(model_insert_at(&m, 16843019, 1, 5000, 0), -EEXIST);
	inode_put(inode);
	scratch_check(&s);
	scratch_open(&s);
	assert_int_equal(ops_lookup(s.fs, EXT2_ROOT_INO, "f", &inode), 0);
	m.inode = inode;
	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		model_look(&m, at[i]);
	model_remove(&m, 268, 65804);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		model_look(&m, at[i]);
	model_remove(&m, 0, MAP_END);
	assert_int_equal(inode->blocks, 0);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
	model_fini(&m);
}

static void damaged_pointers_are_refused(void **state)
{
	struct scratch s;
	struct inode *inode;
	struct handle h;
	struct run run;
	uint64_t next;
	bool quiet = true;

	scratch_new(&s, 8 << 20, "-b 1024 -O ^has_journal,^extent,^64bit");
	inode = scratch_file(&s, "f");
	s.fs->opt.log_arg = &quiet;
	put_le32(inode_block(inode), 0xffffffff);	/* data outside */
	put_le32(inode_block(inode) + 4, 1);		/* the superblock */
	put_le32(inode_block(inode) + 12 * 4, 0x7fffffff);
	put_le32(inode_block(inode) + 13 * 4, 3);	/* a descriptor block */
	assert_int_equal(map_lookup(inode, 0, &run), -EUCLEAN);
	assert_int_equal(map_lookup(inode, 1, &run), -EUCLEAN);
	assert_int_equal(map_lookup(inode, 2, &run), 0);
	assert_int_equal(map_lookup(inode, 12, &run), -EUCLEAN);
	assert_int_equal(map_lookup(inode, 300, &run), -EUCLEAN);
	assert_int_equal(txn_begin(s.fs, 200, &h), 0);
	assert_int_equal(map_insert(&h, inode, &(struct run) { 20, 1, 4000, 0 }), -EUCLEAN);
	assert_int_equal(map_remove(&h, inode, 0, MAP_END, &next), -EUCLEAN);
	txn_stop(&h);
	inode_put(inode);
	fs_close(s.fs);
	blkdev_close(s.dev);
	scratch_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_1k),
		cmocka_unit_test(random_4k),
		cmocka_unit_test(single_blocks_at_the_borders),
		cmocka_unit_test(damaged_pointers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
