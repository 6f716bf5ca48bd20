// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a passphrase to the volume key: KDF, decrypt the keyslot's area, merge its stripes,
 * compare with the digest. Every step's product lives in secret memory and is wiped.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "af.h"
#include "cipher.h"
#include "hash.h"
#include "luks_int.h"
#include "luks_key.h"
#include "secret.h"
#include "transport/blkdev.h"

/* One attempt's input, and why the first slot that was left out was. */
struct attempt {
	const struct luks *luks;
	struct blkdev *header;
	const void *pass;
	size_t pass_len;
	const struct luks_notice *notice;
	unsigned tried;			/* slots whose digest said no */
	unsigned spent;			/* thousandths of the limits for one slot */
	int left_out;			/* 0, or why the first slot was left out */
	char why[LUKS_WHY_LEN];
};

int luks_key_slot(const struct luks_key *key)
{
	return key->slot;
}

void luks_key_free(struct luks_key *key)
{
	secret_free(key);
}

static void leave_out(struct attempt *a, int err, int number, const char *what)
{
	if (a->left_out)
		return;
	a->left_out = err;
	snprintf(a->why, sizeof(a->why), "keyslot %d: %.200s", number, what);
}

static void format_kib(uint64_t kib, char *buf, size_t len)
{
	if (kib && kib % (1024 * 1024) == 0)
		snprintf(buf, len, "%llu GiB", (unsigned long long)(kib / (1024 * 1024)));
	else if (kib >= 1024)
		snprintf(buf, len, "%llu MiB", (unsigned long long)(kib / 1024));
	else
		snprintf(buf, len, "%llu KiB", (unsigned long long)kib);
}

static void give_notice(const struct attempt *a, const struct luks_keyslot_info *info)
{
	char text[LUKS_WHY_LEN], cost[32];

	if (!a->notice || !a->notice->fn)
		return;
	if (info->memory_kib)
		format_kib(info->memory_kib, cost, sizeof(cost));
	else
		snprintf(cost, sizeof(cost), "%llu iterations",
			 (unsigned long long)info->iterations);
	snprintf(text, sizeof(text), "unlocking keyslot %d, %s, %s", info->number, info->kdf, cost);
	a->notice->fn(a->notice->arg, text);
}

/* area: the encrypted stripes, decrypted in place with a key of the passphrase. */
static int open_area(const struct attempt *a, const struct luks_slot *slot, uint8_t *area,
		     size_t area_len)
{
	uint8_t *key = secret_new(slot->area.key_len);
	struct cipher *cipher = NULL;
	int err = key ? 0 : -ENOMEM;

	if (!err)
		err = kdf_derive(&slot->kdf, a->pass, a->pass_len, key, slot->area.key_len);
	if (!err)
		err = cipher_new(&slot->area, key, &cipher);
	if (!err)
		err = cipher_decrypt(cipher, area, area, area_len, 0, CIPHER_SECTOR_UNIT);
	cipher_free(cipher);
	secret_free(key);
	return err;
}

static int derive_candidate(const struct attempt *a, unsigned index, struct luks_key *key)
{
	const struct luks_slot *slot = &a->luks->slots[index];
	size_t area_len = luks_slot_area_len(slot);
	uint8_t *area = secret_new(area_len);
	int err;

	if (!area)
		return -ENOMEM;
	err = blkdev_read(a->header, area, area_len, a->luks->info.keyslots[index].area_off);
	if (!err)
		err = open_area(a, slot, area, area_len);
	if (!err)
		err = af_merge(area, slot->key_len, slot->stripes, slot->af_hash, key->bytes);
	secret_free(area);
	return err;
}

/* 0: it is the key. -EKEYREJECTED: another one. */
static int check_digest(const struct luks *luks, const struct luks_key *key)
{
	const struct luks_digest *digest = &luks->digests[luks->data_digest];
	uint8_t value[LUKS_DIGEST_LEN_MAX];
	int err = kdf_derive(&digest->kdf, key->bytes, key->len, value, digest->len);

	if (err)
		return err;
	return secret_equal(value, digest->value, digest->len) ? 0 : -EKEYREJECTED;
}

/* 0 and a key; -EKEYREJECTED; another error: it cannot be tried, the next one may do. */
static int try_slot(struct attempt *a, unsigned index, struct luks_key **ret)
{
	size_t key_len = a->luks->slots[index].key_len;
	struct luks_key *key = secret_new(sizeof(*key) + key_len);
	int err;

	if (!key)
		return -ENOMEM;
	key->slot = a->luks->info.keyslots[index].number;
	key->len = key_len;
	give_notice(a, &a->luks->info.keyslots[index]);
	err = derive_candidate(a, index, key);
	if (!err)
		err = check_digest(a->luks, key);
	if (err) {
		luks_key_free(key);
		return err;
	}
	*ret = key;
	return 0;
}

/* Whether the slot may be tried; else says why not. Keys of other things are nobody's loss. */
static bool usable(struct attempt *a, unsigned index, bool asked_for)
{
	const struct luks *luks = a->luks;
	const struct luks_keyslot_info *info = &luks->info.keyslots[index];
	const struct luks_slot *slot = &luks->slots[index];
	char why[LUKS_WHY_LEN] = "";
	int err;

	if (!info->opens_segment) {
		if (asked_for)
			leave_out(a, -ENOKEY, info->number, "it does not hold the key of the data");
		return false;
	}
	if (info->refused[0]) {
		leave_out(a, -EOPNOTSUPP, info->number, info->refused);
		return false;
	}
	err = kdf_check(&slot->kdf, &luks->limits, slot->area.key_len, why, sizeof(why));
	if (!err && slot->kdf.type != KDF_PBKDF2 && !a->pass_len && !kdf_takes_empty()) {
		snprintf(why, sizeof(why), "this libgcrypt's Argon2 takes no empty passphrase");
		err = -EOPNOTSUPP;
	}
	if (err)
		leave_out(a, err, info->number, why);
	return !err;
}

