/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Working out a change of an attribute on copies of the inode's area and the block.
 *
 * Where a value goes, in the kernel's order: the inode, the block, an ea_inode (at once
 * if it is nearly a block long). Without ea_inodes, when neither place has room as it
 * is, attributes are moved between the two to make room.
 */
#include <errno.h>

#include "xattr_int.h"

static bool is_inline_data(const struct xattr_key *key)
{
	return key->index == XATTR_IDX_SYSTEM;
}

/* -- the starting point ---------------------------------------------------------- */

static int load_areas(struct xattr_plan *p)
{
	int err = xattr_ibody_load(p->inode, &p->ibody);

	if (err)
		return err;
	return xattr_block_load(p->inode, &p->block.old, &p->block.area);
}

static void free_areas(struct xattr_plan *p)
{
	free(p->ibody.base);
	free(p->block.area.base);
	cache_put(p->block.old);
	p->ibody.base = p->block.area.base = NULL;
	p->block.old = NULL;
}

/* Before another attempt. */
static int reload_areas(struct xattr_plan *p)
{
	free_areas(p);
	p->ibody_edited = p->block_edited = false;
	return load_areas(p);
}

/* The ea_inodes of all entries of the block but key's. */
static int open_shared(struct xattr_plan *p)
{
	struct xattr_block_change *c = &p->block;
	struct xattr_ent e = { .next = 0 };
	unsigned n = 0;
	int err = 0;

	while (xattr_area_next(&c->area, &e))
		n += e.val.ea_ino != 0;
	if (!n)
		return 0;
	c->shared = calloc(n, sizeof(struct inode *));
	if (!c->shared)
		return -ENOMEM;
	e.next = 0;
	while (!err && xattr_area_next(&c->area, &e)) {
		if (!e.val.ea_ino || xattr_key_cmp(&e.key, &p->key) == 0)
			continue;
		err = ea_inode_open(p->inode, e.val.ea_ino, &c->shared[c->nshared]);
		c->nshared += !err;
	}
	return err;
}

static int find_old(struct xattr_plan *p, struct xattr_ent *ret_ent, bool *ret_found)
{
	*ret_found = xattr_area_find(&p->ibody, &p->key, ret_ent);
	if (!*ret_found)
		*ret_found = p->old_in_block =
			xattr_area_find(&p->block.area, &p->key, ret_ent);
	if (!*ret_found || !ret_ent->val.ea_ino)
		return 0;
	return ea_inode_open(p->inode, ret_ent->val.ea_ino, &p->ea_old);
}

/* -- placing a value ------------------------------------------------------------- */

static bool fits(const struct xattr_plan *p, const struct xattr_area *a,
		 const struct xattr_val *val)
{
	const struct fs *fs = p->inode->fs;
	uint32_t values, reserve = MIN(fs->block_size / 8, 1024u);

	if (!a->size || (int64_t)xattr_need(&p->key, val) > xattr_area_free(a, &p->key, &values))
		return false;
	/* Where a long value could go elsewhere a block keeps room for more names. */
	if (a->block && fs->has_ea_inode && !val->ea_ino && val->size)
		return values + xattr_pad(val->size) + reserve <= a->size;
	return true;
}

static int put_in_ibody(struct xattr_plan *p, const struct xattr_val *val)
{
	int err;

	if (!fits(p, &p->ibody, val))
		return -ENOSPC;
	err = xattr_area_set(&p->ibody, &p->key, val);
	if (err)
		return err;
	p->ibody_edited = true;
	if (!p->old_in_block)
		return 0;
	p->block_edited = true;
	return xattr_area_remove(&p->block.area, &p->key);
}

static int put_in_block(struct xattr_plan *p, const struct xattr_val *val)
{
	struct xattr_ent e;
	int err;

	if (!fits(p, &p->block.area, val))
		return -ENOSPC;
	err = xattr_area_set(&p->block.area, &p->key, val);
	if (err)
		return err;
	p->block_edited = true;
	if (!xattr_area_find(&p->ibody, &p->key, &e))
		return 0;
	p->ibody_edited = true;
	return xattr_area_remove(&p->ibody, &p->key);
}

static int put_anywhere(struct xattr_plan *p, const struct xattr_val *val)
{
	int err = put_in_ibody(p, val);

	return err == -ENOSPC ? put_in_block(p, val) : err;
}

/* Moves the first entry that may and fits from one area to the other. */
static int move_one(struct xattr_plan *p, struct xattr_area *from, struct xattr_area *to)
{
	struct xattr_ent e = { .next = 0 };
	int err;

	while (xattr_area_next(from, &e)) {
		if (is_inline_data(&e.key) || xattr_key_cmp(&e.key, &p->key) == 0)
			continue;
		err = xattr_area_set(to, &e.key, &e.val);
		if (err == -ENOSPC)
			continue;
		if (!err)
			err = xattr_area_remove(from, &e.key);
		p->ibody_edited = p->block_edited = true;
		return err;
	}
	return -ENOSPC;
}

