#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who waits for a connection that does not answer can be killed, at once, whatever it waits for
# and however many wait; who only catches a signal goes on waiting. Afterwards all is well.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck python3
config=$scratch/config

img 256M -t ext4
serve
mkdir "$mnt/names" "$mnt/many"
for i in $(seq 300); do echo "$i" >"$mnt/names/$i"; done
for i in $(seq 41); do head -c 65536 /dev/urandom >"$mnt/many/$i"; done
head -c 30000000 /dev/urandom >"$mnt/big"
echo old >"$mnt/victim"
cp "$mnt/big" "$scratch/big"
unserve

sshd_up s
net_up s "${sshd_port[s]}" 5
sshd_config s >"$config"
timeout 60 "$FUSE4FS" -o "ssh_config=$config,sftp_buffer=8M,deadline=60" "s:$image" "$mnt" || fail mount
echo before >"$mnt/synced"
sync -f "$mnt/synced"
exec 3<"$mnt/big" 4>>"$mnt/synced" || fail open
cat "$mnt/victim" >/dev/null
# Who waits for a lock or a lookup of somebody else waits as long as he does: not for another
# directory's, here.
[ -d "$mnt/names" ] && [ -d "$mnt/many" ] || fail stat
net s freeze >/dev/null
heard=$(net s stats | sed 's/.* down \([0-9]*\).*/\1/')

declare -a pids names
blocked() { # NAME COMMAND...: in the background
	names+=("$1")
	shift
	("$@" >/dev/null 2>&1) &
	pids+=($!)
	disown
}
direct() { exec dd if=/dev/zero of="$mnt/victim" bs=1M count=64 oflag=direct conv=notrunc; }
reader() { exec dd bs=1M iflag=direct <&3; }
synced() { echo more >&4; exec python3 -I -c 'import os; os.fsync(4)'; }
blocked cat cat "$mnt/many/1"
blocked reader reader
blocked ls ls -lR "$mnt/names"
blocked fsync synced
blocked writer direct
blocked mkdir mkdir "$mnt/names/new"
blocked rm rm "$mnt/names/7"
blocked mv mv "$mnt/names/8" "$mnt/names/moved"
for i in $(seq 2 40); do blocked "cat $i" cat "$mnt/many/$i"; done
# It catches its signal, and must not notice anything.
python3 -I -c '
import signal, sys
signal.signal(signal.SIGUSR1, lambda *a: None)
open(sys.argv[2], "w").close()
print(len(open(sys.argv[1], "rb").read()))' "$mnt/many/41" "$scratch/catches" >"$scratch/patient" 2>&1 &
patient=$!
for _ in $(seq 600); do [ ! -e "$scratch/catches" ] || break; sleep 0.05; done
sleep 1
for i in "${!pids[@]}"; do
	kill -0 "${pids[$i]}" 2>/dev/null || fail "${names[$i]} did not wait"
done
kill -USR1 $patient

# all_gone SECONDS: every one of them has ended.
all_gone() {
	local end=$(($(date +%s%N) + $1 * 1000000000)) i left
	while :; do
		left=
		for i in "${!pids[@]}"; do
			! kill -0 "${pids[$i]}" 2>/dev/null || left="$left ${names[$i]}"
		done
		[ -n "$left" ] || return 0
		[ "$(date +%s%N)" -lt $end ] || fail "still there:$left"
		sleep 0.05
	done
}
start=$(date +%s%N)
# The one as from a terminal, the others as from kill -9; children of the subshells first.
kill -INT "${pids[0]}"
for p in "${pids[@]}"; do kill -9 "$p"; done
all_gone 30
# Nobody has been answered, nor given up: the connection is the same, and as silent.
"$FUSE4FS" --status --json "$mnt" >"$scratch/status"
grep -q '"state": "up"' "$scratch/status" && grep -q '"reconnects": 0\b' "$scratch/status" &&
	[ "$(net s stats | sed 's/.* down \([0-9]*\).*/\1/')" = "$heard" ] ||
	{ cat "$scratch/status" >&2; fail "they were not killed while they waited"; }
[ -z "${VERBOSE:-}" ] || echo "all ended after $((($(date +%s%N) - start) / 1000000)) ms"
sleep 0.5
kill -0 $patient 2>/dev/null || fail "a caught signal ended a read: $(cat "$scratch/patient")"

net s resume >/dev/null
wait $patient || fail "a read failed: $(cat "$scratch/patient")"
[ "$(head -n 1 "$scratch/patient")" = 65536 ] || fail "read: $(cat "$scratch/patient")"
exec 3<&- 4>&-
timeout 30 cmp "$mnt/big" "$scratch/big" || fail "the big file"
[ "$(head -n 1 "$mnt/synced")" = before ] || fail "what had been synced"
# Whether they happened or not: the kernel and the image agree.
echo new >"$mnt/victim" && sync -f "$mnt/victim" || fail "write"
ls -l "$mnt/names" >"$scratch/seen" || fail ls
[ "$(stat -c %i "$mnt"/names/* | sort -u | wc -l)" = "$(ls "$mnt/names" | wc -l)" ] || fail "names"
[ ! -e "$mnt/names/7" ] || [ "$(cat "$mnt/names/7")" = 7 ] || fail "rm left something else"
umount "$mnt" || fail umount
for _ in $(seq 900); do pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || break; sleep 0.1; done
clean_image
serve
ls -l "$mnt/names" | diff - "$scratch/seen" || fail "other names after a remount"
[ "$(cat "$mnt/victim")" = new ] || fail "a killed write came later than a new one"
exit 0
