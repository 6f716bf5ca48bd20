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

struct fill {
	char *buf;
	size_t size, used;
	bool plus;
};

static size_t prefix_of(const struct fill *f)
{
	return f->plus ? FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET : 0;
}

static bool add_entry(void *arg, const char *name, size_t len, uint32_t ino, mode_t type,
		      uint64_t next_cookie)
{
	struct fill *f = arg;
	const size_t prefix = prefix_of(f), end = prefix + FUSE_NAME_OFFSET + len;
	const size_t whole = FUSE_REC_ALIGN(end);
	struct fuse_dirent *d;

	if (whole > f->size - f->used)
		return false;
	memset(f->buf + f->used, 0, prefix);	/* node 0: no attributes, yet */
	d = (void *)(f->buf + f->used + prefix);
	d->ino = ino;
	d->off = next_cookie;
	d->namelen = (uint32_t)len;
	d->type = type >> 12;
	memcpy(d->name, name, len);
	memset(f->buf + f->used + end, 0, whole - end);
	f->used += whole;
	return true;
}

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
static void add_attributes(struct server *srv, struct fill *f)
{
	for (size_t pos = 0; pos < f->used;) {
		struct fuse_direntplus *dp = (void *)(f->buf + pos);
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

static void take_back(struct server *srv, struct fill *f)
{
	for (size_t pos = 0; pos < f->used;) {
		struct fuse_direntplus *dp = (void *)(f->buf + pos);

		pos += FUSE_DIRENTPLUS_SIZE(dp);
		if (dp->entry_out.nodeid)
			vfs_forget(&srv->vfs, (uint32_t)dp->dirent.ino, 1);
	}
}

static void read_directory(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off, bool plus)
{
	struct fill f = { .buf = loop_reply_buffer(), .plus = plus,
			  .size = size < LOOP_TRANSFER_MAX ? size : LOOP_TRANSFER_MAX };
	struct server *srv = op_server(req);
	uint32_t ino;
	int err;

	if (!op_ino(req, nodeid, &ino))
		return;
	if (off == 0)
		op_listed_add(&srv->listed, ino);
	err = vfs_readdir(&srv->vfs, ino, (uint64_t)off, add_entry, &f);
	if (err && !f.used) {
		op_reply_err(req, err);
		return;
	}
	if (plus)
		add_attributes(srv, &f);
	if (fuse_reply_buf(req, f.buf, f.used) && plus)
		take_back(srv, &f);
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
