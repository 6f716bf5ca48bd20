/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories on damaged images and failing devices. */
#include <time.h>

#include "dev_fault.h"
#include "dir_fixture.h"
#include "htree.h"

/* A listing that a failing device may cut short. */
static void count_some(struct inode *dir)
{
	struct fx_listing l = { .batch = 5 };
	int err;

	do {
		l.taken = 0;
		err = dir_read(dir, l.cookie, fx_take, &l);
		assert_true(err == 0 || err == -EIO);
	} while (l.taken && !err);
}

/* Writes into a logical block of the directory behind the server's back. */
static void scribble(struct fx *fx, uint32_t lblk, unsigned off, const void *data, size_t len)
{
	struct run run;
	int fd;

	assert_int_equal(map_lookup(fx->dir, lblk, &run), 0);
	assert_false(run.flags);
	fd = open(fx->path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, fs_off(fx->fs, run.pblk) + off), (ssize_t)len);
	close(fd);
}

/* Closes and opens without e2fsck, so that what was written behind our back is read. */
static void reread(struct fx *fx)
{
	uint32_t ino = fx->dir->ino;

	fx_close(fx);
	fx_open_dev(fx);
	assert_int_equal(inode_get(fx->fs, ino, &fx->dir), 0);
	fx->errors = 0;
}

static void damaged_leaf_costs_only_itself(void **state)
{
	static const char *const forms[] = {
		"-b 1024", "-b 1024 -O ^metadata_csum", "-b 1024 -O ^dir_index",
		"-b 1024 -O ^dir_index,^metadata_csum",
	};
	enum { N = 300, LEN = 60 };
	struct fx fx;
	char name[256];
	uint32_t ino;
	int err;

	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		unsigned found = 0, lost = 0, listed;

		fx_setup(&fx, forms[f], NULL, "4M");
		assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
		fx_reopen(&fx);
		scribble(&fx, 3, 4, "\3\0", 2);
		reread(&fx);
		for (unsigned i = 0; i < N; i++) {
			err = fx_lookup(&fx, name, fx_name(i, LEN, name), &ino);
			assert_true(err == 0 || err == -EUCLEAN);
			found += err == 0;
			lost += err != 0;
		}
		assert_true(lost > 0 && lost < 16);
		assert_in_range(fx.errors, 1, 8);
		assert_non_null(strstr(fx.last_error, "block 3"));
		listed = fx_count(fx.dir, 10, 0);
		assert_int_equal(listed, found);
		assert_int_equal(dir_is_empty(fx.dir), 0);
		fx_close(&fx);
		fx_remove(&fx);
	}
}

static void damaged_index_is_searched_in_order(void **state)
{
	static const struct { unsigned off; const char *bytes; size_t len; } damage[] = {
		{ 24, "\1\0\0\0", 4 }, { 28, "\1\11", 2 }, { 28, "\1\10\3", 3 },
		{ 32, "\377\377", 2 }, { 34, "\0\0", 2 }, { 34, "\377\377", 2 },
		{ 36, "\377\377\377\377", 4 }, { 36, "\0\0\0\0", 4 }, { 31, "\1", 1 },
		{ 40, "\377\377\377\377", 4 }, { 29, "\7", 1 },
	};
	enum { N = 300, LEN = 60 };
	struct fx fx;
	char name[256];
	uint32_t ino;
	int err;

	for (unsigned i = 0; i < 2 * ARRAY_LEN(damage); i++) {
		unsigned d = i / 2;

		/* The first field is reserved: only its checksum tells. */
		if (i == 1)
			continue;
		fx_setup(&fx, i % 2 ? "-b 1024 -O ^metadata_csum" : "-b 1024", NULL, "4M");
		assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
		fx_reopen(&fx);
		scribble(&fx, 0, damage[d].off, damage[d].bytes, damage[d].len);
		reread(&fx);
		for (unsigned k = 0; k < N; k++)
			assert_int_equal(fx_lookup(&fx, name, fx_name(k, LEN, name), &ino), 0);
		assert_in_range(fx.errors, 1, 8);
		err = 0;
		for (unsigned k = N; k < N + 40 && !err; k++)
			err = fx_insert(&fx, name, fx_name(k, LEN, name), 0);
		assert_int_equal(err, -EUCLEAN);
		fx_close(&fx);
		fx_remove(&fx);
	}
}

