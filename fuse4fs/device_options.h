/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line says about the device, for device_open. */
#ifndef FUSE4FS_DEVICE_OPTIONS_H
#define FUSE4FS_DEVICE_OPTIONS_H

#include "device.h"

struct options;

/* The result points into o. */
struct device_unlock_options device_unlock_options(const struct options *o);
struct device_remote_options device_remote_options(const struct options *o);

#endif
