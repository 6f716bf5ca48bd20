/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One populated image of each kind that matters for how changes are written. */
#ifndef TESTS_UNIT_VARIANTS_H
#define TESTS_UNIT_VARIANTS_H

#include "blkdev.h"

enum { UNIT_VARIANTS = 4 };

struct unit_variant {
	const char *name, *args;	/* of mke2fs */
	bool journal;
};

extern const struct unit_variant unit_variants[UNIT_VARIANTS];
extern struct blkdev *unit_variant_images[UNIT_VARIANTS];

/* Set-up and tear-down of a group of cmocka's: the images. */
int unit_variants_make(void **state);
int unit_variants_free(void **state);

#endif
