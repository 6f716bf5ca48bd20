/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of the crash tests' workers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "crash_ops.h"
#include "util.h"

enum { MAX_FILES = 40, STORM = 50, FAR_ROOM = 14 << 20 };

static void do_write(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	int fd = load_open(l, n, O_WRONLY);

	load_write_some(l, fd, n->id);
	close(fd);
}

static void do_append(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	int fd = load_open(l, n, O_WRONLY);

	for (unsigned i = 1 + load_pick(l, 4); i; i--) {
		load_append(l, fd, n->id);
		load_sync(l, fd, n->id, load_pick(l, 4) ? CRASH_FSYNC : CRASH_FDATASYNC);
	}
	close(fd);
}

/* An O_DSYNC write is a write and what fdatasync promises. */
static void do_dsync(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_FDATASYNC, .id = n->id };
	int fd = load_open(l, n, O_WRONLY | (load_pick(l, 2) ? O_DSYNC : O_SYNC));
	unsigned from = load_pick(l, LOAD_MAX_SECTORS - 16);

	/* It promises only what it has written: sync the rest first. */
	load_sync(l, fd, n->id, CRASH_FDATASYNC);
	load_write(l, fd, n->id, from, 1 + load_pick(l, 16));
	load_begin(l, &op);
	load_end(l, &op, 0);
	close(fd);
}

/* The way editors and databases replace a file. */
static void do_replace(struct load *l)
{
	const struct crash_name *old = load_some_file(l);
	uint32_t dir = old->parent, id;
	char name[CRASH_NAME_LEN], tmp[CRASH_NAME_LEN];
	int fd;

	memcpy(name, old->name, sizeof(name));
	load_free_name(l, dir, tmp);
	id = load_make(l, dir, tmp, S_IFREG | 0600);
	fd = load_open(l, crash_model_name(&l->model, dir, tmp), O_WRONLY);
	load_write(l, fd, id, 0, 1 + load_pick(l, 60));
	if (load_pick(l, 4))
		load_sync(l, fd, id, CRASH_FSYNC);
	close(fd);
	load_rename(l, crash_model_name(&l->model, dir, tmp), dir, name, CRASH_RENAME);
	if (load_pick(l, 2))
		load_sync_dir(l, dir);
}

static void do_truncate(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_TRUNCATE, .id = n->id };
	int fd = load_open(l, n, O_WRONLY);

	op.off = (uint64_t)load_pick(l, LOAD_MAX_SECTORS) * CRASH_SECTOR;
	if (load_pick(l, 2))
		op.off += 64 + load_pick(l, CRASH_SECTOR - 64);
	if (!load_pick(l, 6))
		op.off = 0;
	load_begin(l, &op);
	load_end(l, &op, ftruncate(fd, (off_t)op.off));
	if (load_pick(l, 2))
		load_append(l, fd, op.id);
	if (!load_pick(l, 3))
		load_sync(l, fd, op.id, CRASH_FSYNC);
	close(fd);
}

static void do_punch(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_PUNCH, .id = n->id };
	unsigned from = load_pick(l, LOAD_MAX_SECTORS - 1), len = 1 + load_pick(l, 40);
	int mode = load_pick(l, 3) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, ret;
	int fd = load_open(l, n, O_WRONLY);

	op.off = (uint64_t)from * CRASH_SECTOR;
	op.len = (uint64_t)MIN(len, LOAD_MAX_SECTORS - from) * CRASH_SECTOR;
	load_begin(l, &op);
	ret = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)op.off, (off_t)op.len);
	/* Files with indirect blocks cannot have zeros without writing them. */
	if (ret >= 0 || errno != EOPNOTSUPP)
		load_end(l, &op, ret);
	else
		load_refused(l, &op);
	if (!load_pick(l, 3))
		load_sync(l, fd, op.id, CRASH_FSYNC);
	close(fd);
}

