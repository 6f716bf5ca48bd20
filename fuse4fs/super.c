/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The primary superblock.
 *
 * Two copies exist: the cached block, changed in handles under super_lock, and
 * fs->e2->super, which libext2fs's pure functions read (features only change there).
 */
#include "super.h"

#include <errno.h>

#include "blkdev.h"
#include "csum.h"

enum { SUPER_OFF = 1024, SUPER_CREDITS = 1 };

static struct ext2_super_block *raw(struct fs *fs)
{
	return (void *)(fs->super_buf->data + SUPER_OFF % fs->block_size);
}

int super_open(struct fs *fs)
{
	return cache_read(fs->cache, SUPER_OFF / fs->block_size, BUF_RAW, 0, &fs->super_buf);
}

void super_close(struct fs *fs)
{
	cache_put(fs->super_buf);
	fs->super_buf = NULL;
}

int super_dirty(struct handle *h)
{
	struct fs *fs = h->fs;
	int ret;

	ret = txn_dirty(h, fs->super_buf);
	if (ret)
		return ret;
	mutex_lock(&fs->super_lock);
	fs->super_changed = true;
	mutex_unlock(&fs->super_lock);
	return 0;
}

void super_add_free(struct fs *fs, int64_t blocks, int64_t inodes)
{
	mutex_lock(&fs->super_lock);
	fs->free_blocks += blocks;
	fs->free_inodes += inodes;
	mutex_unlock(&fs->super_lock);
}

static void put_time(void *lo, uint8_t *hi, uint64_t sec)
{
	put_le32(lo, (uint32_t)sec);
	*hi = (uint8_t)(sec >> 32);
}

static void encode_errors(struct fs *fs, struct ext2_super_block *sb)
{
	const struct fs_error_info *first = &fs->first_error, *last = &fs->last_error;

	if (!last->time)
		return;
	put_le16(&sb->s_state, le16toh(sb->s_state) | EXT2_ERROR_FS);
	if (!get_le32(&sb->s_first_error_time)) {
		put_time(&sb->s_first_error_time, &sb->s_first_error_time_hi, first->time);
		put_le32(&sb->s_first_error_ino, first->ino);
		put_le64(&sb->s_first_error_block, first->block);
		put_le32(&sb->s_first_error_line, first->line);
		memcpy(sb->s_first_error_func, first->func, sizeof(sb->s_first_error_func));
		sb->s_first_error_errcode = first->errcode;
	}
	put_time(&sb->s_last_error_time, &sb->s_last_error_time_hi, last->time);
	put_le32(&sb->s_last_error_ino, last->ino);
	put_le64(&sb->s_last_error_block, last->block);
	put_le32(&sb->s_last_error_line, last->line);
	memcpy(sb->s_last_error_func, last->func, sizeof(sb->s_last_error_func));
	sb->s_last_error_errcode = last->errcode;
	put_le32(&sb->s_error_count, fs->error_count);
}

static void encode_checksum(const struct fs *fs, struct ext2_super_block *sb)
{
	if (fs->has_csum)
		put_le32(&sb->s_checksum,
			 csum_crc32c(~0U, sb, offsetof(struct ext2_super_block, s_checksum)));
}

static uint64_t lifetime_kbytes(struct fs *fs)
{
	return fs->kbytes_written + (atomic_load(&fs->dev->stats.write_bytes) >> 10);
}

int super_seal(struct fs *fs)
{
	struct ext2_super_block *sb;

	mutex_lock(&fs->super_lock);
	if (!fs->super_changed) {
		mutex_unlock(&fs->super_lock);
		return 0;
	}
	fs->super_changed = false;
	sb = raw(fs);
	put_le32(&sb->s_free_blocks_count, (uint32_t)fs->free_blocks);
	if (fs->has_64bit)
		put_le32(&sb->s_free_blocks_hi, (uint32_t)((uint64_t)fs->free_blocks >> 32));
	put_le32(&sb->s_free_inodes_count, (uint32_t)fs->free_inodes);
	put_time(&sb->s_wtime, &sb->s_wtime_hi, (uint64_t)fs_now().tv_sec);
	put_le64(&sb->s_kbytes_written, lifetime_kbytes(fs));
	encode_errors(fs, sb);
	encode_checksum(fs, sb);
	mutex_unlock(&fs->super_lock);
	return 0;
}

