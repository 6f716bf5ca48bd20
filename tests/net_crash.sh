#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The workload of the crash tests on an image elsewhere, through a network that is cut at random
# moments (a real sshd), and on a server that loses its power, and with it what was not fsynced.
# The applications see nothing of it; then the client dies, too, and what is left is judged as
# after a power cut here (crash_replay.c): by us, the kernel and e2fsck.
#
# NET_CUTS=n (12) connections lost in all, NET_KINDS="ext4 1k ..." (all) shares them, NET_SEED=n.
# What fails is kept in CRASH_KEEP (the build folder) for `crash_replay -e`.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_fuse; need_sshd; need e2fsck mke2fs python3
tools=${BUILDDIR:-${top_builddir:-.}}/tests
seed=${NET_SEED:-$$}
keep=${CRASH_KEEP:-$tools}
config=$scratch/config
down=$scratch/down
RANDOM=$((seed % 32768))
all=0
kernel=
[ -c /dev/loop-control ] || kernel=-K

sshd_up s subsystem=external
net_up s "${sshd_port[s]}" 1
sshd_config s >"$config"
cat >"$scratch/command" <<-END
	#!/bin/sh
	[ ! -e '$down' ] || exit 1
	exec '$tools/tool_sftpd' --forget
END
chmod +x "$scratch/command"
mkdir "$scratch/work"

keep_failure() { # WHAT
	kept=$keep/net-crash-$seed
	mkdir -p "$kept"
	[ ! -f "$scratch/killed" ] || cp --sparse=always "$scratch/killed" "$kept/"
	cp "$scratch/log" "$kept/"
	cat "$scratch/out" >&2
	fail "$name, $1 after $cuts accidents of seed $seed; $kept has image and log for crash_replay -e"
}
attach() { # OPTIONS
	"$FUSE4FS" -f -o "deadline=15,commit=1,$1${FUSE4FS_LUKS:+,keyfile=$key}" "s:$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	for _ in $(seq 1200); do
		mountpoint -q "$mnt" && return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "no mount ($1)"
}
again() { grep -c 'connected again' "$scratch/server.log"; }
# In units of a block: of a torn commit block e2fsck thinks otherwise than the kernel and we
# (HACKING.md), which only crash_power.sh can take into account; and half an encrypted sector
# is noise, also what was synced in it.
settle() { python3 "$top_tests/settle.py" "$image" "$RANDOM" 4096 >>"$scratch/lost" || fail "settle.py"; }

cut_net() {
	old="$old $(sftp_servers s)"
	net s cut >/dev/null
	# shellcheck disable=SC2086 # numbers
	await 60 eval 'ended $old || [ "$(again)" != "$before" ]'
	[ "$(again)" = "$before" ] || late=1
}
power_off() { # AND-PIDS: what has not ended may be writing still
	local gone
	gone="$(pgrep -P "$server") $*"
	# shellcheck disable=SC2086 # numbers
	kill -9 $gone
	# shellcheck disable=SC2086
	await 60 ended $gone || keep_failure "what was killed does not end"
}
cut_power() {
	: >"$down"
	power_off
	settle
	rm "$down"
}
# Nobody writes to the image any more. What servers that outlived their connection have written
# late is put right before: it is looked for every 5 s.
end_net() {
	# shellcheck disable=SC2086 # numbers
	await 60 ended $old || keep_failure "a server without a connection does not end"
	[ -z "$late" ] || sleep 15
	old=$(sftp_servers s)
	kill -9 "$server"
	# shellcheck disable=SC2086
	await 60 ended $old && await 60 eval '[ -z "$(sftp_servers s)" ]' ||
		keep_failure "a server without a client does not end"
}
end_power() {
	: >"$down"
	power_off "$server"
	settle
	rm "$down"
}

round() { # HOW CUTS
	how=$1 cuts=0 old='' late=''
	rm -f "$scratch/killed"
	[ "$how" != power ] || cp "$image" "$image.disk"
	case $how in
	net) attach "ssh_config=$config" ;;
	power) attach "ssh_command=$scratch/command" ;;
	esac
	"$tools/crash_load" -k -n 0 -s "$seed" "$mnt" "$scratch/log" >"$scratch/out" 2>&1 &
	load=$!
	while [ "$(again)" -lt "$2" ]; do
		sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
		before=$(again)
		"cut_$how"
		cuts=$((cuts + 1))
		# Some hit while it is connecting.
		if [ $((RANDOM % 2)) = 0 ]; then
			sleep "0.$((RANDOM % 9 + 1))"
			"cut_$how"
			cuts=$((cuts + 1))
		fi
		await 120 eval '[ "$(again)" -gt "$before" ]' || keep_failure "no connection"
	done
	sleep 0.5
	[ "$(pgrep -c -P $load)" = 4 ] || keep_failure "an application saw an error"
	again=$(again)
	[ "$again" -ge "$2" ] || keep_failure "only $again reconnections"
	{ "end_$how"; wait "$server"; } 2>/dev/null
	wait "$load" || keep_failure "an operation failed"
	umount "$mnt" 2>/dev/null || umount -l "$mnt"
	rm -f "$image".*
	plain_copy "$scratch/killed"
	"$tools/crash_replay" -e $kernel "$scratch/killed" "$scratch/log" "$scratch/work" >"$scratch/out" 2>&1 ||
		keep_failure "judgement"
	all=$((all + again))
	[ -z "${CRASH_VERBOSE:-}" ] || echo "$name $how: $cuts accidents, $again reconnections, $(tail -n 1 "$scratch/out")"
}

kind() { # NAME SIZE MKE2FS-ARGS
	name=$1
	case " ${NET_KINDS:-$name} " in *" $name "*) ;; *) return 0 ;; esac
	shift
	share=$((${NET_CUTS:-12} / ${kinds:=$(wc -w <<<"${NET_KINDS:-1 2 3}")}))
	img "$@"
	round net $(((share + 1) / 2))
	img "$@"
	round power $((share / 2))
}

kind ext4 64M -t ext4 -b 4096 -N 8192 -J size=4
kind 1k 48M -t ext4 -b 1024 -N 8192 -J size=1
kind orphan_file 48M -t ext4 -b 1024 -N 8192 -J size=2 -O orphan_file
[ $all -gt 0 ] || fail "no such kind: ${NET_KINDS:-}"
exit 0
