// SPDX-License-Identifier: GPL-2.0-or-later
/* File contents: several threads on one file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>

#include "file.h"
#include "map.h"
#include "scratch_fs.h"

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
		assert_int_equal(file_fallocate(inode, FALLOC_FL_KEEP_SIZE, 0, sizeof(all), true),
				 0);
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
		return file_fallocate(w->inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
				      len, true) ? "punch" : NULL;
	case 2:
		return file_fallocate(w->inode, 0, off, len, true) ? "allocate" : NULL;
	case 3:
		return file_fallocate(w->inode, FALLOC_FL_ZERO_RANGE, off, len, true) ? "zero" :
		       NULL;
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
		assert_int_equal(pthread_create(&w[i].thread, NULL, read_without_a_break, &w[i]),
				 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_meet_in_blocks),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(truncation_gets_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
