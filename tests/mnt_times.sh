#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The times that stat(2) shows on the mount are those in the image, to the nanosecond, however
# the data were changed: the kernel's client keeps the times of files whose pages it caches.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace; need_loop; need python3

change_in_all_ways() { # DIRECTORY
	python3 - "$1" <<'P'
import ctypes, mmap, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
KEEP, PUNCH, ZERO = 1, 2, 16
os.chdir(sys.argv[1])
open_fds = []

def made(name, flags=0):
    fd = os.open(name, os.O_CREAT | os.O_RDWR | flags, 0o644)
    open_fds.append(fd)
    return fd

def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, off, length):
        raise OSError(ctypes.get_errno(), "fallocate")

def direct(fd, off):
    page = mmap.mmap(-1, 4096)
    page.write(b"d" * 4096)
    os.pwrite(fd, page, off)

def copied(fd):
    os.copy_file_range(open_fds[0], fd, 100, 0, 0)

def mapped(fd):
    os.ftruncate(fd, 8192)
    m = mmap.mmap(fd, 8192)
    m[0] = 1
    time.sleep(0.1)
    m[5000] = 1

def reopened(fd):
    os.write(fd, b"x" * 5000)
    open_fds.append(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_TRUNC))

WAYS = {
    "written": lambda fd: os.write(fd, b"x" * 100),
    "grown": lambda fd: os.write(fd, b"x" * 300000),
    "allocated": lambda fd: fallocate(fd, 0, 0, 1 << 20),
    "kept": lambda fd: fallocate(fd, KEEP, 0, 1 << 20),
    "punched": lambda fd: (os.write(fd, b"x" * 20000), fallocate(fd, KEEP | PUNCH, 4096, 8192)),
    "zeroed": lambda fd: (os.write(fd, b"x" * 20000), fallocate(fd, ZERO, 100, 8192)),
    "copied": copied,
    "direct": lambda fd: direct(fd, 0),
    "truncated": lambda fd: os.ftruncate(fd, 12345),
    "mapped": mapped,
    "reopened": reopened,
}
# Made and changed while the clock stands, mostly; and changed once more, later.
for n in range(40):
    for way, change in WAYS.items():
        change(made(f"{way}.{n}", os.O_DIRECT if way == "direct" else 0))
time.sleep(2.5)
for n in range(10):
    for way, change in WAYS.items():
        fd = os.open(f"{way}.{n}", os.O_RDWR | (os.O_DIRECT if way == "direct" else 0))
        open_fds.append(fd)
        change(fd)
for fd in open_fds[::2]:
    os.close(fd)
assert libc.syncfs(open_fds[1]) == 0  # sync(2) would wait for other tests' mounts
for fd in open_fds[1::2]:
    os.close(fd)
P
}
times_in() { (cd "$1" && find . -type f -printf '%P %T@ %C@\n' | sort); }

for features in ^inline_data inline_data; do
	img 256M -t ext4 -O "$features"
	serve
	change_in_all_ways "$mnt" || fail "changing files"
	times_in "$mnt" >"$scratch/shown"
	[ "$(wc -l <"$scratch/shown")" = 440 ] || fail "440 files were made"
	unserve
	clean_image
	serve ro
	times_in "$mnt" >"$scratch/stored"
	unserve
	diff "$scratch/shown" "$scratch/stored" >"$scratch/diff" ||
		{ head "$scratch/diff" >&2; fail "$features: other times in the image than were shown"; }
	kmount ro
	times_in "$kmnt" | diff - "$scratch/shown" >&2 || fail "$features: the kernel sees other times"
	kumount
done