/* Bytes of blocks, on disk; of inline content, in core, as if read so. */
static void scribble_randomly(struct fx *fx, uint64_t *rnd, bool in_inode)
{
	unsigned n = 1 + fx_rand(rnd) % 12;

	reread(fx);
	for (unsigned i = 0; i < n && !in_inode; i++) {
		unsigned lblk = fx_rand(rnd) % 3 ? 0 : fx_rand(rnd) % dir_nblks(fx->dir);
		uint64_t junk = fx_rand(rnd) >> (fx_rand(rnd) % 56);
		unsigned off = fx_rand(rnd) % (fx_rand(rnd) % 2 ? 64 : 1000);

		scribble(fx, lblk, off, &junk, 1 + fx_rand(rnd) % 4);
	}
	reread(fx);
	for (unsigned i = 0; i < n && in_inode; i++) {
		unsigned past = EXT2_GOOD_OLD_INODE_SIZE + 32;

		if (fx_rand(rnd) % 4)
			inode_block(fx->dir)[fx_rand(rnd) % 60] = fx_rand(rnd);
		else
			fx->dir->raw[past + fx_rand(rnd) % (fx->fs->inode_size - past)] = fx_rand(rnd);
	}
}

/* Whatever the bytes of a directory are: errors, but no crash and no endless loop. */
static void survives_random_bytes(void **state)
{
	static const struct { const char *mkfs, *size; unsigned n, len; bool is_inline; } forms[] = {
		{ "-b 1024 -O ^metadata_csum", "2M", 400, 90, false },
		{ "-b 1024 -O ^metadata_csum,large_dir", "2M", 400, 90, false },
		{ "-b 1024 -O ^metadata_csum,^dir_index", "2M", 400, 90, false },
		{ "-b 65536 -O ^metadata_csum", "24M", 400, 90, false },
		{ "-b 1024 -O ^metadata_csum,inline_data -I 512", "2M", 8, 24, true },
	};
	uint64_t rnd = fx_seed();
	struct fx fx;
	char name[256];
	uint32_t ino;
	uint8_t ftype;
	int err;

	for (unsigned round = 0; round < 60; round++) {
		unsigned f = round % ARRAY_LEN(forms), n = forms[f].n;

		fx_setup(&fx, forms[f].mkfs, NULL, forms[f].size);
		assert_int_equal(fx_fill(&fx, forms[f].len, n, &err), n);
		fx_store_links(&fx);
		scribble_randomly(&fx, &rnd, forms[f].is_inline);
		for (unsigned i = 0; i < 400; i++) {
			size_t len = fx_name(fx_rand(&rnd) % (2 * n), forms[f].len, name);

			dir_lookup(fx.dir, name, len, &ino, &ftype);
			fx_insert(&fx, name, len, 0);
			fx_delete(&fx, name, len, 0);
		}
		dir_is_empty(fx.dir);
		dir_get_parent(fx.dir, &ino);
		fx_count(fx.dir, 13, 0);
		inode_put(fx.dir);
		inode_put(fx.root);
		fs_close(fx.fs);
		blkdev_close(fx.dev);
		fx_remove(&fx);
	}
}

/* The inode cannot be stored, the last thing that may fail: all is as before. */
static void failed_store_changes_nothing(void **state)
{
	static const struct { const char *mkfs; size_t len; unsigned n; } forms[] = {
		{ "-b 1024", 200, 700 }, { "-b 1024 -O ^dir_index", 200, 40 },
		{ "-b 1024 -O inline_data -I 256", 20, 60 }, { "-b 1024 -O ^extents,^64bit", 200, 80 },
	};
	struct fx fx;
	char name[256];
	uint32_t ino, none;
	uint64_t size, blocks;

	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		fx_setup(&fx, forms[f].mkfs, NULL, "4M");
		ino = fx.dir->ino;
		for (unsigned i = 0; i < forms[f].n; i++) {
			size_t len = fx_name(i, forms[f].len, name);

			size = fx.dir->size;
			blocks = fx.dir->blocks;
			fx.dir->ino = UINT32_MAX;
			assert_true(fx_insert(&fx, name, len, i % FX_FILES) < 0);
			fx.dir->ino = ino;
			assert_int_equal(fx.dir->size, size);
			assert_int_equal(fx.dir->blocks, blocks);
			assert_int_equal(fx_lookup(&fx, name, len, &none), -ENOENT);
			assert_int_equal(fx_insert(&fx, name, len, i % FX_FILES), 0);
			fx.dir->ino = UINT32_MAX;
			assert_true(fx_delete(&fx, name, len, i % FX_FILES) < 0);
			fx.dir->ino = ino;
		}
		fx_expect(&fx, forms[f].len, forms[f].n);
		fx_reopen(&fx);
		assert_int_equal(fx_count(fx.dir, 9, forms[f].n), forms[f].n);
		fx_finish(&fx);
	}
}

