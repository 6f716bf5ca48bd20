/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journal recovery, judged by e2fsck: the same dirty image is recovered by both and must
 * come out the same, block for block. Journals are made by debugfs and by hand here
 * (wrap-around, every format, damage), by the kernel in test_recover_kernel.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dev_fault.h"
#include "recover_forge.h"
#include "revoke.h"
#include "transport/overlay.h"

/* Journals written by debugfs. */
static void debugfs_made(const char *mkfs, const char *open_cmd)
{
	struct recover_result result;
	struct image img;
	char data[300];

	image_make(&img, 32 * MIB, mkfs);
	snprintf(data, sizeof(data), "%s.data", img.path);
	/* Begins with the magic number, so that it must be escaped. */
	assert_int_equal(image_run("{ printf '\\300\\073\\071\\230'; head -c 20000 /dev/urandom; } > %s",
				   data), 0);
	assert_int_equal(image_run("printf '%s\\njw -b 7000,7001,7002 %s\\n"
				   "jw -b 7001,7005,7006 %s\\njw -r 7002,7005\\njc\\n' | "
				   "debugfs -w -f - %s", open_cmd, data, data, img.path), 0);
	assert_as_e2fsck(&img, &result);
	assert_true(result.dirty);
	unlink(data);
	image_free(&img);
}

static void test_debugfs_plain(void **state)
{
	debugfs_made("-t ext4 -b 1024 -O ^metadata_csum", "jo");
	debugfs_made("-t ext4 -b 4096 -O ^metadata_csum,^64bit", "jo");
	debugfs_made("-t ext3 -b 2048", "jo");
}

static void test_debugfs_checksums(void **state)
{
	/* debugfs writes a bad v1 checksum for the revoking transaction: that one is torn. */
	debugfs_made("-t ext4 -b 1024 -O ^metadata_csum", "jo -c");
	debugfs_made("-t ext4 -b 4096", "jo -c -v 2");
	debugfs_made("-t ext4 -b 4096", "jo -c -v 3");
	debugfs_made("-t ext4 -b 1024 -O ^64bit", "jo -c -v 3");
	debugfs_made("-t ext4 -b 1024 -O ^64bit", "jo -c -v 2");
}

static const uint64_t set_a[] = { 7000, 7001, 7002, 7009 }, set_b[] = { 7001, 7005 },
	revoked[] = { 7002, 7005 }, set_c[] = { 7005, 7007 };

/* Four transactions: rewrites, revokes, a block revoked and written again, and a fifth
 * without commit. */
static void forge_story(struct forge *f)
{
	forge_blocks(f, set_a, 4);
	forge_commit(f);
	forge_blocks(f, set_b, 2);
	forge_revoke(f, revoked, 2);
	forge_commit(f);
	forge_commit(f);
	forge_blocks(f, set_c, 2);
	forge_blocks(f, set_b, 1);
	forge_commit(f);
	forge_revoke(f, set_c, 2);
	forge_blocks(f, set_a, 4);
}

struct format {
	const char *mkfs;
	uint32_t compat, incompat;
};

static const struct format formats[] = {
	{ "-t ext4 -b 1024 -O ^metadata_csum,^64bit", 0, 0 },
	{ "-t ext4 -b 4096 -O ^metadata_csum", 0, JBD2_INCOMPAT_64BIT },
	{ "-t ext4 -b 1024 -O ^metadata_csum,^64bit", JBD2_COMPAT_CHECKSUM, 0 },
	{ "-t ext4 -b 4096 -O ^metadata_csum,^64bit", JBD2_COMPAT_CHECKSUM,
	  JBD2_INCOMPAT_ASYNC_COMMIT },
	{ "-t ext4 -b 1024 -O ^64bit", 0, JBD2_INCOMPAT_CSUM_V2 },
	{ "-t ext4 -b 4096", 0, JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_64BIT },
	{ "-t ext4 -b 1024 -O ^64bit", 0, JBD2_INCOMPAT_CSUM_V3 },
	{ "-t ext4 -b 4096", 0, JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT },
	{ "-t ext4 -b 4096 -O ^extent,^64bit", 0, JBD2_INCOMPAT_CSUM_V3 },
	{ "-t ext3 -b 1024", 0, 0 },
	{ "-t ext4 -b 4096", 0,
	  JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_ASYNC_COMMIT },
};

enum { AT_END = -1 };

static void make_story(struct image *img, struct forge *f, const struct format *format,
		       uint32_t start, uint32_t tid)
{
	image_make(img, 32 * MIB, format->mkfs);
	forge_open(f, img, format->compat, format->incompat, start, tid);
	forge_story(f);
}

