// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The -o options, one row each. The rows are the only list: parsing, --help and the check
 * of the man page all read them.
 */
#include <stdint.h>

#include "options.h"

#define FIELD(f)	offsetof(struct options, f)
#define SET(n, f, v, d)	{ .name = n, .kind = OPTION_SET, .field = FIELD(f), .value = v, .doc = d }
#define IGNORED(n)	{ .name = n, .kind = OPTION_IGNORED }
#define PREFIX(n)	{ .name = n, .kind = OPTION_IGNORED_PREFIX }

const struct option_def option_table[] = {
	SET("ro", readonly, 1, "read-only: not one byte of the image is written"),
	SET("rw", readonly, 0, "read and write (default)"),
	SET("norecovery", norecovery, 1, "do not replay the journal; needs ro"),
	SET("noload", norecovery, 1, "the same as norecovery"),
	{ .name = "errors", .kind = OPTION_CHOICE, .field = FIELD(errors), .value = 1,
	  .choices = "continue|remount-ro|panic",
	  .doc = "what to do about damage (default: what the superblock says)" },
	{ .name = "commit", .kind = OPTION_NUMBER, .field = FIELD(commit_sec), .min = 0, .max = 3600,
	  .doc = "seconds between commits (default and 0: 5)" },
	{ .name = "data", .kind = OPTION_CHOICE, .field = FIELD(data), .choices = "ordered",
	  .doc = "data is in the image before the metadata leading to it (default)" },

	SET("relatime", atime, OPT_RELATIME, "update access times at most once a day (default)"),
	SET("noatime", atime, OPT_NOATIME, "never update access times"),
	SET("atime", atime, OPT_RELATIME, "the same as relatime"),
	SET("norelatime", atime, OPT_STRICTATIME, "the same as strictatime"),
	SET("strictatime", atime, OPT_STRICTATIME, "update access times at every read"),
	SET("nodiratime", nodiratime, 1, "never update access times of directories"),
	SET("diratime", nodiratime, 0, "update access times of directories too (default)"),

	SET("acl", noacl, 0, "POSIX access control lists (default)"),
	SET("noacl", noacl, 1, "no access control lists"),
	SET("user_xattr", no_user_xattr, 0, "user.* extended attributes (default)"),
	SET("nouser_xattr", no_user_xattr, 1, "no user.* extended attributes"),
	SET("grpid", grpid, 1, "new files take the group of their directory"),
	SET("bsdgroups", grpid, 1, "the same as grpid"),
	SET("nogrpid", grpid, 0, "new files take the group of their creator (default)"),
	SET("sysvgroups", grpid, 0, "the same as nogrpid"),
	SET("minixdf", minixdf, 1, "df counts the file system's own blocks as used"),
	SET("bsddf", minixdf, 0, "df leaves the file system's own blocks out (default)"),
	SET("discard", discard, 1, "give freed blocks back to the device"),
	SET("nodiscard", discard, 0, "do not, unless fstrim asks (default)"),
	SET("sync", sync, 1, "every change is durable before the call returns"),
	SET("async", sync, 0, "changes become durable by fsync and by time (default)"),
	SET("dirsync", dirsync, 1, "changes of directories are durable before the call returns"),

	{ .name = "offset", .kind = OPTION_SIZE, .field = FIELD(offset),
	  .doc = "the file system starts this many bytes into IMAGE" },
	{ .name = "sizelimit", .kind = OPTION_SIZE, .field = FIELD(sizelimit),
	  .doc = "and is at most this long" },
	{ .name = "partition", .kind = OPTION_NUMBER, .field = FIELD(partition), .min = 1,
	  .max = 1024, .doc = "serve this partition of IMAGE" },
	SET("nocrypt", nocrypt, 1, "do not look for a LUKS container"),
	{ .name = "header", .kind = OPTION_STRING, .field = FIELD(header),
	  .doc = "the LUKS header is in this file" },
	{ .name = "keyfile", .kind = OPTION_STRING, .field = FIELD(keyfile),
	  .doc = "the key is the content of this file (-: standard input)" },
	{ .name = "keyfile-offset", .kind = OPTION_SIZE, .field = FIELD(keyfile_off),
	  .doc = "skip this much of it" },
	{ .name = "keyfile-size", .kind = OPTION_SIZE, .field = FIELD(keyfile_len), .min = 1,
	  .max = 8 << 20, .doc = "take this much of it (default: all)" },
	{ .name = "passfd", .kind = OPTION_ID, .field = FIELD(passfd), .flag_field = FIELD(has_passfd),
	  .max = INT32_MAX, .doc = "the passphrase is the first line of this descriptor" },
	{ .name = "key-slot", .kind = OPTION_ID, .field = FIELD(keyslot),
	  .flag_field = FIELD(has_keyslot), .max = 31, .doc = "try no other keyslot" },
	SET("allow-discards", allow_discards, 1, "let discards through LUKS, whatever its header says"),
	{ .name = "kdf-memory", .kind = OPTION_SIZE, .field = FIELD(kdf_memory), .min = 1 << 10,
	  .max = (uint64_t)UINT32_MAX << 10, .doc = "bound of Argon2's memory (default 4G)" },
	{ .name = "kdf-cost", .kind = OPTION_SIZE, .field = FIELD(kdf_cost), .min = 1 << 10,
	  .max = INT64_MAX, .doc = "bound of its memory times its passes (default 64G)" },
	{ .name = "kdf-iterations", .kind = OPTION_NUMBER, .field = FIELD(kdf_iterations), .min = 1,
	  .max = INT64_MAX, .doc = "bound of PBKDF2's iterations (default 200 million)" },
	{ .name = "root", .kind = OPTION_STRING, .field = FIELD(root),
	  .doc = "serve only this directory of the image" },
	{ .name = "cache_size", .kind = OPTION_SIZE, .field = FIELD(cache_bytes),
	  .doc = "bound of the metadata cache (default 32M)" },
	{ .name = "threads", .kind = OPTION_NUMBER, .field = FIELD(threads), .min = 1,
	  .max = THREADS_MAX, .doc = "worker threads, 1 to 64 (default 4)" },
	{ .name = "lock", .kind = OPTION_CHOICE, .field = FIELD(lock), .choices = "wait|fail|none",
	  .doc = "when the image is in use: wait for it (default), fail, or do not ask" },

	SET("allow_other", allow_other, 1, "every user may enter (default for root)"),
	SET("allow_root", allow_root, 1, "root may enter too"),
	{ .name = "default_permissions", .kind = OPTION_IGNORED,
	  .doc = "always on: the kernel checks modes and access control lists" },
	{ .name = "uid", .kind = OPTION_ID, .field = FIELD(uid), .flag_field = FIELD(squash_uid),
	  .max = UINT32_MAX - 1, .doc = "every file appears to be owned by this user" },
	{ .name = "gid", .kind = OPTION_ID, .field = FIELD(gid), .flag_field = FIELD(squash_gid),
	  .max = UINT32_MAX - 1, .doc = "every file appears to belong to this group" },
	SET("suid", suid, OPT_YES, "honour set-user-ID bits (root only)"),
	SET("nosuid", suid, OPT_NO, "ignore set-user-ID bits (default)"),
	SET("dev", dev, OPT_YES, "honour device nodes (root only)"),
	SET("nodev", dev, OPT_NO, "ignore device nodes (default)"),
	SET("exec", exec, OPT_YES, "programs may be run (default)"),
	SET("noexec", exec, OPT_NO, "no program may be run"),

	IGNORED("defaults"), IGNORED("auto"), IGNORED("noauto"), IGNORED("user"), IGNORED("nouser"),
	IGNORED("users"), IGNORED("nousers"), IGNORED("owner"), IGNORED("noowner"),
	IGNORED("group"), IGNORED("nogroup"), IGNORED("_netdev"), IGNORED("nofail"),
	IGNORED("comment"), IGNORED("silent"), IGNORED("loud"), PREFIX("x-"), PREFIX("X-"),
	{ 0 },
};
