#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Logging in: every way to prove who we are and who they are, what ssh_config may say, and
# channels that give back every byte.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
tool=$BUILDDIR/tests/tool_stream
need_sshd
[ -x "$tool" ] || skip "tests/tool_stream has not been built"

login() { timeout 60 "$tool" "$@" >"$scratch/out" 2>&1; }
says() { grep -qE "$1" "$scratch/out" || { cat "$scratch/out" >&2; fail "$2: does not say $1"; }; }
silent() { grep -qE "$1" "$scratch/out" && { cat "$scratch/out" >&2; fail "$2: says $1"; }; }
works() { what=$1; shift; login "$@" || { cat "$scratch/out" >&2; fail "$what: refused"; }; }
refused() { # WHAT PATTERN ARGS...
	what=$1 pattern=$2
	shift 2
	login "$@" && fail "$what: let in"
	says "$pattern" "$what"
	[ "$(grep -c '^failed' "$scratch/out")" = 1 ] || fail "$what: not one line"
}
config=$scratch/config
conf() { sshd_config "$@" >"$config"; }

sshd_up s subsystem=/bin/cat
conf s

# Keys.
works "the key of ssh_config" -F "$config" s
silent '^\?' "the key of ssh_config"
ssh_key "$scratch/locked" "open sesame"
cat "$scratch/locked.pub" >>"$sshd_dir/authorized"
conf s "IdentityFile /dev/null"
sed -i "/IdentityFile.*id$/d" "$config"
SECRETS="open sesame" works "identity with a passphrase" -F "$config" -i "$scratch/locked" -r 2 s
[ "$(grep -c '^? Passphrase' "$scratch/out")" = 1 ] || fail "the passphrase was asked for more than once"
[ "$(grep -c '^up 1' "$scratch/out")" = 3 ] || fail "no second and third login"
SECRETS="wrong
open sesame" works "a wrong passphrase first" -F "$config" -i "$scratch/locked" s
says 'again' "a wrong passphrase first"
conf s "IdentityFile $scratch/locked"
sed -i "/IdentityFile.*id$/d" "$config"
SECRETS="open sesame" works "a passphrase for ssh_config's key" -F "$config" -r 1 s
says "^\? Passphrase for key .*/locked" "a passphrase for ssh_config's key"
SECRETS="wrong" refused "no passphrase" '[Pp]ermission denied.*publickey' -F "$config" s
ssh_key "$scratch/stranger"
conf s
sed -i "s|IdentityFile .*|IdentityFile $scratch/stranger|" "$config"
refused "a stranger's key" '[Pp]ermission denied' -F "$config" s
refused "no such key" 'the key .*nowhere cannot be read' -F "$config" -i "$scratch/nowhere" s

# An agent.
eval "$(ssh-agent -s)" >/dev/null
ssh-add -q "$sshd_key" 2>/dev/null
works "agent" -F "$config" s
kill "$SSH_AGENT_PID"
unset SSH_AUTH_SOCK SSH_AGENT_PID

# Host keys.
conf s
mv "$sshd_dir/s/known_hosts" "$scratch/known"
refused "an unknown host" 'host key ED25519 SHA256:.* is not in .*known_hosts; log in' -F "$config" s
YES=0 refused "an unknown host, no" 'not accepted' -F "$config" s
[ ! -e "$sshd_dir/s/known_hosts" ] || fail "added all the same"
fingerprint=$(ssh-keygen -lf "$sshd_dir/host.pub" | cut -d' ' -f2 | sed 's/+/[+]/g')
YES=1 works "an unknown host, yes" -F "$config" s
says "$fingerprint" "the fingerprint"
refused "not asked twice" 'not in' -F "$config" -k "$scratch/none" -a refuse s
works "known now" -F "$config" -a refuse s
silent '^\?' "known now"
works "believing the first time" -F "$config" -k "$scratch/new" -a add s
[ -s "$scratch/new" ] || fail "not added"
ssh_key "$scratch/otherhost"
echo "[127.0.0.1]:${sshd_port[s]} $(cut -d' ' -f1,2 "$scratch/otherhost.pub")" >"$scratch/changed"
YES=1 refused "a changed host key" 'has changed.*attack' -F "$config" -k "$scratch/changed" -a add s
ssh_key "$scratch/rsahost" "" rsa
echo "[127.0.0.1]:${sshd_port[s]} $(cut -d' ' -f1,2 "$scratch/rsahost.pub")" >"$scratch/changed"
YES=1 refused "a key of another type" 'attack' -F "$config" -k "$scratch/changed" -a add s
{ cat "$scratch/known"; echo "@revoked * $(cut -d' ' -f1,2 "$sshd_dir/host.pub")"; } >"$scratch/revoked"
YES=1 refused "a revoked key" 'revoked' -F "$config" -k "$scratch/revoked" s
# A key of another type that becomes known later is not asked for.
sshd_up two subsystem=/bin/cat "line=HostKey $scratch/rsahost"
conf two
knows() { echo "[127.0.0.1]:${sshd_port[two]} $(cut -d' ' -f1,2 "$1")"; }
knows "$scratch/rsahost.pub" >"$scratch/keys"
{
	until grep -q Accepted "$sshd_dir/two/log"; do sleep 0.05; done
	knows "$sshd_dir/host.pub" >>"$scratch/keys"
} &
works "host keys of two types" -F "$config" -k "$scratch/keys" -b 100000000 -r 1 two
wait $!
[ "$(wc -l <"$scratch/keys")" = 2 ] || fail "host keys of two types"
sshd_kill two
mv "$scratch/known" "$sshd_dir/s/known_hosts"
conf s "StrictHostKeyChecking no"
YES=1 refused "ssh_config's no does not make strangers friends" 'not in' -F "$config" -k "$scratch/none" -a refuse s

