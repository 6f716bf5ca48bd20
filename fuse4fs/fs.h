/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One open ext4 file system: the context everything hangs from.
 *
 * libext2fs is the codec (superblock, descriptors, hashes, checksums, feature
 * names); the engine is ours. After fs_open only its pure functions are called,
 * because nothing above its io_channel is thread-safe.
 */
#ifndef FUSE4FS_FS_H
#define FUSE4FS_FS_H

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "lock.h"
#include "util.h"

struct blkdev;
struct flushes;
struct cache;
struct txn_mgr;
struct groups;
struct inode_cache;
struct mmp;
struct orphans;
struct inode;
struct statvfs;
struct handle;

/*
 * Life of a file system. Transitions (function):
 *   RW -> RO        fs_error with errors=remount-ro, a failed commit
 *   RW -> SHUTDOWN  fs_shutdown (EXT4_IOC_SHUTDOWN), errors=panic aborts instead
 *   RO -> SHUTDOWN  fs_shutdown
 * RO: changes give -EROFS. SHUTDOWN: everything gives -EIO. Neither goes back.
 */
enum fs_state { FS_RW, FS_RO, FS_SHUTDOWN };

enum fs_errors { FS_ERRORS_DEFAULT, FS_ERRORS_CONTINUE, FS_ERRORS_RO, FS_ERRORS_PANIC };
enum fs_atime { FS_RELATIME, FS_NOATIME, FS_STRICTATIME };
enum fs_log { FS_LOG_ERR, FS_LOG_WARN, FS_LOG_INFO };
#define FS_NEVER_IDLE UINT32_MAX

/* What the caller wants; copied by fs_open. Zero is the default everywhere. */
struct fs_options {
	bool readonly;		/* never writes a byte */
	bool norecovery;	/* skip journal and orphans; implies readonly */
	bool dry_run;		/* dev is a copy that goes away: ask nobody to wait (mmp.h) */
	enum fs_errors errors;	/* DEFAULT: what the superblock says */
	enum fs_atime atime;
	bool nodiratime;
	bool noacl;
	bool no_user_xattr;
	bool grpid;		/* BSD group semantics: inherit the directory's group */
	bool nogrpid, nodiscard;	/* not even where the superblock's defaults say so */
	bool minixdf;		/* statfs counts overhead as used */
	bool discard;		/* discard freed blocks after commit */
	bool sync, dirsync;
	unsigned commit_sec;	/* 0: 5 */
	unsigned idle_ms;	/* commit so long after the last handle; 0: 1000, or FS_NEVER_IDLE */
	unsigned checkpoint_ms;	/* so long after the last commit; 0: 5000, or FS_NEVER_IDLE */
	size_t cache_bytes;	/* 0: 32 MiB */
	const char *device_name;/* for messages */
	const char *mountpoint;	/* absolute, for the superblock; or NULL. Only during fs_open */
	/* Where messages go; NULL: stderr. One line, no newline. */
	void (*log)(void *arg, enum fs_log level, const char *line);
	void *log_arg;
	/* True while the kernel may still name ino (FUSE lookup count > 0); an
	 * unlinked inode lives until this is false and no reference is held.
	 * NULL: never. Called with no lock but the inode cache's. */
	bool (*inode_known)(void *arg, uint32_t ino);
	void *inode_known_arg;
	/* Space is short: whatever the caller has put off that may free some is to be done now.
	 * NULL: nothing. Called with no handle, and no lock but rename_lock or one inode's io. */
	void (*settle)(void *arg);
	void *settle_arg;
};

/* Blocks in one piece. */
struct fs_run {
	uint64_t pblk, len;
};

/* One error as the superblock records it (s_first_error_*, s_last_error_*). */
struct fs_error_info {
	uint64_t time;		/* seconds, 0: none */
	uint64_t block;
	uint32_t ino, line;
	char func[32];		/* NUL-padded, not terminated at 32 */
	uint8_t errcode;	/* EXT4_ERR_*, as the kernel numbers them */
};

struct fs {
	struct blkdev *dev;	/* [init only] what is served: the caller's, or overlay */
	struct blkdev *overlay;	/* [init only] recovered in memory for ro; owned, or NULL */
	struct flushes *flushes;	/* [init only] dev's while it is written; owned, or NULL */
	ext2_filsys e2;		/* [init only] codec; ->super is written only by super.c */
	struct fs_options opt;	/* [init only] */
	_Atomic int state;	/* [atomic] enum fs_state */

	/* Geometry and features, decoded once. [init only] */
	uint32_t block_size, block_bits;	/* bytes, log2 */
	uint32_t inode_size;			/* bytes on disk, 128 .. block_size */
	uint32_t want_extra_isize;		/* i_extra_isize for new inodes */
	uint32_t inodes_per_group, blocks_per_group, first_data_block;
	uint32_t ngroups, desc_size;
	uint32_t inodes_count, first_ino;	/* first non-reserved inode, >= 11 */
	uint64_t blocks_count;
	uint32_t csum_seed;			/* crc32c seed; valid if metadata_csum */
	bool has_csum, has_gdt_csum;		/* metadata_csum; metadata_csum or uninit_bg */
	bool has_extents, has_64bit, has_dir_index, has_large_dir, has_filetype;
	bool has_inline_data, has_ea_inode, has_huge_file, has_dir_nlink, has_orphan_file;
	bool has_journal, has_flex_bg, has_project;
	uint8_t def_hash_version;		/* EXT2_HASH_*, signedness applied */
	uint32_t hash_seed[4];
	struct timespec mount_time;
	bool client_times;			/* the kernel's client keeps mtime and ctime of regular
						 * files, and tells them; set before its first request */
	bool sync_files_bypass;			/* but not for writes to those with chattr +S; as that */
	bool marked_mounted;			/* the superblock on disk says: in use, not clean */
	uint64_t reserved_blocks;		/* only for root (s_r_blocks_count), ... */
	uint32_t reserve_uid, reserve_gid;	/* ... this user, and this group unless it is 0 */
	uint64_t overhead_blocks;		/* superblocks, descriptors, bitmaps, tables */
	uint32_t cluster_bits;			/* log2 blocks per cluster; bigalloc, ro only */
	uint16_t mount_state;			/* s_state as found: what a clean unmount restores */

