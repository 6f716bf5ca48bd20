# SPDX-License-Identifier: GPL-2.0-or-later
# What the server can do from inside its sandbox, by confined_layer.c. Source it after lib.sh.
#
#   landlock, sanitized    the kernel's version of it (-1: none); not 0: a build that is less confined
#   attempts UNLISTED [OPTIONS [COMMAND...]]
#                          serves $image, by way of COMMAND, and leaves what came of each in $log
#   expect ERRNO ATTEMPT...
confined=$(realpath "${BUILDDIR:-.}/tests/confined_fuse4fs")
log=$scratch/log
[ -x "$confined" ] || skip "tests/confined_fuse4fs is not built"
landlock=$(python3 -I -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')
sanitized=$(nm "$FUSE4FS" 2>/dev/null | grep -cE '__(asan|tsan)_init')

# Writes as long as it takes the server to confine itself, which is after the mount is there.
await_attempts() {
	for _ in $(seq 600); do
		date >"$mnt/file" && sync "$mnt/file" || fail "writing in the sandbox"
		grep -q '^end$' "$log" 2>/dev/null && return 0
		sleep 0.1
	done
	fail "nothing was tried"
}

attempts() {
	local unlisted=$1 options=${2-}
	shift $(($# < 2 ? $# : 2))
	rm -f "$log"
	printf '#!/bin/sh\nexec %s "$@"\n' "$* $confined" >"$scratch/confined"
	chmod 755 "$scratch/confined"
	CONFINED_IMAGE=$image CONFINED_UNLISTED=$unlisted CONFINED_LOG=$log \
		FUSE4FS=$scratch/confined serve "$options"
	await_attempts
	unserve
}

expect() {
	local wanted=$1 a
	shift
	for a; do
		grep -qx "$a $wanted" "$log" || fail "in the sandbox: $(grep "^$a " "$log"), expected $wanted"
	done
}
