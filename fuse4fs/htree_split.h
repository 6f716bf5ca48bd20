/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dividing the entries of a full leaf, and one new one, between two leaves by hash. */
#ifndef FUSE4FS_HTREE_SPLIT_H
#define FUSE4FS_HTREE_SPLIT_H

#include "dir_area.h"
#include "dir_hash.h"

struct split_ent {
	uint32_t hash;
	uint32_t off;		/* in the copy; SPLIT_NEW for the new entry */
	uint32_t need;
};
enum { SPLIT_NEW = UINT32_MAX };

struct split_plan {
	uint8_t *copy;		/* the old block's bytes */
	struct dir_area from;	/* of copy */
	struct split_ent *ents;	/* sorted by hash */
	unsigned n, at;		/* ents[at..] go to the right leaf; 0 < at < n */
	uint32_t bound;		/* index hash of the right leaf, with its bit 0 */
	const struct dir_ent *new_ent;
};

/*
 * split_plan - decide; nothing changes yet
 *
 * src    records to divide (from start on)
 * room   bytes of a leaf
 * Returns 0 with memory the caller frees by split_plan_fini; -ENOMEM; -EUCLEAN a damaged
 * record, or no way to make both fit (not logged).
 */
int split_plan_init(struct split_plan *s, const struct fs *fs, uint8_t version,
		    const struct dir_area *src, const struct dir_ent *new_ent, uint32_t room);
void split_plan_fini(struct split_plan *s);
/* Writes one half, in hash order, over whatever the area holds. */
void split_build(const struct split_plan *s, bool right, struct dir_area *to);

#endif
