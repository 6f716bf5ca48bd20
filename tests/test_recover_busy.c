/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journals that the kernel's ext4 was just writing: its backing file is copied while a
 * workload runs, some times per mount, and once more when the file system has been shut
 * down. Copies are not of one instant, as torn as a disk without power leaves it. Ours and
 * e2fsck's recovery must give the same blocks, or both refuse.
 *
 * Then bits are flipped in the log and its tail is torn off. What is accepted, and up to
 * where, is e2fsck's to say again. What differs:
 *  - a copy of a block with a wrong checksum in a complete transaction, a bad revoke block,
 *    or a home outside the file system or inside the journal: we refuse the journal with
 *    nothing written, as the kernel does; e2fsck replays the rest, for it is going to check
 *    everything;
 *  - where e2fsck gives up on what the replay of a journal without checksums brought, or
 *    goes on to repair it, there is nothing to compare; nor where it deletes orphans in
 *    the same go;
 *  - a log with a fast-commit area goes round before that area for the kernel and us, behind
 *    it for e2fsck 1.47.0, which so loses the transaction that goes round and all later ones.
 *    It is compared with our recovery of the log cut there.
 * Neither may crash.
 *
 * RECOVER_SEED=n starts from another seed, RECOVER_ROUNDS=n damages each journal as often.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "recover_fixture.h"
#include "recover_int.h"

enum { SHUTDOWN_LOGFLUSH = 1, SHUTDOWN_NOLOGFLUSH = 2, COPIES = 4, ROUNDS = 2,
       COPY_MS = 100, COPY_TRIES = 20 };

struct scene {
	const char *mkfs, *mount;
	const char *work;	/* with sh, in the root, over and over */
};

/* Names come and go, so that blocks are revoked; $n counts the rounds. */
#define NAMES "mkdir d$n; i=0; while [ $i -lt 80 ]; do echo $i > d$n/a-name-that-takes-room-$i; " \
	"i=$((i+1)); done; sync -f .; rm -rf d$((n-2)); "
/* What was a directory's block is a file's. */
#define REUSE "head -c 700000 /dev/zero | tr '\\0' $((n%10)) > data; sync data; "
/* Blocks that begin like those of the log. */
#define MAGIC "i=0; while [ $i -lt 40 ]; do printf '\\300\\073\\071\\230 %4091d' $i; " \
	"i=$((i+1)); done > magic; sync magic; "
#define ATTRS "setfattr -n user.n -v $(head -c 2000 /dev/zero | tr '\\0' x) data || :; " \
	"ln -s $(head -c 300 /dev/zero | tr '\\0' y) s$n; mv s$n t; "

static const struct scene scenes[] = {
	{ "-t ext4 -b 1024 -J size=1", "", NAMES REUSE },
	{ "-t ext4 -b 4096 -J size=4", "", NAMES REUSE ATTRS },
	{ "-t ext4 -b 4096 -J size=4 -O ^64bit", "", NAMES REUSE },
	{ "-t ext4 -b 1024 -J size=1 -O ^64bit", "", NAMES ATTRS },
	{ "-t ext4 -b 1024 -J size=1 -O ^metadata_csum", "", NAMES REUSE },
	{ "-t ext4 -b 4096 -J size=4 -O ^metadata_csum,^64bit", "", NAMES REUSE },
	{ "-t ext4 -b 1024 -J size=1 -O ^metadata_csum,^64bit", ",journal_checksum", NAMES REUSE },
	{ "-t ext4 -b 4096 -J size=4 -O ^metadata_csum", ",journal_async_commit,data=writeback",
	  NAMES ATTRS },
	{ "-t ext4 -b 4096 -J size=8", ",data=journal", NAMES MAGIC REUSE },
	{ "-t ext4 -b 1024 -J size=2 -O ^metadata_csum", ",data=journal", NAMES MAGIC },
	{ "-t ext3 -b 1024 -J size=1", "", NAMES REUSE },
	{ "-t ext3 -b 4096 -J size=4", "", NAMES REUSE ATTRS },
	{ "-t ext4 -b 4096 -J size=4 -O orphan_file", ",nodelalloc", NAMES REUSE },
	{ "-t ext4 -b 2048 -J size=2 -O fast_commit", ",commit=1", NAMES },
};

static unsigned seed;

