/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power is cut everywhere in what recording_fuse4fs has logged.
 *
 *   crash_replay [-a | -n CUTS | -c NUMBER] [-s SEED] [-j JOBS] [-K] BASE LOG DIR
 *   crash_replay -e [-K] IMAGE LOG DIR
 *
 * BASE is the image before the log began. All cuts (-a), some chosen by SEED, or one. -e: an
 * image as it is, at the end of the log. -K: the kernel is not asked;
 * it never is about inline_data, which it can hang on. DIR gets the images,
 * with -c also that of the cut, DIR/cut.
 * Says on the last line how many cuts there were; each failure with the number that repeats it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash_cut.h"
#include "crash_judge.h"
#include "iomgr.h"
#include "jbd2_format.h"
#include "own_mounts.h"
#include "recover_int.h"
#include "transport/file.h"
#include "unit_fork.h"
#include "unit_image.h"
#include "unit_walk.h"

enum { MAX_FAILURES = 5, AGAIN_OF = 8 };

struct totals {
	atomic_uint tried, failed, torn_commits, again;
};

struct replay {
	const char *base_path, *log_path, *dir;
	size_t one;		/* the cut to take, or SIZE_MAX */
	size_t want;		/* SIZE_MAX: all */
	uint64_t seed;
	unsigned jobs;
	bool kernel, inline_data, end;
	uint8_t *base;
	uint64_t size;
	struct crash_log log;
	struct blkdev *base_dev;
	struct log journal;	/* of base_dev: where it is */
	struct cut_point *points;
	size_t npoints;
	uint8_t *taken;		/* by point */
	struct totals *totals;	/* of all jobs */
};

static uint8_t *map_base(const char *path, uint64_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *map;

	if (fd < 0 || fstat(fd, &st))
		unit_die("%s: %s", path, strerror(errno));
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		unit_die("%s: %s", path, strerror(errno));
	close(fd);
	*ret_size = (uint64_t)st.st_size;
	return map;
}

/* Where the journal is, and what matters of the features. */
static void open_base(struct replay *r)
{
	char name[IOMGR_NAME_SIZE], why[256];
	ext2_filsys e2;

	if (file_dev_open(r->base_path, -1, true, &r->base_dev))
		unit_die("%s cannot be opened", r->base_path);
	iomgr_name(r->base_dev, name);
	if (ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
			 iomgr_blkdev(), &e2))
		unit_die("%s: no file system", r->base_path);
	r->inline_data = ext2fs_has_feature_inline_data(e2->super);
	if (log_open(&r->journal, e2, r->base_dev, r->base_dev, why, sizeof(why)))
		unit_die("%s: %s", r->base_path, why);
	r->journal.why_len = 0;
	ext2fs_free(e2);
}

static void close_base(struct replay *r)
{
	log_close(&r->journal);
	blkdev_close(r->base_dev);
}

static bool is_in_journal(const struct replay *r, const struct crash_entry *e)
{
	return e->kind == CRASH_WRITE_CALL && log_owns(&r->journal, e->off / r->journal.block_size);
}

static bool is_commit_block(void *arg, const struct crash_entry *e)
{
	const struct replay *r = arg;
	struct jbd2_header head;

	if (!is_in_journal(r, e) || e->len != r->journal.block_size)
		return false;
	memcpy(&head, e->data, sizeof(head));
	return be32toh(head.h_magic) == JBD2_MAGIC && be32toh(head.h_blocktype) == JBD2_COMMIT;
}

static uint32_t tid_of(const struct crash_entry *commit)
{
	struct jbd2_header head;

	memcpy(&head, commit->data, sizeof(head));
	return be32toh(head.h_sequence);
}

/* How often the journal was written from end to end, in tenths. */
static unsigned wraps(const struct replay *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->log.n; i++)
		if (is_in_journal(r, &r->log.entries[i]))
			bytes += r->log.entries[i].len;
	return (unsigned)(bytes * 10 / ((uint64_t)r->journal.nblocks * r->journal.block_size));
}

