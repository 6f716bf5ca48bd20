// SPDX-License-Identifier: GPL-2.0-or-later
/* Strict base64. */
#include "base64.h"

#include <errno.h>

/* The six bits of a character of the alphabet, or -1. */
static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* chars characters, 2 to 4, hold one byte less; the bits over must be zero. */
static int decode_group(const char *text, unsigned chars, uint8_t out[3])
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		int six = i < chars ? sextet(text[i]) : 0;

		if (six < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)six;
	}
	if (bits & (0xffffffu >> (8 * (chars - 1)) & 0xffffff))
		return -EINVAL;
	out[0] = (uint8_t)(bits >> 16);
	out[1] = (uint8_t)(bits >> 8);
	out[2] = (uint8_t)bits;
	return 0;
}

ssize_t base64_decode(const char *text, size_t text_len, uint8_t *out, size_t max)
{
	size_t done = 0;
	uint8_t group[3];

	if (text_len % 4)
		return -EINVAL;
	for (size_t i = 0; i < text_len; i += 4) {
		unsigned chars = 4;

		if (i + 4 == text_len && text[i + 3] == '=')
			chars = text[i + 2] == '=' ? 2 : 3;
		if (decode_group(text + i, chars, group))
			return -EINVAL;
		if (max - done < chars - 1)
			return -E2BIG;
		for (unsigned b = 0; b < chars - 1; b++)
			out[done++] = group[b];
	}
	return (ssize_t)done;
}
