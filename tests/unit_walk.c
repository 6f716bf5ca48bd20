/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk over a tree that may be damaged, looking and then changing. */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "dir.h"
#include "file.h"
#include "group.h"
#include "ops.h"
#include "unit_fork.h"
#include "unit_walk.h"
#include "xattr.h"

enum {
	MAX_DIRS = 64, MAX_ENTRIES = 200000, MAX_NAMES = 400, MAX_LOOKUPS = 150, READ_LEN = 64 << 10,
	MAX_READS = 40, MAX_SEEKS = 60, CHANGES = 40, CROWD = 60,
};

struct name {
	uint32_t dir, ino;
	char text[EXT2_NAME_LEN + 1];
};

struct walk {
	struct fs *fs;
	uint32_t dirs[MAX_DIRS];	/* found, in the order of the walk */
	unsigned ndirs, visited;
	struct name *names;		/* a sample */
	unsigned nnames, entries, in_dir;
	uint32_t dir;			/* being read */
	uint8_t buf[READ_LEN];
	uint64_t rnd;
};

/* A result must be a count or an errno. */
static int64_t check(int64_t ret, const char *what)
{
	UNIT_CHECK(ret >= -4095, "%s returned %lld", what, (long long)ret);
	return ret;
}
#define CHECK(call) check((call), #call)

static bool take_entry(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		       uint64_t next_cookie)
{
	struct walk *w = arg;
	struct name *n;

	w->in_dir++;
	UNIT_CHECK(len <= EXT2_NAME_LEN, "name of %zu bytes", len);
	if (w->in_dir > MAX_ENTRIES)
		return false;
	if (w->nnames < MAX_NAMES && (w->in_dir < MAX_LOOKUPS || unit_random(&w->rnd) % 64 == 0)) {
		n = &w->names[w->nnames++];
		n->dir = w->dir;
		n->ino = ino;
		memcpy(n->text, name, len);
		n->text[len] = '\0';
	}
	return true;
}

static void look_at_xattrs(struct walk *w, struct inode *inode)
{
	char *list = malloc(XATTR_LIST_MAX), *name;
	ssize_t len = CHECK(xattr_list(inode, list, XATTR_LIST_MAX, true));

	UNIT_CHECK(len <= XATTR_LIST_MAX, "%zd bytes of names", len);
	for (name = list; len > 0 && name < list + len; name += strlen(name) + 1) {
		CHECK(xattr_get(inode, name, NULL, 0));
		UNIT_CHECK(CHECK(xattr_get(inode, name, w->buf, sizeof(w->buf))) <= READ_LEN,
			   "%s", name);
	}
	free(list);
	CHECK(xattr_get(inode, "system.posix_acl_access", w->buf, sizeof(w->buf)));
	CHECK(xattr_get(inode, "user.absent", w->buf, sizeof(w->buf)));
}

static uint64_t size_of(struct inode *inode)
{
	uint64_t size;

	rwlock_read(&inode->lock);
	size = inode->size;
	rwlock_read_unlock(&inode->lock);
	return size;
}

static void look_at_file(struct walk *w, struct inode *inode)
{
	uint64_t off = 0, pblk;
	int64_t at = 0;

	for (unsigned i = 0; i < MAX_READS; i++) {
		int64_t n = CHECK(file_read(inode, w->buf, sizeof(w->buf), off));

		UNIT_CHECK(n <= READ_LEN, "read %lld", (long long)n);
		if (n == 0)
			break;
		off += i < MAX_READS / 2 ? sizeof(w->buf) : size_of(inode) / 16 + 1;
	}
	CHECK(file_read(inode, w->buf, 5000, size_of(inode) - 1000));
	for (unsigned i = 0; i < MAX_SEEKS && at >= 0; i++)
		at = CHECK(file_seek(inode, (uint64_t)at, i & 1 ? SEEK_HOLE : SEEK_DATA));
	CHECK(file_bmap(inode, 3, &pblk));
	CHECK(file_bmap(inode, 0xfffffffe, &pblk));
}

