// SPDX-License-Identifier: GPL-2.0-or-later
/* When the lead is kept through a read of the device, and when that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "loop_alone.h"

static void note_times(struct loop_alone *a, bool was_alone, int times)
{
	for (int i = 0; i < times; i++)
		alone_note(a, was_alone);
}

static void a_lonely_client_has_to_be_alone_for_a_while(void **state)
{
	struct loop_alone a = { 0 };

	assert_false(alone_keeps(&a));
	note_times(&a, true, ALONE_ENOUGH - 1);
	assert_false(alone_keeps(&a));
	note_times(&a, true, 1);
	assert_true(alone_keeps(&a));
}

static void one_in_company_is_forgiven_and_a_few_are_not(void **state)
{
	struct loop_alone a = { 0 };

	note_times(&a, true, 1000);
	note_times(&a, false, 1);
	assert_true(alone_keeps(&a));
	note_times(&a, false, 2);
	assert_false(alone_keeps(&a));
}

/* Two clients: every other wait has company. */
static void it_is_not_kept_in_mixed_company(void **state)
{
	struct loop_alone a = { 0 };

	for (int i = 0; i < 1000; i++) {
		alone_note(&a, i % 2);
		assert_false(alone_keeps(&a));
	}
	note_times(&a, false, 1000);
	note_times(&a, true, ALONE_ENOUGH - ALONE_MIN - 1);
	assert_false(alone_keeps(&a));
	note_times(&a, true, 1);
	assert_true(alone_keeps(&a));
}

static void one_slow_read_ends_it(void **state)
{
	struct loop_alone a = { 0 };

	note_times(&a, true, 1000);
	alone_note_time(&a, ALONE_SLOW_NS);
	assert_true(alone_keeps(&a));
	alone_note_time(&a, ALONE_SLOW_NS + 1);
	assert_false(alone_keeps(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lonely_client_has_to_be_alone_for_a_while),
		cmocka_unit_test(one_in_company_is_forgiven_and_a_few_are_not),
		cmocka_unit_test(it_is_not_kept_in_mixed_company),
		cmocka_unit_test(one_slow_read_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
