#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The servers and the bad network that other tests stand on do what they say.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_sshd; need sftp

remote() { # NAME COMMANDS: an sftp session
	sshd_config "$1" "BatchMode yes" >"$scratch/config"
	printf '%s\n' "${@:2}" | timeout 60 sftp -q -F "$scratch/config" -b - "$1" 2>&1
}
echo content >"$scratch/file"

for variant in subsystem=internal subsystem=external command=internal-sftp sessions=1; do
	sshd_up s "$variant"
	remote s "get $scratch/file $scratch/copy" >/dev/null && cmp "$scratch/file" "$scratch/copy" ||
		fail "$variant: nothing fetched"
	sshd_kill s TERM
	unset "sshd_port[s]"
done

sshd_up ro subsystem=readonly
remote ro "get $scratch/file $scratch/copy" >/dev/null || fail "read-only: cannot read"
remote ro "put $scratch/file $scratch/new" >/dev/null && fail "read-only: could write"

if [ "$(id -u)" = 0 ]; then
	mkdir "$scratch/jail"
	echo jailed >"$scratch/jail/inside"
	sshd_up jail "chroot=$scratch/jail"
	remote jail "get /inside $scratch/copy" >/dev/null && grep -q jailed "$scratch/copy" || fail "chroot"
	sshd_kill jail
	for kind in password kbdint; do
		sshd_up $kind "$kind=open sesame"
		printf '#!/bin/sh\necho "open sesame"\n' >"$scratch/ask"
		chmod +x "$scratch/ask"
		sshd_config $kind "PubkeyAuthentication no" >"$scratch/config"
		SSH_ASKPASS=$scratch/ask SSH_ASKPASS_REQUIRE=force timeout 60 \
			ssh -F "$scratch/config" -o NumberOfPasswordPrompts=1 $kind true || fail "$kind"
		sed -i 's/sesame/barley/' "$scratch/ask"
		SSH_ASKPASS=$scratch/ask SSH_ASKPASS_REQUIRE=force timeout 60 \
			ssh -F "$scratch/config" -o NumberOfPasswordPrompts=1 $kind true 2>/dev/null &&
			fail "$kind: any password will do"
		sshd_kill $kind
	done
fi

# Killed with its sessions, and back on the same port.
sshd_up s
net_up s "${sshd_port[s]}" 50
start=$(date +%s%N)
remote s "get $scratch/file $scratch/copy" >/dev/null || fail "through the proxy"
[ $(($(date +%s%N) - start)) -gt 600000000 ] || fail "the proxy does not delay"
await 20 eval 'net s stats | grep -q "open 0"' || fail "the connection stays: $(net s stats)"
net s stats | grep -q 'connections 1 ' || fail "stats: $(net s stats)"
net s delay 0 >/dev/null
sshd_config s >"$scratch/config"
ssh -F "$scratch/config" s 'echo up; sleep 60' >"$scratch/said" 2>/dev/null &
client=$!
await 60 test -s "$scratch/said" || fail "no session says anything"
[ -n "$(sshd_servers s)" ] || fail "no session"
sshd_kill s
await 20 ended $client || fail "the session outlived its server"
remote s "ls" >/dev/null && fail "killed and still there"
sshd_again s
remote s "get $scratch/file $scratch/copy" >/dev/null || fail "not back"

# The network: cut, freeze, refuse, resume.
: >"$scratch/said"
ssh -F "$scratch/config" s 'echo up; exec cat' <&"$fixture_hold" >"$scratch/said" 2>/dev/null &
client=$!
await 60 test -s "$scratch/said" || fail "no session says anything"
net s cut >/dev/null
await 20 ended $client || fail "not cut"
net s freeze >/dev/null
timeout 1 ssh -F "$scratch/config" s true 2>/dev/null
[ $? = 124 ] || fail "not frozen"
net s refuse >/dev/null
timeout 60 ssh -F "$scratch/config" s true 2>/dev/null
[ $? = 255 ] || fail "not refused"
net s resume >/dev/null
remote s "get $scratch/file $scratch/copy" >/dev/null || fail "not resumed"

# A bandwidth: 4 MB at 8 MB/s.
net s rate 8000000 >/dev/null
head -c 4000000 /dev/zero >"$scratch/big"
start=$(date +%s%N)
remote s "get $scratch/big $scratch/copy" >/dev/null || fail "with a bandwidth"
[ $(($(date +%s%N) - start)) -gt 480000000 ] || fail "the bandwidth is not kept"
exit 0