static void look_at(struct walk *w, struct inode *inode)
{
	char target[PATH_MAX + 1];
	struct stat st;
	uint32_t ino;

	CHECK(ops_getattr(w->fs, inode->ino, &st));
	look_at_xattrs(w, inode);
	if (S_ISREG(inode->type))
		look_at_file(w, inode);
	if (S_ISLNK(inode->type))
		CHECK(file_read_link(inode, target, sizeof(target)));
	if (!S_ISDIR(inode->type))
		return;
	CHECK(ops_parent(w->fs, inode->ino, &ino));
	for (unsigned i = 0; i < w->ndirs; i++)
		if (w->dirs[i] == inode->ino)
			return;
	if (w->ndirs < MAX_DIRS)
		w->dirs[w->ndirs++] = inode->ino;
}

static void walk_dir(struct walk *w)
{
	unsigned from = w->nnames;
	struct inode *dir, *child;

	w->dir = w->dirs[w->visited++];
	w->in_dir = 0;
	if (CHECK(inode_get(w->fs, w->dir, &dir)))
		return;
	rwlock_read(&dir->lock);
	CHECK(dir_read(dir, 0, take_entry, w));
	rwlock_read_unlock(&dir->lock);
	UNIT_CHECK(w->in_dir <= MAX_ENTRIES, "more entries than a small image can have");
	inode_put(dir);
	for (unsigned i = from; i < w->nnames; i++) {
		if (!strcmp(w->names[i].text, ".") || !strcmp(w->names[i].text, ".."))
			continue;
		if (CHECK(ops_lookup(w->fs, w->dir, w->names[i].text, &child)))
			continue;
		look_at(w, child);
		inode_put(child);
	}
	if (!CHECK(ops_lookup(w->fs, w->dir, "no-such-name", &child)))
		inode_put(child);
}

static void change_file(struct walk *w, struct inode *inode)
{
	uint64_t off = unit_random(&w->rnd) % 3 ? unit_random(&w->rnd) % (1 << 20) : size_of(inode);
	size_t len = unit_random(&w->rnd) % 20000 + 1;

	switch (unit_random(&w->rnd) % 6) {
	case 0: CHECK(file_write(inode, w->buf, len, off, true)); break;
	case 1: CHECK(file_truncate(inode, off)); break;
	case 2: CHECK(file_truncate(inode, 0)); break;
	case 3: CHECK(file_fallocate(inode, 0, off, len, true)); break;
	case 4: CHECK(file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len, true)); break;
	default: CHECK(file_fallocate(inode, FALLOC_FL_ZERO_RANGE, off, len, true)); break;
	}
}

/* An ACL as setxattr(2) takes it: owner, user 5, group, mask, others. */
static void set_acl(struct inode *inode, const char *name)
{
	static const uint16_t entries[][2] = { { 1, 7 }, { 2, 6 }, { 4, 5 }, { 16, 7 }, { 32, 4 } };
	uint8_t acl[4 + 8 * ARRAY_LEN(entries)] = { 2 };

	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		put_le16(acl + 4 + 8 * i, entries[i][0]);
		put_le16(acl + 6 + 8 * i, entries[i][1]);
		put_le32(acl + 8 + 8 * i, entries[i][0] == 2 ? 5 : UINT32_MAX);
	}
	CHECK(xattr_set(inode, name, acl, sizeof(acl), 0));
}

static void change_xattr(struct walk *w, struct inode *inode)
{
	switch (unit_random(&w->rnd) % 7) {
	case 0: CHECK(xattr_set(inode, "user.new", w->buf, unit_random(&w->rnd) % 900, 0)); break;
	case 1: CHECK(xattr_set(inode, "user.huge", w->buf, unit_random(&w->rnd) % 20000, 0)); break;
	case 2: CHECK(xattr_remove(inode, "user.a")); break;
	case 3: CHECK(xattr_remove(inode, "user.big")); break;
	case 4: CHECK(xattr_remove(inode, "user.huge")); break;
	case 5: set_acl(inode, "system.posix_acl_access"); break;
	default: set_acl(inode, "system.posix_acl_default"); break;
	}
}

