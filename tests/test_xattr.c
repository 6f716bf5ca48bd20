/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes in the inode, in a block and in ea_inodes, on real images. */
#include "xattr_fixture.h"

#include "xattr_int.h"

/* Shapes of image on which everything must hold. */
static const char *const shapes[] = {
	"-b 4096 -I 256",
	"-b 1024 -I 128",
	"-b 1024 -I 256 -O ^metadata_csum",
	"-b 1024 -I 1024 -O ea_inode",
	"-b 4096 -I 256 -O inline_data,ea_inode",
	"-b 4096 -I 256 -O ^has_journal,^extents,^64bit,^metadata_csum,uninit_bg",
	"-b 65536 -I 256 -O ea_inode",
};

/* -- the area, without an image -------------------------------------------------- */

static void area_keeps_order_and_padding(void **state)
{
	uint8_t mem[1024] = { 0 };
	struct fs fs = { .inodes_count = 100, .first_ino = 11 };
	struct xattr_area a = { .base = mem, .first = 32, .size = sizeof(mem), .block = true };
	static const char *const names[] = { "zz", "a", "b", "aa", "longer", "ab" };
	struct xattr_ent e = { .next = 0 };
	struct xattr_key last = { .index = 0 };
	const char *what;
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		struct xattr_key key = { 1, strlen(names[i]), names[i] };
		struct xattr_val val = { .data = "12345", .size = i };

		assert_int_equal(xattr_area_set(&a, &key, &val), 0);
		assert_int_equal(xattr_area_check(&fs, &a, &what), 0);
	}
	while (xattr_area_next(&a, &e)) {
		assert_true(!last.index || xattr_key_cmp(&last, &e.key) < 0);
		assert_true(!e.val.data || ((const uint8_t *)e.val.data - mem) % 4 == 0);
		last = e.key;
		n++;
	}
	assert_int_equal(n, ARRAY_LEN(names));
}

static void area_full_changes_nothing(void **state)
{
	uint8_t mem[64] = { 0 }, before[64];
	struct xattr_area a = { .base = mem, .size = sizeof(mem) };
	struct xattr_key k1 = { 1, 1, "a" }, k2 = { 1, 1, "b" };
	struct xattr_val v20 = { .data = "0123456789abcdefghij", .size = 20 };
	struct xattr_val v24 = { .data = "0123456789abcdefghijklmn", .size = 20 };
	uint32_t values;

	assert_int_equal(xattr_area_set(&a, &k1, &v20), 0);
	assert_int_equal(xattr_area_free(&a, &k2, &values), 60 - 40);
	memcpy(before, mem, sizeof(mem));
	assert_int_equal(xattr_area_set(&a, &k2, &v24), -ENOSPC);
	assert_memory_equal(before, mem, sizeof(mem));
	v20.size = 0;
	v20.data = NULL;
	assert_int_equal(xattr_area_set(&a, &k2, &v20), 0);
	assert_int_equal(xattr_area_remove(&a, &k1), 0);
	assert_int_equal(xattr_area_remove(&a, &k2), 0);
	assert_true(xattr_area_empty(&a));
}

/* -- images ---------------------------------------------------------------------- */

