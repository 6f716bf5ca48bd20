/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Known answers for ciphers, modes, IVs, key derivation, the AF splitter and base64, each with
 * its source. "Python" means computed with hashlib and python-cryptography (OpenSSL).
 *
 * A published answer for one block or for CBC with any IV becomes one for a sector: in
 * cbc-plain sector 0 has IV 0, so the first plain text block takes the place of the IV.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/af.h"
#include "crypto/base64.h"
#include "crypto/cipher.h"
#include "crypto/cipher_int.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/kdf_memory.h"
#include "crypto/luks.h"
#include "crypto_vectors.h"

enum { SECTOR = 512, LEN_MAX = 8192 };

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

static struct cipher *new_cipher(const char *name, const char *key_hex)
{
	uint8_t key[CIPHER_KEY_MAX * 2];
	char why[LUKS_WHY_LEN] = "";
	struct cipher_spec spec;
	struct cipher *c = NULL;

	if (cipher_find(name, from_hex(key_hex, key), &spec, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(cipher_new(&spec, key, &c), 0);
	return c;
}

/* ---- ciphers and modes ---- */

static const struct {
	const char *cipher, *key, *plain, *crypted;
	uint64_t sector;
} sector_answers[] = {
	/* NIST SP 800-38A, F.2.1 and F.2.5 CBC-AES; IV xor first block is the plain text. */
	{ "aes-cbc-plain", "2b7e151628aed2a6abf7158809cf4f3c",
	  "6bc0bce12a459991e134741a7f9e1925" "ae2d8a571e03ac9c9eb76fac45af8e51",
	  "7649abac8119b246cee98e9b12e9197d" "5086cb9b507219ee95db113a917678b2", 0 },
	{ "aes-cbc-plain64", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
	  "6bc0bce12a459991e134741a7f9e1925" "ae2d8a571e03ac9c9eb76fac45af8e51",
	  "f58c4c04d6e5f1ba779eabfb5f7bfbd6" "9cfc4e967edb808d679f777bc6702c7d", 0 },
	/* FIPS 197, C.2: AES-192. */
	{ "aes-cbc-plain", "000102030405060708090a0b0c0d0e0f1011121314151617",
	  "00112233445566778899aabbccddeeff", "dda97ca4864cdfe06eaf70a0ec0d7191", 0 },
	/* RFC 3713, appendix A: Camellia with 128, 192 and 256 bits. */
	{ "camellia-cbc-plain", "0123456789abcdeffedcba9876543210",
	  "0123456789abcdeffedcba9876543210", "67673138549669730857065648eabe43", 0 },
	{ "camellia-cbc-plain64", "0123456789abcdeffedcba98765432100011223344556677",
	  "0123456789abcdeffedcba9876543210", "b4993401b3e996f84ee5cee7d79b09b9", 0 },
	{ "camellia-cbc-plain64",
	  "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff",
	  "0123456789abcdeffedcba9876543210", "9acc237dff16d76c20ef7c919e3a7509", 0 },
	/* RFC 2144, appendix B.1: CAST-128 with 128 bits. */
	{ "cast5-cbc-plain", "0123456712345678234567893456789a", "0123456789abcdef",
	  "238b4fe5847e44b2", 0 },
	/* Serpent's authors, verified test vectors, set 1 vector 0 of each key length. */
	{ "serpent-cbc-plain", "80000000000000000000000000000000",
	  "00000000000000000000000000000000", "264e5481eff42a4606abda06c0bfda3d", 0 },
	{ "serpent-cbc-plain", "800000000000000000000000000000000000000000000000",
	  "00000000000000000000000000000000", "9e274ead9b737bb21efcfca548602689", 0 },
	{ "serpent-cbc-plain64",
	  "8000000000000000000000000000000000000000000000000000000000000000",
	  "00000000000000000000000000000000", "a223aa1288463c0e2be38ebd825616c0", 0 },
	/* Twofish paper (Schneier et al., 1998), ECB known answers, 128 and 256 bits. */
	{ "twofish-cbc-plain", "00000000000000000000000000000000",
	  "00000000000000000000000000000000", "9f589f5cf6122c32b6bfec2f2ae8c35a", 0 },
	{ "twofish-cbc-plain64",
	  "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff",
	  "00000000000000000000000000000000", "37527be0052334b89f0cfccae87cfa20", 0 },
	/* linux crypto/testmgr.h: the first of serpent_xts, twofish_xts and camellia_xts. */
	{ "serpent-xts-plain64",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "e108b81d2cf53364c81204c7b370e8c46a31c5f300cab916dee27766f7fe6208", 0 },
	{ "twofish-xts-plain64",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "4bc9444a11a3efac3074e44452779743a760b2452ef900909faafd896e9d4ae0", 0 },
	{ "camellia-xts-plain64",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "06cba5f10463b241dccafa09ba74b90578baa4f8674d7ead2018f50c41162a61", 0 },
	/* IEEE 1619-2007, vector 2: data unit 0x3333333333. */
	{ "aes-xts-plain64",
	  "1111111111111111111111111111111122222222222222222222222222222222",
	  "4444444444444444444444444444444444444444444444444444444444444444",
	  "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0",
	  0x3333333333 },
};

static void published_blocks_come_out_of_sectors(void **state)
{
	for (size_t i = 0; i < sizeof(sector_answers) / sizeof(sector_answers[0]); i++) {
		uint8_t plain[SECTOR] = { 0 }, want[SECTOR], got[SECTOR];
		struct cipher *c = new_cipher(sector_answers[i].cipher, sector_answers[i].key);
		size_t n = from_hex(sector_answers[i].crypted, want);

		print_message("%s\n", sector_answers[i].cipher);
		from_hex(sector_answers[i].plain, plain);
		assert_int_equal(cipher_encrypt(c, got, plain, SECTOR, sector_answers[i].sector,
						SECTOR), 0);
		assert_memory_equal(got, want, n);
		assert_int_equal(cipher_decrypt(c, got, got, SECTOR, sector_answers[i].sector,
						SECTOR), 0);
		assert_memory_equal(got, plain, SECTOR);
		cipher_free(c);
	}
}

static const struct {
	const char *key, *crypted;
	uint64_t sector;
} ieee[] = {
	{ "2718281828459045235360287471352631415926535897932384626433832795", ieee1619_4, 0 },
	{ "2718281828459045235360287471352662497757247093699959574966967627"
	  "3141592653589793238462643383279502884197169399375105820974944592", ieee1619_10, 0xff },
	{ "2718281828459045235360287471352662497757247093699959574966967627"
	  "3141592653589793238462643383279502884197169399375105820974944592", ieee1619_11, 0xffff },
};

static void ieee_data_units_of_512_bytes(void **state)
{
	uint8_t plain[SECTOR], want[SECTOR], got[SECTOR];

	for (int i = 0; i < SECTOR; i++)
		plain[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(ieee) / sizeof(ieee[0]); i++) {
		struct cipher *c = new_cipher("aes-xts-plain64", ieee[i].key);

		assert_int_equal(from_hex(ieee[i].crypted, want), SECTOR);
		assert_int_equal(cipher_encrypt(c, got, plain, SECTOR, ieee[i].sector, SECTOR), 0);
		assert_memory_equal(got, want, SECTOR);
		cipher_free(c);
	}
}

/* ---- runs ---- */

static const char *const all_modes[] = {
	"aes-xts-plain64", "aes-xts-plain", "aes-cbc-essiv:sha256", "aes-cbc-plain64",
	"aes-cbc-plain", "twofish-cbc-essiv:sha256", "serpent-xts-plain64", "aes-xts-essiv:sha256",
	"aes-xts-plain64be", "aes-cbc-benbi",
};

static const char key64[] =
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/* A run is its sectors one by one, wherever the numbers wrap. */
static void a_run_equals_its_sectors(void **state)
{
	static const uint64_t starts[] = { 0, 7, UINT32_MAX - 2, UINT32_MAX, UINT64_MAX - 6 };
	static uint8_t plain[LEN_MAX * 4], run[LEN_MAX * 4], one[LEN_MAX * 4];

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t m = 0; m < sizeof(all_modes) / sizeof(all_modes[0]); m++)
		for (size_t s = 0; s < 5; s++)
			for (size_t len = 512; len <= 4096; len *= 2) {
				struct cipher *c = new_cipher(all_modes[m], strstr(all_modes[m], "xts") ?
							      key64 : key64 + 64);

				assert_int_equal(cipher_encrypt(c, run, plain, sizeof(run), starts[s],
								len), 0);
				for (size_t off = 0; off < sizeof(one); off += len)
					assert_int_equal(cipher_encrypt(c, one + off, plain + off, len,
							 starts[s] + off / 512, len), 0);
				assert_memory_equal(run, one, sizeof(run));
				assert_int_equal(cipher_decrypt(c, run, run, sizeof(run), starts[s],
								len), 0);
				assert_memory_equal(run, plain, sizeof(run));
				cipher_free(c);
			}
}

/* ---- IVs ---- */

static const struct {
	const char *cipher, *iv;
	uint64_t sector;
} iv_answers[] = {
	/* dm-crypt.rst: little endian, the low 32 bits or 64 bits of the number. */
	{ "aes-cbc-plain", "efcdab89000000000000000000000000", 0x0123456789abcdef },
	{ "aes-cbc-plain64", "efcdab89674523010000000000000000", 0x0123456789abcdef },
	{ "aes-xts-plain", "efcdab89000000000000000000000000", 0x0123456789abcdef },
	{ "aes-xts-plain64", "efcdab89674523010000000000000000", 0x0123456789abcdef },
	/* dm-crypt.c: big endian in the last 8 bytes; benbi counts 32 blocks of 16 bytes per sector,
	 * 64 of 8 bytes, from 1. */
	{ "aes-cbc-plain64be", "00000000000000000123456789abcdef", 0x0123456789abcdef },
	{ "aes-xts-plain64be", "00000000000000000123456789abcdef", 0x0123456789abcdef },
	{ "aes-cbc-benbi", "000000000000000000002468acf13561", 0x123456789ab },
	{ "aes-xts-benbi", "00000000000000000000000000000021", 1 },
	/* Python: AES-256 under SHA-256 of the key 00 01 .. 1f, of the plain64 IV. */
	{ "aes-cbc-essiv:sha256", "a73d5fb0e4041090ca6dc1b820cdaf51", 0 },
	{ "aes-cbc-essiv:sha256", "59a0803f448bdf6d3d3de63feaccd58a", 1 },
	{ "aes-cbc-essiv:sha256", "4cbb28cd1e959d7dbe7bfad62f130a02", 0x123456789abcdef },
};

static void ivs_follow_their_rules(void **state)
{
	for (size_t i = 0; i < sizeof(iv_answers) / sizeof(iv_answers[0]); i++) {
		bool xts = strstr(iv_answers[i].cipher, "xts");
		char key[sizeof(key64)];
		uint8_t want[16], got[3 * 16];
		struct cipher *c;

		snprintf(key, sizeof(key), "%.*s", xts ? 128 : 64, key64);
		c = new_cipher(iv_answers[i].cipher, key);
		from_hex(iv_answers[i].iv, want);
		/* The third of three, 8 numbers apart. */
		assert_int_equal(cipher_ivs(c, iv_answers[i].sector - 16, 8, 3, got), 0);
		assert_memory_equal(got + 32, want, 16);
		cipher_free(c);
	}
}

static void what_is_not_served_is_refused_by_name(void **state)
{
	static const struct {
		const char *cipher;
		size_t key_len;
	} refused[] = {
		{ "aes-ecb", 32 }, { "aes", 32 }, { "", 32 }, { "-", 32 }, { "aes-", 32 },
		{ "aes-cbc-essiv:", 32 }, { "aes-cbc-essiv:nohash", 32 },
		{ "aes-cbc-essiv:sha1", 32 }, { "aes-lrw-benbi", 48 }, { "aes-xts-plain64", 33 },
		{ "aes-xts-plain64", 128 }, { "aes-xts-plain64", 0 }, { "aes-xts-plain64", 16 },
		{ "cipher_null-ecb", 16 }, { "capi:xts(aes)-plain64", 64 }, { "des3_ede-cbc-plain", 24 },
		{ "cast5-xts-plain64", 32 }, { "twofish-cbc-plain", 24 }, { "aes-cbc-eboiv", 32 },
		{ "aes-cbc-null", 32 }, { "aes-ctr-plain64", 32 }, { "aes-xts-essiv:nohash", 64 },
		{ "xchacha12,aes-adiantum-plain64", 32 }, { "AES-xts-plain64", 64 },
		{ "aes-xts-random", 64 }, { "aesx-xts-plain64", 64 },
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char why[LUKS_WHY_LEN] = "";
		struct cipher_spec spec;

		assert_int_equal(cipher_find(refused[i].cipher, refused[i].key_len, &spec, why,
					     sizeof(why)), -EOPNOTSUPP);
		assert_non_null(strstr(why, refused[i].cipher));
	}
}

/* ---- key derivation ---- */

static const struct {
	const char *hash, *pass, *salt, *key;
	size_t pass_len, salt_len;
	uint64_t iterations;
} pbkdf2_answers[] = {
	/* RFC 6070. */
	{ "sha1", "password", "salt", "4b007901b765489abead49d926f721d065a429c1", 8, 4, 4096 },
	{ "sha1", "pass\0word", "sa\0lt", "56fa6aa75548099dcc37d7f03425e0c3", 9, 5, 4096 },
	/* RFC 7914, section 11. */
	{ "sha256", "passwd", "salt",
	  "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
	  "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783", 6, 4, 1 },
	/* Python: an empty passphrase. */
	{ "sha256", "", "salt", "4c9d748ae0f9043b42a414cc80500da37a3ed69977ca443c31516f585f6449c5",
	  0, 4, 10 },
};

static void pbkdf2_answers_match(void **state)
{
	for (size_t i = 0; i < sizeof(pbkdf2_answers) / sizeof(pbkdf2_answers[0]); i++) {
		struct kdf kdf = {
			.type = KDF_PBKDF2,
			.hash = hash_find(pbkdf2_answers[i].hash),
			.iterations = pbkdf2_answers[i].iterations,
			.salt_len = pbkdf2_answers[i].salt_len,
		};
		uint8_t want[KDF_OUT_MAX], got[KDF_OUT_MAX];
		size_t n = from_hex(pbkdf2_answers[i].key, want);

		memcpy(kdf.salt, pbkdf2_answers[i].salt, kdf.salt_len);
		assert_int_equal(kdf_derive(&kdf, pbkdf2_answers[i].pass, pbkdf2_answers[i].pass_len,
					    got, n), 0);
		assert_memory_equal(got, want, n);
	}
}

/* The reference implementation's test.c, version 0x13, salt "somesalt", passphrase "password". */
static const struct {
	enum kdf_type type;
	uint64_t passes, memory_kib;
	uint32_t lanes;
	const char *key;
} argon2_answers[] = {
	{ KDF_ARGON2I, 2, 256, 1,
	  "89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f" },
	{ KDF_ARGON2I, 2, 256, 2,
	  "4ff5ce2769a1d7f4c8a491df09d41a9fbe90e5eb02155a13e4c01e20cd4eab61" },
	{ KDF_ARGON2ID, 2, 256, 1,
	  "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe" },
	{ KDF_ARGON2ID, 2, 256, 2,
	  "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037" },
	{ KDF_ARGON2ID, 4, 65536, 1,
	  "9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c" },
};

static void argon2_answers_match(void **state)
{
	for (size_t i = 0; i < sizeof(argon2_answers) / sizeof(argon2_answers[0]); i++) {
		struct kdf kdf = {
			.type = argon2_answers[i].type,
			.iterations = argon2_answers[i].passes,
			.memory_kib = argon2_answers[i].memory_kib,
			.lanes = argon2_answers[i].lanes,
			.salt = "somesalt",
			.salt_len = 8,
		};
		uint8_t want[32], got[32];

		from_hex(argon2_answers[i].key, want);
		assert_int_equal(kdf_derive(&kdf, "password", 8, got, 32), 0);
		assert_memory_equal(got, want, 32);
	}
}

static void costs_are_compared_with_limits(void **state)
{
	const struct luks_limits limits = luks_default_limits();
	const struct kdf good = { .type = KDF_ARGON2ID, .iterations = 4, .memory_kib = 65536,
				  .lanes = 4, .salt_len = 32 };
	struct kdf kdf = good;
	char why[LUKS_WHY_LEN];

	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), 0);
	assert_int_equal(kdf_check(&kdf, &limits, 65, why, sizeof(why)), -EINVAL);
	assert_int_equal(kdf_check(&kdf, &limits, 0, why, sizeof(why)), -EINVAL);
	kdf.memory_kib = limits.kdf_memory_kib + 1;
	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -E2BIG);
	kdf.memory_kib = limits.kdf_memory_kib;
	if (!crypto_version_at_least(1, 11, 1)) {
		assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -EOPNOTSUPP);
		assert_non_null(strstr(why, "1.11.1"));
	}
	kdf = good;
	kdf.iterations = limits.argon2_cost_kib / kdf.memory_kib + 1;
	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -E2BIG);
	kdf.iterations = 0;
	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -EINVAL);
	kdf = good;
	kdf.lanes = limits.kdf_lanes + 1;
	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -E2BIG);
	kdf.memory_kib = 31;
	assert_int_equal(kdf_check(&kdf, &limits, 64, why, sizeof(why)), -EINVAL);
	kdf = (struct kdf){ .type = KDF_PBKDF2, .hash = hash_find("sha1"), .salt_len = 32,
			    .iterations = limits.pbkdf2_iterations / 2 };
	assert_int_equal(kdf_check(&kdf, &limits, 40, why, sizeof(why)), 0);
	assert_int_equal(kdf_check(&kdf, &limits, 41, why, sizeof(why)), -E2BIG);
	kdf.iterations = 0;
	assert_int_equal(kdf_check(&kdf, &limits, 20, why, sizeof(why)), -EINVAL);
}

