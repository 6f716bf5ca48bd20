// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of images on other machines: what they mean, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "transport/sshurl.h"

static void local_names(void **state)
{
	static const char *const names[] = {
		"disk.img", "/srv/disk.img", "./host:disk.img", "/srv/host:disk.img", "fd:3", "fd:x",
		"a/b:c", "", ":", ":x", "dir/[::1]:x", "[::1", "[::1]x",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (sshurl_is_remote(names[i]))
			fail_msg("'%s' is local", names[i]);
}

static void existing_file_is_local(void **state)
{
	char dir[] = "/tmp/sshurl-XXXXXX";
	FILE *f;

	assert_non_null(mkdtemp(dir));
	assert_return_code(chdir(dir), errno);
	assert_true(sshurl_is_remote("host:disk"));
	f = fopen("host:disk", "w");
	assert_non_null(f);
	fclose(f);
	assert_false(sshurl_is_remote("host:disk"));
	assert_return_code(unlink("host:disk"), errno);
	assert_return_code(chdir("/"), errno);
	assert_return_code(rmdir(dir), errno);
}

static const struct {
	const char *name, *user, *host, *path;
	unsigned port;
} good[] = {
	{ "sftp://host/srv/disk.img", NULL, "host", "/srv/disk.img", 0 },
	{ "SFTP://host/disk", NULL, "host", "/disk", 0 },
	{ "sftp://alice@host:2222/srv/disk.img", "alice", "host", "/srv/disk.img", 2222 },
	{ "sftp://host/~/disk.img", NULL, "host", "disk.img", 0 },
	{ "sftp://host/a%20b%3F%25", NULL, "host", "/a b?%", 0 },
	{ "sftp://host/%7E/x", NULL, "host", "/~/x", 0 },
	{ "sftp://[::1]/d", NULL, "::1", "/d", 0 },
	{ "sftp://u@[fe80::1%25eth0]:22/d", "u", "fe80::1%eth0", "/d", 22 },
	{ "sftp://me%40corp@host/d", "me@corp", "host", "/d", 0 },
	{ "sftp://host/a:b@c", NULL, "host", "/a:b@c", 0 },
	{ "sftp://host//d", NULL, "host", "//d", 0 },
	{ "host:disk.img", NULL, "host", "disk.img", 0 },
	{ "host:/srv/disk.img", NULL, "host", "/srv/disk.img", 0 },
	{ "alice@host:a%20b:c", "alice", "host", "a%20b:c", 0 },
	{ "host:~/disk", NULL, "host", "disk", 0 },
	{ "[::1]:/d", NULL, "::1", "/d", 0 },
	{ "u@[::1]:d", "u", "::1", "d", 0 },
};

static void parsed(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sshurl url;
		char why[256] = "";

		assert_true(sshurl_is_remote(good[i].name));
		if (sshurl_parse(good[i].name, &url, why, sizeof(why)))
			fail_msg("%s: %s", good[i].name, why);
		assert_string_equal(url.host, good[i].host);
		assert_string_equal(url.path, good[i].path);
		assert_int_equal(url.port, good[i].port);
		if (good[i].user)
			assert_string_equal(url.user, good[i].user);
		else
			assert_null(url.user);
		sshurl_fini(&url);
	}
}

static void refused(void **state)
{
	static const struct { const char *name, *says; } bad[] = {
		{ "sftp://host", "names no file" },
		{ "sftp://host/", "names no file" },
		{ "sftp://host/dir/", "names no file" },
		{ "sftp://host/~/", "names no file" },
		{ "sftp:///d", "names no host" },
		{ "sftp://user@/d", "names no host" },
		{ "sftp://host:/d", "port" },
		{ "sftp://host:0/d", "port" },
		{ "sftp://host:65536/d", "port" },
		{ "sftp://host:99999999999999999999/d", "port" },
		{ "sftp://host:22x/d", "port" },
		{ "sftp://[::1/d", "']'" },
		{ "sftp://host/a%2", "hexadecimal" },
		{ "sftp://host/a%zz", "hexadecimal" },
		{ "sftp://host/a%00b", "hexadecimal" },
		{ "sftp://user:secret@host/d", "password" },
		{ "sftp://-oProxyCommand=x/d", "not a host" },
		{ "sftp://ho%20st/d", "not a host" },
		{ "sftp://ho%3Bst/d", "not a host" },
		{ "sftp://-l@host/d", "not a user" },
		{ "sftp://a%24(x)@host/d", "not a user" },
		{ "sftp://host/d?x=1", "%3F" },
		{ "sftp://host/d#x", "%23" },
		{ "http://host/d", "only sftp" },
		{ "ssh://host/d", "only sftp" },
		{ "host:", "names no file" },
		{ "host:dir/", "names no file" },
		{ "host:~bob/disk", "written out" },
		{ "-x:disk", "not a host" },
		{ "@host:disk", "not a user" },
		{ "u@:disk", "names no host" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sshurl url;
		char why[256] = "";

		assert_int_equal(sshurl_parse(bad[i].name, &url, why, sizeof(why)), -EINVAL);
		if (!strstr(why, bad[i].says))
			fail_msg("%s: '%s' does not say '%s'", bad[i].name, why, bad[i].says);
		assert_null(strchr(why, '\n'));
	}
}

/* A secret in a URL must not end in a log. */
static void password_is_not_repeated(void **state)
{
	struct sshurl url;
	char why[256] = "";

	assert_int_equal(sshurl_parse("sftp://u:hunter2@host/d", &url, why, sizeof(why)), -EINVAL);
	assert_null(strstr(why, "hunter2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_names),
		cmocka_unit_test(existing_file_is_local),
		cmocka_unit_test(parsed),
		cmocka_unit_test(refused),
		cmocka_unit_test(password_is_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
