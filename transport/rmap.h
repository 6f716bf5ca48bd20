/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A map of byte ranges that do not overlap, for many small ones of a large device.
 *
 * The device is cut into regions of RMAP_REGION_LEN bytes; a range lies inside one region.
 * Regions are hashed, the ranges of a bucket are a list sorted by offset. No memory is
 * needed to insert. Not locked.
 */
#ifndef TRANSPORT_RMAP_H
#define TRANSPORT_RMAP_H

#include <stdint.h>

enum {
	RMAP_REGION_LEN = 128 * 1024,	/* bytes, power of 2 */
	RMAP_BUCKETS = 2048,		/* power of 2 */
};

/* Embedded in what is mapped. */
struct range {
	struct range *next;	/* in the bucket */
	uint64_t off;		/* bytes */
	uint32_t len;		/* > 0 */
};

struct rmap {
	struct range *bucket[RMAP_BUCKETS];
};

static inline uint64_t range_end(const struct range *r)
{
	return r->off + r->len;
}

static inline uint64_t rmap_region_end(uint64_t off)
{
	return (off | (RMAP_REGION_LEN - 1)) + 1;
}

/* The range with the lowest offset that has bytes in [off, end), or NULL. */
struct range *rmap_find(const struct rmap *m, uint64_t off, uint64_t end);
/* r lies inside one region and overlaps none in the map. */
void rmap_insert(struct rmap *m, struct range *r);
/* r is in the map. */
void rmap_remove(struct rmap *m, struct range *r);
/* Any range, or NULL when there is none. Slow; for taking a map apart. */
struct range *rmap_any(const struct rmap *m);

#endif
