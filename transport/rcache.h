/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read ahead: ranges that are being filled from the server or hold its bytes.
 *
 *   FILLING --rcache_filled--> VALID --rcache_evict, or used up--> gone
 *      |
 *      +--written over, or failed: out of the map, freed when the answer has come
 *
 * A write changes VALID bytes in place, so that cache and device agree at any time; the log
 * (wlog.h) is looked at first. Not locked: the device's lock guards all of it, except
 * the bytes of a FILLING entry, which belong to the I/O thread.
 */
#ifndef TRANSPORT_RCACHE_H
#define TRANSPORT_RCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse4fs/util.h"
#include "transport/rmap.h"

struct rcache_ent {
	struct range r;		/* first */
	struct list lru;	/* VALID: of the cache, oldest first; FILLING: whoever queues it */
	struct list waiters;	/* FILLING: reads that want some of it */
	uint8_t *bytes;
	bool valid;
	bool mapped;		/* false: nobody will find it any more */
	bool sent;		/* FILLING: requested, its length is final */
};

enum { RCACHE_SPARES = 16 };

struct rcache {
	struct rmap map;
	struct list lru;	/* VALID ones */
	size_t mem_len, max_len;
	/* Memory for a region each: giving it back and taking it again costs page faults. */
	uint8_t *spare[RCACHE_SPARES];
	unsigned spares;
};

void rcache_init(struct rcache *c, size_t max_len);
/* No entry is FILLING. */
void rcache_fini(struct rcache *c);

static inline struct rcache_ent *rcache_find(const struct rcache *c, uint64_t off, uint64_t end)
{
	return (struct rcache_ent *)rmap_find(&c->map, off, end);
}

/*
 * A FILLING entry for bytes that are not in the map, in one region. NULL: no memory, or the
 * cache is full of what has not been used yet.
 */
struct rcache_ent *rcache_add(struct rcache *c, uint64_t off, uint32_t len);
/* Makes a FILLING entry that is not sent longer at its end. False: as it was. */
bool rcache_extend(struct rcache *c, struct rcache_ent *ent, uint32_t more);
/* Its bytes are there. The caller has taken the waiters. Frees it if it is not mapped. */
void rcache_filled(struct rcache *c, struct rcache_ent *ent);
/* They will not come. The caller has taken the waiters. Frees it. */
void rcache_failed(struct rcache *c, struct rcache_ent *ent);
/* Copies bytes of a VALID entry; what was read to its end goes first when room is needed. */
void rcache_copy(struct rcache *c, struct rcache_ent *ent, void *dest, uint64_t off,
		uint32_t len);
/* These bytes of the device change. */
void rcache_write(struct rcache *c, const void *bytes, uint32_t len, uint64_t off);
/* Whatever they were, they may have changed on the server. */
void rcache_drop(struct rcache *c, uint64_t off, uint64_t len);
/* Nothing VALID stays. */
void rcache_clear(struct rcache *c);

#endif
