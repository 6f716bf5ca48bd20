/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything a user could do to a file system, for images that may be damaged. */
#ifndef TESTS_UNIT_WALK_H
#define TESTS_UNIT_WALK_H

#include "fs.h"

/*
 * unit_walk - look at everything, then (seed != 0) change a random part of it
 *
 * Bounded: each directory is entered once, long files and lists are sampled. Ends the case
 * (unit_failed) only when an operation returns something that is no errno.
 */
void unit_walk(struct fs *fs, uint64_t seed);

/* The next number of a sequence; state must not be 0. */
static inline uint64_t unit_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545F4914F6CDD1Du >> 16;
}

#endif