static bool can_mount(const char *path)
{
	return geteuid() == 0 &&
		system(NULL) && image_run("d=%s.mnt; mkdir $d; mount -o loop %s $d 2>/dev/null && "
					  "umount $d && touch %s.yes; rmdir $d; exit 0", path, path,
					  path) == 0 &&
		image_run("rm -f %s.yes.old; test -e %s.yes && rm %s.yes", path, path, path) == 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/*
 * Fast, or the log goes round meanwhile, and what is in the copy is no crash but two logs. The
 * last try is of a file system at which nobody works.
 */
static void copy_image(const struct image *img, unsigned n, pid_t worker)
{
	for (unsigned tries = 0; tries <= COPY_TRIES; tries++) {
		const uint64_t start = now_ms();

		if (worker && tries == COPY_TRIES)
			kill(-worker, SIGSTOP);
		assert_int_equal(image_run("cp --sparse=always %s %s.%u", img->path, img->path, n), 0);
		if (!worker || now_ms() - start < COPY_MS)
			break;
	}
	if (worker)
		kill(-worker, SIGCONT);
}

static pid_t start_work(const struct scene *s, const char *dir)
{
	pid_t pid = fork();
	char *script;

	setpgid(pid, pid);
	if (pid)
		return pid;
	if (chdir(dir) || asprintf(&script, "exec >/dev/null 2>&1; n=2; while :; do n=$((n+1)); "
				   "{ %s } || exit; done", s->work) < 0)
		_exit(1);
	execl("/bin/sh", "sh", "-c", script, NULL);
	_exit(1);
}

/* Where the log is in an image, and what stands in it. */
struct map {
	uint32_t bs, first, end, start, tid, incompat;
	uint64_t super_off;
	uint64_t *off;		/* of each journal block */
};

static void map_open(struct map *m, const char *path)
{
	char name[IOMGR_NAME_SIZE];
	struct blkdev *dev;
	ext2_filsys e2;
	struct log log;

	assert_int_equal(file_dev_open(path, -1, true, &dev), 0);
	iomgr_name(dev, name);
	assert_int_equal(ext2fs_open2(name, "", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0,
				      0, iomgr_blkdev(), &e2), 0);
	assert_int_equal(log_open(&log, e2, dev, dev, why, sizeof(why)), 0);
	m->bs = log.block_size;
	m->first = log.first;
	m->end = log.end;
	m->incompat = log.incompat;
	m->start = be32toh(log_super(&log)->s_start);
	m->tid = be32toh(log_super(&log)->s_sequence);
	m->off = calloc(log.end, sizeof(*m->off));
	assert_non_null(m->off);
	for (uint32_t i = 0, len; i < log.end; i++)
		m->off[i] = log_pblk(&log, i, &len) * m->bs;
	log_close(&log);
	ext2fs_free(e2);
	blkdev_close(dev);
}

static bool in_use(const char *path)
{
	struct map m;

	map_open(&m, path);
	free(m.off);
	return m.start != 0;
}

/* Leaves COPIES + 1 copies beside the image. */
static void play(const struct scene *s, struct image *img)
{
	const int op = _IOR('X', 125, uint32_t);
	uint32_t flags = rand_r(&seed) % 2 ? SHUTDOWN_LOGFLUSH : SHUTDOWN_NOLOGFLUSH;
	char dir[300];
	int fd, down, status;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s.mnt", img->path);
	assert_int_equal(image_run("mkdir %s && mount -o loop%s %s %s", dir, s->mount, img->path,
				   dir), 0);
	pid = start_work(s, dir);
	for (unsigned i = 0; i < 1500 && !in_use(img->path); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	for (unsigned i = 0; i < COPIES; i++) {
		const struct timespec pause = {
			.tv_nsec = 80000000 + rand_r(&seed) % 60 * 1000000,
		};

		nanosleep(&pause, NULL);
		copy_image(img, i, pid);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	down = ioctl(fd, op, &flags);
	close(fd);
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_int_equal(image_run("for i in $(seq 300); do umount %s && break; sleep 0.1; done; "
				   "rmdir %s", dir, dir), 0);
	assert_int_equal(down, 0);
	copy_image(img, COPIES, 0);
}

static uint32_t ring(const struct map *m, uint32_t lblk, uint32_t n)
{
	return m->first + (lblk - m->first + n) % (m->end - m->first);
}

static bool is_commit(int fd, uint64_t off)
{
	struct jbd2_header head;

	assert_int_equal(pread(fd, &head, sizeof(head), off), sizeof(head));
	return be32toh(head.h_magic) == JBD2_MAGIC && be32toh(head.h_blocktype) == JBD2_COMMIT;
}

enum { ROUND = UINT32_MAX };

/* The commit block of the nth transaction from the tail, or of the one that goes round the
 * log's end, or 0; where the last one is. */
static uint32_t find_commit(int fd, const struct map *m, uint32_t nth, uint32_t *ret_last)
{
	uint32_t tid = m->tid, found = 0;

	*ret_last = 0;
	for (uint32_t i = 0; m->start && i < m->end - m->first; i++) {
		uint32_t lblk = ring(m, m->start, i);
		struct jbd2_header head;

		assert_int_equal(pread(fd, &head, sizeof(head), m->off[lblk]), sizeof(head));
		if (be32toh(head.h_magic) != JBD2_MAGIC || be32toh(head.h_sequence) != tid ||
		    be32toh(head.h_blocktype) != JBD2_COMMIT)
			continue;
		if (tid - m->tid == nth || (nth == ROUND && !found && lblk < m->start))
			found = lblk;
		tid++;
		*ret_last = lblk;
	}
	return found;
}

static void flip(int fd, uint64_t off)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 1 << rand_r(&seed) % 8;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
}

/* Kinds of damage. */
enum damage { TORN_COMMIT, TORN_TAIL, FLIP_COMMIT, FLIP_HEADER, FLIP_ANY, DAMAGES };

static void damage(const char *path, enum damage kind)
{
	static const uint8_t zeros[4096];
	uint32_t last, lblk, used;
	struct map m;
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	map_open(&m, path);
	lblk = find_commit(fd, &m, (uint32_t)rand_r(&seed) % 4, &last);
	used = last >= m.start ? last - m.start + 1 : m.end - m.first - (m.start - last) + 1;
	if (!last)
		goto out;
	switch (kind) {
	case TORN_COMMIT:	/* its first sector did not get there */
		assert_int_equal(pwrite(fd, zeros, 512, m.off[last]), 512);
		break;
	case TORN_TAIL:		/* nor did the last blocks */
		for (uint32_t i = 0; i < 1 + (uint32_t)rand_r(&seed) % 9; i++)
			assert_int_equal(pwrite(fd, zeros, m.bs, m.off[ring(&m, m.start, used - 1 -
									    MIN(i, used - 1))]), m.bs);
		break;
	case FLIP_COMMIT:
		flip(fd, m.off[lblk ? lblk : last] + rand_r(&seed) % 60);
		break;
	case FLIP_HEADER:
		flip(fd, m.off[ring(&m, m.start, rand_r(&seed) % used)] + rand_r(&seed) % 12);
		break;
	default:
		lblk = ring(&m, m.start, rand_r(&seed) % used);
		/* Of a commit block its first sector counts for us and the kernel, all of it
		 * for e2fsck. */
		flip(fd, m.off[lblk] + rand_r(&seed) % (is_commit(fd, m.off[lblk]) ? 60 : m.bs));
	}
out:
	free(m.off);
	close(fd);
}

struct tally {
	unsigned dirty, same, refused, spared;
};

/* The replay was fine, what it brought is not: e2fsck stops, or begins to repair. */
static bool gives_up(const char *text)
{
	return atoi(strstr(text, "\nexit ") + 6) >= 8 || strstr(text, "Corrupt group descriptor") ||
	       strstr(text, "superblock is corrupt");
}

static bool deletes_orphans(const char *text)
{
	return strstr(text, "orphan");
}

/* Where the commit block is of the transaction that goes round a log with a fast-commit
 * area, or 0. */
static uint64_t goes_round(const char *path)
{
	uint32_t last, lblk = 0;
	uint64_t off;
	struct map m;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	map_open(&m, path);
	if (m.incompat & JBD2_INCOMPAT_FAST_COMMIT)
		lblk = find_commit(fd, &m, ROUND, &last);
	off = lblk ? m.off[lblk] : 0;
	free(m.off);
	close(fd);
	return off;
}

static void put_magic(const char *path, uint64_t off, uint32_t magic)
{
	const uint32_t be = htobe32(magic);
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &be, sizeof(be), off), sizeof(be));
	close(fd);
}

