/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SFTP device on a server that dies, forgets what was not synced, answers in part and out
 * of order, against a model in memory: what is read is what was written last, whatever
 * happens; what was flushed is there after everything.
 *
 * SEED=n repeats a run; SFTP_CUTS=n sets how often the server dies (100).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sftp_rig.h"

enum { MIB = 1024 * 1024, SIZE = 8 * MIB, SECTOR = 512, IO_MAX = 300 * 1024,
       STRIPE = 32 * 1024, STRIPES = 3, WORKERS = 6 };

struct world {
	struct sftp_rig rig;
	unsigned seed, cuts;
	uint8_t model[SIZE];		/* what a read has to give */
	bool unsynced[SIZE / SECTOR];	/* written since the last flush */
	uint8_t buf[SIZE];
};

static unsigned number(const char *name, unsigned otherwise)
{
	const char *given = getenv(name);

	return given ? (unsigned)strtoul(given, NULL, 0) : otherwise;
}

/* Of every unsynced sector the old or the new bytes stay; that is the disk then. */
static void settle_sector(struct sftp_rig *rig, int disk, uint64_t at)
{
	uint8_t sector[SECTOR];

	if (rand() % 2) {
		rig_peek(rig, sector, SECTOR, at);
		if (pwrite(disk, sector, SECTOR, (off_t)at) != SECTOR)
			abort();
	} else {
		if (pread(disk, sector, SECTOR, (off_t)at) != SECTOR)
			abort();
		rig_poke(rig, sector, SECTOR, at);
	}
}

/* The power of the server fails. */
static void power_cut(struct sftp_rig *rig)
{
	struct world *w = rig->arg;
	char name[128];
	uint64_t range[2];
	int disk, dirty;

	w->cuts++;
	snprintf(name, sizeof(name), "%s.disk", rig->image);
	disk = open(name, O_RDWR | O_CLOEXEC);
	snprintf(name, sizeof(name), "%s.dirty", rig->image);
	dirty = open(name, O_RDWR | O_CLOEXEC);
	/* A server that has been killed may not be gone, and is not cut between note and write. */
	if (dirty >= 0 && flock(dirty, LOCK_EX))
		abort();
	while (dirty >= 0 && read(dirty, range, sizeof(range)) == sizeof(range)) {
		for (uint64_t at = range[0] & ~(uint64_t)(SECTOR - 1); at < range[0] + range[1];
		     at += SECTOR)
			settle_sector(rig, disk, at);
	}
	if (dirty >= 0 && ftruncate(dirty, 0) < 0)
		abort();
	close(disk);
	close(dirty);
}

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char command[400];

	if (!rig_init(&w->rig, SIZE))
		abort();
	w->seed = number("SEED", (unsigned)time(NULL));
	srand(w->seed);
	snprintf(command, sizeof(command), "cp '%s' '%s.disk'", w->rig.image, w->rig.image);
	if (system(command))
		abort();
	w->rig.arg = w;
	w->rig.opt.buffer_len = 2 * MIB;
	*state = w;
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;

	rig_fini(&w->rig);
	free(w);
	return 0;
}

static void write_some(struct world *w)
{
	size_t len = 1 + (size_t)rand() % (rand() % 4 ? 8192 : IO_MAX);
	uint64_t off = (uint64_t)rand() % (SIZE - len);

	if (rand() % 3) {
		off &= ~(uint64_t)4095;
		len = (len + 4095) & ~(size_t)4095;
		len = off + len > SIZE ? SIZE - off : len;
	}
	for (size_t i = 0; i < len; i += 4) {
		int r = rand();

		memcpy(w->model + off + i, &r, len - i < 4 ? len - i : 4);
	}
	memset(w->unsynced + off / SECTOR, 1, (off + len - 1) / SECTOR - off / SECTOR + 1);
	assert_int_equal(blkdev_write(w->rig.dev, w->model + off, len, off), 0);
}

static void read_some(struct world *w)
{
	size_t len = 1 + (size_t)rand() % (rand() % 4 ? 16384 : IO_MAX);
	uint64_t off = (uint64_t)rand() % (SIZE - len);

	if (rand() % 8 == 0)
		blkdev_prefetch(w->rig.dev, off, len);
	assert_int_equal(blkdev_read(w->rig.dev, w->buf, len, off), 0);
	assert_memory_equal(w->buf, w->model + off, len);
}

static void flush(struct world *w)
{
	assert_int_equal(blkdev_flush(w->rig.dev), 0);
	memset(w->unsynced, 0, sizeof(w->unsynced));
}

static void do_something(struct world *w)
{
	int what = rand() % 100;

	if (what < 50)
		write_some(w);
	else if (what < 94)
		read_some(w);
	else
		flush(w);
}

