#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Eight processes of mixed work at once (SECONDS_=n, default 20), with content checks of
# their own; then e2fsck and a second look at what they left.
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs e2fsck

img 512M -t ext4 ${MKFS_ARGS:-}
serve "${SERVE_OPTS:-}"
for i in 1 2 3 4 5 6 7 8; do
	python3 "$top_tests/worker.py" "$mnt" "$i" "${SECONDS_:-20}" >"$scratch/w$i" 2>&1 &
	pids[i]=$!
done
for i in 1 2 3 4 5 6 7 8; do
	wait "${pids[i]}" || { cat "$scratch/w$i" >&2; fail "worker $i"; }
done
(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 md5sum) >"$scratch/sums"
unserve
clean_image
serve "ro"
(cd "$mnt" && md5sum --quiet -c "$scratch/sums") || fail "contents changed over a remount"
unserve
