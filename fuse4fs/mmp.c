/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multi-mount protection; see mmp.h.
 *
 * The block holds a sequence number. CLEAN: nobody writes. FSCK, or anything else above MAX:
 * hands off. Otherwise it belongs to who changes it every s_mmp_update_interval seconds; when
 * it has not changed for twice mmp_check_interval and a second, its owner is dead.
 *
 * It goes straight to the device, past cache and journal, and is read past the caches below.
 * Our thread looks at the block each time before it writes it: it must be as we left it. The
 * kernel looks only when its last update is long ago; we may be stopped, suspended or cut off
 * between any two of them, and one read is cheap.
 */
#include "mmp.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "blkdev.h"
#include "commit.h"
#include "csum.h"
#include "thread.h"
#include "txn.h"

enum {
	CHECK_MULT = 2,		/* others wait for so many of our updates ... */
	CHECK_MAX_S = 300,	/* ... but not for longer */
	WAIT_MORE_S = 60,
	COMPLAIN_EVERY = 60,	/* failed updates */
	WHO_LEN = 200,
};

_Static_assert(sizeof(struct mmp_struct) == 1024, "the smallest block");

struct mmp {
	struct fs *fs;
	/* [init only] Copies: recovery loads the superblock anew while the thread runs. */
	uint64_t block_nr;
	uint64_t off;		/* on the device, bytes */
	uint32_t len;		/* bytes of a block */
	unsigned interval_s;	/* between two updates of ours */
	unsigned asked_s;	/* the same, as the superblock says */
	uint32_t csum_seed;
	bool has_csum;

	/* What follows is the thread's while it runs. */
	struct mmp_struct *ours;/* what we write; len bytes */
	void *seen;		/* what we read; as long */
	uint32_t seq;		/* the last one that is known to be on the device */
	unsigned failures;	/* in a row; after one the device may hold seq or the next */

	pthread_t thread;
	struct mutex lock;
	struct cond wake;
	bool stop;		/* [lock] */
	bool serving;		/* [lock] there are transactions to abort */
	bool lost;		/* [lock] somebody else has it */
};

static uint32_t next_seq(uint32_t seq)
{
	return seq >= EXT4_MMP_SEQ_MAX ? 1 : seq + 1;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint32_t checksum(const struct mmp *mmp, const struct mmp_struct *m)
{
	return csum_crc32c(mmp->csum_seed, m, offsetof(struct mmp_struct, mmp_checksum));
}

/* 0; -EUCLEAN; what the device says. */
static int load(struct mmp *mmp, struct mmp_struct *to)
{
	struct blkdev *dev = mmp->fs->dev;
	int err;

	blkdev_uncache(dev, mmp->off, mmp->len);
	err = blkdev_read(dev, to, mmp->len, mmp->off);
	if (err)
		return err;
	if (get_le32(&to->mmp_magic) != EXT4_MMP_MAGIC ||
	    (mmp->has_csum && get_le32(&to->mmp_checksum) != checksum(mmp, to)))
		return -EUCLEAN;
	return 0;
}

/*
 * A flush has failed. What was lost need not be our block, and the device does not say so
 * again: transactions end here, as if a commit's own flush had met it, whatever errors= is.
 * Before there are any, the next flush fails (fs->flushes). We go on.
 */
static void lost_a_write(struct mmp *mmp, int err)
{
	mutex_lock(&mmp->lock);
	if (mmp->serving)
		commit_fail(mmp->fs->txns, err, "device flush");
	mutex_unlock(&mmp->lock);
}

/* The block and a flush, which tells of what others have met when it is the last one. */
static int store(struct mmp *mmp, uint32_t seq)
{
	struct blkdev *dev = mmp->fs->dev;
	struct mmp_struct *m = mmp->ours;
	int err;

	put_le32(&m->mmp_seq, seq);
	put_le64(&m->mmp_time, (uint64_t)fs_now().tv_sec);
	if (mmp->has_csum)
		put_le32(&m->mmp_checksum, checksum(mmp, m));
	err = blkdev_write(dev, m, mmp->len, mmp->off);
	if (!err) {
		err = seq == EXT4_MMP_SEQ_CLEAN ? blkdev_flush(dev) : blkdev_flush_own(dev);
		if (err)
			lost_a_write(mmp, err);
	}
	if (!err)
		mmp->seq = seq;
	return err;
}

static uint32_t seq_of(const struct mmp_struct *m)
{
	return get_le32(&m->mmp_seq);
}

static bool is_ours(const struct mmp *mmp, const struct mmp_struct *m)
{
	if (memcmp(m->mmp_nodename, mmp->ours->mmp_nodename, sizeof(m->mmp_nodename)) != 0)
		return false;
	return seq_of(m) == mmp->seq || (mmp->failures && seq_of(m) == next_seq(mmp->seq));
}

/* A name from the disk that may end without a NUL and hold anything. */
static void copy_name(char *to, const uint8_t *from, size_t len)
{
	size_t n = strnlen((const char *)from, len);

	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] < 0x7f ? (char)from[i] : '?';
	to[n] = '\0';
}

