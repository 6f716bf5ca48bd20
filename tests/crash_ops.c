/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single operations of the crash tests' workers, with their marks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash_ops.h"
#include "util.h"

/* -- paths and choices --------------------------------------------------------------- */

/* A directory has one name. */
const char *load_path_in(struct load *l, uint32_t parent, const char *name,
			 char path[LOAD_PATH_LEN])
{
	char tail[LOAD_PATH_LEN];

	snprintf(path, LOAD_PATH_LEN, "%s", name);
	while (parent) {
		const struct crash_name *n = NULL;

		for (unsigned i = 0; i < l->model.nnames && !n; i++)
			if (l->model.names[i].id == parent)
				n = &l->model.names[i];
		if (!n)
			load_fail(l, "a directory without a name");
		memcpy(tail, path, sizeof(tail));
		if (snprintf(path, LOAD_PATH_LEN, "%s/%s", n->name, tail) >= LOAD_PATH_LEN)
			load_fail(l, "a path too long");
		parent = n->parent;
	}
	return path;
}

const char *load_path(struct load *l, const struct crash_name *n, char path[LOAD_PATH_LEN])
{
	return load_path_in(l, n->parent, n->name, path);
}

static uint64_t size_of(struct load *l, uint32_t id)
{
	return crash_model_object(&l->model, id)->size;
}

struct crash_name *load_some_name(struct load *l, mode_t type)
{
	unsigned n = l->model.nnames, from = n ? load_pick(l, n) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct crash_name *name = &l->model.names[(from + i) % n];

		if (name->parent &&
		    (crash_model_object(&l->model, name->id)->mode & S_IFMT) == type)
			return name;
	}
	return NULL;
}

unsigned load_count(struct load *l, mode_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->model.nobjects; i++)
		n += l->model.objects[i].nlink && (l->model.objects[i].mode & S_IFMT) == type;
	return n;
}

uint32_t load_some_dir(struct load *l)
{
	const struct crash_name *n = load_pick(l, 3) ? load_some_name(l, S_IFDIR) : NULL;

	return n ? n->id : crash_first_id(l->worker);
}

void load_free_name(struct load *l, uint32_t parent, char name[CRASH_NAME_LEN])
{
	do
		snprintf(name, CRASH_NAME_LEN, "%s%u", load_pick(l, 4) ? "n" : "a-rather-long-name-",
			 load_pick(l, 1000));
	while (crash_model_name(&l->model, parent, name));
}

/* -- single operations --------------------------------------------------------------- */

/* Makes it with the owner it is to have: identity needs no second transaction. */
static int make_as(struct load *l, const struct crash_op *op)
{
	char path[LOAD_PATH_LEN], target[300];
	int ret;

	load_path_in(l, op->parent, op->name, path);
	setfsuid(op->id);
	if (S_ISDIR(op->mode)) {
		ret = mkdir(path, op->mode & 07777);
	} else if (S_ISLNK(op->mode)) {
		crash_fill_target(target, op->id);
		ret = symlink(target, path);
	} else if (S_ISFIFO(op->mode)) {
		ret = mkfifo(path, op->mode & 07777);
	} else {
		ret = open(path, O_WRONLY | O_CREAT | O_EXCL, op->mode & 07777);
		if (ret >= 0)
			close(ret);
	}
	setfsuid(0);
	return ret;
}

uint32_t load_make(struct load *l, uint32_t parent, const char *name, mode_t mode)
{
	struct crash_op op = { .kind = CRASH_MAKE, .id = ++l->last_id, .mode = mode, .parent = parent };

	snprintf(op.name, sizeof(op.name), "%s", name);
	load_begin(l, &op);
	load_end(l, &op, make_as(l, &op));
	return op.id;
}