static bool has_features(const struct ext2_super_block *sb, const uint32_t set[3])
{
	return (le32toh(sb->s_feature_compat) & set[0]) == set[0] &&
	       (le32toh(sb->s_feature_incompat) & set[1]) == set[1] &&
	       (le32toh(sb->s_feature_ro_compat) & set[2]) == set[2];
}

static bool has_any_feature(const struct ext2_super_block *sb, const uint32_t set[3])
{
	return (le32toh(sb->s_feature_compat) & set[0]) ||
	       (le32toh(sb->s_feature_incompat) & set[1]) ||
	       (le32toh(sb->s_feature_ro_compat) & set[2]);
}

static void apply_features(struct fs *fs, const uint32_t set[3], bool on)
{
	struct ext2_super_block *sb = raw(fs), *core = fs->e2->super;
	uint32_t *words[3] = {
		&core->s_feature_compat, &core->s_feature_incompat, &core->s_feature_ro_compat,
	};

	for (int i = 0; i < 3; i++)
		*words[i] = on ? *words[i] | set[i] : *words[i] & ~set[i];
	put_le32(&sb->s_feature_compat, core->s_feature_compat);
	put_le32(&sb->s_feature_incompat, core->s_feature_incompat);
	put_le32(&sb->s_feature_ro_compat, core->s_feature_ro_compat);
}

static int change_features(struct handle *h, const uint32_t set[3], bool on)
{
	struct fs *fs = h->fs;
	bool needed;
	int ret;

	mutex_lock(&fs->super_lock);
	needed = on ? !has_features(raw(fs), set) : has_any_feature(raw(fs), set);
	mutex_unlock(&fs->super_lock);
	if (!needed)
		return 0;
	ret = super_dirty(h);
	if (ret)
		return ret;
	mutex_lock(&fs->super_lock);
	apply_features(fs, set, on);
	mutex_unlock(&fs->super_lock);
	return 0;
}

int super_set_feature(struct handle *h, uint32_t compat, uint32_t incompat, uint32_t ro_compat)
{
	const uint32_t set[3] = { compat, incompat, ro_compat };

	return change_features(h, set, true);
}

int super_clear_feature(struct handle *h, uint32_t compat, uint32_t incompat,
			uint32_t ro_compat)
{
	const uint32_t set[3] = { compat, incompat, ro_compat };

	return change_features(h, set, false);
}

uint32_t super_last_orphan(struct fs *fs)
{
	uint32_t ino;

	mutex_lock(&fs->super_lock);
	ino = get_le32(&raw(fs)->s_last_orphan);
	mutex_unlock(&fs->super_lock);
	return ino;
}

int super_set_last_orphan(struct handle *h, uint32_t ino)
{
	int ret;

	ret = super_dirty(h);
	if (ret)
		return ret;
	mutex_lock(&h->fs->super_lock);
	put_le32(&raw(h->fs)->s_last_orphan, ino);
	mutex_unlock(&h->fs->super_lock);
	return 0;
}

void super_label(struct fs *fs, char label[16])
{
	mutex_lock(&fs->super_lock);
	memcpy(label, raw(fs)->s_volume_name, 16);
	mutex_unlock(&fs->super_lock);
}

int super_set_label(struct handle *h, const char label[16])
{
	int ret;

	ret = super_dirty(h);
	if (ret)
		return ret;
	mutex_lock(&h->fs->super_lock);
	memcpy(raw(h->fs)->s_volume_name, label, 16);
	mutex_unlock(&h->fs->super_lock);
	return 0;
}

