/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Big-endian numbers in packets, at any alignment. */
#ifndef TESTS_WIRE_BE_H
#define TESTS_WIRE_BE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void put32(uint8_t *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, 4);
}

static inline void put64(uint8_t *at, uint64_t v)
{
	v = htobe64(v);
	memcpy(at, &v, 8);
}

static inline uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, 4);
	return be32toh(v);
}

static inline uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, 8);
	return be64toh(v);
}

#endif
