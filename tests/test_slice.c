/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window of transport/slice.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev_mem.h"
#include "transport/slice.h"

enum { SIZE = 64 * 1024, START = 1000, LEN = 2000 };

static void transfers_are_shifted_and_stay_inside(void **state)
{
	struct blkdev *mem, *dev;
	char buf[8] = "";

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	memset(dev_mem_data(mem), 0xee, SIZE);
	assert_int_equal(slice_dev_open(mem, START, LEN, &dev), 0);
	assert_int_equal(blkdev_size(dev), LEN);
	assert_int_equal(blkdev_write(dev, "abcd", 4, LEN - 4), 0);
	assert_memory_equal(dev_mem_data(mem) + START + LEN - 4, "abcd\xee", 5);
	assert_int_equal(blkdev_write(dev, "abcd", 4, LEN - 3), -EINVAL);
	assert_int_equal(blkdev_read(dev, buf, 4, LEN - 4), 0);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(blkdev_read_nowait(dev, buf, 1, LEN - 1), 0);
	assert_int_equal(buf[0], 'd');
	assert_int_equal(blkdev_discard(dev, 0, LEN), 0);
	assert_int_equal(dev_mem_data(mem)[START - 1], 0xee);
	assert_int_equal(dev_mem_data(mem)[START], 0);
	assert_int_equal(dev_mem_data(mem)[START + LEN - 1], 0);
	assert_int_equal(dev_mem_data(mem)[START + LEN], 0xee);
	memset(dev_mem_data(mem), 0xee, SIZE);
	assert_int_equal(blkdev_write_zeros(dev, 1, LEN - 2), 0);
	assert_int_equal(dev_mem_data(mem)[START], 0xee);
	assert_int_equal(dev_mem_data(mem)[START + 1], 0);
	assert_int_equal(dev_mem_data(mem)[START + LEN - 1], 0xee);
	assert_int_equal(blkdev_flush(dev), 0);
	assert_int_equal(mem->stats.flushes, 1);
	assert_int_equal(blkdev_close(dev), 0);
}

static void length_zero_reaches_the_end(void **state)
{
	struct blkdev *mem, *dev;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(slice_dev_open(mem, START, 0, &dev), 0);
	assert_int_equal(blkdev_size(dev), SIZE - START);
	assert_int_equal(blkdev_close(dev), 0);
}

static void a_window_outside_is_refused(void **state)
{
	struct blkdev *mem, *dev = NULL;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	assert_int_equal(slice_dev_open(mem, SIZE, 0, &dev), -EINVAL);
	assert_int_equal(slice_dev_open(mem, UINT64_MAX, 2, &dev), -EINVAL);
	assert_int_equal(slice_dev_open(mem, 1, SIZE, &dev), -EINVAL);
	assert_int_equal(slice_dev_open(mem, 1, UINT64_MAX, &dev), -EINVAL);
	assert_null(dev);
	assert_int_equal(slice_dev_open(mem, SIZE - 1, 1, &dev), 0);
	assert_int_equal(blkdev_close(dev), 0);
}

static void readonly_shows_through(void **state)
{
	struct blkdev *mem, *dev;

	assert_int_equal(dev_mem_open(SIZE, &mem), 0);
	mem->info.readonly = true;
	assert_int_equal(slice_dev_open(mem, 0, 0, &dev), 0);
	assert_int_equal(blkdev_write(dev, "x", 1, 0), -EROFS);
	assert_int_equal(blkdev_close(dev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transfers_are_shifted_and_stay_inside),
		cmocka_unit_test(length_zero_reaches_the_end),
		cmocka_unit_test(a_window_outside_is_refused),
		cmocka_unit_test(readonly_shows_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
