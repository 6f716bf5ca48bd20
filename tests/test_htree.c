/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hash indexes: deep, full, colliding; what the kernel makes of them and of ours. */
#include <sys/mount.h>
#include <sys/stat.h>

#include "dir_fixture.h"
#include "dir_sort.h"
#include "htree.h"

static unsigned depth(struct inode *dir)
{
	struct htree_path p;
	unsigned n;

	assert_int_equal(htree_open(dir, &p), 0);
	n = p.depth;
	htree_close(&p);
	return n;
}

static void grows_three_levels_with_large_dir(void **state)
{
	enum { N = 48000, LEN = 250 };
	struct fx fx;
	char name[256];
	int err;

	fx_setup(&fx, "-b 1024 -O large_dir", NULL, "96M");
	assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
	assert_int_equal(depth(fx.dir), 3);
	fx_reopen(&fx);
	fx_expect(&fx, LEN, N);
	assert_int_equal(fx_count(fx.dir, 1000, N), N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(fx_delete(&fx, name, fx_name(i, LEN, name), i % FX_FILES), 0);
	assert_int_equal(dir_is_empty(fx.dir), 1);
	assert_int_equal(fx_count(fx.dir, 10, 0), 0);
	assert_int_equal(fx.errors, 0);
	fx_finish(&fx);
}

static void full_index_is_enospc(void **state)
{
	enum { LEN = 250 };
	struct fx fx;
	uint64_t size;
	unsigned n;
	char name[256];
	int err;

	fx_setup(&fx, "-b 1024", NULL, "96M");
	n = fx_fill(&fx, LEN, 100000, &err);
	assert_int_equal(err, -ENOSPC);
	assert_true(n > 15000);
	assert_int_equal(depth(fx.dir), 2);
	size = fx.dir->size;
	assert_int_equal(fx_insert(&fx, name, fx_name(n, LEN, name), 0), -ENOSPC);
	assert_int_equal(fx.dir->size, size);
	fx_reopen(&fx);
	assert_int_equal(fx_count(fx.dir, 333, n), n);
	assert_int_equal(fx_delete(&fx, name, fx_name(n - 1, LEN, name), (n - 1) % FX_FILES), 0);
	assert_int_equal(fx_insert(&fx, name, LEN, 3), 0);
	fx_finish(&fx);
}

static void holds_many(void **state)
{
	enum { N = 150000, LEN = 20 };
	struct fx fx;
	int err;

	fx_setup(&fx, "-b 4096", NULL, "64M");
	assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
	fx_expect(&fx, LEN, N);
	assert_int_equal(fx_count(fx.dir, UINT32_MAX, N), N);
	assert_int_equal(fx_count(fx.dir, 50, N), N);
	fx_reopen(&fx);
	assert_int_equal(fx_count(fx.dir, 100, N), N);
	fx_finish(&fx);
}

/* The device has no block left: nothing changes, in every form of directory. */
static void no_space_changes_nothing(void **state)
{
	static const char *const forms[] = {
		"-b 1024", "-b 1024 -O ^dir_index", "-b 1024 -O inline_data -I 256",
		"-b 1024 -O ^extents,^64bit", "-b 1024 -O large_dir",
	};
	struct fx fx;
	char name[256];
	uint64_t size;
	unsigned n;
	int err;

	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		fx_setup(&fx, forms[f], NULL, "600K");
		n = fx_fill(&fx, 220, 100000, &err);
		assert_int_equal(err, -ENOSPC);
		assert_true(n > 100);
		size = fx.dir->size;
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(fx_insert(&fx, name, fx_name(n, 220, name), 0), -ENOSPC);
		assert_int_equal(fx.dir->size, size);
		fx_expect(&fx, 220, n);
		fx_reopen(&fx);
		assert_int_equal(fx_count(fx.dir, 9, n), n);
		fx_finish(&fx);
	}
}

