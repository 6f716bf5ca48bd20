#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One voice and mount(8)'s exit statuses, from fuse4fs and from its helpers alike:
# "fuse4fs: OBJECT: what: why (way out)" on one line; --help fits a screen; in the background
# messages go to the system log, with the image's name.
. "$(dirname "$0")/lib.sh"
need_fuse; need mke2fs python3 unshare

screen=$("$FUSE4FS" --help)
[ "$(wc -l <<<"$screen")" -le 24 ] && [ "$(wc -L <<<"$screen")" -le 80 ] || fail "--help does not fit 24 lines of 80"
"$FUSE4FS" -o help | grep -q '^  noatime  *never' || fail "-o help"

# says STATUS BEGINNING COMMAND...: ends with it, and says one line that begins with "fuse4fs: BEGINNING"
says() {
	want=$1 begins=$2
	shift 2
	timeout 60 "$@" >"$scratch/out" 2>"$scratch/err" <"${from:-/dev/null}"
	got=$?
	[ "$got" = "$want" ] || { cat "$scratch/err" >&2; fail "$*: status $got, not $want"; }
	[ "$(wc -l <"$scratch/err")" = 1 ] && [[ $(cat "$scratch/err") == "fuse4fs: $begins"?* ]] ||
		{ cat "$scratch/err" >&2; fail "$*: does not begin with 'fuse4fs: $begins'"; }
	! grep -qE '^fuse4fs: [^:]*: .*\.$|fuse: |errno|(\(.*){3}' "$scratch/err" || { cat "$scratch/err" >&2; fail "$*: another voice"; }
}
tools=$top_tests/../tools
img 32M -t ext4
mkdir "$scratch/full"
: >"$scratch/empty"
head -c 1M /dev/urandom >"$scratch/noise"
head -c 8M "$image" >"$scratch/short"
for how in "$FUSE4FS" "$tools/mount.fuse4fs"; do
	says 32 "$scratch/none: " "$how" "$scratch/none" "$mnt"
	says 32 "$scratch: is a directory" "$how" "$scratch" "$mnt"
	says 32 "$scratch/empty: is empty" "$how" "$scratch/empty" "$mnt"
	says 32 "$scratch/noise: no ext2, ext3 or ext4 file system found (partition= " "$how" "$scratch/noise" "$mnt"
	says 32 "$scratch/short: the file system has 33554432 bytes but the device only 8388608; it is cut short (" \
		"$how" "$scratch/short" "$mnt"
	says 32 "/dev/null: " "$how" /dev/null "$mnt"
	says 32 "$scratch/nowhere: no mount point: " "$how" "$image" "$scratch/nowhere"
	says 32 "$image: offset=1073741824 is " "$how" "$image" "$mnt" -o offset=1G
	says 32 "$image: root=/none: " "$how" "$image" "$mnt" -o root=/none
	says 32 "$image: header=" "$how" "$image" "$mnt" -o "header=$scratch/none"
	says 1 "unknown option 'nonsense' (" "$how" "$image" "$mnt" -o nonsense
	says 1 "commit=abc: " "$how" "$image" "$mnt" -o commit=abc
	says 32 "127.0.0.1: cannot connect: " "$how" 127.0.0.1:x "$mnt" -o ssh_config=none,port=1
done
says 1 "unknown option '-z' (" "$FUSE4FS" -z
says 1 "usage: " "$FUSE4FS" "$image"
says 32 "$mnt: cannot unmount: " "$FUSE4FS" -u "$mnt"
says 32 "$mnt: cannot unmount: " "$tools/umount.fuse4fs" "$mnt"
says 32 "$mnt: is not " "$FUSE4FS" --status "$mnt"
says 32 "$scratch/none: " "$FUSE4FS" --probe "$scratch/none"
for helper in mount umount; do
	"$tools/$helper.fuse4fs" >/dev/null 2>"$scratch/err"
	[ $? = 1 ] && grep -q "^usage: $helper.fuse4fs " "$scratch/err" || fail "$helper.fuse4fs: no usage"
	"$tools/$helper.fuse4fs" "$image" "$mnt" -Q 2>"$scratch/err"
	[ $? = 1 ] && [ "$(wc -l <"$scratch/err")" = 1 ] || fail "$helper.fuse4fs: an unknown flag"
