/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees of the crash tests: the engine's reader. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "crash_tree.h"
#include "dir.h"
#include "file.h"
#include "ops.h"
#include "unit_image.h"
#include "xattr.h"

struct reader {
	struct crash_tree *t;
	struct fs *fs;
	char *why;
	size_t why_len;
};

static int fail(struct reader *r, const char *path, const char *what, int64_t err)
{
	snprintf(r->why, r->why_len, "/%s: %s: %s", path, what,
		 err < 0 ? strerror((int)-err) : "too short");
	return -1;
}

static int64_t get_xattr(void *arg, const char *name, void *value, size_t size)
{
	return xattr_get(arg, name, value, size);
}

static int read_content(struct reader *r, struct crash_node *node, struct inode *inode)
{
	int64_t n;

	if (S_ISLNK(inode->type)) {
		node->target = calloc(1, PATH_MAX + 1);
		n = file_read_link(inode, node->target, PATH_MAX + 1);
		return n < 0 ? fail(r, node->path, "readlink", n) : 0;
	}
	if (!S_ISREG(inode->type))
		return 0;
	node->data = malloc((size_t)node->st.st_size + 1);
	n = file_read(inode, node->data, (size_t)node->st.st_size + 1, 0);
	return n == node->st.st_size ? 0 : fail(r, node->path, "read", n);
}

static int read_node(struct reader *r, struct crash_node *node, struct inode *inode)
{
	static __thread char list[CRASH_VALUE_MAX];
	ssize_t len;
	int err = ops_getattr(r->fs, inode->ino, &node->st);

	if (err)
		return fail(r, node->path, "getattr", err);
	len = xattr_list(inode, list, sizeof(list), true);
	if (len < 0)
		return fail(r, node->path, "names of attributes", len);
	if (crash_node_take_xattrs(node, list, (size_t)len, get_xattr, inode))
		return fail(r, node->path, "attributes", -EIO);
	return read_content(r, node, inode);
}

struct names {
	char (*text)[EXT2_NAME_LEN + 1];
	size_t n;
};

static bool take_name(void *arg, const char *name, size_t len, uint32_t ino, uint8_t ftype,
		      uint64_t next_cookie)
{
	struct names *names = arg;

	if ((len == 1 && *name == '.') || (len == 2 && !memcmp(name, "..", 2)))
		return true;
	if (!(names->n & (names->n - 1)))
		names->text = reallocarray(names->text, names->n ? 2 * names->n : 1,
					   sizeof(*names->text));
	if (!names->text)
		unit_die("no memory");
	memcpy(names->text[names->n], name, len);
	names->text[names->n++][len] = '\0';
	return true;
}

static int read_dir(struct reader *r, struct inode *dir, size_t index);

static int read_entry(struct reader *r, struct inode *dir, size_t index, const char *name)
{
	struct crash_node *node = crash_tree_add(r->t, &r->t->nodes[index], name);
	AUTOINODE inode = NULL;
	int err = ops_lookup(r->fs, dir->ino, name, &inode);

	if (err)
		return fail(r, node->path, "lookup", err);
	if (read_node(r, node, inode))
		return -1;
	return S_ISDIR(inode->type) ? read_dir(r, inode, r->t->n - 1) : 0;
}

static int read_dir(struct reader *r, struct inode *dir, size_t index)
{
	struct names names = { 0 };
	int err;

	rwlock_read(&dir->lock);
	err = dir_read(dir, 0, take_name, &names);
	rwlock_read_unlock(&dir->lock);
	if (err)
		err = fail(r, r->t->nodes[index].path, "readdir", err);
	for (size_t i = 0; i < names.n && !err; i++)
		err = read_entry(r, dir, index, names.text[i]);
	free(names.text);
	return err;
}

int crash_tree_of_fs(struct crash_tree *t, struct fs *fs, char *why, size_t why_len)
{
	struct reader r = { t, fs, why, why_len };
	AUTOINODE root = NULL;
	struct statvfs st;
	int err;

	*t = (struct crash_tree){ 0 };
	err = inode_get(fs, EXT2_ROOT_INO, &root);
	if (err)
		return fail(&r, "", "root", err);
	if (read_node(&r, crash_tree_add(t, NULL, ""), root) || read_dir(&r, root, 0))
		return -1;
	err = fs_statfs(fs, &st);
	if (err)
		return fail(&r, "", "statfs", err);
	t->free_blocks = st.f_bfree;
	t->free_inodes = st.f_ffree;
	crash_tree_sort(t);
	return 0;
}
