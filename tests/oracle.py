# SPDX-License-Identifier: GPL-2.0-or-later
"""Work that fsyncs, and what it may rely on afterwards.

oracle.py load DIR SEED LOG [SECONDS [PROCESSES [PAUSE]]]
                                        four processes; LOG.N gets a line for each fsync that
                                        returned. Without SECONDS until something fails, which
                                        is no error then; with them a failure is status 1.
                                        PAUSE: seconds after each step.
oracle.py check ROOT DIR LOG            what was synced under DIR is under ROOT
"""
import glob
import hashlib
import os
import random
import sys
import time


def write_synced(name, d, rnd, log):
    data = bytes([rnd.randrange(1, 256)]) * rnd.randrange(1, 40000)
    with open(name + ".tmp", "wb") as f:
        f.write(data)
        os.fsync(f.fileno())
    log(f"- {name}")
    os.rename(name + ".tmp", name)
    fd = os.open(d, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    log(f"{hashlib.md5(data).hexdigest()} {name}")


def make_and_remove(sub, rnd):
    os.mkdir(sub)
    for i in range(20):
        os.symlink("x" * rnd.randrange(1, 200), f"{sub}/{i}")
    for i in range(20):
        os.unlink(f"{sub}/{i}")
    os.rmdir(sub)


def worker(base, seed, number, path, end, pause):
    rnd = random.Random(f"{seed}.{number}")
    d = f"{base}/p{number}"
    out = open(path, "a")

    def log(line):
        out.write(line + "\n")
        out.flush()

    os.makedirs(d, exist_ok=True)
    n = 0
    while time.monotonic() < end:
        n += 1
        name = f"{d}/f{rnd.randrange(30)}"
        what = rnd.randrange(10)
        if what < 6:
            write_synced(name, d, rnd, log)
        elif what < 8 and os.path.exists(name):
            log(f"- {name}")
            os.unlink(name)
        else:
            make_and_remove(f"{d}/d{n}", rnd)
        time.sleep(pause)


def load(base, seed, log, seconds=None, processes=4, pause=0):
    end = time.monotonic() + float(seconds) if seconds else float("inf")
    status = 0
    for k in range(int(processes)):
        if os.fork() == 0:
            try:
                worker(base, seed, k, f"{log}.{k}", end, float(pause))
            except OSError as e:
                if seconds:
                    print(f"load: {e}", file=sys.stderr)
                    os._exit(1)
            os._exit(0)
    for _ in range(int(processes)):
        status |= os.wait()[1]
    return 1 if status else 0


def check(root, base, log):
    """Of each name the last word counts: "-" means anything may be there."""
    last = {}
    for path in glob.glob(log + ".*"):
        for line in open(path):
            digest, name = line.split()
            last[name] = digest
    for name, digest in last.items():
        if digest == "-":
            continue
        data = open(root + name[len(base):], "rb").read()
        if hashlib.md5(data).hexdigest() != digest:
            return f"{name}: not what was synced"
    return 0


sys.exit({"load": load, "check": check}[sys.argv[1]](*sys.argv[2:]))
