/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and closing a file system.
 *
 * Nothing is believed before it is checked: superblock, features, then the journal is
 * replayed, and because that may bring another superblock, everything is checked again.
 * Parts are opened bottom up and closed top down; fs_free copes with any prefix of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "blkdev.h"
#include "flushes.h"
#include "fs_internal.h"
#include "group.h"
#include "inode.h"
#include "iomgr.h"
#include "mmp.h"
#include "orphan.h"
#include "overlay.h"
#include "recover.h"
#include "super.h"
#include "txn.h"
#include "why.h"

enum { SUPER_OFF = 1024, DEFAULT_CACHE = 32 << 20, OVERLAY_MAX = 1 << 30 };

/* Of several sentences the first one counts. */
#define explain(why, err, ...) ((why)->text[0] ? (err) : why_fail((why), (err), __VA_ARGS__))

static void close_codec(struct fs *fs)
{
	/* Opened without EXT2_FLAG_RW: freeing writes nothing. */
	if (fs->e2)
		ext2fs_free(fs->e2);
	fs->e2 = NULL;
}

static int open_codec(struct fs *fs, const struct why *why)
{
	char name[IOMGR_NAME_SIZE];
	errcode_t err;

	iomgr_name(fs->dev, name);
	/* Options "": with NULL the library would look for some in the name. */
	err = ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES |
			   EXT2_FLAG_SKIP_MMP, 0, 0, iomgr_blkdev(), &fs->e2);
	if (!err)
		return 0;
	fs->e2 = NULL;
	return explain(why, fs_errno(err),
		       "the superblock or the group descriptors cannot be used (%s); run e2fsck",
		       error_message(err));
}

static int load_super(struct fs *fs, const struct why *why)
{
	struct ext2_super_block sb;
	int ret;

	if (blkdev_size(fs->dev) < SUPER_OFF + sizeof(sb))
		return explain(why, -EINVAL, "%s", fs_not_found);
	fs_hint_head(fs->dev);
	ret = blkdev_read(fs->dev, &sb, sizeof(sb), SUPER_OFF);
	if (ret)
		return explain(why, ret, "cannot read the superblock: %s", strerror(-ret));
	ret = fs_check_super(&sb, blkdev_size(fs->dev), fs->opt.readonly, why->text, why->len);
	if (ret)
		return ret;
	fs_hint_metadata(fs->dev, &sb);
	ret = open_codec(fs, why);
	if (ret)
		return ret;
	fs_decode_super(fs);
	return 0;
}

static bool needs_recovery(const struct fs *fs)
{
	return ext2fs_has_feature_journal_needs_recovery(fs->e2->super) && fs->has_journal;
}

/* A journal that is going to be written is looked at in any case. */
static bool wants_journal(const struct fs *fs)
{
	return needs_recovery(fs) || (fs->has_journal && !fs->opt.readonly);
}

static void log_recovery(struct fs *fs, const struct recover_result *r)
{
	if (r->fast_commits)
		fs_log(fs, FS_LOG_WARN, "the journal holds fast commits, which are not replayed: "
		       "the last changes before the crash are not seen");
	if (!r->dirty)
		return;
	fs_log(fs, FS_LOG_INFO, "journal recovered%s: %" PRIu64 " blocks of transactions %" PRIu32
	       " to %" PRIu32 "%s", fs->overlay ? " in memory" : "", r->blocks, r->first_tid,
	       r->last_tid, r->torn ? "; its end was incomplete" : "");
}

/* Replays the journal, into memory when nothing may be written, and starts over. */
static int recover(struct fs *fs, const struct why *why)
{
	struct recover_result result = { 0 };
	struct blkdev *src = fs->dev;
	int ret;

	if (fs->opt.norecovery) {
		fs_log(fs, FS_LOG_WARN, "the journal%s not replayed, as asked: what is seen may be inconsistent",
		       ext2fs_has_feature_fast_commit(fs->e2->super) ?
		       " and its fast commits are" : " is");
		return 0;
	}
	if (fs->opt.readonly) {
		ret = overlay_dev_open(src, false, OVERLAY_MAX, &fs->overlay);
		if (ret)
			return ret;
		fs->dev = fs->overlay;
	}
	ret = recover_journal(fs->e2, src, fs->dev, &result, why->text, why->len);
	if (ret)
		return explain(why, ret, "the journal cannot be used (%s); run e2fsck, or mount with -o ro,norecovery",
			       strerror(-ret));
	log_recovery(fs, &result);
	if (!result.written)
		return 0;
	close_codec(fs);
	ret = load_super(fs, why);
	if (ret)
		return ret;
	if (needs_recovery(fs))
		return explain(why, -EUCLEAN, "it still needs recovery after the journal was replayed; run e2fsck");
	return 0;
}

