#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The SFTP device through libssh and a real sshd: how many round trips what is written, read and
# synced needs, which is how fast it is far away, whatever else this machine does.
#
# NET_SPEED_MS="0 20" measures instead, at these round trips, and prints a table: MB/s and ms, which
# mean something on an idle machine. NET_SPEED_WRITE and _READ set what is wanted at 20 ms,
# NET_SPEED_SYNC_MS what a sync may take there; NET_SPEED_MIB (32) the amount, NET_SPEED_CHANNELS=n.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_sshd
bench=${BUILDDIR:-${top_builddir:-.}}/tests/tool_sftpbench
[ -x "$bench" ] || skip "tests/tool_sftpbench has not been built"
mib=${NET_SPEED_MIB:-32}

# In memory: the network is measured, not a disk.
remote=$(mktemp /dev/shm/f4t-speed-XXXXXX)
trap 'status=$?; rm -f "$remote"; (exit $status); cleanup_ssh' EXIT
truncate -s $((mib + 1))M "$remote"
sshd_up speed line=MaxSessions\ 10
bench() { # ARGS
	sshd_config speed >"$scratch/config"
	"$bench" ${NET_SPEED_CHANNELS:+-n "$NET_SPEED_CHANNELS"} -m "$mib" -F "$scratch/config" -h speed \
		"$@" "$remote" || fail "bench"
}

seconds() { # ROUND-TRIP-MS: the table
	net_up speed "${sshd_port[speed]}" $(($1 / 2))
	out=$(bench) || exit 1
	echo "$1 ms: $out"
	read -r _ _ write _ _ read _ _ sync _ <<<"$out"
	[ "$1" = 20 ] || return 0
	[ "$write" -ge "${NET_SPEED_WRITE:-15}" ] || fail "writes $write MB/s at 20 ms"
	[ "$read" -ge "${NET_SPEED_READ:-15}" ] || fail "reads $read MB/s at 20 ms"
	# Two round trips and what the machine adds.
	[ "${sync%.*}" -lt "${NET_SPEED_SYNC_MS:-80}" ] || fail "write and fsync take $sync ms at 20 ms"
}
if [ -n "${NET_SPEED_MS:-}" ]; then
	for ms in $NET_SPEED_MS; do seconds "$ms"; done
	exit 0
fi

# Half more than it takes: 10 to write 32 MiB, 16 to read it, one for each of 40 syncs. What is late
# for a tick costs another one: on a machine that is too slow for them they get longer.
few() { # TICK-MS
	net speed tick "$1" >/dev/null
	out=$(bench -t "$netproxy $sshd_dir/net-speed reset") || exit 1
	[ -z "${VERBOSE:-}" ] || echo "ticks of $1 ms: $out"
	read -r _ _ write _ _ read _ _ sync <<<"$out"
	[ "$write" -gt 0 ] && [ "$write" -le $((15 * mib / 32)) ] && [ "$read" -gt 0 ] &&
		[ "$read" -le $((24 * mib / 32)) ] && [ "$sync" -gt 0 ] && [ "$sync" -le 60 ]
}
net_up speed "${sshd_port[speed]}"
few 50 || few 100 || few 200 || fail "round trips for $mib MiB and 40 syncs: $out"