/* An inline directory that cannot get a block stays as it was. */
static void inline_without_space(void **state)
{
	struct fx fx;
	struct inode *other;
	char name[256];
	uint32_t flags;
	unsigned n;
	int err;

	fx_setup(&fx, "-b 1024 -O inline_data -I 256", NULL, "600K");
	other = fx.dir;
	fx.dir = fx_create(&fx, fx.root, "e", S_IFDIR | 0755);
	assert_true(inode_is_inline(fx.dir));
	n = fx_fill(&fx, 20, 4, &err);
	assert_int_equal(n, 4);
	inode_put(fx.dir);
	fx.dir = other;
	fx_fill(&fx, 220, 100000, &err);
	assert_int_equal(err, -ENOSPC);
	inode_put(fx.dir);
	assert_int_equal(dir_lookup(fx.root, "e", 1, &flags, &(uint8_t){ 0 }), 0);
	assert_int_equal(inode_get(fx.fs, flags, &fx.dir), 0);
	for (unsigned i = n; i < 20; i++) {
		err = fx_insert(&fx, name, fx_name(i, 200, name), 0);
		assert_int_equal(err, -ENOSPC);
		assert_true(inode_is_inline(fx.dir));
	}
	assert_int_equal(fx_count(fx.dir, 1, n), n);
	fx_reopen(&fx);
	assert_int_equal(fx_count(fx.dir, 1, n), n);
	fx_finish(&fx);
}

/* With 200 times "p" before them all have the same legacy hash. */
enum { PREFIX = 200, SUFFIX = 7, EQUALS = 100 };
static const char *const equals[EQUALS] = {
	"05IZrC1", "06SekpW", "07cW4Dl", "081IEFf", "0dDKfeM", "0dHmpti", "0dHxYmV", "0flifCR",
	"0fBBKk4", "0fKmJNS", "0gEZcOY", "0hjnU6b", "0hsZJmd", "0kJgMoI", "0kLLt9L", "0ooc3Wd",
	"0rbQ19F", "0sn5469", "0urDQOj", "0vPG4EN", "0y7RJl5", "0A3OtNA", "0CJlbiT", "0HGztc5",
	"0Iv3l3r", "0IvHnHr", "0LyLgyE", "0NZzuU4", "0OE0tYk", "0QJOjf6", "0R1ZyXt", "0RKXQsc",
	"0YoqWfg", "0_Vtp9t", "0-a6Dpt", "11G96e9", "13KBmlG", "15hZItH", "185O63o", "197zmlw",
	"1fzbpjb", "1h_zESC", "1nD3plU", "1v-E1eR", "1wy8939", "1z6g3xj", "1Edrlf0", "1Elulob",
	"1EBmu4k", "1EIKw9K", "1Jqv5Qr", "1Jz3lA9", "1Le0iFS", "1MaWpF8", "1NDZW68", "1PK89ck",
	"1V3M3m9", "1_2H5iX", "1-hYNrC", "2211cSX", "23PDN9h", "24xqJ6r", "24H5oiA", "24-7h3F",
	"28Ht6kP", "2a2mSsa", "2c5wUnw", "2dE-v-R", "2f977sQ", "2h7Q7MN", "2h8w6Py", "2ufrOQB",
	"2xZxSST", "2yGrd0r", "2y-uB7W", "2Cxlcmq", "2CDdqZo", "2D6L7aH", "2DaLYb2", "2HRW5so",
	"2KYblE9", "2Lj5IlY", "2OS08Sb", "2TqWiE0", "2WETLRF", "2X7gNxk", "2ZUamHo", "2_HzXZ9",
	"32vj-3i", "32C61Aq", "346RLoI", "348ItF7", "349oVuS", "34JrIeg", "356AZxk", "36_vHiS",
	"37bDV3y", "37YGdRN", "398wVuT", "3du72Ec",
};

static size_t equal_name(unsigned i, char *buf)
{
	memset(buf, 'p', PREFIX);
	memcpy(buf + PREFIX, equals[i], SUFFIX);
	return PREFIX + SUFFIX;
}

