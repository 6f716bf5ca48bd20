/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SFTP devices on servers that are children of the test: no SSH, no network. */
#ifndef TESTS_SFTP_RIG_H
#define TESTS_SFTP_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/sftp.h"
#include "transport/stream_cmd.h"

enum { RIG_ARGS = 24 };

struct sftp_rig {
	char dir[64];
	char image[96];			/* of the server */
	char lock_file[128];
	const char *argv[RIG_ARGS];	/* of the server; OpenSSH's by default */
	char tool[256];
	struct sftp_options opt;
	struct blkdev *dev;
	char why[512];
	pthread_mutex_t lock;
	char notes[4096];		/* [lock] what notify said, a line each; the first ones */
	/* Called when all servers have ended and none is started yet. */
	void (*on_lost)(struct sftp_rig *rig);
	void *arg;
};

/*
 * A directory with an image of that many bytes; in memory if possible, where an fsync does not
 * wait for what others do to the disk. Silence is a loss after 15 s, until opt says otherwise.
 * False: no SFTP server, skip.
 */
bool rig_init(struct sftp_rig *rig, uint64_t size);
/* Closes what is open, removes everything. */
void rig_fini(struct sftp_rig *rig);
/* tests/tool_sftpd with these arguments, NULL at the end, instead of OpenSSH's server. */
void rig_serve(struct sftp_rig *rig, ...) __attribute__((sentinel));
/* With a deadline below 5 s one that stalls is tried again, without what it may have left. */
int rig_open(struct sftp_rig *rig);
int rig_open_once(struct sftp_rig *rig);
void rig_close(struct sftp_rig *rig);
/* Bytes of the image as the server's host sees them. */
void rig_peek(struct sftp_rig *rig, void *buf, size_t len, uint64_t off);
void rig_poke(struct sftp_rig *rig, const void *buf, size_t len, uint64_t off);
/* Another's lock in place of the one that is there; the name is never without one. */
void rig_put_lock(struct sftp_rig *rig, const char *line);
/* Sends a signal to every server process of the rig. Returns how many there are. */
int rig_signal(struct sftp_rig *rig, int sig);
/* Until a server that rig_serve told to (--fail=halt) has stopped at a write. */
void rig_await_halt(void);
/* Has notify said something with this text in it? */
bool rig_noted(struct sftp_rig *rig, const char *text);
struct sftp_status rig_status(struct sftp_rig *rig);
/* Waits until the state is that one; false after ms. */
bool rig_await(struct sftp_rig *rig, enum sftp_state state, int ms);
uint64_t rig_now_us(void);

#endif
