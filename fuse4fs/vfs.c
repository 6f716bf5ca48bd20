// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening and closing the file system for the request layer; what concerns all of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "file.h"
#include "group.h"
#include "nodes.h"
#include "options.h"
#include "vfs_priv.h"

_Static_assert((int)VFS_LOG_ERR == (int)FS_LOG_ERR && (int)VFS_LOG_WARN == (int)FS_LOG_WARN &&
	       (int)VFS_LOG_INFO == (int)FS_LOG_INFO, "log levels");
_Static_assert((int)OPT_ERRORS_CONTINUE == (int)FS_ERRORS_CONTINUE &&
	       (int)OPT_ERRORS_RO == (int)FS_ERRORS_RO &&
	       (int)OPT_ERRORS_PANIC == (int)FS_ERRORS_PANIC, "errors=");
_Static_assert((int)OPT_RELATIME == (int)FS_RELATIME && (int)OPT_NOATIME == (int)FS_NOATIME &&
	       (int)OPT_STRICTATIME == (int)FS_STRICTATIME, "atime");

static bool inode_known(void *arg, uint32_t ino)
{
	return nodes_known(arg, ino);
}

bool vfs_is_known(struct vfs *v, uint32_t ino)
{
	return nodes_known(v->nodes, ino);
}

unsigned vfs_time_gran(struct vfs *v)
{
	return v->fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE ? 1 : 1000000000;
}

void vfs_client_keeps_times(struct vfs *v)
{
	v->fs->client_times = true;
}

void vfs_sync_files_bypass_cache(struct vfs *v)
{
	v->fs->sync_files_bypass = true;
}

bool vfs_is_open(struct vfs *v, uint32_t ino)
{
	return nodes_known(v->opens, ino);
}

static void log_line(void *arg, enum fs_log level, const char *line)
{
	struct vfs *v = arg;

	v->log(v->log_arg, (int)level, line);
}

static void settle(void *arg)
{
	vfs_forget_waiting(arg);
}

static struct fs_options fs_options_of(const struct options *opt, struct vfs *v)
{
	return (struct fs_options){
		.readonly = opt->readonly,
		.norecovery = opt->norecovery,
		.errors = (enum fs_errors)opt->errors,
		.atime = (enum fs_atime)opt->atime,
		.nodiratime = opt->nodiratime,
		/* Lists name users; under a changed owner they would mean something else. */
		.noacl = opt->noacl || opt->squash_uid || opt->squash_gid,
		.no_user_xattr = opt->no_user_xattr,
		.grpid = opt->grpid == OPT_YES, .nogrpid = opt->grpid == OPT_NO,
		.minixdf = opt->minixdf,
		.discard = opt->discard == OPT_YES, .nodiscard = opt->discard == OPT_NO,
		.sync = opt->sync,
		.dirsync = opt->dirsync,
		.commit_sec = (unsigned)opt->commit_sec,
		.cache_bytes = opt->cache_bytes,
		.device_name = opt->image,
		.mountpoint = opt->mountpoint && opt->mountpoint[0] == '/' ? opt->mountpoint : NULL,
		.log = log_line,
		.log_arg = v,
		.inode_known = inode_known,
		.inode_known_arg = v->nodes,
		.settle = settle,
		.settle_arg = v,
	};
}

/* root: a path, or an inode number in decimal. */
static int resolve_root(struct vfs *v, const char *root, uint32_t *ret_ino)
{
	unsigned long n;

	if (root[0] == '/')
		return ops_resolve(v->fs, root, ret_ino);
	errno = 0;
	n = strtoul(root, NULL, 10);
	if (errno || n > UINT32_MAX)
		return -ENOENT;
	*ret_ino = (uint32_t)n;
	return 0;
}

