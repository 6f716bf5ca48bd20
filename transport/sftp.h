/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file on an SFTP server as a block device: reads pipelined over several channels, writes
 * buffered and kept until an fsync@openssh.com that followed them has succeeded, connections
 * that fail replaced by new ones without the caller noticing more than a pause.
 *
 * The state of the device, and what moves it (sftp_link.c):
 *
 *   CONNECTING ---- first login, inside sftp_dev_open ----> UP, or sftp_dev_open fails
 *   UP ------------ connection lost, silent for deadline_s ----> LOST
 *   LOST ---------- next attempt logged in, file opened -------> CHECKING
 *   CHECKING ------ size, known bytes and lock are ours -------> UP (all unsynced writes sent again)
 *   CHECKING ------ they are not, or another host key ---------> FENCED
 *   CHECKING ------ connection lost ---------------------------> LOST
 *   LOST, CHECKING  timeout_s since the loss ------------------> FAILED
 *   UP ------------ a write or fsync failed twice -------------> BROKEN
 *   UP, BROKEN ---- blkdev_close ------------------------------> (gone)
 *
 * BROKEN: writes and flushes fail with -EIO for good, reads go on. FAILED and FENCED: all
 * fails with -EIO at once, for good. Nothing is written to the server in these states.
 */
#ifndef TRANSPORT_SFTP_H
#define TRANSPORT_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/blkdev.h"
#include "transport/stream.h"

enum {
	SFTP_CHANNELS = 4,			/* default */
	SFTP_TIMEOUT_S = 300,			/* default */
	SFTP_DEADLINE_S = 15,			/* default */
	SFTP_BUFFER_LEN = 64 * 1024 * 1024,	/* default */
	SFTP_BUFFER_MIN_LEN = 1024 * 1024,
	SFTP_LOCK_WAIT_MS = 15000,
	SFTP_LOCK_WATCH_S = 45,			/* a lock that does not change is dead */
};

enum sftp_state {
	SFTP_CONNECTING,
	SFTP_UP,
	SFTP_LOST,
	SFTP_CHECKING,
	SFTP_BROKEN,
	SFTP_FAILED,
	SFTP_FENCED,
};

/* What to do about the lock file IMAGE.fuse4fs-lock. */
enum sftp_lock_mode {
	SFTP_LOCK_TAKE,		/* hold it; one whose owner is dead is taken over */
	SFTP_LOCK_WAIT,		/* the same; for a process of this machine to end wait a while */
	SFTP_LOCK_BREAK,	/* hold it, whoever had it */
	SFTP_LOCK_NONE,		/* neither lock nor look */
};

/* Strings are copied. */
struct sftp_options {
	const char *path;	/* of the image there; relative to the login directory without '/' */
	const char *name;	/* for messages, without secrets */
	bool readonly;
	bool unsafe_nofsync;	/* write to a server without fsync@openssh.com */
	unsigned channels;	/* 1 .. STREAM_MAX_CHANNELS, 0: SFTP_CHANNELS */
	unsigned timeout_s;	/* how long a loss may last; 0: for ever */
	unsigned deadline_s;	/* silence that is a loss; 0: SFTP_DEADLINE_S */
	size_t buffer_len;	/* bytes kept for writing; 0: SFTP_BUFFER_LEN, at least the MIN */
	size_t cache_len;	/* bytes read ahead; 0: as buffer_len / 2 */
	enum sftp_lock_mode lock;
	/*
	 * Hears of every change of state and of warnings: one line, without the name. Comes
	 * from the I/O thread or from inside sftp_dev_open; must not call the device. May be NULL.
	 */
	void (*notify)(void *arg, enum sftp_state state, const char *line);
	void *notify_arg;
};

/*
 * sftp_dev_open - the first connection, the file, the lock
 *
 * stream  belongs to the device afterwards, also when this fails
 * why     on failure a sentence part that follows the name, as "does not exist"
 *
 * Starts a thread: fork before, not after. Blocks for the login and about four round trips;
 * when a lock must be watched, for SFTP_LOCK_WATCH_S. Does not try again after a loss.
 * Returns 0; -ENOENT, -EACCES, -EISDIR, -ENODATA (empty); -EBUSY locked by somebody else;
 * -EOPNOTSUPP no fsync@openssh.com; -EROFS; -EINVAL an option out of range; -EPROTO an
 * answer that SFTP does not allow; -ETIMEDOUT; -ENOMEM; those of struct stream_ops.
 * Crash effect: the lock file may stay behind; its owner is then known to be dead.
 */
int sftp_dev_open(struct stream *stream, const struct sftp_options *opt, struct blkdev **ret,
		  char *why, size_t why_len);

/* For --status and the progress of umount. */
struct sftp_status {
	enum sftp_state state;
	uint64_t rtt_us;	/* smallest of the last seconds, 0 unknown */
	uint64_t read_rate;	/* bytes per second while reading, lately */
	uint64_t write_rate;
	uint64_t unsynced_len;	/* bytes accepted and not known to be durable there */
	uint64_t buffer_len;	/* bound of the above */
	uint64_t reconnects;
	uint64_t outage_ms;	/* since the loss, 0 when connected */
	unsigned channels;	/* now open */
	bool nofsync;		/* flush means "sent", not "durable" */
	bool locked;		/* the lock file is ours */
	bool knows_free;	/* the server has told: */
	uint64_t free_len;	/* bytes its file system has left, at the last heartbeat */
};

/* dev: what sftp_dev_open returned. Any thread. */
void sftp_dev_status(struct blkdev *dev, struct sftp_status *ret);
/* "up", "lost", ... */
const char *sftp_state_name(enum sftp_state state);

#endif
