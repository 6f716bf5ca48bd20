/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Word-wise searches and range changes in bitmaps. */
#include "bitmap.h"

#include "util.h"

static uint64_t word_at(const void *map, uint32_t word)
{
	return get_le64((const uint8_t *)map + (size_t)word * 8);
}

/* First bit in [from, end) whose value, xored with flip, is 1. */
static uint32_t next_bit(const void *map, uint32_t from, uint32_t end, uint64_t flip)
{
	uint32_t word = from / 64;
	uint64_t w;

	if (from >= end)
		return end;
	w = (word_at(map, word) ^ flip) & (UINT64_MAX << from % 64);
	while (!w) {
		if (++word >= div_up(end, 64))
			return end;
		w = word_at(map, word) ^ flip;
	}
	return MIN(word * 64 + (uint32_t)__builtin_ctzll(w), end);
}

uint32_t bitmap_next_zero(const void *map, uint32_t from, uint32_t end)
{
	return next_bit(map, from, end, UINT64_MAX);
}

uint32_t bitmap_next_one(const void *map, uint32_t from, uint32_t end)
{
	return next_bit(map, from, end, 0);
}

/* Bits [from, end) of the 64 that start at word * 64. */
static uint64_t word_mask(uint32_t word, uint32_t from, uint32_t end)
{
	uint64_t mask = UINT64_MAX;

	if (from > word * 64)
		mask &= UINT64_MAX << from % 64;
	if (end < word * 64 + 64)
		mask &= ~(UINT64_MAX << end % 64);
	return mask;
}

static void change(void *map, uint32_t from, uint32_t n, bool set)
{
	uint32_t end = from + n;

	if (!n)
		return;
	for (uint32_t word = from / 64; word <= (end - 1) / 64; word++) {
		uint8_t *p = (uint8_t *)map + (size_t)word * 8;
		uint64_t mask = word_mask(word, from, end);

		put_le64(p, set ? get_le64(p) | mask : get_le64(p) & ~mask);
	}
}

void bitmap_set(void *map, uint32_t from, uint32_t n)
{
	change(map, from, n, true);
}

void bitmap_clear(void *map, uint32_t from, uint32_t n)
{
	change(map, from, n, false);
}

uint32_t bitmap_count_zero(const void *map, uint32_t from, uint32_t end)
{
	uint32_t ones = 0;

	if (from >= end)
		return 0;
	for (uint32_t word = from / 64; word <= (end - 1) / 64; word++)
		ones += (uint32_t)__builtin_popcountll(word_at(map, word) &
						       word_mask(word, from, end));
	return end - from - ones;
}

uint32_t bitmap_find_run(const void *map, uint32_t from, uint32_t end, uint32_t want,
			 uint32_t *ret_start)
{
	uint32_t best = 0;

	while (best < want) {
		uint32_t start = bitmap_next_zero(map, from, end);
		uint32_t limit, stop;

		if (start >= end)
			break;
		limit = end - start < want ? end : start + want;
		stop = bitmap_next_one(map, start, limit);
		if (stop - start > best) {
			best = stop - start;
			*ret_start = start;
		}
		from = stop;
	}
	return best;
}
