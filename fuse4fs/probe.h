/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --probe: what an image is and what mounting it would do, without a key.
 *
 * Nothing is written and no lock is taken: an image in use may be looked at, and is seen as it
 * is at that moment. Everything that an image can make large is bounded.
 */
#ifndef FUSE4FS_PROBE_H
#define FUSE4FS_PROBE_H

struct options;

/*
 * The whole of `fuse4fs --probe`: prints on stdout. Exit status: MNT_EX_OK the image, or a
 * partition in it, can be mounted (a container: with its passphrase); MNT_EX_FAIL it cannot be,
 * or cannot be read.
 */
int probe_main(const struct options *opt);

#endif
