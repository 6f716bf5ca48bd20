/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attribute areas: checking, walking and rewriting.
 *
 * A change builds the new area beside the old one and copies it over when it is
 * whole. That leaves nothing half done, and values that overlap in a damaged image
 * cannot push each other out of the area.
 */
#include <errno.h>

#include "xattr_area.h"

enum { VALUE_MAX = 1 << 24 };

static struct xattr_ent ent_at(const struct xattr_area *a, uint32_t off)
{
	const uint8_t *p = a->base + off;
	struct xattr_ent e = { .off = off };
	uint16_t value_off = get_le16(p + offsetof(struct ext2_ext_attr_entry, e_value_offs));

	e.key.len = p[offsetof(struct ext2_ext_attr_entry, e_name_len)];
	e.key.index = p[offsetof(struct ext2_ext_attr_entry, e_name_index)];
	e.key.name = (const char *)p + sizeof(struct ext2_ext_attr_entry);
	e.val.size = get_le32(p + offsetof(struct ext2_ext_attr_entry, e_value_size));
	e.val.ea_ino = get_le32(p + offsetof(struct ext2_ext_attr_entry, e_value_inum));
	e.val.ea_hash = get_le32(p + offsetof(struct ext2_ext_attr_entry, e_hash));
	if (!e.val.ea_ino && e.val.size)
		e.val.data = a->base + value_off;
	e.next = off + EXT2_EXT_ATTR_LEN(e.key.len);
	return e;
}

/* Finds the terminator. NULL, or what is wrong. */
static const char *names_fault(const struct xattr_area *a, uint32_t *ret_end)
{
	uint32_t off = a->first;

	while (off + XATTR_TERMINATOR <= a->size) {
		const uint8_t *p = a->base + off;
		uint32_t len = EXT2_EXT_ATTR_LEN(p[0]);

		if (get_le32(p) == 0) {
			*ret_end = off;
			return NULL;
		}
		if (len > a->size - off)
			return "name out of bounds";
		if (memchr(p + sizeof(struct ext2_ext_attr_entry), 0, p[0]))
			return "NUL in a name";
		off += len;
	}
	return "names without end";
}

static const char *value_fault(const struct fs *fs, const struct xattr_area *a,
			       const struct xattr_ent *e, uint32_t end)
{
	uint32_t off;

	if (e->val.size > VALUE_MAX)
		return "value too large";
	if (e->val.ea_ino && !fs->has_ea_inode)
		return "ea_inode without the feature";
	if (e->val.ea_ino && (e->val.ea_ino < fs->first_ino || e->val.ea_ino > fs->inodes_count))
		return "ea_inode number out of range";
	if (!e->val.data)
		return NULL;
	off = (const uint8_t *)e->val.data - a->base;
	if (off < end + XATTR_TERMINATOR)
		return "value overlaps the names";
	if (off > a->size || xattr_pad(e->val.size) > a->size - off)
		return "value out of bounds";
	return NULL;
}

int xattr_area_check(const struct fs *fs, const struct xattr_area *a, const char **ret_what)
{
	struct xattr_ent e = { .next = 0 };
	uint32_t end = 0;
	const char *fault = names_fault(a, &end);

	while (!fault && xattr_area_next(a, &e))
		fault = value_fault(fs, a, &e, end);
	if (!fault)
		return 0;
	*ret_what = fault;
	return -EUCLEAN;
}

bool xattr_area_next(const struct xattr_area *a, struct xattr_ent *e)
{
	uint32_t off = e->next ? e->next : a->first;

	if (!a->size || get_le32(a->base + off) == 0)
		return false;
	*e = ent_at(a, off);
	return true;
}

int xattr_key_cmp(const struct xattr_key *a, const struct xattr_key *b)
{
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->name, b->name, a->len);
}

bool xattr_area_find(const struct xattr_area *a, const struct xattr_key *key,
		     struct xattr_ent *ret_ent)
{
	struct xattr_ent e = { .next = 0 };

	while (xattr_area_next(a, &e)) {
		if (xattr_key_cmp(&e.key, key) == 0) {
			*ret_ent = e;
			return true;
		}
	}
	return false;
}

bool xattr_area_empty(const struct xattr_area *a)
{
	struct xattr_ent e = { .next = 0 };

	return !xattr_area_next(a, &e);
}

uint32_t xattr_hash_name(const struct xattr_key *key, bool sign)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < key->len; i++) {
		uint32_t c = sign ? (uint32_t)(int8_t)key->name[i] : (uint8_t)key->name[i];

		hash = (hash << 5 | hash >> 27) ^ c;
	}
	return hash;
}

uint32_t xattr_hash_value(uint32_t hash, const void *data, uint32_t size)
{
	const uint8_t *p = data;

	for (uint32_t i = 0; i < size; i += 4) {
		uint32_t word = 0;

		memcpy(&word, p + i, MIN(size - i, 4));
		hash = (hash << 16 | hash >> 16) ^ le32toh(word);
	}
	return hash;
}

