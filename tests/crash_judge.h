/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three recoveries of one image: ours, e2fsck's, the kernel's. They must agree on the tree,
 * leave an image that e2fsck calls clean, and leave what the oracle says. A read-only mount
 * must show the same tree and write nothing; and power may be cut again while we recover.
 */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "crash_oracle.h"
#include "crash_recover.h"

struct judge {
	struct recover_place place;
	struct crash_oracle *oracle;
};

struct judge_cut {
	const uint8_t *image;
	size_t at;		/* place in the oracle's log */
	/* The image without a last commit block of which the first sector is there and another
	 * is not: e2fsck may drop this transaction, and nothing else. 0: there is none. */
	uint32_t tid;
	const uint8_t *without;
	/* Also mount read-only, and cut again while we recover, at a place this number chooses;
	 * not with a tid. 0: neither. */
	uint64_t again;
};

/* Returns 0, or -1 with a sentence in why. */
int judge(struct judge *j, const struct judge_cut *cut, char *why, size_t why_len);

#endif