static void change_inode(struct walk *w, uint32_t ino)
{
	struct stat st = { .st_mode = 0640, .st_uid = 5 };
	struct inode *inode;

	if (CHECK(inode_get(w->fs, ino, &inode)))
		return;
	if (S_ISREG(inode->type))
		change_file(w, inode);
	if (unit_random(&w->rnd) % 4)
		change_xattr(w, inode);
	else
		CHECK(ops_setattr(w->fs, ino, &st, SET_UID | SET_MODE,
				  &(struct cred){ .root = true }, &st));
	CHECK(ops_set_flags(w->fs, ino, EXT2_NOATIME_FL, EXT2_NOATIME_FL));
	inode_put(inode);
}

/* Many names in one directory: its index grows, or it gets one. */
static void crowd(struct walk *w, uint32_t dir, uint32_t ino)
{
	char name[64];

	for (unsigned i = 0; i < CROWD; i++) {
		struct inode *inode;
		unsigned number = (unsigned)unit_random(&w->rnd) % 10000;

		snprintf(name, sizeof(name), "one-more-of-many-quite-long-names-%u", number);
		if (!CHECK(ops_link(w->fs, ino, dir, name, &inode)))
			inode_put(inode);
	}
}

static void make_link(struct walk *w, const struct name *n, const struct cred *cred)
{
	struct inode *inode = NULL;
	char target[300];

	memset(target, 't', sizeof(target));
	target[unit_random(&w->rnd) % (sizeof(target) - 1) + 1] = '\0';
	CHECK(ops_make(w->fs, n->dir, "fresh-link", S_IFLNK | 0777, 0, target, cred, &inode));
	inode_put(inode);
}

static void change_names(struct walk *w, const struct name *n)
{
	uint32_t other = w->dirs[unit_random(&w->rnd) % w->ndirs];
	struct cred cred = { .root = true };
	struct inode *inode = NULL;
	char fresh[32];

	snprintf(fresh, sizeof(fresh), "fresh-%llu", (unsigned long long)unit_random(&w->rnd) % 1000);
	switch (unit_random(&w->rnd) % 11) {
	case 7: crowd(w, other, n->ino); break;
	case 8: make_link(w, n, &cred); break;
	case 9: CHECK(ops_rename(w->fs, n->dir, n->text, other, fresh, 4, &cred)); break;
	case 0: CHECK(ops_unlink(w->fs, n->dir, n->text)); break;
	case 1: CHECK(ops_rmdir(w->fs, n->dir, n->text)); break;
	case 2: CHECK(ops_rename(w->fs, n->dir, n->text, other, fresh, 0, &cred)); break;
	case 3: CHECK(ops_rename(w->fs, n->dir, n->text, other, w->names[0].text, 2, &cred)); break;
	case 4: CHECK(ops_link(w->fs, n->ino, other, fresh, &inode)); break;
	case 5: CHECK(ops_make(w->fs, n->dir, fresh, S_IFDIR | 0755, 0, NULL, &cred, &inode)); break;
	case 6: CHECK(ops_make(w->fs, n->dir, fresh, S_IFREG | 0644, 0, NULL, &cred, &inode)); break;
	default: CHECK(ops_unlink(w->fs, n->dir, n->text)); break;
	}
	inode_put(inode);
}

static void change(struct walk *w)
{
	struct fs *fs = w->fs;
	uint64_t trimmed;

	for (unsigned i = 0; i < CHANGES && w->nnames; i++) {
		const struct name *n = &w->names[unit_random(&w->rnd) % w->nnames];

		if (unit_random(&w->rnd) & 1)
			change_inode(w, n->ino);
		else
			change_names(w, n);
		if (i % 16 == 15)
			CHECK(fs_sync(fs));
	}
	CHECK(balloc_trim(fs, 0, UINT64_MAX, 4096, &trimmed));
	CHECK(fs_sync(fs));
}

void unit_walk(struct fs *fs, uint64_t seed)
{
	struct walk *w = calloc(1, sizeof(*w));
	struct statvfs st;

	w->names = calloc(MAX_NAMES, sizeof(*w->names));
	w->fs = fs;
	w->rnd = seed | 1;
	w->dirs[w->ndirs++] = EXT2_ROOT_INO;
	while (w->visited < w->ndirs)
		walk_dir(w);
	CHECK(fs_statfs(fs, &st));
	if (seed)
		change(w);
	free(w->names);
	free(w);
}
