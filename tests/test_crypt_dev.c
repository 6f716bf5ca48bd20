/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sector device of crypto/crypt_dev.c against a model, under faults and threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/crypt_dev.h"
#include "crypto/crypto.h"
#include "dev_delay.h"
#include "dev_fault.h"
#include "dev_mem.h"

enum {
	BEFORE = 8192, AFTER = 4096,		/* lower bytes that are not ours */
	LEN = 1024 * 1024,
	FIRST = 12345,				/* sector number of the first */
	THREADS = 4,
};

static uint8_t key[64];

static struct cipher_spec spec_of(const char *name)
{
	struct cipher_spec spec;
	char why[256];

	assert_int_equal(cipher_find(name, strstr(name, "xts") ? 64 : 32, &spec, why, sizeof(why)), 0);
	return spec;
}

static struct crypt_map map_of(size_t sector_len)
{
	return (struct crypt_map){ .off = BEFORE, .len = LEN, .sector_len = sector_len,
				   .first_sector = FIRST };
}

static struct blkdev *over(struct blkdev *lower, const char *name, const struct crypt_map *map)
{
	struct cipher_spec spec = spec_of(name);
	struct blkdev *dev;

	assert_int_equal(crypt_dev_new(&spec, key, map, lower, &dev), 0);
	return dev;
}

static struct blkdev *new_mem(void)
{
	struct blkdev *mem;

	assert_int_equal(dev_mem_open(BEFORE + LEN + AFTER, &mem), 0);
	memset(dev_mem_data(mem), 0xee, BEFORE + LEN + AFTER);
	return mem;
}

/* What the lower bytes are when each sector is decrypted alone. */
static void decrypt_lower(struct blkdev *mem, const char *name, size_t sector_len, uint8_t *out)
{
	struct cipher_spec spec = spec_of(name);
	struct cipher *c;

	assert_int_equal(cipher_new(&spec, key, &c), 0);
	for (size_t off = 0; off < LEN; off += sector_len)
		assert_int_equal(cipher_decrypt(c, out + off, dev_mem_data(mem) + BEFORE + off,
						sector_len, FIRST + off / 512, sector_len), 0);
	cipher_free(c);
}

static void assert_outside_untouched(struct blkdev *mem)
{
	const uint8_t *data = dev_mem_data(mem);

	for (size_t i = 0; i < BEFORE; i++)
		assert_int_equal(data[i], 0xee);
	for (size_t i = 0; i < AFTER; i++)
		assert_int_equal(data[BEFORE + LEN + i], 0xee);
}

/* A length that is often small, sometimes beyond the workers' buffers. */
static size_t random_len(void)
{
	static const size_t most[] = { 16, 512, 4096, 10000, 300000 };

	return 1 + (size_t)rand() % most[rand() % 5];
}

static void agrees_with_a_model(const char *name, size_t sector_len)
{
	static uint8_t model[LEN], buf[LEN], saved[LEN];
	struct crypt_map map = map_of(sector_len);
	struct blkdev *mem = new_mem(), *dev = over(mem, name, &map);

	assert_int_equal(blkdev_size(dev), LEN);
	assert_true(dev->info.io_min >= sector_len);
	assert_int_equal(blkdev_read(dev, model, LEN, 0), 0);
	for (int i = 0; i < 600; i++) {
		size_t len = random_len(), off = (size_t)rand() % (LEN - len);

		if (rand() % 3 == 0) {
			off -= off % 512;
			len = (len + 511) / 512 * 512;
			len = off + len > LEN ? LEN - off : len;
		}
		if (rand() % 2) {
			for (size_t b = 0; b < len; b++)
				buf[b] = (uint8_t)rand();
			memcpy(saved, buf, len);
			assert_int_equal(blkdev_write(dev, buf, len, off), 0);
			assert_memory_equal(buf, saved, len);
			memcpy(model + off, buf, len);
		} else {
			int (*read)(struct blkdev *, void *, size_t, uint64_t) =
				rand() % 2 ? blkdev_read : blkdev_read_nowait;

			assert_int_equal(read(dev, buf, len, off), 0);
			assert_memory_equal(buf, model + off, len);
		}
	}
	decrypt_lower(mem, name, sector_len, buf);
	assert_memory_equal(buf, model, LEN);
	assert_outside_untouched(mem);
	assert_int_equal(blkdev_close(dev), 0);
}

static void any_transfer_agrees_with_a_model(void **state)
{
	static const char *const names[] = { "aes-xts-plain64", "aes-cbc-essiv:sha256" };

	for (size_t n = 0; n < 2; n++)
		for (size_t len = 512; len <= 4096; len *= 2)
			agrees_with_a_model(names[n], len);
}