void load_remove(struct load *l, const struct crash_name *n)
{
	struct crash_op op = { .kind = CRASH_REMOVE, .id = n->id, .parent = n->parent };
	char path[LOAD_PATH_LEN];
	bool dir = S_ISDIR(crash_model_object(&l->model, n->id)->mode);

	memcpy(op.name, n->name, sizeof(op.name));
	load_path(l, n, path);
	load_begin(l, &op);
	load_end(l, &op, dir ? rmdir(path) : unlink(path));
}

void load_rename(struct load *l, const struct crash_name *n, uint32_t parent, const char *name,
		 enum crash_kind kind)
{
	struct crash_op op = { .kind = kind, .id = n->id, .parent = n->parent, .parent2 = parent };
	char from[LOAD_PATH_LEN], to[LOAD_PATH_LEN];

	memcpy(op.name, n->name, sizeof(op.name));
	snprintf(op.name2, sizeof(op.name2), "%s", name);
	load_path(l, n, from);
	load_path_in(l, parent, name, to);
	load_begin(l, &op);
	load_end(l, &op, renameat2(AT_FDCWD, from, AT_FDCWD, to,
				   kind == CRASH_EXCHANGE ? RENAME_EXCHANGE : 0));
}

int load_open(struct load *l, const struct crash_name *n, int flags)
{
	char path[LOAD_PATH_LEN];
	int fd = open(load_path(l, n, path), flags | O_CLOEXEC);

	if (fd < 0)
		load_fail(l, path);
	return fd;
}

void load_write(struct load *l, int fd, uint32_t id, unsigned from, unsigned nsectors)
{
	struct crash_op op = {
		.kind = CRASH_WRITE, .id = id, .version = l->last_version + 1,
		.off = (uint64_t)from * CRASH_SECTOR, .len = (uint64_t)nsectors * CRASH_SECTOR,
	};
	uint8_t data[LOAD_MAX_SECTORS * CRASH_SECTOR];
	ssize_t ret;

	for (unsigned i = 0; i < nsectors; i++)
		crash_fill_sector(data + i * CRASH_SECTOR, id, from + i, ++l->last_version);
	load_begin(l, &op);
	ret = pwrite(fd, data, op.len, (off_t)op.off);
	/* Less than all: the rest has failed, but how is not said. */
	if (ret >= 0 && ret < (ssize_t)op.len) {
		errno = EIO;
		ret = -1;
	}
	load_end(l, &op, (int)ret);
}

void load_write_some(struct load *l, int fd, uint32_t id)
{
	unsigned from = load_pick(l, LOAD_MAX_SECTORS - 1), n = 1 + load_pick(l, 40);

	load_write(l, fd, id, from, MIN(n, LOAD_MAX_SECTORS - from));
}

void load_append(struct load *l, int fd, uint32_t id)
{
	uint64_t from = div_up(size_of(l, id), CRASH_SECTOR);

	if (from + 12 < LOAD_MAX_SECTORS)
		load_write(l, fd, id, (unsigned)from, 1 + load_pick(l, 12));
}

void load_sync(struct load *l, int fd, uint32_t id, enum crash_kind kind)
{
	struct crash_op op = { .kind = kind, .id = id };

	load_begin(l, &op);
	load_end(l, &op, kind == CRASH_FSYNC ? fsync(fd) : fdatasync(fd));
}

void load_sync_dir(struct load *l, uint32_t id)
{
	char path[LOAD_PATH_LEN];
	int fd = open(load_path_in(l, id, ".", path), O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		load_fail(l, path);
	load_sync(l, fd, id, CRASH_FSYNC);
	close(fd);
}

struct crash_name *load_some_file(struct load *l)
{
	char name[CRASH_NAME_LEN];
	unsigned n = load_count(l, S_IFREG);
	uint32_t dir;

	if (n < LOAD_FILES / 2 || (n < LOAD_FILES && !load_pick(l, 4))) {
		dir = load_some_dir(l);
		load_free_name(l, dir, name);
		load_make(l, dir, name, S_IFREG | 0644);
		return crash_model_name(&l->model, dir, name);
	}
	return load_some_name(l, S_IFREG);
}