/* The one file of the worker that has been allocated far out, or NULL. */
static struct crash_name *some_far_file(struct load *l)
{
	for (unsigned i = 0; i < l->model.nnames; i++)
		if (crash_model_object(&l->model, l->model.names[i].id)->size >
		    LOAD_MAX_SECTORS * CRASH_SECTOR)
			return &l->model.names[i];
	return NULL;
}

static void do_allocate(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_ALLOCATE, .id = n->id };
	int fd = load_open(l, n, O_WRONLY), ret;

	op.off = (uint64_t)load_pick(l, LOAD_MAX_SECTORS / 2) * CRASH_SECTOR;
	op.len = (uint64_t)(1 + load_pick(l, LOAD_MAX_SECTORS / 2)) * CRASH_SECTOR;
	load_begin(l, &op);
	ret = fallocate(fd, 0, (off_t)op.off, (off_t)op.len);
	if (ret >= 0 || errno != EOPNOTSUPP)
		load_end(l, &op, ret);
	else
		load_refused(l, &op);
	if (load_pick(l, 2))
		load_write_some(l, fd, op.id);
	close(fd);
}

/* So many groups that freeing them takes several transactions; where there is room. */
static void do_far(struct load *l)
{
	const struct crash_name *n = some_far_file(l);
	struct crash_op op = { .kind = CRASH_ALLOCATE };
	struct statvfs st;
	int fd, ret;

	if (!n) {
		if (statvfs(".", &st) || (uint64_t)st.f_bavail * st.f_bsize < FAR_ROOM)
			return;
		n = load_some_file(l);
	}
	fd = load_open(l, n, O_WRONLY);
	op.id = n->id;
	op.off = (uint64_t)load_pick(l, LOAD_MAX_SECTORS) * CRASH_SECTOR;
	op.len = LOAD_FAR_SECTORS * CRASH_SECTOR - op.off;
	if (load_pick(l, 2))
		op.kind = CRASH_PUNCH;
	load_begin(l, &op);
	ret = fallocate(fd, op.kind == CRASH_PUNCH ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0,
			(off_t)op.off, (off_t)op.len);
	if (ret >= 0 || errno != EOPNOTSUPP)
		load_end(l, &op, ret);
	else
		load_refused(l, &op);
	close(fd);
}

static void do_fsync(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	int fd = load_open(l, n, O_RDONLY);

	load_sync(l, fd, n->id, CRASH_FSYNC);
	close(fd);
}

static void do_sync_dir(struct load *l)
{
	load_sync_dir(l, load_some_dir(l));
}

static void do_chmod(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_CHMOD, .id = n->id, .mode = 0600 | load_pick(l, 64) };
	char path[LOAD_PATH_LEN];

	load_begin(l, &op);
	load_end(l, &op, chmod(load_path(l, n, path), op.mode));
}

static void do_xattr(struct load *l)
{
	const struct crash_name *n = load_pick(l, 4) ? load_some_file(l) : load_some_name(l, S_IFDIR);
	struct crash_op op = { .kind = CRASH_XATTR, .off = load_pick(l, CRASH_XATTRS) };
	static const uint32_t most[] = { 30, 200, 500, 500, 800 };
	uint8_t value[CRASH_XATTR_MAX];
	const struct crash_object *o;
	char path[LOAD_PATH_LEN], name[16];
	int ret;

	if (!n)
		return;
	op.id = n->id;
	o = crash_model_object(&l->model, op.id);
	load_path(l, n, path);
	snprintf(name, sizeof(name), "user.c%u", (unsigned)op.off);
	if (o->xattr[op.off] && !load_pick(l, 3)) {
		load_begin(l, &op);
		load_end(l, &op, removexattr(path, name));
		return;
	}
	op.len = 8 + load_pick(l, most[load_pick(l, 5)] - 8);
	op.version = ++l->last_version;
	crash_fill_xattr(value, op.len, op.id, op.version);
	load_begin(l, &op);
	ret = setxattr(path, name, value, op.len, 0);
	/* Both in one block of 1 KiB may be too much. */
	if (ret >= 0 || errno != ENOSPC)
		load_end(l, &op, ret);
	else
		load_refused(l, &op);
}