static void test_formats(void **state)
{
	static const struct { uint32_t start, tid; } places[] = {
		{ 1, 1 }, { (uint32_t)AT_END, 77 }, { 100, UINT32_MAX - 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		for (size_t k = 0; k < ARRAY_LEN(places); k++) {
			struct recover_result result;
			struct image img;
			struct forge f;

			make_story(&img, &f, &formats[i], places[k].start, places[k].tid);
			forge_close(&f, &img);
			assert_as_e2fsck(&img, &result);
			assert_true(result.dirty && !result.torn);
			assert_int_equal(result.first_tid, places[k].tid);
			assert_int_equal(result.last_tid, places[k].tid + 3);
			assert_int_equal(result.blocks, 5);
			assert_int_equal(result.revoked, 1);
			/* Nothing is left to do. */
			assert_int_equal(recover_file(img.path, &result), 0);
			assert_false(result.dirty);
			image_free(&img);
		}
	}
}

static void test_wrong_commit_checksum_ends_the_log(void **state)
{
	for (size_t i = 2; i < ARRAY_LEN(formats); i++) {
		struct recover_result result;
		struct image img;
		struct forge f;
		uint32_t at;

		if (formats[i].compat == 0 && !jbd2_tail_size(formats[i].incompat))
			continue;
		image_make(&img, 32 * MIB, formats[i].mkfs);
		forge_open(&f, &img, formats[i].compat, formats[i].incompat, 20, 5);
		forge_blocks(&f, set_a, 4);
		forge_commit(&f);
		forge_blocks(&f, set_b, 2);
		at = forge_commit(&f);
		forge_blocks(&f, set_c, 2);
		forge_commit(&f);
		forge_flip(&f, at, offsetof(struct jbd2_commit, h_chksum));
		forge_close(&f, &img);
		assert_as_e2fsck(&img, &result);
		/* With v2 and v3 async_commit takes it for a half-written one. */
		assert_int_equal(result.torn, formats[i].compat ||
				 !(formats[i].incompat & JBD2_INCOMPAT_ASYNC_COMMIT));
		assert_int_equal(result.last_tid, 5);
		image_free(&img);
	}
}

/* The rest of the last round stands behind the log's end. */
static void test_left_overs_are_not_replayed(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct recover_result result;
		struct image img;
		struct forge f;

		image_make(&img, 32 * MIB, formats[i].mkfs);
		forge_open(&f, &img, formats[i].compat, formats[i].incompat, 20, 5);
		forge_blocks(&f, set_a, 4);
		forge_commit(&f);
		forge_blocks(&f, set_b, 2);
		f.time = 5;	/* older, with the number that comes next */
		forge_flip(&f, 26, 30);
		forge_commit(&f);
		forge_close(&f, &img);
		if (jbd2_tail_size(formats[i].incompat)) {
			assert_as_e2fsck(&img, &result);
			assert_int_equal(result.last_tid, 5);
			assert_false(result.torn);
		}
		image_free(&img);
	}
}

static void assert_refused_untouched(struct image *img, int want)
{
	struct recover_result result;
	size_t len, len2;
	uint8_t *before = read_all(img->path, &len), *after;

	assert_int_equal(recover_file(img->path, &result), want);
	assert_true(why[0]);
	after = read_all(img->path, &len2);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
}

static void test_damage_is_refused(void **state)
{
	static const struct format *csum = &formats[7];
	static const uint64_t outside[] = { 1000000 };
	uint32_t at[] = { 20, 21, 26 };		/* descriptor, data, descriptor */
	uint64_t inside;
	struct image img;
	struct forge f;

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		make_story(&img, &f, csum, 20, 5);
		forge_flip(&f, at[i], 40);
		forge_close(&f, &img);
		assert_refused_untouched(&img, -EUCLEAN);
		image_free(&img);
	}
	for (int own = 0; own < 2; own++) {
		image_make(&img, 32 * MIB, csum->mkfs);
		forge_open(&f, &img, csum->compat, csum->incompat, 20, 5);
		inside = f.pblk[17];
		forge_blocks(&f, own ? &inside : outside, 1);
		forge_commit(&f);
		forge_close(&f, &img);
		assert_refused_untouched(&img, -EUCLEAN);
		image_free(&img);
	}
}

static void with_super(const struct format *format, void (*change)(struct forge *f), int want)
{
	struct image img;
	struct forge f;

	make_story(&img, &f, format, 20, 5);
	change(&f);
	forge_super(&f);
	forge_close(&f, &img);
	assert_refused_untouched(&img, want);
	image_free(&img);
}