static void sets_gets_lists_removes(struct image *img)
{
	struct inode *f = make_file(img, "f");
	char list[256], buf[64];
	ssize_t n;

	assert_int_equal(xattr_get(f, "user.a", NULL, 0), -ENODATA);
	assert_int_equal(xattr_set(f, "user.a", "one", 3, 0), 0);
	assert_int_equal(xattr_set(f, "user.a", "two", 3, XATTR_CREATE), -EEXIST);
	assert_int_equal(xattr_set(f, "user.b", "two", 3, XATTR_REPLACE), -ENODATA);
	assert_int_equal(xattr_set(f, "user.empty", "", 0, XATTR_CREATE), 0);
	assert_int_equal(xattr_set(f, "trusted.t", "tt", 2, 0), 0);
	assert_int_equal(xattr_set(f, "security.s", "sec", 3, 0), 0);
	assert_int_equal(xattr_get(f, "user.a", buf, 2), -ERANGE);
	assert_int_equal(xattr_get(f, "user.a", buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "one", 3);
	assert_int_equal(xattr_get(f, "user.empty", buf, sizeof(buf)), 0);
	n = xattr_list(f, NULL, 0, true);
	assert_int_equal(n, sizeof("user.a") + sizeof("user.empty") + sizeof("trusted.t") +
			 sizeof("security.s"));
	assert_int_equal(xattr_list(f, list, sizeof(list), true), n);
	assert_int_equal(xattr_list(f, list, n - 1, true), -ERANGE);
	assert_int_equal(xattr_list(f, list, sizeof(list), false), n - sizeof("trusted.t"));
	assert_int_equal(xattr_remove(f, "user.a"), 0);
	assert_int_equal(xattr_remove(f, "user.a"), -ENODATA);
	assert_int_equal(xattr_get(f, "user.a", NULL, 0), -ENODATA);
	inode_put(f);
}

static void refuses(struct image *img)
{
	struct inode *f = make_file(img, "r");
	char name[300];
	uint8_t *big = calloc(1, 65537);

	assert_int_equal(xattr_set(f, "system.data", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_get(f, "system.data", NULL, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_remove(f, "system.data"), -EOPNOTSUPP);
	assert_int_equal(xattr_set(f, "nothing.x", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_set(f, "gnu.x", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_set(f, "user.", "x", 1, 0), -EINVAL);
	assert_int_equal(xattr_set(f, "user.x", big, 65537, 0), -E2BIG);
	strcpy(name, "user.");
	memset(name + 5, 'n', 256);
	name[261] = '\0';
	assert_int_equal(xattr_set(f, name, "x", 1, 0), -ERANGE);
	name[260] = '\0';
	assert_int_equal(xattr_set(f, name, "x", 1, 0), 0);
	f->flags |= EXT2_IMMUTABLE_FL;
	assert_int_equal(xattr_set(f, "user.i", "x", 1, 0), -EPERM);
	f->flags ^= EXT2_IMMUTABLE_FL | EXT2_APPEND_FL;
	assert_int_equal(xattr_remove(f, name), -EPERM);
	f->flags &= ~EXT2_APPEND_FL;
	inode_put(f);
	free(big);
}

/* Values grow through inode, block and ea_inode and shrink back. */
static void value_wanders(struct image *img)
{
	static const size_t sizes[] = { 1, 60, 300, 900, 3000, 20000, 65536, 3500, 700, 30, 0 };
	struct inode *f = make_file(img, "w");

	assert_int_equal(set_filled(f, "user.stays", 17, 99), 0);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		uint32_t bs = img->fs->block_size;
		bool must = has_ea(img) || sizes[i] < bs - 300;
		int err = set_filled(f, "user.w", sizes[i], i);

		assert_int_equal(err, must || sizes[i] < bs - 100 ? 0 : -ENOSPC);
		if (!err)
			check_filled(f, "user.w", sizes[i], i);
		check_filled(f, "user.stays", 17, 99);
	}
	assert_int_equal(f->file_acl, img->fs->inode_size == 128 ? f->file_acl : 0);
	assert_int_equal(xattr_remove(f, "user.w"), 0);
	assert_int_equal(xattr_remove(f, "user.stays"), 0);
	assert_int_equal(f->file_acl, 0);
	assert_int_equal(f->blocks, 0);
	inode_put(f);
}

static void enospc_changes_nothing(struct image *img)
{
	struct inode *f = make_file(img, "e");
	uint64_t blocks, acl;
	char name[16];
	unsigned n;

	for (n = 0; n < 4000; n++) {
		snprintf(name, sizeof(name), "user.%u", n);
		if (set_filled(f, name, 50, n))
			break;
	}
	assert_true(n < 4000 && n > 2);
	blocks = f->blocks;
	acl = f->file_acl;
	assert_int_equal(set_filled(f, name, 50, n), -ENOSPC);
	assert_int_equal(xattr_get(f, name, NULL, 0), -ENODATA);
	assert_int_equal(f->blocks, blocks);
	assert_int_equal(f->file_acl, acl);
	while (n--) {
		snprintf(name, sizeof(name), "user.%u", n);
		check_filled(f, name, 50, n);
	}
	inode_put(f);
}

static void moves_make_room(struct image *img)
{
	struct inode *f;
	size_t room, large = img->fs->block_size - 32 - 4 - 20;

	if (img->fs->inode_size != 256 || has_ea(img))
		return;
	f = make_file(img, "m");
	room = 40;
	/* The inode gets a, the block b; then c needs a block to itself. */
	assert_int_equal(set_filled(f, "user.a", room, 1), 0);
	assert_int_equal(set_filled(f, "user.b", 44, 2), 0);
	assert_int_equal(xattr_remove(f, "user.a"), 0);
	assert_int_equal(set_filled(f, "user.c", large, 3), 0);
	check_filled(f, "user.b", 44, 2);
	check_filled(f, "user.c", large, 3);
	inode_put(f);
}

static void unlink_frees(struct image *img)
{
	struct inode *f = make_file(img, "u");

	assert_int_equal(set_filled(f, "user.a", 10, 1), 0);
	assert_int_equal(set_filled(f, "user.b", 600, 2), 0);
	if (has_ea(img)) {
		assert_int_equal(set_filled(f, "user.c", 30000, 3), 0);
		assert_int_equal(set_filled(f, "user.d", 65536, 4), 0);
	}
	inode_put(f);
	assert_int_equal(ops_unlink(img->fs, EXT2_ROOT_INO, "u"), 0);
}

static void all_shapes(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
		struct image img;
		struct inode *f;

		image_make(&img, shapes[i], "64M");
		image_open(&img, NULL);
		sets_gets_lists_removes(&img);
		refuses(&img);
		value_wanders(&img);
		enospc_changes_nothing(&img);
		moves_make_room(&img);
		unlink_frees(&img);
		assert_int_equal(img.logged, 0);
		image_close(&img);
		image_fsck(&img);
		image_open(&img, NULL);
		f = find(&img, "e");
		check_filled(f, "user.0", 50, 0);
		inode_put(f);
		assert_int_equal(ops_unlink(img.fs, EXT2_ROOT_INO, "e"), 0);
		image_close(&img);
		image_fsck(&img);
		image_free(&img);
	}
}

static void options_hide_names(void **state)
{
	struct fs_options opt = { .no_user_xattr = true, .noacl = true };
	struct image img;
	struct inode *f;
	char list[64];

	image_make(&img, "", "16M");
	image_open(&img, NULL);
	f = make_file(&img, "f");
	assert_int_equal(xattr_set(f, "user.a", "x", 1, 0), 0);
	inode_put(f);
	image_close(&img);
	image_open(&img, &opt);
	f = find(&img, "f");
	assert_int_equal(xattr_set(f, "user.b", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_get(f, "user.a", NULL, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_get(f, "system.posix_acl_access", NULL, 0), -EOPNOTSUPP);
	assert_int_equal(xattr_list(f, list, sizeof(list), true), 0);
	inode_put(f);
	image_free(&img);
}

static void debugfs_agrees(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
		struct image img;
		struct inode *f;

		image_make(&img, shapes[i], "32M");
		run(true, "printf 'hello' >%s.in; head -c 900 /dev/zero | tr '\\0' z >%s.big; "
		    "debugfs -w -R 'write %s.in d' %s 2>&1", img.path, img.path, img.path, img.path);
		run(true, "debugfs -w -R 'ea_set d user.small theirs' %s 2>&1", img.path);
		run(true, "debugfs -w -R 'ea_set -f %s.big d user.big' %s 2>&1", img.path, img.path);
		image_open(&img, NULL);
		f = find(&img, "d");
		assert_int_equal(xattr_get(f, "user.small", NULL, 0), 6);
		assert_int_equal(xattr_get(f, "user.big", NULL, 0), 900);
		assert_int_equal(xattr_set(f, "user.ours", "mine", 4, 0), 0);
		assert_int_equal(xattr_set(f, "user.small", "both", 4, XATTR_REPLACE), 0);
		assert_int_equal(xattr_remove(f, "user.big"), 0);
		inode_put(f);
		image_close(&img);
		image_fsck(&img);
		assert_non_null(strstr(run(true, "debugfs -R 'ea_get d user.ours' %s 2>&1",
					   img.path), "mine"));
		assert_non_null(strstr(run(true, "debugfs -R 'ea_get d user.small' %s 2>&1",
					   img.path), "both"));
		assert_null(strstr(run(true, "debugfs -R 'ea_list d' %s 2>&1", img.path),
				   "user.big"));
		run(true, "rm -f %s.in %s.big", img.path, img.path);
		image_free(&img);
	}
}

/* Puts b on a's block too, as the kernel does with equal attributes. */
static void share_block(struct image *img, struct inode *a, struct inode *b)
{
	struct handle h;
	struct buf *buf = cache_peek(img->fs->cache, a->file_acl);
	uint8_t *refs;

	assert_non_null(buf);
	assert_int_equal(txn_begin(img->fs, 4, &h), 0);
	assert_int_equal(txn_dirty(&h, buf), 0);
	refs = buf->data + offsetof(struct ext2_ext_attr_header, h_refcount);
	put_le32(refs, get_le32(refs) + 1);
	b->file_acl = a->file_acl;
	b->blocks = a->blocks;
	assert_int_equal(inode_store(&h, b, false), 0);
	assert_int_equal(txn_stop(&h), 0);
	cache_put(buf);
}

static void reopen_clean(struct image *img)
{
	image_close(img);
	image_fsck(img);
	image_open(img, NULL);
}

/* f0 to f3 share one block, which names two ea_inodes. */
static void make_sharers(struct image *img)
{
	struct inode *f[4];
	char name[8];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		f[i] = make_file(img, name);
	}
	assert_int_equal(set_filled(f[0], "user.x", 100, 1), 0);
	assert_int_equal(set_filled(f[0], "user.big", 9000, 2), 0);
	assert_int_equal(set_filled(f[0], "user.big2", 5000, 3), 0);
	for (unsigned i = 1; i < 4; i++)
		share_block(img, f[0], f[i]);
	for (unsigned i = 0; i < 4; i++)
		inode_put(f[i]);
}

static void sharer_gets_a_copy(struct image *img)
{
	struct inode *f0 = find(img, "f0"), *f1 = find(img, "f1");

	check_filled(f1, "user.big", 9000, 2);
	assert_int_equal(f0->file_acl, f1->file_acl);
	assert_int_equal(set_filled(f1, "user.z", 10, 3), 0);
	assert_int_not_equal(f0->file_acl, f1->file_acl);
	check_filled(f1, "user.x", 100, 1);
	check_filled(f1, "user.big", 9000, 2);
	assert_int_equal(xattr_get(f0, "user.z", NULL, 0), -ENODATA);
	inode_put(f0);
	inode_put(f1);
}

/* One replaces a value in an ea_inode, one removes everything. */
static void sharers_let_go(struct image *img)
{
	struct inode *f2 = find(img, "f2"), *f3 = find(img, "f3");

	assert_int_equal(set_filled(f2, "user.big", 4000, 4), 0);
	check_filled(f3, "user.big", 9000, 2);
	assert_int_equal(xattr_remove(f3, "user.big"), 0);
	assert_int_equal(xattr_remove(f3, "user.big2"), 0);
	assert_int_equal(xattr_remove(f3, "user.x"), 0);
	assert_int_equal(f3->file_acl, 0);
	assert_int_equal(f3->blocks, 0);
	inode_put(f2);
	inode_put(f3);
}

static void shared_block_is_copied_on_write(void **state)
{
	struct image img;
	char name[8];

	image_make(&img, "-b 1024 -I 128 -O ea_inode", "16M");
	image_open(&img, NULL);
	make_sharers(&img);
	reopen_clean(&img);
	sharer_gets_a_copy(&img);
	reopen_clean(&img);
	sharers_let_go(&img);
	reopen_clean(&img);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(ops_unlink(img.fs, EXT2_ROOT_INO, name), 0);
		reopen_clean(&img);
	}
	assert_int_equal(img.fs->free_inodes, img.fs->inodes_count - 11);
	assert_int_equal(img.logged, 0);
	image_free(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(area_keeps_order_and_padding),
		cmocka_unit_test(area_full_changes_nothing),
		cmocka_unit_test(all_shapes),
		cmocka_unit_test(options_hide_names),
		cmocka_unit_test(debugfs_agrees),
		cmocka_unit_test(shared_block_is_copied_on_write),
	};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
