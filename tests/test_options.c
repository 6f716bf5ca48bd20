// SPDX-License-Identifier: GPL-2.0-or-later
/* options.c and its table: what is accepted, what is refused and how it is named. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "options.h"

enum { ARGS_MAX = 16 };

/* Parses a command line of words separated by blanks. */
static int parse(const char *line, struct options *opt, char why[256])
{
	static char words[512];
	char *argv[ARGS_MAX + 1], *save, *w;
	int argc = 0;

	memset(opt, 0, sizeof(*opt));
	why[0] = '\0';
	snprintf(words, sizeof(words), "fuse4fs %s", line);
	for (w = strtok_r(words, " ", &save); w && argc < ARGS_MAX; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	return options_parse(argc, argv, opt, why, 256);
}

static void plain_mount(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("disk.img /mnt", &o, why), 0);
	assert_int_equal(o.action, ACT_MOUNT);
	assert_string_equal(o.image, "disk.img");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_int_equal(o.readonly, 0);
	assert_int_equal(o.lock, OPT_LOCK_WAIT);
	options_fini(&o);
}

static void values_of_every_kind(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-f -o ro,norecovery,errors=panic,commit=30,offset=1M,sizelimit=2g "
			       "-o root=/a\\,b,cache_size=64k,threads=8,lock=none,uid=1000,noexec i m",
			       &o, why), 0);
	assert_int_equal(o.foreground, 1);
	assert_int_equal(o.readonly, 1);
	assert_int_equal(o.norecovery, 1);
	assert_int_equal(o.errors, OPT_ERRORS_PANIC);
	assert_int_equal(o.commit_sec, 30);
	assert_int_equal(o.offset, 1 << 20);
	assert_true(o.sizelimit == (uint64_t)2 << 30);
	assert_string_equal(o.root, "/a,b");
	assert_int_equal(o.cache_bytes, 65536);
	assert_int_equal(o.threads, 8);
	assert_int_equal(o.lock, OPT_LOCK_NONE);
	assert_int_equal(o.squash_uid, 1);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.squash_gid, 0);
	assert_int_equal(o.exec, OPT_NO);
	options_fini(&o);
}

static void options_of_containers(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-o header=/h,keyfile=/k,keyfile-offset=1k,keyfile-size=32,key-slot=0,"
			       "allow-discards,kdf-memory=2G,kdf-cost=8G,kdf-iterations=5 i m", &o, why), 0);
	assert_string_equal(o.header, "/h");
	assert_string_equal(o.keyfile, "/k");
	assert_int_equal(o.keyfile_off, 1024);
	assert_int_equal(o.keyfile_len, 32);
	assert_int_equal(o.has_keyslot, 1);
	assert_int_equal(o.keyslot, 0);
	assert_int_equal(o.has_passfd, 0);
	assert_int_equal(o.allow_discards, 1);
	assert_true(o.kdf_memory == (uint64_t)2 << 30);
	assert_true(o.kdf_cost == (uint64_t)8 << 30);
	assert_int_equal(o.kdf_iterations, 5);
	options_fini(&o);
	assert_int_equal(parse("--export-device -o passfd=0,nocrypt i m", &o, why), -EINVAL);
	options_fini(&o);
	assert_int_equal(parse("--export-device -o passfd=0 i m", &o, why), 0);
	assert_int_equal(o.action, ACT_EXPORT);
	assert_int_equal(o.has_passfd, 1);
	assert_int_equal(o.passfd, 0);
	options_fini(&o);
}