	struct mmp *mmp;		/* mmp.h; NULL: not in the image, or nothing is written */
	struct cache *cache;		/* cache.h */
	struct txn_mgr *txns;		/* txn.h */
	struct groups *groups;		/* group.h */
	struct inode_cache *inodes;	/* inode.h */
	_Atomic uint64_t listings;	/* [atomic] for inode->listing */
	struct orphans *orphans;	/* orphan.h */

	/* Held by renames between directories: the tree's shape stands still (ops_rename.c).
	 * Outermost lock. */
	struct mutex rename_lock;

	/* Bytes of an xattr block, by number (xattr_block.c). Leaves but for the cache's. */
	struct mutex xattr_locks[16];

	struct mutex super_lock;
	struct list windows;		/* [super_lock] files with blocks reserved ahead (map_window.c) */
	/* In-core copies that super_seal (super.c) writes to the superblock. */
	int64_t free_blocks, free_inodes;	/* [super_lock] what the disk will say */
	_Atomic int64_t avail_blocks;		/* [atomic] free minus reserved in core */
	_Atomic int32_t doomed;			/* [atomic] orphans, whose blocks will come back */
	_Atomic int64_t doomed_sec;		/* [atomic] when the last one became one */
	uint64_t kbytes_written;		/* [init only] lifetime, before this mount */
	_Atomic uint32_t error_count;		/* [atomic] since it was last checked */
	struct fs_error_info first_error, last_error;	/* [super_lock] time 0: none */
	struct buf *super_buf;			/* [init only] pinned; bytes: super_lock */
	bool super_changed;			/* [super_lock] dirtied since the last seal */

	struct mutex log_lock;
	char log_last[160];			/* [log_lock] to drop repetitions */
	time_t log_last_sec;			/* [log_lock] CLOCK_MONOTONIC */
	unsigned log_repeats;			/* [log_lock] */
};

/*
 * fs_open - check, recover and open an ext4 image
 *
 * dev     stays the caller's; must outlive the fs
 * why     on failure a sentence for the user (what, and the way out), at most
 *         why_len bytes, without the image's name
 *
 * Order: superblock and feature gate, multi-mount protection, journal recovery (into dev; with
 * opt->readonly into memory only), reopen, cache, groups, orphans.
 * Returns 0; -EINVAL not ext4; -EUCLEAN corrupt; -EOPNOTSUPP a feature that is
 * refused; -EROFS a feature or state that allows only ro; -EBUSY in use elsewhere; -EIO; -ENOMEM.
 */
int fs_open(struct blkdev *dev, const struct fs_options *opt, struct fs **ret_fs,
	    char *why, size_t why_len);

/*
 * fs_close - last commit, orphans of closed files, clean superblock, flush
 *
 * Returns the first error met; the fs is freed whatever it returns. A crash
 * before it returns leaves an image that recovers.
 */
int fs_close(struct fs *fs);

/* Commits everything and waits until it is durable. 0 or -errno. */
int fs_sync(struct fs *fs);
/* EXT4_IOC_SHUTDOWN. flush: commit first. */
int fs_shutdown(struct fs *fs, bool flush);
int fs_statfs(struct fs *fs, struct statvfs *st);
int fs_get_label(struct fs *fs, char label[17]);
int fs_set_label(struct fs *fs, const char *label);	/* -EINVAL over 16 bytes */

/* 0, or -EROFS / -EIO by state: the first line of every change. */
int fs_may_write(struct fs *fs);
/* 0, or -EIO after shutdown: the first line of every read. */
int fs_may_read(struct fs *fs);

/*
 * fs_error - an object of the image is damaged or the device failed
 *
 * Logs one line, records s_error_* (count, time, function, line, ino, block),
 * applies errors=. ino and pblk are 0 where none. err is a negative errno and
 * is returned, so that `return fs_error(fs, -EUCLEAN, ...)` reads well.
 */
#define fs_error(fs, err, ino, pblk, ...) ({						\
	const int fs_error_err_ = (err);						\
	fs_error_at((fs), fs_error_err_, (ino), (pblk), __func__, __LINE__, __VA_ARGS__); \
	fs_error_err_; })
void fs_error_at(struct fs *fs, int err, uint32_t ino, uint64_t pblk, const char *func,
		 int line, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
void fs_log(struct fs *fs, enum fs_log level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* True when [pblk, pblk+len) lies inside the file system and touches no
 * superblock, descriptor, bitmap, inode table or journal: may hold data or tree blocks. */
bool fs_block_valid(struct fs *fs, uint64_t pblk, uint64_t len);

static inline uint64_t fs_off(const struct fs *fs, uint64_t pblk) { return pblk << fs->block_bits; }
static inline uint32_t fs_block_off(const struct fs *fs, uint64_t off) { return off & (fs->block_size - 1); }

/* Now, with the file system's granularity: CLOCK_REALTIME(_COARSE where ns fits). */
struct timespec fs_now(void);

/* errcode_t to -errno (the only place that knows libext2fs's codes). */
int fs_errno(errcode_t err);

#endif