static void do_link(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	struct crash_op op = { .kind = CRASH_LINK, .id = n->id, .parent = load_some_dir(l) };
	char from[LOAD_PATH_LEN], to[LOAD_PATH_LEN];

	if (l->model.nnames > MAX_FILES)
		return;
	load_free_name(l, op.parent, op.name);
	load_path(l, n, from);
	load_path_in(l, op.parent, op.name, to);
	load_begin(l, &op);
	load_end(l, &op, link(from, to));
}

static void do_rename(struct load *l)
{
	const struct crash_name *n = load_some_file(l), *to;
	uint32_t dir = load_some_dir(l);
	char name[CRASH_NAME_LEN];

	if (load_pick(l, 2)) {
		load_free_name(l, dir, name);
		load_rename(l, n, dir, name, CRASH_RENAME);
		return;
	}
	to = load_some_name(l, S_IFREG);
	/* Two names of one file: renaming does nothing. */
	if (to->id == n->id)
		return;
	load_rename(l, n, to->parent, to->name, load_pick(l, 2) ? CRASH_EXCHANGE : CRASH_RENAME);
}

static void do_dirs(struct load *l)
{
	const struct crash_name *n = load_some_name(l, S_IFDIR);
	char name[CRASH_NAME_LEN];
	uint32_t root = crash_first_id(l->worker);

	if (!n || load_count(l, S_IFDIR) < LOAD_DIRS) {
		uint32_t parent = load_some_dir(l);

		load_free_name(l, parent, name);
		load_make(l, parent, name, S_IFDIR | 0777);
	} else if (load_pick(l, 2)) {
		load_free_name(l, root, name);
		load_rename(l, n, root, name, CRASH_RENAME);
	} else {
		for (unsigned i = 0; i < l->model.nnames; i++)
			if (l->model.names[i].parent == n->id)
				return;
		load_remove(l, n);
	}
}

static void do_unlink(struct load *l)
{
	load_remove(l, load_some_file(l));
}

static void keep_open(struct load *l, int fd, uint32_t id)
{
	struct load_open *slot = &l->open[load_pick(l, LOAD_OPEN)];

	struct crash_op op = { .kind = CRASH_CLOSE, .id = slot->id };

	if (slot->id) {
		load_begin(l, &op);
		load_end(l, &op, close(slot->fd));
	}
	*slot = (struct load_open){ fd, id };
}

/* An orphan that goes on living. */
static void do_orphan(struct load *l)
{
	const struct crash_name *n = load_some_file(l);
	uint32_t id = n->id;
	int fd = load_open(l, n, O_RDWR);

	if (crash_model_object(&l->model, id)->nlink > 1) {
		close(fd);
		return;
	}
	load_remove(l, n);
	load_write_some(l, fd, id);
	if (!load_pick(l, 3))
		load_sync(l, fd, id, CRASH_FSYNC);
	keep_open(l, fd, id);
}

