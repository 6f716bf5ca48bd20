#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The power is cut under a mounted file system: four processes work on a mount whose device
# logs every call, then images are built from the log as a cut could have left them, and we,
# the kernel and e2fsck must recover the same from each (crash_replay.c).
#
# CRASH_SEED=n (1); CRASH_CUTS=n for each kind of file system (220), CRASH_ALL=1 takes every
# cut; CRASH_STEPS=n of each process (200); CRASH_SETUP=NAME only this one. What fails is kept in
# CRASH_KEEP (the build folder) for `crash_replay -c`.
. "$(dirname "$0")/lib.sh"
need_fuse
need e2fsck mke2fs debugfs
tools=${top_builddir:-.}/tests
seed=${CRASH_SEED:-1}
steps=${CRASH_STEPS:-200}
keep=${CRASH_KEEP:-${BUILDDIR:-.}/tests}
cuts="-n ${CRASH_CUTS:-220}"
[ -z "${CRASH_ALL:-}" ] || cuts=-a
kernel=
[ -c /dev/loop-control ] && unshare -m true 2>/dev/null || kernel=-K
FUSE4FS=$tools/recording_fuse4fs

# Images in memory: they are written again for every cut.
if [ -w /dev/shm ]; then
	work=$(mktemp -d "/dev/shm/f4t-power-XXXXXX")
else
	work=$scratch/work
	mkdir "$work"
fi
image=$work/img

cleanup_work() {
	status=$?
	for m in $(awk -v s="$work" 'index($2, s) == 1 { print $2 }' /proc/self/mounts); do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done
	rm -rf "$work"
	(exit $status)
	cleanup_scratch
}
trap cleanup_work EXIT

keep_failure() { # NAME
	kept=$keep/crash-$1-$seed
	mkdir -p "$kept" && cp --sparse=always "$work/base" "$work/log" "$kept/"
	fail "$1, seed $seed, mounted with '$opts'; $kept has base and log for crash_replay"
}

# What was on the disk before is never to be seen in a file.
dirty_base() { # SIZE MKE2FS-ARGS
	size=$1
	shift
	rm -f "$image"
	yes "stale bytes of an older file system" | head -c "$size" >"$work/new"
	mke2fs -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$@" "$work/new" >"$scratch/mke2fs.log" 2>&1 ||
		{ cat "$scratch/mke2fs.log" >&2; fail "mke2fs $*"; }
	if [ "$journal_csum" != asis ]; then
		printf 'jo -c -v %s\njc\n' "$journal_csum" | debugfs -w -f - "$work/new" >"$scratch/debugfs.log" 2>&1
		dumpe2fs -h "$work/new" 2>&1 | grep -q "journal_checksum_v$journal_csum" ||
			fail "debugfs has not set the journal's checksums"
	fi
	cp "$work/new" "$work/base"
	adopt "$work/new"
}

setup() { # NAME OPTS SIZE MKE2FS-ARGS
	name=$1 opts=$2
	[ "${CRASH_SETUP:-$name}" = "$name" ] || return 0
	shift 2
	n=$((n + 1))
	dirty_base "$@"
	export CRASH_LOG="$work/log"
	serve "$opts"
	unset CRASH_LOG
	"$tools/crash_load" -s "$((seed * 10 + n))" -n "$steps" "$mnt" "$work/log" 2>"$scratch/load.log" ||
		{ cat "$scratch/load.log" >&2; keep_failure "$name"; }
	unserve
	clean_image
	# shellcheck disable=SC2086
	"$tools/crash_replay" $cuts $kernel -s "$seed" "$work/base" "$work/log" "$work" >"$scratch/out" ||
		{ cat "$scratch/out" >&2; keep_failure "$name"; }
	sed "s/^/$name: /" "$scratch/out" >>"$scratch/all"
	[ -z "${CRASH_VERBOSE:-}" ] || tail -n 1 "$scratch/all"
	rm -rf "$work"/job*
}

# journal_csum: version of the journal's checksums; as it is, 3 with metadata_csum, else none.
n=0 journal_csum=asis
setup ext4 commit=1 24M -t ext4 -b 4096 -N 2048 -J size=4
setup 1k commit=1,discard 12M -t ext4 -b 1024 -N 2048 -J size=1
setup ext3 commit=1 12M -t ext3 -b 1024 -N 2048 -J size=1
setup nocsum commit=1 12M -t ext4 -b 1024 -N 2048 -J size=1 -O ^metadata_csum,^64bit
setup orphan_file commit=1 12M -t ext4 -b 1024 -N 2048 -J size=1 -O orphan_file,^64bit
setup no_orphan_file commit=1,discard 12M -t ext4 -b 2048 -N 2048 -J size=2 -O ^orphan_file
setup inline_data commit=1 12M -t ext4 -b 1024 -I 256 -N 2048 -J size=1 -O metadata_csum,inline_data,ea_inode
setup small_inodes commit=1 12M -t ext4 -b 1024 -I 128 -N 2048 -J size=1 -O ^dir_index,^flex_bg
setup groups commit=1 28M -t ext4 -b 1024 -g 256 -N 2048 -J size=1 -O ^64bit
journal_csum=2
setup csum_v2 commit=1 12M -t ext4 -b 1024 -N 2048 -J size=1 -O ^64bit
[ -s "$scratch/all" ] || fail "no such setup: ${CRASH_SETUP:-}"
exit 0