static void bad_magic(struct forge *f) { f->super.s_header.h_magic ^= 1; }
static void bad_blocksize(struct forge *f) { f->super.s_blocksize = htobe32(512); }
static void too_long(struct forge *f) { f->super.s_maxlen = htobe32(f->end + 1); }
static void too_short(struct forge *f) { f->super.s_maxlen = htobe32(30); }
static void bad_first(struct forge *f) { f->super.s_first = 0; }
static void bad_start(struct forge *f) { f->super.s_start = htobe32(f->end); }
static void bad_incompat(struct forge *f) { f->super.s_feature_incompat |= htobe32(0x4000); }
static void bad_csum_type(struct forge *f) { f->super.s_checksum_type = 1; }
static void both_csums(struct forge *f)
{
	f->super.s_feature_incompat |= htobe32(JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3);
}

static void test_bad_superblock_is_refused(void **state)
{
	static const struct format *csum = &formats[7];

	with_super(csum, bad_magic, -EUCLEAN);
	with_super(csum, bad_blocksize, -EUCLEAN);
	with_super(csum, too_long, -EUCLEAN);
	with_super(csum, too_short, -EUCLEAN);
	with_super(csum, bad_first, -EUCLEAN);
	with_super(csum, bad_start, -EUCLEAN);
	with_super(csum, bad_incompat, -EOPNOTSUPP);
	with_super(csum, bad_csum_type, -EUCLEAN);
	with_super(csum, both_csums, -EUCLEAN);
}

static uint16_t fs_state_of(const struct image *img)
{
	uint16_t le;
	int fd = open(img->path, O_RDONLY);

	assert_int_equal(pread(fd, &le, 2, 1024 + offsetof(struct ext2_super_block, s_state)), 2);
	close(fd);
	return le16toh(le);
}

static void test_journal_error_becomes_fs_error(void **state)
{
	for (int used = 0; used < 2; used++) {
		struct recover_result result;
		struct image img;
		struct forge f;

		make_story(&img, &f, &formats[7], 20, 5);
		f.super.s_errno = htobe32((uint32_t)-EIO);
		if (!used)
			f.super.s_start = 0;
		forge_super(&f);
		forge_close(&f, &img);
		assert_as_e2fsck(&img, &result);
		assert_true(fs_state_of(&img) & EXT2_ERROR_FS);
		assert_int_equal(result.dirty, used);
		image_free(&img);
	}
}

static void test_not_replayed_without_the_flag(void **state)
{
	struct recover_result result;
	size_t len, len2;
	uint8_t *before, *after;
	struct image img;
	struct forge f;

	make_story(&img, &f, &formats[7], 20, 5);
	close(f.fd);
	before = read_all(img.path, &len);
	assert_int_equal(recover_file(img.path, &result), 0);
	assert_false(result.dirty);
	after = read_all(img.path, &len2);
	/* Only the journal superblock has changed, and says that the log is empty. */
	memcpy(&f.super, after + (size_t)f.pblk[0] * f.bs, sizeof(f.super));
	assert_int_equal(f.super.s_start, 0);
	assert_int_equal(be32toh(f.super.s_sequence), 10);
	memcpy(after + (size_t)f.pblk[0] * f.bs, before + (size_t)f.pblk[0] * f.bs, f.bs);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
	image_free(&img);
}

/* The number of the next transaction may be higher after a second try. */
static void mask_sequence(struct forge *f, uint8_t *image)
{
	struct jbd2_super *js = (void *)(image + (size_t)f->pblk[0] * f->bs);

	assert_int_equal(js->s_start, 0);
	js->s_sequence = 0;
	js->s_checksum = 0;
}

/* Every write and flush fails once: the journal must still be there, or the work done. */
static void test_interrupted_recovery_starts_over(void **state)
{
	struct recover_result result;
	struct blkdev *file, *dev;
	struct image img;
	struct forge f;
	bool fired = true;
	uint8_t *want, *got;
	size_t len;

	make_story(&img, &f, &formats[7], (uint32_t)AT_END, UINT32_MAX);
	forge_close(&f, &img);
	assert_int_equal(image_run("cp %s %s.dirty", img.path, img.path), 0);
	assert_int_equal(recover_file(img.path, &result), 0);
	want = read_all(img.path, &len);
	mask_sequence(&f, want);
	for (unsigned n = 1; fired; n++) {
		int err;

		assert_int_equal(image_run("cp %s.dirty %s", img.path, img.path), 0);
		assert_int_equal(file_dev_open(img.path, -1, false, &file), 0);
		assert_int_equal(dev_fault_open(file, true, &dev), 0);
		dev_fault_arm(dev, DEV_FAULT_ALL, n, -EIO, true);
		err = recover_dev(dev, &result);
		fired = dev_fault_fired(dev);
		assert_int_equal(err, fired ? -EIO : 0);
		dev_fault_disarm(dev);
		assert_int_equal(recover_dev(dev, &result), 0);
		assert_int_equal(blkdev_close(dev), 0);
		got = read_all(img.path, &len);
		mask_sequence(&f, got);
		assert_memory_equal(want, got, len);
		free(got);
	}
	free(want);
	assert_int_equal(image_run("rm %s.dirty", img.path), 0);
	image_free(&img);
}

