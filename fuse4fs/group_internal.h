/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block groups inside: shared by group*.c, balloc*.c and ialloc*.c only.
 *
 * Locks: every group has a lock (one of GROUP_LOCKS, by group number); never two are
 * held. It is held over memory only: bitmaps are read before it is taken. Below it:
 * dirty_lock, maps_lock (both leaves), super_lock, the cache's and the transaction's.
 */
#ifndef FUSE4FS_GROUP_INTERNAL_H
#define FUSE4FS_GROUP_INTERNAL_H

#include "bitmap.h"
#include "group.h"

enum { GROUP_LOCKS = 256 };

enum {
	GROUP_SEAL_BLOCKS = 1,	/* block bitmap changed since the last seal */
	GROUP_SEAL_INODES = 2,	/* inode bitmap changed */
	GROUP_ON_LIST = 4,	/* on groups->dirty */
	GROUP_BAD_BLOCKS = 8,	/* block bitmap unusable: no allocation, frees fail */
	GROUP_BAD_INODES = 16,
};

enum group_kind { GROUP_BLOCKS, GROUP_INODES, GROUP_KINDS };

/* A loaded bitmap. `busy` is what allocation searches (group.h). */
struct group_map {
	struct buf *buf;	/* [group lock] on disk, pinned; NULL while uninitialised */
	struct list node;	/* [maps_lock] */
	uint32_t group;
	enum group_kind kind;
	uint32_t hint;		/* [group lock] no clear bit below */
	uint32_t held;		/* [group lock] bits busy but not allocated on disk */
	uint8_t busy[];		/* [group lock] whole words, padding set */
};

struct group {
	uint64_t bitmap[GROUP_KINDS];	/* [init only] block numbers */
	uint64_t itable;		/* [init only] */
	struct group_map *map[GROUP_KINDS];	/* [group lock] NULL: not loaded */
	struct list dirty;		/* [dirty_lock] */
	/* [group lock], changed only in handles: what the descriptor says */
	uint32_t free_blocks, free_inodes, used_dirs, itable_unused;
	uint32_t csum[GROUP_KINDS];	/* bitmap checksums; changed by group_seal */
	uint16_t flags;			/* EXT2_BG_* */
	uint8_t state;			/* [group lock] GROUP_* */
};

/* A run of system blocks. */
struct zone {
	uint64_t start, len;
};

struct groups {
	struct fs *fs;
	struct group *group;		/* [fs->ngroups] */
	/* [atomic] hints for choosing a group without its lock, exact under it */
	_Atomic uint32_t *avail;	/* blocks not busy */
	_Atomic uint32_t *max_run;	/* no free run is longer */
	_Atomic uint32_t *ifree;	/* inodes not busy */
	_Atomic uint32_t *dirs;		/* directories */
	_Atomic int64_t avail_inodes, total_dirs, pending_blocks, pending_inodes;
	struct zone *zones;		/* [init only] sorted, disjoint */
	size_t nzones;
	struct mutex locks[GROUP_LOCKS];
	struct mutex dirty_lock;
	struct list dirty;		/* [dirty_lock] groups to seal */
	struct mutex maps_lock;
	struct list maps;		/* [maps_lock] oldest first */
	unsigned nmaps, max_maps;	/* [maps_lock]; [init only] */
	struct mutex trim_lock;		/* held while a trim hides free blocks */
};

static inline struct mutex *group_lock_of(struct groups *gs, uint32_t g)
{
	return &gs->locks[g % GROUP_LOCKS];
}
static inline uint64_t group_first_block(const struct fs *fs, uint32_t g)
{
	return fs->first_data_block + (uint64_t)g * fs->blocks_per_group;
}
static inline uint32_t group_nblks(const struct fs *fs, uint32_t g)
{
	uint64_t left = fs->blocks_count - group_first_block(fs, g);

	return (uint32_t)MIN(left, (uint64_t)fs->blocks_per_group);
}
/* The group and the bit in it of a block inside the file system. */
static inline uint32_t group_of_block(const struct fs *fs, uint64_t pblk, uint32_t *ret_bit)
{
	uint64_t rel = pblk - fs->first_data_block;

	*ret_bit = (uint32_t)(rel % fs->blocks_per_group);
	return (uint32_t)(rel / fs->blocks_per_group);
}
/* Things a bitmap of this kind has bits for, in this group. */
static inline uint32_t group_nbits(const struct fs *fs, uint32_t g, enum group_kind kind)
{
	return kind == GROUP_BLOCKS ? group_nblks(fs, g) : fs->inodes_per_group;
}

/* group_zone.c: collects the groups' blocks. -ENOMEM; -EUCLEAN two overlap (usable). */
int zones_open(struct groups *gs);
/* Adds runs. -ENOMEM, with nothing changed; -EUCLEAN they overlap what was there. */
int zones_add(struct groups *gs, const struct fs_run *runs, size_t n);
/* Sets the bits of the system blocks in group g. */
void zones_mark(struct groups *gs, uint32_t g, uint8_t *busy);
/* True when every system block of group g is set in map. */
bool zones_all_set(struct groups *gs, uint32_t g, const uint8_t *map);
uint64_t zones_total(const struct groups *gs);

/*
 * group_map_get - the bitmap of a group, loaded, with the group's lock held
 *
 * On success the caller unlocks. -EUCLEAN: bitmap unusable (logged when found);
 * -EIO; -ENOMEM. May read the device (before locking).
 */
int group_map_get(struct groups *gs, uint32_t g, enum group_kind kind,
		  struct group_map **ret) NO_TSA;
void group_map_free(struct group_map *map);
/* Bytes of a map of this kind. */
size_t group_map_bytes(const struct fs *fs, enum group_kind kind);

/*
 * group_change - get ready to change the on-disk bitmap and descriptor
 *
 * gdt     from group_desc_buf, got before the lock was taken
 * Dirties bitmap, descriptor block and superblock in h; gives an uninitialised group its
 * bitmap. Credits: 3. 0, or -errno with nothing changed. REQUIRES the group's lock.
 */
int group_change(struct handle *h, uint32_t g, enum group_kind kind, struct group_map *map,
		 struct buf *gdt);
/* The block that holds g's descriptor, referenced. */
int group_desc_buf(struct groups *gs, uint32_t g, struct buf **ret);

#endif
