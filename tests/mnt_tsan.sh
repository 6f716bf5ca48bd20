#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No data race and no lock taken out of order while threads meet wherever they can: mixed work
# with content checks, every call at random on shared files, statistics and trims; a small
# cache, a small journal, many commits. FUSE4FS_TSAN names a server built with
# ./configure --with-sanitizer=thread; SECONDS_=n per image, default 20.
. "$(dirname "$0")/lib.sh"
[ -x "${FUSE4FS_TSAN:-}" ] || skip "FUSE4FS_TSAN names no server built with ThreadSanitizer"
need_fuse; need python3 mke2fs e2fsck
FUSE4FS=$FUSE4FS_TSAN
export TSAN_OPTIONS="halt_on_error=0 second_deadlock_stack=1 history_size=4 log_path=$scratch/tsan"

# no_reports WHEN
no_reports() {
	reports=$(find "$scratch" -maxdepth 1 -name 'tsan.*' -size +0)
	[ -z "$reports" ] || { cat "$scratch"/tsan.* >&2; fail "ThreadSanitizer reports, $1"; }
}

# churn MKFS_ARGS SERVE_OPTS
churn() {
	# shellcheck disable=SC2086 # arguments
	img 256M -t ext4 $1
	serve "sandbox=no${2:+,$2}"	# in one no report could be written
	end=$((SECONDS + ${SECONDS_:-20}))
	pids=()
	for i in 1 2 3; do
		python3 "$top_tests/worker.py" "$mnt" "$i" "${SECONDS_:-20}" >"$scratch/w$i" 2>&1 &
		pids+=($!)
		python3 "$top_tests/rough.py" "$mnt" "$i" "${SECONDS_:-20}" >"$scratch/w1$i" 2>&1 &
		pids+=($!)
	done
	while [ $SECONDS -lt $end ]; do
		timeout 60 "$FUSE4FS" --status "$mnt" >"$scratch/status" || fail "--status"
		sync -f "$mnt"
		fstrim "$mnt" 2>/dev/null	# not every image can
		sleep 0.3
	done
	for p in "${pids[@]}"; do
		wait "$p" || { cat "$scratch"/w* >&2; fail "a worker"; }
	done
	umount "$mnt" || fail "umount"
	for _ in $(seq 1200); do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	kill -0 "$server" 2>/dev/null && fail "the server did not end after umount"
	wait "$server"
	server_status=$?
	no_reports "mke2fs $1, -o $2"
	[ $server_status = 0 ] || fail "the server ended with status $server_status"
	clean_image
}

churn "-b 1024 -J size=4" "commit=1,threads=8,cache_size=1M,discard"
churn "-O ^has_journal,inline_data" "commit=1,threads=4"
churn "-O ^extents,^64bit" "commit=2,threads=8,strictatime"