static void zeros_are_encrypted(void **state)
{
	struct crypt_map map = map_of(512);
	struct blkdev *mem = new_mem(), *dev = over(mem, "aes-xts-plain64", &map);
	static uint8_t buf[LEN], zeros[LEN];

	assert_int_equal(blkdev_write_zeros(dev, 100, LEN - 200), 0);
	assert_int_equal(blkdev_read(dev, buf, LEN - 200, 100), 0);
	assert_memory_equal(buf, zeros, LEN - 200);
	assert_memory_not_equal(dev_mem_data(mem) + BEFORE + 512, zeros, 512);
	assert_outside_untouched(mem);
	assert_int_equal(blkdev_close(dev), 0);
}

static void discards_go_down_only_when_allowed(void **state)
{
	struct crypt_map map = map_of(4096);
	struct blkdev *mem = new_mem(), *dev = over(mem, "aes-xts-plain64", &map);

	assert_int_equal(blkdev_discard(dev, 0, LEN), -EOPNOTSUPP);
	assert_int_equal(mem->stats.discards, 0);
	assert_int_equal(blkdev_close(dev), 0);
	mem = new_mem();
	mem->info.discard_zeros = true;
	map.allow_discards = true;
	dev = over(mem, "aes-xts-plain64", &map);
	assert_false(dev->info.discard_zeros);
	assert_int_equal(blkdev_discard(dev, 1, 4096), 0);
	assert_int_equal(blkdev_discard(dev, 1, 8190), 0);
	assert_int_equal(mem->stats.discards, 0);
	assert_int_equal(blkdev_discard(dev, 1, 8191), 0);
	assert_int_equal(mem->stats.discards, 1);
	assert_int_equal(dev_mem_data(mem)[BEFORE + 4095], 0xee);
	assert_int_equal(dev_mem_data(mem)[BEFORE + 4096], 0);
	assert_int_equal(dev_mem_data(mem)[BEFORE + 8191], 0);
	assert_int_equal(dev_mem_data(mem)[BEFORE + 8192], 0xee);
	assert_outside_untouched(mem);
	assert_int_equal(blkdev_close(dev), 0);
}

static void maps_outside_are_refused(void **state)
{
	struct cipher_spec spec = spec_of("aes-xts-plain64");
	struct crypt_map bad[8];
	struct blkdev *mem = new_mem(), *dev = NULL;

	for (int i = 0; i < 8; i++)
		bad[i] = map_of(512);
	bad[0].len = 0;
	bad[1].len = 513;
	bad[2].sector_len = 8192;
	bad[3].sector_len = 256;
	bad[4].sector_len = 1536;
	bad[5].off = BEFORE + LEN + AFTER + 1;
	bad[6].len = LEN + AFTER + 512;
	bad[7].off = UINT64_MAX - 511;
	for (int i = 0; i < 8; i++)
		assert_int_equal(crypt_dev_new(&spec, key, &bad[i], mem, &dev), -EINVAL);
	assert_null(dev);
	assert_int_equal(blkdev_close(mem), 0);
}

static void readonly_and_flush_show_through(void **state)
{
	struct crypt_map map = map_of(512);
	struct blkdev *mem = new_mem(), *dev;

	mem->info.readonly = true;
	dev = over(mem, "aes-xts-plain64", &map);
	assert_int_equal(blkdev_write(dev, "x", 1, 0), -EROFS);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(mem->stats.flushes, 1);
	blkdev_prefetch(dev, 1, LEN - 1);
	assert_int_equal(blkdev_close(dev), 0);
}

/* A transfer with both ends inside sectors is one read below, or two reads and one write. */
static void small_transfers_are_few_below(void **state)
{
	struct crypt_map map = map_of(4096);
	struct blkdev *mem = new_mem(), *dev = over(mem, "aes-xts-plain64", &map);
	uint8_t buf[20000] = { 0 };

	assert_int_equal(blkdev_read(dev, buf, sizeof(buf), 100), 0);
	assert_int_equal(mem->stats.reads, 1);
	assert_int_equal(blkdev_write(dev, buf, sizeof(buf), 100), 0);
	assert_int_equal(mem->stats.reads, 3);
	assert_int_equal(mem->stats.writes, 1);
	assert_int_equal(blkdev_write(dev, buf, 16384, 4096), 0);
	assert_int_equal(mem->stats.reads, 3);
	assert_int_equal(mem->stats.writes, 2);
	assert_int_equal(blkdev_close(dev), 0);
}

