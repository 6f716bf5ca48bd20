/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of crypto/luks*.c: what serves, what is refused, by which name, and which copy. */
#include <endian.h>
#include <errno.h>

#include "crypto/crypto.h"
#include "luks_fixture.h"

enum {
	COPY = FIXTURE_SIZE,
	UNUSED = 480,		/* .. 511: of the checksum's field what sha256 leaves over */
};

static struct fixture luks1, luks2;
static uint8_t bytes[COPY];
static char why[LUKS_WHY_LEN];

static void take(const struct fixture *f)
{
	memcpy(bytes, f->bytes, COPY);
}

static int load(size_t len, struct luks **ret)
{
	struct blkdev *dev = fixture_dev(bytes, len);
	const struct luks_limits limits = fixture_limits();
	int err;

	*ret = NULL;
	strcpy(why, "");
	err = luks_load(dev, NULL, &limits, ret, why, sizeof(why));
	assert_int_equal(blkdev_close(dev), 0);
	return err;
}

/* Loads what is in bytes and unlocks it. */
static int unlock(const char *pass, int keyslot, int *ret_slot)
{
	struct luks_key *key = NULL;
	struct blkdev *dev;
	struct luks *luks;
	int err = load(COPY, &luks);

	if (err)
		return err;
	dev = fixture_dev(bytes, COPY);
	err = luks_unlock(luks, dev, pass, strlen(pass), keyslot, NULL, &key, why, sizeof(why));
	if (!err && ret_slot)
		*ret_slot = luks_key_slot(key);
	if (!err) {
		assert_int_equal(luks_device_new(luks, key, dev, 0, &dev, why, sizeof(why)), 0);
		assert_int_equal(blkdev_size(dev), luks_describe(luks)->data_len);
	}
	luks_free(luks);
	blkdev_close(dev);
	return err;
}

static void both_versions_are_described(void **state)
{
	const struct luks_info *info;
	struct luks *luks;

	take(&luks1);
	assert_int_equal(load(COPY, &luks), 0);
	info = luks_describe(luks);
	assert_int_equal(info->version, 1);
	assert_string_equal(info->cipher, "aes-cbc-essiv:sha256");
	assert_string_equal(info->hash, "sha256");
	assert_int_equal(info->key_bits, 128);
	assert_int_equal(info->data_off, 2048 * 512);
	assert_int_equal(info->data_len, COPY - 2048 * 512);
	assert_int_equal(info->nkeyslots, 1);
	assert_int_equal(strlen(info->uuid), 36);
	luks_free(luks);
	take(&luks2);
	assert_int_equal(load(COPY, &luks), 0);
	info = luks_describe(luks);
	assert_int_equal(info->version, 2);
	assert_int_equal(info->header_len, FIXTURE_HDR);
	assert_string_equal(info->cipher, "aes-xts-plain64");
	assert_string_equal(info->keyslots[0].kdf, "argon2id");
	assert_int_equal(info->keyslots[0].memory_kib, 32);
	assert_int_equal(info->keyslots[0].iterations, 4);
	assert_int_equal(info->keyslots[0].af_stripes, 4000);
	assert_true(info->keyslots[0].opens_segment);
	assert_string_equal(info->copy_damage, "");
	assert_false(info->copies_differ);
	luks_free(luks);
}

static void the_right_passphrase_opens(void **state)
{
	int slot = -1;

	for (int v = 1; v <= 2; v++) {
		take(v == 1 ? &luks1 : &luks2);
		assert_int_equal(unlock(FIXTURE_PASS, LUKS_ANY_KEYSLOT, &slot), 0);
		assert_int_equal(slot, 0);
		assert_int_equal(unlock(FIXTURE_PASS, 0, &slot), 0);
		assert_int_equal(unlock("Pass", LUKS_ANY_KEYSLOT, NULL), -EKEYREJECTED);
		assert_int_equal(unlock(FIXTURE_PASS, 1, NULL), -ENOKEY);
		assert_non_null(strstr(why, "keyslot 1"));
		assert_int_equal(unlock(FIXTURE_PASS, 99, NULL), -ENOKEY);
	}
	/* Argon2 of libgcrypt before 1.11 cannot; PBKDF2 can and says no. */
	take(&luks1);
	assert_int_equal(unlock("", LUKS_ANY_KEYSLOT, NULL), -EKEYREJECTED);
	take(&luks2);
	assert_int_equal(unlock("", LUKS_ANY_KEYSLOT, NULL),
			 crypto_version_at_least(1, 11, 0) ? -EKEYREJECTED : -EOPNOTSUPP);
}

