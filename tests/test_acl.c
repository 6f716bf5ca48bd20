/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POSIX ACLs: encodings, the mode, inheritance, chmod. */
#include "xattr_fixture.h"

#include "xattr_int.h"

enum { UO = 1, U = 2, GO = 4, G = 8, M = 16, O = 32 };
#define NONE UINT32_MAX
#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct ent { uint16_t tag, perm; uint32_t id; };

static size_t linux_acl(uint8_t *buf, const struct ent *e, unsigned n)
{
	put_le32(buf, 2);
	for (unsigned i = 0; i < n; i++) {
		put_le16(buf + 4 + 8 * i, e[i].tag);
		put_le16(buf + 6 + 8 * i, e[i].perm);
		put_le32(buf + 8 + 8 * i, e[i].id);
	}
	return 4 + 8 * n;
}

static int set_acl(struct inode *inode, const char *name, const struct ent *e, unsigned n)
{
	uint8_t *buf = malloc(4 + 8 * n);
	int err = xattr_set(inode, name, buf, linux_acl(buf, e, n), 0);

	free(buf);
	return err;
}
#define SET(inode, name, ...) \
	set_acl(inode, name, (const struct ent[]){ __VA_ARGS__ }, \
		sizeof((const struct ent[]){ __VA_ARGS__ }) / sizeof(struct ent))

static void check_acl(struct inode *inode, const char *name, const struct ent *e, unsigned n)
{
	size_t len = 4 + 8 * n;
	uint8_t *want = malloc(len), *got = malloc(len);

	linux_acl(want, e, n);
	assert_int_equal(xattr_get(inode, name, NULL, 0), len);
	assert_int_equal(xattr_get(inode, name, got, len - 1), -ERANGE);
	assert_int_equal(xattr_get(inode, name, got, len), len);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}
#define CHECK(inode, name, ...) \
	check_acl(inode, name, (const struct ent[]){ __VA_ARGS__ }, \
		  sizeof((const struct ent[]){ __VA_ARGS__ }) / sizeof(struct ent))

static void start(struct image *img)
{
	image_make(img, "-b 1024 -I 256", "16M");
	image_open(img, NULL);
}

static void finish(struct image *img)
{
	assert_int_equal(img->logged, 0);
	image_close(img);
	image_fsck(img);
	image_free(img);
}

static void access_acl_sets_the_mode(void **state)
{
	struct image img;
	struct inode *f;

	start(&img);
	f = make_file(&img, "f");
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { U, 4, 100000 }, { GO, 5, NONE },
			     { G, 6, 7 }, { M, 3, NONE }, { O, 0, NONE }), 0);
	assert_int_equal(f->mode, S_IFREG | 0730);
	CHECK(f, ACCESS, { UO, 7, NONE }, { U, 4, 100000 }, { GO, 5, NONE }, { G, 6, 7 },
	      { M, 3, NONE }, { O, 0, NONE });
	/* One that is only a mode is not kept. */
	f->mode |= S_ISUID;
	assert_int_equal(SET(f, ACCESS, { UO, 6, NONE }, { GO, 4, NONE }, { O, 4, NONE }), 0);
	assert_int_equal(f->mode, S_IFREG | S_ISUID | 0644);
	assert_int_equal(xattr_get(f, ACCESS, NULL, 0), -ENODATA);
	/* Neither that nor removing none is an error; both without flags' meaning. */
	assert_int_equal(xattr_remove(f, ACCESS), 0);
	assert_int_equal(xattr_set(f, ACCESS, "\2\0\0", 4, XATTR_REPLACE), 0);
	inode_put(f);
	finish(&img);
}

static void malformed_is_refused(void **state)
{
	struct image img;
	struct inode *f, *d;

	start(&img);
	f = make_file(&img, "f");
	d = make_in(&img, EXT2_ROOT_INO, "d", S_IFDIR | 0755);
	assert_int_equal(xattr_set(f, ACCESS, "", 0, 0), -EINVAL);
	assert_int_equal(xattr_set(f, ACCESS, "\1\0\0", 4, 0), -EINVAL);
	assert_int_equal(xattr_set(f, ACCESS, "\2\0\0\0\1\0\7", 8, 0), -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { GO, 5, NONE }), -EINVAL);
	assert_int_equal(SET(f, ACCESS, { GO, 7, NONE }, { UO, 5, NONE }, { O, 0, NONE }),
			 -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 8, NONE }, { GO, 5, NONE }, { O, 0, NONE }),
			 -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { UO, 7, NONE }, { GO, 5, NONE },
			     { O, 0, NONE }), -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { U, 7, 5 }, { GO, 5, NONE },
			     { O, 0, NONE }), -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { U, 7, NONE }, { GO, 5, NONE },
			     { M, 7, NONE }, { O, 0, NONE }), -EINVAL);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { GO, 5, NONE }, { 64, 7, NONE },
			     { O, 0, NONE }), -EINVAL);
	assert_int_equal(SET(f, DEFAULT, { UO, 7, NONE }, { GO, 5, NONE }, { O, 0, NONE }),
			 -EACCES);
	assert_int_equal(SET(d, DEFAULT, { UO, 7, NONE }, { GO, 5, NONE }, { O, 0, NONE }), 0);
	assert_int_equal(d->mode, S_IFDIR | 0755);
	assert_int_equal(f->mode, S_IFREG | 0644);
	inode_put(f);
	inode_put(d);
	finish(&img);
}