static void describe(const struct mmp_struct *m, char who[WHO_LEN])
{
	char node[sizeof(m->mmp_nodename) + 1], bdev[sizeof(m->mmp_bdevname) + 1], when[40];
	time_t sec = (time_t)get_le64(&m->mmp_time);
	struct tm tm;

	copy_name(node, m->mmp_nodename, sizeof(m->mmp_nodename));
	copy_name(bdev, m->mmp_bdevname, sizeof(m->mmp_bdevname));
	if (!localtime_r(&sec, &tm) || !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(when, sizeof(when), "an unknown time");
	snprintf(who, WHO_LEN, "node '%s', device '%s', last seen %s", node, bdev, when);
}

/* Who holds the block we have read. */
static int refuse(struct mmp *mmp, char *why, size_t why_len)
{
	const struct mmp_struct *m = mmp->seen;
	char who[WHO_LEN];

	describe(m, who);
	if (seq_of(m) == EXT4_MMP_SEQ_FSCK)
		snprintf(why, why_len, "e2fsck is running on it (%s); if that has died, "
			 "tune2fs -f -E clear_mmp sets it free", who);
	else if (seq_of(m) > EXT4_MMP_SEQ_MAX && seq_of(m) != EXT4_MMP_SEQ_CLEAN)
		snprintf(why, why_len, "its multi-mount protection is in state 0x%" PRIx32
			 ", which is not known (%s); run e2fsck", seq_of(m), who);
	else
		snprintf(why, why_len, "it is in use elsewhere: %s", who);
	return -EBUSY;
}

static int explain_load(struct mmp *mmp, int err, char *why, size_t why_len)
{
	if (err == -EUCLEAN)
		snprintf(why, why_len, "block %" PRIu64 " is not the block of its multi-mount "
			 "protection; run e2fsck", mmp->block_nr);
	else
		snprintf(why, why_len, "the block of its multi-mount protection: %s", strerror(-err));
	return err;
}

static void wait_s(unsigned sec)
{
	while (sec)
		sec = sleep(sec);
}

/* Seconds in which an owner who lives changes the block; no image makes us wait for days. */
static unsigned check_interval(const struct mmp *mmp, const struct mmp_struct *m)
{
	unsigned sec = MAX(mmp->asked_s, (unsigned)EXT4_MMP_MIN_CHECK_INTERVAL);
	unsigned adapted = get_le16(&m->mmp_check_interval);

	return MIN(MAX(sec, adapted), CHECK_MULT * EXT4_MMP_MAX_UPDATE_INTERVAL);
}

static unsigned wait_of(unsigned check)
{
	return MIN(2 * check + 1, check + WAIT_MORE_S);
}

/* Reads the block again and compares; -EBUSY when it is not the one in `before`. */
static int look_again(struct mmp *mmp, uint32_t before, char *why, size_t why_len)
{
	int err = load(mmp, mmp->seen);

	if (err)
		return explain_load(mmp, err, why, why_len);
	return seq_of(mmp->seen) == before ? 0 : refuse(mmp, why, why_len);
}

/* Is anybody there? *ret_wait_s: how long a claim must stand before it is ours. */
static int check(struct mmp *mmp, unsigned *ret_wait_s, char *why, size_t why_len)
{
	const struct mmp_struct *m = mmp->seen;
	struct fs *fs = mmp->fs;
	char who[WHO_LEN];
	int err = load(mmp, mmp->seen);

	*ret_wait_s = 0;
	if (err)
		return explain_load(mmp, err, why, why_len);
	if (seq_of(m) == EXT4_MMP_SEQ_CLEAN)
		return 0;
	if (seq_of(m) > EXT4_MMP_SEQ_MAX)
		return refuse(mmp, why, why_len);
	*ret_wait_s = wait_of(check_interval(mmp, m));
	describe(m, who);
	if (fs->opt.dry_run) {
		fs_log(fs, FS_LOG_WARN, "in use elsewhere, or not unmounted: %s; mounting it waits "
		       "%u s to find out", who, 2 * *ret_wait_s);
		return 0;
	}
	fs_log(fs, FS_LOG_INFO, "not unmounted, or in use elsewhere (%s): waiting up to %u s to find out",
	       who, 2 * *ret_wait_s);
	wait_s(*ret_wait_s);
	return look_again(mmp, seq_of(m), why, why_len);
}

static uint32_t random_seq(void)
{
	uint32_t seq = 0;

	/* Without randomness the clock is better than nothing. */
	if (getrandom(&seq, sizeof(seq), 0) != sizeof(seq))
		seq = (uint32_t)now_ms();
	return seq % EXT4_MMP_SEQ_MAX + 1;
}

static void sign(struct mmp *mmp)
{
	const char *name = mmp->fs->opt.device_name ? mmp->fs->opt.device_name :
			   mmp->fs->dev->info.name;
	struct mmp_struct *m = mmp->ours;
	struct utsname node;
	const char *slash;

	memcpy(m, mmp->seen, mmp->len);
	memset(m->mmp_nodename, 0, sizeof(m->mmp_nodename));
	memset(m->mmp_bdevname, 0, sizeof(m->mmp_bdevname));
	if (!uname(&node))
		memcpy(m->mmp_nodename, node.nodename,
		       strnlen(node.nodename, sizeof(m->mmp_nodename)));
	name = name ? name : "";
	slash = strrchr(name, '/');
	name = slash ? slash + 1 : name;
	memcpy(m->mmp_bdevname, name, strnlen(name, sizeof(m->mmp_bdevname)));
}

static int claim(struct mmp *mmp, unsigned sec, char *why, size_t why_len)
{
	const unsigned check = MAX(CHECK_MULT * mmp->interval_s, (unsigned)EXT4_MMP_MIN_CHECK_INTERVAL);
	uint32_t seq = random_seq();
	int err;

	sign(mmp);
	err = store(mmp, seq);
	if (err) {
		snprintf(why, why_len, "the block of its multi-mount protection cannot be written: %s",
			 strerror(-err));
		return err;
	}
	wait_s(sec);
	/* The higher one until it is known how fast we are. */
	put_le16(&mmp->ours->mmp_check_interval, (uint16_t)check);
	return look_again(mmp, seq, why, why_len);
}

/* Somebody else writes: whatever we wrote from here on would destroy. */
static void lose(struct mmp *mmp)
{
	struct fs *fs = mmp->fs;
	char who[WHO_LEN];

	atomic_store(&fs->state, FS_SHUTDOWN);
	mutex_lock(&mmp->lock);
	mmp->lost = true;
	if (mmp->serving)
		txn_abort(fs, -ESHUTDOWN);
	mutex_unlock(&mmp->lock);
	describe(mmp->seen, who);
	fs_log(fs, FS_LOG_ERR, "somebody else has mounted it (%s): nothing is read or written any "
	       "more; unmount it", who);
}

/* While there are transactions this is an error as any other, and errors= applies. */
static void complain(struct mmp *mmp, int err, const char *what)
{
	static const char text[] = "the block of multi-mount protection cannot be";

	if (mmp->failures++ % COMPLAIN_EVERY != 0)
		return;
	mutex_lock(&mmp->lock);
	if (mmp->serving)
		fs_error(mmp->fs, err, 0, mmp->block_nr, "%s %s: %s", text, what, strerror(-err));
	else
		fs_log(mmp->fs, FS_LOG_WARN, "%s %s: %s", text, what, strerror(-err));
	mutex_unlock(&mmp->lock);
}

/* False when the block is not ours any more. */
static bool update(struct mmp *mmp)
{
	int err = load(mmp, mmp->seen);

	if (err) {
		complain(mmp, err, "read");
		return true;
	}
	if (!is_ours(mmp, mmp->seen)) {
		lose(mmp);
		return false;
	}
	err = store(mmp, next_seq(mmp->seq));
	if (err)
		complain(mmp, err, "written");
	else
		mmp->failures = 0;
	return true;
}

/* True when the thread has to end. */
static bool rest(struct mmp *mmp, int64_t ms)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	mutex_lock(&mmp->lock);
	while (!mmp->stop && cond_wait_until(&mmp->wake, &mmp->lock, &until))
		;
	stop = mmp->stop;
	mutex_unlock(&mmp->lock);
	return stop;
}