static uint32_t legacy(struct fx *fx, const char *name, size_t len)
{
	return dir_hash(fx->fs, EXT2_HASH_LEGACY, name, len).major;
}

static void equal_hashes_chain(void **state)
{
	enum { HASH = 0x2468acf0, OTHERS = 5 };
	unsigned others = 0;
	struct fx fx;
	char name[256];
	uint32_t ino;
	int err;

	/* The others' hashes lie around, so that nodes are split amid the chain. */
	fx_setup(&fx, "-b 1024", "tune2fs -E hash_alg=legacy", "4M");
	for (unsigned i = 0, k = 0; i < EQUALS; i++) {
		size_t len = equal_name(i, name);

		assert_int_equal(legacy(&fx, name, len), HASH);
		assert_int_equal(fx_insert(&fx, name, len, i % FX_FILES), 0);
		assert_int_equal(fx_insert(&fx, name, len, i % FX_FILES), -EEXIST);
		while (others < (i + 1) * OTHERS) {
			len = fx_name(k++, 230, name);
			if (legacy(&fx, name, len) > 2 * (uint64_t)HASH)
				continue;
			assert_int_equal(fx_insert(&fx, name, len, others++ % FX_FILES), 0);
		}
	}
	assert_int_equal(depth(fx.dir), 2);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < EQUALS; i++) {
			err = fx_lookup(&fx, name, equal_name(i, name), &ino);
			assert_int_equal(err, pass && i % 3 == 0 ? -ENOENT : 0);
			if (!pass && i % 3 == 0)
				assert_int_equal(fx_delete(&fx, name, PREFIX + SUFFIX, i % FX_FILES), 0);
		}
		fx_reopen(&fx);
	}
	for (unsigned batch = 1; batch < 9; batch += 3)
		assert_int_equal(fx_count(fx.dir, batch, 0), others + EQUALS - (EQUALS + 2) / 3);
	assert_int_equal(fx.errors, 0);
	fx_finish(&fx);
}

static void sort_is_bounded(void **state)
{
	enum { N = 5000, TIES = 300 };
	struct dir_sort s;
	uint64_t from = 0, rnd = 1, last = 0;
	unsigned n = 0;

	assert_int_equal(dir_sort_init(&s, 0), 0);
	while (from != UINT64_MAX) {
		dir_sort_reset(&s, from);
		rnd = 1;
		for (unsigned i = 0; i < N; i++)
			dir_sort_add(&s, fx_rand(&rnd) % N << 8, i, 12);
		for (unsigned i = 0; i < TIES; i++)
			dir_sort_add(&s, (uint64_t)N << 8, i, 24);
		dir_sort_finish(&s);
		assert_true(s.n <= s.cap);
		for (unsigned i = 0; i < s.n; i++) {
			assert_true(!n || s.v[i].key > last);
			last = s.v[i].key;
			n++;
		}
		assert_true(s.limit > from);
		from = s.limit;
	}
	assert_int_equal(n, N + SORT_RANKS);
	assert_true(s.overrun);
	dir_sort_fini(&s);
}

/* Runs with the image mounted by the kernel; false where that is not possible. */
static bool in_kernel(struct fx *fx, const char *script)
{
	char mnt[300];
	int st;

	snprintf(mnt, sizeof(mnt), "%s.mnt", fx->path);
	mkdir(mnt, 0700);
	if (geteuid() != 0 || fx_run("mount -o loop -t ext4 %s %s 2>/dev/null", fx->path, mnt)) {
		rmdir(mnt);
		return false;
	}
	st = fx_run("cd %s && %s", mnt, script);
	assert_int_equal(fx_run("umount %s", mnt), 0);
	rmdir(mnt);
	assert_int_equal(st, 0);
	return true;
}

