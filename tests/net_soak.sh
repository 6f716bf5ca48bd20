#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mount that stays usable: mixed work, little of it, and a connection that is cut again and
# again. Nobody sees an error, what is read is what was written, and all of it is there at the end.
#
# SOAK_SECONDS (10) of work, a cut every SOAK_EVERY (3) seconds; 1800 and 20 are what an evening
# behind a bad router is like. SOAK_SEED=n. SOAK_VERBOSE=1 prints figures.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck python3
seconds=${SOAK_SECONDS:-10}
every=${SOAK_EVERY:-3}
seed=${SOAK_SEED:-$$}
oracle=$top_tests/oracle.py
config=$scratch/config

sshd_up s subsystem=external
net_up s "${sshd_port[s]}" 10
sshd_config s >"$config"
status() { timeout 20 "$FUSE4FS" --status --json "$mnt" | sed -nE "s/.*\"$1\": *\"?([^\",]*)\"?,?.*/\1/p"; }
attach() {
	"$FUSE4FS" -f -o "ssh_config=$config,deadline=5" "s:$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 1200); do
		mountpoint -q "$mnt" && return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "seed $seed: no mount"
}
verify() { python3 "$oracle" check "$mnt" "$mnt" "$scratch/oracle" || fail "seed $seed: $1"; }
detach() {
	umount "$mnt" || fail "umount"
	wait "$server" || fail "seed $seed: the server ended with status $?"
	clean_image
}

img 192M -t ext4
attach
end=$((SECONDS + seconds))
python3 "$oracle" load "$mnt" "$seed" "$scratch/oracle" "$seconds" 1 0.05 2>"$scratch/load.err" &
load=$!
python3 "$top_tests/worker.py" "$mnt" "$seed" "$seconds" 0.02 >"$scratch/worker.out" 2>&1 &
worker=$!
cuts=0
while [ $((SECONDS + every)) -le $end ]; do
	sleep "$every"
	before=$(status reconnects)
	net s cut >/dev/null
	cuts=$((cuts + 1))
	await 60 eval '[ "$(status reconnects)" -gt "$before" ]' || fail "seed $seed: no connection after cut $cuts"
	kill -0 $load 2>/dev/null || [ $SECONDS -ge $end ] || fail "seed $seed: the load ended after $cuts cuts: $(cat "$scratch/load.err")"
	kill -0 $worker 2>/dev/null || [ $SECONDS -ge $end ] || fail "seed $seed: the worker ended after $cuts cuts: $(cat "$scratch/worker.out")"
done
wait $load || { cat "$scratch/load.err" >&2; fail "seed $seed: an application saw an error"; }
wait $worker || { cat "$scratch/worker.out" >&2; fail "seed $seed: a worker saw an error"; }
[ "$(status reconnects)" -ge $cuts ] || fail "seed $seed: $(status reconnects) reconnects after $cuts cuts"
[ -z "${SOAK_VERBOSE:-}" ] || echo "$cuts cuts, $(status reconnects) reconnects, $(status write_bytes) bytes written, $(cat "$scratch"/oracle.* | wc -l) words of the oracle; $(cat "$scratch/worker.out")"
verify "after $cuts cuts"
detach
attach
verify "mounted again"
detach
exit 0
