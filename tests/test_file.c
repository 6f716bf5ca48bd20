// SPDX-License-Identifier: GPL-2.0-or-later
/* File contents: random operations against a model in memory, judged by e2fsck. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>

#include "dev_fault.h"
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
	int64_t data = file_seek(m->inode, off, SEEK_DATA), hole = file_seek(m->inode, off, SEEK_HOLE);
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

static void random_file(const char *mkfs, uint64_t image, uint64_t max, unsigned steps, unsigned seed)
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
	random_file("-b 4096 -O ^has_journal,^extent,^64bit,^metadata_csum", 64 << 20, 5 << 20, 2000, 14);
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

struct worker {
	struct inode *inode;
	unsigned id, seed;
	pthread_t thread;
};

enum { WORKERS = 6, SHARE = 700, STRIPES = 300 };

/* What a thread returns when it fails. */
static void *failed(const char *why)
{
	return (void *)(uintptr_t)why;
}

/* Each worker owns one share of every stripe: neighbours meet inside blocks. */
static void *write_shares(void *arg)
{
	struct worker *w = arg;
	uint8_t buf[SHARE], back[SHARE];

	memset(buf, w->id + 1, sizeof(buf));
	for (unsigned i = 0; i < STRIPES; i++) {
		unsigned stripe = (i * 7 + w->id) % STRIPES;
		uint64_t off = ((uint64_t)stripe * WORKERS + w->id) * SHARE;

		if (file_write(w->inode, buf, SHARE, off, true) != SHARE)
			return failed("write");
		if (file_read(w->inode, back, SHARE, off) != SHARE || memcmp(buf, back, SHARE))
			return failed("read back");
	}
	return NULL;
}

static void concurrent_writers(const char *mkfs, bool unwritten)
{
	struct scratch s;
	struct inode *inode;
	struct worker w[WORKERS];
	static uint8_t all[WORKERS * SHARE * STRIPES];

	scratch_new(&s, 64 << 20, mkfs);
	inode = scratch_file(&s, "f");
	if (unwritten)
		assert_int_equal(file_fallocate(inode, FALLOC_FL_KEEP_SIZE, 0, sizeof(all), true), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker) { .inode = inode, .id = i };
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_shares, &w[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		void *what;

		pthread_join(w[i].thread, &what);
		assert_null(what);
	}
	assert_int_equal(file_read(inode, all, sizeof(all), 0), sizeof(all));
	for (size_t i = 0; i < sizeof(all); i++)
		assert_int_equal(all[i], i / SHARE % WORKERS + 1);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
}

static void writers_meet_in_blocks(void **state)
{
	concurrent_writers("-b 4096", false);
	concurrent_writers("-b 1024 -O ^extent,^64bit", false);
	concurrent_writers("-b 4096", true);
}

/* Every byte of the file is 0 or the one its offset says, whoever writes it when. */
static uint8_t byte_at(uint64_t off)
{
	return 1 + off / 512 % 250;
}

static const char *chaos_step(struct worker *w, uint8_t *buf)
{
	uint64_t off = rand_r(&w->seed) % (2 << 20);
	uint32_t len = 1 + rand_r(&w->seed) % (rand_r(&w->seed) % 4 ? 6000 : 150000);
	ssize_t n;

	switch (rand_r(&w->seed) % 20) {
	case 0:
		return file_truncate(w->inode, off) ? "truncate" : NULL;
	case 1:
		return file_fallocate(w->inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len,
				      true) ? "punch" : NULL;
	case 2:
		return file_fallocate(w->inode, 0, off, len, true) ? "allocate" : NULL;
	case 3:
		return file_fallocate(w->inode, FALLOC_FL_ZERO_RANGE, off, len, true) ? "zero" : NULL;
	case 4:
		file_release(w->inode);
		return NULL;
	case 5:
		return inode_sync(w->inode, false) ? "sync" : NULL;
	case 6: case 7: case 8: case 9: case 10: case 11: case 12: case 13:
		for (uint32_t i = 0; i < len; i++)
			buf[i] = byte_at(off + i);
		return file_write(w->inode, buf, len, off, true) == len ? NULL : "write";
	default:
		n = file_read(w->inode, buf, len, off);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] && buf[i] != byte_at(off + i))
				return "read wrong bytes";
		return n < 0 ? "read" : NULL;
	}
}

static void *chaos(void *arg)
{
	struct worker *w = arg;
	uint8_t *buf = malloc(150001);
	const char *what = NULL;

	for (unsigned i = 0; i < 1500 && !what; i++)
		what = chaos_step(w, buf);
	free(buf);
	return (void *)what;
}

