/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directory records in memory: find, insert by splitting, delete by merging, pack. */
#include "dir_area.h"

static uint32_t rec_used(const uint8_t *p)
{
	return get_le32(p) ? dir_rec_need(p[6]) : 0;
}

int dir_area_find(const struct dir_area *a, const char *name, size_t len, struct dir_pos *ret)
{
	uint32_t off = a->start, prev = off;

	while (off < a->end) {
		const uint8_t *p = a->data + off;
		uint32_t rec;

		if (a->end - off < DIR_REC_MIN)
			return -EUCLEAN;
		rec = dir_rec_len(a, p);
		if (!dir_rec_sane(a, off, rec))
			return -EUCLEAN;
		if (p[6] == len && p[DIR_REC_HDR] == (uint8_t)name[0] &&
		    !memcmp(p + DIR_REC_HDR, name, len) && get_le32(p)) {
			*ret = (struct dir_pos){ off, prev };
			return 0;
		}
		prev = off;
		off += rec;
	}
	return -ENOENT;
}

int dir_area_scan(const struct dir_area *a, const char *name, size_t len, struct dir_scan *ret)
{
	uint32_t need = dir_rec_need(len), off = a->start, prev = off;
	struct dir_scan s = { 0 };
	struct dir_rec rec;

	for (; off < a->end; prev = off, off += rec.len) {
		uint32_t used;

		if (!dir_rec_get(a, off, &rec))
			return -EUCLEAN;
		used = rec.ino ? dir_rec_need(rec.name_len) : 0;
		if (used > rec.len)
			return -EUCLEAN;
		s.used += used;
		if (!s.room && rec.len - used >= need) {
			s.room = true;
			s.room_off = off;
		}
		if (rec.ino && rec.name_len == len && !memcmp(rec.name, name, len)) {
			s.found = true;
			s.pos = (struct dir_pos){ off, prev };
		}
	}
	*ret = s;
	return 0;
}

/* Everything but rec_len. The padding behind the name is cleared. */
static void rec_fill(uint8_t *p, const struct dir_ent *e)
{
	put_le32(p, e->ino);
	p[6] = e->len;
	p[7] = e->ftype;
	memcpy(p + DIR_REC_HDR, e->name, e->len);
	memset(p + DIR_REC_HDR + e->len, 0, dir_rec_need(e->len) - DIR_REC_HDR - e->len);
}

void dir_area_insert(struct dir_area *a, uint32_t off, const struct dir_ent *e)
{
	uint8_t *p = a->data + off;
	uint32_t len = dir_rec_len(a, p), used = rec_used(p);

	if (used) {
		dir_rec_set_len(a, p, used);
		p += used;
		dir_rec_set_len(a, p, len - used);
	}
	rec_fill(p, e);
}

void dir_area_delete(struct dir_area *a, struct dir_pos pos)
{
	uint8_t *p = a->data + pos.off, *prev = a->data + pos.prev;
	uint32_t len = dir_rec_len(a, p);

	if (pos.prev == pos.off) {
		memset(p, 0, 4);
		memset(p + 6, 0, len - 6);
		return;
	}
	dir_rec_set_len(a, prev, pos.off - pos.prev + len);
	memset(p, 0, len);
}

void dir_area_format(struct dir_area *a)
{
	uint8_t *p = a->data + a->start;

	memset(p, 0, a->end - a->start);
	dir_rec_set_len(a, p, a->end - a->start);
}

void dir_area_append(struct dir_area *a, uint32_t *off, const struct dir_ent *e)
{
	uint8_t *p = a->data + *off;

	rec_fill(p, e);
	dir_rec_set_len(a, p, dir_rec_need(e->len));
	*off += dir_rec_need(e->len);
}

void dir_area_finish(struct dir_area *a, uint32_t last, uint32_t off)
{
	if (off == a->start) {
		dir_area_format(a);
		return;
	}
	memset(a->data + off, 0, a->end - off);
	dir_rec_set_len(a, a->data + last, a->end - last);
}

void dir_area_pack(struct dir_area *a)
{
	uint32_t off = a->start, to = off, last = off, len;

	for (; off < a->end; off += len) {
		uint8_t *p = a->data + off;
		uint32_t used = rec_used(p);

		len = dir_rec_len(a, p);
		if (!used)
			continue;
		memmove(a->data + to, p, used);
		dir_rec_set_len(a, a->data + to, used);
		last = to;
		to += used;
	}
	dir_area_finish(a, last, to);
}
