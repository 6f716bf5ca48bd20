/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes in the inode, in a block and in ea_inodes, on real images. */
#include "xattr_fixture.h"

#include "dev_fault.h"
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

static bool has_ea(const struct image *img)
{
	return img->fs->has_ea_inode;
}

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

/* -- faults ---------------------------------------------------------------------- */

/* Changes of "f", which has user.a (in the inode), user.b (in the block) and user.c (in an
 * ea_inode). */
typedef int (*fault_op)(struct image *img, struct inode *f);

static int op_small(struct image *img, struct inode *f) { return set_filled(f, "user.a", 9, 5); }
static int op_grow(struct image *img, struct inode *f) { return set_filled(f, "user.a", 300, 5); }
static int op_block(struct image *img, struct inode *f) { return set_filled(f, "user.b", 200, 5); }
static int op_large(struct image *img, struct inode *f) { return set_filled(f, "user.b", 5000, 5); }
static int op_again(struct image *img, struct inode *f) { return set_filled(f, "user.c", 7000, 5); }
static int op_shrink(struct image *img, struct inode *f) { return set_filled(f, "user.c", 3, 5); }
static int op_remove(struct image *img, struct inode *f) { return xattr_remove(f, "user.c"); }
static int op_unlink(struct image *img, struct inode *f) { return ops_unlink(img->fs, 2, "f"); }

static const fault_op fault_ops[] = {
	op_small, op_grow, op_block, op_large, op_again, op_shrink, op_remove, op_unlink,
};

static void open_faulty(struct image *img, struct blkdev **ret_fault)
{
	struct fs_options opt = { .errors = FS_ERRORS_CONTINUE, .log = image_log, .log_arg = img };
	char why[256] = "";

	assert_int_equal(file_dev_open(img->path, -1, false, &img->dev), 0);
	assert_int_equal(dev_fault_open(img->dev, true, ret_fault), 0);
	img->dev = *ret_fault;
	assert_int_equal(fs_open(img->dev, &opt, &img->fs, why, sizeof(why)), 0);
}

static void check_before(struct inode *f)
{
	check_filled(f, "user.a", 10, 1);
	check_filled(f, "user.b", 150, 2);
	check_filled(f, "user.c", 6000, 3);
}

/* The nth read of the operation fails. False when it needed fewer. */
static bool fail_one(struct image *img, fault_op op, unsigned n)
{
	struct blkdev *fault;
	struct inode *f;
	bool fired;
	int err;

	open_faulty(img, &fault);
	f = find(img, "f");
	dev_fault_arm(fault, DEV_FAULT_READ, n, -EIO, false);
	err = op(img, f);
	fired = dev_fault_fired(fault);
	dev_fault_disarm(fault);
	if (err)
		check_before(f);
	else
		assert_true(fired || !img->logged);
	inode_put(f);
	image_close(img);
	/* A deletion that failed is an orphan until the next mount; where a bitmap could
	 * not be read blocks may be lost, but nothing worse. */
	image_open(img, NULL);
	image_close(img);
	run(true, "e2fsck -fp %s >/dev/null 2>&1; test $? -le 1", img->path);
	image_fsck(img);
	image_open(img, NULL);
	if (err) {
		f = find(img, "f");
		check_before(f);
		inode_put(f);
	}
	image_close(img);
	img->logged = 0;
	return fired;
}

static void failing_reads_leave_all_or_nothing(void **state)
{
	struct image img;
	struct inode *f;
	char keep[300];

	image_make(&img, "-b 1024 -I 256 -O ea_inode", "4M");
	image_open(&img, NULL);
	f = make_file(&img, "f");
	assert_int_equal(set_filled(f, "user.a", 10, 1), 0);
	assert_int_equal(set_filled(f, "user.b", 150, 2), 0);
	assert_int_equal(set_filled(f, "user.c", 6000, 3), 0);
	inode_put(f);
	image_close(&img);
	img.loud = false;
	snprintf(keep, sizeof(keep), "%s.keep", img.path);
	run(true, "cp --sparse=always %s %s", img.path, keep);
	for (unsigned i = 0; i < ARRAY_LEN(fault_ops); i++) {
		unsigned n = 1;

		while (fail_one(&img, fault_ops[i], n)) {
			run(true, "cp --sparse=always %s %s", keep, img.path);
			n++;
		}
		run(true, "cp --sparse=always %s %s", keep, img.path);
		assert_true(n < 100);
	}
	unlink(keep);
	image_free(&img);
}

