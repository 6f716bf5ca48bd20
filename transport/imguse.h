/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who uses a file or block device, as far as /proc and /sys tell. Nothing here locks.
 *
 * Each function that finds a user writes a phrase for "is in use ...", as "by process
 * 1234 (qemu)" or "as /dev/loop3, mounted on /mnt", at most len bytes.
 */
#ifndef TRANSPORT_IMGUSE_H
#define TRANSPORT_IMGUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* A process that holds an fcntl or flock lock on the file, or 0 if none can be seen.
 * Reads all of /proc: not for polling. */
pid_t imguse_find_locker(const struct stat *st);

/* The same in words. pid: if already known, else 0. Always writes a phrase. */
void imguse_locker(const struct stat *st, pid_t pid, char *who, size_t len);

/* A mount of block device rdev or of one of its partitions, here or, as far as ext4 tells, in
 * another mount namespace. writable_only: not if the kernel only reads. */
bool imguse_mounted(dev_t rdev, bool writable_only, char *where, size_t len);

/* Why the kernel refuses to share block device rdev. Always writes a phrase. */
void imguse_claimed(dev_t rdev, char *how, size_t len);

/* A loop device on this regular file that forbids reading it (the kernel may write) or,
 * unless readonly, writing it. */
bool imguse_loop(const struct stat *st, bool readonly, char *how, size_t len);

/* The file behind a loop device or a partition of one, open for reading; -1: it is none, or its
 * file cannot be found from here. */
int imguse_open_backing(dev_t rdev);

#endif
