# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the mounted tests: scratch space, mounting, judging. Source it first.
#
#   scratch          folder of this test, removed at exit with every mount in it
#   img SIZE ARGS    makes $scratch/img with mke2fs ARGS
#   serve [OPTS]     mounts $scratch/img at $scratch/mnt through fuse4fs
#   unserve          unmounts and waits for the server
#   clean_image      e2fsck -fn finds nothing
set -u
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
FUSE4FS=${FUSE4FS:-$(cd "${top_builddir:-.}" && pwd)/fuse4fs/fuse4fs}
srcdir_tests=$(cd "$(dirname "$0")" && pwd)
top_tests=$srcdir_tests
scratch=$(mktemp -d "${TMPDIR:-/tmp}/f4t-$(basename "$0" .sh)-XXXXXX")
mnt=$scratch/mnt
kmnt=$scratch/kmnt
image=$scratch/img
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

img() {
	size=$1
	shift
	rm -f "$image"
	truncate -s "$size" "$image" && mke2fs -q -F "$@" "$image" >"$scratch/mke2fs.log" 2>&1 ||
		{ cat "$scratch/mke2fs.log" >&2; fail "mke2fs $*"; }
}

# The server stays in the foreground so that a sanitizer's report and exit status are seen.
serve() {
	"$FUSE4FS" -f ${1:+-o "$1"} "$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 400); do
		mountpoint -q "$mnt" && return 0
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
	e2fsck -fn "${1:-$image}" >"$scratch/fsck.log" 2>&1 ||
		{ cat "$scratch/fsck.log" >&2; fail "e2fsck is not clean"; }
}

kmount() { mount -o "loop${1:+,$1}" "$image" "$kmnt" || fail "the kernel does not mount the image"; }
kumount() { umount "$kmnt" || fail "umount of the kernel's mount"; }
