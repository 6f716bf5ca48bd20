/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power is cut everywhere.
 *
 * A workload runs on a device that records every write and flush, with a journal so small
 * that it wraps around. Then images are built as a crash could have left them: all that
 * had been flushed, and of the rest nothing, everything, any part, parts of sectors' size
 * of some writes, or all but one. Each is recovered twice, by us and by e2fsck: they must agree block
 * for block, both results be clean, nothing an fsync promised be lost, and no file show
 * bytes that were not written to it. One setup runs on a LUKS2 container.
 *
 * CRASH_ALL=1 takes every cut, CRASH_SEED=n starts from another seed, CRASH_SECONDS=n is how
 * long it may take (20). What fails is printed with the numbers that repeat it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crash_luks.h"
#include "crash_work.h"
#include "iomgr.h"
#include "jbd2_format.h"
#include "recover_int.h"
#include "unit_fork.h"
#include "unit_image.h"
#include "unit_walk.h"

enum { MIB = 1 << 20, SECTOR = 512, SUPER = 1024 };

/* Features of the journal to start from; what the file system asks for is added. */
enum { JNL_ASIS, JNL_V1, JNL_V2 };

struct setup {
	const char *name, *mkfs;
	unsigned mib, threads, steps;
	int journal;
	bool luks;
};

static const struct setup setups[] = {
	{ "v3", "-t ext4 -b 1024 -N 512 -J size=1 -O metadata_csum,64bit,^orphan_file", 5, 4, 90, JNL_ASIS, false },
	{ "none", "-t ext4 -b 1024 -N 512 -J size=1 -O ^metadata_csum,^64bit,^orphan_file", 4, 1, 300, JNL_ASIS, false },
	{ "v1", "-t ext4 -b 1024 -N 512 -J size=1 -O ^metadata_csum,64bit", 4, 2, 150, JNL_V1, false },
	{ "v2", "-t ext4 -b 1024 -N 512 -J size=1 -O metadata_csum,^64bit,inline_data", 4, 2, 150, JNL_V2, false },
	{ "orphan_file", "-t ext4 -b 1024 -N 512 -J size=1 -O metadata_csum,orphan_file", 5, 4, 90, JNL_ASIS, false },
	{ "ext3", "-t ext3 -b 1024 -N 512 -J size=1 -O ^resize_inode", 4, 2, 150, JNL_ASIS, false },
	{ "4k", "-t ext4 -b 4096 -N 512 -J size=4 -O metadata_csum,64bit", 9, 4, 120, JNL_ASIS, false },
	{ "luks2", "-t ext4 -b 1024 -N 512 -J size=1 -O metadata_csum,64bit", 5, 4, 90, JNL_ASIS, true },
};

/* The kinds of cut at one place. */
enum { CUT_NOTHING, CUT_ALL, CUT_SOME, CUT_TORN, CUT_LOST, CUT_LOST2, CUT_LOST3, CUT_KINDS };

struct run {
	const struct setup *setup;
	uint64_t seed;
	struct blkdev *base;	/* before the first call */
	struct blkdev *record;
	struct crash_work *work;
	size_t ncalls;
	struct log map;		/* of the journal */
	unsigned stride, jobs;
	time_t until;		/* CLOCK_MONOTONIC */
	uint64_t order;
};

static void open_map(struct blkdev *dev, struct log *log)
{
	char name[IOMGR_NAME_SIZE], why[256];
	ext2_filsys e2;

	iomgr_name(dev, name);
	if (ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
			 iomgr_blkdev(), &e2))
		unit_die("cannot open the image");
	if (log_open(log, e2, dev, dev, why, sizeof(why)))
		unit_die("cannot open the journal: %s", why);
	log->why_len = 0;
	ext2fs_free(e2);
}

