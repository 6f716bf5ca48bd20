// SPDX-License-Identifier: GPL-2.0-or-later
#include "vfs_forget.h"

#include "fs.h"
#include "vfs.h"

/* Blocks. With fewer every one that comes back may be the one that somebody needs. */
enum { FREE_ENOUGH = 1024 };

void forgets_init(struct forgets *f)
{
	*f = (struct forgets){ .head = 0 };
	mutex_init(&f->lock);
}

void forgets_fini(struct forgets *f)
{
	mutex_fini(&f->lock);
}

bool vfs_forget_later(struct vfs *v, uint32_t ino, uint64_t count)
{
	struct forgets *f = &v->forgets;
	bool has_room;

	if (atomic_load(&v->fs->avail_blocks) < FREE_ENOUGH)
		return false;
	mutex_lock(&f->lock);
	has_room = f->head - f->tail < FORGETS_MAX;
	if (has_room) {
		unsigned i = f->head++ % FORGETS_MAX;

		f->ring[i].ino = ino;
		f->ring[i].count = count;
	}
	mutex_unlock(&f->lock);
	return has_room;
}

bool vfs_forget_one(struct vfs *v)
{
	struct forgets *f = &v->forgets;
	uint64_t count = 0;
	uint32_t ino = 0;

	mutex_lock(&f->lock);
	if (f->tail != f->head) {
		unsigned i = f->tail++ % FORGETS_MAX;

		ino = f->ring[i].ino;
		count = f->ring[i].count;
	}
	mutex_unlock(&f->lock);
	if (ino)
		vfs_forget(v, ino, count);
	return ino;
}

void vfs_forget_waiting(struct vfs *v)
{
	/* Those that are put off meanwhile are not waited for. */
	for (int i = 0; i < FORGETS_MAX && vfs_forget_one(v); i++)
		;
}
