/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_crypto [CIPHER KEY-BITS]: the sector device beside libgcrypt itself, in one run.
 *
 * Requests of 128 KiB over a device below that does nothing, by one thread and by as many as
 * there are CPUs. libgcrypt's own speed is its fastest way to the same result: one handle per
 * thread, in place, one IV per run where the mode counts, else one per sector. Rounds of both
 * alternate; the best of each counts, in bytes per second of CPU time of the threads, which
 * other load disturbs least. A line per case:
 *
 *     CIPHER SECTOR write|read THREADS libgcrypt MB/s device MB/s ratio, and the device's
 *     MB/s by the clock, all threads together
 *
 * Exit status 1 when a ratio is below BENCH_CRYPTO_MIN (0: report only, the default).
 */
#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypt_dev.h"
#include "crypto/crypto.h"

enum {
	REQUEST = 128 * 1024,
	REQUESTS = 512,		/* per thread and round */
	ROUNDS = 9,
	THREADS_MAX = 16,
};

struct work {
	struct cipher_spec spec;
	size_t sector_len;
	bool write;
	struct blkdev *dev;	/* NULL: libgcrypt alone */
	double seconds;		/* of this thread's CPU time */
	int failed;
};

static uint8_t key[CIPHER_KEY_MAX];

/* ---- a device that does nothing ---- */

static int null_read(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return 0;
}

static int null_write(struct blkdev *dev, const void *buf, size_t len, uint64_t off)
{
	return 0;
}

static int null_flush(struct blkdev *dev)
{
	return 0;
}

static int null_close(struct blkdev *dev)
{
	free(dev);
	return 0;
}

static const struct blkdev_ops null_ops = {
	.read = null_read, .write = null_write, .flush = null_flush, .close = null_close,
};

static struct blkdev *null_open(uint64_t size)
{
	struct blkdev *dev = calloc(1, sizeof(*dev));

	dev->ops = &null_ops;
	dev->info.size = size;
	dev->info.io_min = 512;
	dev->info.name = "null";
	return dev;
}

/* ---- the two ways ---- */

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int set_iv(gcry_cipher_hd_t hd, const struct work *w, uint64_t sector)
{
	uint8_t iv[16] = { 0 };

	memcpy(iv, &sector, sizeof(sector));
	return gcry_cipher_setiv(hd, iv, w->spec.block_len) != 0;
}

static int raw_request(gcry_cipher_hd_t hd, const struct work *w, uint8_t *buf, uint64_t sector)
{
	bool counts = w->spec.mode == GCRY_CIPHER_MODE_XTS && w->sector_len == 512;
	int bad = set_iv(hd, w, sector);

	for (size_t off = 0; off < REQUEST; off += w->sector_len) {
		if (!counts && off)
			bad |= set_iv(hd, w, sector + off / 512);
		if (w->write)
			bad |= gcry_cipher_encrypt(hd, buf + off, w->sector_len, NULL, 0) != 0;
		else
			bad |= gcry_cipher_decrypt(hd, buf + off, w->sector_len, NULL, 0) != 0;
	}
	return bad;
}

static int raw_round(const struct work *w, uint8_t *buf)
{
	gcry_cipher_hd_t hd;
	int bad = 0;

	if (gcry_cipher_open(&hd, w->spec.algo, w->spec.mode, 0) ||
	    gcry_cipher_setkey(hd, key, w->spec.key_len))
		return 1;
	for (uint64_t i = 0; i < REQUESTS; i++)
		bad |= raw_request(hd, w, buf, i * (REQUEST / 512));
	gcry_cipher_close(hd);
	return bad;
}

static int device_round(const struct work *w, uint8_t *buf)
{
	int bad = 0;

	for (uint64_t i = 0; i < REQUESTS; i++)
		bad |= w->write ? blkdev_write(w->dev, buf, REQUEST, i * REQUEST)
				: blkdev_read(w->dev, buf, REQUEST, i * REQUEST);
	return bad;
}