static void set_journal(struct blkdev *dev, struct log *log, int kind)
{
	struct jbd2_super *js = log_super(log);
	uint32_t len;

	if (kind == JNL_V1) {
		log->compat = JBD2_COMPAT_CHECKSUM;
	} else if (kind == JNL_V2) {
		log->incompat |= JBD2_INCOMPAT_CSUM_V2;
		js->s_checksum_type = JBD2_CRC32C;
	}
	js->s_feature_compat = htobe32(log->compat);
	js->s_feature_incompat = htobe32(log->incompat);
	log_seal_super(log);
	if (blkdev_write(dev, js, log->block_size, log_pblk(log, 0, &len) * log->block_size))
		unit_die("cannot write the journal superblock");
}

static void record(struct run *r)
{
	struct fs_options opt = { .commit_sec = 1, .errors = FS_ERRORS_RO };
	uint64_t size = (uint64_t)r->setup->mib * MIB;
	struct crash_luks *container = NULL;
	struct blkdev *live, *top;
	struct fs *fs;

	r->base = unit_mkfs(size, r->setup->mkfs);
	open_map(r->base, &r->map);
	set_journal(r->base, &r->map, r->setup->journal);
	live = unit_copy(r->base, size);
	if (r->setup->luks)
		container = crash_luks_open(r->base, &top, &r->record);
	else if (dev_record_open(live, true, &r->record))
		unit_die("no memory");
	else
		top = r->record;
	fs = unit_fs_must_open(top, &opt);
	r->work = crash_work_run(fs, r->record, r->seed, r->setup->threads, r->setup->steps);
	if (fs_close(fs))
		unit_die("fs_close failed");
	r->ncalls = dev_record_count(r->record);
	if (container) {
		r->record = crash_luks_decrypt(container, r->base);
		dev_record_replay(r->record, r->ncalls, live);
	}
	if (!unit_is_clean(live))
		unit_die("%s, seed %" PRIu64 ": not clean after the workload", r->setup->name, r->seed);
	if (container)
		blkdev_close(live);	/* otherwise the record's */
}

static bool is_commit_block(const struct run *r, const struct dev_record_entry *e)
{
	struct jbd2_header head;

	if (e->len != r->map.block_size || !log_owns(&r->map, e->off / r->map.block_size))
		return false;
	memcpy(&head, e->data, sizeof(head));
	return be32toh(head.h_magic) == JBD2_MAGIC && be32toh(head.h_blocktype) == JBD2_COMMIT;
}

/*
 * Any sectors of a write; the superblock is taken to be written as a whole. True when it
 * is a commit block longer than a sector: with an old end of the block it counts for us
 * and the kernel, whose first sector is what matters, and not for e2fsck.
 */
static bool apply_torn(const struct run *r, const struct dev_record_entry *e,
		       struct blkdev *dst, uint64_t *rnd)
{
	bool super = unit_random(rnd) & 1;

	if (e->op != DEV_RECORD_WRITE)
		return false;
	for (uint64_t off = 0; off < e->len; off += SECTOR) {
		uint64_t at = e->off + off;
		bool keep = at >= SUPER && at < 2 * SUPER ? super : unit_random(rnd) & 1;

		if (keep)
			blkdev_write(dst, e->data + off, MIN((uint64_t)SECTOR, e->len - off), at);
	}
	return is_commit_block(r, e);
}

/* dev holds what is durable; adds from the calls [from, to) what this cut keeps. True when
 * the recoveries may differ by a commit. */
static bool apply_rest(struct run *r, struct blkdev *dev, size_t from, size_t to, int kind,
		       uint64_t *rnd)
{
	unsigned keep_of_4 = 1 + unit_random(rnd) % 3;
	size_t lost = from + unit_random(rnd) % (to - from);
	bool differ = false;

	for (size_t i = from; i < to; i++) {
		struct dev_record_entry e = dev_record_get(r->record, i);

		if (kind == CUT_ALL || (kind >= CUT_LOST && i != lost))
			dev_record_apply(&e, dev, UINT64_MAX);
		else if (kind >= CUT_LOST)
			continue;
		else if (unit_random(rnd) % 4 < keep_of_4)
			dev_record_apply(&e, dev, UINT64_MAX);
		else if (kind == CUT_TORN)
			differ |= apply_torn(r, &e, dev, rnd);
	}
	return differ;
}