/* Every lower call fails once: the error comes back, bytes outside the range stay. */
static void lower_errors_come_back(void **state)
{
	static uint8_t before[LEN], after[LEN], buf[300000];
	struct crypt_map map = map_of(4096);
	struct blkdev *mem = new_mem(), *fault, *dev;
	const size_t lens[] = { 10, 20000, sizeof(buf) };

	assert_int_equal(dev_fault_open(mem, true, &fault), 0);
	dev = over(fault, "aes-xts-plain64", &map);
	assert_int_equal(blkdev_read(dev, before, LEN, 0), 0);
	for (size_t l = 0; l < 3; l++) {
		bool fired = true;

		for (uint64_t n = 1; fired; n++) {
			int err;

			dev_fault_arm(fault, DEV_FAULT_READ | DEV_FAULT_WRITE, n, -EIO, false);
			err = blkdev_write(dev, buf, lens[l], 4196);
			fired = dev_fault_fired(fault);
			assert_int_equal(err, fired ? -EIO : 0);
			dev_fault_disarm(fault);
			assert_int_equal(blkdev_read(dev, after, LEN, 0), 0);
			assert_memory_equal(after, before, 4196);
			assert_memory_equal(after + 4196 + lens[l], before + 4196 + lens[l],
					    LEN - 4196 - lens[l]);
			dev_fault_arm(fault, DEV_FAULT_READ, 1, -EIO, false);
			assert_int_equal(blkdev_read(dev, buf, lens[l], 4196), -EIO);
			dev_fault_disarm(fault);
		}
	}
	assert_int_equal(blkdev_close(dev), 0);
}

static int no_nowait(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return -EAGAIN;
}

