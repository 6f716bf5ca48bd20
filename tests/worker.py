# SPDX-License-Identifier: GPL-2.0-or-later
"""worker.py DIR NUMBER SECONDS [PAUSE]: mixed work in a folder of its own and in a shared one.

Keeps a model of its own folder and checks against it all the time; in the shared one
anything may happen, but only errors that a race explains. PAUSE: seconds after each operation;
then the longest that one took is printed at the end.
"""
import errno
import os
import random
import sys
import time

RACES = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.ENODATA}


class Worker:
    def __init__(self, base, number):
        self.r = random.Random(number)
        self.own = f"{base}/own{number}"
        self.shared = f"{base}/shared"
        os.makedirs(self.own, exist_ok=True)
        os.makedirs(self.shared, exist_ok=True)
        self.files = {}
        self.serial = 0

    def own_create(self):
        self.serial += 1
        name = f"file{self.serial}" + "y" * self.r.randrange(30)
        data = bytes([self.r.randrange(256)]) * self.r.choice([0, 10, 4096, 5000, 60000, 300000])
        with open(f"{self.own}/{name}", "wb") as f:
            f.write(data)
            if self.r.random() < 0.05:
                f.flush()
                os.fsync(f.fileno())
        self.files[name] = bytearray(data)

    def pick(self):
        return self.r.choice(list(self.files)) if self.files else None

    def own_write(self):
        n = self.pick()
        if not n:
            return
        off = self.r.randrange(len(self.files[n]) + 20000)
        data = bytes([self.r.randrange(256)]) * self.r.choice([1, 100, 4096, 9000, 70000])
        with open(f"{self.own}/{n}", "r+b") as f:
            f.seek(off)
            f.write(data)
        m = self.files[n]
        if len(m) < off:
            m.extend(bytes(off - len(m)))
        m[off:off + len(data)] = data

    def own_truncate(self):
        n = self.pick()
        if not n:
            return
        size = self.r.randrange(len(self.files[n]) + 10000)
        os.truncate(f"{self.own}/{n}", size)
        m = self.files[n]
        if len(m) > size:
            del m[size:]
        else:
            m.extend(bytes(size - len(m)))

    def own_check(self):
        n = self.pick()
        if not n:
            return
        with open(f"{self.own}/{n}", "rb") as f:
            got = f.read()
        if got != bytes(self.files[n]):
            first = next((i for i, (a, b) in enumerate(zip(got, self.files[n])) if a != b), min(len(got), len(self.files[n])))
            raise SystemExit(f"{n}: content differs at {first} of {len(got)}/{len(self.files[n])}")

    def own_rename(self):
        n = self.pick()
        if not n:
            return
        self.serial += 1
        new = self.pick() if self.r.random() < 0.3 else f"ren{self.serial}"
        if new == n:
            return
        os.rename(f"{self.own}/{n}", f"{self.own}/{new}")
        self.files[new] = self.files.pop(n)

    def own_unlink(self):
        n = self.pick()
        if n and len(self.files) > 20:
            if self.r.random() < 0.3:
                with open(f"{self.own}/{n}", "rb") as f:
                    os.unlink(f"{self.own}/{n}")
                    if f.read() != bytes(self.files[n]):
                        raise SystemExit(f"{n}: content differs after unlink")
            else:
                os.unlink(f"{self.own}/{n}")
            del self.files[n]

    def own_list(self):
        got = set(os.listdir(self.own))
        if got != set(self.files):
            raise SystemExit(f"listing differs: {got ^ set(self.files)}")

    def shared_any(self):
        r = self.r
        a, b = (f"{self.shared}/{r.choice('abcdef')}{r.randrange(6)}" for _ in range(2))
        try:
            k = r.randrange(9)
            if k == 0:
                os.close(os.open(a, os.O_CREAT | os.O_WRONLY, 0o644))
            elif k == 1:
                os.mkdir(a)
            elif k == 2:
                os.unlink(a)
            elif k == 3:
                os.rmdir(a)
            elif k == 4:
                os.rename(a, b)
            elif k == 5:
                os.link(a, b)
            elif k == 6:
                os.setxattr(a, "user.w", os.urandom(r.randrange(200)))
            elif k == 7:
                os.rename(a, b + "/in" + str(r.randrange(3)))
            else:
                for n in os.listdir(self.shared):
                    os.lstat(f"{self.shared}/{n}")
        except OSError as e:
            if e.errno not in RACES and not (e.errno in (errno.EPERM, errno.EINVAL) and k in (4, 5, 7)):
                raise

    def run(self, seconds, pause=0):
        jobs = [self.own_create, self.own_write, self.own_write, self.own_truncate, self.own_check,
                self.own_check, self.own_rename, self.own_unlink, self.own_list] + [self.shared_any] * 6
        end = time.monotonic() + seconds
        longest = steps = 0
        while time.monotonic() < end:
            start = time.monotonic()
            self.r.choice(jobs)()
            longest = max(longest, time.monotonic() - start)
            steps += 1
            time.sleep(pause)
        if pause:
            print(f"{steps} operations, the longest took {longest:.1f} s")
        for _ in range(3 * len(self.files)):
            self.own_check()


w = Worker(sys.argv[1], int(sys.argv[2]))
w.run(*map(float, sys.argv[3:]))
