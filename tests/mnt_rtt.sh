#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How many round trips things cost, counted by the proxy as how often we spoke after having
# heard something. It carries in ticks, so that what goes out together comes back together
# even when this machine is busy.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck
config=$scratch/config

img 1G -t ext4
serve
for d in $(seq 20); do
	mkdir "$mnt/d$d"
	for i in $(seq 50); do echo x >"$mnt/d$d/file$i"; done
done
unserve

sshd_up s
net_up s "${sshd_port[s]}"
net s tick "${TICK:-100}" >/dev/null
sshd_config s >"$config"
turns() { net s reset | sed 's/.*turns //'; }
attach() {
	turns >/dev/null
	timeout 60 "$FUSE4FS" -o "ssh_config=$config,$1" "s:$image" "$mnt" || fail "mount $1"
}
detach() {
	umount "$mnt" || fail umount
	for _ in $(seq 300); do pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || break; sleep 0.1; done
}
# A process that does not run for a whole tick costs another one: the best of some.
attach_within() { # BOUND MODE
	local n try
	for try in 1 2 3 4 5; do
		attach "$2"
		n=$(($(turns) - login))
		[ "$n" -gt "$1" ] && [ $try -lt 5 ] || break
		detach
	done
	at_most "$1" "mount, $2" "$n"
}
at_most() { # BOUND WHAT COUNT
	[ "$3" -le "$1" ] || fail "$2: $3 round trips, more than $1"
	[ -z "${VERBOSE:-}" ] || echo "$2: $3 round trips"
}

turns >/dev/null
"$BUILDDIR/tests/tool_stream" -F "$config" -n 4 s >/dev/null || fail "login"
login=$(turns)
at_most 10 "login and channels" "$login"
attach_within 9 ro
[ "$(ls -lR "$mnt" | wc -l)" -gt 1000 ] || fail "ls"
at_most 20 "ls -lR of 1,000 files in 20 directories" "$(turns)"
detach
# The lock goes along; the superblock's mark has to be durable.
attach_within 12 rw
ls -lR "$mnt" >/dev/null
at_most 20 "ls -lR, writable" "$(turns)"
sleep 1
turns >/dev/null
dd if=/dev/zero of="$mnt/d1/file1" bs=4096 count=1 conv=notrunc,fsync 2>/dev/null || fail "write"
at_most 4 "4 KiB and fsync" "$(turns)"
detach
clean_image
exit 0