static int recover_ours(struct blkdev *dev, char *why, size_t why_len)
{
	struct recover_result result;
	char name[IOMGR_NAME_SIZE];
	ext2_filsys e2;
	int err;

	iomgr_name(dev, name);
	if (ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
			 iomgr_blkdev(), &e2)) {
		snprintf(why, why_len, "the superblock cannot be read");
		return -EUCLEAN;
	}
	err = recover_journal(e2, dev, dev, &result, why, why_len);
	ext2fs_free(e2);
	return err;
}

/* But for the journal, and what is stamped into the superblock. */
static bool same(const struct run *r, struct blkdev *a, struct blkdev *b, uint64_t *ret_pblk)
{
	uint32_t bs = r->map.block_size;
	const uint8_t *x = dev_mem_data(a), *y = dev_mem_data(b);

	for (uint64_t pblk = 2 * SUPER / bs + 1; pblk < blkdev_size(a) / bs; pblk++) {
		if (!memcmp(x + pblk * bs, y + pblk * bs, bs) || log_owns(&r->map, pblk))
			continue;
		*ret_pblk = pblk;
		return false;
	}
	return true;
}

static int judge_mount(struct run *r, struct blkdev *dev, size_t cut, char *why, size_t why_len)
{
	struct fs_options opt = { .errors = FS_ERRORS_RO };
	struct fs *fs;
	int err = unit_fs_open(dev, &opt, &fs);

	if (err) {
		snprintf(why, why_len, "does not mount: %s", strerror(-err));
		return -1;
	}
	err = crash_work_check(r->work, fs, cut, why, why_len);
	if (fs_close(fs) && !err) {
		snprintf(why, why_len, "does not close");
		err = -1;
	}
	if (!err && unit_fsck(dev, "-fn", 0)) {
		snprintf(why, why_len, "not clean after our recovery");
		err = -1;
	}
	return err;
}