static int put_moving(struct xattr_plan *p, const struct xattr_val *val, bool into_block)
{
	struct xattr_area *from = into_block ? &p->block.area : &p->ibody;
	struct xattr_area *to = into_block ? &p->ibody : &p->block.area;
	int err = reload_areas(p);

	if (!err && !p->ibody.size)
		err = -ENOSPC;
	while (!err && !fits(p, from, val))
		err = move_one(p, from, to);
	if (err)
		return err;
	return into_block ? put_in_block(p, val) : put_in_ibody(p, val);
}

/* A symbolic link's entry must be in a block: e2fsck and libext2fs take one that has
 * blocks but no attribute block for a link whose target is in blocks. */
static int put_in_ea_inode(struct xattr_plan *p)
{
	struct xattr_val val = { .size = p->size, .ea_ino = UINT32_MAX, .ea_hash = 1 };
	int err = S_ISLNK(p->inode->mode) ? put_in_block(p, &val) : put_anywhere(p, &val);

	if (err)
		return err;
	p->ea_new = true;
	return p->in_place ? 0 : ea_space_reserve(p->inode->fs, p->inode, p->size, &p->space);
}

static int place_value(struct xattr_plan *p)
{
	struct fs *fs = p->inode->fs;
	struct xattr_val val = { .data = p->size ? p->value : NULL, .size = p->size };
	/* A value this long would leave a block to itself. */
	uint32_t large = fs->block_size - EXT2_EXT_ATTR_LEN(3) -
			 sizeof(struct ext2_ext_attr_header) - XATTR_TERMINATOR;
	int err;

	if (xattr_pad(p->size) > large)
		return fs->has_ea_inode ? put_in_ea_inode(p) : -ENOSPC;
	err = put_anywhere(p, &val);
	if (err != -ENOSPC)
		return err;
	if (fs->has_ea_inode && p->size)
		return put_in_ea_inode(p);
	err = put_moving(p, &val, true);
	return err == -ENOSPC ? put_moving(p, &val, false) : err;
}

static int remove_value(struct xattr_plan *p)
{
	p->ibody_edited = !p->old_in_block;
	p->block_edited = p->old_in_block;
	return xattr_area_remove(p->old_in_block ? &p->block.area : &p->ibody, &p->key);
}

/* -- the whole ------------------------------------------------------------------- */

static bool same_value(const struct xattr_plan *p, const struct xattr_ent *e)
{
	return !e->val.ea_ino && e->val.size == p->size &&
	       (p->size == 0 || memcmp(e->val.data, p->value, p->size) == 0);
}

/* The old value's ea_inode is ours alone and would go away. */
static bool releases_old_ea(const struct xattr_plan *p, bool shared)
{
	return p->ea_old && !(p->old_in_block && shared) &&
	       ea_inode_refs(p->inode, p->ea_old) == 1;
}

static int rewrite_old_ea(struct xattr_plan *p, unsigned flags)
{
	if ((flags & PLAN_REMOVE) || p->ea_old->size != p->size)
		return -EBUSY;
	p->ea_rewrite = true;
	p->block_edited = p->old_in_block;
	p->ibody_edited = !p->old_in_block;
	return 0;
}

static int place(struct xattr_plan *p, unsigned flags, bool shared)
{
	int err;

	if (p->in_place && releases_old_ea(p, shared))
		return rewrite_old_ea(p, flags);
	err = flags & PLAN_REMOVE ? remove_value(p) : place_value(p);
	if (!err && p->old_in_block)
		p->block.gone = p->ea_old;
	return err;
}

static int plan_change(struct xattr_plan *p, unsigned flags)
{
	bool found, shared;
	struct xattr_ent old;
	int err = find_old(p, &old, &found);

	if (err)
		return err;
	if (!found && (flags & (PLAN_REPLACE | PLAN_REMOVE)))
		return -ENODATA;
	if (found && (flags & PLAN_CREATE))
		return -EEXIST;
	if (!(flags & PLAN_REMOVE) && found && same_value(p, &old)) {
		p->noop = true;
		return 0;
	}
	shared = p->block.old && xattr_block_shared(p->inode->fs, p->block.old);
	err = shared ? open_shared(p) : 0;
	return err ? err : place(p, flags, shared);
}

int xattr_plan_make(struct xattr_plan *p, struct inode *inode, const struct xattr_key *key,
		    const void *value, uint32_t size, unsigned flags, bool in_place)
{
	int err;

	memset(p, 0, sizeof(*p));
	p->inode = inode;
	p->key = *key;
	p->value = value;
	p->size = size;
	p->in_place = in_place;
	err = load_areas(p);
	return err ? err : plan_change(p, flags);
}

void xattr_plan_fini(struct xattr_plan *p)
{
	free_areas(p);
	ea_space_release(p->inode->fs, &p->space);
	for (unsigned i = 0; i < p->block.nshared; i++)
		inode_put(p->block.shared[i]);
	free(p->block.shared);
	inode_put(p->ea_old);
}