static void everything_at_once(void **state)
{
	struct scratch s;
	struct inode *inode;
	struct worker w[WORKERS];

	scratch_new(&s, 64 << 20, "-b 1024");
	inode = scratch_file(&s, "f");
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker) { .inode = inode, .seed = i + 50 };
		assert_int_equal(pthread_create(&w[i].thread, NULL, chaos, &w[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		void *what;

		pthread_join(w[i].thread, &what);
		if (what)
			fprintf(stderr, "%s\n", (char *)what);
		assert_null(what);
	}
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
}

static atomic_bool readers_stop;

static void *read_without_a_break(void *arg)
{
	struct worker *w = arg;
	static uint8_t buf[WORKERS][256 << 10];

	while (!atomic_load(&readers_stop))
		file_read(w->inode, buf[w->id], sizeof(buf[0]), 0);
	return NULL;
}

/* Hangs if readers can keep a truncation out. */
static void truncation_gets_its_turn(void **state)
{
	struct scratch s;
	struct inode *inode;
	struct worker w[WORKERS];
	static uint8_t buf[256 << 10];

	scratch_new(&s, 16 << 20, "-b 4096");
	inode = scratch_file(&s, "f");
	assert_int_equal(file_write(inode, buf, sizeof(buf), 0, true), sizeof(buf));
	atomic_store(&readers_stop, false);
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker) { .inode = inode, .id = i };
		assert_int_equal(pthread_create(&w[i].thread, NULL, read_without_a_break, &w[i]), 0);
	}
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(file_truncate(inode, sizeof(buf)), 0);
	atomic_store(&readers_stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	inode_put(inode);
	scratch_check(&s);
	scratch_free(&s);
}

/* Changes of all kinds on a fragmented file; goes on after errors. */
static void faulty_steps(struct inode *inode, uint8_t *buf)
{
	uint64_t bs = inode->fs->block_size;

	for (unsigned i = 0; i < 12; i++)
		file_write(inode, buf, 900, i * 3 * bs, true);
	file_write(inode, buf, 20000, 100, true);
	file_fallocate(inode, 0, 40 * bs, 20 * bs, true);
	file_write(inode, buf, 3 * bs, 45 * bs + 17, true);
	file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000, 9000, true);
	inode_sync(inode, false);
	file_truncate(inode, 5 * bs + 100);
	map_cache_drop(inode);
	file_read(inode, buf, 20000, 0);
	fs_sync(inode->fs);
}

/* One run on a fresh copy of the image with the nth call failing; true: it was met. */
static bool run_with_fault(struct scratch *s, const uint8_t *image, size_t size, unsigned nth,
			   bool forever)
{
	static uint8_t buf[65536];
	bool fired, quiet = true;
	struct fs_options opt = {
		.log = scratch_log, .log_arg = &quiet, .errors = FS_ERRORS_CONTINUE,
	};
	struct blkdev *faulty;
	struct inode *inode;
	char why[256];

	memset(buf, 7, sizeof(buf));
	assert_int_equal(file_dev_open(s->path, -1, false, &s->dev), 0);
	assert_int_equal(blkdev_write(s->dev, image, size, 0), 0);
	assert_int_equal(dev_fault_open(s->dev, true, &faulty), 0);
	assert_int_equal(fs_open(faulty, &opt, &s->fs, why, sizeof(why)), 0);
	assert_int_equal(ops_lookup(s->fs, EXT2_ROOT_INO, "f", &inode), 0);
	dev_fault_arm(faulty, DEV_FAULT_ALL, nth, -EIO, forever);
	faulty_steps(inode, buf);
	fired = dev_fault_fired(faulty);
	dev_fault_disarm(faulty);
	inode_put(inode);
	fs_close(s->fs);
	assert_int_equal(blkdev_close(faulty), 0);
	/* Recovery, then the judge. */
	assert_int_equal(file_dev_open(s->path, -1, false, &s->dev), 0);
	assert_int_equal(fs_open(s->dev, &opt, &s->fs, why, sizeof(why)), 0);
	assert_int_equal(fs_close(s->fs), 0);
	assert_int_equal(blkdev_close(s->dev), 0);
	scratch_run(0, "e2fsck -fn %s", s->path);
	return fired;
}

/* The image must be sound after any device call has failed, for once or for good. */
static void any_call_may_fail(const char *mkfs, bool forever)
{
	const size_t size = 8 << 20;
	uint8_t *image = malloc(size);
	struct scratch s;
	unsigned nth = 1;

	assert_non_null(image);
	scratch_new(&s, size, mkfs);
	inode_put(scratch_file(&s, "f"));
	assert_int_equal(fs_close(s.fs), 0);
	assert_int_equal(blkdev_read(s.dev, image, size, 0), 0);
	assert_int_equal(blkdev_close(s.dev), 0);
	while (run_with_fault(&s, image, size, nth, forever))
		nth++;
	free(image);
	scratch_free(&s);
}