/*
 * The recovered image, PATH.dirty before, and PATH.e2fsck. False: a damaged log cut before the
 * transaction that goes round lacks the revoke because of which a damaged block did not matter,
 * and is refused.
 */
static bool same_as_e2fsck(const char *path, bool damaged)
{
	struct recover_result result;
	char theirs[300], dirty[300];
	uint64_t round;
	int err;

	snprintf(theirs, sizeof(theirs), "%s.e2fsck", path);
	snprintf(dirty, sizeof(dirty), "%s.dirty", path);
	round = goes_round(dirty);
	if (!round) {
		assert_same(path, theirs);
		return true;
	}
	put_magic(dirty, round, 0);
	err = recover_file(dirty, &result);
	if (damaged && err == -EUCLEAN)
		return false;
	assert_int_equal(err, 0);
	put_magic(dirty, round, JBD2_MAGIC);
	assert_same(dirty, theirs);
	return true;
}

/* Both recover a copy. Where both do, the same must come out. */
static void judge(const char *path, bool damaged, struct tally *tally)
{
	struct recover_result result;
	size_t len;
	char name[300];
	char *text;
	int status, ours;

	snprintf(name, sizeof(name), "%s.e2fsck", path);
	status = image_run("cp --sparse=always %s %s; e2fsck -E journal_only -y %s > %s.out 2>&1; "
			   "s=$?; echo exit $s >> %s.out; printf '\\0' >> %s.out; exit 0", path, name,
			   name, path, path, path);
	assert_int_equal(status, 0);
	snprintf(name, sizeof(name), "%s.out", path);
	text = (char *)read_all(name, &len);
	unlink(name);
	snprintf(name, sizeof(name), "%s.dirty", path);
	assert_int_equal(image_run("cp --sparse=always %s %s", path, name), 0);
	ours = recover_file(path, &result);
	if (getenv("RECOVER_VERBOSE"))
		fprintf(stderr, "%s: ours %d %s dirty %d torn %d\n%s\n", path, ours, why,
			result.dirty, result.torn, text);
	tally->dirty += result.dirty || ours;
	if (!ours && !deletes_orphans(text) && !(damaged && gives_up(text)) &&
	    same_as_e2fsck(path, damaged)) {
		tally->same++;
	} else if (!ours) {
		tally->spared++;
	} else {
		assert_true(damaged);
		assert_int_equal(ours, -EUCLEAN);
		tally->refused++;
	}
	snprintf(name, sizeof(name), "%s.e2fsck", path);
	unlink(name);
	snprintf(name, sizeof(name), "%s.dirty", path);
	unlink(name);
	free(text);
}