/* [super_lock] A longer name is left out, as by the kernel. */
static void encode_last_mounted(const char *mountpoint, struct ext2_super_block *sb)
{
	const size_t len = mountpoint ? strlen(mountpoint) : 0;

	if (!len || len >= sizeof(sb->s_last_mounted))
		return;
	memset(sb->s_last_mounted, 0, sizeof(sb->s_last_mounted));
	memcpy(sb->s_last_mounted, mountpoint, len);
}

/* [super_lock] */
static void encode_mounted(struct fs *fs, struct ext2_super_block *sb)
{
	/* With a journal, needs_recovery says it: after a replay all is well. */
	if (!fs->has_journal)
		put_le16(&sb->s_state, le16toh(sb->s_state) & ~EXT2_VALID_FS);
	put_le16(&sb->s_mnt_count, le16toh(sb->s_mnt_count) + 1);
	put_time(&sb->s_mtime, &sb->s_mtime_hi, (uint64_t)fs->mount_time.tv_sec);
	encode_last_mounted(fs->opt.mountpoint, sb);
}

/* [super_lock] */
static void encode_clean(struct fs *fs, struct ext2_super_block *sb)
{
	put_le16(&sb->s_state, le16toh(sb->s_state) | (fs->mount_state & EXT2_VALID_FS));
}

static int mark(struct fs *fs, void (*encode)(struct fs *fs, struct ext2_super_block *sb))
{
	struct handle h;
	int ret, err;

	ret = txn_begin(fs, SUPER_CREDITS, &h);
	if (ret)
		return ret;
	ret = super_dirty(&h);
	if (!ret) {
		mutex_lock(&fs->super_lock);
		encode(fs, raw(fs));
		mutex_unlock(&fs->super_lock);
	}
	err = txn_stop(&h);
	return ret ? ret : err;
}

int super_mark_mounted(struct fs *fs)
{
	int ret = mark(fs, encode_mounted);

	/* With a journal the mark is a part of the first transaction, and needs_recovery on
	 * the disk by now. */
	return ret || fs->has_journal ? ret : txn_commit_now(fs);
}

int super_mark_clean(struct fs *fs)
{
	int ret = mark(fs, encode_clean);

	return ret ? ret : txn_commit_now(fs);
}

/* The device's superblock, not the cached one: what is cached may belong to a transaction
 * that never commits. */
static int read_device(struct fs *fs, struct ext2_super_block *sb)
{
	int ret = blkdev_read(fs->dev, sb, sizeof(*sb), SUPER_OFF);

	if (ret)
		return ret;
	return le16toh(sb->s_magic) == EXT2_SUPER_MAGIC ? 0 : -EUCLEAN;
}

static int write_device(struct fs *fs, const struct ext2_super_block *sb)
{
	int ret = blkdev_write(fs->dev, sb, sizeof(*sb), SUPER_OFF);

	return ret ? ret : blkdev_flush(fs->dev);
}

int super_write_recover(struct fs *fs, bool on)
{
	const uint32_t set[3] = { 0, EXT3_FEATURE_INCOMPAT_RECOVER, 0 };
	struct ext2_super_block sb;
	uint32_t incompat;
	int ret;

	ret = read_device(fs, &sb);
	if (ret)
		return ret;
	incompat = le32toh(sb.s_feature_incompat) & ~set[1];
	put_le32(&sb.s_feature_incompat, on ? incompat | set[1] : incompat);
	encode_checksum(fs, &sb);
	ret = write_device(fs, &sb);
	if (ret)
		return ret;
	mutex_lock(&fs->super_lock);
	apply_features(fs, set, on);
	mutex_unlock(&fs->super_lock);
	return 0;
}

void super_write_error(struct fs *fs)
{
	struct ext2_super_block sb;

	if (fs->opt.readonly || read_device(fs, &sb))
		return;
	mutex_lock(&fs->super_lock);
	encode_errors(fs, &sb);
	encode_checksum(fs, &sb);
	mutex_unlock(&fs->super_lock);
	(void)write_device(fs, &sb);
}
