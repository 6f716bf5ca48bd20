# SPDX-License-Identifier: GPL-2.0-or-later
"""File handles: handles.py save DIR FILE | check DIR FILE | forge DIR

save   makes files under DIR and writes their handles to FILE
check  opens every handle of FILE and compares inode number and content; handles of
       files deleted since must be ESTALE
forge  invents handles (reserved, free, out-of-range inodes, wrong generations): ESTALE each
"""
import ctypes
import errno
import json
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def name_to_handle(path):
    h, mid = Handle(), ctypes.c_int()
    h.bytes = 128
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(h), ctypes.byref(mid), 0):
        raise OSError(ctypes.get_errno(), "name_to_handle_at " + path)
    return h.type, bytes(h.data[:h.bytes])


def open_handle(mount_fd, kind, data, flags=os.O_RDONLY):
    h = Handle()
    h.bytes, h.type = len(data), kind
    h.data[:len(data)] = data
    fd = libc.open_by_handle_at(mount_fd, ctypes.byref(h), flags)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return fd


def drop_caches(base):
    # syncfs: sync(2) would wait for every file system of the machine.
    fd = os.open(base, os.O_RDONLY)
    libc.syncfs(fd)
    os.close(fd)
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


def save(base, out):
    os.makedirs(base + "/h/sub", exist_ok=True)
    found = []
    for i in range(60):
        p = f"{base}/h/{'sub/' if i % 2 else ''}f{i}"
        with open(p, "w") as f:
            f.write(f"content {i}\n")
    os.link(base + "/h/f0", base + "/h/hard")
    os.symlink("x", base + "/h/link")
    for root, dirs, files in os.walk(base + "/h"):
        for n in dirs + files:
            p = os.path.join(root, n)
            if os.path.islink(p):
                continue
            kind, data = name_to_handle(p)
            found.append([p[len(base):], kind, data.hex(), os.stat(p).st_ino, False])
    for i in range(10):
        p = f"{base}/h/gone{i}"
        open(p, "w").close()
        kind, data = name_to_handle(p)
        found.append([p[len(base):], kind, data.hex(), os.stat(p).st_ino, True])
        os.unlink(p)
    json.dump(found, open(out, "w"))


def check(base, saved):
    drop_caches(base)
    mount_fd = os.open(base, os.O_RDONLY)
    for path, kind, data, ino, gone in json.load(open(saved)):
        try:
            fd = open_handle(mount_fd, kind, bytes.fromhex(data))
        except OSError as e:
            if gone and e.errno == errno.ESTALE:
                continue
            raise SystemExit(f"{path}: {e}")
        if gone:
            raise SystemExit(f"{path}: deleted, but its handle opens")
        st = os.fstat(fd)
        if st.st_ino != ino:
            raise SystemExit(f"{path}: inode {st.st_ino}, was {ino}")
        if os.path.isfile(base + path) and os.read(fd, 100) != open(base + path, "rb").read():
            raise SystemExit(f"{path}: other content through the handle")
        os.close(fd)


def forge(base):
    """FUSE's handle: nodeid (two words, high first), generation, [parent ...]."""
    drop_caches(base)
    kind, data = name_to_handle(base + "/h/f1" if os.path.exists(base + "/h/f1") else base)
    words = list(struct.unpack(f"={len(data) // 4}I", data))
    mount_fd = os.open(base, os.O_RDONLY)
    tries = [(ino, gen) for ino in (0, 3, 4, 5, 6, 7, 8, 9, 10, 0x7fffffff, 0xffffffff, 5000, 30000)
             for gen in (0, 1, words[2])]
    tries.append((words[1], words[2] ^ 0x5555))
    for ino, gen in tries:
        w = list(words)
        w[0], w[1], w[2] = 0, ino, gen
        try:
            fd = open_handle(mount_fd, kind, struct.pack(f"={len(w)}I", *w))
        except OSError as e:
            if e.errno != errno.ESTALE:
                raise SystemExit(f"forged {ino}/{gen}: {e}")
            continue
        os.close(fd)
        raise SystemExit(f"forged handle {ino}/{gen} opens")
    w = list(words)
    w[0] = 7
    try:
        os.close(open_handle(mount_fd, kind, struct.pack(f"={len(w)}I", *w)))
    except OSError as e:
        if e.errno == errno.ESTALE:
            return
    raise SystemExit("forged high nodeid opens")


if __name__ == "__main__":
    {"save": save, "check": check, "forge": forge}[sys.argv[1]](*sys.argv[2:])