/* Which e2fsck deletes at once, whatever it is asked for. */
static bool has_orphans(struct blkdev *dev)
{
	const struct ext2_super_block *sb = unit_super(dev);

	return sb->s_last_orphan ||
	       (le32toh(sb->s_feature_ro_compat) & EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
}

/* For a look at what failed. */
static void keep(struct blkdev *dev, const char *name)
{
	const char *dir = getenv("CRASH_KEEP");
	char path[512];
	FILE *f;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		return;
	fwrite(dev_mem_data(dev), 1, blkdev_size(dev), f);
	fclose(f);
}

static int judge(struct run *r, struct blkdev *dev, size_t cut, bool differ, char *why,
		 size_t why_len)
{
	uint64_t size = blkdev_size(dev), pblk;
	struct blkdev *theirs = unit_copy(dev, size), *ours = unit_copy(dev, size);
	int err = recover_ours(ours, why, why_len);

	unit_fsck(theirs, "-y -E journal_only", 1);
	if (!err && !differ && !has_orphans(ours) && !same(r, ours, theirs, &pblk)) {
		snprintf(why, why_len, "block %" PRIu64 " is not as e2fsck's recovery leaves it", pblk);
		err = -1;
		keep(dev, "cut");
		keep(ours, "ours");
		keep(theirs, "theirs");
	}
	if (!err && unit_fsck(theirs, "-fp", 1) > 1) {
		snprintf(why, why_len, "e2fsck -fp gives up");
		err = -1;
	}
	blkdev_close(theirs);
	blkdev_close(ours);
	return err ? err : judge_mount(r, dev, cut, why, why_len);
}

static bool try_cut(struct run *r, struct blkdev *durable, size_t cut, int kind)
{
	size_t from = dev_record_durable(r->record, cut);
	struct blkdev *dev = unit_copy(durable, blkdev_size(durable));
	uint64_t rnd = (r->seed + 1) * 1000003 + cut * 16 + kind;
	bool differ = false;
	char why[256] = "";
	int err;

	if (kind != CUT_NOTHING)
		differ = apply_rest(r, dev, from, cut, kind, &rnd);
	err = judge(r, dev, cut, differ, why, sizeof(why));
	if (err)
		fprintf(stderr, "%s, seed %" PRIu64 ": cut at %zu of %zu, kind %d: %s\n",
			r->setup->name, r->seed, cut, r->ncalls, kind, why);
	blkdev_close(dev);
	return !err;
}

static time_t now_sec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Losing one write tells most about the order when all the others are there. */
static bool is_cut(const struct run *r, size_t cut, size_t durable, int kind)
{
	if (kind < CUT_LOST)
		return cut > durable || kind == CUT_NOTHING;
	return cut > durable && (cut == r->ncalls ||
				 dev_record_get(r->record, cut).op == DEV_RECORD_FLUSH);
}

/* Cuts job, job + jobs, ... of those taken, with the durable image growing along. */
static int cuts(void *arg, unsigned job)
{
	struct run *r = arg;
	struct blkdev *durable = unit_copy(r->base, blkdev_size(r->base));
	size_t done = 0, n = 0;
	int tried = 0;

	for (size_t cut = 0; cut <= r->ncalls; cut++) {
		size_t upto = dev_record_durable(r->record, cut);

		for (; done < upto; done++) {
			struct dev_record_entry e = dev_record_get(r->record, done);

			dev_record_apply(&e, durable, UINT64_MAX);
		}
		for (int kind = 0; kind < CUT_KINDS; kind++) {
			if (!is_cut(r, cut, upto, kind))
				continue;
			n++;
			/* Scattered, not periodic. */
			if ((n * UINT64_C(0x9e3779b97f4a7c15) >> 32) % r->stride ||
			    n / r->stride % r->jobs != job)
				continue;
			if (r->until && now_sec() > r->until)
				return 0;
			tried++;
			if (!try_cut(r, durable, cut, kind))
				return 1;
		}
	}
	if (getenv("CRASH_VERBOSE"))
		fprintf(stderr, "%s: job %u tried %d cuts\n", r->setup->name, job, tried);
	return 0;
}

static size_t possible_cuts(const struct run *r)
{
	size_t n = 0;

	for (size_t cut = 0; cut <= r->ncalls; cut++)
		for (int kind = 0; kind < CUT_KINDS; kind++)
			n += is_cut(r, cut, dev_record_durable(r->record, cut), kind);
	return n;
}

static int run_setup(void *arg)
{
	struct run *r = arg;
	unsigned bad, want = unit_env("CRASH_CUTS", 60);
	size_t all;

	record(r);
	all = possible_cuts(r);
	r->stride = getenv("CRASH_ALL") ? 1 : (unsigned)MAX(all / want, (size_t)1);
	r->jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (getenv("CRASH_VERBOSE"))
		fprintf(stderr, "%s, seed %" PRIu64 ": %zu calls, %zu cuts, %zu promises\n",
			r->setup->name, r->seed, r->ncalls, all, crash_work_promises(r->work));
	bad = unit_fork_all(cuts, r, r->jobs);
	return bad ? UNIT_FAIL : UNIT_PASS;
}

int main(void)
{
	unsigned seconds = unit_env("CRASH_SECONDS", 20), bad = 0;
	const char *only = getenv("CRASH_SETUP");
	uint64_t seed = unit_env("CRASH_SEED", 1);
	bool all = getenv("CRASH_ALL");

	for (unsigned i = 0; i < ARRAY_LEN(setups); i++) {
		struct run r = {
			.setup = &setups[i], .seed = seed + i,
			.until = all ? 0 : now_sec() + MAX(seconds / (unsigned)ARRAY_LEN(setups), 2u),
		};

		if ((only && strcmp(only, setups[i].name)) ||
		    (setups[i].luks && !crash_luks_possible()))
			continue;
		if (unit_fork(run_setup, &r, all ? 36000 : 60 + seconds, 0) != UNIT_PASS) {
			fprintf(stderr, "%s: failed (CRASH_SETUP=%s CRASH_SEED=%" PRIu64 ")\n",
				setups[i].name, setups[i].name, seed);
			bad++;
		}
	}
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
