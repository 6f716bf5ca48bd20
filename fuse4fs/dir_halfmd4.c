// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The half-MD4 hash of names, the default of ext4's index: MD4's three rounds over half a
 * block, chained over 32 bytes of name at a time.
 *
 * libext2fs has it too; this one is here because listing a directory in hash order hashes
 * every name, and the library's takes a name byte by byte and one name at a time. The
 * rounds are one long chain of dependent steps, so several names go side by side in the
 * lanes of a vector.
 * Source: RFC 1320 for the rounds; linux Documentation/filesystems/ext4/directory.rst,
 * "Hash Tree Directories", for what is fed into them.
 */
#include "dir_hash.h"

enum { WORDS = 8, CHUNK = WORDS * 4, LANES = 4, GROUPS = DIR_HASH_BATCH / LANES };

/* One word of as many names as there are lanes. */
typedef uint32_t lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));

static inline lanes rotate(lanes v, unsigned bits)
{
	return v << bits | v >> (32 - bits);
}

static inline lanes pick(lanes x, lanes y, lanes z)
{
	return z ^ (x & (y ^ z));
}

static inline lanes majority(lanes x, lanes y, lanes z)
{
	return (x & y) + ((x ^ y) & z);
}

static inline lanes parity(lanes x, lanes y, lanes z)
{
	return x ^ y ^ z;
}

/* Four steps of a round; the registers are back in their places afterwards. */
#define FOUR_STEPS(f, k, i0, i1, i2, i3, s0, s1, s2, s3) do { \
	a = rotate(a + f(b, c, d) + in[i0] + (k), s0); \
	d = rotate(d + f(a, b, c) + in[i1] + (k), s1); \
	c = rotate(c + f(d, a, b) + in[i2] + (k), s2); \
	b = rotate(b + f(c, d, a) + in[i3] + (k), s3); \
} while (0)

static void transform(lanes state[4], const lanes in[WORDS])
{
	const uint32_t root2 = 0x5a827999, root3 = 0x6ed9eba1;
	lanes a = state[0], b = state[1], c = state[2], d = state[3];

	FOUR_STEPS(pick, 0u, 0, 1, 2, 3, 3, 7, 11, 19);
	FOUR_STEPS(pick, 0u, 4, 5, 6, 7, 3, 7, 11, 19);
	FOUR_STEPS(majority, root2, 1, 3, 5, 7, 3, 5, 9, 13);
	FOUR_STEPS(majority, root2, 0, 2, 4, 6, 3, 5, 9, 13);
	FOUR_STEPS(parity, root3, 3, 7, 2, 6, 3, 9, 11, 15);
	FOUR_STEPS(parity, root3, 1, 5, 0, 4, 3, 9, 11, 15);
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

/* One word of the name: big-endian; signed bytes borrow from those before them. */
static uint32_t word_of(const char *p, size_t len, uint32_t pad, bool is_signed)
{
	uint32_t v = pad;

	for (size_t i = 0; i < len; i++)
		v = (v << 8) + (is_signed ? (uint32_t)(int32_t)(signed char)p[i] : (unsigned char)p[i]);
	return v;
}

/* Into one lane; len: bytes left of the name, at least 1. What they leave free is filled
 * with it. */
static void load_chunk(const char *p, size_t len, bool is_signed, unsigned lane, lanes in[WORDS])
{
	uint32_t pad = (uint32_t)len | (uint32_t)len << 8, w;
	unsigned i = 0;

	pad |= pad << 16;
	len = MIN(len, (size_t)CHUNK);
	for (; len >= 4; len -= 4, p += 4, i++) {
		memcpy(&w, p, 4);
		in[i][lane] = is_signed && (w & 0x80808080) ? word_of(p, 4, pad, true) : be32toh(w);
	}
	if (i < WORDS)
		in[i++][lane] = word_of(p, len, pad, is_signed);
	while (i < WORDS)
		in[i++][lane] = pad;
}

/* Lanes for the whole batch. */
struct batch {
	lanes state[GROUPS][4];
	lanes in[GROUPS][WORDS];
};

/* All is loaded before anything is transformed: a vector read right behind the stores of
 * its lanes would wait for them. A name that has ended keeps what it hashed to. */
static void hash_chunks(struct batch *b, bool is_signed, const struct dir_name *names, unsigned n,
			size_t done, struct dir_hash *ret)
{
	for (unsigned k = 0; k < n; k++)
		if (done < names[k].len)
			load_chunk(names[k].name + done, names[k].len - done, is_signed,
				   k % LANES, b->in[k / LANES]);
	for (unsigned g = 0; g < n; g += LANES)
		transform(b->state[g / LANES], b->in[g / LANES]);
	for (unsigned k = 0; k < n; k++)
		if (done < names[k].len && done + CHUNK >= names[k].len)
			ret[k] = (struct dir_hash){ b->state[k / LANES][1][k % LANES] & ~1u,
						    b->state[k / LANES][2][k % LANES] };
}

void dir_halfmd4(const uint32_t seed[4], bool is_signed, const struct dir_name *names,
		 unsigned n, struct dir_hash *ret)
{
	static const uint32_t md4_start[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
	const uint32_t *start = seed[0] | seed[1] | seed[2] | seed[3] ? seed : md4_start;
	const unsigned groups = (unsigned)div_up(n, LANES);
	size_t longest = 0;
	struct batch b;

	memset(b.in, 0, groups * sizeof(b.in[0]));
	for (unsigned g = 0; g < groups; g++)
		for (unsigned i = 0; i < 4; i++)
			b.state[g][i] = start[i] - (lanes){ 0 };
	for (unsigned k = 0; k < n; k++)
		longest = MAX(longest, names[k].len);
	for (size_t done = 0; done < longest; done += CHUNK)
		hash_chunks(&b, is_signed, names, n, done, ret);
}
