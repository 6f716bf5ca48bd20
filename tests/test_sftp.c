/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SFTP device on OpenSSH's sftp-server, which runs as a child. */
#include <errno.h>
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

enum { MIB = 1024 * 1024, SIZE = 64 * MIB };

static int setup(void **state)
{
	static struct sftp_rig rig;

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

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static void bytes_go_there_and_come_back(void **state)
{
	struct sftp_rig *rig = rig_of(state);
	uint8_t *a = malloc(4 * MIB), *b = malloc(4 * MIB);

	assert_int_equal(rig_open(rig), 0);
	assert_int_equal(blkdev_size(rig->dev), SIZE);
	fill(a, 4 * MIB, 1);
	assert_int_equal(blkdev_write(rig->dev, a, 4 * MIB, 12345), 0);
	assert_int_equal(blkdev_read(rig->dev, b, 4 * MIB, 12345), 0);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_flush(rig->dev), 0);
	assert_int_equal(rig_status(rig).unsynced_len, 0);
	rig_peek(rig, b, 4 * MIB, 12345);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_read(rig->dev, b, 4 * MIB, 12345), 0);
	assert_memory_equal(a, b, 4 * MIB);
	assert_int_equal(blkdev_read(rig->dev, b, 512, SIZE - 512), 0);
	assert_int_equal(rig_status(rig).state, SFTP_UP);
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_go_there_and_come_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
