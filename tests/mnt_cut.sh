#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A network that fails under a mount that is at work: connections cut, frozen, refused, the
# server killed. Applications see a pause and no error, and nothing synced is missing.
# CUT_SECONDS (6) of work for each kind of image, CUT_SEED.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck python3
seconds=${CUT_SECONDS:-6}
seed=${CUT_SEED:-$$}
RANDOM=$seed
oracle=$srcdir_tests/oracle.py
config=$scratch/config
options=ssh_config=$config,deadline=1
mkdir -p "$mnt"

sshd_up s subsystem=external
net_up s "${sshd_port[s]}" 2
sshd_config s >"$config"

attach() {
	# A server that does not answer for a second before there is a mount, there will be none.
	for _ in 1 2 3 4 5; do
		"$FUSE4FS" -f -o "$options${1:+,$1}" "s:$image" "$mnt" >"$scratch/server.log" 2>&1 &
		server=$!
		for _ in $(seq 1200); do
			mountpoint -q "$mnt" && return 0
			kill -0 "$server" 2>/dev/null || break
			sleep 0.05
		done
		grep -Eq 'does not answer|failed while the image was opened' "$scratch/server.log" || break
	done
	cat "$scratch/server.log" >&2
	fail "seed $seed: no mount ($1)"
}
status() { timeout 10 "$FUSE4FS" --status --json "$mnt" | sed -nE "s/.*\"$1\": *\"?([^\",]*)\"?,?.*/\1/p"; }
verify() { python3 "$oracle" check "$mnt" "$mnt" "$scratch/oracle" || fail "seed $seed: $1"; }

harm() { # one accident
	case $((RANDOM % 8)) in
	0) net s freeze >/dev/null; sleep 1.5; net s cut >/dev/null; net s resume >/dev/null ;;
	1) net s freeze >/dev/null; sleep 0.3; net s resume >/dev/null ;;
	2) net s refuse >/dev/null; net s cut >/dev/null; sleep 0.5; net s resume >/dev/null ;;
	3) sshd_kill s KILL; sshd_again s ;;
	4) stopped=$(ps -o pid=,comm= -p "$(sshd_servers s | paste -sd,)" 2>/dev/null | awk '/sftp-server/ { print $1 }')
		# What they still have to write comes later than what follows.
		# shellcheck disable=SC2086
		old="$old $stopped"
		[ -z "$stopped" ] || { kill -STOP $stopped; sleep 1.8; kill -CONT $stopped; } 2>/dev/null ;;
	*) net s cut >/dev/null ;;
	esac
	cuts=$((cuts + 1))
}

# Work under accidents; the model's workers compare what they read all the time.
for kind in "-t ext4" "-t ext4 -b 1024 -J size=1"; do
	# shellcheck disable=SC2086
	img 96M $kind
	attach
	cuts=0 old=
	end=$((SECONDS + seconds))
	python3 "$oracle" load "$mnt" "$seed" "$scratch/oracle" "$seconds" 2>"$scratch/load.err" &
	load=$!
	python3 "$srcdir_tests/worker.py" "$mnt" 7 "$seconds" >"$scratch/worker.err" 2>&1 &
	worker=$!
	while [ $SECONDS -lt $end ]; do
		sleep "0.$((RANDOM % 9 + 1))"
		harm
	done
	wait $load || { cat "$scratch/load.err" >&2; fail "seed $seed: an application saw an error"; }
	wait $worker || { cat "$scratch/worker.err" >&2; fail "seed $seed: a worker saw an error"; }
	[ "$(status reconnects)" -ge 1 ] || fail "seed $seed: only $(status reconnects) reconnects in $cuts accidents"
	verify "after $cuts accidents"
	umount "$mnt" || fail "umount"
	wait "$server" || fail "seed $seed: the server ended with status $?"
	# One that was stopped may have something to write yet, when nobody looks any more.
	net s cut >/dev/null
	# shellcheck disable=SC2086
	[ -z "$old" ] || await 60 ended $old || fail "seed $seed: a server without a connection does not end"
	clean_image
	attach
	verify "mounted again"
	umount "$mnt"
	wait "$server" || fail "the server ended with status $?"
	rm -f "$scratch"/oracle.*
done

# Cut, and then the client dies, too: the journal is on the server.
attach
python3 "$oracle" load "$mnt" "$seed" "$scratch/oracle" &
load=$!
sleep 2
old=$(sftp_servers s)
net s cut >/dev/null
sleep 0.2
old="$old $(sftp_servers s)"
kill -9 "$server"
wait "$server" 2>/dev/null
wait $load
# Or they write while it is copied.
# shellcheck disable=SC2086 # numbers
await 60 ended $old && await 60 eval '[ -z "$(sshd_servers s)" ]' || fail "servers without a client"
umount -l "$mnt"
cp "$image" "$scratch/copy"
e2fsck -fp "$scratch/copy" >"$scratch/fsck.log" 2>&1
[ $? -le 1 ] || { cat "$scratch/fsck.log" >&2; fail "seed $seed: e2fsck after the client died"; }
attach lock=break
verify "after the client died"
rm -f "$scratch"/oracle.*

# Frozen for longer than the deadline of the mount: errors at once, nothing hangs.
umount "$mnt"
wait "$server"
attach timeout=3
python3 "$oracle" load "$mnt" "$seed" "$scratch/oracle" &
load=$!
sleep 1
net s freeze >/dev/null
start=$SECONDS
timeout 30 sh -c 'while kill -0 $0 2>/dev/null; do sleep 0.2; done' $load || fail "the load hangs"
[ $((SECONDS - start)) -le 25 ] || fail "failed only after $((SECONDS - start)) s"
wait $load
[ "$(status state)" ] || fail "--status hangs"
status state | grep -q failed || fail "--status does not say that the link has failed: $(status state)"
timeout 5 sh -c "echo x >'$mnt/new'" 2>/dev/null && fail "can still write"
timeout 20 umount "$mnt" || fail "umount hangs"
for _ in $(seq 600); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
kill -0 "$server" 2>/dev/null && fail "the server does not end"
wait "$server" && fail "what could not be written was not reported"
net s resume >/dev/null
sleep 0.5
attach lock=break
verify "after the deadline"
umount "$mnt"
wait "$server" || fail "the server ended with status $?"
clean_image
exit 0
