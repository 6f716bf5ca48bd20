/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker of the crash tests does, and what it makes of a tree.
 *
 * Everything a worker makes has an owner number of its own, given when it is made: an inode
 * tells by it what it is, whatever its name. Each sector of a file says whose it is, where it
 * belongs, and which write it is from. Operations are numbered; those that change names,
 * modes, links or attributes are one transaction each, so of all of them a crash keeps the
 * first few: a tree can be compared with the model after each operation.
 */
#ifndef TESTS_CRASH_MODEL_H
#define TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CRASH_SECTOR = 512, CRASH_NAME_LEN = 40, CRASH_XATTRS = 2, CRASH_XATTR_MAX = 3600,
	CRASH_MAX_OBJECTS = 512, CRASH_MAX_ENTRIES = 512,
	CRASH_FIRST_ID = 1000, CRASH_IDS = 1000000,	/* owner numbers for each worker */
};

enum crash_kind {
	CRASH_MAKE,		/* id, mode, parent, name; an empty name: none yet (O_TMPFILE) */
	CRASH_LINK,		/* id gets a name */
	CRASH_REMOVE,		/* name in parent: unlink, rmdir */
	CRASH_RENAME,		/* name in parent to name2 in parent2, replacing what is there */
	CRASH_EXCHANGE,
	CRASH_CHMOD,		/* id, mode */
	CRASH_XATTR,		/* id, attribute off: version and len bytes; version 0: removed */
	CRASH_CONTENT,		/* kinds from here on do not show in names */
	CRASH_WRITE = CRASH_CONTENT,	/* id: bytes off, len; sector i has version + i */
	CRASH_TRUNCATE,		/* id: off bytes from now on */
	CRASH_PUNCH,		/* id: bytes off, len are zeros */
	CRASH_ALLOCATE,		/* id: at least off + len bytes */
	CRASH_FSYNC,		/* id */
	CRASH_FDATASYNC,	/* id */
	CRASH_CLOSE,		/* id, which never got a name */
	CRASH_KINDS
};

struct crash_op {
	uint32_t kind, number;	/* from 1, in the order of the worker */
	uint32_t id, mode, version;
	uint32_t parent, parent2;	/* ids of directories; 0: the root */
	uint64_t off, len;
	char name[CRASH_NAME_LEN], name2[CRASH_NAME_LEN];
};

enum crash_mark_what {
	CRASH_BEGINS,		/* nothing of it has happened */
	CRASH_ENDED,		/* it has succeeded */
	CRASH_REFUSED,		/* it has failed, and is as if it had not been */
};

/* The payload of a CRASH_MARK. */
struct crash_mark {
	uint32_t worker;
	uint32_t what;		/* enum crash_mark_what */
	struct crash_op op;
};

struct crash_object {
	uint32_t id, mode, nlink;
	uint32_t xattr[CRASH_XATTRS], xattr_len[CRASH_XATTRS];	/* version or 0, bytes */
	uint64_t size;		/* bytes; not part of what is said about it */
};

struct crash_name {
	uint32_t parent, id;
	char name[CRASH_NAME_LEN];
};

struct crash_model {
	struct crash_object objects[CRASH_MAX_OBJECTS];
	struct crash_name names[CRASH_MAX_ENTRIES];
	unsigned nobjects, nnames;
};

static inline uint32_t crash_first_id(uint32_t worker)
{
	return CRASH_FIRST_ID + worker * CRASH_IDS;
}
/* UINT32_MAX: nobody's. */
static inline uint32_t crash_worker_of(uint32_t id)
{
	return id < CRASH_FIRST_ID ? UINT32_MAX : (id - CRASH_FIRST_ID) / CRASH_IDS;
}

struct crash_object *crash_model_object(struct crash_model *m, uint32_t id);
/* NULL when there is no such name. */
struct crash_name *crash_model_name(struct crash_model *m, uint32_t parent, const char *name);
/* Of contents only the size counts. Aborts when the operation does not fit the model. */
void crash_model_apply(struct crash_model *m, const struct crash_op *op);

/*
 * A tree is the sum of what is said about it, in any order: each name, and each object once.
 * The same words about a model and a recovered tree make equal sums.
 */
uint64_t crash_say_name(uint32_t parent, const char *name, uint32_t id);
uint64_t crash_say_object(const struct crash_object *o);
uint64_t crash_model_sum(const struct crash_model *m);

/* Contents. */
void crash_fill_sector(uint8_t sector[CRASH_SECTOR], uint32_t id, uint32_t index, uint32_t version);
/*
 * What one sector of file id holds: a version, its first ret_valid bytes and zeros behind
 * them; version 0 is zeros alone. visible: bytes before the end of the file. NULL, or what
 * is wrong with it.
 */
const char *crash_parse_sector(const uint8_t *sector, size_t visible, uint32_t id, uint32_t index,
			       uint32_t *ret_version, size_t *ret_valid);
void crash_fill_xattr(uint8_t *value, size_t len, uint32_t id, uint32_t version);
/* Of a symbolic link; its length varies with id. */
void crash_fill_target(char target[300], uint32_t id);

#endif
