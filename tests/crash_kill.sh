#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of the server under the workload of crash_load, again and again on the same image:
# what is left is judged as a power cut is (crash_replay.c), by us, the kernel and e2fsck.
#
# CRASH_KILLS=n (40) times, in turn on several kinds of file system; CRASH_SEED=n. What fails is
# kept in CRASH_KEEP (the build folder) for `crash_replay -e`.
. "$(dirname "$0")/lib.sh"
need_fuse
need e2fsck mke2fs
tools=${top_builddir:-.}/tests
kills=${CRASH_KILLS:-40}
seed=${CRASH_SEED:-$$}
keep=${CRASH_KEEP:-${BUILDDIR:-.}/tests}
kernel=
[ -c /dev/loop-control ] && unshare -m true 2>/dev/null || kernel=-K

keep_failure() { # WHAT
	kept=$keep/crash-kill-$seed
	mkdir -p "$kept" && cp --sparse=always "$scratch/killed" "$scratch/log" "$kept/"
	cat "$scratch/out" >&2
	fail "$1: round $round of seed $seed, $name; $kept has image and log for crash_replay -e"
}

# A directory for each worker; those of earlier rounds go while the new ones work.
load() {
	set -- "$mnt"/p*
	"$tools/crash_load" -k -n 0 -s "$seed$round" -w "$((round * 4))" "$mnt" "$scratch/log" >"$scratch/out" 2>&1 &
	load=$!
	rm -rf "$@" 2>/dev/null &
	cleaner=$!
}

one_kill() {
	serve commit=1
	load
	sleep "$(awk -v s="$seed$round" 'BEGIN { srand(s); print 0.05 + rand() * 0.6 }')"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	wait "$load" || keep_failure "an operation failed before the kill"
	wait "$cleaner"
	umount "$mnt" 2>/dev/null || umount -l "$mnt"
	plain_copy "$scratch/killed"
	"$tools/crash_replay" -e $kernel "$scratch/killed" "$scratch/log" "$scratch/work" >"$scratch/out" 2>&1 ||
		keep_failure "judgement"
}

kind() { # NAME SIZE MKE2FS-ARGS
	name=$1
	shift
	img "$@"
	last=$((round + (kills - round) / kinds))
	kinds=$((kinds - 1))
	while [ $round -lt $last ]; do
		round=$((round + 1))
		one_kill
	done
	serve
	unserve
	clean_image
}

round=0 kinds=5
mkdir "$scratch/work"
kind 1k 16M -t ext4 -b 1024 -N 4096 -J size=1
kind ext4 32M -t ext4 -b 4096 -N 4096 -J size=4
kind ext3 16M -t ext3 -b 1024 -N 4096 -J size=1
kind orphan_file 16M -t ext4 -b 1024 -N 4096 -J size=1 -O orphan_file
kind nocsum 16M -t ext4 -b 1024 -N 4096 -J size=1 -O ^metadata_csum
exit 0
