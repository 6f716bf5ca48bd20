/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images damaged at random, byte by byte and field by field, where it hurts: superblock,
 * descriptors, bitmaps, inodes, directories, maps, attributes, the journal. Opening and
 * walking one, looking and changing, gives errors at worst: no crash, no hang, no flood.
 *
 * UNIT_SEEDS=n runs n seeds of each image (default 120), UNIT_FIRST=n begins at seed n,
 * UNIT_IMAGE=name takes one image. A failure prints what repeats it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unit_fork.h"
#include "unit_image.h"
#include "unit_meta.h"
#include "unit_walk.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MAX_MBYTES = 1500, CASE_SECONDS = 60 };	/* the sanitizer keeps what was freed */
#else
enum { MAX_MBYTES = 200, CASE_SECONDS = 20 };
#endif
enum { IMAGE_SIZE = 10 << 20, SEEDS = 120, CACHE_BYTES = 4 << 20 };

static const struct variant {
	const char *name, *args;
	bool readonly, crashed;
} variants[] = {
	{ "extents", "-t ext4 -b 1024 -g 4096 -N 1024 -J size=2 -O ^metadata_csum,^uninit_bg,^64bit,inline_data", false, false },
	{ "wide", "-t ext4 -b 1024 -g 4096 -N 1024 -O ^has_journal,^metadata_csum,^uninit_bg,64bit,large_dir,ea_inode", false, false },
	{ "csum", "-t ext4 -b 1024 -g 4096 -N 1024 -J size=2 -O metadata_csum,64bit,orphan_file,inline_data", false, false },
	{ "ext2", "-t ext2 -b 1024 -g 4096 -N 1024 -I 128", false, false },
	{ "ext3", "-t ext3 -b 4096 -N 1024 -J size=4 -I 256", false, false },
	{ "big", "-t ext4 -b 4096 -N 1024 -O ^has_journal,^metadata_csum,^uninit_bg,inline_data,ea_inode", false, false },
	{ "replay", "-t ext4 -b 1024 -g 4096 -N 1024 -J size=2 -O ^metadata_csum,^uninit_bg,^64bit", false, true },
	{ "replay64", "-t ext4 -b 1024 -g 4096 -N 1024 -J size=2 -O metadata_csum,64bit", false, true },
	{ "clusters", "-t ext4 -b 1024 -C 4096 -N 1024 -O ^has_journal,^metadata_csum,bigalloc", true, false },
};

static struct source {
	struct blkdev *dev;
	struct unit_meta *meta;
} sources[ARRAY_LEN(variants)];

struct hostile_case {
	const struct variant *v;
	struct source *src;
	uint64_t seed, rnd;
};

static uint64_t below(struct hostile_case *c, uint64_t n)
{
	return unit_random(&c->rnd) % n;
}

/* A number that is likely to be believed, or to overflow. */
static uint64_t number(struct hostile_case *c, uint64_t old)
{
	static const uint64_t edges[] = {
		0, 1, 2, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0xfffffffffffffff, 0x8000000000000000, ~0ULL,
	};

	switch (below(c, 5)) {
	case 0: return old + 1;
	case 1: return old - 1;
	case 2: return below(c, IMAGE_SIZE / 1024 + 10);
	case 3: return old ^ 1ULL << below(c, 32);
	default: return edges[below(c, ARRAY_LEN(edges))];
	}
}

static const struct unit_meta_range *pick(struct hostile_case *c, enum unit_meta_class class)
{
	const struct unit_meta *m = c->src->meta;
	unsigned n = m->first[class + 1] - m->first[class];

	return n ? &m->ranges[m->first[class] + below(c, n)] : NULL;
}

static void change_number(struct hostile_case *c, uint8_t *data, uint32_t len)
{
	static const unsigned sizes[] = { 1, 2, 2, 4, 4, 4, 8 };
	unsigned size = sizes[below(c, ARRAY_LEN(sizes))];
	uint32_t at;
	uint64_t v = 0;

	if (len < 8)
		return;
	/* Most of what is read first stands at the front. */
	at = (uint32_t)below(c, below(c, 3) ? MIN(len, 128u) : len);
	at = MIN(at - at % size, len - size);
	memcpy(&v, data + at, size);
	v = number(c, v);
	memcpy(data + at, &v, size);
}

static void damage(struct hostile_case *c, const struct unit_meta_range *r)
{
	uint8_t *image = dev_mem_data(c->src->dev), *data = image + r->off;
	const struct unit_meta_range *from;
	uint32_t len;

	switch (below(c, 10)) {
	case 0:
		data[below(c, r->len)] ^= (uint8_t)(1 << below(c, 8));
		break;
	case 1:
		data[below(c, r->len)] = (uint8_t)below(c, 256);
		break;
	case 2:
		len = (uint32_t)below(c, r->len) + 1;
		memset(data + below(c, r->len - len + 1), below(c, 2) ? 0 : 0xff, len);
		break;
	case 3:
		from = pick(c, below(c, 2) ? r->class : below(c, META_CLASSES));
		if (from) {
			len = (uint32_t)below(c, MIN(r->len, from->len)) + 1;
			memmove(data, image + from->off, len);
		}
		break;
	case 4:
		for (uint32_t i = 0, n = (uint32_t)below(c, 64); i < n; i++)
			data[below(c, r->len)] = (uint8_t)below(c, 256);
		break;
	default:
		change_number(c, data, r->len);
	}
}

