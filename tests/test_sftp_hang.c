/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing waits for ever: the SFTP device on servers that stop, in whole or in part, die of
 * every request of a kind, or take their time.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sftp_rig.h"

enum { MIB = 1024 * 1024, SIZE = 8 * MIB, REGION = 128 * 1024 };

static uint8_t bytes[MIB];

static int setup(void **state)
{
	static struct sftp_rig rig;

	alarm(100);	/* waiting for ever is what this is about */
	*state = rig_init(&rig, SIZE) ? &rig : NULL;
	return 0;
}

static int teardown(void **state)
{
	if (*state)
		rig_fini(*state);
	return 0;
}

static struct sftp_rig *rig_of(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static unsigned seconds_since(uint64_t start_us)
{
	return (unsigned)((rig_now_us() - start_us) / 1000000);
}

/* What a dead connection may still write is remembered, but not at the price of stopping. */
static void slivers_of_guarded_writes_do_not_stop_writers(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint64_t start;

	rig->opt.buffer_len = MIB;
	assert_int_equal(rig_open(rig), 0);
	rig_signal(rig, SIGSTOP);
	assert_int_equal(blkdev_write(rig->dev, bytes, REGION, MIB), 0);
	usleep(100 * 1000);
	rig_signal(rig, SIGKILL);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	start = rig_now_us();
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(blkdev_write(rig->dev, bytes, REGION - 512 * i, MIB + 512 * i), 0);
		assert_int_equal(blkdev_flush(rig->dev), 0);
	}
	assert_true(seconds_since(start) < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slivers_of_guarded_writes_do_not_stop_writers,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
