// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading directories.
 *
 * Entries are encoded straight into the reply. READDIRPLUS does it in two steps: names while
 * the directory is locked, then, with no lock, the inode of each; between the two nobody can
 * change the directory, because the kernel's client holds its own lock on it for the whole
 * request. An inode that cannot be read goes out without attributes: the name is still true.
 */
#include "op.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "loop.h"
#include "op_ahead.h"

static void encode_attr(const struct stat *st, struct fuse_attr *a)
{
	*a = (struct fuse_attr){
		.ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec, .atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtime = (uint64_t)st->st_mtim.tv_sec, .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctime = (uint64_t)st->st_ctim.tv_sec, .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode, .nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid, .gid = st->st_gid, .rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

static bool is_dot(const struct fuse_dirent *d)
{
	return d->name[0] == '.' && (d->namelen == 1 || (d->namelen == 2 && d->name[1] == '.'));
}

/*
 * Attributes for the names in the reply; each one handed out is counted. What the kernel
 * knows already goes without: it has the attributes, nearly always the name too, and taking
 * in an entry costs it more than the rest of the listing.
 */
static void add_attributes(struct server *srv, struct op_listing *l)
{
	for (size_t pos = 0; pos < l->used;) {
		struct fuse_direntplus *dp = (void *)(l->buf + pos);
		struct fuse_entry_out *out = &dp->entry_out;
		struct vfs_entry e;

		pos += FUSE_DIRENTPLUS_SIZE(dp);
		if (is_dot(&dp->dirent) ||
		    dp->dirent.ino == srv->vfs.ids.root ||	/* damage: a loop */
		    (dp->dirent.type && vfs_is_known(&srv->vfs, (uint32_t)dp->dirent.ino)) ||
		    vfs_entry_ino(&srv->vfs, (uint32_t)dp->dirent.ino, &e))
			continue;
		out->nodeid = ino_to_nodeid(&srv->vfs.ids, e.ino);
		out->generation = e.gen;
		out->entry_valid = (uint64_t)OP_FOREVER_SEC;
		out->attr_valid = (uint64_t)op_attr_sec(srv, e.ino);
		encode_attr(&e.st, &out->attr);
		dp->dirent.type = e.st.st_mode >> 12;
	}
}

static void take_back(struct server *srv, struct op_listing *l)
{
	for (size_t pos = 0; pos < l->used;) {
		struct fuse_direntplus *dp = (void *)(l->buf + pos);

		pos += FUSE_DIRENTPLUS_SIZE(dp);
		if (dp->entry_out.nodeid)
			vfs_forget(&srv->vfs, (uint32_t)dp->dirent.ino, 1);
	}
}

/* 0 with the answer in l; -errno. */
static int list(struct server *srv, uint32_t ino, uint64_t cookie, struct op_listing *l)
{
	int err = 0;

	if (!op_ahead_take(&srv->ahead, ino, cookie, l))
		err = vfs_readdir(&srv->vfs, ino, cookie, op_listing_add, l);
	/* On a remote image nobody may have to wait for what is not asked for, as at the end. */
	if (!err && l->full && !l->plus && !srv->device.remote)
		op_ahead_plan(&srv->ahead, &srv->vfs, ino, l->size, l->next);
	return l->used ? 0 : err;
}

static void count_listing(struct server *srv, uint32_t ino)
{
	struct stat st;

	if (op_listed_wanted(&srv->listed) && vfs_getattr(&srv->vfs, ino, &st) == 0)
		op_listed_add(&srv->listed, ino, (uint64_t)st.st_size);
}

static void read_directory(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off, bool plus)
{
	struct op_listing l = { .buf = loop_reply_buffer(), .plus = plus,
				.size = size < LOOP_TRANSFER_MAX ? size : LOOP_TRANSFER_MAX };
	struct server *srv = op_server(req);
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	if (off == 0)
		count_listing(srv, ino);
	err = list(srv, ino, (uint64_t)off, &l);
	if (err) {
		op_reply_err(req, err);
		return;
	}
	if (plus)
		add_attributes(srv, &l);
	if (fuse_reply_buf(req, l.buf, l.used) && plus)
		take_back(srv, &l);
}

void op_readdir(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	read_directory(req, nodeid, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	read_directory(req, nodeid, size, off, true);
}
