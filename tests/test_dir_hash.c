// SPDX-License-Identifier: GPL-2.0-or-later
/* Our hash of names against libext2fs's, over lengths, bytes, seeds and signedness. */
#include "dir_fixture.h"

#include "dir_hash.h"

enum { ROUNDS = 6000, MAX_LEN = 255 };

static size_t make_name(uint64_t *rnd, unsigned kind, char *name)
{
	size_t len = 1 + fx_rand(rnd) % (kind % 3 ? 40 : MAX_LEN);

	for (size_t i = 0; i < len; i++)
		name[i] = (char)(kind % 5 ? 0x20 + fx_rand(rnd) % 0x5f : 1 + fx_rand(rnd) % 255);
	return len;
}

static void equals_the_library(void **state)
{
	static const uint32_t seeds[][4] = { { 0 }, { 1, 2, 3, 4 }, { 0xdeadbeef, 0, ~0u, 7 } };
	static char text[DIR_HASH_BATCH][MAX_LEN];
	struct dir_name names[DIR_HASH_BATCH];
	struct dir_hash h[DIR_HASH_BATCH];
	uint64_t rnd = 2026;

	for (unsigned round = 0; round < ROUNDS; round++) {
		const uint32_t *seed = seeds[round % ARRAY_LEN(seeds)];
		const bool is_signed = round & 1;
		const unsigned n = 1 + (unsigned)(fx_rand(&rnd) % DIR_HASH_BATCH);

		for (unsigned i = 0; i < n; i++)
			names[i] = (struct dir_name){ text[i], make_name(&rnd, round + i, text[i]) };
		dir_halfmd4(seed, is_signed, names, n, h);
		for (unsigned i = 0; i < n; i++) {
			ext2_dirhash_t major, minor;

			assert_int_equal(ext2fs_dirhash2(is_signed ? EXT2_HASH_HALF_MD4 :
							 EXT2_HASH_HALF_MD4_UNSIGNED, text[i],
							 (int)names[i].len, NULL, 0, seed,
							 &major, &minor), 0);
			assert_int_equal(h[i].major, major & ~1u);
			assert_int_equal(h[i].minor, minor);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(equals_the_library) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
