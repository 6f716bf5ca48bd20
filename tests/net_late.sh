#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server process hangs, its connection dies, and when newer bytes have been synced through
# the next connection it goes on and writes what it had received. They are put right.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_sshd
need_fuse
remote=$scratch/remote.img
# While the server is there: a mount that can write ends at once.
trap 'status=$?; umount "$mnt" 2>/dev/null; (exit $status); cleanup_ssh' EXIT

# Blocks apart from each other: a pipe holds whole requests, of which a server does one.
put() { # LETTER: in 16 blocks, synced
	python3 - "$target" "$1" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_WRONLY)
		for i in range(16):
		    os.pwrite(fd, sys.argv[2].encode() * 4096, (16 + i) * 65536)
		os.fsync(fd)
	END
}
there() { # LETTER: how many bytes are something else
	for i in $(seq 16 31); do dd if="$remote" bs=4k skip=$((16 * i)) count=1 status=none; done |
		tr -d "$1" | wc -c
}

truncate -s 8M "$remote"
sshd_up late subsystem=external
net_up late "${sshd_port[late]}"
sshd_config late >"$scratch/config"
"$FUSE4FS" --export-device -o "ssh_config=$scratch/config,deadline=60" "late:$remote" "$mnt" ||
	fail "export"
target=$(find "$mnt" -type f | head -n 1)
put o || fail "the first write"
sent() { [ "$(net late stats | sed 's/.* up \([0-9]*\).*/\1/')" -ge "$1" ]; }
# A cut while the servers hang that have received OLD; NEW is there afterwards. They are $old.
hang() { # OLD NEW
	old=$(sftp_servers late)
	[ -n "$old" ] || fail "no server process"
	# shellcheck disable=SC2086 # numbers
	kill -STOP $old
	net late reset >/dev/null
	put "$1" &
	writer=$!
	await 60 sent 65536 || fail "the write is not sent: $(net late stats)"
	sleep 0.5	# as far as the servers' pipes, or they have nothing to write late
	net late cut >/dev/null
	wait "$writer" || fail "a write over a cut"
	[ "$(there "$1")" = 0 ] || fail "the cut lost a write"
	put "$2" || fail "the newer write"
	[ "$(there "$2")" = 0 ] || fail "the newer write is not there"
}
go_on() { # until the servers have written over it, all they had, and ended
	# shellcheck disable=SC2086
	kill -CONT $old
	# shellcheck disable=SC2086
	await 60 ended $old || fail "a server without a connection does not end"
}

hang a b
go_on
await 60 eval '[ "$(there b)" = 0 ]' || fail "late bytes stayed: $(there b)"

# Too late for the next look: the one before the end sees it.
hang c d
go_on
"$FUSE4FS" -u "$mnt" || fail "unmount"
[ "$(there d)" = 0 ] || fail "late bytes stayed after the unmount: $(there d)"
