/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers mutated at random, TEST_MUTATIONS of them (10000), by TEST_SEED: each loads or is
 * refused with a sentence; what loads is unlocked within small limits, and what unlocks is
 * read. No crash, no hang, no more memory than the limits allow. Run it under
 * --with-sanitizer=address,undefined for more than luck.
 */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "crypto/crypto.h"
#include "luks_fixture.h"

enum {
	MEMORY_MAX_KIB = 400 * 1024,	/* sanitizers' own included */
};

static struct fixture luks1, luks2;
static uint8_t bytes[FIXTURE_SIZE];
static unsigned mutations = 10000, seed, current;
static unsigned loaded, unlocked;

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* ---- mutations ---- */

static void set_random_bytes(uint8_t *at, size_t len)
{
	static const uint8_t interesting[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x20, 0x22 };

	for (unsigned n = 1 + below(4); n; n--)
		at[below((unsigned)len)] = below(2) ? interesting[below(8)] : (uint8_t)rand();
}

/* In LUKS1 mostly the 208 bytes of fields and the slots' numbers, not salts. */
static void mutate_luks1(void)
{
	static const uint16_t fields[] = { 6, 8, 40, 72, 104, 108, 112, 164, 208, 212, 248, 252, 256 };

	if (below(4))
		set_random_bytes(bytes + fields[below(13)], 4);
	else
		set_random_bytes(bytes, sizeof(struct luks1_disk));
}

static const char *const tokens[] = {
	"0", "1", "-1", "31", "32", "4096", "18446744073709551615", "18446744073709551616",
	"9223372036854775807", "4294967295", "1e9", "1.5", "null", "true", "\"\"", "\"0\"", "\"1\"",
	"[]", "{}", "[\"0\"]", "[\"0\",\"31\"]", "\"dynamic\"", "\"crypt\"", "\"linear\"", "\"luks2\"",
	"\"reencrypt\"", "\"argon2i\"", "\"pbkdf2\"", "\"sha256\"", "\"aes-cbc-essiv:sha256\"",
	"\"serpent-xts-plain64\"", "\"cast5-cbc-plain\"", "\"aes-ecb\"", "\"AAAA\"", "\"\\u0000\"",
	"\"raw\"", "\"luks1\"", "\"datashift\"", "{\"0\":{}}", "{\"type\":\"pbkdf2\"}",
};

static size_t json_room(const char *json)
{
	return FIXTURE_HDR - LUKS2_BIN_LEN - strlen(json) - 1;
}

/* A place behind ':', ',' or '[' at random. */
static char *random_value(char *json)
{
	size_t len = strlen(json), from = below((unsigned)len);
	char *at = json + from + strcspn(json + from, ":,[");

	return *at ? at + 1 : json;
}

/* Another value for a member. */
static void replace_value(char *json)
{
	const char *token = tokens[below(sizeof(tokens) / sizeof(tokens[0]))];
	char *at = random_value(json), *rest;
	size_t old = *at == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",]}");

	if (old > strlen(at) || strlen(token) > json_room(json) + old)
		return;
	rest = strdup(at + old);
	strcpy(at, token);
	strcat(at, rest);
	free(rest);
}

static void delete_some(char *json)
{
	char *at = json + below((unsigned)strlen(json));
	size_t len = strlen(at), n = 1 + below(40);

	n = n < len ? n : len;
	memmove(at, at + n, len - n + 1);
}

/* A piece of it once more, elsewhere. */
static void copy_some(char *json)
{
	size_t len = strlen(json), from = below((unsigned)len), to = below((unsigned)len);
	size_t n = 1 + below(300);
	char piece[300];

	n = n < len - from ? n : len - from;
	if (n > json_room(json))
		return;
	memcpy(piece, json + from, n);
	memmove(json + to + n, json + to, len - to + 1);
	memcpy(json + to, piece, n);
}

/* A copy's JSON or binary header, with a right checksum behind it. */
static void mutate_copy(size_t off)
{
	char *json = fixture_json(bytes, off);

	for (unsigned n = 1 + below(3); n && strlen(json) > 2; n--)
		switch (below(6)) {
		case 0: set_random_bytes((uint8_t *)json, strlen(json)); break;
		case 1: delete_some(json); break;
		case 2: copy_some(json); break;
		case 3: set_random_bytes(bytes + off, 512); break;
		default: replace_value(json); break;
		}
	/* The binary header may name another length: the fixture's is summed. */
	if (below(8))
		fixture_sum(bytes, off);
}

static void mutate_luks2(void)
{
	if (below(8) == 0) {
		set_random_bytes(bytes, 2 * FIXTURE_HDR);
		return;
	}
	mutate_copy(0);
	if (below(2))
		mutate_copy(FIXTURE_HDR);
	else
		memset(bytes + FIXTURE_HDR, 0, 512);
}

/* ---- judging ---- */

