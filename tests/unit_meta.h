/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the metadata of an image lies, as libext2fs sees it: what a hostile test damages. */
#ifndef TESTS_UNIT_META_H
#define TESTS_UNIT_META_H

#include "cache.h"

enum unit_meta_class {
	META_SUPER, META_GDT, META_BITMAP, META_INODE, META_DIR, META_TREE, META_XATTR,
	META_LINK, META_JOURNAL, META_CLASSES,
};

/* A range of bytes of one class. */
struct unit_meta_range {
	enum unit_meta_class class;
	uint64_t off;
	uint32_t len;
	uint32_t ino, gen;		/* owner, 0: none */
	enum buf_kind kind;		/* how it is sealed; BUF_RAW: not */
};

struct unit_meta {
	struct unit_meta_range *ranges;
	unsigned n;
	unsigned first[META_CLASSES + 1];	/* ranges are sorted by class */
	struct fs codec;	/* as much of it as csum_*() look at */
};

/* Aborts when the image cannot be read: it must be sane. */
struct unit_meta *unit_meta_scan(struct blkdev *dev);
void unit_meta_free(struct unit_meta *m);
/* Makes the checksum of a damaged range right again. */
void unit_meta_seal(const struct unit_meta *m, const struct unit_meta_range *r,
		    struct blkdev *dev);

/* First range of this class and inode; aborts when there is none. */
const struct unit_meta_range *unit_meta_of(const struct unit_meta *m, enum unit_meta_class class,
					   uint32_t ino);
/* The inode of a path, by debugfs; aborts when there is none. */
uint32_t unit_meta_ino(struct blkdev *dev, const char *path);

#endif