/* -- damage ---------------------------------------------------------------------- */

static void poke_everything(struct image *img, struct inode *f, unsigned seed)
{
	char list[4096], name[16];
	uint8_t *buf = malloc(65536);
	ssize_t n = xattr_list(f, list, sizeof(list), true);

	for (ssize_t i = 0; i < n; i += strlen(list + i) + 1)
		(void)!xattr_get(f, list + i, buf, 65536);
	(void)!xattr_get(f, "user.nn", buf, 65536);
	snprintf(name, sizeof(name), "user.%u", seed % 8);
	(void)!set_filled(f, name, seed % 400, seed);
	(void)!xattr_remove(f, "user.2");
	(void)!inline_read(f, buf, 4096, seed % 100);
	free(buf);
}

/* A file with attributes in all places, and what its bytes were. */
struct victim {
	struct inode *f;
	struct buf *b;
	uint8_t *raw, *block;
};

static void victim_make(struct image *img, struct victim *v)
{
	const struct fs *fs = img->fs;

	v->f = make_file(img, "f");
	for (unsigned i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "user.%u", i);
		assert_int_equal(set_filled(v->f, name, 10 * i, i), 0);
	}
	if (has_ea(img))
		assert_int_equal(set_filled(v->f, "user.nn", 5000, 1), 0);
	v->b = cache_peek(fs->cache, v->f->file_acl);
	assert_non_null(v->b);
	v->raw = malloc(fs->inode_size);
	v->block = malloc(fs->block_size);
	memcpy(v->raw, v->f->raw, fs->inode_size);
	memcpy(v->block, v->b->data, fs->block_size);
}

static void victim_drop(struct victim *v)
{
	cache_put(v->b);
	inode_put(v->f);
	free(v->raw);
	free(v->block);
}

/* As it was, but for one to four bytes. */
static void victim_damage(struct image *img, struct victim *v, unsigned seed)
{
	const struct fs *fs = img->fs;
	unsigned n = 1 + seed % 4;

	srandom(seed);
	memcpy(v->f->raw, v->raw, fs->inode_size);
	memcpy(v->b->data, v->block, fs->block_size);
	v->f->file_acl = v->b->pblk;
	while (n--) {
		bool hot = random() % 2;
		uint32_t at = random() % (hot ? 200 : fs->block_size);

		if (random() % 2)
			v->f->raw[128 + (at + 28) % (fs->inode_size - 128)] = random();
		else
			v->b->data[at] = random();
	}
}

/* Random bytes in the in-core area or the cached block: errors at most. */
static void damage_gives_errors(void **state)
{
	static const char *const kinds[] = {
		"-b 1024 -I 256 -O ea_inode,inline_data", "-b 1024 -I 512",
	};
	const char *env = getenv("XATTR_MUTATIONS");
	unsigned rounds = env ? atoi(env) : 3000;

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct image img;
		struct victim v;

		image_make(&img, kinds[k], "32M");
		image_open(&img, NULL);
		img.loud = false;
		victim_make(&img, &v);
		for (unsigned seed = 1; seed <= rounds; seed++) {
			victim_damage(&img, &v, seed);
			poke_everything(&img, v.f, seed);
		}
		assert_true(img.logged > rounds / 20);
		victim_drop(&v);
		fs_shutdown(img.fs, false);
		(void)!fs_close(img.fs);
		(void)!blkdev_close(img.dev);
		img.fs = NULL;
		image_free(&img);
	}
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
		cmocka_unit_test(failing_reads_leave_all_or_nothing),
		cmocka_unit_test(damage_gives_errors),
	};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