/* Where: all over, or in the journal that will be replayed. */
static enum unit_meta_class pick_class(struct hostile_case *c)
{
	static const enum unit_meta_class weights[] = {
		META_SUPER, META_GDT, META_BITMAP, META_INODE, META_INODE, META_INODE, META_INODE,
		META_DIR, META_DIR, META_DIR, META_TREE, META_TREE, META_TREE, META_XATTR,
		META_XATTR, META_LINK, META_JOURNAL, META_JOURNAL,
	};

	if (c->v->crashed && below(c, 3))
		return META_JOURNAL;
	return weights[below(c, ARRAY_LEN(weights))];
}

static void damage_some(struct hostile_case *c)
{
	unsigned n = 1 + (unsigned)below(c, below(c, 4) ? 4 : 40);
	const struct unit_meta_range *r;

	while (n--) {
		r = pick(c, pick_class(c));
		if (!r)
			continue;
		damage(c, r);
		/* A few stay wrong. */
		if (below(c, 16))
			unit_meta_seal(c->src->meta, r, c->src->dev);
	}
}

/* Half of the journals look as if there were something to replay. */
static void ask_for_recovery(struct hostile_case *c)
{
	struct ext2_super_block *sb = unit_super(c->src->dev);
	const struct unit_meta_range super = { .class = META_SUPER, .off = SUPERBLOCK_OFFSET,
					       .len = sizeof(*sb) };

	if (!(sb->s_feature_compat & htole32(EXT3_FEATURE_COMPAT_HAS_JOURNAL)) ||
	    c->v->crashed || below(c, 2))
		return;
	sb->s_feature_incompat |= htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
	unit_meta_seal(c->src->meta, &super, c->src->dev);
}

static int hostile_case(void *arg)
{
	struct hostile_case *c = arg;
	struct fs_options opt = { .errors = FS_ERRORS_CONTINUE, .cache_bytes = CACHE_BYTES };
	struct fs *fs;
	int err;

	c->rnd = c->seed * 0x9E3779B97F4A7C15u | 1;
	ask_for_recovery(c);
	damage_some(c);
	opt.readonly = c->v->readonly || below(c, 8) == 0;
	opt.norecovery = opt.readonly && below(c, 2);
	err = unit_fs_open(c->src->dev, &opt, &fs);
	UNIT_CHECK(err <= 0 && err >= -4095, "fs_open returned %d", err);
	if (err)
		return UNIT_PASS;
	unit_walk(fs, c->seed);
	err = fs_close(fs);
	UNIT_CHECK(err <= 0 && err >= -4095, "fs_close returned %d", err);
	return UNIT_PASS;
}

struct hostile_job {
	unsigned first, seeds, jobs, image;
};

/* Every jobs-th seed. */
static int hostile_job(void *arg, unsigned i)
{
	const struct hostile_job *j = arg;
	struct hostile_case c = { .v = &variants[j->image], .src = &sources[j->image] };
	unsigned bad = 0;
	int ret;

	for (unsigned s = i; s < j->seeds && bad < 5; s += j->jobs) {
		c.seed = j->first + s;
		ret = unit_fork(hostile_case, &c, CASE_SECONDS, MAX_MBYTES);
		if (ret == UNIT_PASS)
			continue;
		fprintf(stderr, "UNIT_IMAGE=%s UNIT_FIRST=%llu UNIT_SEEDS=1 failed (%d)\n", c.v->name,
			(unsigned long long)c.seed, ret);
		bad++;
	}
	return bad != 0;
}

static void run_image(unsigned image)
{
	struct hostile_job j = { .first = unit_env("UNIT_FIRST", 1),
				 .seeds = unit_env("UNIT_SEEDS", SEEDS), .jobs = 8, .image = image };
	const char *only = getenv("UNIT_IMAGE");

	if (only && strcmp(only, variants[image].name))
		return;
	sources[image].dev = unit_mkfs_populated(IMAGE_SIZE, variants[image].args);
	if (variants[image].crashed) {
		struct blkdev *crashed = unit_crashed(sources[image].dev);

		blkdev_close(sources[image].dev);
		sources[image].dev = crashed;
	}
	sources[image].meta = unit_meta_scan(sources[image].dev);
	assert_int_equal(unit_fork_all(hostile_job, &j, j.jobs), 0);
	unit_meta_free(sources[image].meta);
	blkdev_close(sources[image].dev);
}

static void test_extents(void **state) { run_image(0); }
static void test_wide(void **state) { run_image(1); }
static void test_csum(void **state) { run_image(2); }
static void test_ext2(void **state) { run_image(3); }
static void test_ext3(void **state) { run_image(4); }
static void test_big(void **state) { run_image(5); }
static void test_replay(void **state) { run_image(6); }
static void test_replay64(void **state) { run_image(7); }
static void test_clusters(void **state) { run_image(8); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extents), cmocka_unit_test(test_wide),
		cmocka_unit_test(test_csum), cmocka_unit_test(test_ext2),
		cmocka_unit_test(test_ext3), cmocka_unit_test(test_big),
		cmocka_unit_test(test_replay), cmocka_unit_test(test_replay64),
		cmocka_unit_test(test_clusters),
	};

	cmocka_set_test_filter(getenv("UNIT_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