static void default_acl_is_inherited(void **state)
{
	struct image img;
	struct inode *d, *f, *sub, *deep;

	start(&img);
	d = make_in(&img, EXT2_ROOT_INO, "d", S_IFDIR | 0777);
	assert_int_equal(d->mode, S_IFDIR | 0755);
	assert_int_equal(SET(d, DEFAULT, { UO, 7, NONE }, { U, 6, 1000 }, { GO, 5, NONE },
			     { M, 7, NONE }, { O, 5, NONE }), 0);
	/* No umask here: the default ACL takes its place. */
	f = make_in(&img, d->ino, "f", S_IFREG | 0666);
	assert_int_equal(f->mode, S_IFREG | 0664);
	CHECK(f, ACCESS, { UO, 6, NONE }, { U, 6, 1000 }, { GO, 5, NONE }, { M, 6, NONE },
	      { O, 4, NONE });
	assert_int_equal(xattr_get(f, DEFAULT, NULL, 0), -ENODATA);
	sub = make_in(&img, d->ino, "sub", S_IFDIR | 0770);
	assert_int_equal(sub->mode, S_IFDIR | 0770);
	CHECK(sub, ACCESS, { UO, 7, NONE }, { U, 6, 1000 }, { GO, 5, NONE }, { M, 7, NONE },
	      { O, 0, NONE });
	CHECK(sub, DEFAULT, { UO, 7, NONE }, { U, 6, 1000 }, { GO, 5, NONE }, { M, 7, NONE },
	      { O, 5, NONE });
	deep = make_in(&img, sub->ino, "deep", S_IFREG | 0600);
	CHECK(deep, ACCESS, { UO, 6, NONE }, { U, 6, 1000 }, { GO, 5, NONE }, { M, 0, NONE },
	      { O, 0, NONE });
	inode_put(f);
	inode_put(sub);
	inode_put(deep);
	inode_put(d);
	finish(&img);
}

static void default_acl_of_a_mode(void **state)
{
	struct image img;
	struct inode *d, *f, *l = NULL;

	start(&img);
	d = make_in(&img, EXT2_ROOT_INO, "d", S_IFDIR | 0755);
	assert_int_equal(SET(d, DEFAULT, { UO, 7, NONE }, { GO, 7, NONE }, { O, 1, NONE }), 0);
	f = make_in(&img, d->ino, "f", S_IFREG | 0666);
	assert_int_equal(f->mode, S_IFREG | 0660);
	assert_int_equal(xattr_get(f, ACCESS, NULL, 0), -ENODATA);
	assert_int_equal(ops_make(img.fs, d->ino, "l", S_IFLNK | 0777, 0, "target", &root_cred,
				  &l), 0);
	assert_int_equal(l->mode, S_IFLNK | 0777);
	assert_int_equal(xattr_list(l, NULL, 0, true), 0);
	assert_int_equal(SET(l, ACCESS, { UO, 7, NONE }, { GO, 7, NONE }, { O, 1, NONE }),
			 -EOPNOTSUPP);
	inode_put(l);
	inode_put(f);
	inode_put(d);
	finish(&img);
}

static void chmod_keeps_step(void **state)
{
	struct stat st = { .st_mode = 0421 };
	struct image img;
	struct inode *f;

	start(&img);
	f = make_file(&img, "f");
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { U, 4, 9 }, { GO, 5, NONE },
			     { M, 7, NONE }, { O, 0, NONE }), 0);
	assert_int_equal(ops_setattr(img.fs, f->ino, &st, SET_MODE, &root_cred, NULL), 0);
	assert_int_equal(f->mode, S_IFREG | 0421);
	CHECK(f, ACCESS, { UO, 4, NONE }, { U, 4, 9 }, { GO, 5, NONE }, { M, 2, NONE },
	      { O, 1, NONE });
	inode_put(f);
	finish(&img);
}

