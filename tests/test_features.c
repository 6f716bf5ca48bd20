/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The feature gate: a consistent table, and what it says about flags. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "feature.h"

static void every_rule_is_one_flag_with_reasons(void **state)
{
	for (size_t i = 0; i < feature_rules_len; i++) {
		const struct feature_rule *r = &feature_rules[i];

		assert_true(r->mask && !(r->mask & (r->mask - 1)));
		assert_ptr_equal(feature_find(r->set, r->mask), r);
		assert_true(r->name && *r->name);
		assert_int_equal(r->serve != FEATURE_RW, r->reason && r->way_out);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(feature_rules[j].name, r->name);
	}
}

static void usual_features_are_writable(void **state)
{
	char why[256] = "";

	assert_int_equal(feature_check(0x3c, 0x2c2, 0x46b, false, why, sizeof(why)), 0);
	assert_string_equal(why, "");
}

static void worst_feature_counts(void **state)
{
	char why[256];

	assert_int_equal(feature_check(0, 0, EXT4_FEATURE_RO_COMPAT_BIGALLOC, false, why,
				       sizeof(why)), -EROFS);
	assert_non_null(strstr(why, "bigalloc"));
	assert_non_null(strstr(why, "read-only"));
	assert_int_equal(feature_check(0, 0, EXT4_FEATURE_RO_COMPAT_BIGALLOC, true, why,
				       sizeof(why)), 0);
	assert_int_equal(feature_check(0, EXT4_FEATURE_INCOMPAT_ENCRYPT,
				       EXT4_FEATURE_RO_COMPAT_BIGALLOC, true, why,
				       sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "encrypt"));
}

static void unknown_flags_by_their_word(void **state)
{
	char why[256];

	assert_int_equal(feature_check(1U << 31, 0, 0, false, why, sizeof(why)), 0);
	assert_int_equal(feature_check(0, 1U << 31, 0, true, why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "incompat bit 0x80000000"));
	assert_int_equal(feature_check(0, 0, 1U << 31, true, why, sizeof(why)), 0);
	assert_int_equal(feature_check(0, 0, 1U << 31, false, why, sizeof(why)), -EROFS);
	assert_non_null(strstr(why, "ro_compat bit 0x80000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_is_one_flag_with_reasons),
		cmocka_unit_test(usual_features_are_writable),
		cmocka_unit_test(worst_feature_counts),
		cmocka_unit_test(unknown_flags_by_their_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