static void paths_are_absolute(void **state)
{
	struct options o;
	char why[256], dir[PATH_MAX], path[PATH_MAX + 16];

	assert_non_null(getcwd(dir, sizeof(dir)));
	assert_int_equal(parse("-o ssh_config=c,identity=./k/id,UserKnownHostsFile=none,header=h h:i m",
			       &o, why), 0);
	snprintf(path, sizeof(path), "%s/c", dir);
	assert_string_equal(o.ssh_config, path);
	snprintf(path, sizeof(path), "%s/./k/id", dir);
	assert_string_equal(o.identity, path);
	assert_string_equal(o.known_hosts, "none");
	snprintf(path, sizeof(path), "%s/h", dir);
	assert_string_equal(o.header, path);
	options_fini(&o);
	assert_int_equal(parse("-o ssh_config=none,keyfile=-,UserKnownHostsFile=~/k h:i m", &o, why), 0);
	assert_string_equal(o.ssh_config, "none");
	assert_string_equal(o.keyfile, "-");
	assert_string_equal(o.known_hosts, "~/k");
	options_fini(&o);
}

static void later_wins(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-o ro,rw,noatime,strictatime,noacl,acl i m", &o, why), 0);
	assert_int_equal(o.readonly, 0);
	assert_int_equal(o.atime, OPT_STRICTATIME);
	assert_int_equal(o.noacl, 0);
	options_fini(&o);
}

static void mount_noise_is_ignored(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-o defaults,noauto,user,_netdev,nofail,x-systemd.automount,"
			       "x-gvfs-name=A,comment=hello,,default_permissions i m", &o, why), 0);
	options_fini(&o);
}

/* A line of fstab that was written for the kernel's ext4. */
static void tuning_is_ignored(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-o lazytime,nolazytime,iversion,noiversion,delalloc,nodelalloc,barrier,"
			       "nobarrier,barrier=0,auto_da_alloc,init_itable=10,journal_checksum,"
			       "i_version,nombcache,stripe=128,data_err=abort,dioread_lock i m", &o, why), 0);
	options_fini(&o);
}

static void what_cannot_be_done_is_refused_with_its_reason(void **state)
{
	static const struct { const char *line, *reason; } cases[] = {
		{ "-o dax i m", "'dax' is not supported: data " },
		{ "-o dax=always i m", "'dax' is not supported: data " },
		{ "-o usrquota i m", "quotas" }, { "-o jqfmt=vfsv1 i m", "quotas" },
		{ "-o inlinecrypt i m", "encrypted" }, { "-o sb=32768 i m", "superblock" },
		{ "-o resuid=5 i m", "superblock" },
	};
	struct options o;
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line, &o, why), -EINVAL);
		if (!strstr(why, cases[i].reason))
			fail_msg("\"%s\": \"%s\" does not say %s", cases[i].line, why, cases[i].reason);
		options_fini(&o);
	}
}

static void refusals_name_the_option(void **state)
{
	static const struct { const char *line, *name; } cases[] = {
		{ "-o frobnicate i m", "'frobnicate'" }, { "-o frobnicate=3 i m", "'frobnicate'" },
		{ "-o ro=1 i m", "'ro'" }, { "-o commit i m", "'commit'" },
		{ "-o commit=x i m", "commit=x" }, { "-o commit=-1 i m", "commit=-1" },
		{ "-o commit=99999999999999999999 i m", "commit=" }, { "-o threads=0 i m", "threads=0" },
		{ "-o threads=65 i m", "threads=65" }, { "-o errors=maybe i m", "errors=maybe" },
		{ "-o errors=pan i m", "errors=pan" }, { "-o offset=1X i m", "offset=1X" },
		{ "-o offset=1KK i m", "offset=1KK" }, { "-o offset=9223372036854775807P i m", "offset=" },
		{ "-o uid=4294967295 i m", "uid=4294967295" }, { "-o root= i m", "root=" },
		{ "-o root=a i m", "root=a" }, { "-o root=12a i m", "root=12a" }, { "-o norecovery i m", "norecovery" },
		{ "-o partition=1,offset=5 i m", "partition" }, { "-o allow_other,allow_root i m", "allow_root" },
		{ "-o keyfile-size=9M,keyfile=k i m", "keyfile-size=9M" },
		{ "-o keyfile-offset=1 i m", "keyfile=" }, { "-o key-slot=32 i m", "key-slot=32" },
		{ "-o keyfile=k,passfd=3 i m", "passfd=" }, { "-o nocrypt,header=h i m", "nocrypt" },
		{ "-o kdf-memory=1 i m", "kdf-memory=1" }, { "-o passfd=x i m", "passfd=x" },
		{ "-o passphrase=secret i m", "'passphrase'" },
		{ "--export-device -o root=/x i m", "root=" },
		{ "--export-device -o ro,norecovery i m", "norecovery" },
		{ "--export-device i", "usage" }, { "--probe i m", "IMAGE" }, { "--probe", "IMAGE" },
		{ "-Z i m", "-Z" }, { "--frob i m", "--frob" }, { "-o", "-o" }, { "i", "usage" },
		{ "i m x", "usage" }, { "", "usage" }, { "-u", "MOUNTPOINT" }, { "--status a b", "MOUNTPOINT" },
	};
	struct options o;
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line, &o, why), -EINVAL);
		if (!strstr(why, cases[i].name))
			fail_msg("\"%s\": \"%s\" does not name %s", cases[i].line, why, cases[i].name);
		options_fini(&o);
	}
}

