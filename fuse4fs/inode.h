/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In-core inodes.
 *
 * One struct inode per inode number at any time. Referenced inodes stay;
 * unreferenced ones stay in a bounded LRU. The decoded fields are the truth;
 * inode_store encodes them into the inode table block. `raw` holds the on-disk
 * bytes: i_block and everything past the fields (in-inode xattrs) live there.
 *
 * States (enum inode_state); transitions:
 *   LOADING -> LIVE   inode_get read it; LOADING -> DEAD when that failed (load_err)
 *   NEW -> LIVE       inode_unlock_new (the create succeeded)
 *   NEW -> DEAD       inode_abandon_new
 *   LIVE -> DEAD      inode_evict: links == 0, last reference put, kernel has forgotten it
 */
#ifndef FUSE4FS_INODE_H
#define FUSE4FS_INODE_H

#include <sys/stat.h>

#include "txn.h"

enum inode_state { INODE_NEW, INODE_LIVE, INODE_DEAD, INODE_LOADING };

struct map_cache;

/* Blocks reserved ahead of a growing file (map.c): lblk..+len sits at pblk. */
struct prealloc {
	uint32_t lblk, len;
	uint64_t pblk;
};

struct inode {
	struct fs *fs;
	uint32_t ino;
	uint32_t gen;			/* i_generation [init only after NEW] */
	uint32_t csum_seed;		/* csum_inode_seed [init only after NEW] */
	uint16_t type;			/* S_IFMT bits of mode [init only after NEW] */

	struct rwlock io;		/* data: shared to read and write, exclusive to cut */
	struct rwlock lock;		/* everything below that says [lock] */

	uint16_t mode;			/* [lock] type and permissions */
	uint32_t uid, gid, projid;	/* [lock] */
	uint32_t nlink;			/* [lock] 1 on a directory may mean "too many" (dir_nlink) */
	uint32_t flags;			/* [lock] EXT4_*_FL as on disk */
	uint64_t size;			/* [lock] bytes */
	uint64_t blocks;		/* [lock] allocated, in 512-byte units (decoded for huge_file) */
	uint64_t file_acl;		/* [lock] xattr block or 0 */
	uint64_t version;		/* [lock] i_version */
	struct timespec atime, mtime, ctime, crtime;	/* [lock] */
	uint32_t dtime;			/* [its table slot's lock] next orphan, or deletion time */
	uint8_t *raw;			/* [lock] fs->inode_size bytes, i_block in disk order */

	struct map_cache *map;		/* [own lock] recent extents; map.c owns it */
	struct prealloc pa;		/* [lock] */
	uint32_t goal_lblk;		/* [lock] map.c's hints */
	uint64_t goal_pblk;
	uint32_t dir_hint;		/* [atomic] dir.c: block of a linear directory's last hit */
	uint64_t listing;		/* [lock] dir.c: another one after each change of entries,
					 * and of each struct inode */
	uint32_t dir_faults;		/* [atomic] dir.c: damage logged so far, so that it ends */
	uint32_t sync_tid;		/* [lock] last transaction that changed it */
	uint32_t datasync_tid;		/* [lock] ... in a way fdatasync must keep */
	bool has_sync_tid;		/* [lock] false: not changed since it was read */
	bool half_cut;			/* [lock] blocks behind size are being freed: an orphan
					 * whatever nlink is */
	atomic_uint opens;		/* open file handles with write access */
	atomic_bool lost;		/* a write-back failed and was logged; until an fsync */

	/* [inode cache's lock] */
	unsigned refs;
	uint8_t state;			/* enum inode_state */
	bool internal;			/* EA inode: not for inode_get */
	bool hashed;
	int load_err;			/* DEAD after LOADING: why */
	struct inode *hash_next;
	struct list lru;
	/* [orphans lock] */
	bool orphan;			/* on the orphan list / file */
	struct list orphan_node;
	uint32_t orphan_slot;		/* orphan_file: index; unused on the list */
};

int inode_cache_open(struct fs *fs, struct inode_cache **ret);
/*
 * Frees all inodes; none may be referenced. Unlinked ones that the kernel still knew
 * are deleted first where the state allows writing (own handles), so: before orphan_close
 * and txn_close. NULL is fine.
 */
void inode_cache_close(struct inode_cache *c);

/*
 * inode_get - a referenced in-core inode
 *
 * Returns 0; -ESTALE number out of range, reserved (other than the root and what
 * fs itself needs), free, under creation, unlinked and not in core, or an EA inode;
 * -EUCLEAN bad checksum or content (logged); -EIO; -ENOMEM.
 * Blocks: may read the device.
 */
