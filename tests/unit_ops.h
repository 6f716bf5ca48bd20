/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation of the engine, once: what the fault and space tests repeat.
 *
 * Each works on the tree of unit_mkfs_populated and begins with nothing but paths, so that
 * on a file system just opened all it needs comes from the device.
 */
#ifndef TESTS_UNIT_OPS_H
#define TESTS_UNIT_OPS_H

#include "unit_tree.h"

struct unit_op {
	const char *name;
	int (*run)(struct fs *fs);	/* 0 or the first error */
};

extern const struct unit_op unit_ops[];
extern const unsigned unit_ops_len;

#endif
