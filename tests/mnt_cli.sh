#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The command line: exit codes, one clear line for each mistake, locks, unmounting.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace; need mke2fs python3 losetup unshare dumpe2fs

# refused STATUS PATTERN ARGS...: fails with that status and one line that names the matter.
refused() {
	want=$1 pattern=$2
	shift 2
	timeout 60 "$FUSE4FS" "$@" >"$scratch/out" 2>"$scratch/err"
	got=$?
	[ "$got" = "$want" ] || { cat "$scratch/err" >&2; fail "$*: status $got, not $want"; }
	[ "$(wc -l <"$scratch/err")" = 1 ] || { cat "$scratch/err" >&2; fail "$*: not one line"; }
	grep -qiE "$pattern" "$scratch/err" || { cat "$scratch/err" >&2; fail "$*: does not say $pattern"; }
	mountpoint -q "$mnt" && fail "$*: mounted all the same"
}

img 32M -t ext4
refused 32 'does not exist|no such file' "$scratch/none" "$mnt"
refused 32 'directory' "$scratch" "$mnt"
: >"$scratch/empty"
refused 32 'empty' "$scratch/empty" "$mnt"
head -c 1M /dev/urandom >"$scratch/noise"
refused 32 'ext' "$scratch/noise" "$mnt"
head -c 8M "$image" >"$scratch/short"
refused 32 'trunc|larger|smaller|short|cut' "$scratch/short" "$mnt"
refused 32 'ext|offset' -o offset=4096 "$image" "$mnt"
refused 32 'offset|end|outside' -o offset=1G "$image" "$mnt"
refused 32 'mount ?point' "$image" "$scratch/nowhere"
refused 1 'nonsense' -o nonsense "$image" "$mnt"
refused 1 'commit' -o commit=abc "$image" "$mnt"
refused 1 'errors' -o errors=perhaps "$image" "$mnt"
refused 1 '' "$image"
refused 32 'partition' -o partition=1 "$image" "$mnt"
refused 32 'root|no such' -o root=/none "$image" "$mnt"
"$FUSE4FS" --version | grep -q fuse4fs || fail "--version"
[ "$("$FUSE4FS" --help | wc -l)" -gt 10 ] || fail "--help"

# Features that are not served name themselves.
img 32M -t ext4 -O bigalloc
refused 32 bigalloc "$image" "$mnt"
serve ro
unserve
img 32M -t ext4 -O casefold
refused 32 casefold "$image" "$mnt"