/* A read that fails: -EIO, and the directory is as before. */
static void failed_reads_change_nothing(void **state)
{
	enum { N = 400, LEN = 100 };
	struct fx fx;
	struct blkdev *fault;
	struct fs_options opt = { .errors = FS_ERRORS_CONTINUE, .log = fx_log, .log_arg = &fx };
	char name[256], why[256];
	unsigned n = N, inode;
	uint32_t ino;
	int err;

	fx_setup(&fx, "-b 1024", NULL, "8M");
	assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
	inode = fx.dir->ino;
	fx_store_links(&fx);
	fx_close(&fx);
	for (unsigned nth = 1; nth < 40; nth++) {
		assert_int_equal(file_dev_open(fx.path, -1, false, &fx.dev), 0);
		assert_int_equal(dev_fault_open(fx.dev, true, &fault), 0);
		assert_int_equal(fs_open(fault, &opt, &fx.fs, why, sizeof(why)), 0);
		assert_int_equal(inode_get(fx.fs, EXT2_ROOT_INO, &fx.root), 0);
		assert_int_equal(inode_get(fx.fs, inode, &fx.dir), 0);
		dev_fault_arm(fault, DEV_FAULT_READ, nth, -EIO, false);
		err = fx_lookup(&fx, name, fx_name(nth, LEN, name), &ino);
		assert_true(err == 0 || err == -EIO);
		count_some(fx.dir);
		/* A group whose bitmap cannot be read has no free blocks. */
		err = fx_insert(&fx, name, fx_name(n, LEN, name), n % FX_FILES);
		assert_true(err == 0 || err == -EIO || err == -ENOSPC);
		if (!err)
			n++;
		if (!dev_fault_fired(fault))
			nth = 40;
		dev_fault_disarm(fault);
		fx.dev = fault;
		fx_store_links(&fx);
		fx_close(&fx);
		fx_fsck(&fx);
	}
	fx_open_dev(&fx);
	assert_int_equal(inode_get(fx.fs, inode, &fx.dir), 0);
	fx_expect(&fx, LEN, n);
	fx_finish(&fx);
}

/* A size that the blocks do not back costs neither time nor the entries that exist. */
static void sparse_size_is_quick(void **state)
{
	static const char *const forms[] = { "-b 1024", "-b 1024 -O ^dir_index" };
	enum { N = 100, LEN = 60 };
	struct timespec t0, t1;
	struct fx fx;
	char name[256];
	uint32_t ino;
	uint64_t size;
	int err;

	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		fx_setup(&fx, forms[f], NULL, "2G");
		assert_int_equal(fx_fill(&fx, LEN, N, &err), N);
		size = fx.dir->size;
		fx.dir->size = UINT64_C(1) << 40;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(fx_lookup(&fx, name, fx_name(i, LEN, name), &ino), 0);
		err = fx_lookup(&fx, "absent", 6, &ino);
		assert_int_equal(err, f ? -EUCLEAN : -ENOENT);
		assert_int_equal(fx_count(fx.dir, 7, N), N);
		assert_int_equal(dir_is_empty(fx.dir), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
		assert_true(t1.tv_sec - t0.tv_sec < 5);
		fx.dir->size = size;
		fx_finish(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_leaf_costs_only_itself),
		cmocka_unit_test(damaged_index_is_searched_in_order),
		cmocka_unit_test(survives_random_bytes),
		cmocka_unit_test(failed_store_changes_nothing),
		cmocka_unit_test(failed_reads_change_nothing),
		cmocka_unit_test(sparse_size_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
