/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting the entries of a few leaves in hash order, in bounded memory.
 *
 * Keys are dir_hash_key's. When there are more entries than fit, the largest are
 * dropped and dir_sort.limit says from which key on the caller has to come again.
 */
#ifndef FUSE4FS_DIR_SORT_H
#define FUSE4FS_DIR_SORT_H

#include "util.h"

struct sort_ent {
	uint64_t key;		/* once finished with the rank among equals in the low 8 bits */
	uint32_t lblk, off;
};

struct dir_sort {
	struct sort_ent *v;	/* the entries */
	struct sort_ent *spare;	/* room to sort */
	struct sort_ent *mem;	/* both */
	unsigned n, cap;
	uint64_t from;		/* smaller keys are not taken */
	uint64_t limit;		/* nor these and above */
	bool overrun;		/* more equals than ranks: the rest is left out */
};

enum { SORT_RANKS = 256 };

/* cap: entries, at least 4 * SORT_RANKS are allocated. -ENOMEM. */
int dir_sort_init(struct dir_sort *s, unsigned cap);
void dir_sort_fini(struct dir_sort *s);
void dir_sort_reset(struct dir_sort *s, uint64_t from);
void dir_sort_add(struct dir_sort *s, uint64_t key, uint32_t lblk, uint32_t off);
/* Sorts and gives ranks. */
void dir_sort_finish(struct dir_sort *s);

#endif