static int check_root(struct vfs *v, uint32_t ino)
{
	struct stat st;
	int err = ops_getattr(v->fs, ino, &st);

	if (err)
		return err == -ESTALE ? -ENOENT : err;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* A root that is no directory would be mounted, but nobody could enter. */
static int find_root(struct vfs *v, const char *root, char *why, size_t why_len)
{
	uint32_t ino = INO_EXT4_ROOT;
	int err = root ? resolve_root(v, root, &ino) : 0;

	if (!err)
		err = check_root(v, ino);
	if (err && root)
		snprintf(why, why_len, "root=%s: %s (it must be a directory of the image)", root,
			 strerror(-err));
	else if (err)
		snprintf(why, why_len, "the root directory (inode %u) is damaged: %s; run e2fsck",
			 ino, strerror(-err));
	v->ids.root = ino;
	return err;
}

static void free_tables(struct vfs *v)
{
	nodes_free(v->nodes);
	nodes_free(v->opens);
	forgets_fini(&v->forgets);
	v->nodes = v->opens = NULL;
}

int vfs_open(const struct options *opt, struct blkdev *dev, vfs_log_fn log, void *log_arg,
	     struct vfs *v, char *why, size_t why_len)
{
	struct fs_options fs_opt;
	int err;

	*v = (struct vfs){
		.log = log, .log_arg = log_arg,
		.squash_uid = opt->squash_uid, .uid = (uint32_t)opt->uid,
		.squash_gid = opt->squash_gid, .gid = (uint32_t)opt->gid,
	};
	forgets_init(&v->forgets);
	if (nodes_new(&v->nodes) || nodes_new(&v->opens)) {
		free_tables(v);
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	fs_opt = fs_options_of(opt, v);
	err = fs_open(dev, &fs_opt, &v->fs, why, why_len);
	if (err) {
		free_tables(v);
		return err;
	}
	err = find_root(v, opt->root, why, why_len);
	if (err)
		vfs_close(v);
	return err;
}

/* The references of handles that were never released. */
static void drain_open(void *arg, uint32_t ino, uint32_t count)
{
	struct vfs *v = arg;
	struct inode *inode;

	if (inode_get_internal(v->fs, ino, &inode))
		return;
	if (atomic_exchange(&inode->opens, 0))
		file_release(inode);
	for (uint32_t i = 0; i < count; i++)
		inode_put(inode);
	inode_put(inode);
}

static void drain_node(void *arg, uint32_t ino, uint32_t count)
{
	struct vfs *v = arg;

	(void)count;
	inode_forgotten(v->fs, ino);
}

int vfs_close(struct vfs *v)
{
	int err;

	nodes_drain(v->opens, drain_open, v);
	nodes_drain(v->nodes, drain_node, v);
	err = fs_close(v->fs);
	v->fs = NULL;
	free_tables(v);
	return err;
}

int vfs_statfs(struct vfs *v, struct statvfs *ret)
{
	vfs_forget_waiting(v);		/* what was just deleted is free */
	return fs_statfs(v->fs, ret);
}

int vfs_sync(struct vfs *v)
{
	return fs_sync(v->fs);
}

int vfs_shutdown(struct vfs *v, bool flush)
{
	return fs_shutdown(v->fs, flush);
}

int vfs_trim(struct vfs *v, uint64_t start, uint64_t len, uint64_t minlen, uint64_t *ret_trimmed)
{
	int err = fs_may_write(v->fs);

	return err ? err : balloc_trim(v->fs, start, len, minlen, ret_trimmed);
}

int vfs_get_label(struct vfs *v, char label[VFS_LABEL_MAX + 1])
{
	return fs_get_label(v->fs, label);
}

int vfs_set_label(struct vfs *v, const char *label)
{
	int err = fs_may_write(v->fs);

	return err ? err : fs_set_label(v->fs, label);
}

int vfs_get_uuid(struct vfs *v, uint8_t uuid[16])
{
	int err = fs_may_read(v->fs);

	if (!err)
		memcpy(uuid, v->fs->e2->super->s_uuid, 16);
	return err;
}

static const char *state_name(const struct fs *fs)
{
	static const char *const names[] = { [FS_RW] = "rw", [FS_RO] = "ro",
					     [FS_SHUTDOWN] = "shutdown" };
	int state = atomic_load(&fs->state);

	if (state == FS_RW && fs->opt.readonly)
		return "ro";
	return state >= 0 && (size_t)state < ARRAY_LEN(names) ? names[state] : "?";
}

void vfs_get_stats(struct vfs *v, struct vfs_stats *ret)
{
	struct inode_cache_stats inodes = { 0 };
	struct cache_stats cache = { 0 };
	struct txn_stats txn = { 0 };
	struct statvfs sv = { 0 };

	cache_get_stats(v->fs->cache, &cache);
	inode_cache_get_stats(v->fs->inodes, &inodes);
	txn_get_stats(v->fs, &txn);
	fs_statfs(v->fs, &sv);
	*ret = (struct vfs_stats){
		.state = state_name(v->fs),
		.errors = atomic_load(&v->fs->error_count),
		.cache_hits = cache.hits, .cache_misses = cache.misses,
		.cache_bytes = cache.bytes, .cache_limit = cache.limit,
		.cache_dirty = cache.dirty_bytes,
		.commits = txn.commits, .commit_blocks = txn.blocks,
		.last_commit_us = txn.last_commit_us, .journal_aborted = txn.aborted,
		.running_blocks = txn.running_blocks,
		.log_blocks = txn.log_blocks, .log_free = txn.log_free,
		.checkpoints = txn.checkpoints, .checkpoint_blocks = txn.checkpoint_blocks,
		.checkpoint_lag = txn.checkpoint_lag,
		.has_journal = v->fs->has_journal,
		.inodes_cached = inodes.cached, .inode_hits = inodes.hits,
		.inode_misses = inodes.misses,
		.nodes_known = nodes_count(v->nodes),
		.block_size = v->fs->block_size,
		.blocks = sv.f_blocks, .free_blocks = sv.f_bfree,
	};
	fs_get_label(v->fs, ret->label);
	uuid_unparse(v->fs->e2->super->s_uuid, ret->uuid);
}
