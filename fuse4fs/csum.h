/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metadata checksums by block kind. Pure functions; no device, no lock. */
#ifndef FUSE4FS_CSUM_H
#define FUSE4FS_CSUM_H

#include "cache.h"

uint32_t csum_crc32c(uint32_t crc, const void *data, size_t len);
/* crc32c(fs seed, ino_le32, generation_le32): seed of all an inode's blocks. */
uint32_t csum_inode_seed(const struct fs *fs, uint32_t ino, uint32_t generation);
/* True when right or when the file system has none. data: fs->block_size bytes. */
bool csum_verify(const struct fs *fs, enum buf_kind kind, uint32_t seed, uint64_t pblk,
		 const uint8_t *data);
/* Writes the checksum into data. */
void csum_seal(const struct fs *fs, enum buf_kind kind, uint32_t seed, uint64_t pblk,
	       uint8_t *data);
/* raw: on-disk inode, fs->inode_size bytes. */
bool csum_inode_verify(const struct fs *fs, uint32_t seed, uint32_t ino, const uint8_t *raw);
void csum_inode_seal(const struct fs *fs, uint32_t seed, uint32_t ino, uint8_t *raw);

#endif
