/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of LUKS1 and LUKS2 with one field changed: what each change is answered. */
#include "luks_case.h"

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

/* What needs no passphrase to be refused is refused without one. */
static int check_first(int keyslot)
{
	struct luks *luks;
	int err = load(COPY, &luks);

	if (err)
		return err;
	err = luks_unlock_check(luks, keyslot, why, sizeof(why));
	luks_free(luks);
	return err == 0 ? -EKEYREJECTED : err;
}

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
		if (!err)
			err = -EKEYREJECTED;
		if (check_first(LUKS_ANY_KEYSLOT) != err || !strstr(why, c->says))
			fail_msg("%s -> %s, first: %d %s", c->from, c->to, err, why);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_of_the_json_has_its_answer),
		cmocka_unit_test(ciphers_not_served_still_load),
		cmocka_unit_test(each_field_of_luks1_has_its_answer),
		cmocka_unit_test(overlapping_slots_are_damage),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
