/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that is in a file system, as a list to compare, read by us or by the kernel. */
#ifndef TESTS_CRASH_TREE_H
#define TESTS_CRASH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs;

struct crash_node {
	char *path;		/* from the root, without a slash in front */
	const char *name;	/* its end */
	uint32_t parent_uid;	/* owner of the directory it is in */
	struct stat st;		/* times are not filled in */
	uint8_t *data;		/* of a file: st_size bytes */
	char *target;		/* of a symbolic link */
	uint8_t *xattrs;	/* user.*, sorted: name, NUL, u32 length, value, each */
	size_t xattrs_len;
};

struct crash_tree {
	struct crash_node *nodes;	/* sorted by path; "" is the root */
	size_t n;
	uint64_t free_blocks, free_inodes;
};

/* Both: 0, or -1 with a sentence in why; fini in any case. */
int crash_tree_of_fs(struct crash_tree *t, struct fs *fs, char *why, size_t why_len);
int crash_tree_of_dir(struct crash_tree *t, const char *dir, char *why, size_t why_len);
void crash_tree_fini(struct crash_tree *t);

/* 0 when they are the same, or -1 and the first difference. */
int crash_tree_compare(const struct crash_tree *a, const struct crash_tree *b, char *why,
		       size_t why_len);
/* Makes t's counts of blocks and inodes, in files and free, those of like, where t has no
 * fewer in files and no more free: what a recovery has yet to free. */
void crash_tree_forget_blocks(struct crash_tree *t, const struct crash_tree *like);
/* The value of an attribute, or NULL. */
const uint8_t *crash_node_xattr(const struct crash_node *node, const char *name, size_t *ret_len);

/* For the readers: a node at the end, its name copied; and what completes one. */
struct crash_node *crash_tree_add(struct crash_tree *t, const struct crash_node *parent,
				  const char *name);
enum { CRASH_VALUE_MAX = 65536 };
/* get: of getxattr(2)'s kind, on arg. list: NUL-separated names, sorted here. -1 when one
 * cannot be read. */
int crash_node_take_xattrs(struct crash_node *node, char *list, size_t list_len,
			   int64_t (*get)(void *arg, const char *name, void *value, size_t size),
			   void *arg);
void crash_tree_sort(struct crash_tree *t);

#endif
