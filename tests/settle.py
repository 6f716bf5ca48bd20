# SPDX-License-Identifier: GPL-2.0-or-later
"""settle.py IMAGE SEED [SECTOR]: the power of a file server fails, of tool_sftpd --forget.

Of every sector (512 bytes) that was written since the last fsync the old or the new bytes
stay; both IMAGE and IMAGE.disk are that disk then. Prints how many sectors went back.
"""
import os
import random
import struct
import sys


def settle(image, seed, sector=512):
    sector = int(sector)
    rnd = random.Random(seed)
    new, old = os.open(image, os.O_RDWR), os.open(image + ".disk", os.O_RDWR)
    sectors = set()
    with open(image + ".dirty", "r+b") as dirty:
        for off, length in struct.iter_unpack("=QQ", dirty.read()):
            sectors.update(range(off // sector, (off + length - 1) // sector + 1))
        dirty.truncate(0)
    lost = 0
    for s in sorted(sectors):
        was, now = os.pread(old, sector, s * sector), os.pread(new, sector, s * sector)
        if was == now:
            continue
        if rnd.random() < 0.5:
            os.pwrite(old, now, s * sector)
        else:
            os.pwrite(new, was, s * sector)
            lost += 1
    return lost


print(settle(*sys.argv[1:]))
