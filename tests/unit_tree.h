/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations by path, for tests. Each takes and drops its own references and returns what
 * the engine said: 0, a count, or -errno. Paths are absolute and resolved through the
 * engine, component by component.
 */
#ifndef TESTS_UNIT_TREE_H
#define TESTS_UNIT_TREE_H

#include "fs.h"

/* A referenced inode. */
int unit_get(struct fs *fs, const char *path, struct inode **ret);
/* mode has the type; target for symbolic links. */
int unit_make(struct fs *fs, const char *path, uint16_t mode, const char *target);
int unit_link(struct fs *fs, const char *from, const char *to);
int unit_unlink(struct fs *fs, const char *path);
int unit_rmdir(struct fs *fs, const char *path);
int unit_rename(struct fs *fs, const char *from, const char *to, unsigned flags);
/* Bytes of unit_pattern: byte i of the file is a function of i and salt. -EIO when only
 * the second try wrote all of it. */
int unit_write(struct fs *fs, const char *path, uint64_t off, size_t len, uint8_t salt);
/* 0 when the range reads back as unit_write left it; -EILSEQ when not. */
int unit_verify(struct fs *fs, const char *path, uint64_t off, size_t len, uint8_t salt);
/* Reads everything (at most 64 MiB). */
int unit_read(struct fs *fs, const char *path);
int unit_truncate(struct fs *fs, const char *path, uint64_t size);
int unit_fallocate(struct fs *fs, const char *path, int mode, uint64_t off, uint64_t len);
int unit_setxattr(struct fs *fs, const char *path, const char *name, size_t len);
int unit_getxattr(struct fs *fs, const char *path, const char *name);
int unit_removexattr(struct fs *fs, const char *path, const char *name);
int unit_listxattr(struct fs *fs, const char *path);
/* Counts the entries of a directory, -errno. */
int unit_readdir(struct fs *fs, const char *path);
int unit_readlink(struct fs *fs, const char *path);
int unit_fsync(struct fs *fs, const char *path);

/* The bytes that belong at off. */
void unit_pattern(void *buf, size_t len, uint64_t off);

#endif
