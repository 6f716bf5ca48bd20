// SPDX-License-Identifier: GPL-2.0-or-later
#include "op_forget.h"

#include "loop.h"
#include "op.h"

void op_forgets_init(struct op_forgets *f)
{
	*f = (struct op_forgets){ .head = 0 };
	mutex_init(&f->lock);
}

void op_forgets_fini(struct op_forgets *f)
{
	mutex_fini(&f->lock);
}

static bool put_off(struct op_forgets *f, uint32_t ino, uint64_t count)
{
	bool has_room;

	mutex_lock(&f->lock);
	has_room = f->head - f->tail < OP_FORGETS_MAX;
	if (has_room) {
		unsigned i = f->head++ % OP_FORGETS_MAX;

		f->ring[i].ino = ino;
		f->ring[i].count = count;
	}
	mutex_unlock(&f->lock);
	return has_room;
}

bool op_forgets_do_one(struct server *srv)
{
	struct op_forgets *f = &srv->forgets;
	uint64_t count = 0;
	uint32_t ino = 0;

	mutex_lock(&f->lock);
	if (f->tail != f->head) {
		unsigned i = f->tail++ % OP_FORGETS_MAX;

		ino = f->ring[i].ino;
		count = f->ring[i].count;
	}
	mutex_unlock(&f->lock);
	if (ino)
		vfs_forget(&srv->vfs, ino, count);
	return ino;
}

void op_forgets_finish(struct server *srv)
{
	/* Those that are put off meanwhile are not waited for. */
	for (int i = 0; i < OP_FORGETS_MAX && op_forgets_do_one(srv); i++)
		;
}

static void forget_one(struct server *srv, fuse_ino_t nodeid, uint64_t count)
{
	uint32_t ino;

	/* The root was never counted. */
	if (nodeid == FUSE_ROOT_ID || ino_from_nodeid(&srv->vfs.ids, nodeid, &ino))
		return;
	if (put_off(&srv->forgets, ino, count))
		loop_put_off();
	else
		vfs_forget(&srv->vfs, ino, count);
}

void op_forget(fuse_req_t req, fuse_ino_t nodeid, uint64_t count)
{
	forget_one(op_server(req), nodeid, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < n; i++)
		forget_one(op_server(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
