// SPDX-License-Identifier: GPL-2.0-or-later
/* File contents: random operations against a model in memory, judged by e2fsck. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "file.h"
#include "map.h"
#include "scratch_fs.h"

struct model {
	struct scratch *s;
	struct inode *inode;
	uint8_t *data;		/* max bytes; zeros behind size */
	uint64_t size, max;
	unsigned seed;
	uint8_t *tmp;
};

static uint32_t rnd(struct model *m, uint32_t n)
{
	return n ? rand_r(&m->seed) % n : 0;
}

static void model_init(struct model *m, struct scratch *s, const char *name, uint64_t max,
		       unsigned seed)
{
	*m = (struct model) { .s = s, .max = max, .seed = seed };
	m->inode = scratch_file(s, name);
	m->data = calloc(1, max);
	m->tmp = malloc(max + 1);
	assert_non_null(m->data);
	assert_non_null(m->tmp);
}

static void model_fini(struct model *m)
{
	inode_put(m->inode);
	free(m->data);
	free(m->tmp);
}

static void check_all(struct model *m)
{
	assert_int_equal(m->inode->size, m->size);
	memset(m->tmp, 0xee, m->max + 1);
	assert_int_equal(file_read(m->inode, m->tmp, m->max + 1, 0), m->size);
	for (uint64_t i = 0; i < m->size; i++) {
		if (m->tmp[i] == m->data[i])
			continue;
		fprintf(stderr, "byte %llu is %02x, not %02x\n", (unsigned long long)i, m->tmp[i],
			m->data[i]);
		assert_int_equal(m->tmp[i], m->data[i]);
	}
}

static bool do_write(struct model *m, uint64_t off, uint32_t len)
{
	ssize_t n;

	for (uint32_t i = 0; i < len; i++)
		m->tmp[i] = 1 + rnd(m, 255);
	n = file_write(m->inode, m->tmp, len, off, true);
	if (n < 0) {
		assert_int_equal(n, -ENOSPC);
		return false;
	}
	assert_true(n <= len);
	memcpy(m->data + off, m->tmp, n);
	if (n)
		m->size = MAX(m->size, off + n);
	return n == len;
}

static void do_truncate(struct model *m, uint64_t size)
{
	assert_int_equal(file_truncate(m->inode, size), 0);
	if (size < m->size)
		memset(m->data + size, 0, m->size - size);
	m->size = size;
}

