#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The far disk is full: a sparse image on a server whose file system has no room for all of it.
# Whoever writes hears of it, nothing hangs, what was synced stays; with room again all is well.
# FULL_SEED=n.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck python3
seed=${FULL_SEED:-$$}
oracle=$top_tests/oracle.py
config=$scratch/config

mkdir "$scratch/far"
mount -t tmpfs -o size=32M none "$scratch/far" || skip "no tmpfs"
image=$scratch/far/img
sshd_up s subsystem=external
sshd_config s >"$config"

attach() { # OPTIONS
	"$FUSE4FS" -f -o "ssh_config=$config,sftp_buffer=4M${1:+,$1}" "s:$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 1200); do
		mountpoint -q "$mnt" && return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "seed $seed: no mount"
}
status() { timeout 10 "$FUSE4FS" --status --json "$mnt" | sed -nE "s/.*\"$1\": *\"?([^\",]*)\"?,?.*/\1/p"; }
verify() { python3 "$oracle" check "$mnt" "$mnt" "$scratch/oracle" || fail "seed $seed: $1"; }

for kind in "-t ext4 -J size=4" "-t ext4 -O ^has_journal"; do
	rm -f "$scratch"/oracle.* "$image"
	# The last server holds it for a moment.
	for _ in $(seq 600); do
		[ "$(df --output=used -k "$scratch/far" | tail -n 1)" -gt 1024 ] || break
		sleep 0.1
	done
	mount -o remount,size=32M "$scratch/far" || fail "remount"
	# shellcheck disable=SC2086 # words
	img 128M $kind -E nodiscard,lazy_itable_init=1
	attach
	python3 "$oracle" load "$mnt" "$seed" "$scratch/oracle" 2>"$scratch/load.err" &
	load=$!
	sleep 1
	timeout 60 dd if=/dev/urandom of="$mnt/fill" bs=64k count=1000 conv=fsync 2>"$scratch/dd"
	case $? in
	0) fail "$kind: the server is full and nobody has noticed" ;;
	124) fail "$kind: a write hangs" ;;
	esac
	grep -qiE 'input/output error|read-only|no space' "$scratch/dd" || { cat "$scratch/dd" >&2; fail "$kind: another error"; }
	timeout 30 sh -c 'while kill -0 $0 2>/dev/null; do sleep 0.1; done' $load || fail "$kind: the load hangs"
	wait $load
	grep -q broken <<<"$(status state)" || fail "$kind: the link is $(status state)"
	timeout 10 sh -c 'echo x >"$0" && sync "$0"' "$mnt/new" 2>/dev/null && fail "$kind: can still write"
	timeout 20 umount "$mnt" || fail "$kind: umount hangs"
	wait "$server" && fail "$kind: nobody was told that not everything was written"
	# What there was before has not suffered, and goes on when there is room.
	mount -o remount,size=256M "$scratch/far" || fail "remount"
	attach
	verify "$kind: with room again"
	echo on >"$mnt/new" && sync "$mnt/new" || fail "$kind: cannot write again"
	umount "$mnt"
	wait "$server" || fail "$kind: the server ended with status $?"
	case $kind in
	# Without a journal the failure left some of the metadata behind, in any state.
	*^has_journal*) e2fsck -fy "$image" >"$scratch/fsck.log" 2>&1
		[ $? -le 1 ] || { cat "$scratch/fsck.log" >&2; fail "$kind: e2fsck"; } ;;
	esac
	clean_image
done
exit 0