/* -- choice -------------------------------------------------------------------------- */

static void choose(struct replay *r)
{
	uint64_t rnd = (r->seed + 1) * 1000003;
	size_t want = MIN(r->want, r->npoints);

	r->taken = calloc(r->npoints + 1, 1);
	if (!r->taken)
		unit_die("no memory");
	if (r->one != SIZE_MAX) {
		if (r->one >= r->npoints)
			unit_die("cuts are numbered from 0 to %zu", r->npoints - 1);
		r->taken[r->one] = 1;
		return;
	}
	/* So many of those left, each as likely. */
	for (size_t i = 0; i < r->npoints && want; i++) {
		if (unit_random(&rnd) % (r->npoints - i) >= want)
			continue;
		r->taken[i] = 1;
		want--;
	}
}

/* -- judging ------------------------------------------------------------------------- */

static void report(struct replay *r, size_t number, const char *why)
{
	static const char *const kinds[CUT_KINDS] = { "nothing", "all", "some", "torn", "lost" };

	if (atomic_fetch_add(&r->totals->failed, 1) >= MAX_FAILURES)
		return;
	fprintf(stderr, "cut %zu of %zu (record %zu, %s of what was not durable): %s\n"
		"repeat: crash_replay -c %zu -s %" PRIu64 " %s %s DIR\n", number, r->npoints,
		r->points[number].at, kinds[r->points[number].kind], why, number, r->seed,
		r->base_path, r->log_path);
}

struct job {
	struct replay *r;
	struct crash_oracle oracle;
	struct judge judge;
	struct cutter cutter;
	uint8_t *image, *without;
};

/* For a look at the one cut that was asked for. */
static void keep_image(const struct job *j)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cut", j->r->dir);
	f = fopen(path, "w");
	if (!f || fwrite(j->image, 1, j->r->size, f) != j->r->size || fclose(f))
		unit_die("%s: %s", path, strerror(errno));
}

static void try_cut(struct job *j, size_t number)
{
	struct replay *r = j->r;
	const struct cut_point *point = &r->points[number];
	uint64_t rnd = ((r->seed + 1) * 1000003 + number) * 2 + 1, again = rnd;
	struct judge_cut cut = { .image = j->image, .at = point->at, .without = j->without };
	char why[1024] = "";
	size_t torn;

	cutter_seek(&j->cutter, point->at);
	torn = cutter_image(&j->cutter, j->image, point->kind, rnd, is_commit_block, r, SIZE_MAX);
	if (torn != SIZE_MAX) {
		cutter_image(&j->cutter, j->without, point->kind, rnd, is_commit_block, r, torn);
		cut.tid = tid_of(&r->log.entries[torn]);
		atomic_fetch_add(&r->totals->torn_commits, 1);
	} else if (unit_random(&again) % AGAIN_OF == 0) {
		cut.again = again;
		atomic_fetch_add(&r->totals->again, 1);
	}
	if (r->one != SIZE_MAX)
		keep_image(j);
	if (judge(&j->judge, &cut, why, sizeof(why)))
		report(r, number, why);
	atomic_fetch_add(&r->totals->tried, 1);
}

static void job_init(struct job *j, struct replay *r, unsigned number)
{
	char dir[160];

	*j = (struct job){ .r = r, .image = malloc(r->size), .without = malloc(r->size) };
	if (!j->image || !j->without)
		unit_die("no memory");
	snprintf(dir, sizeof(dir), "%s/job%u", r->dir, number);
	crash_oracle_init(&j->oracle, &r->log);
	recover_place_init(&j->judge.place, dir, r->size, r->kernel && !r->inline_data, r->inline_data);
	j->judge.oracle = &j->oracle;
	cutter_init(&j->cutter, &r->log, r->base, r->size);
}

