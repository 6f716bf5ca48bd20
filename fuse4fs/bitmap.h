/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bit ranges in ext4's bitmap format: bit n is bit n%8 of byte n/8.
 *
 * Word-wise, any alignment. A map is as many whole 8-byte words as its highest bit
 * needs; the caller checks ranges. Pure functions.
 */
#ifndef FUSE4FS_BITMAP_H
#define FUSE4FS_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

static inline bool bitmap_test(const void *map, uint32_t bit)
{
	return ((const uint8_t *)map)[bit / 8] >> (bit % 8) & 1;
}

/* First clear / set bit in [from, end), or end. */
uint32_t bitmap_next_zero(const void *map, uint32_t from, uint32_t end);
uint32_t bitmap_next_one(const void *map, uint32_t from, uint32_t end);
void bitmap_set(void *map, uint32_t from, uint32_t n);
void bitmap_clear(void *map, uint32_t from, uint32_t n);
uint32_t bitmap_count_zero(const void *map, uint32_t from, uint32_t end);

static inline bool bitmap_all_set(const void *map, uint32_t from, uint32_t n)
{
	return bitmap_next_zero(map, from, from + n) == from + n;
}
static inline bool bitmap_all_clear(const void *map, uint32_t from, uint32_t n)
{
	return bitmap_next_one(map, from, from + n) == from + n;
}

/*
 * The first run of at least `want` clear bits in [from, end), cut to `want`; if there
 * is none, the longest. Returns its length, 0 when every bit is set; *ret_start is
 * touched only when the length is not 0.
 */
uint32_t bitmap_find_run(const void *map, uint32_t from, uint32_t end, uint32_t want,
			 uint32_t *ret_start);

#endif