int inode_get(struct fs *fs, uint32_t ino, struct inode **ret);
/* Like inode_get, but reserved inodes (journal, resize, orphan file, quota) and those
 * that hold attribute values (EA_INODE_FL) too. */
int inode_get_internal(struct fs *fs, uint32_t ino, struct inode **ret);
void inode_ref(struct inode *inode);
/*
 * inode_put - drop a reference; NULL is fine
 *
 * The last one of an inode with nlink 0 that fs->opt.inode_known no longer knows
 * deletes the inode (inode_evict), so: call it with no lock and no handle.
 */
void inode_put(struct inode *inode);
/* The kernel has forgotten ino: evicts it if it is an unreferenced orphan. */
void inode_forgotten(struct fs *fs, uint32_t ino);

/*
 * inode_new - allocate an inode on disk and in core, in a handle
 *
 * The result is referenced, state NEW (inode_get gives -ESTALE), its lock held
 * exclusively, fields: mode as given, nlink 0, size 0, times now, random
 * generation, flags inherited from parent (EXT2_FL_INHERITED masked by type),
 * EXTENTS_FL / INLINE_DATA_FL by file system and type with an initialised i_block (an
 * inline one has an empty system.data). Not yet stored. Credits: INODE_NEW_CREDITS.
 */
int inode_new(struct handle *h, struct inode *parent, uint16_t mode, uint32_t uid,
	      uint32_t gid, struct inode **ret) NO_TSA;
/* Finished: LIVE, unlocked (reference stays). */
void inode_unlock_new(struct inode *inode) NO_TSA;
/* Failed: frees the number again in the same handle, unlocks, drops the reference. */
void inode_abandon_new(struct handle *h, struct inode *inode) NO_TSA;
enum { INODE_NEW_CREDITS = 8, INODE_STORE_CREDITS = 2 };	/* 2: large_file turned on */

/* Encodes into the table block, seals the inode checksum, notes the tid. datasync:
 * the change matters to fdatasync (size, blocks). Requires inode->lock exclusively.
 * Times are cut to what the inode can hold, in core too. */
int inode_store(struct handle *h, struct inode *inode, bool datasync);
/* Dirties the table block: an inode_store later in this handle needs no device. For
 * operations on several objects, which must not fail halfway. */
int inode_join(struct handle *h, struct inode *inode);
/* txn_begin, then inode_join: no handle is open when it fails. */
int inode_begin(struct inode *inode, unsigned credits, struct handle *h);
/* Orphan code: changes only the on-disk dtime (next orphan). */
int inode_store_dtime(struct handle *h, struct inode *inode, uint32_t dtime);

/*
 * Locks up to four inodes exclusively in ascending order of number (duplicates
 * and NULLs are fine): the only way to hold two inode locks. What was looked up
 * before must be checked again after.
 */
void inode_lock_many(struct inode **inodes, unsigned n) NO_TSA;
void inode_unlock_many(struct inode **inodes, unsigned n) NO_TSA;

/* fsync(2): everything the file needs is durable on return. 0 or -errno. */
int inode_sync(struct inode *inode, bool datasync);
/* The same after a change of content, of what shall always be durable (inode_wants_sync). */
int inode_sync_if_wanted(struct inode *inode);

void inode_fill_stat(struct inode *inode, struct stat *st);	/* REQUIRES lock shared */
/* -o sync, chattr +S; of a directory whose names change -o dirsync and chattr +D, too. Both
 * REQUIRE lock. */
bool inode_wants_sync(const struct inode *inode);
bool inode_dir_wants_sync(const struct inode *dir);
/* True when an atime update is due under the mount's rules. */
bool inode_atime_due(struct inode *inode, const struct timespec *now);
/* 1 when it has changed, 0, -errno; own locks and handle; never fails a read. */
int inode_touch_atime(struct inode *inode);

/* Limits. */
uint64_t inode_max_size(const struct inode *inode);	/* bytes, by mapping type */
uint32_t inode_link_max(const struct inode *inode);	/* 65000 */

struct inode_cache_stats { uint64_t cached, limit, hits, misses; };
void inode_cache_get_stats(struct inode_cache *c, struct inode_cache_stats *ret);

static inline uint8_t *inode_block(struct inode *i)	/* i_block: 60 bytes */
{
	return i->raw + offsetof(struct ext2_inode, i_block);
}
static inline bool inode_is_inline(const struct inode *i) { return i->flags & EXT4_INLINE_DATA_FL; }
/* A symbolic link whose target is in i_block: it has no data block of its own. */
bool inode_is_fast_symlink(const struct inode *inode);

static inline void cleanup_inode(struct inode **i) { inode_put(*i); }
#define AUTOINODE __attribute__((cleanup(cleanup_inode))) struct inode *

#endif