static void *run_thread(void *arg)
{
	struct work *w = arg;
	uint8_t *buf = aligned_alloc(4096, REQUEST);
	double start;

	memset(buf, 1, REQUEST);
	start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	w->failed = w->dev ? device_round(w, buf) : raw_round(w, buf);
	w->seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
	free(buf);
	return NULL;
}

struct speed {
	double cpu;	/* MB/s of CPU time, the mean of the threads; 0: something failed */
	double wall;	/* MB/s by the clock, of all threads */
};

static struct speed run_round(const struct work *w, int nthreads)
{
	const double mb = (double)REQUEST * REQUESTS * nthreads / 1e6;
	double start = seconds_of(CLOCK_MONOTONIC);
	struct work each[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	double seconds = 0;
	int failed = 0;

	for (int i = 0; i < nthreads; i++) {
		each[i] = *w;
		if (pthread_create(&threads[i], NULL, run_thread, &each[i]))
			return (struct speed){ 0, 0 };
	}
	for (int i = 0; i < nthreads; i++) {
		pthread_join(threads[i], NULL);
		seconds += each[i].seconds;
		failed |= each[i].failed;
	}
	return failed ? (struct speed){ 0, 0 }
		      : (struct speed){ mb / seconds, mb / (seconds_of(CLOCK_MONOTONIC) - start) };
}

static double bench_case(const char *name, struct work w, struct blkdev *dev, int nthreads)
{
	double raw = 0, device = 0, wall = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct speed a, b;

		w.dev = NULL;
		a = run_round(&w, nthreads);
		w.dev = dev;
		b = run_round(&w, nthreads);
		raw = a.cpu > raw ? a.cpu : raw;
		device = b.cpu > device ? b.cpu : device;
		wall = b.wall > wall ? b.wall : wall;
	}
	printf("%-22s %4zu %-5s %2d %8.0f %8.0f %5.2f %8.0f\n", name, w.sector_len,
	       w.write ? "write" : "read", nthreads, raw, device, raw > 0 ? device / raw : 0, wall);
	return raw > 0 ? device / raw : 0;
}

static double bench_cipher(const char *name, size_t key_len, int ncpus)
{
	struct work w = { .write = true };
	double worst = 1e9;
	char why[256];

	if (cipher_find(name, key_len, &w.spec, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		exit(2);
	}
	for (w.sector_len = 512; w.sector_len <= 4096; w.sector_len *= 8) {
		struct crypt_map map = { .len = (uint64_t)REQUEST * REQUESTS,
					 .sector_len = w.sector_len };
		struct blkdev *dev, *below = null_open(map.len);

		if (crypt_dev_new(&w.spec, key, &map, below, &dev))
			exit(2);
		for (int n = 1; n <= ncpus; n += ncpus > 1 ? ncpus - 1 : 1)
			for (int write = 0; write < 2; write++) {
				double ratio;

				w.write = write;
				ratio = bench_case(name, w, dev, n);
				worst = ratio < worst ? ratio : worst;
			}
		blkdev_close(dev);
	}
	return worst;
}

int main(int argc, char **argv)
{
	const char *min = getenv("BENCH_CRYPTO_MIN");
	cpu_set_t cpus;
	char why[256];
	int ncpus = 1;
	double worst;

	if (crypto_init(why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		ncpus = CPU_COUNT(&cpus) < THREADS_MAX ? CPU_COUNT(&cpus) : THREADS_MAX;
	printf("%-22s %4s %-5s %2s %8s %8s %5s %8s (libgcrypt %s)\n", "cipher", "sect", "", "n",
	       "gcrypt", "device", "ratio", "wall", gcry_check_version(NULL));
	if (argc == 3)
		worst = bench_cipher(argv[1], (size_t)atoi(argv[2]) / 8, ncpus);
	else
		worst = bench_cipher("aes-xts-plain64", 64, ncpus);
	return min && worst < atof(min);
}
