/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors of the image and the device: one log line, the superblock's record, and what
 * errors= asks for. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "blkdev.h"
#include "super.h"
#include "txn.h"

enum { REPEAT_SEC = 5, LINE_SIZE = 512 };

static void emit(struct fs *fs, enum fs_log level, const char *line)
{
	if (fs->opt.log)
		fs->opt.log(fs->opt.log_arg, level, line);
	else
		fprintf(stderr, "fuse4fs: %s\n", line);
}

/*
 * True when line may be logged. A damaged object that is asked for again and again gives
 * the same line: it appears once in REPEAT_SEC, with how often it was left out.
 */
static bool log_allowed(struct fs *fs, const char *line, unsigned *ret_left_out)
{
	struct timespec now;
	bool same, allowed;

	clock_gettime(CLOCK_MONOTONIC, &now);
	mutex_lock(&fs->log_lock);
	same = strncmp(line, fs->log_last, sizeof(fs->log_last) - 1) == 0;
	allowed = !same || now.tv_sec - fs->log_last_sec >= REPEAT_SEC;
	*ret_left_out = 0;
	if (allowed) {
		*ret_left_out = fs->log_repeats;
		fs->log_repeats = 0;
		fs->log_last_sec = now.tv_sec;
		snprintf(fs->log_last, sizeof(fs->log_last), "%s", line);
	} else {
		fs->log_repeats++;
	}
	mutex_unlock(&fs->log_lock);
	return allowed;
}

static void log_line(struct fs *fs, enum fs_log level, const char *line)
{
	unsigned left_out;
	char note[64];

	if (!log_allowed(fs, line, &left_out))
		return;
	if (left_out) {
		snprintf(note, sizeof(note), "(last message repeated %u times)", left_out);
		emit(fs, level, note);
	}
	emit(fs, level, line);
}

void fs_log(struct fs *fs, enum fs_log level, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_line(fs, level, line);
}

/* The superblock's own error numbers (EXT4_ERR_*); 1 is "unknown". */
static uint8_t super_errcode(int err)
{
	static const struct { int err; uint8_t code; } codes[] = {
		{ -EIO, 2 }, { -ENOMEM, 3 }, { -EBADMSG, 4 }, { -EUCLEAN, 5 }, { -ENOSPC, 6 },
		{ -EROFS, 8 }, { -EFBIG, 9 }, { -EEXIST, 10 }, { -ERANGE, 11 },
		{ -EOVERFLOW, 12 }, { -EBUSY, 13 }, { -ENOTDIR, 14 }, { -ENOTEMPTY, 15 },
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].err == err)
			return codes[i].code;
	return 1;
}

static void record(struct fs *fs, int err, uint32_t ino, uint64_t pblk, const char *func,
		   int line)
{
	struct fs_error_info info = {
		.time = (uint64_t)fs_now().tv_sec, .block = pblk, .ino = ino,
		.line = (uint32_t)line, .errcode = super_errcode(err),
	};

	memcpy(info.func, func, strnlen(func, sizeof(info.func)));
	mutex_lock(&fs->super_lock);
	if (!fs->first_error.time)
		fs->first_error = info;
	fs->last_error = info;
	fs->error_count++;
	mutex_unlock(&fs->super_lock);
}

static enum fs_errors policy(const struct fs *fs)
{
	if (fs->opt.errors != FS_ERRORS_DEFAULT)
		return fs->opt.errors;
	switch (fs->e2->super->s_errors) {
	case EXT2_ERRORS_RO: return FS_ERRORS_RO;
	case EXT2_ERRORS_PANIC: return FS_ERRORS_PANIC;
	default: return FS_ERRORS_CONTINUE;
	}
}

/* Only what says that the image or the device is bad; -ENOMEM and the like do not. */
static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -EBADMSG || err == -EIO;
}

static void apply_policy(struct fs *fs, int err)
{
	enum fs_errors errors = policy(fs);
	int expected = FS_RW;

	/* The next commit carries the record (super_seal). */
	if (errors == FS_ERRORS_CONTINUE) {
		txn_want_super(fs);
		return;
	}
	if (!atomic_compare_exchange_strong(&fs->state, &expected, FS_RO))
		return;
	if (fs->txns)
		txn_abort(fs, err);
	super_write_error(fs);
	if (errors == FS_ERRORS_PANIC) {
		emit(fs, FS_LOG_ERR, "stopping after an error, as errors=panic asks");
		abort();
	}
	emit(fs, FS_LOG_ERR, "the file system is read-only from now on; run e2fsck");
}

void fs_error_at(struct fs *fs, int err, uint32_t ino, uint64_t pblk, const char *func,
		 int line, const char *fmt, ...)
{
	char text[LINE_SIZE];
	size_t used = 0;
	va_list ap;

	/* Who takes the lines knows whose they are. */
	if (fs->dev && !fs->opt.log)
		used += (size_t)snprintf(text, sizeof(text) / 2, "%.200s: ",
					 fs->opt.device_name ? fs->opt.device_name :
					 fs->dev->info.name ? fs->dev->info.name : "image");
	if (ino)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "inode %" PRIu32 ": ", ino);
	if (pblk)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "block %" PRIu64 ": ", pblk);
	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	log_line(fs, FS_LOG_ERR, text);
	if (fs->opt.readonly || !is_damage(err))
		return;
	record(fs, err, ino, pblk, func, line);
	apply_policy(fs, err);
}
