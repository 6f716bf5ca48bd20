/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directory records in memory: a stretch of bytes that records fill without a gap.
 *
 * A directory block is one area (without its checksum tail), inline data is two.
 * Nothing here reads a device or knows an inode; every function stays inside
 * [start, end) whatever the bytes say. A record is ino, rec_len, name_len, file_type,
 * name; ino 0 is unused space. Source: linux Documentation/filesystems/ext4/directory.rst.
 */
#ifndef FUSE4FS_DIR_AREA_H
#define FUSE4FS_DIR_AREA_H

#include <errno.h>

#include "util.h"

enum {
	DIR_REC_HDR = 8,	/* bytes before the name */
	DIR_REC_MIN = 12,	/* shortest record */
	DIR_NAME_MAX = 255,
};

struct dir_area {
	uint8_t *data;		/* what offsets count from */
	uint32_t start, end;	/* records fill [start, end) */
	uint32_t wide;		/* block size if rec_len is in its 18-bit form, else 0 */
};

struct dir_rec {
	uint32_t off, len;	/* of the whole record */
	uint32_t ino;		/* unchecked; 0 unused */
	uint8_t name_len, ftype;
	const char *name;
};

/* What an entry to be written says. */
struct dir_ent {
	const char *name;
	uint32_t ino;
	uint8_t len, ftype;
};

/* Where a record is; prev == off when it is the first of its area. */
struct dir_pos {
	uint32_t off, prev;
};

struct dir_scan {
	bool found, room;
	struct dir_pos pos;	/* of the name, if found */
	uint32_t room_off;	/* record with space enough, if room */
	uint32_t used;		/* bytes the entries need when packed */
};

static inline uint32_t dir_rec_need(uint32_t name_len)
{
	return (DIR_REC_HDR + name_len + 3) & ~3u;
}

static inline uint32_t dir_rec_len(const struct dir_area *a, const uint8_t *p)
{
	uint32_t v = get_le16(p + 4);

	if (!a->wide)
		return v;
	return v == 0 || v == 65535 ? a->wide : (v & 65532) | (v & 3) << 16;
}

static inline void dir_rec_set_len(const struct dir_area *a, uint8_t *p, uint32_t len)
{
	if (a->wide && len == a->wide)
		len = 65535;
	put_le16(p + 4, (len & 65532) | (len & 3) | len >> 16);
}

/* off < a->end. A record must fit and have room for its name. */
static inline bool dir_rec_sane(const struct dir_area *a, uint32_t off, uint32_t len)
{
	return len >= DIR_REC_MIN && !(len & 3) && len <= a->end - off &&
	       a->data[off + 6] + (uint32_t)DIR_REC_HDR <= len;
}

/* Decodes the record at off. False: damaged, nothing after it can be found. */
static inline bool dir_rec_get(const struct dir_area *a, uint32_t off, struct dir_rec *ret)
{
	const uint8_t *p = a->data + off;

	if (a->end - off < DIR_REC_MIN || !dir_rec_sane(a, off, dir_rec_len(a, p)))
		return false;
	*ret = (struct dir_rec){
		.off = off, .len = dir_rec_len(a, p), .ino = get_le32(p),
		.name_len = p[6], .ftype = p[7], .name = (const char *)p + DIR_REC_HDR,
	};
	return true;
}

static inline bool dir_name_is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* 0; -ENOENT; -EUCLEAN a damaged record came first. */
int dir_area_find(const struct dir_area *a, const char *name, size_t len, struct dir_pos *ret);
/* One pass over all records for an insertion of `name`. 0 or -EUCLEAN. */
int dir_area_scan(const struct dir_area *a, const char *name, size_t len, struct dir_scan *ret);
/* Puts e into the record at off, which dir_area_scan found to have room. */
void dir_area_insert(struct dir_area *a, uint32_t off, const struct dir_ent *e);
/* Removes a found record: its space joins the one before, or becomes unused. */
void dir_area_delete(struct dir_area *a, struct dir_pos pos);
/* Moves all entries together, free space to the end. The area was scanned. */
void dir_area_pack(struct dir_area *a);
/* One unused record over everything. */
void dir_area_format(struct dir_area *a);
/* Writes an entry at *off, exactly as long as needed, and advances *off; the caller
 * knows that it fits and ends with dir_area_finish(a, off of the last, its end). */
void dir_area_append(struct dir_area *a, uint32_t *off, const struct dir_ent *e);
/* Lengthens the record at last to the end of the area and clears what it covers. */
void dir_area_finish(struct dir_area *a, uint32_t last, uint32_t off);

#endif