static void warn_about_state(struct fs *fs)
{
	if (fs->mount_state & EXT2_ERROR_FS)
		fs_log(fs, FS_LOG_WARN, "errors were found earlier; running e2fsck is recommended");
	else if (!(fs->mount_state & EXT2_VALID_FS))
		fs_log(fs, FS_LOG_WARN, "not unmounted cleanly; running e2fsck is recommended");
}

/* Damage does not stop who only reads. */
static int protect_journal(struct fs *fs, const struct why *why)
{
	AUTOFREE struct fs_run *runs = NULL;
	char text[256] = "";
	size_t n;
	int ret;

	ret = recover_find_journal(fs->e2, fs->dev, &runs, &n, text, sizeof(text));
	if (!ret) {
		ret = group_protect(fs, runs, n);
		if (ret == -EUCLEAN)
			snprintf(text, sizeof(text), "the journal lies over metadata of block "
				 "groups; run e2fsck, or mount it read-only (-o ro,norecovery)");
	}
	if (ret == -EUCLEAN && fs->opt.readonly) {
		fs_log(fs, FS_LOG_WARN, "%s", text);
		return 0;
	}
	return ret && text[0] ? explain(why, ret, "%s", text) : ret;
}

/* Nobody else may write, from before the journal is replayed until the end. Who only reads
 * asks nobody, as the kernel. */
static int claim_device(struct fs *fs, const struct why *why)
{
	char text[512] = "";
	int ret;

	if (fs->opt.readonly || !ext2fs_has_feature_mmp(fs->e2->super))
		return 0;
	ret = mmp_open(fs, &fs->mmp, text, sizeof(text));
	return ret && text[0] ? explain(why, ret, "%s", text) : ret;
}

static int protect_mmp(struct fs *fs, const struct why *why)
{
	const struct fs_run run = { .pblk = fs->e2->super->s_mmp_block, .len = 1 };
	int ret;

	if (!fs->mmp)
		return 0;
	ret = group_protect(fs, &run, 1);
	return ret ? explain(why, ret, "the block of multi-mount protection lies over other metadata; run e2fsck")
		   : 0;
}

/* The parts, bottom up. */
static int open_parts(struct fs *fs, const struct why *why)
{
	size_t bytes = fs->opt.cache_bytes ? fs->opt.cache_bytes : DEFAULT_CACHE;
	int ret;

	ret = cache_open(fs, bytes, &fs->cache);
	if (ret)
		return ret;
	ret = super_open(fs);
	if (ret)
		return ret;
	ret = group_open(fs, &fs->groups, why->text, why->len);
	if (ret)
		return ret;
	ret = protect_journal(fs, why);
	if (ret)
		return ret;
	ret = protect_mmp(fs, why);
	if (ret)
		return ret;
	ret = txn_open(fs, &fs->txns);
	if (ret)
		return ret;
	ret = mmp_serve(fs->mmp, true);
	if (ret)
		return explain(why, ret, "it is in use elsewhere");
	ret = inode_cache_open(fs, &fs->inodes);
	if (ret)
		return ret;
	ret = orphan_open(fs, &fs->orphans);
	if (ret)
		return explain(why, ret, "the orphan file cannot be used; run e2fsck");
	return 0;
}

/* What tune2fs -o has set and nobody asked to be otherwise. */
static void take_defaults(struct fs *fs)
{
	const uint32_t defaults = fs->e2->super->s_default_mount_opts;

	if ((defaults & EXT2_DEFM_BSDGROUPS) && !fs->opt.nogrpid)
		fs->opt.grpid = true;
	if ((defaults & EXT4_DEFM_DISCARD) && !fs->opt.nodiscard)
		fs->opt.discard = true;
}

static int check_root(struct fs *fs, const struct why *why)
{
	struct inode *root;
	int ret = inode_get(fs, EXT2_ROOT_INO, &root);

	if (!ret) {
		ret = S_ISDIR(root->type) ? 0 : -EUCLEAN;
		inode_put(root);
	}
	return ret ? explain(why, ret, "its root directory cannot be used (%s); run e2fsck",
			     strerror(-ret)) : 0;
}