/* A file that gets its name when it is finished, or never. */
static void do_tmpfile(struct load *l)
{
	struct crash_op op = { .kind = CRASH_MAKE, .id = ++l->last_id, .mode = S_IFREG | 0640 };
	struct crash_op link = { .kind = CRASH_LINK, .id = op.id, .parent = load_some_dir(l) };
	char path[LOAD_PATH_LEN], from[64];
	int fd;

	load_path_in(l, link.parent, ".", path);
	load_begin(l, &op);
	setfsuid(op.id);
	fd = open(path, O_TMPFILE | O_RDWR, 0640);
	setfsuid(0);
	load_end(l, &op, fd);
	load_write_some(l, fd, op.id);
	if (load_pick(l, 2)) {
		keep_open(l, fd, op.id);
		return;
	}
	if (load_pick(l, 2))
		load_sync(l, fd, op.id, CRASH_FSYNC);
	load_free_name(l, link.parent, link.name);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	load_path_in(l, link.parent, link.name, path);
	load_begin(l, &link);
	load_end(l, &link, linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
	close(fd);
}

/* Names come and go by the dozen, so that directory blocks turn into data and back. */
static void do_storm(struct load *l)
{
	static const mode_t modes[] = { S_IFREG | 0600, S_IFLNK | 0777, S_IFIFO | 0600, S_IFDIR | 0777 };
	char dir_name[CRASH_NAME_LEN], name[CRASH_NAME_LEN];
	uint32_t dir, root = crash_first_id(l->worker);
	unsigned n = 5 + load_pick(l, STORM);

	if (l->model.nnames + n + 8 > CRASH_MAX_ENTRIES)
		return;
	load_free_name(l, root, dir_name);
	dir = load_make(l, root, dir_name, S_IFDIR | 0777);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "a-long-name-in-a-storm-%u", i);
		load_make(l, dir, name, modes[load_pick(l, 4)]);
	}
	if (!load_pick(l, 3))
		load_sync_dir(l, dir);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "a-long-name-in-a-storm-%u", i);
		load_remove(l, crash_model_name(&l->model, dir, name));
	}
	load_remove(l, crash_model_name(&l->model, root, dir_name));
}

/* How often, of all: in each mix. */
static const struct {
	void (*run)(struct load *l);
	uint8_t weight[6];
} steps[] = {
	/*		   all st ap rp tr or */
	{ do_write,	{ 6, 2, 4, 2, 8, 4 } },
	{ do_append,	{ 6, 0, 20, 2, 4, 2 } },
	{ do_dsync,	{ 2, 0, 6, 1, 1, 1 } },
	{ do_replace,	{ 5, 2, 2, 20, 0, 2 } },
	{ do_truncate,	{ 4, 0, 2, 0, 15, 4 } },
	{ do_punch,	{ 4, 0, 2, 0, 12, 4 } },
	{ do_allocate,	{ 2, 0, 2, 0, 6, 1 } },
	{ do_far,	{ 2, 0, 1, 1, 6, 4 } },
	{ do_fsync,	{ 2, 2, 2, 2, 2, 2 } },
	{ do_sync_dir,	{ 2, 3, 1, 2, 1, 1 } },
	{ do_chmod,	{ 2, 2, 1, 2, 1, 1 } },
	{ do_xattr,	{ 4, 4, 1, 4, 2, 6 } },
	{ do_link,	{ 2, 4, 0, 4, 0, 2 } },
	{ do_rename,	{ 4, 6, 1, 10, 1, 2 } },
	{ do_dirs,	{ 2, 6, 1, 2, 0, 1 } },
	{ do_unlink,	{ 3, 3, 2, 2, 4, 2 } },
	{ do_orphan,	{ 3, 1, 1, 1, 3, 15 } },
	{ do_tmpfile,	{ 3, 1, 1, 1, 1, 10 } },
	{ do_storm,	{ 1, 6, 0, 0, 0, 1 } },
};

const char *load_mix_name(unsigned mix)
{
	static const char *const names[] = { "all", "storm", "append", "replace", "truncate", "orphans" };

	return mix < ARRAY_LEN(names) ? names[mix] : NULL;
}

void load_step(struct load *l, unsigned mix)
{
	unsigned total = 0, n;

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
		total += steps[i].weight[mix];
	n = load_pick(l, total);
	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		if (n < steps[i].weight[mix]) {
			steps[i].run(l);
			return;
		}
		n -= steps[i].weight[mix];
	}
}

void load_start(struct load *l)
{
	struct crash_op op = {
		.kind = CRASH_MAKE, .id = crash_first_id(l->worker), .mode = S_IFDIR | 0777,
	};

	snprintf(op.name, sizeof(op.name), "p%u", l->worker);
	load_begin(l, &op);
	/* The root is root's: a directory of our own takes two steps. */
	load_end(l, &op, mkdir(op.name, 0777) || chown(op.name, op.id, (gid_t)-1) ? -1 : 0);
}
