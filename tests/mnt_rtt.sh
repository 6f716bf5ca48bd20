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
	for _ in $(seq 900); do pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || break; sleep 0.1; done
}
quiet() { # nobody has spoken for half a second
	turns >/dev/null
	sleep 0.5
	[ "$(turns)" = 0 ]
}

# A process that does not run for a whole tick costs another one, and a heartbeat comes when it is
# due: the best of five counts, each of a mount of its own.
declare -A least
at_most() { # BOUND WHAT COUNT
	[ "${least[$2]:-$3}" -lt "$3" ] || least[$2]=$3
	[ "${least[$2]}" -le "$1" ] || over="$2: ${least[$2]} round trips, more than $1"
}
best_of_five() { # COMMAND: measures
	for _ in 1 2 3 4 5; do
		over=
		"$1"
		[ -n "$over" ] || return 0
	done
	fail "$over"
}

logins() {
	turns >/dev/null
	"$BUILDDIR/tests/tool_stream" -F "$config" -n 4 s >/dev/null || fail "login"
	at_most 10 "login and channels" "$(turns)"
	login=${least[login and channels]}
}
readers() {
	attach ro
	at_most 9 "mount, ro" $(($(turns) - login))
	[ "$(ls -lR "$mnt" | wc -l)" -gt 1000 ] || fail "ls"
	at_most 20 "ls -lR of 1,000 files in 20 directories" "$(turns)"
	detach
}
writers() {
	attach rw
	# The lock goes along; the superblock's mark has to be durable.
	at_most 12 "mount, rw" $(($(turns) - login))
	ls -lR "$mnt" >/dev/null
	at_most 20 "ls -lR, writable" "$(turns)"
	sleep 1	# its times are written by themselves
	await 20 quiet || fail "nobody does anything, and it does not rest"
	dd if=/dev/zero of="$mnt/d1/file1" bs=4096 count=1 conv=notrunc,fsync 2>/dev/null || fail "write"
	at_most 4 "4 KiB and fsync" "$(turns)"
	detach
}
for c in logins readers writers; do best_of_five $c; done
[ -z "${VERBOSE:-}" ] || for c in "${!least[@]}"; do echo "$c: ${least[$c]} round trips"; done
clean_image
exit 0