static void use(const struct luks *luks, struct luks_key *key, struct blkdev **dev, char *why)
{
	uint8_t buf[8192];
	uint64_t size;
	int err = luks_device_new(luks, key, *dev, 0, dev, why, LUKS_WHY_LEN);

	if (err) {
		luks_key_free(key);
		return;
	}
	unlocked++;
	size = blkdev_size(*dev);
	assert_true(size > 0 && size <= FIXTURE_SIZE);
	assert_int_equal(blkdev_read(*dev, buf, size < sizeof(buf) ? size : sizeof(buf), 0), 0);
	assert_int_equal(blkdev_write(*dev, buf, 1, size - 1), 0);
}

static void judge(size_t len)
{
	const struct luks_limits limits = fixture_limits();
	struct blkdev *dev = fixture_dev(bytes, len);
	char why[LUKS_WHY_LEN] = "";
	struct luks_key *key = NULL;
	struct luks *luks = NULL;
	struct luks_probe found;
	int err;

	assert_int_equal(luks_probe(dev, &found), 0);
	err = luks_load(dev, NULL, &limits, &luks, why, sizeof(why));
	if (err) {
		assert_true(err == -EINVAL || err == -EUCLEAN || err == -EOPNOTSUPP);
		assert_string_not_equal(why, "");
	} else {
		loaded++;
		err = luks_unlock(luks, dev, FIXTURE_PASS, 4, below(4) ? LUKS_ANY_KEYSLOT : 0, NULL,
				  &key, why, sizeof(why));
		if (err == -EKEYREJECTED)
			assert_null(key);
		else if (err)
			assert_string_not_equal(why, "");
		else
			use(luks, key, &dev, why);
	}
	luks_free(luks);
	blkdev_close(dev);
}

static void mutations_are_errors_or_serve(void **state)
{
	struct rusage usage;

	for (current = 0; current < mutations; current++) {
		bool first = below(4) == 0;

		srand(seed + current);
		memcpy(bytes, first ? luks1.bytes : luks2.bytes, sizeof(bytes));
		if (first)
			mutate_luks1();
		else
			mutate_luks2();
		judge(below(16) ? FIXTURE_SIZE : 1 + below(FIXTURE_SIZE));
	}
	getrusage(RUSAGE_SELF, &usage);
	print_message("%u mutations: %u loaded, %u unlocked, %ld KiB at most\n", mutations, loaded,
		      unlocked, usage.ru_maxrss);
	assert_true(loaded > mutations / 20 && loaded < mutations);
	assert_true(usage.ru_maxrss < MEMORY_MAX_KIB);
}

/* Text that costs a parser a hundred times its size is refused before it is parsed. */
static void dense_json_is_bounded(void **state)
{
	static const char *const dense[] = { "[],", "{},", "\"\":{},", "0,", "[" };
	const size_t hdr = LUKS2_HDR_MAX, room = hdr - LUKS2_BIN_LEN;
	struct rusage before, after;
	uint8_t *big = calloc(1, 2 * hdr);

	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < sizeof(dense) / sizeof(dense[0]); i++) {
		struct luks2_disk *d = (struct luks2_disk *)big;
		char *json = (char *)big + LUKS2_BIN_LEN;
		struct iovec all = { big, hdr };
		struct blkdev *dev;
		struct luks *luks;
		struct hash *hash;
		char why[LUKS_WHY_LEN];
		size_t n = strlen(dense[i]);

		memcpy(big, luks2.bytes, LUKS2_BIN_LEN);
		d->hdr_len_be64 = htobe64(hdr);
		memset(d->csum, 0, sizeof(d->csum));
		strcpy(json, "{\"x\":[");
		for (size_t at = 6; at + n < room; at += n)
			memcpy(json + at, dense[i], n);
		assert_int_equal(hash_new(hash_find("sha256"), &hash), 0);
		hash_compute(hash, &all, 1, d->csum);
		hash_free(hash);
		dev = fixture_dev(big, 2 * hdr);
		assert_int_equal(luks_load(dev, NULL, NULL, &luks, why, sizeof(why)), -EUCLEAN);
		assert_non_null(strstr(why, "JSON"));
		blkdev_close(dev);
	}
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
	free(big);
}

static int start(void **state)
{
	const char *given = getenv("TEST_SEED"), *count = getenv("TEST_MUTATIONS");
	char why[LUKS_WHY_LEN];

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	mutations = count ? (unsigned)strtoul(count, NULL, 10) : mutations;
	print_message("TEST_SEED=%u\n", seed);
	if (fixture_make(&luks1, FIXTURE_LUKS1) || fixture_make(&luks2, FIXTURE_LUKS2)) {
		fprintf(stderr, "skipped: cryptsetup makes no containers here\n");
		exit(77);
	}
	return crypto_init(why, sizeof(why));
}

/* A failure says which mutation it was. */
static int finish(void **state)
{
	if (current < mutations)
		print_error("TEST_SEED=%u TEST_MUTATIONS=1 shows mutation %u alone\n", seed + current,
			    current);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dense_json_is_bounded),
		cmocka_unit_test(mutations_are_errors_or_serve),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
