/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inline content beside other attributes, judged by e2fsck and debugfs. */
#include "xattr_fixture.h"

#include "map.h"
#include "xattr_int.h"

static void start(struct image *img, const char *args)
{
	image_make(img, args, "32M");
	image_open(img, NULL);
}

static void finish(struct image *img)
{
	assert_int_equal(img->logged, 0);
	image_close(img);
	image_fsck(img);
	image_free(img);
}

/* Makes the content `n` filled bytes, size too; what inline_write says. */
static int put_content(struct inode *f, size_t n, unsigned seed)
{
	uint8_t *buf = malloc(n + 1);
	struct handle h;
	int err;

	fill(buf, n, seed);
	rwlock_write(&f->lock);
	assert_int_equal(txn_begin(f->fs, 4, &h), 0);
	err = inline_write(&h, f, buf, n);
	if (!err) {
		f->size = n;
		assert_int_equal(inode_store(&h, f, true), 0);
	}
	assert_int_equal(txn_stop(&h), 0);
	rwlock_write_unlock(&f->lock);
	free(buf);
	return err;
}

static void check_content(struct inode *f, size_t n, unsigned seed)
{
	uint8_t want[8192], got[8192];
	size_t used, max;

	fill(want, n, seed);
	assert_int_equal(inline_capacity(f, &used, &max), 0);
	assert_true(used >= n && max >= n);
	memset(got, 0xee, sizeof(got));
	assert_int_equal(inline_read(f, got, sizeof(got), 0), used);
	assert_memory_equal(got, want, n);
	for (size_t i = n; i < used; i++)
		assert_int_equal(got[i], 0);
	for (size_t off = 0; off <= n; off += 13) {
		ssize_t len = inline_read(f, got, 20, off);

		assert_int_equal(len, MIN(20, used - off));
		assert_memory_equal(got, want + off, MIN((size_t)len, n - off));
	}
	assert_int_equal(inline_read(f, got, 1, used), 0);
}

static void content_fills_the_room(void **state)
{
	static const char *const shapes[] = {
		"-b 1024 -I 256 -O inline_data", "-b 4096 -I 1024 -O inline_data,^metadata_csum",
		"-b 4096 -I 256 -O inline_data,^has_journal,ea_inode",
	};

	for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
		struct image img;
		struct inode *f;
		size_t used, max;

		start(&img, shapes[i]);
		f = make_file(&img, "f");
		assert_true(inode_is_inline(f));
		assert_int_equal(inline_capacity(f, &used, &max), 0);
		assert_int_equal(used, 60);
		/* 4 for the magic, 20 for system.data, 4 for the end of the names. */
		assert_int_equal(max, 60 + img.fs->inode_size - 128 -
				 img.fs->want_extra_isize - 28);
		for (size_t n = 0; n <= max; n += n < 70 ? 5 : 1) {
			assert_int_equal(put_content(f, n, n), 0);
			check_content(f, n, n);
		}
		assert_int_equal(put_content(f, max + 1, 0), -ENOSPC);
		check_content(f, max, max);
		assert_int_equal(put_content(f, 3, 1), 0);
		check_content(f, 3, 1);
		assert_int_equal(put_content(f, max, 5), 0);
		inode_put(f);
		image_close(&img);
		image_fsck(&img);
		image_open(&img, NULL);
		f = find(&img, "f");
		check_content(f, max, 5);
		inode_put(f);
		finish(&img);
	}
}

static void debugfs_reads_it(void **state)
{
	uint8_t want[200] = { 0 };
	struct image img;
	struct inode *f;
	char *out;

	start(&img, "-b 1024 -I 256 -O inline_data");
	f = make_file(&img, "f");
	assert_int_equal(put_content(f, 117, 9), 0);
	inode_put(f);
	image_close(&img);
	fill(want, 117, 9);
	out = run(true, "debugfs -R 'cat f' %s 2>/dev/null", img.path);
	assert_string_equal(out, (char *)want);
	run(true, "head -c 120 /dev/zero | tr '\\0' x >%s.in; "
	    "debugfs -w -R 'write %s.in theirs' %s 2>&1; rm %s.in", img.path, img.path, img.path,
	    img.path);
	image_open(&img, NULL);
	f = find(&img, "theirs");
	assert_true(inode_is_inline(f));
	assert_int_equal(inline_read(f, want, 200, 0), 120);
	for (unsigned i = 0; i < 120; i++)
		assert_int_equal(want[i], 'x');
	inode_put(f);
	finish(&img);
}

