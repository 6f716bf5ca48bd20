/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of crypto/luks*.c: what serves, what is refused, by which name, and which copy. */
#include <endian.h>
#include <errno.h>

#include "crypto/crypto.h"
#include "luks_case.h"

enum {
	UNUSED = 480,		/* .. 511: of the checksum's field what sha256 leaves over */
};

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
	assert_false(probe(bytes, COPY).unknown);
	memset(bytes + FIXTURE_HDR, 0, 512);
	assert_int_equal(probe(bytes, COPY).version, 3);
	assert_true(probe(bytes, COPY).unknown);
	assert_int_equal(unlock(FIXTURE_PASS, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(why, "version 3"));
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

/* An older container's, with areas that fit it and a sequence number above ours. */
static void put_stale_secondary(size_t off)
{
	struct luks2_disk *d = (struct luks2_disk *)(bytes + off);
	char *json = fixture_json(bytes, off), *at;

	memset(bytes + off, 0, off);
	memcpy(bytes + off, luks2.bytes + FIXTURE_HDR, FIXTURE_HDR);
	at = strstr(json, "\"12288\"");	/* bytes of JSON */
	assert_non_null(at);
	memcpy(at, "\"28672\"", 7);
	at = strstr(json, "\"32768\"");	/* the keyslot's area */
	assert_non_null(at);
	memcpy(at, "\"65536\"", 7);
	d->hdr_len_be64 = d->hdr_off_be64 = htobe64(off);
	d->seqid_be64 = htobe64(99);
	fixture_sum_len(bytes, off, off);
}

/* As cryptsetup does: who names the place of the other copy means no other place. */
static void a_secondary_elsewhere_is_not_asked(void **state)
{
	struct luks *luks;

	take(&luks2);
	put_stale_secondary(2 * FIXTURE_HDR);
	memset(bytes + FIXTURE_HDR, 0, 512);
	assert_int_equal(load(COPY, &luks), 0);
	assert_int_equal(luks_describe(luks)->copy, LUKS_COPY_PRIMARY);
	assert_int_equal(luks_describe(luks)->header_len, FIXTURE_HDR);
	assert_string_equal(luks_describe(luks)->copy_damage, "secondary header: no magic");
	luks_free(luks);
	/* Without a primary to be believed it is. */
	bytes[LUKS2_BIN_LEN] ^= 1;
	assert_int_equal(load(COPY, &luks), 0);
	assert_int_equal(luks_describe(luks)->seqid, 99);
	luks_free(luks);
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

/* A keyslot whose area lies on bad sectors keeps nobody from the others. */
/* Every slot at its limit and the digest, too: four of them cost what all together may. */
static void many_costly_keyslots_are_not_all_tried(void **state)
{
	enum { DIGEST_ITERATIONS = 164, SLOTS = 208, SLOT_LEN = 48, ACTIVE = 0xac71f3 };
	const uint32_t most = htobe32((uint32_t)fixture_limits().pbkdf2_iterations);
	const uint32_t active = htobe32(ACTIVE);

	take(&luks1);
	memcpy(bytes + DIGEST_ITERATIONS, &most, 4);
	for (int i = 0; i < 8; i++) {
		memcpy(bytes + SLOTS + i * SLOT_LEN, &active, 4);
		memcpy(bytes + SLOTS + i * SLOT_LEN + 4, &most, 4);
	}
	assert_int_equal(unlock("wrong", LUKS_ANY_KEYSLOT, NULL), -EKEYREJECTED);
	assert_non_null(strstr(why, "keyslot 4: the keyslots before it used up"));
	assert_int_equal(unlock("wrong", 7, NULL), -EKEYREJECTED);
	assert_string_equal(why, "");
}

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
		cmocka_unit_test(a_secondary_elsewhere_is_not_asked),
		cmocka_unit_test(swapped_copies_are_not_believed),
		cmocka_unit_test(the_newer_valid_copy_serves),
		cmocka_unit_test(headers_cut_short_are_errors),
		cmocka_unit_test(the_flag_allows_discards),
		cmocka_unit_test(many_costly_keyslots_are_not_all_tried),
		cmocka_unit_test(a_keyslot_that_cannot_be_read_is_passed_over),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