static void test_busy_journals(void **state)
{
	struct tally tally = { 0 }, hurt = { 0 };
	unsigned rounds = getenv("RECOVER_ROUNDS") ? atoi(getenv("RECOVER_ROUNDS")) : ROUNDS;
	struct image img;
	char path[300];

	seed = getenv("RECOVER_SEED") ? atoi(getenv("RECOVER_SEED")) : time(NULL);
	print_message("RECOVER_SEED=%u\n", seed);
	image_make(&img, 32 << 20, "-t ext4");
	if (!can_mount(img.path))
		skip();
	image_free(&img);
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		image_make(&img, 24 << 20, scenes[i].mkfs);
		play(&scenes[i], &img);
		for (unsigned k = 0; k <= COPIES; k++) {
			for (unsigned r = 0; r < rounds; r++) {
				snprintf(path, sizeof(path), "%s.hurt", img.path);
				assert_int_equal(image_run("cp --sparse=always %s.%u %s", img.path,
							   k, path), 0);
				damage(path, rand_r(&seed) % DAMAGES);
				judge(path, true, &hurt);
				unlink(path);
			}
			snprintf(path, sizeof(path), "%s.%u", img.path, k);
			judge(path, false, &tally);
			unlink(path);
		}
		image_free(&img);
	}
	print_message("%u dirty, %u same; damaged: %u same, %u refused, %u spared\n", tally.dirty,
		      tally.same, hurt.same, hurt.refused, hurt.spared);
	assert_true(hurt.spared * 4 <= hurt.same);
	assert_true(tally.dirty >= 50 && tally.same >= 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_busy_journals),
	};

	initialize_ext2_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
