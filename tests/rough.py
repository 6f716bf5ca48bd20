# SPDX-License-Identifier: GPL-2.0-or-later
"""rough.py DIR SEED SECONDS: every call at random on six files that all instances share.

Checks nothing but error codes: it is there to make threads meet (mnt_tsan.sh).
"""
import ctypes
import errno
import os
import random
import sys
import time

EXPECTED = {errno.ENOENT, errno.ENODATA, errno.ENXIO, errno.ENOSPC, errno.EINVAL, errno.EOPNOTSUPP}
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
MODES = [0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE]
SPAN = 1 << 21

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


def one_call(r, base, path, fd, other):
    calls = [
        lambda: os.pwrite(fd, os.urandom(r.choice([10, 5000, 70000])), r.randrange(SPAN)),
        lambda: os.pwrite(fd, b"x" * 4096, r.randrange(SPAN)),
        lambda: os.pread(fd, 100000, r.randrange(SPAN)),
        lambda: libc.fallocate(fd, r.choice(MODES), r.randrange(SPAN), r.randrange(1, SPAN // 4)),
        lambda: os.ftruncate(fd, r.randrange(SPAN)),
        lambda: os.fsync(fd),
        lambda: os.fdatasync(fd),
        lambda: os.setxattr(fd, f"user.a{r.randrange(4)}", os.urandom(r.choice([3, 50, 900]))),
        lambda: os.removexattr(fd, f"user.a{r.randrange(4)}"),
        lambda: os.unlink(path),
        lambda: os.copy_file_range(fd, other, r.randrange(1, SPAN // 8), r.randrange(SPAN // 2),
                                   r.randrange(SPAN // 2)),
        lambda: os.fchmod(fd, r.randrange(0o1000) | 0o600),
        lambda: os.utime(fd, None),
        lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED),
        lambda: os.statvfs(base),
        lambda: os.lseek(fd, r.randrange(SPAN), os.SEEK_HOLE),
        lambda: os.listdir(base),
    ]
    try:
        r.choice(calls)()
    except OSError as e:
        if e.errno not in EXPECTED:
            raise


def main(base, seed, seconds):
    r = random.Random(seed)
    base += "/rough"
    os.makedirs(base, exist_ok=True)
    other = os.open(f"{base}/other", os.O_RDWR | os.O_CREAT)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        path = f"{base}/f{r.randrange(6)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_APPEND if r.random() < 0.1 else 0))
        try:
            one_call(r, base, path, fd, other)
        finally:
            os.close(fd)


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