# In the background: mounted when the command returns; the image is locked.
img 32M -t ext4
"$FUSE4FS" "$image" "$mnt" || fail "mount in the background"
mountpoint -q "$mnt" || fail "not mounted on return"
mkdir "$scratch/second"
timeout 20 "$FUSE4FS" -o lock=fail "$image" "$scratch/second" 2>"$scratch/err" && fail "mounted twice"
pid=$("$FUSE4FS" --status "$mnt" | sed -n 's/^pid  *//p')
[ "$pid" ] && grep -q "$pid" "$scratch/err" || { cat "$scratch/err" >&2; fail "who holds the image ($pid) is not said"; }
loop=$(losetup -f --show "$image") || fail "losetup"
timeout 20 "$FUSE4FS" -o lock=fail "$loop" "$scratch/second" 2>"$scratch/err" && fail "mounted twice, by a loop device"
losetup -d "$loop"
grep -q "by process" "$scratch/err" || { cat "$scratch/err" >&2; fail "who holds the loop device's file is not said"; }
"$FUSE4FS" --status "$mnt" | grep -q "$image" || fail "--status"
"$FUSE4FS" --status --json "$mnt" | python3 -m json.tool >/dev/null || fail "--status --json"
"$FUSE4FS" -u "$mnt" || fail "-u"
pgrep -f -- "fuse4fs $image $mnt" >/dev/null && fail "the server is still there after -u"
clean_image
[ ${#mnt} -ge 64 ] || dumpe2fs -h "$image" 2>/dev/null | grep -q "^Last mounted on: *$mnt$" ||
	fail "the superblock does not say where it was mounted"

# Other mounts of the same: the server goes on for these, nobody waits; by a link's name, too.
mkdir "$scratch/copy"
ln -s mnt "$scratch/link"
"$FUSE4FS" "$image" "$mnt" && mount --bind "$mnt" "$scratch/copy" || fail "bind mount"
for one in copy mnt; do
	timeout 20 "$FUSE4FS" -u "$scratch/$one" 2>"$scratch/err" || fail "-u $one: status $?"
	mountpoint -q "$scratch/$one" && fail "-u $one: still mounted"
	[ $one = mnt ] || mount --bind "$mnt" "$scratch/copy"
done
grep -q "still mounted at $scratch/copy" "$scratch/err" || fail "the other mount is not named"
[ -d "$scratch/copy/lost+found" ] || fail "the other mount is dead"
mount --bind "$scratch/copy" "$mnt" && umount "$scratch/copy"
unshare -m --propagation private sh -c ': >"$1/in"; exec sleep 120' sh "$scratch" &
other=$!
await 30 test -e "$scratch/in" || fail "no other mount namespace"
timeout 90 "$FUSE4FS" -u "$scratch/link" 2>"$scratch/err" &
p=$!
await 60 grep -q "another mount namespace has it" "$scratch/err" ||
	{ kill "$other"; fail "who else has the mount is not said"; }
kill "$other"
{ wait "$other"; } 2>/dev/null
wait "$p" || fail "-u of a link: status $?"
pgrep -f -- "$image" >/dev/null && fail "the server is still there after its last mount"
clean_image

# The kernel's own mount keeps us out.
kmount
timeout 30 "$FUSE4FS" -o lock=fail "$image" "$mnt" 2>"$scratch/err" && fail "mounted beside the kernel"
grep -q loop "$scratch/err" || { cat "$scratch/err" >&2; fail "the loop device is not named"; }
kumount

# Partitions, by number; a window by offset.
truncate -s 80M "$scratch/disk"
python3 - "$scratch/disk" <<'P' || fail "partition table"
import struct, sys
entries = [struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, start, 65536) for start in (2048, 67584)]
with open(sys.argv[1], "r+b") as f:
    f.seek(446)
    f.write(b"".join(entries) + b"\0" * 32 + b"\x55\xaa")
P
dd if="$image" of="$scratch/disk" bs=1M seek=33 conv=notrunc status=none
image_=$image image=$scratch/disk
serve partition=2
echo p2 >"$mnt/p2"
unserve
serve "offset=$((67584 * 512)),sizelimit=32M"
[ "$(cat "$mnt/p2")" = p2 ] || fail "offset= and partition= differ"
unserve
image=$image_

# Inherited descriptors.
exec 9<>"$image"
"$FUSE4FS" fd:9 "$mnt" || fail "fd:9"
exec 9>&-
echo x >"$mnt/fd" && umount "$mnt" || fail "umount of fd:9"
for _ in $(seq 600); do pgrep -f -- "fuse4fs fd:9 $mnt" >/dev/null || break; sleep 0.1; done

# Numbers that were not passed are not ours, and not looked up among what we opened ourselves.
refused 32 'fd:9: is not an open' fd:9 "$mnt"
for fd in 3 4 5 6 7; do
	refused 32 "fd:$fd: is not an open" "fd:$fd" "$mnt"
	for f in "" -f; do
		refused 32 "/dev/fd/$fd: .*is not an open" $f "$image" "/dev/fd/$fd"
	done
	refused 32 "passfd=$fd: is not an open" -o passfd=$fd "$image" "$mnt"
	refused 32 "/dev/fd/$fd: is not an open" -o keyfile=/dev/fd/$fd "$image" "$mnt"
done
refused 32 '/dev/fd/1: .*standard' "$image" /dev/fd/1
refused 32 '/dev/fd/x: .*number' "$image" /dev/fd/x
: >"$scratch/secret"
refused 32 '/dev/fd/7: .*is not /dev/fuse' "$image" /dev/fd/7 7<>"$scratch/secret"
refused 32 '/dev/fd/7: .*is not /dev/fuse' -f "$image" /dev/fd/7 7<>/dev/null
pgrep -f -- "fuse4fs .*$image" >/dev/null && fail "descriptors: a process was left behind"

# Nothing else that the caller has open stays in the server: locks, files, pipes.
timeout 20 bash -c '(exec 7>>"$4/secret"; flock 7; exec "$1" -o passfd=11 "$2" "$3" 11</dev/null) 3>&1 | cat' \
	bash "$FUSE4FS" "$image" "$mnt" "$scratch" || fail "an inherited pipe stays open"
flock -n "$scratch/secret" true || fail "an inherited lock stays held"
for p in $(pgrep -f -- "fuse4fs .*$image"); do
	stat -c %N /proc/"$p"/fd/* | grep secret && fail "an inherited descriptor stays open"
done
umount "$mnt"
for _ in $(seq 600); do pgrep -f -- "$image" >/dev/null || break; sleep 0.1; done
# A closed standard stream is not where the image's bytes are.
"$FUSE4FS" "$image" "$mnt" <&- >&- 2>&- || fail "without standard streams"
umount "$mnt"
for _ in $(seq 600); do pgrep -f -- "$image" >/dev/null || break; sleep 0.1; done
clean_image

# A FUSE descriptor that somebody else opened and mounted.
python3 - "$FUSE4FS" "$image" "$mnt" <<'P' || fail "/dev/fd/N as mount point"
import ctypes, os, subprocess, sys
server, image, mnt = sys.argv[1:]
libc = ctypes.CDLL(None)
fd = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fd, True)
data = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions" % fd
assert libc.mount(b"x", mnt.encode(), b"fuse.fuse4fs", 0, data) == 0
assert subprocess.run([server, image, f"/dev/fd/{fd}"], close_fds=False, timeout=60).returncode == 0
os.close(fd)
open(mnt + "/by-descriptor", "w").close()
assert libc.umount2(mnt.encode(), 0) == 0
P
for _ in $(seq 600); do pgrep -f -- "$image" >/dev/null || break; sleep 0.1; done
clean_image

# SIGTERM and SIGINT unmount cleanly.
for sig in TERM INT; do
	serve
	echo data >"$mnt/on-$sig"
	kill -$sig "$server"
	for _ in $(seq 600); do kill -0 "$server" 2>/dev/null || break; sleep 0.05; done
	mountpoint -q "$mnt" && fail "still mounted after SIG$sig"
	wait "$server"
	clean_image
done

# A user is told why nothing was unmounted.
chmod 755 "$scratch"
user="setpriv --reuid 65534 --regid 65534 --clear-groups"
if $user "$FUSE4FS" --version >/dev/null 2>&1; then
	for case in "$mnt:Invalid argument" "$scratch/none:No such file"; do
		$user "$FUSE4FS" -u "${case%%:*}" 2>"$scratch/err" && fail "-u $case by a user"
		[ "$(wc -l <"$scratch/err")" = 1 ] && grep -q "${case#*:}" "$scratch/err" ||
			{ cat "$scratch/err" >&2; fail "-u by a user: not $case"; }
	done
	serve
	$user "$FUSE4FS" -u "$mnt" 2>"$scratch/err" && fail "-u by another user"
	[ "$(wc -l <"$scratch/err")" = 1 ] && grep -qE "not permitted|not installed" "$scratch/err" ||
		{ cat "$scratch/err" >&2; fail "-u of root's mount by a user"; }
	unserve
fi

# In a user namespace, with no privilege but that. (None can be made inside a chroot.)
if unshare -Ur true 2>/dev/null; then
	unshare -Urm sh -c '"$1" "$2" "$3" && echo ns >"$3/ns" && cat "$3/ns" && umount "$3"' sh \
		"$FUSE4FS" "$image" "$mnt" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "user namespace"; }
	for _ in $(seq 600); do pgrep -f -- "$image" >/dev/null || break; sleep 0.1; done
	clean_image
fi

# Read-only: not one byte changes, even with a dirty journal.
sum=$(md5sum <"$image")
serve ro
ls -lR "$mnt" >/dev/null
touch "$mnt/x" 2>/dev/null && fail "ro mount was written"
unserve
[ "$(md5sum <"$image")" = "$sum" ] || fail "ro changed the image"

# Symbolic links that nobody follows.
serve
ln -s lost+found "$mnt/link"
unserve
serve nosymfollow
[ "$(readlink "$mnt/link")" = lost+found ] || fail "readlink under nosymfollow"
ls "$mnt/link/" 2>/dev/null && fail "nosymfollow: followed"
unserve

# A client that dies in the middle does not keep anybody.
serve
dd if=/dev/zero of="$mnt/fill" bs=1M count=1000 2>/dev/null &
sleep 0.2
kill -9 $! 2>/dev/null
{ wait $!; } 2>/dev/null
timeout 30 rm -f "$mnt/fill" || fail "rm after a killed writer"
unserve
clean_image
