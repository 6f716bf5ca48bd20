# SPDX-License-Identifier: GPL-2.0-or-later
"""Differential test: one seeded stream of operations on two directories.

usage: diff_ops.py OURS KERNEL SEED COUNT [--no-fallocate] [--no-unwritten]

Both start empty. Every operation is applied to both; result (value or errno) must be the
same. Every 250 operations, and at the end, the whole trees are compared: names, types,
modes, owners, link counts, sizes, times that were set, contents, xattrs, targets.
Exit 0 when nothing differed; else prints the operation, the seed and both results.
"""
import argparse
import ctypes
import errno
import hashlib
import os
import random
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
AT_FDCWD = -100
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
NONBLOCK = os.O_NONBLOCK  # a FIFO would wait for a partner
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4


def renameat2(a, b, flags):
    if libc.renameat2(AT_FDCWD, a.encode(), AT_FDCWD, b.encode(), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, off, length):
        raise OSError(ctypes.get_errno(), "fallocate")


class Stream:
    """Chooses operations; names come from a small pool so that they collide."""

    def __init__(self, seed, opts):
        self.r = random.Random(seed)
        self.opts = opts
        self.dirs = [""]

    def name(self):
        r = self.r
        n = r.choice("abcdefghij") + str(r.randrange(12))
        if r.random() < 0.1:
            n += "x" * r.choice([20, 100, 200, 240, 253, 254])
        return n

    def path(self):
        d = self.r.choice(self.dirs)
        return d + "/" + self.name()

    def data(self):
        n = self.r.choice([0, 1, 10, 59, 60, 61, 100, 150, 200, 1000, 4095, 4096, 4097, 20000, 70000])
        return bytes([self.r.randrange(256)]) * n

    def offset(self):
        r = self.r
        return r.choice([0, 0, 1, 100, 4095, 4096, 8192, r.randrange(100000), r.randrange(1 << 20),
                         r.randrange(1 << 26)])

    def next(self):
        r = self.r
        ops = [("create", 10), ("write", 14), ("read", 6), ("truncate", 6), ("mkdir", 5), ("rmdir", 3),
               ("unlink", 7), ("rename", 7), ("rename2", 4), ("link", 4), ("symlink", 3), ("mknod", 2),
               ("chmod", 2), ("chown", 2), ("utimes", 2), ("setxattr", 6), ("removexattr", 3),
               ("getxattr", 2), ("listdir", 2), ("stat", 4), ("append", 4), ("many", 1), ("readlink", 1),
               ("fsync", 1), ("longname", 1)]
        if not self.opts.no_fallocate:
            ops += [("fallocate", 5)]
        kind = r.choices([o for o, _ in ops], [w for _, w in ops])[0]
        p, q = self.path(), self.path()
        return getattr(self, "do_" + kind)(p, q)

    def do_create(self, p, q):
        mode = self.r.choice([0o644, 0o600, 0o755, 0o4755, 0o2755, 0])
        flags = NONBLOCK | os.O_CREAT | os.O_WRONLY | self.r.choice([0, os.O_EXCL, os.O_TRUNC])

        def run(base):
            os.close(os.open(base + p, flags, mode))
        return f"open {p} {flags:#x} {mode:o}", run

    def do_write(self, p, q):
        data, off = self.data(), self.offset()

        def run(base):
            fd = os.open(base + p, NONBLOCK | os.O_WRONLY)
            try:
                return os.pwrite(fd, data, off)
            finally:
                os.close(fd)
        return f"pwrite {p} {len(data)}@{off}", run

    def do_append(self, p, q):
        data = self.data()

        def run(base):
            fd = os.open(base + p, NONBLOCK | os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                return os.write(fd, data)
            finally:
                os.close(fd)
        return f"append {p} {len(data)}", run

    def do_read(self, p, q):
        n, off = self.r.choice([1, 100, 4096, 100000]), self.offset()

        def run(base):
            fd = os.open(base + p, NONBLOCK | os.O_RDONLY)
            try:
                return hashlib.md5(os.pread(fd, n, off)).hexdigest()
            finally:
                os.close(fd)
        return f"pread {p} {n}@{off}", run

    def do_truncate(self, p, q):
        size = self.offset()
        return f"truncate {p} {size}", lambda base: os.truncate(base + p, size)

    def do_mkdir(self, p, q):
        mode = self.r.choice([0o755, 0o700, 0o2775, 0o1777])

        def run(base):
            os.mkdir(base + p, mode)
            os.chmod(base + p, mode)
        if len(self.dirs) < 40 and p.count("/") < 6:
            self.dirs.append(p)
        return f"mkdir {p} {mode:o}", run

    def do_rmdir(self, p, q):
        if self.r.random() < 0.5:
            p = self.r.choice(self.dirs) or p
        return f"rmdir {p}", lambda base: os.rmdir(base + p)

    def do_unlink(self, p, q):
        return f"unlink {p}", lambda base: os.unlink(base + p)

    def do_rename(self, p, q):
        return f"rename {p} {q}", lambda base: os.rename(base + p, base + q)

    def do_rename2(self, p, q):
        flags = self.r.choice([NOREPLACE, EXCHANGE, EXCHANGE, WHITEOUT, EXCHANGE | NOREPLACE])
        return f"renameat2 {p} {q} {flags}", lambda base: renameat2(base + p, base + q, flags)

    def do_link(self, p, q):
        return f"link {p} {q}", lambda base: os.link(base + p, base + q, follow_symlinks=False)

    def do_symlink(self, p, q):
        target = "t" * self.r.choice([1, 10, 58, 59, 60, 61, 100, 156, 157, 500, 1000])
        return f"symlink {p} {len(target)}", lambda base: os.symlink(target, base + p)

    def do_readlink(self, p, q):
        return f"readlink {p}", lambda base: os.readlink(base + p)

    def do_mknod(self, p, q):
        mode = self.r.choice([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]) | 0o640
        dev = self.r.choice([os.makedev(1, 3), os.makedev(259, 1), os.makedev(8, 300), os.makedev(0, 0)])
        return f"mknod {p} {mode:o} {dev:#x}", lambda base: os.mknod(base + p, mode, dev)

    def do_chmod(self, p, q):
        mode = self.r.randrange(0o10000)
        return f"chmod {p} {mode:o}", lambda base: os.chmod(base + p, mode)

    def do_chown(self, p, q):
        u, g = self.r.choice([0, 1000, 65534, 100000, 4000000000]), self.r.choice([0, 5, 100000, -1])
        return f"chown {p} {u} {g}", lambda base: os.chown(base + p, u, g, follow_symlinks=False)

    def do_utimes(self, p, q):
        t = self.r.choice([0, 1, -5 * 10**9 + 3, 1700000000123456789, 2**31 * 10**9 + 5, 2**33 * 10**9 + 7])
        return f"utimes {p} {t}", lambda base: os.utime(base + p, ns=(t, t + 1000), follow_symlinks=False)

    def do_setxattr(self, p, q):
        name = self.r.choice(["user.", "user.", "trusted.", "security."]) + self.r.choice(["a", "bb", "n" * 60])
        value = bytes([self.r.randrange(256)]) * self.r.choice([0, 1, 8, 40, 100, 300, 900])
        flags = self.r.choice([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])
        return (f"setxattr {p} {name} {len(value)} {flags}",
                lambda base: os.setxattr(base + p, name, value, flags, follow_symlinks=False))

    def do_removexattr(self, p, q):
        name = self.r.choice(["user.a", "user.bb", "trusted.a", "user." + "n" * 60])
        return f"removexattr {p} {name}", lambda base: os.removexattr(base + p, name, follow_symlinks=False)

    def do_getxattr(self, p, q):
        return f"getxattr {p}", lambda base: os.getxattr(base + p, "user.a", follow_symlinks=False)

    def do_listdir(self, p, q):
        d = self.r.choice(self.dirs)
        return f"listdir {d}", lambda base: sorted(os.listdir(base + d + "/"))

    def do_stat(self, p, q):
        def run(base):
            return meta(base + p)
        return f"stat {p}", run

    def do_many(self, p, q):
        d, n = self.r.choice(self.dirs), self.r.choice([50, 200, 700])
        tag = self.name()[:6]
        drop = self.r.random() < 0.5

        def run(base):
            for i in range(n):
                os.close(os.open(f"{base}{d}/{tag}-many-{i:06}", os.O_CREAT | os.O_WRONLY, 0o644))
            if drop:
                for i in range(0, n, 2):
                    os.unlink(f"{base}{d}/{tag}-many-{i:06}")
        return f"many {d} {tag} {n} {drop}", run

    def do_fsync(self, p, q):
        def run(base):
            fd = os.open(base + p, NONBLOCK | os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        return f"fsync {p}", run

    def do_longname(self, p, q):
        p = self.r.choice(self.dirs) + "/" + "L" * self.r.choice([255, 256, 300])
        return f"create long {len(p)}", lambda base: os.close(os.open(base + p, NONBLOCK | os.O_CREAT | os.O_WRONLY, 0o600))

    def do_fallocate(self, p, q):
        mode = self.r.choice([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE,
                              PUNCH_HOLE])
        off, n = self.offset(), self.r.choice([1, 100, 4096, 10000, 65536, 300000])

        def run(base):
            fd = os.open(base + p, NONBLOCK | os.O_RDWR)
            try:
                fallocate(fd, mode, off, n)
            finally:
                os.close(fd)
        return f"fallocate {p} {mode} {n}@{off}", run


def meta(path):
    st = os.lstat(path)
    size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
    nlink = st.st_nlink
    return (st.st_mode, nlink, st.st_uid, st.st_gid, size, st.st_rdev)


def describe(path):
    st = os.lstat(path)
    names = sorted(n for n in os.listxattr(path, follow_symlinks=False) if n != "security.selinux")
    attrs = [(n, os.getxattr(path, n, follow_symlinks=False)) for n in names]
    content = None
    if stat.S_ISREG(st.st_mode):
        h = hashlib.md5()
        with open(path, "rb") as f:
            while True:
                b = f.read(1 << 20)
                if not b:
                    break
                h.update(b)
        content = h.hexdigest()
    elif stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    # Times set explicitly lie in the past or far in the future; others differ by nature.
    mtime = st.st_mtime_ns if not 1.75e18 < st.st_mtime_ns < 2.1e18 else None
    return (*meta(path), content, attrs, mtime)


def walk(base):
    found = {}
    links = {}
    for root, dirs, files in os.walk(base):
        for n in dirs + files:
            p = os.path.join(root, n)
            rel = p[len(base):]
            if rel == "/lost+found":
                continue
            found[rel] = describe(p)
            links.setdefault(os.lstat(p).st_ino, []).append(rel)
    groups = sorted(sorted(v) for v in links.values() if len(v) > 1)
    return found, groups


def result(run, base):
    try:
        return ("ok", run(base))
    except OSError as e:
        return ("err", errno.errorcode.get(e.errno, e.errno))


def compare(ours, kernel, when):
    a, ga = walk(ours)
    b, gb = walk(kernel)
    bad = [p for p in sorted(set(a) | set(b)) if a.get(p) != b.get(p)]
    for p in bad[:10]:
        print(f"{when}: {p}\n  ours   {a.get(p)}\n  kernel {b.get(p)}")
    if ga != gb:
        print(f"{when}: hard links differ\n  ours   {ga[:5]}\n  kernel {gb[:5]}")
    return not bad and ga == gb


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("ours")
    ap.add_argument("kernel")
    ap.add_argument("seed", type=int)
    ap.add_argument("count", type=int)
    ap.add_argument("--no-fallocate", action="store_true")
    ap.add_argument("--every", type=int, default=250)
    opts = ap.parse_args()
    os.umask(0o022)
    s = Stream(opts.seed, opts)
    for i in range(opts.count):
        text, run = s.next()
        a, b = result(run, opts.ours), result(run, opts.kernel)
        if a != b:
            print(f"seed {opts.seed} op {i}: {text}\n  ours   {a}\n  kernel {b}")
            return 1
        if i % opts.every == opts.every - 1 and not compare(opts.ours, opts.kernel, f"seed {opts.seed} op {i} ({text})"):
            return 1
    return 0 if compare(opts.ours, opts.kernel, f"seed {opts.seed} end") else 1


sys.exit(main())