uint32_t xattr_hash_block(const struct xattr_area *a)
{
	struct xattr_ent e = { .next = 0 };
	uint32_t hash = 0;

	while (xattr_area_next(a, &e)) {
		if (!e.val.ea_hash)
			return 0;	/* marks a block that must not be shared */
		hash = (hash << 16 | hash >> 16) ^ e.val.ea_hash;
	}
	return hash;
}

/* A new area under construction; the entry at `head`, values from `tail` on. */
struct builder {
	struct xattr_area a;
	uint32_t head, tail;
};

static int build_add(struct builder *b, const struct xattr_key *key, const struct xattr_val *val)
{
	uint32_t pad = val->ea_ino ? 0 : xattr_pad(val->size);
	uint32_t len = xattr_ent_len(key);
	uint8_t *p = b->a.base + b->head;
	uint32_t hash = val->ea_hash;

	if ((uint64_t)len + pad + XATTR_TERMINATOR > b->tail - b->head)
		return -ENOSPC;
	if (!val->ea_ino)
		hash = b->a.block ? xattr_hash_value(xattr_hash_name(key, false), val->data,
						     val->size) : 0;
	if (pad) {
		b->tail -= pad;
		memcpy(b->a.base + b->tail, val->data, val->size);
		put_le16(p + offsetof(struct ext2_ext_attr_entry, e_value_offs), b->tail);
	}
	p[offsetof(struct ext2_ext_attr_entry, e_name_len)] = key->len;
	p[offsetof(struct ext2_ext_attr_entry, e_name_index)] = key->index;
	put_le32(p + offsetof(struct ext2_ext_attr_entry, e_value_inum), val->ea_ino);
	put_le32(p + offsetof(struct ext2_ext_attr_entry, e_value_size), val->size);
	put_le32(p + offsetof(struct ext2_ext_attr_entry, e_hash), hash);
	memcpy(p + sizeof(struct ext2_ext_attr_entry), key->name, key->len);
	b->head += len;
	return 0;
}

/*
 * All entries but key's, and key with val unless that is NULL: in a block before the
 * first greater one, elsewhere where it was or at the end.
 */
static int build_all(struct builder *b, const struct xattr_area *old,
		     const struct xattr_key *key, const struct xattr_val *val)
{
	struct xattr_ent e = { .next = 0 };
	bool placed = val == NULL;
	int err = 0;

	while (!err && xattr_area_next(old, &e)) {
		int cmp = xattr_key_cmp(key, &e.key);

		if (!placed && (cmp == 0 || (old->block && cmp < 0))) {
			err = build_add(b, key, val);
			placed = true;
		}
		if (!err && cmp != 0)
			err = build_add(b, &e.key, &e.val);
	}
	if (!err && !placed)
		err = build_add(b, key, val);
	return err;
}

static int rebuild(struct xattr_area *a, const struct xattr_key *key, const struct xattr_val *val)
{
	struct builder b = { .a = *a, .head = a->first, .tail = a->size };
	int err;

	b.a.base = calloc(1, a->size);
	if (!b.a.base)
		return -ENOMEM;
	err = build_all(&b, a, key, val);
	if (!err)
		memcpy(a->base + a->first, b.a.base + a->first, a->size - a->first);
	free(b.a.base);
	return err;
}

int xattr_area_set(struct xattr_area *a, const struct xattr_key *key, const struct xattr_val *val)
{
	return a->size ? rebuild(a, key, val) : -ENOSPC;
}

int xattr_area_remove(struct xattr_area *a, const struct xattr_key *key)
{
	struct xattr_ent e;

	return xattr_area_find(a, key, &e) ? rebuild(a, key, NULL) : 0;
}

void xattr_area_set_ea(struct xattr_area *a, const struct xattr_key *key, uint32_t ea_ino,
		       uint32_t ea_hash)
{
	struct xattr_ent e;

	if (!xattr_area_find(a, key, &e))
		return;
	put_le32(a->base + e.off + offsetof(struct ext2_ext_attr_entry, e_value_inum), ea_ino);
	put_le32(a->base + e.off + offsetof(struct ext2_ext_attr_entry, e_hash), ea_hash);
}

int64_t xattr_area_free(const struct xattr_area *a, const struct xattr_key *key,
			uint32_t *ret_values)
{
	struct xattr_ent e = { .next = 0 };
	int64_t left = (int64_t)a->size - a->first - XATTR_TERMINATOR;
	uint32_t values = 0;

	while (xattr_area_next(a, &e)) {
		if (xattr_key_cmp(key, &e.key) == 0)
			continue;
		left -= xattr_need(&e.key, &e.val);
		values += e.val.ea_ino ? 0 : xattr_pad(e.val.size);
	}
	*ret_values = values;
	return left;
}
