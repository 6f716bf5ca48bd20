/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whichever allocation fails: the SFTP device says so, or does it later. It never hangs, and
 * what a flush has promised is there.
 *
 * OOM_FIRST=n: begin with the nth allocation.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "oom.h"
#include "sftp_group.h"

enum { KIB = 1024, MIB = 1024 * KIB, SIZE = 8 * MIB, LEN = 300 * KIB, HANG_S = 60 };

static uint8_t bytes[LEN], got[LEN];

static bool write_at(struct sftp_rig *rig, uint8_t byte, uint64_t off)
{
	memset(bytes, byte, LEN);
	return blkdev_write(rig->dev, bytes, LEN, off) == 0;
}

static bool is_there(struct sftp_rig *rig, uint8_t byte, uint64_t off)
{
	rig_peek(rig, got, LEN, off);
	memset(bytes, byte, LEN);
	return memcmp(bytes, got, LEN) == 0;
}

static bool reads(struct sftp_rig *rig, uint8_t byte, uint64_t off)
{
	if (blkdev_read(rig->dev, got, LEN, off))
		return false;
	memset(bytes, byte, LEN);
	assert_memory_equal(bytes, got, LEN);
	return true;
}

/* Writes, reads, loses the connection, writes over what is in flight, and ends. */
static bool live(struct sftp_rig *rig)
{
	bool good = write_at(rig, 'a', MIB), here, synced;

	synced = blkdev_flush(rig->dev) == 0;
	if (good && synced)
		assert_true(is_there(rig, 'a', MIB));
	blkdev_prefetch(rig->dev, 4 * MIB, MIB);
	here = reads(rig, 0, 4 * MIB);
	rig_signal(rig, SIGSTOP);
	good &= write_at(rig, 'b', MIB);
	usleep(1000);
	rig_signal(rig, SIGKILL);
	good &= write_at(rig, 'c', MIB + LEN / 2);
	synced = blkdev_flush(rig->dev) == 0;
	if (good && synced)
		assert_true(is_there(rig, 'c', MIB + LEN / 2));
	if (good)
		here &= reads(rig, 'c', MIB + LEN / 2);
	synced &= blkdev_close(rig->dev) == 0;
	rig->dev = NULL;
	return good && here && synced;
}

static void any_allocation_may_fail(void **state)
{
	const char *first = getenv("OOM_FIRST");
	unsigned told = 0, hidden = 0;

	for (long n = first ? atol(first) : 0;; n++) {
		struct sftp_rig rig;
		bool good;

		if (!rig_init(&rig, SIZE))
			skip();
		alarm(HANG_S);
		if (getenv("VERBOSE"))
			fprintf(stderr, "allocation %ld\n", n);
		oom_arm(n);
		good = rig_open(&rig) == 0;
		if (good)
			good = live(&rig);
		oom_disarm();
		rig_fini(&rig);
		assert_true(good || oom_fired());
		if (!oom_fired())
			break;
		told += !good;
		hidden += good;
	}
	print_message("%u failures told, %u hidden\n", told, hidden);
	assert_true(told > 5 && hidden > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
