/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees of the crash tests: the list, comparison, and the kernel's reader. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "crash_tree.h"
#include "unit_image.h"

static void *must(void *p)
{
	if (!p)
		unit_die("no memory");
	return p;
}

struct crash_node *crash_tree_add(struct crash_tree *t, const struct crash_node *parent,
				  const char *name)
{
	struct crash_node node = { 0 };
	size_t len = parent ? strlen(parent->path) : 0;

	node.path = must(malloc(len + strlen(name) + 2));
	sprintf(node.path, "%s%s%s", len ? parent->path : "", len ? "/" : "", name);
	node.name = node.path + strlen(node.path) - strlen(name);
	node.parent_uid = parent ? parent->st.st_uid : 0;
	if (!(t->n & (t->n - 1)))
		t->nodes = must(reallocarray(t->nodes, t->n ? 2 * t->n : 1, sizeof(node)));
	t->nodes[t->n] = node;
	return &t->nodes[t->n++];
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int crash_node_take_xattrs(struct crash_node *node, char *list, size_t list_len,
			   int64_t (*get)(void *arg, const char *name, void *value, size_t size),
			   void *arg)
{
	static __thread uint8_t value[CRASH_VALUE_MAX];
	char *names[64];
	unsigned n = 0;

	for (char *p = list; p < list + list_len && n < ARRAY_LEN(names); p += strlen(p) + 1)
		if (!strncmp(p, "user.", 5))
			names[n++] = p;
	qsort(names, n, sizeof(*names), by_text);
	for (unsigned i = 0; i < n; i++) {
		int64_t len = get(arg, names[i], value, sizeof(value));
		size_t name_len = strlen(names[i]) + 1;
		uint32_t len32 = (uint32_t)len;
		uint8_t *p;

		if (len < 0)
			return -1;
		node->xattrs = must(realloc(node->xattrs, node->xattrs_len + name_len + 4 + len32));
		p = node->xattrs + node->xattrs_len;
		memcpy(p, names[i], name_len);
		memcpy(p + name_len, &len32, 4);
		memcpy(p + name_len + 4, value, len32);
		node->xattrs_len += name_len + 4 + len32;
	}
	return 0;
}

const uint8_t *crash_node_xattr(const struct crash_node *node, const char *name, size_t *ret_len)
{
	const uint8_t *p = node->xattrs, *end = p + node->xattrs_len;

	while (p < end) {
		const char *key = (const char *)p;
		uint32_t len;

		p += strlen(key) + 1;
		memcpy(&len, p, 4);
		p += 4;
		if (!strcmp(key, name)) {
			*ret_len = len;
			return p;
		}
		p += len;
	}
	return NULL;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct crash_node *)a)->path, ((const struct crash_node *)b)->path);
}

void crash_tree_sort(struct crash_tree *t)
{
	qsort(t->nodes, t->n, sizeof(*t->nodes), by_path);
}

void crash_tree_fini(struct crash_tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->nodes[i].path);
		free(t->nodes[i].data);
		free(t->nodes[i].target);
		free(t->nodes[i].xattrs);
	}
	free(t->nodes);
	*t = (struct crash_tree){ 0 };
}

/* -- comparison ---------------------------------------------------------------------- */

static int differ(const struct crash_node *node, const char *what, uint64_t a, uint64_t b, char *why,
		  size_t why_len)
{
	snprintf(why, why_len, "/%s (owner %u): %s %llu and %llu", node->path, node->st.st_uid, what,
		 (unsigned long long)a, (unsigned long long)b);
	return -1;
}

static int compare_nodes(const struct crash_node *a, const struct crash_node *b, char *why, size_t len)
{
	if (strcmp(a->path, b->path)) {
		snprintf(why, len, "/%s and /%s: only in one", a->path, b->path);
		return -1;
	}
#define SAME(what, x) \
	do { \
		if (a->x != b->x) \
			return differ(a, what, (uint64_t)a->x, (uint64_t)b->x, why, len); \
	} while (0)
	SAME("inode", st.st_ino);
	SAME("mode", st.st_mode);
	SAME("owner", st.st_uid);
	SAME("group", st.st_gid);
	SAME("links", st.st_nlink);
	SAME("size", st.st_size);
	SAME("blocks", st.st_blocks);
	SAME("bytes of attributes", xattrs_len);
#undef SAME
	if (a->data && memcmp(a->data, b->data, (size_t)a->st.st_size))
		return differ(a, "content differs", 0, 0, why, len);
	if (a->target && strcmp(a->target, b->target))
		return differ(a, "target differs", 0, 0, why, len);
	if (a->xattrs_len && memcmp(a->xattrs, b->xattrs, a->xattrs_len))
		return differ(a, "attributes differ", 0, 0, why, len);
	return 0;
}