static void kernel_agrees(void **state)
{
	static const char *const forms[] = {
		"-b 1024", "-b 4096", "-b 1024 -O ^metadata_csum", "-b 4096 -O inline_data -I 256",
		"-b 1024 -O large_dir", "-b 1024 -O ^extents,^64bit", "-b 1024 -O ^dir_index",
	};
	enum { N = 3000, LEN = 40 };
	struct fx fx;
	char name[256];
	uint32_t ino;
	int err;

	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		fx_setup(&fx, forms[f], NULL, "32M");
		assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
		fx_store_links(&fx);
		fx_close(&fx);
		if (!in_kernel(&fx, "test $(ls d | wc -l) = 3000 && cd d && "
			       "for i in $(seq 100000 102500); do echo $i; done | xargs touch && "
			       "mkdir ../k && touch ../k/few && "
			       "for i in 000000 000700 002999; do "
			       "test -f $i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx || exit 1; "
			       "rm $i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")) {
			fx_remove(&fx);
			skip();
		}
		fx_fsck(&fx);
		fx_open_dev(&fx);
		assert_int_equal(dir_lookup(fx.root, "d", 1, &ino, &(uint8_t){ 0 }), 0);
		assert_int_equal(inode_get(fx.fs, ino, &fx.dir), 0);
		fx.links[0]--;
		fx.links[700 % FX_FILES]--;
		fx.links[2999 % FX_FILES]--;
		assert_int_equal(fx_count(fx.dir, 100, 102501), N - 3 + 2501);
		for (unsigned i = 100000; i <= 102500; i++) {
			snprintf(name, sizeof(name), "%u", i);
			assert_int_equal(fx_lookup(&fx, name, 6, &ino), 0);
		}
		assert_int_equal(fx_insert(&fx, name, fx_name(0, LEN, name), 0), 0);
		assert_int_equal(fx.errors, 0);
		fx_finish(&fx);
	}
}

static void kernel_agrees_on_inline(void **state)
{
	static const char *const sizes[] = { "256", "512", "1024" };
	enum { N = 3, LEN = 9 };
	struct fx fx;
	char name[256], mkfs[80];
	uint32_t ino;
	int err;

	for (unsigned f = 0; f < ARRAY_LEN(sizes); f++) {
		snprintf(mkfs, sizeof(mkfs), "-b 4096 -O inline_data -I %s", sizes[f]);
		fx_setup(&fx, mkfs, NULL, "8M");
		assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
		assert_true(inode_is_inline(fx.dir));
		fx_store_links(&fx);
		fx_close(&fx);
		if (!in_kernel(&fx, "test \"$(ls d | tr '\\n' ' ')\" = "
			       "'000000-xx 000001-xx 000002-xx ' && rm d/000001-xx && "
			       "touch d/000003-xx d/000004-xx && mkdir d/sub && rmdir d/sub")) {
			fx_remove(&fx);
			skip();
		}
		fx_fsck(&fx);
		fx_open_dev(&fx);
		assert_int_equal(dir_lookup(fx.root, "d", 1, &ino, &(uint8_t){ 0 }), 0);
		assert_int_equal(inode_get(fx.fs, ino, &fx.dir), 0);
		fx.links[1]--;
		assert_int_equal(fx_count(fx.dir, 1, 5), 4);
		for (unsigned i = 5; i < 30; i++) {
			assert_int_equal(fx_insert(&fx, name, fx_name(i, 30, name), i), 0);
			assert_int_equal(fx_count(fx.dir, 2, 30), i);
		}
		assert_false(sizes[f][0] == '2' && inode_is_inline(fx.dir));
		assert_int_equal(fx_insert(&fx, "000000-xx", LEN, 0), -EEXIST);
		fx_finish(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_three_levels_with_large_dir),
		cmocka_unit_test(full_index_is_enospc),
		cmocka_unit_test(holds_many),
		cmocka_unit_test(no_space_changes_nothing),
		cmocka_unit_test(inline_without_space),
		cmocka_unit_test(equal_hashes_chain),
		cmocka_unit_test(sort_is_bounded),
		cmocka_unit_test(kernel_agrees),
		cmocka_unit_test(kernel_agrees_on_inline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