/* A header can hold 32 slots that each take as long as one may: their sum has a bound, too. */
static bool afford(struct attempt *a, unsigned index)
{
	const struct luks *luks = a->luks;
	const struct luks_slot *slot = &luks->slots[index];
	const struct luks_digest *digest = &luks->digests[luks->data_digest];
	unsigned cost = kdf_share(&slot->kdf, &luks->limits, slot->area.key_len) +
			kdf_share(&digest->kdf, &luks->limits, digest->len);

	if (a->spent + cost > LUKS_COST_OF_ALL * 1000) {
		leave_out(a, -E2BIG, luks->info.keyslots[index].number, "the keyslots before it used "
			  "up what all together may cost; name it to try it alone");
		return false;
	}
	a->spent += cost;
	return true;
}

/* Whether luks_unlock with this keyslot or LUKS_ANY_KEYSLOT means the slot at all. */
static bool meant(const struct luks_keyslot_info *k, int keyslot)
{
	return keyslot == LUKS_ANY_KEYSLOT ? k->priority != LUKS_PRIORITY_IGNORE
					   : k->number == keyslot;
}

static int try_slots(struct attempt *a, int keyslot, enum luks_priority priority,
		     struct luks_key **ret)
{
	const struct luks_info *info = &a->luks->info;

	for (unsigned i = 0; i < info->nkeyslots; i++) {
		const struct luks_keyslot_info *k = &info->keyslots[i];
		int err;

		if (!meant(k, keyslot) || (keyslot == LUKS_ANY_KEYSLOT && k->priority != priority))
			continue;
		if (!usable(a, i, keyslot != LUKS_ANY_KEYSLOT) || !afford(a, i))
			continue;
		err = try_slot(a, i, ret);
		if (!err)
			return 0;
		if (err == -EKEYREJECTED)
			a->tried++;
		else
			leave_out(a, err, k->number, strerror(-err));
	}
	return -EKEYREJECTED;
}

/* What to return when no slot gave a key, and the sentence. */
static int explain(const struct attempt *a, int keyslot, char *why, size_t why_len)
{
	if (a->tried) {
		snprintf(why, why_len, "%s", a->why);
		return -EKEYREJECTED;
	}
	if (a->left_out) {
		snprintf(why, why_len, "%s", a->why);
		return a->left_out;
	}
	if (keyslot == LUKS_ANY_KEYSLOT)
		snprintf(why, why_len, a->luks->info.nkeyslots ? "every keyslot is marked to be "
			 "ignored: name one" : "no keyslot is in use");
	else
		snprintf(why, why_len, "keyslot %d is not in use", keyslot);
	return -ENOKEY;
}

/* The digest is computed after every slot: its cost counts, too. */
static int check_container(const struct luks *luks, size_t pass_len, char *why, size_t why_len)
{
	const struct luks_digest *digest;
	char digest_why[LUKS_WHY_LEN] = "";
	int err;

	if (luks->info.refused[0]) {
		snprintf(why, why_len, "%s", luks->info.refused);
		return luks->refused_err;
	}
	if (pass_len > LUKS_PASS_MAX) {
		snprintf(why, why_len, "a passphrase has at most %d bytes", LUKS_PASS_MAX);
		return -EINVAL;
	}
	digest = &luks->digests[luks->data_digest];
	err = kdf_check(&digest->kdf, &luks->limits, digest->len, digest_why, sizeof(digest_why));
	if (err)
		snprintf(why, why_len, "digest %d: %s", digest->number, digest_why);
	return err;
}

int luks_unlock_check(const struct luks *luks, int keyslot, char *why, size_t why_len)
{
	struct attempt a = { .luks = luks, .pass_len = 1 };
	int err = check_container(luks, a.pass_len, why, why_len);

	if (err)
		return err;
	for (unsigned i = 0; i < luks->info.nkeyslots; i++)
		if (meant(&luks->info.keyslots[i], keyslot) &&
		    usable(&a, i, keyslot != LUKS_ANY_KEYSLOT))
			return 0;
	return explain(&a, keyslot, why, why_len);
}

int luks_unlock(const struct luks *luks, struct blkdev *header, const void *pass, size_t pass_len,
		int keyslot, const struct luks_notice *notice, struct luks_key **ret_key, char *why,
		size_t why_len)
{
	struct attempt a = { .luks = luks, .header = header, .pass = pass, .pass_len = pass_len,
			     .notice = notice };
	int err = check_container(luks, pass_len, why, why_len);

	if (err)
		return err;
	if (keyslot == LUKS_ANY_KEYSLOT) {
		err = try_slots(&a, keyslot, LUKS_PRIORITY_PREFER, ret_key);
		if (err == -EKEYREJECTED)
			err = try_slots(&a, keyslot, LUKS_PRIORITY_NORMAL, ret_key);
	} else {
		err = try_slots(&a, keyslot, LUKS_PRIORITY_NORMAL, ret_key);
	}
	return err ? explain(&a, keyslot, why, why_len) : 0;
}
