# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the mounted tests: scratch space, mounting, judging. Source it first.
#
#   scratch          folder of this test, removed at exit with every mount in it
#   img SIZE ARGS    makes $scratch/img with mke2fs ARGS
#   serve [OPTS]     mounts $scratch/img at $scratch/mnt through fuse4fs
#   unserve          unmounts and waits for the server
#   clean_image      e2fsck -fn finds nothing
#   plain_copy FILE  copies the file system's bytes, decrypted if need be
#   await SECONDS COMMAND...  until it succeeds
#
# FUSE4FS_LUKS=luks1|luks2 runs a test on a container: img, adopt and what follows wrap the
# file system in one, $scratch/img; tests that touch its bytes use plain_copy.
# FUSE4FS_LUKS_ARGS goes to luksFormat.
set -u
# tests/ stays as it is: it is copied, and compared with the copy.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1
FUSE4FS=${FUSE4FS:-$(cd "${top_builddir:-.}" && pwd)/fuse4fs/fuse4fs}
srcdir_tests=$(cd "$(dirname "$0")" && pwd)
top_tests=$srcdir_tests
scratch=$(mktemp -d "${TMPDIR:-/tmp}/f4t-$(basename "$0" .sh)-XXXXXX")
mnt=$scratch/mnt
kmnt=$scratch/kmnt
image=$scratch/img
key=$scratch/key
mkdir -p "$mnt" "$kmnt"

skip() { echo "skipped: $*"; exit 77; }
fail() {
	echo "FAILED: $*" >&2
	[ ! -s "$scratch/server.log" ] || sed 's/^/server: /' "$scratch/server.log" | tail -n 20 >&2
	exit 1
}
need() { for c in "$@"; do command -v "$c" >/dev/null || skip "$c is not installed"; done; }
need_fuse() { [ -c /dev/fuse ] && [ "$(id -u)" = 0 ] || skip "needs root and /dev/fuse"; }
need_loop() { [ -c /dev/loop-control ] && [ "$(id -u)" = 0 ] || skip "needs loop devices"; }

# The kernel makes no user namespaces there; and some files of a whole system are missing.
in_chroot() { ! unshare -U true 2>/dev/null; }

cleanup_scratch() {
	status=$?
	trap - EXIT INT TERM
	for m in $(awk -v s="$scratch" 'index($2, s) == 1 { print $2 }' /proc/self/mounts | sort -r); do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done
	for p in $(pgrep -f -- "fuse4fs .*$scratch/" 2>/dev/null); do
		[ "$p" = $$ ] || kill -9 "$p" 2>/dev/null
	done
	rm -rf "$scratch"
	exit $status
}
trap cleanup_scratch EXIT
trap 'exit 130' INT TERM

# False when it has not succeeded after that many seconds.
await() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# In a mount namespace of its own, with $scratch/fuse, a device of ours: fusermount3 mounts, sends
# SIGNAL to who asked for it, and notes that in $scratch/told.
telling_fusermount() {
	local real
	real=$(command -v fusermount3) && [ -u "$real" ] || return 1
	cat >"$scratch/wrapper" <<-S
		#!/bin/sh
		[ "\$1" != -u ] || exec "$scratch/real" "\$@"
		"$scratch/real" "\$@" && kill -$1 \$PPID && echo $1 >"$scratch/told"
	S
	: >"$scratch/told" && chmod 666 "$scratch/told" && touch "$scratch/real" && chmod 755 "$scratch/wrapper" &&
		mount --bind "$scratch/fuse" /dev/fuse && mount --bind "$real" "$scratch/real" &&
		mount --bind "$scratch/wrapper" "$real"
}

# In a new mount namespace: the copies of other tests' mounts in it would keep their servers and
# loop devices.
leave_other_mounts() {
	local m
	for m in $(awk -v own="$scratch/" '$2 ~ /f4t-/ && index($2, own) != 1 { print $2 }' \
		/proc/self/mounts | sort -r); do
		umount -l "$m" 2>/dev/null || :
	done
}

# For tests that make mount namespaces: runs the test anew in one without other tests' mounts.
own_namespace() {
	if [ -z "${OWN_NAMESPACE:-}" ]; then
		rm -rf "$scratch"
		OWN_NAMESPACE=1 exec unshare -m bash "$0"
	fi
	leave_other_mounts
}

img() {
	size=$1
	shift
	rm -f "$image"
	truncate -s "$size" "$scratch/new" && mke2fs -q -F "$@" "$scratch/new" >"$scratch/mke2fs.log" 2>&1 ||
		{ cat "$scratch/mke2fs.log" >&2; fail "mke2fs $*"; }
	adopt "$scratch/new"
}

