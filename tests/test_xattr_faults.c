/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes when the device fails and when what it holds is damaged. */
#include "xattr_fixture.h"

#include "dev_fault.h"
#include "xattr_int.h"

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
		cmocka_unit_test(failing_reads_leave_all_or_nothing),
		cmocka_unit_test(damage_gives_errors),
	};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
