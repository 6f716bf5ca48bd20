/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three recoveries of one image: ours, e2fsck's, the kernel's. They must agree on the tree,
 * leave an image that e2fsck calls clean, and leave what the oracle says.
 */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "crash_oracle.h"

struct judge_place {
	char dir[200];		/* for images and a mount point; made */
	uint64_t size;		/* bytes of an image */
	bool kernel;		/* ask it too: needs root, loop devices */
	bool inline_data;	/* the image has this feature */
	uint8_t *ours, *theirs, *kernels;	/* mapped images of these names in dir */
	struct crash_oracle *oracle;
};

/* Aborts when there is no room. */
void judge_init(struct judge_place *p, const char *dir, uint64_t size, bool kernel, bool inline_data,
		struct crash_oracle *oracle);
void judge_fini(struct judge_place *p);

/* The image without a last commit block of which the first sector is there and another is not:
 * e2fsck may drop this transaction (tid; 0: there is none), and nothing else. */
struct judge_variant {
	const uint8_t *image;
	uint32_t tid;
};

/*
 * judge - recover an image three times and compare
 *
 * cut  place in the oracle's log
 * Returns 0, or -1 with a sentence in why.
 */
int judge(struct judge_place *p, const uint8_t *image, const struct judge_variant *variant, size_t cut,
	  char *why, size_t why_len);

#endif
