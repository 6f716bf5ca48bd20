#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel's ext4 does in corners that a FUSE server forgets: errors, access times, reserved
# blocks, flags of files. The same script on both, and the same output.
. "$(dirname "$0")/lib.sh"
need_fuse; need_loop; need python3 mke2fs tune2fs chattr e2fsck
chmod 755 "$scratch"

img 64M -t ext4 -m 20
tune2fs -u 1234 "$image" >/dev/null || fail "tune2fs"
cp "$image" "$scratch/theirs"
mount -o loop "$scratch/theirs" "$kmnt" || skip "the kernel has no ext4"
(cd "$kmnt" && python3 "$srcdir_tests/as_ext4.py") >"$scratch/kernel.out" 2>&1
umount "$kmnt"
serve
(cd "$mnt" && python3 "$srcdir_tests/as_ext4.py") >"$scratch/ours.out" 2>&1
diff "$scratch/kernel.out" "$scratch/ours.out" >&2 || fail "not as the kernel does it"
grep -q Traceback "$scratch/ours.out" && { cat "$scratch/ours.out" >&2; fail "as_ext4.py"; }

# An error of a file that is gone is not told to the next one with its number.
python3 - "$mnt" <<'P' || fail "a new file gets another one's error"
import ctypes, os, sys
os.chdir(sys.argv[1])
fd = os.open("lost", os.O_CREAT | os.O_WRONLY)
ino = os.fstat(fd).st_ino
try:
    for _ in range(200):
        os.write(fd, bytes(1 << 20))
    os.fsync(fd)
except OSError:
    pass
try:
    os.close(fd)
except OSError:
    pass
os.unlink("lost")
# Tells of the same error. (sync(2) would wait for other tests' mounts.)
ctypes.CDLL(None).syncfs(os.open(".", os.O_RDONLY))
for i in range(3000):
    fd = os.open(f"new{i}", os.O_CREAT | os.O_WRONLY)
    if os.fstat(fd).st_ino == ino:
        for _ in range(3):
            os.write(fd, b"x" * 1000)
            os.fsync(fd)
            os.setxattr(f"new{i}", "user.a", b"v" * 700)
        sys.exit(0)
    os.close(fd)
P
unserve
clean_image

# strictatime counts reads that the page cache answers.
serve strictatime
echo x >"$mnt/s"
cat "$mnt/s" >/dev/null; before=$(stat -c %X.%x "$mnt/s"); sleep 0.05
cat "$mnt/s" >/dev/null
[ "$before" != "$(stat -c %X.%x "$mnt/s")" ] || fail "strictatime: a second read is not seen"
unserve

map_shared() {
	python3 -c 'import mmap, sys
with open(sys.argv[1], "r+b") as f: mmap.mmap(f.fileno(), 0).close()' "$1"
}

# What chattr +S and -o sync promise is there after a crash.
crash() {
	kill -9 "$server"
	{ wait "$server"; } 2>/dev/null
	umount -l "$mnt"
	e2fsck -fy -E journal_only "$image" >/dev/null 2>&1
}
serve commit=3600
mkdir "$mnt/S" && : >"$mnt/file" && chattr +S "$mnt/S" "$mnt/file" && sync -f "$mnt"
mkdir "$mnt/S/sub"
echo synced >"$mnt/file"
echo inherited >"$mnt/S/made"
map_shared "$mnt/file" || fail "+S: cannot be mapped"
crash
# Older kernels cannot write past their cache and agree with it.
if [ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]; then
	debugfs -R "cat /file" "$image" 2>/dev/null | grep -q synced || fail "+S: what was written is lost"
	debugfs -R "cat /S/made" "$image" 2>/dev/null | grep -q inherited || fail "+S is not inherited"
fi
debugfs -R "stat /S/sub" "$image" 2>/dev/null | grep -q "Type: directory" || fail "+S: a new directory is lost"
e2fsck -fy "$image" >/dev/null 2>&1
serve sync,commit=3600
echo text >"$mnt/mapped"
map_shared "$mnt/mapped" || fail "-o sync: a file cannot be mapped"
mkdir "$mnt/D" && chattr +d "$mnt/D"
crash
flags=$(debugfs -R "stat /D" "$image" 2>/dev/null | sed -n 's/.*Flags: *//p')
[ $((flags & 0x40)) != 0 ] || fail "-o sync: chattr is lost (flags $flags)"
exit 0