static void other_actions(void **state)
{
	struct options o;
	char why[256];

	assert_int_equal(parse("-u -l /mnt", &o, why), 0);
	assert_int_equal(o.action, ACT_UNMOUNT);
	assert_int_equal(o.lazy, 1);
	assert_int_equal(parse("--status --json /mnt", &o, why), 0);
	assert_int_equal(o.action, ACT_STATUS);
	assert_int_equal(o.json, 1);
	assert_int_equal(parse("--probe --json -o ro,partition=2 i", &o, why), 0);
	assert_int_equal(o.action, ACT_PROBE);
	assert_string_equal(o.image, "i");
	assert_int_equal(o.partition, 2);
	options_fini(&o);
	assert_int_equal(parse("--help", &o, why), 0);
	assert_int_equal(o.action, ACT_HELP);
	assert_int_equal(parse("--version", &o, why), 0);
	assert_int_equal(o.action, ACT_VERSION);
}

static void prints_what_it_read(void **state)
{
	struct options o;
	char why[256], text[512];

	assert_int_equal(parse("-o noatime,errors=remount-ro,offset=4096,uid=5,root=/x,nosuid i m", &o,
			       why), 0);
	options_print(&o, text, sizeof(text));
	assert_string_equal(text, "rw,errors=remount-ro,noatime,offset=4096,root=/x,uid=5,nosuid");
	options_print(&o, text, 10);	/* truncates */
	assert_int_equal(strlen(text), 9);
	options_fini(&o);
	assert_int_equal(parse("-o strictatime,nosymfollow i m", &o, why), 0);
	options_print(&o, text, sizeof(text));
	assert_string_equal(text, "rw,strictatime,nosymfollow");
	options_fini(&o);
}

static void every_row_is_sound(void **state)
{
	for (const struct option_def *d = option_table; d->name; d++) {
		for (const struct option_def *e = d + 1; e->name; e++)
			assert_string_not_equal(d->name, e->name);
		assert_true(d->field < sizeof(struct options));
		assert_true(d->kind != OPTION_CHOICE || d->choices);
		assert_true(d->doc || d->kind == OPTION_IGNORED || d->kind == OPTION_IGNORED_PREFIX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_mount),
		cmocka_unit_test(values_of_every_kind),
		cmocka_unit_test(paths_are_absolute),
		cmocka_unit_test(options_of_containers),
		cmocka_unit_test(later_wins),
		cmocka_unit_test(mount_noise_is_ignored),
		cmocka_unit_test(tuning_is_ignored),
		cmocka_unit_test(what_cannot_be_done_is_refused_with_its_reason),
		cmocka_unit_test(refusals_name_the_option),
		cmocka_unit_test(other_actions),
		cmocka_unit_test(prints_what_it_read),
		cmocka_unit_test(every_row_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