static void do_falloc(struct model *m, int mode, uint64_t off, uint64_t len)
{
	int err = file_fallocate(m->inode, mode, off, len, true);

	if (err == -EOPNOTSUPP && !(m->inode->flags & EXT4_EXTENTS_FL))
		return;
	if (err == -ENOSPC)
		return;
	assert_int_equal(err, 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(m->data + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		m->size = MAX(m->size, off + len);
}

static void do_read(struct model *m, uint64_t off, uint32_t len)
{
	ssize_t want = off >= m->size ? 0 : (ssize_t)MIN(len, m->size - off);

	assert_int_equal(file_read(m->inode, m->tmp, len, off), want);
	assert_memory_equal(m->tmp, m->data + off, want);
}

/* Data only where the model may have some; everything else is zeros. */
static void do_seek(struct model *m, uint64_t off)
{
	int64_t data = file_seek(m->inode, off, SEEK_DATA);
	int64_t hole = file_seek(m->inode, off, SEEK_HOLE);
	uint64_t first = off;

	if (off >= m->size) {
		assert_int_equal(data, -ENXIO);
		assert_int_equal(hole, -ENXIO);
		return;
	}
	while (first < m->size && !m->data[first])
		first++;
	assert_true(hole >= (int64_t)off && hole <= (int64_t)m->size);
	assert_true(data == -ENXIO ? first == m->size : data <= (int64_t)first || first == m->size);
	if (hole < (int64_t)m->size && hole < data)
		assert_true(hole == (int64_t)off);
}

static void one_op(struct model *m)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	uint64_t off = rnd(m, m->max), bs = m->inode->fs->block_size;
	uint32_t len = 1 + rnd(m, rnd(m, 3) ? 5000 : 200000);

	if (rnd(m, 3) == 0)
		off = MIN(m->size, m->max - 1);
	if (rnd(m, 3) == 0)
		off -= off % bs;
	if (rnd(m, 3) == 0)
		len = round_up(len, bs);
	len = MIN(len, m->max - off);
	switch (rnd(m, 12)) {
	case 0: case 1: case 2: case 3:
		do_write(m, off, len);
		break;
	case 4: case 5: case 6:
		do_read(m, off, len);
		break;
	case 7:
		do_truncate(m, rnd(m, 2) ? off : rnd(m, m->size + 1));
		break;
	case 8: case 9: case 10:
		do_falloc(m, modes[rnd(m, ARRAY_LEN(modes))], off, len);
		break;
	default:
		do_seek(m, off);
		file_release(m->inode);
	}
}

static void reopen(struct model *m)
{
	inode_put(m->inode);
	scratch_check(m->s);
	scratch_open(m->s);
	assert_int_equal(ops_lookup(m->s->fs, EXT2_ROOT_INO, "f", &m->inode), 0);
}

static void random_file(const char *mkfs, uint64_t image, uint64_t max, unsigned steps,
			unsigned seed)
{
	struct scratch s;
	struct model m;

	scratch_new(&s, image, mkfs);
	model_init(&m, &s, "f", max, seed);
	for (unsigned i = 1; i <= steps; i++) {
		one_op(&m);
		if (i % 50 == 0)
			check_all(&m);
		if (i % (steps / 3) == 0)
			reopen(&m);
	}
	check_all(&m);
	model_fini(&m);
	assert_int_equal(ops_unlink(s.fs, EXT2_ROOT_INO, "f"), 0);
	scratch_check(&s);
	scratch_free(&s);
}

static void random_1k(void **state)
{
	random_file("-b 1024", 64 << 20, 3 << 20, 3000, 11);
}

static void random_4k(void **state)
{
	random_file("-b 4096", 64 << 20, 5 << 20, 3000, 12);
}

static void random_block_map(void **state)
{
	random_file("-b 1024 -O ^extent,^64bit", 64 << 20, 3 << 20, 3000, 13);
}

static void random_ext2(void **state)
{
	random_file("-b 4096 -O ^has_journal,^extent,^64bit,^metadata_csum", 64 << 20, 5 << 20,
		    2000, 14);
}

static void random_inline_small(void **state)
{
	for (unsigned i = 0; i < 20; i++)
		random_file("-b 1024 -I 256 -O inline_data", 8 << 20, 300, 60, 100 + i);
}

static void random_inline_grows(void **state)
{
	random_file("-b 4096 -I 1024 -O inline_data", 64 << 20, 1 << 20, 1000, 15);
}

static void random_small_disk(void **state)
{
	random_file("-b 1024 -O ^has_journal -m 0 -N 16", 2 << 20, 4 << 20, 1500, 16);
}

static void full_disk_gives_back_everything(void **state)
{
	struct scratch s;
	struct model m;
	int64_t avail;
	uint64_t at = 0;

	scratch_new(&s, 8 << 20, "-b 1024 -m 0 -O ^has_journal");
	model_init(&m, &s, "f", 16 << 20, 21);
	avail = atomic_load(&s.fs->avail_blocks);
	while (do_write(&m, at, 100000))
		at += 100000;
	assert_int_equal(file_write(m.inode, "x", 1, m.size + 5000, true), -ENOSPC);
	assert_true(atomic_load(&s.fs->avail_blocks) < 3);
	assert_int_equal(file_fallocate(m.inode, 0, m.size, 100000, true), -ENOSPC);
	check_all(&m);
	reopen(&m);
	check_all(&m);
	do_truncate(&m, 0);
	assert_int_equal(fs_sync(s.fs), 0);
	assert_int_equal(atomic_load(&s.fs->avail_blocks), avail);
	assert_true(do_write(&m, 0, 3000000));
	check_all(&m);
	model_fini(&m);
	scratch_check(&s);
	scratch_free(&s);
}

/* What one file holds ahead is there for another when nothing else is left. */
static void blocks_ahead_are_reclaimed(void **state)
{
	struct scratch s;
	struct inode *files[8], *big;
	static uint8_t buf[1 << 20];
	uint64_t off = 0;

	scratch_new(&s, 64 << 20, "-b 4096 -m 0 -O ^has_journal");
	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		char name[20];

		snprintf(name, sizeof(name), "f%u", i);
		files[i] = scratch_file(&s, name);
		for (unsigned k = 0; k < 8; k++)
			assert_int_equal(file_write(files[i], buf, 65536, k * 65536, false), 65536);
	}
	big = scratch_file(&s, "big");
	for (ssize_t n = 1; n > 0; off += n > 0 ? n : 0)
		n = file_write(big, buf, sizeof(buf), off, false);
	assert_true(atomic_load(&s.fs->avail_blocks) < 2);
	for (unsigned i = 0; i < ARRAY_LEN(files); i++)
		inode_put(files[i]);
	inode_put(big);
	scratch_check(&s);
	scratch_run(0, "dumpe2fs -h %s | grep -E '^Free blocks: +[01]$'", s.path);
	scratch_free(&s);
}

