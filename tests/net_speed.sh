#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The SFTP device through libssh and a real sshd: how fast, near and far. Prints a table; fails
# where it is much slower than a busy machine explains. NET_SPEED_MIB (32) sets the amount,
# NET_SPEED_MS ("0 20") the round trips, NET_SPEED_WRITE and _READ what is wanted at 20 ms, MB/s.
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
for ms in ${NET_SPEED_MS:-0 20}; do
	net_up speed "${sshd_port[speed]}" $((ms / 2))
	sshd_config speed >"$scratch/config"
	out=$("$bench" ${NET_SPEED_CHANNELS:+-n "$NET_SPEED_CHANNELS"} -m "$mib" -F "$scratch/config" -h speed "$remote") || fail "bench at $ms ms"
	echo "$ms ms: $out"
	# shellcheck disable=SC2086 # words
	set -- $out
	[ "$ms" != 20 ] || {
		[ "$3" -ge "${NET_SPEED_WRITE:-15}" ] || fail "writes $3 MB/s at 20 ms"
		[ "$6" -ge "${NET_SPEED_READ:-15}" ] || fail "reads $6 MB/s at 20 ms"
		# Two round trips and what the machine adds.
		[ "${9%.*}" -lt "${NET_SPEED_SYNC_MS:-80}" ] || fail "write and fsync take $9 ms at 20 ms"
	}
	kill "${net_pid[speed]}" && wait "${net_pid[speed]}" 2>/dev/null
done
:
