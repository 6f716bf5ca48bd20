# SPDX-License-Identifier: GPL-2.0-or-later
"""as_ext4.py: what the kernel's ext4 does in the current directory, a line each; fuse4fs has to
print the same. Needs root, and an empty file system with 20 % reserved for user 1234."""
import ctypes
import errno
import fcntl
import mmap
import os
import struct
import subprocess
import time

PUNCH = 2 | 1  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
libc = ctypes.CDLL(None, use_errno=True)


def tell(what, call, *args, **kw):
    try:
        result = call(*args, **kw)
        print(what, "ok" if result is None else result)
    except OSError as e:
        print(what, errno.errorcode[e.errno])


def make(name, data=b"x"):
    with open(name, "wb") as f:
        f.write(data)


def fixed_times():
    omit = (1 << 30) - 2
    for flag in "ia":
        make(flag)
        subprocess.check_call(["chattr", "+" + flag, flag])
        tell(f"+{flag} mtime alone", utimens, flag, (0, omit), (5, 0))
        tell(f"+{flag} both", os.utime, flag, (5, 5))
        tell(f"+{flag} both now", os.utime, flag)
        tell(f"+{flag} chmod", os.chmod, flag, 0o600)
        subprocess.check_call(["chattr", "-" + flag, flag])


def utimens(name, atime, mtime):
    times = (ctypes.c_long * 4)(*atime, *mtime)
    if libc.utimensat(-100, name.encode(), times, 0):
        raise OSError(ctypes.get_errno(), "utimensat")


def punch(fd, off, length):
    if libc.fallocate(fd, PUNCH, ctypes.c_long(off), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def errors():
    make("e")
    fd = os.open("e", os.O_RDWR)
    tell("setversion", fcntl.ioctl, fd, 0x40087602, struct.pack("l", 5))
    tell("punch far away", punch, fd, 1 << 45, 4096)
    tell("punch to far away", punch, fd, 0, 1 << 45)
    tell("punch here", punch, fd, 0, 4096)
    os.close(fd)
    print("chattr +P", subprocess.call(["chattr", "+P", "e"], stderr=subprocess.DEVNULL))


def access_times():
    make("r")
    fd = os.open("r", os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)
    time.sleep(0.02)
    with open("r", "ab") as f:
        f.write(b"more")
    time.sleep(0.02)
    with open("r", "rb") as f:
        f.read()
    st = os.stat("r")
    print("relatime after a write", st.st_atime_ns > st.st_mtime_ns)
    before = st.st_atime_ns
    with open("r", "rb") as f:
        f.read()
    print("and once more", os.stat("r").st_atime_ns > before)


def fill(name, uid, flags):
    """MiB that fit, and the error after that."""
    pid = os.fork()
    if pid == 0:
        os.setresuid(uid, uid, uid)
        fd = os.open(name, os.O_CREAT | os.O_WRONLY | flags, 0o600)
        page = mmap.mmap(-1, 1 << 20)
        n = 0
        try:
            while True:
                os.write(fd, page)
                n += 1
        except OSError as e:
            print(f"{name}: {n // 4 * 4} MiB or so, {errno.errorcode[e.errno]}", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    os.unlink(name)


def full():
    os.mkdir("f")
    os.chmod("f", 0o777)
    os.chdir("f")
    fill("outsider", 99, os.O_DIRECT)
    fill("owner-of-the-reserve", 1234, os.O_DIRECT)
    os.chdir("..")


fixed_times()
errors()
access_times()
full()