/* Others shall be as patient as our updates are slow. */
static void adapt(struct mmp *mmp, int64_t took_ms)
{
	int64_t sec = CHECK_MULT * took_ms / 1000;

	sec = MIN(MAX(sec, EXT4_MMP_MIN_CHECK_INTERVAL), CHECK_MAX_S);
	put_le16(&mmp->ours->mmp_check_interval, (uint16_t)sec);
}

static void *thread_main(void *arg)
{
	struct mmp *mmp = arg;
	const int64_t interval = mmp->interval_s * INT64_C(1000);
	int64_t start, took;

	do {
		start = now_ms();
		if (!update(mmp))
			break;
		took = now_ms() - start;
		adapt(mmp, MAX(took, interval));
	} while (!rest(mmp, MAX(interval - took, 0)));
	return NULL;
}

static struct mmp *mmp_new(struct fs *fs)
{
	struct mmp *mmp = calloc(1, sizeof(*mmp));

	if (!mmp)
		return NULL;
	mmp->fs = fs;
	mmp->block_nr = fs->e2->super->s_mmp_block;
	mmp->off = fs_off(fs, mmp->block_nr);
	mmp->len = fs->block_size;
	mmp->asked_s = fs->e2->super->s_mmp_update_interval;
	mmp->interval_s = MIN(mmp->asked_s, (unsigned)EXT4_MMP_MAX_UPDATE_INTERVAL);
	if (!mmp->interval_s)
		mmp->interval_s = EXT4_MMP_UPDATE_INTERVAL;
	mmp->csum_seed = fs->csum_seed;
	mmp->has_csum = fs->has_csum;
	mmp->ours = calloc(1, fs->block_size);
	mmp->seen = calloc(1, fs->block_size);
	mutex_init(&mmp->lock);
	cond_init(&mmp->wake);
	return mmp;
}

