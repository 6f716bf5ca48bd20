/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The feature gate: what is served for each feature flag of the superblock, and why.
 * The table is data, so that the documents can be checked against it.
 */
#ifndef FUSE4FS_FEATURE_H
#define FUSE4FS_FEATURE_H

#include <ext2fs/ext2_fs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The three words of feature flags in the superblock. */
enum feature_set { FEATURE_COMPAT, FEATURE_INCOMPAT, FEATURE_RO_COMPAT, FEATURE_SETS };

/* How an image with the feature is served. Ordered: the worst of all features counts. */
enum feature_serve { FEATURE_RW, FEATURE_RO, FEATURE_REFUSED };

struct feature_rule {
	enum feature_set set;
	uint32_t mask;
	const char *name;	/* as mke2fs and tune2fs spell it */
	enum feature_serve serve;
	const char *reason;	/* NULL for FEATURE_RW */
	const char *way_out;	/* NULL for FEATURE_RW */
};

extern const struct feature_rule feature_rules[];
extern const size_t feature_rules_len;

/* The rule of one flag, or NULL: unknown. */
const struct feature_rule *feature_find(enum feature_set set, uint32_t mask);

/*
 * feature_check - may an image with these flags be served?
 *
 * compat..ro_compat  the flags, host byte order
 * readonly           as the caller wants to serve it
 * why                on failure a sentence that names the feature and the way out
 *
 * An unknown compat flag is harmless, an unknown ro_compat flag allows reading, an
 * unknown incompat flag is refused: that is what the three words are for.
 * Returns 0; -EOPNOTSUPP refused in any case; -EROFS only read-only is possible.
 */
int feature_check(uint32_t compat, uint32_t incompat, uint32_t ro_compat, bool readonly,
		  char *why, size_t why_len);

#endif