/* Not clean from now on, which is on the disk before anything else changes. */
static int start_writing(struct fs *fs, const struct why *why)
{
	int ret;

	if (fs->opt.readonly)
		return 0;
	ret = super_mark_mounted(fs);
	if (ret)
		return explain(why, ret, "cannot write the superblock: %s", strerror(-ret));
	fs->marked_mounted = true;
	ret = orphan_process(fs);
	if (ret)
		return explain(why, ret, "cannot finish deletions of the last mount: %s",
			       strerror(-ret));
	return 0;
}

/* Recovery, commits and multi-mount protection flush one device: each of them is to know
 * what any of them has lost. */
static int share_flushes(struct fs *fs)
{
	if (fs->opt.readonly)
		return 0;
	fs->flushes = flushes_new();
	if (!fs->flushes)
		return -ENOMEM;
	fs->dev->flushes = fs->flushes;
	return 0;
}

static void unshare_flushes(struct fs *fs)
{
	if (!fs->flushes)
		return;
	fs->dev->flushes = NULL;
	flushes_free(fs->flushes);
}

static int open_steps(struct fs *fs, const struct why *why)
{
	int ret;

	if (fs->dev->info.readonly && !fs->opt.readonly)
		return explain(why, -EROFS, "the image cannot be written; mount it read-only (-o ro)");
	ret = share_flushes(fs);
	if (ret)
		return ret;
	ret = load_super(fs, why);
	if (ret)
		return ret;
	ret = claim_device(fs, why);
	if (ret)
		return ret;
	if (wants_journal(fs)) {
		ret = recover(fs, why);
		if (ret)
			return ret;
	}
	warn_about_state(fs);
	take_defaults(fs);
	ret = open_parts(fs, why);
	if (!ret)
		ret = check_root(fs, why);
	return ret ? ret : start_writing(fs, why);
}

static void keep_first(int *first, int err)
{
	if (!*first)
		*first = err;
}

/*
 * Orphans nobody holds any more are deleted, everything is committed, and only if all of
 * that worked the superblock says clean. After an abort every step is refused by itself.
 */
static int fs_free(struct fs *fs)
{
	bool rw = fs->marked_mounted;
	int ret = 0;

	/* The kernel knows no inode any more. */
	fs->opt.inode_known = NULL;
	inode_cache_close(fs->inodes);
	orphan_close(fs->orphans);
	if (rw) {
		keep_first(&ret, fs_may_write(fs));
		keep_first(&ret, ret ? 0 : txn_commit_now(fs));
		keep_first(&ret, ret ? 0 : super_mark_clean(fs));
	}
	(void)mmp_serve(fs->mmp, false);
	if (fs->txns)
		keep_first(&ret, txn_close(fs->txns));
	group_close(fs->groups);
	super_close(fs);
	cache_close(fs->cache);
	if (rw && !ret)
		keep_first(&ret, blkdev_flush(fs->dev));
	keep_first(&ret, mmp_close(fs->mmp));
	unshare_flushes(fs);
	close_codec(fs);
	if (fs->overlay)
		(void)blkdev_close(fs->overlay);
	for (size_t i = 0; i < ARRAY_LEN(fs->xattr_locks); i++)
		mutex_fini(&fs->xattr_locks[i]);
	mutex_fini(&fs->rename_lock);
	mutex_fini(&fs->super_lock);
	mutex_fini(&fs->log_lock);
	free(fs);
	return ret;
}

int fs_open(struct blkdev *dev, const struct fs_options *opt, struct fs **ret_fs, char *why_text,
	    size_t why_len)
{
	char unread[2];
	struct why why = { why_text, why_len };
	struct fs *fs;
	int ret;

	if (!why.text || !why.len)
		why = (struct why){ unread, sizeof(unread) };
	why.text[0] = '\0';
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return explain(&why, -ENOMEM, "not enough memory");
	fs->dev = dev;
	fs->opt = *opt;
	fs->opt.readonly |= fs->opt.norecovery;
	fs->state = fs->opt.readonly ? FS_RO : FS_RW;
	fs->mount_time = fs_now();
	for (size_t i = 0; i < ARRAY_LEN(fs->xattr_locks); i++)
		mutex_init(&fs->xattr_locks[i]);
	mutex_init(&fs->rename_lock);
	mutex_init(&fs->super_lock);
	mutex_init(&fs->log_lock);
	ret = open_steps(fs, &why);
	if (ret) {
		(void)explain(&why, ret, "%s", strerror(-ret));
		(void)fs_free(fs);
		return ret;
	}
	*ret_fs = fs;
	return 0;
}

int fs_close(struct fs *fs)
{
	return fs ? fs_free(fs) : 0;
}
