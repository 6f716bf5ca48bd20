// SPDX-License-Identifier: GPL-2.0-or-later
/* The decrypted device of an unlocked container. */
#include <errno.h>
#include <stdio.h>

#include "crypt_dev.h"
#include "luks_int.h"
#include "luks_key.h"

int luks_device_new(const struct luks *luks, struct luks_key *key, struct blkdev *lower,
		    unsigned flags, struct blkdev **ret, char *why, size_t why_len)
{
	const struct luks_info *info = &luks->info;
	struct crypt_map map = {
		.off = info->data_off,
		.len = info->data_len,
		.sector_len = info->sector_len,
	};
	int err;

	if (info->refused[0]) {
		snprintf(why, why_len, "%s", info->refused);
		return luks->refused_err;
	}
	map.first_sector = info->segments[luks->data_segment].iv_tweak;
	map.allow_discards = !(flags & LUKS_NO_DISCARDS) &&
			     (info->allow_discards || flags & LUKS_ALLOW_DISCARDS);
	if (key->len != luks->data.key_len) {
		snprintf(why, why_len, "the key is not one of this container");
		return -EINVAL;
	}
	err = crypt_dev_new(&luks->data, key->bytes, &map, lower, ret);
	if (err == -EINVAL) {
		snprintf(why, why_len, "the device is smaller than it was");
		return -EUCLEAN;
	}
	if (err) {
		snprintf(why, why_len, "no memory for the ciphers");
		return err;
	}
	luks_key_free(key);
	return 0;
}