/* Nothing to assert but that it ends, in bounds. */
static void test_random_damage(void **state)
{
	unsigned seed = getenv("TEST_SEED") ? atoi(getenv("TEST_SEED")) : 20240;
	struct blkdev *file, *dev;
	struct image img;
	struct forge f;

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		make_story(&img, &f, &formats[i], 20, 5);
		forge_close(&f, &img);
		assert_int_equal(file_dev_open(img.path, -1, true, &file), 0);
		for (int round = 0; round < 300; round++) {
			struct recover_result result;
			uint64_t base = (uint64_t)f.pblk[round % 2 ? 20 : 0] * f.bs;
			size_t span = round % 2 ? 20 * f.bs : 256;

			assert_int_equal(overlay_dev_open(file, false, 0, &dev), 0);
			for (int n = 1 + rand_r(&seed) % 3; n > 0; n--) {
				uint64_t off = base + rand_r(&seed) % span;
				uint8_t byte = rand_r(&seed);

				/* Headers and tags are at the start of a block. */
				if (round % 4 == 1)
					off = round_down(off, f.bs) + rand_r(&seed) % 64;
				assert_int_equal(blkdev_write(dev, &byte, 1, off), 0);
			}
			recover_dev(dev, &result);
			blkdev_close(dev);
		}
		blkdev_close(file);
		image_free(&img);
	}
}

static void test_bad_journal_inode_is_refused(void **state)
{
	static const char *const damage[] = {
		"sif <8> size 4096", "sif <8> mode 040755", "sif <8> links_count 0",
		"sif <8> block[0] 0", "sif <8> block[5] 1", "sif <8> block[4] 2", "clri <8>",
		"sif <8> block[4] 0x8010", "sif <8> flags 0",
	};

	for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
		struct recover_result result;
		struct image img;

		image_make(&img, 32 * MIB, "-t ext4 -b 4096 -O ^64bit");
		assert_int_equal(image_run("printf '%s\\nfeature needs_recovery\\n' | debugfs -w -f - %s",
					   damage[i], img.path), 0);
		assert_int_equal(recover_file(img.path, &result), -EUCLEAN);
		image_free(&img);
	}
}

static void test_fragmented_journals(void **state)
{
	static const char *const mkfs[] = { "-t ext4 -b 1024 -O ^extent,^64bit", "-t ext3 -b 1024",
					    "-t ext4 -b 1024 -J size=40" };

	for (size_t i = 0; i < ARRAY_LEN(mkfs); i++) {
		struct recover_result result;
		struct image img;

		image_make(&img, 128 * MIB, mkfs[i]);
		assert_int_equal(image_run("head -c 20000 /dev/urandom > %s.data; "
					   "printf 'jo\\njw -b 120000,120001 %s.data\\njc\\n' | "
					   "debugfs -w -f - %s; rm %s.data", img.path, img.path,
					   img.path, img.path), 0);
		assert_as_e2fsck(&img, &result);
		assert_true(result.dirty);
		image_free(&img);
	}
}

static void test_revoke_set(void **state)
{
	struct revoke_set set;

	revoke_init(&set);
	for (uint32_t tid = UINT32_MAX - 500; tid != 500; tid++) {
		for (uint64_t b = 0; b < 100; b++)
			assert_int_equal(revoke_add(&set, b * 3, tid - b), 0);
		revoke_commit(&set);
	}
	assert_true(set.len < 2000);
	assert_int_equal(revoke_add(&set, 3, 600), 0);
	revoke_finish(&set);
	for (uint64_t b = 0; b < 100; b++) {
		assert_true(revoke_test(&set, b * 3, 499 - b));
		assert_true(revoke_test(&set, b * 3, UINT32_MAX));
		assert_false(revoke_test(&set, b * 3, 500 - b));
		assert_false(revoke_test(&set, b * 3 + 1, 0));
	}
	revoke_fini(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoke_set),
		cmocka_unit_test(test_debugfs_plain),
		cmocka_unit_test(test_debugfs_checksums),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_wrong_commit_checksum_ends_the_log),
		cmocka_unit_test(test_left_overs_are_not_replayed),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_bad_superblock_is_refused),
		cmocka_unit_test(test_journal_error_becomes_fs_error),
		cmocka_unit_test(test_not_replayed_without_the_flag),
		cmocka_unit_test(test_interrupted_recovery_starts_over),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_bad_journal_inode_is_refused),
		cmocka_unit_test(test_fragmented_journals),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
