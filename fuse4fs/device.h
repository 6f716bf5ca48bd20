/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From options to the device that holds a file system.
 *
 * The stack, from the bottom up: what the image is (a local file or block device, a file on
 * an SSH server), the window on it (partition=, offset=), and, when the window holds a LUKS
 * container, that.
 */
#ifndef FUSE4FS_DEVICE_H
#define FUSE4FS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/blkdev.h"
#include "transport/imglock.h"
#include "transport/ssh_login.h"

/* How a LUKS container is opened. Zero is the default of every field but passfd. */
struct device_unlock_options {
	bool nocrypt;		/* do not look for one: the device as it is */
	const char *header;	/* detached header, or NULL */
	const char *keyfile;	/* these three as struct keysource has them */
	uint64_t keyfile_off, keyfile_len;
	int passfd;		/* or -1 */
	bool one_keyslot;	/* try only: */
	int keyslot;
	bool allow_discards;	/* whatever the header says */
	uint64_t kdf_memory;	/* bytes; these three raise or lower a bound, 0: the default */
	uint64_t kdf_cost;	/* bytes: memory times passes of Argon2 */
	uint64_t kdf_iterations;	/* of PBKDF2 */
};

/* An image on an SSH server. NULL and 0: what ssh_config(5) says, or the default. */
struct device_remote_options {
	unsigned port;
	const char *ssh_config, *identity, *known_hosts, *ciphers;	/* as ssh_login.h has them */
	enum ssh_unknown_host unknown_host;
	const char *ssh_command;	/* ssh(1) and its options, instead of libssh */
	bool unsafe_nofsync, break_lock;	/* as sftp.h has them */
	bool has_timeout;
	unsigned timeout_s;		/* with has_timeout; 0: for ever */
	unsigned deadline_s, channels;
	size_t buffer_len;
};

struct device_options {
	const char *image;	/* path, URL, or "fd:N" for an inherited descriptor, N > 2 */
	bool readonly;
	uint64_t offset;	/* bytes */
	uint64_t sizelimit;	/* bytes, 0: up to the end */
	int partition;		/* from 1, 0: none; excludes offset and sizelimit */
	enum imglock_mode lock;
	unsigned lock_timeout_ms;	/* for IMGLOCK_WAIT; 0: its default */
	struct device_unlock_options unlock;
	struct device_remote_options remote;
	/* Gets a line the user should see while the device is being opened: a damaged header
	 * copy, a wrong passphrase, and with progress a key derivation. May be NULL. */
	void (*say)(void *arg, const char *line);
	void *say_arg;
	bool progress;
};

/* What a LUKS container is, for --status. */
struct device_crypt {
	int version;		/* 0: there is none; the rest is unset then */
	int keyslot;		/* that opened it */
	unsigned key_bits, sector_len;
	char cipher[64], uuid[40];
	bool discards;		/* they go through */
};

struct device_remote;

struct device {
	struct blkdev *dev;
	struct imglock *lock;	/* NULL with IMGLOCK_NONE */
	struct device_crypt crypt;
	struct blkdev *remote;		/* for sftp_dev_status; NULL: a local image */
	struct device_remote *login;	/* what that needs */
	bool programs;			/* it has to start some to log in again */
};

/*
 * device_open - open an image, lock it, cut out the window asked for, unlock what is in it
 *
 * ret       device_close; image must live as long as it does
 * why       on failure one sentence for the user: the object and the way out
 *
 * An inherited descriptor belongs to the device from then on, and is closed if what
 * comes after opening it fails; passfd is kept from programs started later. Neither the image's bytes nor its size change. With a
 * LUKS container the process can no longer be dumped or traced by its user. Call it
 * before there are threads.
 * Returns 0; -EINVAL options that exclude each other, a window outside, a key for no container;
 * -EBUSY in use;
 * -EKEYREJECTED no keyslot opens with what was given; -ECANCELED nothing was given; those
 * of file_dev_open, imglock_take, partition_find, luks_load and luks_unlock. Blocks for
 * the lock, for a person who types, and for the key derivation.
 */
int device_open(const struct device_options *opt, struct device *ret, char *why,
		size_t why_len);

/* Closes the device, then lets others have the image. Flush before. 0 or -errno. */
int device_close(struct device *d);

#endif
