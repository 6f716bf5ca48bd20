#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --export-device: the file behaves as a block device, and programs that make and repair
# file systems and containers work on it.
. "$(dirname "$0")/lib.sh"
need_fuse; need mke2fs e2fsck debugfs resize2fs python3 cmp

size=$((64 << 20))
export_it() { # [OPTIONS]
	"$FUSE4FS" -f --export-device ${1:+-o "$1"} "$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 1200); do
		mountpoint -q "$mnt" && return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "fuse4fs did not export $image ${1:+(-o $1)}"
}
dev=$mnt/device

head -c $((size + 512)) /dev/urandom >"$image"
size=$((size + 512))	# not a multiple of a page
cp "$image" "$scratch/model"
export_it
[ "$(stat -c '%s %F %a' "$dev")" = "$size regular file 600" ] || fail "stat: $(stat "$dev")"
[ "$(ls -a "$mnt" | tr '\n' ' ')" = ". .. device " ] || fail "the directory has $(ls -a "$mnt")"
cmp "$dev" "$scratch/model" || fail "read"
"$FUSE4FS" --status "$mnt" | grep -q 'block device' || fail "--status"
mkdir "$scratch/second"
timeout 20 "$FUSE4FS" -o lock=fail "$image" "$scratch/second" 2>"$scratch/err" && fail "used twice"
grep -q "$server" "$scratch/err" || fail "who exports the image is not said"

# The ends, mappings, direct transfers, holes, threads; every byte against a plain file.
python3 - "$dev" "$scratch/model" <<'P' || fail "as a block device"
import ctypes, errno, mmap, os, random, sys, threading
dev, model = (os.open(p, os.O_RDWR) for p in sys.argv[1:])
size = os.fstat(dev).st_size
seed = int.from_bytes(os.urandom(4), "little")
rnd = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

def expect(want, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert e.errno == want, (fn, args, e)
        return
    raise AssertionError(f"{fn} {args[1:]} worked")

def fallocate(fd, mode, off, n):
    if libc.fallocate(fd, mode, off, n):
        raise OSError(ctypes.get_errno(), "fallocate")

expect(errno.ENOSPC, os.pwrite, dev, b"x", size)
expect(errno.ENOSPC, os.pwrite, dev, b"x", size + (1 << 30))
assert os.pwrite(dev, b"y" * 1000, size - 10) == 10
assert os.pwrite(model, b"y" * 10, size - 10) == 10
assert os.pread(dev, 100, size) == b"" and len(os.pread(dev, 100, size - 7)) == 7
expect(errno.EINVAL, os.ftruncate, dev, 0)
expect(errno.EINVAL, os.ftruncate, dev, size + 1)
expect(errno.EOPNOTSUPP, fallocate, dev, 0, 0, 4096)
expect(errno.EPERM, os.fchmod, dev, 0o777)
os.close(os.open(sys.argv[1], os.O_RDWR | os.O_TRUNC))
assert os.fstat(dev).st_size == size

def both(off, data):
    assert os.pwrite(dev, data, off) == len(data)
    assert os.pwrite(model, data, off) == len(data)

for _ in range(300):
    off = rnd.randrange(size - 1)
    n = min(rnd.choice((1, 511, 512, 4096, 5000, 200000)), size - off)
    if rnd.random() < 0.2:
        mode = rnd.choice((3, 1 | 16))      # PUNCH_HOLE, ZERO_RANGE; both KEEP_SIZE
        mode = 3 if mode == 3 else 17
        fallocate(dev, mode, off, n)
        os.pwrite(model, bytes(n), off)
    else:
        both(off, rnd.randbytes(n))
m = mmap.mmap(dev, size)
m[12345:12445] = b"m" * 100
os.pwrite(model, b"m" * 100, 12345)
m.flush()
m.close()
direct = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 1 << 16)
page.write(rnd.randbytes(1 << 16))
assert os.pwrite(direct, page, 1 << 20) == 1 << 16
os.pwrite(model, page, 1 << 20)
assert os.preadv(direct, [page], 1 << 21) == 1 << 16
assert page[:] == os.pread(model, 1 << 16, 1 << 21), "direct read"

def worker(n):
    r = random.Random(seed + n)
    for _ in range(100):
        off = n * (4 << 20) + r.randrange(3 << 20)
        both(off, r.randbytes(r.randrange(1, 100000)))
        os.fsync(dev)

threads = [threading.Thread(target=worker, args=(i,)) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
os.fsync(dev)
assert os.pread(dev, size, 0) == os.pread(model, size, 0), f"seed {seed}"
P
cmp "$image" "$scratch/model" || fail "what was fsynced is not in the image"
dd if=/dev/zero of="$dev" bs=1M 2>"$scratch/err" && fail "dd went beyond the end"
grep -q 'No space' "$scratch/err" || fail "dd: $(cat "$scratch/err")"
[ "$(tr -d '\0' <"$image" | wc -c)" = 0 ] || fail "dd did not fill the device"
unserve

# A file system is made, checked, changed and resized in it; holes stay holes.
truncate -s 96M "$image"
export_it threads=2
mke2fs -q -t ext4 "$dev" 64M >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "mke2fs"; }
[ "$(stat -c %b "$image")" -lt 20000 ] || fail "mke2fs filled the image"
e2fsck -fn "$dev" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "e2fsck"; }
resize2fs "$dev" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "resize2fs"; }
echo by-debugfs >"$scratch/f"
debugfs -w -R "write $scratch/f f" "$dev" >/dev/null 2>&1 || fail "debugfs"
e2fsck -fy "$dev" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "e2fsck -fy"; }
[ "$(debugfs -R 'cat f' "$dev" 2>/dev/null)" = by-debugfs ] || fail "debugfs reads something else"
"$FUSE4FS" -u "$mnt" || fail "-u"
wait "$server" || fail "the server ended with status $?"
clean_image
serve
[ "$(cat "$mnt/f")" = by-debugfs ] || fail "the file is not there"
unserve

# Read-only; a window; in the background; options of file systems are refused.
sum=$(md5sum <"$image")
export_it ro
[ "$(stat -c %a "$dev")" = 400 ] || fail "mode of a read-only device"
{ echo x >"$dev"; } 2>/dev/null && fail "wrote read-only"
cmp -n 1048576 "$dev" "$image" || fail "ro read"
unserve
[ "$(md5sum <"$image")" = "$sum" ] || fail "ro changed the image"
"$FUSE4FS" --export-device -o offset=1M,sizelimit=3M "$image" "$mnt" || fail "in the background"
[ "$(stat -c %s "$dev")" = $((3 << 20)) ] || fail "size of a window"
cmp -n $((3 << 20)) "$dev" "$image" 0 1M || fail "a window shows other bytes"
umount "$mnt" || fail "umount"
"$FUSE4FS" --export-device -o root=/x "$image" "$mnt" 2>/dev/null && fail "root= was taken"
exit 0