static void sparse_to_the_limit(void **state)
{
	struct scratch s;
	struct inode *inode;
	uint64_t max;
	char buf[8];

	scratch_new(&s, 16 << 20, "-b 4096");
	inode = scratch_file(&s, "f");
	max = inode_max_size(inode);
	assert_int_equal(max, 0xffffffffULL * 4096);
	assert_int_equal(file_write(inode, "end", 3, max - 3, true), 3);
	assert_int_equal(file_write(inode, "end", 3, max - 2, true), -EFBIG);
	assert_int_equal(file_truncate(inode, max + 1), -EFBIG);
	assert_int_equal(file_fallocate(inode, 0, max - 1, 2, true), -EFBIG);
	assert_int_equal(inode->size, max);
	assert_int_equal(file_read(inode, buf, 8, max - 3), 3);
	assert_memory_equal(buf, "end", 3);
	assert_int_equal(file_seek(inode, 0, SEEK_DATA), max - 4096);
	assert_int_equal(file_seek(inode, 0, SEEK_HOLE), 0);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
}

static void growing_file_is_contiguous(void **state)
{
	struct scratch s;
	struct inode *a, *b;
	struct run run;
	static uint8_t buf[65536];

	scratch_new(&s, 256 << 20, "-b 4096");
	a = scratch_file(&s, "a");
	b = scratch_file(&s, "b");
	memset(buf, 1, sizeof(buf));
	/* Two files growing side by side, each request pair in the wrong order. */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t off = (i ^ 1) * sizeof(buf);

		assert_int_equal(file_write(a, buf, sizeof(buf), off, false), sizeof(buf));
		assert_int_equal(file_write(b, buf, sizeof(buf), off, false), sizeof(buf));
	}
	unsigned runs = 0;
	for (uint64_t at = 0; at < 4096; at += run.len, runs++)
		assert_int_equal(map_lookup(a, at, &run), 0);
	assert_true(runs <= 8);
	inode_put(a);
	inode_put(b);
	scratch_check(&s);
	scratch_free(&s);
}