done
if command -v cryptsetup >/dev/null; then
	container "$scratch/luks" $((32 << 20))
	echo wrong >"$scratch/wrong"
	for how in "$FUSE4FS" "$tools/mount.fuse4fs"; do
		from=$scratch/wrong says 33 "$scratch/luks: " "$how" "$scratch/luks" "$mnt"
	done
fi
# An image that is in use.
serve
mkdir "$scratch/second"
for how in "$FUSE4FS" "$tools/mount.fuse4fs"; do
	says 32 "$image: is in use by process $server " "$how" "$image" "$scratch/second" -o lock=fail
done
unserve

# What fusermount3 says is part of the one line.
if command -v setpriv >/dev/null && command -v fusermount3 >/dev/null && [ -u "$(command -v fusermount3)" ]; then
	cat >"$scratch/by-user" <<'S'
. "$1"
leave_other_mounts
: >"$scratch/fuse.conf"
mount --bind "$scratch/fuse" /dev/fuse && mount --bind "$scratch/fuse.conf" /etc/fuse.conf || exit 77
user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
says 32 "$scratch/theirs: cannot mount: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf (" \
	"${user[@]}" "$FUSE4FS" "$image" "$scratch/theirs" -o allow_other
says 32 "$mnt: cannot mount: user has no write access to mountpoint $mnt (" "${user[@]}" "$FUSE4FS" "$image" "$mnt"
says 32 "$scratch/secret: permission denied; " "${user[@]}" "$FUSE4FS" "$scratch/secret" "$scratch/theirs"
mount --bind /dev/null "$(command -v fusermount3)"
says 32 "$scratch/theirs: cannot mount: " "${user[@]}" "$FUSE4FS" "$image" "$scratch/theirs"
grep -q 'install fuse3' "$scratch/err" || fail "without fusermount3: $(cat "$scratch/err")"
S
	need_own_mounts
	touch "$scratch/fuse.conf" && install -m 600 "$image" "$scratch/secret" || fail "files"
	mknod -m 666 "$scratch/fuse" c 10 229 && mkdir "$scratch/theirs" && chown 65534 "$scratch/theirs" "$image" || fail mknod
	chmod 755 "$scratch"
	declare -f says fail leave_other_mounts >"$scratch/functions"
	declare -p scratch mnt image FUSE4FS >>"$scratch/functions"
	unshare -m bash "$scratch/by-user" "$scratch/functions"
	status=$?
	[ $status = 0 ] || [ $status = 77 ] || exit 1
	chown 0 "$image"
fi

# In the background: a system log of our own, in a mount namespace where /dev holds no more.
cat >"$scratch/inside" <<'S'
set -e
scratch=$1
leave_other_mounts
mount -t tmpfs none "$1/full"
for node in null:1:3 urandom:1:9 fuse:10:229; do
	IFS=: read -r name major minor <<<"$node"
	mknod -m 666 "$1/full/$name" c "$major" "$minor"
done
mount --bind "$1/full" /dev
python3 -I - "$1/log" <<'P' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
s.settimeout(60)
with open(sys.argv[1], "w", buffering=1) as log:
    while True:
        line = s.recv(4096).decode()
        print(line, file=log)
        if "told to end" in line:
            break
P
logger=$!
for _ in $(seq 600); do [ ! -S /dev/log ] || break; sleep 0.05; done
"$FUSE4FS" "$2" "$3"
exec 9>"$3/busy"
kill -TERM "$("$FUSE4FS" --status "$3" | sed -n 's/^pid  *//p')"
wait "$logger"
exec 9>&-
S
need_own_mounts
export -f leave_other_mounts
unshare -m bash "$scratch/inside" "$scratch" "$image" "$mnt" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "the log heard nothing"; }
grep -qE "^<[0-9]+>.* fuse4fs\[[0-9]+\]: $image: told to end while in use" "$scratch/log" ||
	{ cat "$scratch/log" >&2; fail "not the line that was expected in the log"; }
for _ in $(seq 600); do pgrep -f -- "$image" >/dev/null || break; sleep 0.1; done
clean_image
exit 0