/* An ACL too long for a block: inherited, changed by chmod, removed. */
static void huge_acl_lives_in_an_ea_inode(void **state)
{
	enum { N = 1500 };
	struct ent *e = calloc(N + 4, sizeof(*e));
	struct stat st = { .st_mode = 0640 };
	struct image img;
	struct inode *d, *f, *sub;

	image_make(&img, "-b 1024 -I 256 -O ea_inode", "32M");
	image_open(&img, NULL);
	d = make_in(&img, EXT2_ROOT_INO, "d", S_IFDIR | 0755);
	e[0] = (struct ent){ UO, 7, NONE };
	for (unsigned i = 1; i <= N; i++)
		e[i] = (struct ent){ U, i % 8, 1000 + i };
	e[N + 1] = (struct ent){ GO, 5, NONE };
	e[N + 2] = (struct ent){ M, 7, NONE };
	e[N + 3] = (struct ent){ O, 5, NONE };
	assert_int_equal(set_acl(d, DEFAULT, e, N + 4), 0);
	f = make_in(&img, d->ino, "f", S_IFREG | 0660);
	sub = make_in(&img, d->ino, "sub", S_IFDIR | 0755);
	check_acl(sub, DEFAULT, e, N + 4);
	e[0].perm = 6;
	e[N + 2].perm = 6;
	e[N + 3].perm = 0;
	check_acl(f, ACCESS, e, N + 4);
	assert_int_equal(ops_setattr(img.fs, f->ino, &st, SET_MODE, &root_cred, NULL), 0);
	e[N + 2].perm = 4;
	check_acl(f, ACCESS, e, N + 4);
	inode_put(sub);
	inode_put(f);
	inode_put(d);
	image_close(&img);
	image_fsck(&img);
	image_open(&img, NULL);
	d = find(&img, "d");
	assert_int_equal(ops_lookup(img.fs, d->ino, "f", &f), 0);
	check_acl(f, ACCESS, e, N + 4);
	assert_int_equal(xattr_remove(f, ACCESS), 0);
	inode_put(f);
	assert_int_equal(ops_unlink(img.fs, d->ino, "f"), 0);
	assert_int_equal(ops_rmdir(img.fs, d->ino, "sub"), 0);
	inode_put(d);
	free(e);
	finish(&img);
}

static void off_means_umask_only(void **state)
{
	struct fs_options opt = { .noacl = true };
	struct image img;
	struct inode *d, *f;

	start(&img);
	d = make_in(&img, EXT2_ROOT_INO, "d", S_IFDIR | 0755);
	assert_int_equal(SET(d, DEFAULT, { UO, 7, NONE }, { GO, 7, NONE }, { O, 7, NONE }), 0);
	inode_put(d);
	image_close(&img);
	image_open(&img, &opt);
	d = find(&img, "d");
	f = make_in(&img, d->ino, "f", S_IFREG | 0666);
	assert_int_equal(f->mode, S_IFREG | 0644);
	assert_int_equal(SET(f, ACCESS, { UO, 7, NONE }, { GO, 7, NONE }, { O, 1, NONE }),
			 -EOPNOTSUPP);
	inode_put(f);
	inode_put(d);
	finish(&img);
}

static void stored_form_is_the_kernels(void **state)
{
	uint8_t linux_form[64], back[64];
	struct inode inode = { .mode = S_IFREG | 0644 };
	uint16_t mode = 0;
	void *disk = NULL;
	size_t size = linux_acl(linux_form, (const struct ent[]){
		{ UO, 6, NONE }, { U, 4, 5 }, { GO, 4, NONE }, { M, 4, NONE }, { O, 0, NONE } }, 5);
	static const uint8_t want[] = {
		1, 0, 0, 0,  1, 0, 6, 0,  2, 0, 4, 0, 5, 0, 0, 0,  4, 0, 4, 0,
		16, 0, 4, 0,  32, 0, 0, 0,
	};
	size_t disk_size;

	assert_int_equal(acl_from_linux(&inode, XATTR_IDX_ACL_ACCESS, linux_form, size, &mode,
					&disk, &disk_size), 0);
	assert_int_equal(disk_size, sizeof(want));
	assert_memory_equal(disk, want, sizeof(want));
	assert_int_equal(acl_to_linux(want, sizeof(want), back, sizeof(back)), size);
	assert_memory_equal(back, linux_form, size);
	for (size_t cut = 0; cut < sizeof(want); cut++)
		assert_true(acl_to_linux(want, cut, back, sizeof(back)) <= (ssize_t)size);
	free(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stored_form_is_the_kernels),
		cmocka_unit_test(access_acl_sets_the_mode),
		cmocka_unit_test(malformed_is_refused),
		cmocka_unit_test(default_acl_is_inherited),
		cmocka_unit_test(default_acl_of_a_mode),
		cmocka_unit_test(chmod_keeps_step),
		cmocka_unit_test(huge_acl_lives_in_an_ea_inode),
		cmocka_unit_test(off_means_umask_only),
	};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
