/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes read ahead; see rcache.h. */
#include "rcache.h"

void rcache_init(struct rcache *c, size_t max_len)
{
	*c = (struct rcache){ .max_len = max_len };
	list_init(&c->lru);
}

static void unmap(struct rcache *c, struct rcache_ent *ent)
{
	if (ent->mapped)
		rmap_remove(&c->map, &ent->r);
	ent->mapped = false;
}

static size_t cost(const struct rcache_ent *ent)
{
	return sizeof(*ent) + ent->r.len;
}

static uint8_t *bytes_new(struct rcache *c, uint32_t len)
{
	return len == RMAP_REGION_LEN && c->spares ? c->spare[--c->spares] : malloc(len);
}

static void bytes_free(struct rcache *c, uint8_t *bytes, uint32_t len)
{
	if (len == RMAP_REGION_LEN && c->spares < RCACHE_SPARES)
		c->spare[c->spares++] = bytes;
	else
		free(bytes);
}

static void ent_free(struct rcache *c, struct rcache_ent *ent)
{
	unmap(c, ent);
	list_unlink(&ent->lru);
	c->mem_len -= cost(ent);
	bytes_free(c, ent->bytes, ent->r.len);
	free(ent);
}

void rcache_clear(struct rcache *c)
{
	while (!list_empty(&c->lru))
		ent_free(c, container_of(c->lru.next, struct rcache_ent, lru));
}

void rcache_fini(struct rcache *c)
{
	rcache_clear(c);
	while (c->spares)
		free(c->spare[--c->spares]);
}

static bool make_room(struct rcache *c, size_t len)
{
	while (c->mem_len + len > c->max_len && !list_empty(&c->lru))
		ent_free(c, container_of(c->lru.next, struct rcache_ent, lru));
	return c->mem_len + len <= c->max_len;
}

struct rcache_ent *rcache_add(struct rcache *c, uint64_t off, uint32_t len)
{
	struct rcache_ent *ent;

	if (!make_room(c, sizeof(*ent) + len))
		return NULL;
	ent = calloc(1, sizeof(*ent));
	if (!ent)
		return NULL;
	ent->bytes = bytes_new(c, len);
	if (!ent->bytes) {
		free(ent);
		return NULL;
	}
	ent->r.off = off;
	ent->r.len = len;
	ent->mapped = true;
	list_init(&ent->lru);
	list_init(&ent->waiters);
	rmap_insert(&c->map, &ent->r);
	c->mem_len += cost(ent);
	return ent;
}

bool rcache_extend(struct rcache *c, struct rcache_ent *ent, uint32_t more)
{
	uint8_t *bytes;

	if (!make_room(c, more))
		return false;
	bytes = realloc(ent->bytes, (size_t)ent->r.len + more);
	if (!bytes)
		return false;
	ent->bytes = bytes;
	ent->r.len += more;
	c->mem_len += more;
	return true;
}

void rcache_filled(struct rcache *c, struct rcache_ent *ent)
{
	list_unlink(&ent->lru);
	if (!ent->mapped) {
		ent_free(c, ent);
		return;
	}
	ent->valid = true;
	list_push(&c->lru, &ent->lru);
}

void rcache_failed(struct rcache *c, struct rcache_ent *ent)
{
	ent_free(c, ent);
}

void rcache_copy(struct rcache *c, struct rcache_ent *ent, void *dest, uint64_t off,
		uint32_t len)
{
	memcpy(dest, ent->bytes + (off - ent->r.off), len);
	/* Read to its end: the page cache above has it all now. */
	list_unlink(&ent->lru);
	if (off + len == range_end(&ent->r))
		list_add_before(c->lru.next, &ent->lru);
	else
		list_push(&c->lru, &ent->lru);
}

void rcache_write(struct rcache *c, const void *bytes, uint32_t len, uint64_t off)
{
	uint64_t pos = off, end = off + len;
	struct rcache_ent *ent;

	while ((ent = rcache_find(c, pos, end))) {
		uint64_t from = MAX(pos, ent->r.off), to = MIN(end, range_end(&ent->r));

		pos = range_end(&ent->r);
		if (ent->valid)
			memcpy(ent->bytes + (from - ent->r.off),
			       (const uint8_t *)bytes + (from - off), to - from);
		else
			unmap(c, ent);
	}
}

void rcache_drop(struct rcache *c, uint64_t off, uint64_t len)
{
	struct rcache_ent *ent;

	for (uint64_t end = off + len, stop; off < end; off = stop) {
		stop = MIN(end, rmap_region_end(off));
		while ((ent = rcache_find(c, off, stop))) {
			if (ent->valid)
				ent_free(c, ent);
			else
				unmap(c, ent);
		}
	}
}
