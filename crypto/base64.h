/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64 as LUKS2 headers use it: RFC 4648 section 4, nothing more lenient. */
#ifndef CRYPTO_BASE64_H
#define CRYPTO_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * base64_decode - text_len characters into out
 *
 * Whole quadruples only; padding where it belongs; no white space, no line breaks, no
 * unused bits that are not zero (so each value has one spelling).
 * Returns the number of bytes; -EINVAL not such text; -E2BIG more than max bytes.
 */
ssize_t base64_decode(const char *text, size_t text_len, uint8_t *out, size_t max);

#endif
