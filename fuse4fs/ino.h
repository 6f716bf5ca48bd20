/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nodeid and ino: the only place that turns one into the other (P4).
 *
 * FUSE's nodeid is ext4's inode number, except that FUSE insists on 1 for the root: 1 stands
 * for the configured root inode, and the root's own number is nobody's nodeid, so one inode
 * has one nodeid. Inode 1 (bad blocks) can never be named.
 */
#ifndef FUSE4FS_INO_H
#define FUSE4FS_INO_H

#include <stdint.h>

enum { INO_EXT4_ROOT = 2 };

struct ino_map {
	uint32_t root;	/* [init only] inode served as the root, usually INO_EXT4_ROOT */
};

/* ino: a valid inode number other than 0 and 1. */
uint64_t ino_to_nodeid(const struct ino_map *map, uint32_t ino);
/* 0, or -ESTALE for a number that no ino_to_nodeid can have returned. Whether that inode
 * exists is for inode_get to say. */
int ino_from_nodeid(const struct ino_map *map, uint64_t nodeid, uint32_t *ret_ino);

#endif
