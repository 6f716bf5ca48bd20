/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The oracle of the crash tests: contents. */
#include <stdio.h>
#include <string.h>

#include "crash_load.h"
#include "crash_oracle.h"
#include "util.h"

struct sector {
	uint32_t version;	/* 0: zeros */
	uint32_t valid;		/* bytes of it, then zeros */
	bool may_be_zero;
};

struct content {
	uint64_t size, min, max;	/* synced; least and most since */
	struct sector sectors[LOAD_FAR_SECTORS];
};

struct judge {
	const struct crash_worker *w;
	const struct crash_node *node;
	size_t synced, begun;	/* operations: surely in the base, and possibly seen */
	char *why;
	size_t why_len;
};

static bool is_sync(const struct crash_op *op)
{
	return op->kind == CRASH_FSYNC || op->kind == CRASH_FDATASYNC;
}

/* An operation that was followed by a sync. */
static void apply(struct content *c, const struct crash_op *op)
{
	uint64_t from = op->off / CRASH_SECTOR, to = (op->off + op->len) / CRASH_SECTOR;

	switch (op->kind) {
	case CRASH_WRITE:
		for (uint64_t i = from; i < to; i++)
			c->sectors[i] = (struct sector){ op->version + (uint32_t)(i - from), CRASH_SECTOR, false };
		c->size = MAX(c->size, op->off + op->len);
		break;
	case CRASH_PUNCH:
		for (uint64_t i = from; i < to; i++)
			c->sectors[i].version = 0;
		break;
	case CRASH_ALLOCATE:
		c->size = MAX(c->size, op->off + op->len);
		break;
	case CRASH_TRUNCATE:
		if (op->off % CRASH_SECTOR) {
			c->sectors[from].valid = MIN(c->sectors[from].valid, (uint32_t)(op->off % CRASH_SECTOR));
			from++;
		}
		for (uint64_t i = from; i < LOAD_FAR_SECTORS; i++)
			c->sectors[i].version = 0;
		c->size = op->off;
		break;
	default:
		break;
	}
}

/* One that may be there, or in part. */
static void allow(struct content *c, const struct crash_op *op)
{
	uint64_t from = div_up(op->off, CRASH_SECTOR), to = (op->off + op->len) / CRASH_SECTOR;

	switch (op->kind) {
	case CRASH_WRITE:
	case CRASH_ALLOCATE:
		c->max = MAX(c->max, op->off + op->len);
		break;
	case CRASH_PUNCH:
		for (uint64_t i = from; i < to; i++)
			c->sectors[i].may_be_zero = true;
		break;
	case CRASH_TRUNCATE:
		for (uint64_t i = from; i < LOAD_FAR_SECTORS; i++)
			c->sectors[i].may_be_zero = true;
		c->min = MIN(c->min, op->off);
		c->max = MAX(c->max, op->off);
		break;
	default:
		break;
	}
}

/* A version cut after `valid` bytes looks like one cut after c: only zeros between. */
static bool is_cut_at(const struct judge *j, uint32_t index, uint32_t version, size_t valid, size_t c)
{
	uint8_t want[CRASH_SECTOR];

	crash_fill_sector(want, j->node->st.st_uid, index, version);
	for (size_t i = c; i < valid; i++)
		if (want[i])
			return false;
	return c <= valid;
}

static bool written_later(const struct judge *j, uint32_t index, uint32_t version)
{
	for (size_t i = j->synced; i < j->begun; i++) {
		const struct crash_op *op = &j->w->ops[i].op;
		uint64_t from = op->off / CRASH_SECTOR;

		if (op->kind == CRASH_WRITE && op->id == j->node->st.st_uid && index >= from &&
		    index < from + op->len / CRASH_SECTOR && version == op->version + (index - from))
			return true;
	}
	return false;
}

static bool cut_later(const struct judge *j, uint32_t index, uint32_t version, size_t valid)
{
	for (size_t i = j->synced; i < j->begun; i++) {
		const struct crash_op *op = &j->w->ops[i].op;

		if (op->kind == CRASH_TRUNCATE && op->id == j->node->st.st_uid &&
		    op->off / CRASH_SECTOR == index &&
		    is_cut_at(j, index, version, valid, op->off % CRASH_SECTOR))
			return true;
	}
	return false;
}

static int complain(const struct judge *j, const char *what, uint64_t a, uint64_t b)
{
	snprintf(j->why, j->why_len, "/%s (owner %u, synced by operation %zu): %s (%llu, %llu)",
		 j->node->path, j->node->st.st_uid, j->synced, what, (unsigned long long)a,
		 (unsigned long long)b);
	return -1;
}

static int check_sector(const struct judge *j, const struct sector *s, uint32_t index)
{
	uint64_t off = (uint64_t)index * CRASH_SECTOR;
	size_t visible = (size_t)MIN((uint64_t)j->node->st.st_size - off, (uint64_t)CRASH_SECTOR);
	const char *wrong;
	uint32_t version;
	size_t valid;

	wrong = crash_parse_sector(j->node->data + off, visible, j->node->st.st_uid, index, &version,
				   &valid);
	if (wrong)
		return complain(j, wrong, index, visible);
	if (!version)
		return !s->version || s->may_be_zero ? 0 :
		       complain(j, "zeros where data was synced: sector, version", index, s->version);
	if (version != s->version && !written_later(j, index, version))
		return complain(j, "an old or foreign version: sector, version", index, version);
	if (valid == visible || cut_later(j, index, version, valid) ||
	    (version == s->version && is_cut_at(j, index, version, valid, s->valid)))
		return 0;
	return complain(j, "a sector was cut: sector, valid bytes", index, valid);
}

/* Operations of the file up to the last sync that had returned. */
static void find_synced(struct judge *j, size_t cut)
{
	for (size_t i = 0; i < j->w->nops && j->w->ops[i].begin < cut; i++) {
		const struct crash_timed_op *t = &j->w->ops[i];

		j->begun = i + 1;
		if (is_sync(&t->op) && t->op.id == j->node->st.st_uid && t->end < cut)
			j->synced = i + 1;
	}
}

int crash_oracle_check_file(const struct crash_worker *w, const struct crash_node *node, size_t cut,
			    char *why, size_t why_len)
{
	struct judge j = { .w = w, .node = node, .why = why, .why_len = why_len };
	struct content c = { 0 };
	uint64_t size = (uint64_t)node->st.st_size;

	find_synced(&j, cut);
	for (size_t i = 0; i < j.synced; i++)
		if (w->ops[i].op.id == node->st.st_uid && !w->ops[i].refused)
			apply(&c, &w->ops[i].op);
	c.min = c.max = c.size;
	for (size_t i = j.synced; i < j.begun; i++)
		if (w->ops[i].op.id == node->st.st_uid)
			allow(&c, &w->ops[i].op);
	if (size < c.min || size > c.max || size > LOAD_FAR_SECTORS * CRASH_SECTOR)
		return complain(&j, "a size it should not have", size, c.size);
	for (uint32_t i = 0; (uint64_t)i * CRASH_SECTOR < size; i++)
		if (check_sector(&j, &c.sectors[i], i))
			return -1;
	return 0;
}