static void mmp_free(struct mmp *mmp)
{
	cond_fini(&mmp->wake);
	mutex_fini(&mmp->lock);
	free(mmp->ours);
	free(mmp->seen);
	free(mmp);
}

static int open_steps(struct mmp *mmp, char *why, size_t why_len)
{
	struct fs *fs = mmp->fs;
	unsigned sec;
	int err;

	if (!mmp->ours || !mmp->seen)
		return -ENOMEM;
	if (mmp->block_nr <= fs->first_data_block || mmp->block_nr >= fs->blocks_count)
		return explain_load(mmp, -EUCLEAN, why, why_len);
	err = check(mmp, &sec, why, why_len);
	if (err || fs->opt.dry_run)
		return err;
	err = claim(mmp, sec, why, why_len);
	return err ? err : thread_start(&mmp->thread, thread_main, mmp);
}

int mmp_open(struct fs *fs, struct mmp **ret, char *why, size_t why_len)
{
	struct mmp *mmp = mmp_new(fs);
	int err = mmp ? open_steps(mmp, why, why_len) : -ENOMEM;

	if (!err && !fs->opt.dry_run) {
		*ret = mmp;
		return 0;
	}
	if (mmp)
		mmp_free(mmp);
	return err;
}

int mmp_serve(struct mmp *mmp, bool serving)
{
	int err;

	if (!mmp)
		return 0;
	mutex_lock(&mmp->lock);
	mmp->serving = serving;
	err = mmp->lost ? -EBUSY : 0;
	mutex_unlock(&mmp->lock);
	return err;
}

static int end_thread(struct mmp *mmp)
{
	mutex_lock(&mmp->lock);
	mmp->stop = true;
	cond_signal(&mmp->wake);
	mutex_unlock(&mmp->lock);
	pthread_join(mmp->thread, NULL);
	return mmp->lost ? -EBUSY : 0;
}

int mmp_close(struct mmp *mmp)
{
	int err;

	if (!mmp)
		return 0;
	err = end_thread(mmp);
	if (!err)
		err = load(mmp, mmp->seen);
	if (!err && !is_ours(mmp, mmp->seen))
		err = -EBUSY;
	if (!err)
		err = store(mmp, EXT4_MMP_SEQ_CLEAN);
	mmp_free(mmp);
	return err;
}
