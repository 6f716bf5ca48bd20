/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making and storing inodes, for the tests of in-core inodes. After <cmocka.h>. */
#ifndef TESTS_INODE_FIXTURE_H
#define TESTS_INODE_FIXTURE_H

#include "image.h"
#include "inode_int.h"
#include "ops.h"

enum { MIB = 1 << 20 };

static const struct cred root_cred = { .root = true };

static inline uint32_t make_file(struct fs *fs, const char *name)
{
	struct inode *inode;
	uint32_t ino;

	assert_int_equal(ops_make(fs, EXT2_ROOT_INO, name, S_IFREG | 0644, 0, NULL, &root_cred,
				  &inode), 0);
	ino = inode->ino;
	inode_put(inode);
	return ino;
}

static inline int store(struct inode *inode)
{
	struct handle h;
	int err;

	assert_int_equal(txn_begin(inode->fs, INODE_STORE_CREDITS, &h), 0);
	err = inode_store(&h, inode, true);
	assert_int_equal(txn_stop(&h), 0);
	return err;
}

#endif