/* ---- probing ---- */

static struct luks_probe probe(const uint8_t *from, size_t len)
{
	struct blkdev *dev = fixture_dev(from, len);
	struct luks_probe found;

	assert_int_equal(luks_probe(dev, &found), 0);
	blkdev_close(dev);
	return found;
}

static void magics_are_found(void **state)
{
	assert_int_equal(probe(luks1.bytes, COPY).version, 1);
	assert_int_equal(probe(luks2.bytes, COPY).version, 2);
	assert_false(probe(luks2.bytes, COPY).secondary_only);
	take(&luks2);
	memset(bytes, 0, 512);
	assert_int_equal(probe(bytes, COPY).version, 2);
	assert_true(probe(bytes, COPY).secondary_only);
	bytes[FIXTURE_HDR + 5000] ^= 1;
	assert_int_equal(probe(bytes, COPY).version, 0);
	take(&luks2);
	bytes[7] = 3;
	memset(bytes + FIXTURE_HDR, 0, 512);
	assert_int_equal(probe(bytes, COPY).version, 0);
	memset(bytes, 0, COPY);
	assert_int_equal(probe(bytes, COPY).version, 0);
	assert_int_equal(probe(luks1.bytes, 591).version, 0);
	assert_int_equal(probe(luks1.bytes, 1).version, 0);
	take(&luks1);
	memcpy(bytes, LUKS1_MAGIC_REENCRYPT, LUKS_MAGIC_LEN);
	assert_int_equal(probe(bytes, COPY).version, 1);
	assert_int_equal(unlock(FIXTURE_PASS, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(why, "reencryption"));
}

/* ---- copies of LUKS2 ---- */

/* Any byte of the binary header and some of the JSON: the secondary serves and it is said. */
static void a_damaged_primary_is_served_from_the_secondary(void **state)
{
	const struct luks_info *info;
	struct luks *luks;

	for (size_t at = 0; at < 2 * LUKS2_BIN_LEN; at += at < 512 ? 1 : 97) {
		if (at >= UNUSED && at < 512)
			continue;
		take(&luks2);
		bytes[at] ^= 0xff;
		assert_int_equal(load(COPY, &luks), 0);
		info = luks_describe(luks);
		assert_int_equal(info->copy, LUKS_COPY_SECONDARY);
		assert_true(info->copies_differ);
		assert_non_null(strstr(info->copy_damage, "primary header: "));
		luks_free(luks);
	}
	assert_int_equal(unlock(FIXTURE_PASS, LUKS_ANY_KEYSLOT, NULL), 0);
}

static void a_damaged_secondary_is_told(void **state)
{
	struct luks *luks;

	for (size_t at = 0; at < UNUSED; at++) {
		take(&luks2);
		bytes[FIXTURE_HDR + at] ^= 0xff;
		assert_int_equal(load(COPY, &luks), 0);
		assert_int_equal(luks_describe(luks)->copy, LUKS_COPY_PRIMARY);
		assert_non_null(strstr(luks_describe(luks)->copy_damage, "secondary header: "));
		luks_free(luks);
	}
}

static void both_damaged_names_both(void **state)
{
	struct luks *luks;

	for (size_t at = 8; at < UNUSED; at++) {
		take(&luks2);
		bytes[at] ^= 0xff;
		bytes[FIXTURE_HDR + UNUSED - 1 - at] ^= 0xff;
		assert_int_equal(load(COPY, &luks), -EUCLEAN);
		assert_non_null(strstr(why, "primary: "));
		assert_non_null(strstr(why, "secondary: "));
	}
}

static const struct blkdev_ops *good_ops;
static uint64_t bad_off, bad_end;

static int read_with_bad_sectors(struct blkdev *dev, void *buf, size_t len, uint64_t off)
{
	return off < bad_end && bad_off < off + len ? -EIO : good_ops->read(dev, buf, len, off);
}

static int load_with_bad(uint64_t from, uint64_t end, struct luks **ret, struct luks_probe *found)
{
	struct blkdev *dev = fixture_dev(luks2.bytes, COPY);
	struct blkdev_ops ops = *dev->ops;
	int err;

	good_ops = dev->ops;
	ops.read = read_with_bad_sectors;
	dev->ops = &ops;
	bad_off = from;
	bad_end = end;
	*ret = NULL;
	err = luks_probe(dev, found);
	if (!err)
		err = luks_load(dev, NULL, NULL, ret, why, sizeof(why));
	blkdev_close(dev);
	return err;
}

/* A bad sector is damage of the copy it lies in; in what only might be one it is nothing. */
static void a_copy_that_cannot_be_read_is_damaged(void **state)
{
	static const struct {
		uint64_t from, end;
		int err;
		enum luks_copy copy;
		const char *damage;
	} cases[] = {
		{ 0, 512, 0, LUKS_COPY_SECONDARY, "primary header: it cannot be read" },
		{ 8192, 8704, 0, LUKS_COPY_SECONDARY, "primary header: it cannot be read" },
		{ FIXTURE_HDR, FIXTURE_HDR + 512, 0, LUKS_COPY_PRIMARY, "secondary header: it cannot" },
		{ FIXTURE_HDR + 8192, FIXTURE_HDR + 8704, 0, LUKS_COPY_PRIMARY, "secondary header: it c" },
		{ 65536, 131072, 0, LUKS_COPY_PRIMARY, "" },
		{ 0, FIXTURE_HDR + 512, -EIO, 0, "" },
		{ 512, FIXTURE_HDR + 512, -EUCLEAN, 0, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct luks_probe found;
		struct luks *luks;

		assert_int_equal(load_with_bad(cases[i].from, cases[i].end, &luks, &found), cases[i].err);
		if (cases[i].err)
			continue;
		assert_int_equal(found.version, 2);
		assert_int_equal(luks_describe(luks)->copy, cases[i].copy);
		assert_non_null(strstr(luks_describe(luks)->copy_damage, cases[i].damage));
		luks_free(luks);
	}
}

static void swapped_copies_are_not_believed(void **state)
{
	struct luks *luks;

	take(&luks2);
	memcpy(bytes, luks2.bytes + FIXTURE_HDR, FIXTURE_HDR);
	memcpy(bytes + FIXTURE_HDR, luks2.bytes, FIXTURE_HDR);
	assert_int_equal(load(COPY, &luks), -EINVAL);
	take(&luks2);
	memcpy(bytes + FIXTURE_HDR, luks2.bytes, FIXTURE_HDR);
	assert_int_equal(load(COPY, &luks), 0);
	assert_true(luks_describe(luks)->copies_differ);
	luks_free(luks);
}

static void set_seqid(size_t off, uint64_t seqid)
{
	struct luks2_disk *d = (struct luks2_disk *)(bytes + off);

	d->seqid_be64 = htobe64(seqid);
	fixture_sum(bytes, off);
}

static void the_newer_valid_copy_serves(void **state)
{
	struct luks *luks;

	take(&luks2);
	set_seqid(0, 7);
	set_seqid(FIXTURE_HDR, 8);
	assert_int_equal(load(COPY, &luks), 0);
	assert_int_equal(luks_describe(luks)->copy, LUKS_COPY_SECONDARY);
	assert_int_equal(luks_describe(luks)->seqid, 8);
	assert_non_null(strstr(luks_describe(luks)->copy_damage, "primary header: older"));
	luks_free(luks);
	set_seqid(0, 9);
	assert_int_equal(load(COPY, &luks), 0);
	assert_int_equal(luks_describe(luks)->copy, LUKS_COPY_PRIMARY);
	luks_free(luks);
	/* A newer copy whose text makes no sense does not. */
	set_seqid(FIXTURE_HDR, 10);
	fixture_json(bytes, FIXTURE_HDR)[0] = '[';
	fixture_sum(bytes, FIXTURE_HDR);
	assert_int_equal(load(COPY, &luks), 0);
	assert_int_equal(luks_describe(luks)->copy, LUKS_COPY_PRIMARY);
	luks_free(luks);
}

static void headers_cut_short_are_errors(void **state)
{
	struct luks *luks;

	for (int v = 1; v <= 2; v++)
		for (size_t len = 1; len < 300000; len += len < 5000 ? 101 : 9973) {
			take(v == 1 ? &luks1 : &luks2);
			if (v == 1 && len >= 4096 + 64512)
				break;	/* all keyslots are there; the data is refused, not this */
			if (!load(len, &luks)) {
				assert_int_equal(v, 2);
				assert_string_not_equal(luks_describe(luks)->refused, "");
				luks_free(luks);
				continue;
			}
			assert_string_not_equal(why, "");
		}
	take(&luks1);
	assert_int_equal(load(2048 * 512, &luks), 0);
	assert_non_null(strstr(luks_describe(luks)->refused, "device ends"));
	luks_free(luks);
}

/* ---- JSON: one change each ---- */

static const struct change {
	const char *from, *to;
	int err;		/* of load; 0: see unlock */
	int unlock_err;
	const char *says;	/* in why, after whichever failed */
} changes[] = {
	/* keyslot areas */
	{ "\"offset\":\"32768\"", "\"offset\":\"32767\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"offset\":\"32768\"", "\"offset\":\"0\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"offset\":\"32768\"", "\"offset\":\"18446744073709547520\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"offset\":\"32768\"", "\"offset\":\"18446744073709551616\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"offset\":\"32768\"", "\"offset\":32768", -EUCLEAN, 0, "keyslot 0" },
	{ "\"size\":\"258048\"", "\"size\":\"4096\"", -EUCLEAN, 0, "too short" },
	{ "\"size\":\"258048\"", "\"size\":\"18446744073709551615\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"size\":\"258048\"", "\"size\":\"-1\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"type\":\"raw\"", "\"type\":\"journal\"", 0, -EOPNOTSUPP, "journal" },
	/* splitter, KDF */
	{ "\"stripes\":4000", "\"stripes\":0", -EUCLEAN, 0, "keyslot 0" },
	{ "\"stripes\":4000", "\"stripes\":4001", 0, -EKEYREJECTED, "" },
	{ "\"stripes\":4000", "\"stripes\":4294967297", -EUCLEAN, 0, "keyslot 0" },
	{ "\"stripes\":4000", "\"stripes\":\"4000\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"type\":\"luks1\"", "\"type\":\"luks9\"", 0, -EOPNOTSUPP, "luks9" },
	{ "\"type\":\"argon2id\"", "\"type\":\"argon2d\"", 0, -EOPNOTSUPP, "argon2d" },
	{ "\"type\":\"argon2id\"", "\"type\":\"argon2i\"", 0, -EKEYREJECTED, "" },
	{ "\"memory\":32", "\"memory\":4097", 0, -E2BIG, "4097 KiB" },
	{ "\"memory\":32", "\"memory\":4294967295", 0, -E2BIG, "4294967295 KiB" },
	{ "\"memory\":32", "\"memory\":7", 0, -EINVAL, "7 KiB" },
	{ "\"memory\":32", "\"memory\":0", -EUCLEAN, 0, "keyslot 0" },
	{ "\"time\":4", "\"time\":100000", 0, -E2BIG, "100000 passes" },
	{ "\"time\":4", "\"time\":-4", -EUCLEAN, 0, "keyslot 0" },
	{ "\"time\":4", "\"time\":4.5", -EUCLEAN, 0, "keyslot 0" },
	{ "\"cpus\":1", "\"cpus\":5", 0, -EINVAL, "5 lanes" },
	{ "\"hash\":\"sha256\"", "\"hash\":\"nohash\"", 0, -EOPNOTSUPP, "nohash" },
	/* segment */
	{ "\"iv_tweak\":\"0\"", "\"iv_tweak\":\"-1\"", -EUCLEAN, 0, "segment 0" },
	{ "\"iv_tweak\":\"0\"", "\"iv_tweak\":\"\"", -EUCLEAN, 0, "segment 0" },
	{ "\"iv_tweak\":\"0\"", "\"iv_tweak\":\"18446744073709551615\"", 0, 0, "" },
	{ "\"size\":\"dynamic\"", "\"size\":\"4096\"", 0, 0, "" },
	{ "\"size\":\"dynamic\"", "\"size\":\"0\"", 0, -EUCLEAN, "0 bytes" },
	{ "\"size\":\"dynamic\"", "\"size\":\"513\"", -EUCLEAN, 0, "segment 0" },
	{ "\"size\":\"dynamic\"", "\"size\":\"1048576\"", 0, -EUCLEAN, "1048576" },
	{ "\"size\":\"dynamic\"", "\"size\":\"18446744073709547520\"", 0, -EUCLEAN, "room" },
	{ "\"size\":\"dynamic\"", "\"size\":\"Dynamic\"", -EUCLEAN, 0, "segment 0" },
	{ "\"offset\":\"1048576\"", "\"offset\":\"294912\"", 0, 0, "" },
	{ "\"offset\":\"1048576\"", "\"offset\":\"290304\"", 0, -EUCLEAN, "overlap" },
	{ "\"offset\":\"1048576\"", "\"offset\":\"0\"", 0, -EUCLEAN, "detached" },
	{ "\"offset\":\"1048576\"", "\"offset\":\"1048577\"", -EUCLEAN, 0, "segment 0" },
	{ "\"offset\":\"1048576\"", "\"offset\":\"18446744073709551104\"", 0, -EUCLEAN, "device ends" },
	{ "\"type\":\"crypt\"", "\"type\":\"linear\"", 0, -EOPNOTSUPP, "linear" },
	{ "\"type\":\"crypt\"", "\"type\":\"hw-opal-crypt\"", 0, -EOPNOTSUPP, "OPAL" },
	{ "\"type\":\"crypt\"", "\"integrity\":{\"type\":\"hmac(sha256)\"},\"type\":\"crypt\"", 0,
	  -EOPNOTSUPP, "hmac(sha256)" },
	{ "\"type\":\"crypt\"", "\"integrity\":7,\"type\":\"crypt\"", 0, -EOPNOTSUPP, "integrity" },
	/* digest */
	{ "\"segments\":[\"0\"]", "\"segments\":[]", 0, -EUCLEAN, "no digest" },
	{ "\"segments\":[\"0\"]", "\"segments\":[\"32\"]", -EUCLEAN, 0, "digest 0" },
	{ "\"segments\":[\"0\"]", "\"segments\":[0]", -EUCLEAN, 0, "digest 0" },
	{ "\"keyslots\":[\"0\"]", "\"keyslots\":[]", 0, -ENOKEY, "keyslot" },
	{ "\"keyslots\":[\"0\"]", "\"keyslots\":\"0\"", -EUCLEAN, 0, "digest 0" },
	{ "\"type\":\"pbkdf2\"", "\"type\":\"scrypt\"", 0, -EOPNOTSUPP, "digest" },
	{ "\"digest\":\"", "\"digest\":\"*", -EUCLEAN, 0, "digest 0" },
	{ "\"digest\":\"", "\"digest\":\"AAAA\",\"x\":\"", -EUCLEAN, 0, "digest 0" },
	{ "\"salt\":\"", "\"salt\":\"A", -EUCLEAN, 0, "keyslot 0" },
	{ "\"salt\":\"", "\"salt\":\"\\u0000", -EUCLEAN, 0, "keyslot 0" },
	/* config */
	{ "\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"warp-drive\"]},", 0,
	  -EOPNOTSUPP, "warp-drive" },
	{ "\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"online-reencrypt-v2\"]},", 0,
	  -EOPNOTSUPP, "reencryption is in progress" },
	{ "\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[]},", 0, 0, "" },
	{ "\"config\":{", "\"config\":{\"requirements\":{\"optional\":[\"x\"]},", 0, 0, "" },
	{ "\"config\":{", "\"config\":{\"requirements\":[\"x\"],", -EUCLEAN, 0, "config" },
	{ "\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":\"x\"},", -EUCLEAN, 0, "config" },
	{ "\"json_size\":\"12288\"", "\"json_size\":\"12289\"", -EUCLEAN, 0, "JSON size" },
	{ "\"keyslots_size\":\"294912\"", "\"keyslots_size\":\"4096\"", -EUCLEAN, 0, "keyslot 0" },
	{ "\"keyslots_size\":\"294912\"", "\"keyslots_size\":\"18446744073709551615\"", -EUCLEAN, 0,
	  "config" },
	/* structure */
	{ "\"keyslots\":{\"0\"", "\"keyslots\":{\"32\"", -EUCLEAN, 0, "keyslots" },
	{ "\"keyslots\":{\"0\"", "\"keyslots\":{\"00\"", -EUCLEAN, 0, "keyslots" },
	{ "\"keyslots\":{\"0\"", "\"keyslots\":{\"x\":1,\"0\"", -EUCLEAN, 0, "keyslots" },
	{ "\"keyslots\":{", "\"keyslotz\":{", -EUCLEAN, 0, "keyslots" },
	{ "{\"keyslots\"", "[\"keyslots\"", -EUCLEAN, 0, "JSON" },
	{ "\"tokens\":{}", "\"tokens\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]", -EUCLEAN, 0, "JSON" },
	{ "\"tokens\":{}", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[\"0\"]}}", 0, 0, "" },
	{ "\"tokens\":{}", "\"tokens\":{},", -EUCLEAN, 0, "JSON" },
	{ "\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":3", -EUCLEAN, 0, "keyslot 0" },
	{ "\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":0", 0, -ENOKEY, "keyslot" },
	{ "\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":2", 0, 0, "" },
	{ "\"type\":\"luks2\"", "\"type\":\"lukz\\u001b[31m\"", 0, -EOPNOTSUPP, "lukz?[31m" },
	{ "\"key_size\":64", "\"key_size\":32", 0, -EKEYREJECTED, "" },
	{ "\"key_size\":64", "\"key_size\":65", -EUCLEAN, 0, "too short" },
	{ "\"key_size\":64", "\"key_size\":60", 0, -EOPNOTSUPP, "480 bits" },
	{ "\"key_size\":64", "\"key_size\":0", -EUCLEAN, 0, "keyslot 0" },
};

static void each_change_of_the_json_has_its_answer(void **state)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		int err;

		take(&luks2);
		fixture_replace(bytes, c->from, c->to);
		strcpy(why, "");
		err = unlock(FIXTURE_PASS, LUKS_ANY_KEYSLOT, NULL);
		if (err != (c->err ? c->err : c->unlock_err) || !strstr(why, c->says))
			fail_msg("%s -> %s: %d %s", c->from, c->to, err, why);
	}
}

static void ciphers_not_served_still_load(void **state)
{
	struct luks *luks;

	take(&luks2);
	fixture_replace(bytes, "\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
			"\"encryption\":\"aes-ecb\",\"sector_size\"");
	assert_int_equal(load(COPY, &luks), 0);
	assert_non_null(strstr(luks_describe(luks)->refused, "aes-ecb"));
	assert_string_equal(luks_describe(luks)->cipher, "aes-ecb");
	luks_free(luks);
	assert_int_equal(unlock(FIXTURE_PASS, LUKS_ANY_KEYSLOT, NULL), -EOPNOTSUPP);
}

/* ---- discards ---- */

static bool can_discard(unsigned flags)
{
	struct luks_key *key = NULL;
	struct blkdev *dev;
	struct luks *luks;
	bool can;

	assert_int_equal(load(COPY, &luks), 0);
	dev = fixture_dev(bytes, COPY);
	assert_int_equal(luks_unlock(luks, dev, FIXTURE_PASS, 4, LUKS_ANY_KEYSLOT, NULL, &key, why,
				     sizeof(why)), 0);
	assert_int_equal(luks_device_new(luks, key, dev, flags, &dev, why, sizeof(why)), 0);
	can = dev->info.can_discard;
	luks_free(luks);
	blkdev_close(dev);
	return can;
}

static void the_flag_allows_discards(void **state)
{
	take(&luks2);
	assert_false(can_discard(0));
	assert_true(can_discard(LUKS_ALLOW_DISCARDS));
	fixture_replace(bytes, "\"config\":{", "\"config\":{\"flags\":[\"same-cpu-crypt\",\"allow-discards\"],");
	assert_true(can_discard(0));
	assert_false(can_discard(LUKS_NO_DISCARDS));
	take(&luks1);
	assert_false(can_discard(0));
}

/* ---- LUKS1: one field each ---- */

static const struct {
	size_t off;
	uint32_t value;
	int err, unlock_err;
	const char *says;
} fields1[] = {
	{ offsetof(struct luks1_disk, key_len_be32), 0, -EUCLEAN, 0, "key length" },
	{ offsetof(struct luks1_disk, key_len_be32), UINT32_MAX, -EUCLEAN, 0, "key length" },
	{ offsetof(struct luks1_disk, key_len_be32), 15, 0, -EOPNOTSUPP, "120 bits" },
	{ offsetof(struct luks1_disk, data_sec_be32), 0, 0, -EUCLEAN, "detached" },
	{ offsetof(struct luks1_disk, data_sec_be32), 9, 0, -EUCLEAN, "overlap" },
	{ offsetof(struct luks1_disk, data_sec_be32), UINT32_MAX, 0, -EUCLEAN, "device ends" },
	{ offsetof(struct luks1_disk, digest_iterations_be32), 0, 0, -EINVAL, "digest" },
	{ offsetof(struct luks1_disk, digest_iterations_be32), UINT32_MAX, 0, -E2BIG, "digest" },
	{ offsetof(struct luks1_disk, digest), 1, 0, -EKEYREJECTED, "" },
	{ offsetof(struct luks1_disk, cipher), 0x41455321, 0, -EOPNOTSUPP, "AES!" },
	{ offsetof(struct luks1_disk, mode), 0x65636200, 0, -EOPNOTSUPP, "aes-ecb" },
	{ offsetof(struct luks1_disk, hash), 0x1b5b3030, 0, -EOPNOTSUPP, "?[00" },
	{ offsetof(struct luks1_disk, slots), 1, -EUCLEAN, 0, "keyslot 0" },
	{ offsetof(struct luks1_disk, slots), LUKS1_SLOT_INACTIVE, 0, -ENOKEY, "" },
	{ offsetof(struct luks1_disk, slots) + 4, 0, 0, -EINVAL, "0 iterations" },
	{ offsetof(struct luks1_disk, slots) + 4, UINT32_MAX, 0, -E2BIG, "keyslot 0" },
	{ offsetof(struct luks1_disk, slots) + 40, 0, -EUCLEAN, 0, "keyslot 0" },
	{ offsetof(struct luks1_disk, slots) + 40, UINT32_MAX, -EUCLEAN, 0, "keyslot 0" },
	{ offsetof(struct luks1_disk, slots) + 44, 0, -EUCLEAN, 0, "stripes" },
	{ offsetof(struct luks1_disk, slots) + 44, UINT32_MAX, -EUCLEAN, 0, "stripes" },
	{ offsetof(struct luks1_disk, slots) + 48, LUKS1_SLOT_ACTIVE, 0, 0, "" },
};

static void each_field_of_luks1_has_its_answer(void **state)
{
	for (size_t i = 0; i < sizeof(fields1) / sizeof(fields1[0]); i++) {
		uint32_t value_be32 = htobe32(fields1[i].value);
		int err;

		take(&luks1);
		memcpy(bytes + fields1[i].off, &value_be32, 4);
		strcpy(why, "");
		err = unlock(FIXTURE_PASS, LUKS_ANY_KEYSLOT, NULL);
		if (err != (fields1[i].err ? fields1[i].err : fields1[i].unlock_err) ||
		    !strstr(why, fields1[i].says))
			fail_msg("offset %zu = %u: %d %s", fields1[i].off, fields1[i].value, err, why);
	}
}

static void overlapping_slots_are_damage(void **state)
{
	struct luks1_disk *d = (struct luks1_disk *)bytes;
	struct luks *luks;

	take(&luks1);
	d->slots[3] = d->slots[0];
	assert_int_equal(load(COPY, &luks), -EUCLEAN);
	assert_non_null(strstr(why, "overlaps"));
}

/* A keyslot whose area lies on bad sectors keeps nobody from the others. */
static void a_keyslot_that_cannot_be_read_is_passed_over(void **state)
{
	struct luks1_disk *d = (struct luks1_disk *)bytes;
	const size_t area_len = 128 / 8 * 4000;
	struct blkdev_ops ops;
	struct luks_key *key;
	struct blkdev *dev;
	struct luks *luks;
	size_t from, to;

	take(&luks1);
	from = be32toh(d->slots[0].area_sec_be32) * (size_t)512;
	to = be32toh(d->slots[3].area_sec_be32) * (size_t)512;
	d->slots[3] = d->slots[0];
	d->slots[3].area_sec_be32 = htobe32((uint32_t)(to / 512));
	memcpy(bytes + to, bytes + from, area_len);
	assert_int_equal(load(COPY, &luks), 0);
	dev = fixture_dev(bytes, COPY);
	ops = *dev->ops;
	good_ops = dev->ops;
	ops.read = read_with_bad_sectors;
	dev->ops = &ops;
	bad_off = from + 512;
	bad_end = from + 1024;
	assert_int_equal(luks_unlock(luks, dev, FIXTURE_PASS, 4, LUKS_ANY_KEYSLOT, NULL, &key, why,
				     sizeof(why)), 0);
	assert_int_equal(luks_key_slot(key), 3);
	luks_key_free(key);
	assert_int_equal(luks_unlock(luks, dev, "Pass", 4, LUKS_ANY_KEYSLOT, NULL, &key, why,
				     sizeof(why)), -EKEYREJECTED);
	assert_non_null(strstr(why, "keyslot 0: "));
	assert_int_equal(luks_unlock(luks, dev, FIXTURE_PASS, 4, 0, NULL, &key, why, sizeof(why)), -EIO);
	assert_non_null(strstr(why, "keyslot 0: "));
	luks_free(luks);
	blkdev_close(dev);
}

static int start(void **state)
{
	if (fixture_make(&luks1, FIXTURE_LUKS1) || fixture_make(&luks2, FIXTURE_LUKS2)) {
		fprintf(stderr, "skipped: cryptsetup makes no containers here\n");
		exit(77);
	}
	return crypto_init(why, sizeof(why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_are_described),
		cmocka_unit_test(the_right_passphrase_opens),
		cmocka_unit_test(magics_are_found),
		cmocka_unit_test(a_damaged_primary_is_served_from_the_secondary),
		cmocka_unit_test(a_damaged_secondary_is_told),
		cmocka_unit_test(both_damaged_names_both),
		cmocka_unit_test(a_copy_that_cannot_be_read_is_damaged),
		cmocka_unit_test(swapped_copies_are_not_believed),
		cmocka_unit_test(the_newer_valid_copy_serves),
		cmocka_unit_test(headers_cut_short_are_errors),
		cmocka_unit_test(each_change_of_the_json_has_its_answer),
		cmocka_unit_test(ciphers_not_served_still_load),
		cmocka_unit_test(the_flag_allows_discards),
		cmocka_unit_test(each_field_of_luks1_has_its_answer),
		cmocka_unit_test(overlapping_slots_are_damage),
		cmocka_unit_test(a_keyslot_that_cannot_be_read_is_passed_over),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
