// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes.c: lookup counts against a plain array; ino.c: the mapping of numbers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ino.h"
#include "nodes.h"

static void counts_to_zero(void **state)
{
	struct nodes *n;

	assert_int_equal(nodes_new(&n), 0);
	assert_false(nodes_known(n, 12));
	assert_false(nodes_put(n, 12, 1));
	assert_int_equal(nodes_get(n, 12), 0);
	assert_int_equal(nodes_get(n, 12), 0);
	assert_false(nodes_put(n, 12, 1));
	assert_true(nodes_known(n, 12));
	assert_true(nodes_put(n, 12, 1));
	assert_false(nodes_known(n, 12));
	assert_int_equal(nodes_count(n), 0);
	nodes_free(n);
}

static void more_than_counted_is_all(void **state)
{
	struct nodes *n;

	assert_int_equal(nodes_new(&n), 0);
	assert_int_equal(nodes_get(n, 7), 0);
	assert_true(nodes_put(n, 7, UINT64_MAX));
	assert_false(nodes_known(n, 7));
	nodes_free(n);
}

enum { INOS = 20000, STEPS = 400000 };

/* Numbers as images have them: dense runs at the starts of groups of 8192. */
static uint32_t nth_ino(uint32_t k)
{
	return 11 + (k / 300) * 8192 + k % 300;
}

static void agrees_with_a_model(void **state)
{
	uint32_t *model = calloc(INOS, sizeof(*model));
	unsigned seed = 1;
	uint64_t known = 0;
	struct nodes *n;

	assert_non_null(model);
	assert_int_equal(nodes_new(&n), 0);
	for (int step = 0; step < STEPS; step++) {
		uint32_t k = (uint32_t)rand_r(&seed) % INOS, count = (uint32_t)rand_r(&seed) % 3 + 1;

		/* The second half shrinks it again. */
		if (rand_r(&seed) % 100 < (step < STEPS / 2 ? 70 : 20)) {
			assert_int_equal(nodes_get(n, nth_ino(k)), 0);
			known += !model[k]++;
		} else {
			bool gone = model[k] && count >= model[k];

			assert_int_equal(nodes_put(n, nth_ino(k), count), gone);
			known -= gone;
			model[k] = gone || !model[k] ? 0 : model[k] - count;
		}
		assert_int_equal(nodes_known(n, nth_ino(k)), model[k] != 0);
	}
	assert_int_equal(nodes_count(n), known);
	for (uint32_t k = 0; k < INOS; k++)
		assert_int_equal(nodes_known(n, nth_ino(k)), model[k] != 0);
	nodes_free(n);
	free(model);
}

static void sum_up(void *arg, uint32_t ino, uint32_t count)
{
	uint64_t *sum = arg;

	*sum += (uint64_t)ino * count;
}

static void drain_visits_each_once(void **state)
{
	uint64_t sum = 0, want = 0;
	struct nodes *n;

	assert_int_equal(nodes_new(&n), 0);
	for (uint32_t ino = 1; ino <= 5000; ino++) {
		for (uint32_t i = 0; i < ino % 3 + 1; i++)
			assert_int_equal(nodes_get(n, ino), 0);
		want += (uint64_t)ino * (ino % 3 + 1);
	}
	nodes_drain(n, sum_up, &sum);
	assert_int_equal(sum, want);
	assert_int_equal(nodes_count(n), 0);
	assert_int_equal(nodes_get(n, 5), 0);
	assert_true(nodes_put(n, 5, 1));
	nodes_free(n);
}

static void root_is_node_one(void **state)
{
	const struct ino_map map = { .root = INO_EXT4_ROOT };
	uint32_t ino;

	assert_int_equal(ino_to_nodeid(&map, 2), 1);
	assert_int_equal(ino_to_nodeid(&map, 12), 12);
	assert_int_equal(ino_from_nodeid(&map, 1, &ino), 0);
	assert_int_equal(ino, 2);
	assert_int_equal(ino_from_nodeid(&map, 12, &ino), 0);
	assert_int_equal(ino, 12);
	assert_int_equal(ino_from_nodeid(&map, 0, &ino), -ESTALE);
	assert_int_equal(ino_from_nodeid(&map, 2, &ino), -ESTALE);
	assert_int_equal(ino_from_nodeid(&map, (uint64_t)1 << 32, &ino), -ESTALE);
	assert_int_equal(ino_from_nodeid(&map, ((uint64_t)1 << 32) + 12, &ino), -ESTALE);
}

static void sub_root_hides_the_image_root(void **state)
{
	const struct ino_map map = { .root = 500 };
	uint32_t ino;

	assert_int_equal(ino_to_nodeid(&map, 500), 1);
	assert_int_equal(ino_from_nodeid(&map, 1, &ino), 0);
	assert_int_equal(ino, 500);
	assert_int_equal(ino_from_nodeid(&map, 500, &ino), -ESTALE);
	assert_int_equal(ino_from_nodeid(&map, 2, &ino), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_to_zero),
		cmocka_unit_test(more_than_counted_is_all),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(drain_visits_each_once),
		cmocka_unit_test(root_is_node_one),
		cmocka_unit_test(sub_root_hides_the_image_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
