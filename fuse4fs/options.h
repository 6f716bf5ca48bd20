/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: what fuse4fs is asked to do.
 *
 * -o options are rows of one table (options_table.c); the man page and --help are checked
 * against and made from the same rows. Knows neither libext2fs nor libfuse.
 */
#ifndef FUSE4FS_OPTIONS_H
#define FUSE4FS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses, those of mount(8), whose values may be added: the wrong key is a mount that
 * failed (32) for want of permission (1), and nothing else here is. */
enum {
	MNT_EX_OK = 0, MNT_EX_USAGE = 1, MNT_EX_SYSERR = 2, MNT_EX_SOFTWARE = 4, MNT_EX_USER = 8,
	MNT_EX_FILEIO = 16, MNT_EX_FAIL = 32, MNT_EX_KEY = 33,
};

enum action {
	ACT_MOUNT, ACT_EXPORT, ACT_PROBE, ACT_UNMOUNT, ACT_STATUS, ACT_HELP, ACT_HELP_OPTIONS,
	ACT_VERSION,
};
enum opt_errors { OPT_ERRORS_DEFAULT, OPT_ERRORS_CONTINUE, OPT_ERRORS_RO, OPT_ERRORS_PANIC };
enum opt_atime { OPT_RELATIME, OPT_NOATIME, OPT_STRICTATIME };
enum opt_lock { OPT_LOCK_WAIT, OPT_LOCK_FAIL, OPT_LOCK_NONE, OPT_LOCK_BREAK };
enum opt_hostkey { OPT_HOSTKEY_ASK, OPT_HOSTKEY_YES, OPT_HOSTKEY_ACCEPT_NEW, OPT_HOSTKEY_NO };
enum opt_sandbox { OPT_SANDBOX_TRY, OPT_SANDBOX_NO, OPT_SANDBOX_REQUIRE };
enum opt_tristate { OPT_UNSET, OPT_NO, OPT_YES };

/* An image elsewhere keeps as many requests waiting as the kernel sends at a time, and --status
 * has to be answered nevertheless. */
enum { THREADS_DEFAULT = 4, THREADS_REMOTE = 24, THREADS_MAX = 64 };

/* Zero is the default of every field. */
struct options {
	/* The command itself. */
	int action;			/* enum action */
	int foreground, debug, json, lazy, force, verbose;	/* 0 or 1 */
	int private, die_with_parent;	/* 0 or 1 */
	const char *image, *mountpoint;	/* argv's strings */
	char **command;			/* of --private; argv's, NULL at the end */

	/* How the image is served. Integers, so that a row of the table can set them. */
	int readonly, norecovery;
	int errors;			/* enum opt_errors */
	int data;			/* 0: ordered, the only one */
	int atime;			/* enum opt_atime */
	int nodiratime, noacl, no_user_xattr, minixdf, sync, dirsync;
	int grpid, discard;		/* enum opt_tristate; OPT_UNSET: as the superblock says */
	uint64_t commit_sec;		/* 0: 5 */
	uint64_t cache_bytes;		/* 0: 32 MiB */
	const char *root;		/* directory of the image to serve as the root, or NULL */

	/* Which bytes are the image. */
	uint64_t offset, sizelimit;	/* bytes; sizelimit 0: to the end */
	uint64_t partition;		/* from 1; 0: none */
	int lock;			/* enum opt_lock */

	/* How a LUKS container in it is opened. */
	int nocrypt, allow_discards;	/* 0 or 1 */
	const char *header, *keyfile;	/* paths, or NULL */
	uint64_t keyfile_off, keyfile_len;	/* bytes; length 0: to the end */
	int has_passfd, has_keyslot;	/* 1: the next are set */
	uint64_t passfd, keyslot;
	uint64_t kdf_memory, kdf_cost, kdf_iterations;	/* 0: the default bounds */

	/* How an image on an SSH server is reached. */
	uint64_t port;			/* 0: ssh_config's */
	const char *ssh_config, *identity, *known_hosts, *ciphers, *ssh_command;	/* or NULL */
	int hostkey;			/* enum opt_hostkey */
	int unsafe_nofsync;		/* 0 or 1 */
	int has_timeout;		/* 1: timeout_sec is set */
	uint64_t timeout_sec, deadline_sec, channels, sftp_buffer;	/* 0: the default */

	/* How the kernel mounts it. */
	uint64_t threads;		/* 0: THREADS_DEFAULT, or _REMOTE */
	int allow_other, allow_root, auto_unmount;	/* 0 or 1 */
	int suid, dev, exec;		/* enum opt_tristate */
	int nosymfollow;		/* 0 or 1 */
	int sandbox;			/* enum opt_sandbox */
	int squash_uid, squash_gid;	/* 1: every file appears to be owned by: */
	uint64_t uid, gid;
	struct options_text *texts;	/* copies of -o arguments the strings point into */
};

/* How the value of an option is read. */
enum option_kind {
	OPTION_SET,	/* no value; stores .value */
	OPTION_NUMBER,	/* decimal, .min .. .max */
	OPTION_SIZE,	/* bytes with an optional K, M, G or T (powers of 1024); .min .. .max,
			 * max 0: any */
	OPTION_CHOICE,	/* one of .choices; stores its index plus .value */
	OPTION_STRING,	/* not empty */
	OPTION_PATH,	/* the same; stored as an absolute path */
	OPTION_ID,	/* a number that may be 0; stores 1 in the int .flag_field */
	OPTION_IGNORED,	/* mount(8)'s own; any value */
	OPTION_IGNORED_PREFIX,
	OPTION_REFUSED,	/* known, with any value; .doc says why not */
};

struct option_def {
	const char *name;
	enum option_kind kind;
	size_t field;		/* offset in struct options */
	int value;
	uint64_t min, max;
	const char *choices;	/* "a|b|c"; OPTION_PATH: words that name no file */
	size_t flag_field;	/* OPTION_ID: int that is set to 1 */
	const char *doc;	/* for -o help and the man page; NULL: ignored, not shown.
				 * OPTION_REFUSED: the reason, not shown either */
};

extern const struct option_def option_table[];	/* ends with a NULL name */

/*
 * options_parse - read the command line
 *
 * Fills opt (which must be zeroed). Strings point into argv or opt->texts. Returns 0, or
 * -EINVAL with a sentence in why (without "fuse4fs:").
 */
int options_parse(int argc, char **argv, struct options *opt, char *why, size_t why_len);
/* One -o argument: comma-separated, "\," is a comma in a value, a later one wins. */
int options_parse_list(const char *list, struct options *opt, char *why, size_t why_len);
/* Frees what the parse allocated. */
void options_fini(struct options *opt);
/* The effective options as one -o list, for --status. Truncates. */
void options_print(const struct options *opt, char *buf, size_t size);
/* Decimal bytes with an optional suffix K, M, G, T, P. 0, -EINVAL, -ERANGE. */
int options_parse_size(const char *text, uint64_t *ret_bytes);
/* The text of --help on stdout, and that of -o help: the option table. */
void options_help(void);
void options_help_list(void);

#endif
