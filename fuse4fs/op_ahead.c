// SPDX-License-Identifier: GPL-2.0-or-later
/* Listings, encoded and made ahead; see op_ahead.h. */
#include "op_ahead.h"

#include <linux/fuse.h>
#include <string.h>

#include "loop.h"

static size_t prefix_of(const struct op_listing *l)
{
	return l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET : 0;
}

bool op_listing_add(void *listing, const char *name, size_t len, uint32_t ino, mode_t type,
		    uint64_t next_cookie)
{
	struct op_listing *l = listing;
	const size_t prefix = prefix_of(l), end = prefix + FUSE_NAME_OFFSET + len;
	const size_t whole = FUSE_REC_ALIGN(end);
	struct fuse_dirent *d;

	l->full = whole > l->size - l->used;
	if (l->full)
		return false;
	memset(l->buf + l->used, 0, prefix);	/* node 0: no attributes, yet */
	d = (void *)(l->buf + l->used + prefix);
	d->ino = ino;
	d->off = next_cookie;
	d->namelen = (uint32_t)len;
	d->type = type >> 12;
	memcpy(d->name, name, len);
	memset(l->buf + l->used + end, 0, whole - end);
	l->used += whole;
	l->next = next_cookie;
	return true;
}

void op_ahead_init(struct op_ahead *a)
{
	mutex_init(&a->lock);
}

void op_ahead_fini(struct op_ahead *a)
{
	mutex_fini(&a->lock);
}

static void make_locked(struct op_ahead *a) REQUIRES(a->lock)
{
	int err;

	a->answer.buf = a->buf;
	a->answer.used = 0;
	a->answer.full = false;
	err = vfs_readdir_ahead(a->vfs, a->ino, a->cookie, op_listing_add, &a->answer, &a->listing);
	a->state = err ? AHEAD_NONE : AHEAD_READY;
}

static void make(void *arg)
{
	struct op_ahead *a = arg;

	if (!mutex_trylock(&a->lock))
		return;
	if (a->state == AHEAD_WANTED)
		make_locked(a);
	mutex_unlock(&a->lock);
}

void op_ahead_plan(struct op_ahead *a, struct vfs *v, uint32_t ino, size_t size, uint64_t next)
{
	if (size > OP_AHEAD_MAX || !mutex_trylock(&a->lock))
		return;
	a->state = AHEAD_WANTED;
	a->vfs = v;
	a->ino = ino;
	a->cookie = next;
	a->answer.size = size;
	mutex_unlock(&a->lock);
	loop_afterwards(make, a);
}

static bool take_locked(struct op_ahead *a, uint32_t ino, uint64_t cookie, struct op_listing *l)
	REQUIRES(a->lock)
{
	if (a->state != AHEAD_READY || a->ino != ino || a->cookie != cookie || l->plus ||
	    a->answer.size != l->size)
		return false;
	a->state = AHEAD_NONE;
	if (!vfs_readdir_stands(a->vfs, ino, a->listing))
		return false;
	memcpy(l->buf, a->buf, a->answer.used);
	l->used = a->answer.used;
	l->full = a->answer.full;
	l->next = a->answer.next;
	return true;
}

bool op_ahead_take(struct op_ahead *a, uint32_t ino, uint64_t cookie, struct op_listing *listing)
{
	bool taken;

	/* Who makes it may wait for a device. */
	if (!mutex_trylock(&a->lock))
		return false;
	taken = take_locked(a, ino, cookie, listing);
	mutex_unlock(&a->lock);
	return taken;
}
