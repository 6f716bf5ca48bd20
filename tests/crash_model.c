/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model of the crash tests. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crash_model.h"
#include "unit_image.h"

enum { TAG_MAGIC = 0x7a67a7e2 };

/* A sector repeats this. */
struct tag {
	uint32_t magic, id, index, version;
};

struct crash_object *crash_model_object(struct crash_model *m, uint32_t id)
{
	for (unsigned i = 0; i < m->nobjects; i++)
		if (m->objects[i].id == id)
			return &m->objects[i];
	return NULL;
}

struct crash_name *crash_model_name(struct crash_model *m, uint32_t parent, const char *name)
{
	for (unsigned i = 0; i < m->nnames; i++)
		if (m->names[i].parent == parent && !strcmp(m->names[i].name, name))
			return &m->names[i];
	return NULL;
}

static struct crash_object *must_object(struct crash_model *m, uint32_t id)
{
	struct crash_object *o = crash_model_object(m, id);

	if (!o)
		unit_die("the model has no object %u", id);
	return o;
}

static struct crash_name *must_name(struct crash_model *m, uint32_t parent, const char *name)
{
	struct crash_name *n = crash_model_name(m, parent, name);

	if (!n)
		unit_die("the model has no name %s in %u", name, parent);
	return n;
}

/* A directory more or less in its parent; the root is not modelled. */
static void count_subdir(struct crash_model *m, uint32_t parent, const struct crash_object *o, int by)
{
	struct crash_object *dir = S_ISDIR(o->mode) ? crash_model_object(m, parent) : NULL;

	if (dir)
		dir->nlink += (uint32_t)by;
}

static void add_name(struct crash_model *m, uint32_t parent, const char *name, uint32_t id)
{
	struct crash_name *n = &m->names[m->nnames++];

	if (m->nnames > CRASH_MAX_ENTRIES)
		unit_die("the model is full");
	*n = (struct crash_name){ .parent = parent, .id = id };
	snprintf(n->name, sizeof(n->name), "%s", name);
}

/* Its object too, with its last link. */
static void drop_name(struct crash_model *m, struct crash_name *n)
{
	struct crash_object *o = must_object(m, n->id);

	count_subdir(m, n->parent, o, -1);
	o->nlink--;
	*n = m->names[--m->nnames];
	if (!o->nlink || S_ISDIR(o->mode))
		*o = m->objects[--m->nobjects];
}

static void make(struct crash_model *m, const struct crash_op *op)
{
	struct crash_object *o = &m->objects[m->nobjects++];

	if (m->nobjects > CRASH_MAX_OBJECTS)
		unit_die("the model is full");
	*o = (struct crash_object){ .id = op->id, .mode = op->mode, .nlink = S_ISDIR(op->mode) ? 2 : 1 };
	if (!*op->name) {
		o->nlink = 0;
		return;
	}
	add_name(m, op->parent, op->name, op->id);
	count_subdir(m, op->parent, o, 1);
}

static void move(struct crash_model *m, const struct crash_op *op)
{
	struct crash_name *to = crash_model_name(m, op->parent2, op->name2), *from;
	struct crash_object *o;

	if (to)
		drop_name(m, to);
	from = must_name(m, op->parent, op->name);
	o = must_object(m, from->id);
	count_subdir(m, from->parent, o, -1);
	from->parent = op->parent2;
	snprintf(from->name, sizeof(from->name), "%s", op->name2);
	count_subdir(m, from->parent, o, 1);
}

static void exchange(struct crash_model *m, const struct crash_op *op)
{
	struct crash_name *a = must_name(m, op->parent, op->name);
	struct crash_name *b = must_name(m, op->parent2, op->name2);
	uint32_t id = a->id;

	count_subdir(m, a->parent, must_object(m, a->id), -1);
	count_subdir(m, b->parent, must_object(m, b->id), -1);
	a->id = b->id;
	b->id = id;
	count_subdir(m, a->parent, must_object(m, a->id), 1);
	count_subdir(m, b->parent, must_object(m, b->id), 1);
}

static void set_xattr(struct crash_model *m, const struct crash_op *op)
{
	struct crash_object *o = must_object(m, op->id);

	o->xattr[op->off % CRASH_XATTRS] = op->version;
	o->xattr_len[op->off % CRASH_XATTRS] = op->version ? (uint32_t)op->len : 0;
}

