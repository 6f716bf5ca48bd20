# SPDX-License-Identifier: GPL-2.0-or-later
"""settle.py IMAGE SEED: the power of a file server fails that tool_sftpd --forget has played.

Of every sector that was written since the last fsync the old or the new bytes stay; both
IMAGE and IMAGE.disk are that disk then. Prints how many sectors went back.
"""
import os
import random
import struct
import sys

SECTOR = 512


def settle(image, seed):
    rnd = random.Random(seed)
    new, old = os.open(image, os.O_RDWR), os.open(image + ".disk", os.O_RDWR)
    sectors = set()
    with open(image + ".dirty", "r+b") as dirty:
        for off, length in struct.iter_unpack("=QQ", dirty.read()):
            sectors.update(range(off // SECTOR, (off + length - 1) // SECTOR + 1))
        dirty.truncate(0)
    lost = 0
    for s in sorted(sectors):
        was, now = os.pread(old, SECTOR, s * SECTOR), os.pread(new, SECTOR, s * SECTOR)
        if was == now:
            continue
        if rnd.random() < 0.5:
            os.pwrite(old, now, s * SECTOR)
        else:
            os.pwrite(new, was, s * SECTOR)
            lost += 1
    return lost


print(settle(sys.argv[1], sys.argv[2]))