# Explicit options win over ssh_config.
conf s "Ciphers aes256-ctr"
sed -i 's/Port .*/Port 9/; s/User .*/User nobody/' "$config"
works "explicit port and user" -F "$config" -p "${sshd_port[s]}" -u "$sshd_user" s
printf 'Match user %s host s\n  Port %s\nHost *\n  Port 9\n' "$sshd_user" "${sshd_port[s]}" >"$scratch/inc"
{ echo "Include $scratch/inc"; conf s; sed '/Port/d; /User /d' "$config"; } >"$scratch/config2"
works "Include and Match" -F "$scratch/config2" -u "$sshd_user" s
refused "no such file" 'ssh_config=' -F "$scratch/nowhere" s
refused "nobody listens" 'cannot connect.*refused' -F "$config" -p 1 s
RES_OPTIONS="timeout:2 attempts:1" refused "no such host" 'not known|resolution' -F "$config" nowhere.invalid

# Ciphers: ours where the user says nothing. The server's log names them.
sshd_kill s
sshd_up s subsystem=/bin/cat "line=LogLevel DEBUG"
cipher() { sed -nE 's/.*kex: client->server cipher: ([^ ]+).*/\1/p' "$sshd_dir/s/log" | tail -n 1; }
conf s
works "default ciphers" -F "$config" s
grep -qw aes /proc/cpuinfo && [ "$(cipher)" != aes128-gcm@openssh.com ] && fail "default cipher: $(cipher)"
conf s "Ciphers aes256-ctr"
works "ssh_config's cipher" -F "$config" s
[ "$(cipher)" = aes256-ctr ] || fail "ssh_config's cipher: $(cipher)"
works "an explicit cipher" -F "$config" -c chacha20-poly1305@openssh.com s
[ "$(cipher)" = chacha20-poly1305@openssh.com ] || fail "the explicit cipher: $(cipher)"
refused "a cipher unknown to man" 'ciphers' -F "$config" -c rot13 s

# A way through another host.
conf s
sshd_up jump
{ sshd_config jump; cat "$config"; echo "  ProxyJump jump"; } >"$scratch/config2"
works "ProxyJump" -F "$scratch/config2" -r 1 s
grep -q "direct-tcpip\|Connection from" "$sshd_dir/jump/log" 2>/dev/null || grep -q Accepted "$sshd_dir/jump/log" ||
	fail "not through the jump host"
{ cat "$config"; echo "  ProxyCommand ssh -F $scratch/config2 -W %h:%p jump"; } >"$scratch/config3"
works "ProxyCommand" -F "$scratch/config3" s
{ cat "$config"; echo "  ProxyCommand false"; } >"$scratch/config3"
refused "a ProxyCommand that fails" '.' -F "$scratch/config3" s

# Every byte comes back, across rekeys, on several channels, with and without delay.
sshd_kill s
sshd_up s subsystem=/bin/cat "line=RekeyLimit 2M"
conf s
works "4 channels" -F "$config" -n 4 -b 8000000 s
says 'up 4 refused 0 echoed 32000000' "4 channels"
net_up s "${sshd_port[s]}" 10
conf s
works "8 channels with a delay" -F "$config" -n 8 -b 2000000 -r 1 s
says 'up 8' "8 channels"
sshd_kill s
sshd_up s subsystem=/bin/cat sessions=1
unset "net_port[s]"
conf s
works "one session is all there is" -F "$config" -n 3 s
says 'up 1 refused 2' "one session"
sshd_kill s
sshd_up s subsystem=none
conf s
login -F "$config" s
says 'channel closed: Operation not supported' "no sftp"

if [ "$(id -u)" = 0 ]; then
	for kind in password kbdint; do
		sshd_kill s
		sshd_up s subsystem=/bin/cat $kind="open sesame"
		conf s "PubkeyAuthentication no"
		sed -i '/IdentityFile/d' "$config"
		SECRETS="open sesame" works $kind -F "$config" -r 1 s
		[ "$(grep -c '^?' "$scratch/out")" = 1 ] || fail "$kind: not asked once"
		SECRETS="wrong
open sesame" works "$kind, second try" -F "$config" s
		says 'again' "$kind, second try"
		SECRETS="wrong
wrong
wrong" refused "$kind, wrong" 'denied|Too many' -F "$config" s
		refused "$kind, nobody to ask" '[Pp]ermission denied' -F "$config" s
		silent sesame "secrets stay secret"
	done
	# Two factors.
	sshd_kill s
	sshd_up s subsystem=/bin/cat password="open sesame" "line=AuthenticationMethods publickey,password"
	conf s
	SECRETS="open sesame" works "key and password" -F "$config" -r 1 s
	refused "only the key" '[Pp]ermission denied' -F "$config" s
fi

# The connection is reset at some moment of a login: that is its end, at once. libssh may not
# tell (it did not once in fifty times).
sshd_up cut subsystem=/bin/cat
net_up cut "${sshd_port[cut]}" 1
conf cut
hit() {
	timeout 15 "$tool" -F "$config" -r 1 cut >"$scratch/cut.$1" 2>&1 &
	login=$!
	sleep "0.$(printf %03d "$1")"
	net cut cut >/dev/null
	wait $login
	[ $? != 124 ] || fail "reset $1 ms after its start a login goes on"
}
for ms in $(seq 4 2 150); do hit "$ms"; done
exit 0