static void faults_leave_a_sound_image(void **state)
{
	any_call_may_fail("-b 1024 -N 32", false);
	any_call_may_fail("-b 1024 -N 32", true);
	any_call_may_fail("-b 1024 -N 32 -O ^extent,^64bit", true);
	any_call_may_fail("-b 1024 -N 32 -I 512 -O inline_data", true);
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
			assert_int_equal(file_fallocate(inode, FALLOC_FL_ZERO_RANGE, 2000, 500, true), 0);
		memset(back, 0xee, sizeof(back));
		assert_true(file_read(inode, back, sizeof(back), 0) > 1000);
		for (unsigned i = 501; i < 1000; i++)
			assert_int_equal(back[i], 0);
		inode_put(inode);
	}
	scratch_check(&s);
	scratch_free(&s);
}

/* A device that only remembers what it was told to prefetch. */
struct hinted {
	struct blkdev dev;
	struct blkdev *lower;
	uint64_t bytes, calls;
};

static int hinted_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return blkdev_read(((struct hinted *)dev)->lower, buf, len, off);
}

static int hinted_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	return blkdev_write(((struct hinted *)dev)->lower, buf, len, off);
}

static int hinted_flush(struct blkdev *dev)
{
	return blkdev_flush(((struct hinted *)dev)->lower);
}

static void hinted_prefetch(struct blkdev *dev, uint64_t off, uint64_t len)
{
	((struct hinted *)dev)->bytes += len;
	((struct hinted *)dev)->calls++;
}

static int hinted_close(struct blkdev *dev)
{
	return blkdev_close(((struct hinted *)dev)->lower);
}

static void sequential_reads_are_prefetched_once(void **state)
{
	static const struct blkdev_ops ops = {
		.read = hinted_read, .write = hinted_write, .flush = hinted_flush,
		.prefetch = hinted_prefetch, .close = hinted_close,
	};
	struct fs_options opt = { .log = scratch_log };
	struct hinted hinted = { .dev = { .ops = &ops } };
	static uint8_t buf[128 << 10];
	enum { TOTAL = 16 << 20 };
	struct scratch s;
	struct inode *inode;
	char why[256];

	scratch_new(&s, 64 << 20, "-b 4096");
	assert_int_equal(fs_close(s.fs), 0);
	hinted.lower = s.dev;
	hinted.dev.info = s.dev->info;
	assert_int_equal(fs_open(&hinted.dev, &opt, &s.fs, why, sizeof(why)), 0);
	s.dev = &hinted.dev;
	inode = scratch_file(&s, "f");
	for (uint64_t off = 0; off < TOTAL; off += sizeof(buf))
		assert_int_equal(file_write(inode, buf, sizeof(buf), off, true), sizeof(buf));
	hinted.bytes = hinted.calls = 0;
	for (uint64_t off = 0; off < TOTAL; off += sizeof(buf))
		assert_int_equal(file_read(inode, buf, sizeof(buf), off), sizeof(buf));
	assert_true(hinted.bytes > TOTAL * 3 / 4 && hinted.bytes <= TOTAL);
	assert_true(hinted.calls <= 32);
	hinted.bytes = 0;
	for (uint64_t i = 0; i < 100; i++)
		file_read(inode, buf, 4096, i * 7919 % (TOTAL / 4096) * 4096);
	assert_int_equal(hinted.bytes, 0);
	inode_put(inode);
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
		assert_int_equal(ops_make(s.fs, EXT2_ROOT_INO, name, S_IFLNK | 0777, 0, target, &cred,
					  &link), 0);
		assert_int_equal(file_read_link(link, back, sizeof(back)), 0);
		assert_string_equal(back, target);
		inode_put(link);
		target[lengths[i]] = 'x';
	}
	target[1024] = 0;
	assert_int_equal(ops_make(s.fs, EXT2_ROOT_INO, "l", S_IFLNK | 0777, 0, target, &cred, &link),
			 -ENAMETOOLONG);
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
		cmocka_unit_test(writers_meet_in_blocks),
		cmocka_unit_test(copy_and_links),
		cmocka_unit_test(sequential_reads_are_prefetched_once),
		cmocka_unit_test(junk_behind_the_end_stays_hidden),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(truncation_gets_its_turn),
		cmocka_unit_test(faults_leave_a_sound_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
