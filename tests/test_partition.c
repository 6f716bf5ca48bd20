/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding partitions (transport/partition.c) in tables made here, sound and hostile. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "dev_mem.h"
#include "transport/partition.h"
#include "transport/partition_format.h"

enum { SIZE = 64 * 1024 * 1024 };

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

static uint32_t crc32(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0U;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static struct mbr_sector *mbr_at(struct blkdev *dev, uint64_t sec)
{
	struct mbr_sector *mbr = (void *)(dev_mem_data(dev) + sec * 512);

	mbr->magic[0] = 0x55;
	mbr->magic[1] = 0xaa;
	return mbr;
}

static void set_entry(struct mbr_entry *entry, uint8_t type, uint32_t start, uint32_t n)
{
	entry->type = type;
	put32(entry->start_sec_le32, start);
	put32(entry->nsecs_le32, n);
}

/* Header and entries for sectors of `unit` bytes; header at `at`, entries at `entries`. */
static void put_gpt(struct blkdev *dev, unsigned unit, uint64_t at, uint64_t entries,
		    uint32_t nentries)
{
	struct gpt_header *h = (void *)(dev_mem_data(dev) + at * unit);
	uint8_t *e = dev_mem_data(dev) + entries * unit;
	uint64_t last = blkdev_size(dev) / unit - 1;

	memcpy(h->magic, "EFI PART", 8);
	put32(h->revision_le32, 0x10000);
	put32(h->header_len_le32, sizeof(*h));
	put64(h->this_sec_le64, at);
	put64(h->other_sec_le64, at == 1 ? last : 1);
	put64(h->first_usable_sec_le64, 64);
	put64(h->last_usable_sec_le64, last - 64);
	put64(h->entries_sec_le64, entries);
	put32(h->nentries_le32, nentries);
	put32(h->entry_len_le32, GPT_ENTRY_LEN);
	/* Partitions 1 and 3; entry: type, id, first sector, last sector. */
	memset(e, 0x11, 32);
	put64(e + 32, 100);
	put64(e + 40, 199);
	memset(e + 2 * GPT_ENTRY_LEN, 0x22, 32);
	put64(e + 2 * GPT_ENTRY_LEN + 32, 1000);
	put64(e + 2 * GPT_ENTRY_LEN + 40, 1009);
	if (nentries <= 128)
		put32(h->entries_crc_le32, crc32(e, nentries * GPT_ENTRY_LEN));
	put32(h->crc_le32, 0);
	put32(h->crc_le32, crc32((uint8_t *)h, sizeof(*h)));
}

static struct blkdev *new_gpt(unsigned unit)
{
	uint64_t last = SIZE / unit - 1;
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	set_entry(&mbr_at(dev, 0)->entries[0], MBR_TYPE_GPT, 1, last);
	put_gpt(dev, unit, 1, 2, 128);
	put_gpt(dev, unit, last, last - 32, 128);
	return dev;
}

static void expect_at(struct blkdev *dev, unsigned number, uint64_t off, uint64_t len)
{
	uint64_t got_off = 0, got_len = 0;
	char why[200] = "";
	int err = partition_find(dev, number, why, sizeof(why), &got_off, &got_len);

	if (err)
		print_error("partition %u: %s\n", number, why);
	assert_int_equal(err, 0);
	assert_int_equal(got_off, off);
	assert_int_equal(got_len, len);
}

static void expect_error(struct blkdev *dev, unsigned number, int want, const char *says)
{
	uint64_t off = 7, len = 7;
	char why[200] = "";
	int err = partition_find(dev, number, why, sizeof(why), &off, &len);

	if (err != want || !strstr(why, says))
		print_error("partition %u: %d, %s\n", number, err, why);
	assert_int_equal(err, want);
	assert_non_null(strstr(why, says));
	assert_int_equal(off, 7);
	assert_int_equal(len, 7);
}

static void gpt_partitions_are_found(void **state)
{
	struct blkdev *dev = new_gpt(512);

	expect_at(dev, 1, 100 * 512, 100 * 512);
	expect_at(dev, 3, 1000 * 512, 10 * 512);
	expect_error(dev, 2, -ENOENT, "has no partition 2, only 2: 1, 3");
	expect_error(dev, 0, -ENOENT, "count from 1");
	expect_error(dev, 4000000000U, -ENOENT, "count from 1");
	blkdev_close(dev);
}

static void gpt_of_large_sectors_is_found(void **state)
{
	struct blkdev *dev = new_gpt(4096);

	expect_at(dev, 3, 1000 * 4096, 10 * 4096);
	blkdev_close(dev);
}

static void a_broken_gpt_header_has_a_backup(void **state)
{
	struct blkdev *dev = new_gpt(512);

	memset(dev_mem_data(dev) + 512, 0xff, 512);
	expect_at(dev, 3, 1000 * 512, 10 * 512);
	memset(dev_mem_data(dev) + SIZE - 512, 0xff, 512);
	expect_error(dev, 3, -EUCLEAN, "damaged GUID partition table");
	blkdev_close(dev);
}

static void a_gpt_that_wants_gigabytes_is_refused(void **state)
{
	struct blkdev *dev = new_gpt(512);

	put_gpt(dev, 512, 1, 2, 0x01ffffff);
	expect_error(dev, 1, -EUCLEAN, "impossible size");
	blkdev_close(dev);
}

static void mbr_partitions_are_found(void **state)
{
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	set_entry(&mbr_at(dev, 0)->entries[0], 0x83, 2048, 4096);
	set_entry(&mbr_at(dev, 0)->entries[2], 0x83, 8192, 1);
	expect_at(dev, 1, 2048 * 512, 4096 * 512);
	expect_at(dev, 3, 8192 * 512, 512);
	expect_error(dev, 5, -ENOENT, "only 2: 1, 3");
	blkdev_close(dev);
}

static struct blkdev *new_extended(void)
{
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	set_entry(&mbr_at(dev, 0)->entries[0], 0x83, 64, 64);
	set_entry(&mbr_at(dev, 0)->entries[1], 0x05, 40000, 50000);
	set_entry(&mbr_at(dev, 40000)->entries[0], 0x83, 100, 1000);
	set_entry(&mbr_at(dev, 40000)->entries[1], 0x05, 5000, 5000);
	set_entry(&mbr_at(dev, 45000)->entries[0], 0x83, 200, 2000);
	return dev;
}

static void logical_partitions_are_found(void **state)
{
	struct blkdev *dev = new_extended();

	expect_at(dev, 1, 64 * 512, 64 * 512);
	expect_at(dev, 5, 40100 * 512, 1000 * 512);
	expect_at(dev, 6, 45200 * 512, 2000 * 512);
	expect_error(dev, 2, -ENOENT, "logical partitions");
	expect_error(dev, 7, -ENOENT, "only 4: 1, 2, 5, 6");
	blkdev_close(dev);
}

static void a_ring_of_links_ends(void **state)
{
	struct blkdev *dev = new_extended();

	set_entry(&mbr_at(dev, 45000)->entries[1], 0x05, 0, 5000);
	expect_at(dev, 5, 40100 * 512, 1000 * 512);
	blkdev_close(dev);
}

static void a_link_out_of_the_device_ends_the_chain(void **state)
{
	struct blkdev *dev = new_extended();

	set_entry(&mbr_at(dev, 40000)->entries[1], 0x05, 0xffffffff, 5000);
	expect_at(dev, 5, 40100 * 512, 1000 * 512);
	blkdev_close(dev);
}

static void a_partition_beyond_the_end_is_refused(void **state)
{
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	set_entry(&mbr_at(dev, 0)->entries[0], 0x83, 2048, SIZE / 512 - 2048);
	set_entry(&mbr_at(dev, 0)->entries[1], 0x83, 2048, SIZE / 512 - 2047);
	set_entry(&mbr_at(dev, 0)->entries[2], 0x83, 0xffffffff, 0xffffffff);
	expect_at(dev, 1, 2048 * 512, SIZE - 2048 * 512);
	expect_error(dev, 2, -ERANGE, "ends before its partition 2");
	expect_error(dev, 3, -ERANGE, "ends before its partition 3");
	blkdev_close(dev);
}

static void no_table_is_said(void **state)
{
	struct blkdev *dev;

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	expect_error(dev, 1, -ENODATA, "no partition table");
	blkdev_close(dev);
	assert_int_equal(dev_mem_open(512, &dev), 0);
	expect_error(dev, 1, -ENODATA, "too small");
	blkdev_close(dev);
}

static void an_unreadable_device_is_said(void **state)
{
	struct blkdev *mem = new_gpt(512), *dev;

	assert_int_equal(dev_fault_open(mem, true, &dev), 0);
	for (int n = 1; n <= 2; n++) {
		dev_fault_arm(dev, DEV_FAULT_READ, n, -EIO, false);
		expect_error(dev, 1, -EIO, "could not be searched");
	}
	blkdev_close(dev);
}

static void noise_does_no_harm(void **state)
{
	static struct partition_table table;
	unsigned seed = 42;

	for (int round = 0; round < 300; round++) {
		struct blkdev *dev = round % 2 ? new_gpt(512) : new_extended();
		uint64_t off, len;
		char why[200];

		for (int i = 0; i < 1 + round % 8; i++) {
			uint64_t base = round % 2 ? 512 : (i % 2 ? 446 : 40000 * 512 + 446);

			dev_mem_data(dev)[base + rand_r(&seed) % 92] = rand_r(&seed);
		}
		for (unsigned number = 1; number < 7; number++) {
			if (partition_find(dev, number, why, sizeof(why), &off, &len) == 0)
				assert_true(off + len <= SIZE && len > 0);
		}
		partition_list(dev, &table, why, sizeof(why));
		blkdev_close(dev);
	}
}

static void the_whole_table_is_listed(void **state)
{
	struct partition_table *t = calloc(1, sizeof(*t));
	struct blkdev *dev = new_gpt(512);
	char why[200] = "";

	assert_int_equal(partition_list(dev, t, why, sizeof(why)), 0);
	assert_string_equal(t->type, "gpt");
	assert_int_equal(t->nentries, 2);
	assert_int_equal(t->entries[1].number, 3);
	assert_int_equal(t->entries[1].off, 1000 * 512);
	assert_int_equal(t->entries[1].len, 10 * 512);
	assert_false(t->entries[1].outside);
	assert_int_equal(strlen(t->entries[1].uuid), 36);
	blkdev_close(dev);

	dev = new_extended();
	set_entry(&mbr_at(dev, 0)->entries[2], 0x82, 100000, 40000);
	assert_int_equal(partition_list(dev, t, why, sizeof(why)), 0);
	assert_string_equal(t->type, "dos");
	assert_int_equal(t->nentries, 5);
	assert_true(t->entries[1].extended);
	assert_true(t->entries[2].outside);
	expect_at(dev, 1, 64 * 512, 64 * 512);	/* swap that is cut off takes none along */
	assert_int_equal(t->entries[4].number, 6);
	blkdev_close(dev);

	assert_int_equal(dev_mem_open(SIZE, &dev), 0);
	assert_int_equal(partition_list(dev, t, why, sizeof(why)), -ENODATA);
	blkdev_close(dev);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt_partitions_are_found),
		cmocka_unit_test(gpt_of_large_sectors_is_found),
		cmocka_unit_test(a_broken_gpt_header_has_a_backup),
		cmocka_unit_test(a_gpt_that_wants_gigabytes_is_refused),
		cmocka_unit_test(mbr_partitions_are_found),
		cmocka_unit_test(logical_partitions_are_found),
		cmocka_unit_test(a_ring_of_links_ends),
		cmocka_unit_test(a_link_out_of_the_device_ends_the_chain),
		cmocka_unit_test(a_partition_beyond_the_end_is_refused),
		cmocka_unit_test(no_table_is_said),
		cmocka_unit_test(an_unreadable_device_is_said),
		cmocka_unit_test(noise_does_no_harm),
		cmocka_unit_test(the_whole_table_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