void crash_model_apply(struct crash_model *m, const struct crash_op *op)
{
	struct crash_object *o;

	switch (op->kind) {
	case CRASH_MAKE:
		make(m, op);
		break;
	case CRASH_LINK:
		must_object(m, op->id)->nlink++;
		add_name(m, op->parent, op->name, op->id);
		break;
	case CRASH_REMOVE:
		drop_name(m, must_name(m, op->parent, op->name));
		break;
	case CRASH_RENAME:
		move(m, op);
		break;
	case CRASH_EXCHANGE:
		exchange(m, op);
		break;
	case CRASH_CHMOD:
		o = must_object(m, op->id);
		o->mode = (o->mode & S_IFMT) | op->mode;
		break;
	case CRASH_XATTR:
		set_xattr(m, op);
		break;
	case CRASH_WRITE:
	case CRASH_ALLOCATE:
		o = crash_model_object(m, op->id);
		if (o)
			o->size = MAX(o->size, op->off + op->len);
		break;
	case CRASH_TRUNCATE:
		must_object(m, op->id)->size = op->off;
		break;
	case CRASH_CLOSE:
		o = crash_model_object(m, op->id);
		if (o && !o->nlink)
			*o = m->objects[--m->nobjects];
		break;
	default:
		break;
	}
}

/* -- sums ---------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 29;
	return h * UINT64_C(0xbf58476d1ce4e5b9);
}

uint64_t crash_say_name(uint32_t parent, const char *name, uint32_t id)
{
	const uint32_t ids[2] = { parent, id };

	return hash(hash(1, ids, sizeof(ids)), name, strlen(name));
}

uint64_t crash_say_object(const struct crash_object *o)
{
	return hash(2, o, offsetof(struct crash_object, size));
}

uint64_t crash_model_sum(const struct crash_model *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nnames; i++)
		sum += crash_say_name(m->names[i].parent, m->names[i].name, m->names[i].id);
	for (unsigned i = 0; i < m->nobjects; i++)
		if (m->objects[i].nlink)
			sum += crash_say_object(&m->objects[i]);
	return sum;
}

/* -- contents ------------------------------------------------------------------------ */

void crash_fill_sector(uint8_t sector[CRASH_SECTOR], uint32_t id, uint32_t index, uint32_t version)
{
	const struct tag tag = { TAG_MAGIC, id, index, version };

	for (size_t i = 0; i < CRASH_SECTOR; i += sizeof(tag))
		memcpy(sector + i, &tag, sizeof(tag));
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

const char *crash_parse_sector(const uint8_t *sector, size_t visible, uint32_t id, uint32_t index,
			       uint32_t *ret_version, size_t *ret_valid)
{
	uint8_t want[CRASH_SECTOR];
	struct tag tag;
	size_t valid;

	*ret_version = 0;
	*ret_valid = 0;
	if (is_zero(sector, visible))
		return NULL;
	if (visible < sizeof(tag))
		return "less than a tag";
	memcpy(&tag, sector, sizeof(tag));
	if (tag.magic != TAG_MAGIC)
		return "bytes that nobody wrote";
	if (tag.id != id)
		return "another file's bytes";
	if (tag.index != index)
		return "bytes from elsewhere in the file";
	crash_fill_sector(want, id, index, tag.version);
	for (valid = 0; valid < visible && sector[valid] == want[valid]; valid++)
		;
	/* The last bytes of what is valid may be zeros themselves. */
	if (!is_zero(sector + valid, visible - valid))
		return "a sector of two writes";
	*ret_version = tag.version;
	*ret_valid = valid;
	return NULL;
}

void crash_fill_xattr(uint8_t *value, size_t len, uint32_t id, uint32_t version)
{
	const uint32_t ids[2] = { id, version };

	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)(((const uint8_t *)ids)[i % sizeof(ids)] + i / sizeof(ids));
}

void crash_fill_target(char target[300], uint32_t id)
{
	int n = snprintf(target, 300, "to-%u-", id);

	memset(target + n, 'x', 299 - (size_t)n);
	target[n + (int)(id * 37 % 200)] = '\0';
}