/* Bytes behind the end, as a crash may leave them, must never show up. */
static void junk_behind_the_end_stays_hidden(void **state)
{
	struct scratch s;
	uint8_t junk[500], back[3000];

	scratch_new(&s, 16 << 20, "-b 1024");
	memset(junk, 0x55, sizeof(junk));
	for (unsigned how = 0; how < 5; how++) {
		struct inode *inode;
		uint64_t pblk;
		char name[20];

		snprintf(name, sizeof(name), "f%u", how);
		inode = scratch_file(&s, name);
		assert_int_equal(file_write(inode, "x", 1, 500, true), 1);
		assert_int_equal(file_bmap(inode, 0, &pblk), 0);
		assert_int_equal(blkdev_write(s.dev, junk, 500, pblk * 1024 + 501), 0);
		if (how == 0)
			assert_int_equal(file_truncate(inode, 2500), 0);
		else if (how == 1)
			assert_int_equal(file_write(inode, "y", 1, 2499, true), 1);
		else if (how == 2)
			assert_int_equal(file_write(inode, "y", 1, 1000, true), 1);
		else if (how == 3)
			assert_int_equal(file_fallocate(inode, 0, 2000, 500, true), 0);
		else
			assert_int_equal(file_fallocate(inode, FALLOC_FL_ZERO_RANGE, 2000, 500,
							true), 0);
		memset(back, 0xee, sizeof(back));
		assert_true(file_read(inode, back, sizeof(back), 0) > 1000);
		for (unsigned i = 501; i < 1000; i++)
			assert_int_equal(back[i], 0);
		inode_put(inode);
	}
	scratch_check(&s);
	scratch_free(&s);
}

static void copy_and_links(void **state)
{
	struct scratch s;
	struct model m;
	struct inode *to, *link;
	struct cred cred = { .root = true };
	char target[4097], back[4097];
	static const unsigned lengths[] = { 1, 59, 60, 61, 1000, 1023 };

	scratch_new(&s, 32 << 20, "-b 1024");
	model_init(&m, &s, "f", 2 << 20, 31);
	do_write(&m, 12345, 900000);
	to = scratch_file(&s, "to");
	assert_int_equal(file_copy(m.inode, 100, to, 7, 2 << 20, true), m.size - 100);
	assert_int_equal(file_read(to, m.tmp, m.max, 0), m.size - 93);
	assert_memory_equal(m.tmp + 7, m.data + 100, m.size - 100);
	assert_int_equal(file_copy(to, 0, to, 10, 11, true), -EINVAL);
	assert_int_equal(file_copy(to, 0, to, 1000, 1000, true), 1000);
	inode_put(to);
	memset(target, 'x', sizeof(target));
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		char name[20];

		snprintf(name, sizeof(name), "l%u", i);
		target[lengths[i]] = 0;
		assert_int_equal(ops_make(s.fs, EXT2_ROOT_INO, name, S_IFLNK | 0777, 0, target,
					  &cred, &link), 0);
		assert_int_equal(file_read_link(link, back, sizeof(back)), 0);
		assert_string_equal(back, target);
		inode_put(link);
		target[lengths[i]] = 'x';
	}
	target[1024] = 0;
	assert_int_equal(ops_make(s.fs, EXT2_ROOT_INO, "l", S_IFLNK | 0777, 0, target, &cred,
				  &link), -ENAMETOOLONG);
	model_fini(&m);
	scratch_check(&s);
	scratch_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_1k),
		cmocka_unit_test(random_4k),
		cmocka_unit_test(random_block_map),
		cmocka_unit_test(random_ext2),
		cmocka_unit_test(random_inline_small),
		cmocka_unit_test(random_inline_grows),
		cmocka_unit_test(random_small_disk),
		cmocka_unit_test(full_disk_gives_back_everything),
		cmocka_unit_test(blocks_ahead_are_reclaimed),
		cmocka_unit_test(sparse_to_the_limit),
		cmocka_unit_test(growing_file_is_contiguous),
		cmocka_unit_test(junk_behind_the_end_stays_hidden),
		cmocka_unit_test(copy_and_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