int crash_tree_compare(const struct crash_tree *a, const struct crash_tree *b, char *why, size_t why_len)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (compare_nodes(&a->nodes[i], &b->nodes[i], why, why_len))
			return -1;
	if (a->n != b->n) {
		snprintf(why, why_len, "%zu and %zu objects", a->n, b->n);
		return -1;
	}
	if (a->free_blocks == b->free_blocks && a->free_inodes == b->free_inodes)
		return 0;
	snprintf(why, why_len, "free blocks %llu and %llu, free inodes %llu and %llu",
		 (unsigned long long)a->free_blocks, (unsigned long long)b->free_blocks,
		 (unsigned long long)a->free_inodes, (unsigned long long)b->free_inodes);
	return -1;
}

void crash_tree_forget_blocks(struct crash_tree *t, const struct crash_tree *like)
{
	for (size_t i = 0; i < t->n && i < like->n; i++)
		if (t->nodes[i].st.st_blocks > like->nodes[i].st.st_blocks)
			t->nodes[i].st.st_blocks = like->nodes[i].st.st_blocks;
	t->free_blocks = t->free_blocks < like->free_blocks ? like->free_blocks : t->free_blocks;
	t->free_inodes = t->free_inodes < like->free_inodes ? like->free_inodes : t->free_inodes;
}

/* -- the kernel's reader ------------------------------------------------------------- */

struct reader {
	struct crash_tree *t;
	char *why;
	size_t why_len;
};

static int fail(struct reader *r, const char *path, const char *what)
{
	snprintf(r->why, r->why_len, "the kernel: /%s: %s: %s", path, what, strerror(errno));
	return -1;
}

static int64_t get_xattr(void *arg, const char *name, void *value, size_t size)
{
	return lgetxattr(arg, name, value, size);
}

static int read_content(struct reader *r, struct crash_node *node, const char *path)
{
	ssize_t n;
	int fd;

	if (S_ISLNK(node->st.st_mode)) {
		node->target = must(calloc(1, PATH_MAX + 1));
		return readlink(path, node->target, PATH_MAX) < 0 ? fail(r, node->path, "readlink") : 0;
	}
	if (!S_ISREG(node->st.st_mode))
		return 0;
	node->data = must(malloc((size_t)node->st.st_size + 1));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread(fd, node->data, (size_t)node->st.st_size + 1, 0);
	if (fd >= 0)
		close(fd);
	return n == node->st.st_size ? 0 : fail(r, node->path, "read");
}

static int read_node(struct reader *r, struct crash_node *node, const char *path)
{
	static __thread char list[CRASH_VALUE_MAX];
	ssize_t len;

	if (lstat(path, &node->st))
		return fail(r, node->path, "lstat");
	len = llistxattr(path, list, sizeof(list));
	if (len < 0 || crash_node_take_xattrs(node, list, (size_t)len, get_xattr, (void *)path))
		return fail(r, node->path, "attributes");
	return read_content(r, node, path);
}

static int read_dir(struct reader *r, const char *root, size_t index)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;
	int err = 0;

	snprintf(path, sizeof(path), "%s/%s", root, r->t->nodes[index].path);
	dir = opendir(path);
	if (!dir)
		return fail(r, r->t->nodes[index].path, "opendir");
	while (!err && (errno = 0, e = readdir(dir))) {
		struct crash_node *node;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		node = crash_tree_add(r->t, &r->t->nodes[index], e->d_name);
		snprintf(path, sizeof(path), "%s/%s", root, node->path);
		err = read_node(r, node, path);
		if (!err && S_ISDIR(node->st.st_mode))
			err = read_dir(r, root, r->t->n - 1);
	}
	if (!err && errno)
		err = fail(r, r->t->nodes[index].path, "readdir");
	closedir(dir);
	return err;
}

int crash_tree_of_dir(struct crash_tree *t, const char *dir, char *why, size_t why_len)
{
	struct reader r = { t, why, why_len };
	struct statvfs st;

	*t = (struct crash_tree){ 0 };
	if (read_node(&r, crash_tree_add(t, NULL, ""), dir) || read_dir(&r, dir, 0))
		return -1;
	if (statvfs(dir, &st))
		return fail(&r, "", "statvfs");
	t->free_blocks = st.f_bfree;
	t->free_inodes = st.f_ffree;
	crash_tree_sort(t);
	return 0;
}
