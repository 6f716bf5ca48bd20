/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE's operations: what they share. One op_*.c per topic; op.c has the table.
 *
 * An operation turns nodeids into inode numbers, calls vfs, and replies exactly once. A
 * reply that hands out a node has been counted before it is sent, and is taken back when it
 * cannot be sent (the caller was interrupted).
 */
#ifndef FUSE4FS_OP_H
#define FUSE4FS_OP_H

#include "compat_fuse.h"
#include "server.h"
#include "vfs.h"

extern const struct fuse_lowlevel_ops op_table;

/* We are the only writer, so what the kernel knows stays true: names, absent names and
 * attributes are cached for a year. */
#define OP_FOREVER_SEC	(365 * 86400.0)
/* Attributes of an open file: writing it back changes what it occupies behind the kernel's back. */
#define OP_OPEN_SEC	1.0

enum { OP_NAME_MAX = 255 };

static inline struct server *op_server(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* False: replied with an error. */
bool op_ino(fuse_req_t req, fuse_ino_t nodeid, uint32_t *ret_ino);
bool op_name_ok(fuse_req_t req, const char *name);

struct vfs_cred op_cred(fuse_req_t req);
bool op_is_root(fuse_req_t req);

/* err: 0 or -errno. ENOSYS would turn the operation off for good and is not passed on. */
void op_reply_err(fuse_req_t req, int err);
void op_reply_stat(fuse_req_t req, int err, uint32_t ino, const struct stat *st);
/* How long the kernel may keep attributes of ino, in seconds. */
double op_attr_sec(struct server *srv, uint32_t ino);
/* With an entry that has been counted. */
void op_reply_entry(fuse_req_t req, int err, const struct vfs_entry *e);
struct fuse_entry_param op_entry_param(struct server *srv, const struct vfs_entry *e);

/* op_init.c */
void op_init(void *userdata, struct fuse_conn_info *conn);
void op_amend_init(struct server *srv, const struct fuse_in_header *in,
		   struct fuse_init_out *out);
/* Answers INIT, amended by the role, and reports that. False: it is another request. */
bool op_serve_init(struct server *srv, void *request, size_t len);

/* op_raw.c: the hook filter for what libfuse does not know. arg: struct server. */
bool op_raw(void *arg, void *request, size_t len);
/* Flags of the request being served that libfuse does not pass on. */
bool op_kill_suid_wanted(struct server *srv);

/* op_too_late.c: the hook too_late. arg: struct server. */
void op_too_late(void *arg, const void *request);

/* op_late.c: an error of write-back, and what the next write(2) has to be told (0: nothing) */
void op_late_note(struct server *srv, fuse_ino_t nodeid, uint32_t ino, int err);
int op_late_take(struct server *srv, uint32_t ino);

/* op_lookup.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t nodeid, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t nodeid, struct stat *st, int to_set,
		struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t nodeid);

/* op_name.c */
void op_readlink(fuse_req_t req, fuse_ino_t nodeid);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags);
void op_link(fuse_req_t req, fuse_ino_t nodeid, fuse_ino_t newparent, const char *newname);

/* op_open.c */
void op_open(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void op_opendir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);

/* op_data.c */
void op_read(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t nodeid, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t nodeid, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t nodeid, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t nodeid, off_t off, int whence,
	      struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t nodeid_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t nodeid_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags);
void op_bmap(fuse_req_t req, fuse_ino_t nodeid, size_t block_size, uint64_t block);

/* op_dir.c */
void op_readdir(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t off,
		    struct fuse_file_info *fi);

/* op_xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t nodeid, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, const char *value,
		 size_t size, int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t nodeid, const char *name);

/* op_ioctl.c */
void op_ioctl(fuse_req_t req, fuse_ino_t nodeid, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size);

#endif