# container FILE BYTES [ARGS]: an empty container with room for that much, opened by $key.
container() {
	file=$1 bytes=$2
	shift 2
	[ -s "$key" ] || head -c 32 /dev/urandom >"$key"
	rm -f "$file"
	truncate -s $((bytes + (16 << 20))) "$file"
	cryptsetup luksFormat -q --type "${FUSE4FS_LUKS:-luks2}" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
		${FUSE4FS_LUKS_ARGS:-} "$@" "$file" "$key" >"$scratch/luksformat.log" 2>&1 ||
		{ cat "$scratch/luksformat.log" >&2; fail "cryptsetup luksFormat"; }
	truncate -s $((bytes + $(cryptsetup luksDump "$file" |
		awk '/Payload offset:/ { print $3 * 512 } /offset:.*\[bytes\]/ && !n++ { print $2 }'))) "$file"
}

# exported FILE OPTIONS COMMAND...: runs it while FILE's block device is $scratch/x/device.
exported() {
	file=$1 options=$2
	shift 2
	mkdir -p "$scratch/x"
	"$FUSE4FS" --export-device -o "$options" "$file" "$scratch/x" || fail "--export-device"
	"$@"
	status_=$?
	"$FUSE4FS" -u "$scratch/x" || fail "-u of --export-device"
	return $status_
}

# adopt FILE: its bytes become the image's; FILE is gone.
adopt() {
	if [ "${FUSE4FS_LUKS:-}" ]; then
		container "$image" "$(stat -c %s "$1")"
		exported "$image" "keyfile=$key" dd if="$1" of="$scratch/x/device" bs=1M status=none ||
			fail "copying into the container"
		rm -f "$1"
	else
		mv "$1" "$image"
	fi
}

plain_copy() {
	if [ "${FUSE4FS_LUKS:-}" ]; then
		exported "$image" "ro,keyfile=$key,lock=none" cp --sparse=always "$scratch/x/device" "$1" &&
			chmod u+w "$1"
	else
		cp --sparse=always "$image" "$1"
	fi || fail "copying the image"
}

# The server stays in the foreground so that a sanitizer's report and exit status are seen.
serve() {
	set -- "${1:-}${FUSE4FS_LUKS:+${1:+,}keyfile=$key}"
	"$FUSE4FS" -f ${1:+-o "$1"} "$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 1200); do
		# It finds the mount in a table, which the server has heard less of than when it answers.
		mountpoint -q "$mnt" && { stat -f "$mnt" >/dev/null 2>&1; return 0; }
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "fuse4fs did not mount $image ${1:+(-o $1)}"
}

unserve() {
	umount "$mnt" || fail "umount"
	for _ in $(seq 1200); do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	kill -0 "$server" 2>/dev/null && fail "the server did not end after umount"
	wait "$server" || fail "the server ended with status $?"
}

clean_image() {
	if [ "${FUSE4FS_LUKS:-}" ] && [ $# = 0 ]; then
		plain_copy "$scratch/plain"
		set -- "$scratch/plain"
	fi
	e2fsck -fn "${1:-$image}" >"$scratch/fsck.log" 2>&1 ||
		{ cat "$scratch/fsck.log" >&2; fail "e2fsck is not clean"; }
}

# The kernel gets a copy when the image is a container: its changes stay there.
kmount() {
	kimage=$image
	[ -z "${FUSE4FS_LUKS:-}" ] || { kimage=$scratch/plain; plain_copy "$kimage"; }
	mount -o "loop${1:+,$1}" "$kimage" "$kmnt" || fail "the kernel does not mount the image"
}
kumount() { umount "$kmnt" || fail "umount of the kernel's mount"; }

# typed STATUS KEYS COMMAND...: COMMAND at a terminal; each time it asks for a passphrase the next of
# KEYS ("|" between them, "^C" interrupts) is typed. Prints what was shown.
typed() {
	local status=$1 keys
	IFS='|' read -ra keys <<<"$2"
	shift 2
	printf 'Enter passphrase for .*: $\n%s\n' "${keys[@]}" |
		SECRETS=${#keys[@]} timeout 120 python3 -I "$top_tests/terminal.py" "$status" "$@"
}

# Mounts that nobody else sees. In a chroot whose root is no mount point unshare(1) makes none.
need_own_mounts() {
	[ "$(id -u)" != 0 ] || unshare -m true 2>/dev/null ||
		skip "no mounts of its own: / is no mount point (a chroot)"
}