static void job_fini(struct job *j)
{
	cutter_fini(&j->cutter);
	recover_place_fini(&j->judge.place);
	crash_oracle_fini(&j->oracle);
	free(j->image);
	free(j->without);
}

/* The chosen cuts number, number + jobs, ... */
static int run_job(void *arg, unsigned number)
{
	struct replay *r = arg;
	struct job j;
	size_t chosen = 0;

	job_init(&j, r, number);
	for (size_t i = 0; i < r->npoints; i++)
		if (r->taken[i] && chosen++ % r->jobs == number)
			try_cut(&j, i);
	job_fini(&j);
	return 0;
}

static int judge_end(struct replay *r)
{
	struct crash_oracle oracle;
	struct judge j = { .oracle = &oracle };
	struct judge_cut cut = { .image = r->base, .at = r->log.n, .again = r->seed };
	char why[1024] = "";
	int err;

	crash_oracle_init(&oracle, &r->log);
	recover_place_init(&j.place, r->dir, r->size, r->kernel && !r->inline_data, r->inline_data);
	err = judge(&j, &cut, why, sizeof(why));
	if (err)
		fprintf(stderr, "%s: %s\n", r->base_path, why);
	else
		printf("%u workers, %zu promises kept\n", oracle.nworkers, oracle.npromises);
	recover_place_fini(&j.place);
	crash_oracle_fini(&oracle);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int replay(struct replay *r)
{
	struct crash_oracle oracle;
	unsigned bad, tenths;

	tenths = wraps(r);
	crash_oracle_init(&oracle, &r->log);
	r->points = cut_points(&r->log, &r->npoints);
	choose(r);
	r->totals = mmap(NULL, sizeof(*r->totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->totals == MAP_FAILED)
		unit_die("no memory");
	bad = unit_fork_all(run_job, r, r->jobs);
	bad += atomic_load(&r->totals->failed);
	printf("%u cuts of %zu, %u failed; %u cut again, %u torn commit blocks, %zu promises, journal written %u.%u times\n",
	       atomic_load(&r->totals->tried), r->npoints, bad, atomic_load(&r->totals->again),
	       atomic_load(&r->totals->torn_commits),
	       oracle.npromises, tenths / 10, tenths % 10);
	crash_oracle_fini(&oracle);
	munmap(r->totals, sizeof(*r->totals));
	free(r->points);
	free(r->taken);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "usage: crash_replay [-a | -n cuts | -c number] [-s seed] [-j jobs] [-K] base log dir\n"
		"       crash_replay -e [-K] image log dir\n");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct replay r = {
		.one = SIZE_MAX, .want = 100, .seed = 1, .kernel = true,
		.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
	};
	int c, status;

	while ((c = getopt(argc, argv, "an:c:s:j:Ke")) != -1) {
		switch (c) {
		case 'a': r.want = SIZE_MAX; break;
		case 'n': r.want = strtoul(optarg, NULL, 0); break;
		case 'c': r.one = strtoul(optarg, NULL, 0); break;
		case 's': r.seed = strtoull(optarg, NULL, 0); break;
		case 'j': r.jobs = MAX((unsigned)strtoul(optarg, NULL, 0), 1u); break;
		case 'K': r.kernel = false; break;
		case 'e': r.end = true; break;
		default: return usage();
		}
	}
	if (argc - optind != 3)
		return usage();
	r.base_path = argv[optind];
	r.log_path = argv[optind + 1];
	r.dir = argv[optind + 2];
	if (r.kernel && own_mounts(r.dir))
		unit_die("no mounts of our own: %s", strerror(errno));
	r.base = map_base(r.base_path, &r.size);
	crash_log_load(&r.log, r.log_path);
	open_base(&r);
	status = r.end ? judge_end(&r) : replay(&r);
	close_base(&r);
	crash_log_fini(&r.log);
	munmap(r.base, r.size);
	return status;
}
