/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buckets of sorted ranges. */
#include <stddef.h>

#include "rmap.h"

static unsigned bucket_of(uint64_t off)
{
	uint64_t nr = off / RMAP_REGION_LEN;

	return (unsigned)((nr * 0x9e3779b97f4a7c15ull) >> 32) & (RMAP_BUCKETS - 1);
}

struct range *rmap_find(const struct rmap *m, uint64_t off, uint64_t end)
{
	while (off < end) {
		uint64_t region_end = rmap_region_end(off);
		uint64_t stop = region_end < end ? region_end : end;

		for (struct range *r = m->bucket[bucket_of(off)]; r && r->off < stop; r = r->next) {
			if (range_end(r) > off)
				return r;
		}
		off = region_end;
	}
	return NULL;
}

void rmap_insert(struct rmap *m, struct range *r)
{
	struct range **at = &m->bucket[bucket_of(r->off)];

	while (*at && (*at)->off < r->off)
		at = &(*at)->next;
	r->next = *at;
	*at = r;
}

void rmap_remove(struct rmap *m, struct range *r)
{
	struct range **at = &m->bucket[bucket_of(r->off)];

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	r->next = NULL;
}

struct range *rmap_any(const struct rmap *m)
{
	for (unsigned i = 0; i < RMAP_BUCKETS; i++) {
		if (m->bucket[i])
			return m->bucket[i];
	}
	return NULL;
}
