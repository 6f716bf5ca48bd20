// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lookup counts in open-addressing tables, sharded by inode number.
 *
 * A shard probes linearly; removal moves later entries of the run back instead of leaving
 * tombstones, so a table never degrades however long the server runs. Shards bound both
 * contention and the pause when one doubles. Files made together have adjacent numbers and
 * land in adjacent slots, which is how the kernel names them, too.
 */
#include <errno.h>
#include <stdlib.h>

#include "lock.h"
#include "nodes.h"

enum { SHARDS = 16, CAP_MIN = 64, RUN_BITS = 9 };

struct slot {
	uint32_t ino;		/* 0: free */
	uint32_t count;
};

struct shard {
	struct mutex lock;
	struct slot *slots;	/* [lock] cap of them, NULL while used is 0 */
	uint32_t cap, used;	/* [lock] cap: a power of 2 or 0 */
};

struct nodes {
	struct shard shards[SHARDS];
};

static uint32_t home_slot(const struct shard *s, uint32_t ino)
{
	uint32_t n = ino / SHARDS;	/* the low bits chose the shard */

	/* Runs stay together; the starts of block groups, where numbers crowd, are spread. */
	return (n + (n >> RUN_BITS) * 0x9e3779b1u) & (s->cap - 1);
}

/* The slot of ino, or the free one where it would go. REQUIRES s->lock, a free slot. */
static struct slot *find_locked(const struct shard *s, uint32_t ino)
{
	uint32_t i = home_slot(s, ino);

	while (s->slots[i].ino && s->slots[i].ino != ino)
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static int resize_locked(struct shard *s, uint32_t cap)
{
	struct slot *old = s->slots, *slots = NULL;
	uint32_t old_cap = s->cap;

	if (cap) {
		slots = calloc(cap, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
	}
	s->slots = slots;
	s->cap = cap;
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i].ino)
			*find_locked(s, old[i].ino) = old[i];
	free(old);
	return 0;
}

/* Keeps every run of occupied slots findable when slot i becomes free. */
static void remove_locked(struct shard *s, uint32_t i)
{
	uint32_t mask = s->cap - 1, j = i;

	for (;;) {
		j = (j + 1) & mask;
		if (!s->slots[j].ino)
			break;
		/* May j's entry move to i? Only if its home is not between them. */
		if (((j - home_slot(s, s->slots[j].ino)) & mask) >= ((j - i) & mask)) {
			s->slots[i] = s->slots[j];
			i = j;
		}
	}
	s->slots[i] = (struct slot){ 0 };
	s->used--;
	if (!s->used)
		resize_locked(s, 0);
	else if (s->cap > CAP_MIN && s->used < s->cap / 8)
		resize_locked(s, s->cap / 2);	/* failing to shrink does no harm */
}

static struct shard *shard_of(struct nodes *n, uint32_t ino)
{
	return &n->shards[ino % SHARDS];
}

int nodes_new(struct nodes **ret)
{
	struct nodes *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	for (int i = 0; i < SHARDS; i++)
		mutex_init(&n->shards[i].lock);
	*ret = n;
	return 0;
}

void nodes_free(struct nodes *n)
{
	if (!n)
		return;
	for (int i = 0; i < SHARDS; i++) {
		mutex_fini(&n->shards[i].lock);
		free(n->shards[i].slots);
	}
	free(n);
}

static int get_locked(struct shard *s, uint32_t ino)
{
	struct slot *slot;

	if (s->cap) {
		slot = find_locked(s, ino);
		if (slot->ino) {
			slot->count += slot->count != UINT32_MAX;
			return 0;
		}
	}
	if ((uint64_t)(s->used + 1) * 3 > (uint64_t)s->cap * 2 &&
	    resize_locked(s, s->cap ? s->cap * 2 : CAP_MIN))
		return -ENOMEM;
	*find_locked(s, ino) = (struct slot){ .ino = ino, .count = 1 };
	s->used++;
	return 0;
}

int nodes_get(struct nodes *n, uint32_t ino)
{
	struct shard *s = shard_of(n, ino);
	int err;

	mutex_lock(&s->lock);
	err = get_locked(s, ino);
	mutex_unlock(&s->lock);
	return err;
}

static bool put_locked(struct shard *s, uint32_t ino, uint64_t count)
{
	struct slot *slot;

	if (!s->cap)
		return false;
	slot = find_locked(s, ino);
	/* A saturated count is not exact any more: better a leak until unmount than a
	 * node that vanishes under the kernel. */
	if (!slot->ino || slot->count == UINT32_MAX)
		return false;
	if (count < slot->count) {
		slot->count -= (uint32_t)count;
		return false;
	}
	remove_locked(s, (uint32_t)(slot - s->slots));
	return true;
}

bool nodes_put(struct nodes *n, uint32_t ino, uint64_t count)
{
	struct shard *s = shard_of(n, ino);
	bool gone;

	mutex_lock(&s->lock);
	gone = put_locked(s, ino, count);
	mutex_unlock(&s->lock);
	return gone;
}

bool nodes_known(struct nodes *n, uint32_t ino)
{
	struct shard *s = shard_of(n, ino);
	bool known;

	mutex_lock(&s->lock);
	known = s->cap && find_locked(s, ino)->ino;
	mutex_unlock(&s->lock);
	return known;
}

uint64_t nodes_count(struct nodes *n)
{
	uint64_t count = 0;

	for (int i = 0; i < SHARDS; i++) {
		mutex_lock(&n->shards[i].lock);
		count += n->shards[i].used;
		mutex_unlock(&n->shards[i].lock);
	}
	return count;
}

void nodes_drain(struct nodes *n, void (*fn)(void *arg, uint32_t ino, uint32_t count), void *arg)
{
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &n->shards[i];
		struct slot *slots;
		uint32_t cap;

		mutex_lock(&s->lock);
		slots = s->slots;
		cap = s->cap;
		s->slots = NULL;
		s->cap = s->used = 0;
		mutex_unlock(&s->lock);
		for (uint32_t k = 0; k < cap; k++)
			if (slots[k].ino)
				fn(arg, slots[k].ino, slots[k].count);
		free(slots);
	}
}