static void what_would_wait_below_would_wait_here(void **state)
{
	struct crypt_map map = map_of(4096);
	struct blkdev *mem = new_mem(), *dev = over(mem, "aes-xts-plain64", &map);
	struct blkdev_ops ops = *mem->ops;
	uint8_t buf[4096];

	ops.read_nowait = no_nowait;
	mem->ops = &ops;
	assert_int_equal(blkdev_read_nowait(dev, buf, 4096, 0), -EAGAIN);
	assert_int_equal(blkdev_read_nowait(dev, buf, 10, 4090), -EAGAIN);
	assert_int_equal(blkdev_read(dev, buf, 10, 4090), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

static void count_wait(void *arg, bool is_short)
{
	(void)is_short;
	++*(unsigned *)arg;
}

/* Who owns the device hears of a wait inside a short write, which by itself is none. */
static void parts_of_a_sector_announce_their_wait(void **state)
{
	struct crypt_map map = map_of(4096);
	struct blkdev *mem = new_mem(), *dev = over(mem, "aes-xts-plain64", &map);
	struct blkdev_ops ops = *mem->ops;
	uint8_t buf[8192] = { 0 };
	unsigned waits = 0;

	dev->before_wait = count_wait;
	dev->before_wait_arg = &waits;
	assert_int_equal(blkdev_write(dev, buf, 100, 50), 0);
	assert_int_equal(waits, 0);
	ops.read_nowait = no_nowait;
	mem->ops = &ops;
	assert_int_equal(blkdev_write(dev, buf, 8192, 4096), 0);
	assert_int_equal(waits, 0);
	assert_int_equal(blkdev_write(dev, buf, 100, 50), 0);
	assert_int_equal(waits, 1);
	assert_int_equal(blkdev_write(dev, buf, 8192, 50), 0);
	assert_int_equal(waits, 3);
	assert_int_equal(blkdev_close(dev), 0);
}

/* ---- threads ---- */

struct share {
	struct blkdev *dev;
	unsigned number, rounds;
	bool good;
};

/*
 * Each thread owns every THREADSth piece of PIECE bytes, so that sectors are shared by all and a
 * piece sometimes lies in two; it must find there what it wrote, whatever the others do.
 */
enum { PIECE = 100, PIECES = 64 };

static void *rewrite_own_pieces(void *arg)
{
	struct share *s = arg;
	uint8_t piece[PIECE], got[PIECE];

	s->good = true;
	for (unsigned round = 0; round < s->rounds && s->good; round++)
		for (unsigned i = s->number; i < PIECES && s->good; i += THREADS) {
			memset(piece, (int)(round * THREADS + s->number), PIECE);
			s->good = !blkdev_write(s->dev, piece, PIECE, i * PIECE) &&
				  !blkdev_read(s->dev, got, PIECE, i * PIECE) &&
				  !memcmp(piece, got, PIECE);
		}
	return NULL;
}

static void run_threads(struct blkdev *dev, void *(*fn)(void *), unsigned rounds)
{
	struct share shares[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		shares[i] = (struct share){ dev, i, rounds, false };
		assert_int_equal(pthread_create(&threads[i], NULL, fn, &shares[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(shares[i].good);
	}
}

static void parts_of_a_sector_are_safe_between_threads(void **state)
{
	const struct dev_delay_times slow = { .read_us = 20, .write_us = 20 };

	for (size_t len = 512; len <= 4096; len *= 8) {
		struct crypt_map map = map_of(len);
		struct blkdev *mem = new_mem(), *delay, *dev;

		dev = over(mem, "aes-xts-plain64", &map);
		run_threads(dev, rewrite_own_pieces, 100);
		assert_int_equal(blkdev_close(dev), 0);
		mem = new_mem();
		assert_int_equal(dev_delay_open(mem, true, &slow, &delay), 0);
		dev = over(delay, "aes-cbc-essiv:sha256", &map);
		run_threads(dev, rewrite_own_pieces, 10);
		assert_outside_untouched(mem);
		assert_int_equal(blkdev_close(dev), 0);
	}
}

/* Readers of one sector overlap for as long as they like: its writer must come in between. */
enum { READS_MAX = 20000, READ_US = 2000 };

struct crowd {
	struct blkdev *dev;
	atomic_bool written;
	atomic_int patient;		/* readers that saw the writer's end */
};

static void *read_until_written(void *arg)
{
	struct crowd *crowd = arg;
	uint8_t buf[10];
	int n = 0;

	while (n < READS_MAX && !atomic_load(&crowd->written))
		n += blkdev_read(crowd->dev, buf, sizeof(buf), 7) ? READS_MAX : 1;
	atomic_fetch_add(&crowd->patient, n < READS_MAX);
	return NULL;
}

static void a_writer_of_part_of_a_sector_does_not_starve(void **state)
{
	const struct dev_delay_times slow = { .read_us = READ_US };
	struct crypt_map map = map_of(4096);
	struct blkdev *delay;
	struct crowd crowd = { .dev = NULL };
	pthread_t readers[THREADS];

	assert_int_equal(dev_delay_open(new_mem(), true, &slow, &delay), 0);
	crowd.dev = over(delay, "aes-xts-plain64", &map);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, read_until_written, &crowd), 0);
		usleep(READ_US / THREADS);
	}
	assert_int_equal(blkdev_write(crowd.dev, "x", 1, 9), 0);
	atomic_store(&crowd.written, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&crowd.patient), THREADS);
	assert_int_equal(blkdev_close(crowd.dev), 0);
}

static void *rewrite_own_quarter(void *arg)
{
	struct share *s = arg;
	const size_t quarter = LEN / THREADS, off = s->number * quarter;
	uint8_t *out = malloc(quarter), *in = malloc(quarter);

	s->good = true;
	for (unsigned round = 0; round < s->rounds && s->good; round++) {
		memset(out, (int)(round + s->number), quarter);
		s->good = !blkdev_write(s->dev, out, quarter, off) &&
			  !blkdev_read(s->dev, in, quarter, off) && !memcmp(in, out, quarter);
	}
	free(out);
	free(in);
	return NULL;
}

static void threads_have_ciphers_of_their_own(void **state)
{
	struct crypt_map map = map_of(512);
	struct blkdev *dev = over(new_mem(), "aes-xts-plain64", &map);

	run_threads(dev, rewrite_own_quarter, 40);
	assert_int_equal(blkdev_close(dev), 0);
}

static int start(void **state)
{
	const char *given = getenv("TEST_SEED");
	unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
	char why[256];

	print_message("TEST_SEED=%u\n", seed);
	srand(seed);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 5 + 3);
	return crypto_init(why, sizeof(why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_transfer_agrees_with_a_model),
		cmocka_unit_test(zeros_are_encrypted),
		cmocka_unit_test(discards_go_down_only_when_allowed),
		cmocka_unit_test(maps_outside_are_refused),
		cmocka_unit_test(readonly_and_flush_show_through),
		cmocka_unit_test(small_transfers_are_few_below),
		cmocka_unit_test(lower_errors_come_back),
		cmocka_unit_test(what_would_wait_below_would_wait_here),
		cmocka_unit_test(parts_of_a_sector_announce_their_wait),
		cmocka_unit_test(parts_of_a_sector_are_safe_between_threads),
		cmocka_unit_test(a_writer_of_part_of_a_sector_does_not_starve),
		cmocka_unit_test(threads_have_ciphers_of_their_own),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
