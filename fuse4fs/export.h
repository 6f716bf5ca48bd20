/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --export-device: the opened block device as one file, MOUNTPOINT/device.
 *
 * The file behaves as a block device does: its size is fixed, a write stops at its end with
 * ENOSPC, opening it with O_TRUNC changes nothing. Reads and mappings go through the page
 * cache; a write is on the device when write(2) returns, and durable after fsync(2). A
 * punched hole reads as zeros: it is a hole in the image where the layers below can make
 * one, and zeros written, encrypted where they encrypt, where they cannot.
 */
#ifndef FUSE4FS_EXPORT_H
#define FUSE4FS_EXPORT_H

#include "server.h"

extern const struct server_role export_role;

#endif
