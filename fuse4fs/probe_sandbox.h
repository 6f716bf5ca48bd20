/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --probe gives up before it looks at the first byte of an image. */
#ifndef FUSE4FS_PROBE_SANDBOX_H
#define FUSE4FS_PROBE_SANDBOX_H

struct device;
struct options;

/* All is open. Says what is missing, on one line; -EPERM something is, and sandbox=require. */
int probe_sandbox(const struct options *opt, const struct device *d);

#endif
