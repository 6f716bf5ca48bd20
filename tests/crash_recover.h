/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Three ways to recover an image and read its tree. */
#ifndef TESTS_CRASH_RECOVER_H
#define TESTS_CRASH_RECOVER_H

#include "crash_tree.h"
#include "transport/blkdev.h"

struct recover_place {
	char dir[200];		/* for images and a mount point; made */
	uint64_t size;		/* bytes of an image */
	bool kernel;		/* it may be asked: root, loop devices */
	bool inline_data;	/* the images have this feature */
	uint8_t *ours, *theirs, *kernels;	/* mapped images of these names in dir */
};

/* Aborts when there is no room. */
void recover_place_init(struct recover_place *p, const char *dir, uint64_t size, bool kernel,
			bool inline_data);
void recover_place_fini(struct recover_place *p);

/* All: 0, or -1 with a sentence in why; the tree is to be freed in any case. */

/* Of the image of that name. ret_record: NULL, or a dev_record of what was written, to be
 * closed. */
int recover_by_us(const struct recover_place *p, const char *name, bool readonly,
		  struct blkdev **ret_record, struct crash_tree *t, char *why, size_t why_len);
/*
 * Of "theirs"; -1 too when it finds damage. *ret_dropped: the transaction it dropped, or 0. Up
 * to 1.47.0 at least it takes the checksum of all of a commit block, where the kernel and we
 * take what its first sector says.
 */
int recover_by_e2fsck(const struct recover_place *p, struct crash_tree *t, uint32_t *ret_dropped,
		      char *why, size_t why_len);
/* Of "kernels". */
int recover_by_kernel(const struct recover_place *p, struct crash_tree *t, char *why, size_t why_len);
/* `e2fsck -fn` finds nothing in the image of that name. */
int recover_is_clean(const struct recover_place *p, const char *name, char *why, size_t why_len);

#endif