static void check_image(struct world *w)
{
	rig_peek(&w->rig, w->buf, SIZE, 0);
	for (uint64_t at = 0; at < SIZE; at += SECTOR) {
		if (w->unsynced[at / SECTOR])
			continue;
		if (memcmp(w->buf + at, w->model + at, SECTOR))
			fail_msg("sector %llu was flushed and is not there; SEED=%u",
				 (unsigned long long)at / SECTOR, w->seed);
	}
}

/* It may die while we open it, and leave a lock that names this process, which lives. */
static void open_somehow(struct world *w)
{
	while (rig_open(&w->rig))
		unlink(w->rig.lock_file);
}

static void cuts_go_unnoticed(void **state)
{
	struct world *w = *state;
	unsigned want = number("SFTP_CUTS", 100);
	char seed[32];

	snprintf(seed, sizeof(seed), "--seed=%u", w->seed);
	printf("SEED=%u\n", w->seed);
	rig_serve(&w->rig, "--forget", "--die=150", "--short", "--misorder", seed, NULL);
	w->rig.on_lost = power_cut;
	open_somehow(w);
	while (w->cuts < want)
		do_something(w);
	flush(w);
	rig_close(&w->rig);
	power_cut(&w->rig);
	check_image(w);
}

/* This process dies, too: what it had not flushed may be lost, nothing else. */
static void a_client_that_ends_loses_only_what_it_did_not_flush(void **state)
{
	struct world *w = *state;

	printf("SEED=%u\n", w->seed);
	for (int i = 0; i < 20; i++) {
		rig_serve(&w->rig, "--forget", NULL);
		assert_int_equal(rig_open(&w->rig), 0);
		for (int n = rand() % 200; n >= 0; n--)
			do_something(w);
		rig_close(&w->rig);
		power_cut(&w->rig);
		check_image(w);
		rig_peek(&w->rig, w->model, SIZE, 0);
		memset(w->unsynced, 0, sizeof(w->unsynced));
	}
}

/* One of several threads, with stripes of its own between those of the others. */
struct worker {
	struct world *w;
	unsigned nr, seed;
	pthread_t thread;
	uint8_t buf[STRIPE];
	int errors;
};

static unsigned next(struct worker *k, unsigned n)
{
	return (unsigned)rand_r(&k->seed) % n;
}

static void work_once(struct worker *k)
{
	/* Few enough that a range is written again while it is in flight. */
	uint64_t stripe = next(k, STRIPES) * (uint64_t)WORKERS + k->nr;
	uint64_t off = stripe * STRIPE + next(k, STRIPE);
	uint32_t len = 1 + next(k, (unsigned)(stripe * STRIPE + STRIPE - off));
	uint8_t *model = k->w->model + off;
	unsigned what = next(k, 100);

	if (what < 48) {
		memset(model, (int)next(k, 256), len);
		k->errors += blkdev_write(k->w->rig.dev, model, len, off) != 0;
	} else if (what < 86) {
		k->errors += blkdev_read(k->w->rig.dev, k->buf, len, off) != 0;
		k->errors += memcmp(k->buf, model, len) != 0;
	} else if (what < 88) {
		blkdev_prefetch(k->w->rig.dev, next(k, SIZE / 2), next(k, SIZE / 2));
	} else {
		k->errors += blkdev_flush(k->w->rig.dev) != 0;
	}
}

static void *work(void *arg)
{
	struct worker *k = arg;
	struct sftp_status st;

	do {
		for (int i = 0; i < 50; i++)
			work_once(k);
		sftp_dev_status(k->w->rig.dev, &st);
	} while (!k->errors && st.reconnects < number("SFTP_CUTS", 100) / 4);
	return NULL;
}

/* Requests are carried out in any order, on several channels, and all of them are cut. */
static void threads_do_not_disturb_each_other(void **state)
{
	struct world *w = *state;
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	char seed[32];

	snprintf(seed, sizeof(seed), "--seed=%u", w->seed);
	printf("SEED=%u\n", w->seed);
	rig_serve(&w->rig, "--forget", "--die=400", "--shuffle", "--delay=1", "--short", seed, NULL);
	w->rig.on_lost = power_cut;
	open_somehow(w);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].w = w;
		workers[i].nr = i;
		workers[i].seed = w->seed + i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].errors, 0);
	}
	flush(w);
	rig_close(&w->rig);
	power_cut(&w->rig);
	check_image(w);
	free(workers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cuts_go_unnoticed, make_world, end_world),
		cmocka_unit_test_setup_teardown(a_client_that_ends_loses_only_what_it_did_not_flush,
						make_world, end_world),
		cmocka_unit_test_setup_teardown(threads_do_not_disturb_each_other, make_world, end_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
