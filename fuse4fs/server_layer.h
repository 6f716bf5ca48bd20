/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A place for one more device between the image and the file system. */
#ifndef FUSE4FS_SERVER_LAYER_H
#define FUSE4FS_SERVER_LAYER_H

#include <stddef.h>

struct blkdev;

/*
 * server_layer - put a device on top of the stack
 *
 * dev  in: the stack; out: what is served, which closes what is below. Untouched on failure.
 * why  on failure a sentence
 *
 * The program has none. Tests that watch or disturb a whole server link a function of their
 * own in place of server_layer.c. Returns 0 or -errno.
 */
int server_layer(struct blkdev **dev, char *why, size_t why_len);

#endif
