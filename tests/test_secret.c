/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Secret memory and libgcrypt's start: crypto/secret.c, crypto/crypto.c. */
#include <errno.h>
#include <gcrypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/secret.h"

/* The flags the kernel has for the mapping of addr ("dd" not dumped, "lo" locked). */
static bool has_flag(const void *addr, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], *at;
	bool inside = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo, hi;

		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			inside = (uintptr_t)addr >= lo && (uintptr_t)addr < hi;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			found = (at = strstr(line, flag)) && at[-1] == ' ';
	}
	fclose(f);
	return found;
}

static void a_piece_is_zeroed_locked_and_not_dumped(void **state)
{
	char *p = secret_new(100), zeros[100] = { 0 };

	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_int_equal(secret_len(p), 100);
	assert_memory_equal(p, zeros, 100);
	assert_true(has_flag(p, "dd"));
	assert_int_equal(has_flag(p, "lo"), secret_is_locked(p));
	memset(p, 0xaa, 100);
	secret_free(p);
	secret_free(NULL);
	assert_null(secret_new(0));
	assert_null(secret_new(SIZE_MAX));
	assert_null(secret_new(SIZE_MAX / 2));
}

static void big_pieces_are_locked_as_touched(void **state)
{
	char *p = secret_new(6 * 1024 * 1024);

	assert_non_null(p);
	p[5 * 1024 * 1024] = 1;
	assert_int_equal(secret_lockable(6 * 1024 * 1024), secret_is_locked(p));
	assert_false(secret_lockable(SIZE_MAX / 2));
	assert_int_equal(has_flag(p, "lo"), secret_is_locked(p));
	secret_free(p);
}

/* In a child, because the limit cannot be had back without privilege. */
static void without_the_right_to_lock_memory_is_given_and_says_so(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		char *p;

		if (setrlimit(RLIMIT_MEMLOCK, &none) || (geteuid() == 0 && setuid(65534)))
			_exit(2);
		p = secret_new(100);
		_exit(!p || secret_is_locked(p) || secret_lockable(100));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void comparison_sees_every_byte(void **state)
{
	unsigned char a[33] = { 0 }, b[33] = { 0 };

	assert_true(secret_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] = 1;
		assert_false(secret_equal(a, b, sizeof(a)));
		b[i] = 0;
	}
	memset(a, 1, sizeof(a));
	secret_wipe(a, sizeof(a));
	assert_true(secret_equal(a, b, sizeof(a)));
}

static void libgcrypt_takes_its_memory_from_us(void **state)
{
	char why[256] = "";
	char *p, *big;

	assert_int_equal(crypto_init(why, sizeof(why)), 0);
	assert_int_equal(crypto_init(why, sizeof(why)), 0);
	p = gcry_malloc_secure(1000);
	assert_true(has_flag(p, "dd"));
	memset(p, 7, 1000);
	p = gcry_realloc(p, 100000);
	assert_non_null(p);
	assert_true(has_flag(p, "dd"));
	assert_int_equal(p[999], 7);
	gcry_free(p);
	big = gcry_malloc(2 * 1024 * 1024);
	assert_true(has_flag(big, "dd"));
	gcry_free(big);
	assert_null(gcry_malloc(SIZE_MAX));
}

/* libgcrypt brought up by somebody else has a small pool of its own: many threads' ciphers fit. */
static int many_ciphers_after_another_library(void)
{
	static const uint8_t key[64] = { 1, 2, 3 };
	struct cipher_spec spec;
	struct cipher *c[200];
	char why[256];

	if (!gcry_check_version(NULL) || crypto_init(why, sizeof(why)) ||
	    cipher_find("aes-xts-plain64", sizeof(key), &spec, why, sizeof(why)))
		return 2;
	for (size_t i = 0; i < 200; i++)
		if (cipher_new(&spec, key, &c[i]))
			return 3;
	for (size_t i = 0; i < 200; i++)
		cipher_free(c[i]);
	return 0;
}

static void another_library_may_have_been_first(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(many_ciphers_after_another_library());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void errors_are_translated(void **state)
{
	assert_int_equal(crypto_errno(0), 0);
	assert_int_equal(crypto_errno(gcry_error(GPG_ERR_ENOMEM)), -ENOMEM);
	assert_int_equal(crypto_errno(gcry_error(GPG_ERR_CIPHER_ALGO)), -EOPNOTSUPP);
	assert_int_equal(crypto_errno(gcry_error(GPG_ERR_INV_KEYLEN)), -EINVAL);
	assert_int_equal(crypto_errno(gcry_error(GPG_ERR_ETIMEDOUT)), -ETIMEDOUT);
	assert_int_equal(crypto_errno(gcry_error(GPG_ERR_BUG)), -EIO);
	assert_true(crypto_version_at_least(1, 10, 1));
	assert_false(crypto_version_at_least(9, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_piece_is_zeroed_locked_and_not_dumped),
		cmocka_unit_test(big_pieces_are_locked_as_touched),
		cmocka_unit_test(without_the_right_to_lock_memory_is_given_and_says_so),
		cmocka_unit_test(comparison_sees_every_byte),
		cmocka_unit_test(another_library_may_have_been_first),
		cmocka_unit_test(libgcrypt_takes_its_memory_from_us),
		cmocka_unit_test(errors_are_translated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
