/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dividing a leaf. The cut is near the middle by size; equal hashes stay together when
 * that is possible, else the right leaf's hash says that it continues the left one.
 */
#include "htree_split.h"

static int by_hash(const void *a, const void *b)
{
	const struct split_ent *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int collect(struct split_plan *s, const struct fs *fs, uint8_t version)
{
	const struct dir_ent *e = s->new_ent;
	struct dir_rec rec;

	for (uint32_t off = s->from.start; off < s->from.end; off += rec.len) {
		if (!dir_rec_get(&s->from, off, &rec))
			return -EUCLEAN;
		if (!rec.ino)
			continue;
		s->ents[s->n++] = (struct split_ent){
			dir_hash(fs, version, rec.name, rec.name_len).major, off,
			dir_rec_need(rec.name_len),
		};
	}
	s->ents[s->n++] = (struct split_ent){
		dir_hash(fs, version, e->name, e->len).major, SPLIT_NEW, dir_rec_need(e->len),
	};
	qsort(s->ents, s->n, sizeof(*s->ents), by_hash);
	return 0;
}

/* Bytes that ents[0..at) need. */
static uint32_t size_before(const struct split_plan *s, unsigned at)
{
	uint32_t size = 0;

	for (unsigned i = 0; i < at; i++)
		size += s->ents[i].need;
	return size;
}

static bool fits(const struct split_plan *s, unsigned at, uint32_t total, uint32_t room)
{
	uint32_t left = size_before(s, at);

	return left <= room && total - left <= room;
}

static bool is_boundary(const struct split_plan *s, unsigned at)
{
	return s->ents[at].hash != s->ents[at - 1].hash;
}

/* First the middle by size, then the boundary between hashes nearest to it that fits. */
static int choose(struct split_plan *s, uint32_t room)
{
	uint32_t total = size_before(s, s->n), left = 0;
	unsigned mid = 0;

	if (s->n < 2)
		return -EUCLEAN;
	while (mid + 1 < s->n && left + s->ents[mid].need / 2 < total / 2)
		left += s->ents[mid++].need;
	mid = mid ? mid : 1;
	if (!fits(s, mid, total, room))
		return -EUCLEAN;
	s->at = mid;
	for (unsigned d = 0; d < s->n && !is_boundary(s, s->at); d++) {
		if (mid > d && is_boundary(s, mid - d) &&
		    fits(s, mid - d, total, room))
			s->at = mid - d;
		else if (mid + d < s->n && is_boundary(s, mid + d) &&
			 fits(s, mid + d, total, room))
			s->at = mid + d;
	}
	s->bound = s->ents[s->at].hash | !is_boundary(s, s->at);
	return 0;
}

int split_plan_init(struct split_plan *s, const struct fs *fs, uint8_t version,
		    const struct dir_area *src, const struct dir_ent *new_ent, uint32_t room)
{
	size_t max = (src->end - src->start) / DIR_REC_MIN + 1;
	int err;

	*s = (struct split_plan){ .from = *src, .new_ent = new_ent };
	s->copy = malloc(src->end);
	s->ents = malloc(max * sizeof(*s->ents));
	if (!s->copy || !s->ents) {
		split_plan_fini(s);
		return -ENOMEM;
	}
	memcpy(s->copy, src->data, src->end);
	s->from.data = s->copy;
	err = collect(s, fs, version);
	if (!err)
		err = choose(s, room);
	if (err)
		split_plan_fini(s);
	return err;
}

void split_plan_fini(struct split_plan *s)
{
	free(s->copy);
	free(s->ents);
	s->copy = NULL;
	s->ents = NULL;
}

void split_build(const struct split_plan *s, bool right, struct dir_area *to)
{
	unsigned i = right ? s->at : 0, end = right ? s->n : s->at;
	uint32_t off = to->start, last = off;
	struct dir_rec rec;
	struct dir_ent e;

	for (; i < end; i++) {
		last = off;
		if (s->ents[i].off == SPLIT_NEW) {
			dir_area_append(to, &off, s->new_ent);
			continue;
		}
		if (!dir_rec_get(&s->from, s->ents[i].off, &rec))
			continue;
		e = (struct dir_ent){ rec.name, rec.ino, rec.name_len, rec.ftype };
		dir_area_append(to, &off, &e);
	}
	dir_area_finish(to, last, off);
}