/* What is stored inline stays; other attributes go to the block when there is no room. */
static void attributes_share_the_inode(void **state)
{
	struct image img;
	struct inode *f;
	size_t used, max, full;
	char list[64];

	start(&img, "-b 1024 -I 256 -O inline_data");
	f = make_file(&img, "f");
	assert_int_equal(inline_capacity(f, &used, &full), 0);
	assert_int_equal(xattr_list(f, list, sizeof(list), true), 0);
	assert_int_equal(xattr_set(f, "user.a", "12345678", 8, 0), 0);
	assert_int_equal(f->file_acl, 0);
	assert_int_equal(inline_capacity(f, &used, &max), 0);
	assert_int_equal(max, full - 20 - 8);
	assert_int_equal(put_content(f, max + 1, 1), -ENOSPC);
	assert_int_equal(put_content(f, max, 2), 0);
	assert_int_equal(set_filled(f, "user.b", 30, 3), 0);
	assert_int_not_equal(f->file_acl, 0);
	assert_int_equal(set_filled(f, "user.a", 31, 4), 0);
	check_content(f, max, 2);
	check_filled(f, "user.a", 31, 4);
	check_filled(f, "user.b", 30, 3);
	/* user.a has gone to the block: its room is free. */
	assert_int_equal(put_content(f, full, 5), 0);
	check_content(f, full, 5);
	assert_int_equal(xattr_remove(f, "user.a"), 0);
	assert_int_equal(xattr_remove(f, "user.b"), 0);
	check_content(f, full, 5);
	inode_put(f);
	finish(&img);
}

static void clearing_leaves_an_empty_map(void **state)
{
	struct image img;
	struct inode *f;
	struct handle h;
	struct run run;

	start(&img, "-b 1024 -I 256 -O inline_data");
	f = make_file(&img, "f");
	assert_int_equal(xattr_set(f, "user.a", "x", 1, 0), 0);
	assert_int_equal(put_content(f, 90, 1), 0);
	rwlock_write(&f->lock);
	assert_int_equal(txn_begin(img.fs, 4, &h), 0);
	f->size = 0;
	assert_int_equal(inline_clear(&h, f), 0);
	assert_int_equal(txn_stop(&h), 0);
	assert_false(inode_is_inline(f));
	assert_true(f->flags & EXT4_EXTENTS_FL);
	assert_int_equal(map_lookup(f, 0, &run), 0);
	assert_true(run.flags & RUN_HOLE);
	rwlock_write_unlock(&f->lock);
	assert_int_equal(xattr_get(f, "user.a", NULL, 0), 1);
	assert_int_equal(xattr_ibody_data_get(f, NULL, 0), -ENODATA);
	inode_put(f);
	finish(&img);
}

static void no_room_in_small_inodes(void **state)
{
	struct image img;
	struct inode *f;

	start(&img, "-b 1024 -I 128");
	f = make_file(&img, "f");
	assert_int_equal(xattr_ibody_data_room(f), 0);
	assert_int_equal(xattr_ibody_data_set(f, "", 0, false), -ENOSPC);
	assert_int_equal(inline_init(f), -ENOSPC);
	assert_false(inode_is_inline(f));
	inode_put(f);
	finish(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_fills_the_room),
		cmocka_unit_test(debugfs_reads_it),
		cmocka_unit_test(attributes_share_the_inode),
		cmocka_unit_test(clearing_leaves_an_empty_map),
		cmocka_unit_test(no_room_in_small_inodes),
	};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
