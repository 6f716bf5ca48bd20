/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32c, by the processor's instruction where it has one.
 *
 * Chosen at run time, per call: asking costs a load and a branch. Both ways compute
 * the same function: reflected polynomial 0x82F63B78, no inversion before or after.
 */
#include "csum.h"

#if defined(__x86_64__)
#include <nmmintrin.h>

static inline bool have_hw(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2")))
static uint32_t crc_hw(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc, v;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&v, p, 8);
		c = _mm_crc32_u64(c, v);
	}
	for (; len; len--)
		c = _mm_crc32_u8(c, *p++);
	return c;
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

static inline bool have_hw(void)
{
	return getauxval(AT_HWCAP) & HWCAP_CRC32;
}

__attribute__((target("arch=armv8-a+crc")))
static uint32_t crc_hw(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 8; len -= 8, p += 8)
		crc = __builtin_aarch64_crc32cx(crc, get_le64(p));
	for (; len; len--)
		crc = __builtin_aarch64_crc32cb(crc, *p++);
	return crc;
}
#else
static inline bool have_hw(void)
{
	return false;
}

static uint32_t crc_hw(uint32_t crc, const uint8_t *p, size_t len)
{
	return ext2fs_crc32c_le(crc, p, len);
}
#endif

uint32_t csum_crc32c(uint32_t crc, const void *data, size_t len)
{
	if (have_hw())
		return crc_hw(crc, data, len);
	return ext2fs_crc32c_le(crc, data, len);
}