/* ---- memory that is left ---- */

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void memory_is_bounded_by_machine_and_groups(void **state)
{
	char dir[] = "/tmp/f4t-memory-XXXXXX", inner[64], meminfo[64], cgroup[64], rm[64];

	assert_non_null(mkdtemp(dir));
	snprintf(inner, sizeof(inner), "%s/inner", dir);
	snprintf(meminfo, sizeof(meminfo), "%s/meminfo", dir);
	snprintf(cgroup, sizeof(cgroup), "%s/cgroup", dir);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_true(kdf_memory_from(meminfo, cgroup, dir) == UINT64_MAX);
	put_file(dir, "meminfo", "MemTotal: 9999 kB\nMemAvailable:    5000 kB\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 5000);
	put_file(dir, "cgroup", "4:memory:/other\n0::/inner\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 5000);
	put_file(inner, "memory.max", "max\n");
	put_file(inner, "memory.current", "1024\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 5000);
	put_file(inner, "memory.max", "4096000\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 3999);
	put_file(dir, "memory.max", "2048000\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 2000);
	put_file(inner, "memory.current", "99999999\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 0);
	/* The cache of what has been read and written fills every group, and gives way. */
	put_file(inner, "memory.stat", "anon 1024\ninactive_anon 512\nactive_anon 512\n"
		 "inactive_file 99990000\nactive_file 8000\nslab_reclaimable 975\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 2000);
	put_file(dir, "memory.max", "max\n");
	assert_int_equal(kdf_memory_from(meminfo, cgroup, dir), 3999);
	assert_true(kdf_memory_available() > 0);
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	assert_int_equal(system(rm), 0);
}

/* ---- AF, hashes, base64 ---- */

/* Python: the formula of the LUKS1 specification on the bytes i * 7 + 1. */
static const struct {
	const char *hash, *key;
	uint32_t stripes;
} af_answers[] = {
	{ "sha1", "9a4cec742bd69d9a6ef2e9d97a327bf2", 2 },
	{ "sha256", "011cd6714cb34c2bb70ea9f42e66b8edc1966fb1e155acdefe1bab2d0b6bd8b9"
		    "22a6900dafe56be75d2e540bf2c4a8fe6809c6542bf36c24c7f58c33c784d333", 4 },
	{ "sha512", "76da8cda7ad16b1990435c1147158d290a3a0af858f0a1e9e4e0043d28a5e6cd"
		    "ec4930de3f6323f6dc69ead131e3347c", 3 },
};

static void af_stripes_merge(void **state)
{
	uint8_t split[256], want[64], got[64];

	for (size_t i = 0; i < sizeof(split); i++)
		split[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(af_answers) / sizeof(af_answers[0]); i++) {
		size_t n = from_hex(af_answers[i].key, want);

		assert_int_equal(af_merge(split, n, af_answers[i].stripes,
					  hash_find(af_answers[i].hash), got), 0);
		assert_memory_equal(got, want, n);
	}
	assert_int_equal(af_merge(split, 64, 1, hash_find("sha256"), got), 0);
	assert_memory_equal(got, split, 64);
}

static void hashes_have_their_names(void **state)
{
	static const char *const good[] = { "sha1", "sha224", "sha256", "sha384", "sha512",
		"ripemd160", "whirlpool", "sha3-224", "sha3-256", "sha3-384", "sha3-512", "sm3",
		"blake2b-160", "blake2b-256", "blake2b-384", "blake2b-512", "blake2s-160",
		"blake2s-224", "blake2s-256", "stribog256", "stribog512" };
	static const char *const bad[] = { "", "crc32", "sha", "shake128", "nohash", "sha256 " };
	/* FIPS 180-4 example "abc", in two pieces. */
	const struct iovec abc[] = { { (void *)"ab", 2 }, { (void *)"c", 1 } };
	uint8_t want[32], got[32];
	struct hash *h;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(hash_find(good[i]) > 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hash_find(bad[i]), -EOPNOTSUPP);
	from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want);
	assert_int_equal(hash_new(hash_find("sha256"), &h), 0);
	hash_compute(h, abc, 2, got);
	hash_compute(h, abc, 2, got);
	assert_memory_equal(got, want, 32);
	hash_free(h);
}

/* RFC 4648, section 10; then what is not canonical. */
static void base64_is_strict(void **state)
{
	static const struct {
		const char *text, *bytes;
	} good[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" },
		     { "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" }, { "Zm9vYmFy", "foobar" } };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9v",
		"Zg==Zg==", "====", "=m9v", "Z=9v", "Zm=v", "Zm9-", "Zm9_", "\xff\xff\xff\xff" };
	uint8_t out[8];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t n = strlen(good[i].bytes);

		assert_int_equal(base64_decode(good[i].text, strlen(good[i].text), out, 8), n);
		assert_memory_equal(out, good[i].bytes, n);
		if (n)
			assert_int_equal(base64_decode(good[i].text, strlen(good[i].text), out,
						       n - 1), -E2BIG);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), out, 8), -EINVAL);
}

static int start(void **state)
{
	char why[LUKS_WHY_LEN];

	return crypto_init(why, sizeof(why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_blocks_come_out_of_sectors),
		cmocka_unit_test(ieee_data_units_of_512_bytes),
		cmocka_unit_test(a_run_equals_its_sectors),
		cmocka_unit_test(ivs_follow_their_rules),
		cmocka_unit_test(what_is_not_served_is_refused_by_name),
		cmocka_unit_test(pbkdf2_answers_match),
		cmocka_unit_test(argon2_answers_match),
		cmocka_unit_test(costs_are_compared_with_limits),
		cmocka_unit_test(memory_is_bounded_by_machine_and_groups),
		cmocka_unit_test(af_stripes_merge),
		cmocka_unit_test(hashes_have_their_names),
		cmocka_unit_test(base64_is_strict),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
