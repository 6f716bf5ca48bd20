/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume key; in secret memory (secret.h). */
#ifndef CRYPTO_LUKS_KEY_H
#define CRYPTO_LUKS_KEY_H

#include <stddef.h>
#include <stdint.h>

struct luks_key {
	int slot;		/* the keyslot that gave it */
	size_t len;		/* bytes */
	uint8_t bytes[];
};

#endif
