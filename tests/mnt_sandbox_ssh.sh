#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The sandbox of a server whose image is on an SSH server: it reads what logging in again takes
# and nothing else, and still logs in when the system's files have been replaced.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace
. "$srcdir_tests/sshd_fixture.sh"
. "$srcdir_tests/confined.sh"
need_sshd; need mke2fs e2fsck
[ "$sanitized" = 0 ] || skip "a build with a sanitizer may do more"

sshd_up s
img 64M -t ext4
keep=$scratch/keep			# what the server's user has, apart from the rest of $scratch
mkdir "$keep" && cp "$sshd_key" "$sshd_dir/s/known_hosts" "$keep" || fail "cp"
login=identity=$keep/id,UserKnownHostsFile=$keep/known_hosts
url=sftp://$sshd_user@127.0.0.1:${sshd_port[s]}$image
echo secret >"$scratch/secret"
export CONFINED_SECRET=$scratch/secret

# far OPTIONS [URL]: what it could do, in $log.
far() {
	rm -f "$log"
	CONFINED_UNLISTED='' CONFINED_LOG=$log timeout 60 "$confined" -o "$1,timeout=20" "${2:-$url}" "$mnt" 2>"$scratch/err" ||
		{ cat "$scratch/err" >&2; fail "mount ($1)"; }
	await_attempts
	relogin "$1"
	end "$1"
}
relogin() {
	# shellcheck disable=SC2046
	kill $(sshd_servers s)
	date >"$mnt/again" && timeout 60 sync -f "$mnt/again" || fail "logging in again ($1)"
}
end() { "$FUSE4FS" -u "$mnt" || fail "-u ($1)"; }

mkdir "$scratch/conf.d"
if [ "$landlock" -ge 1 ]; then
	far "ssh_config=none,$login"
	expect EACCES secret open-image
	[ "$(id -u)" != 0 ] || expect EACCES shadow
	# The directory of a configuration file, unless that is everybody's.
	sshd_config s >"$scratch/conf.d/config"
	sed -i "s|$sshd_key|$keep/id|" "$scratch/conf.d/config"
	(cd "$scratch/conf.d" && far "ssh_config=config,identity=$keep/id" "s:$image") || exit 1
	expect EACCES secret shadow
	mount -t tmpfs none /opt && cp "$scratch/conf.d/config" /opt/config || fail "tmpfs"
	CONFINED_SECRET=/etc/shadow far "ssh_config=/opt/config,identity=$keep/id" "s:$image"
	expect EACCES secret shadow
	umount /opt
fi
expect EPERM kill mount ptrace exec fork packet create unix dgram setown setsig async

# A key that only the configuration names, where nothing can be read any more.
mkdir "$scratch/else" && cp "$sshd_key" "$sshd_key.pub" "$scratch/else" || fail "cp"
sshd_config s | sed "s|$sshd_key|$scratch/else/id|" >"$scratch/conf.d/else"
CONFINED_SECRET=$scratch/else/id far "ssh_config=$scratch/conf.d/else" "s:$image"
[ "$landlock" -lt 1 ] || expect EACCES secret

# Other services of this system can be reached where an agent is one.
if command -v ssh-agent >/dev/null; then
	eval "$(ssh-agent -a "$scratch/agent")" >/dev/null && ssh-add -q "$keep/id" || fail "ssh-agent"
	far "ssh_config=none,UserKnownHostsFile=$keep/known_hosts"
	expect ok unix
	agent=$SSH_AUTH_SOCK
	unset SSH_AUTH_SOCK
	printf 'IdentityAgent %s\nUserKnownHostsFile %s\n' "$agent" "$keep/known_hosts" >"$scratch/conf.d/agent"
	CONFINED_SECRET=$scratch/secret far "ssh_config=$scratch/conf.d/agent"
	expect ok unix
	kill "$SSH_AGENT_PID"
fi

# Files that are replaced while it is mounted: the rules are about those that were there.
replaced() {
	[ -e /etc/hosts ] || return 0
	cp /etc/passwd "$scratch/passwd" && echo 'hosts: files' >"$scratch/nsswitch" &&
		echo '127.0.0.1 fuse4fs-test' >"$scratch/hosts" || fail "cp"
	sed 's/^[^ ]*/[fuse4fs-test]:'"${sshd_port[s]}/" "$sshd_dir/s/known_hosts" >"$keep/known_hosts2"
	mount --bind "$scratch/passwd" /etc/passwd && mount --bind "$scratch/nsswitch" /etc/nsswitch.conf &&
		mount --bind "$scratch/hosts" /etc/hosts || fail "mount --bind"
	env -u HOME "$FUSE4FS" -o "ssh_config=none,identity=$keep/id,UserKnownHostsFile=$keep/known_hosts2,timeout=20" \
		"sftp://fuse4fs-test:${sshd_port[s]}$image" "$mnt" || fail "mount by name"
	umount /etc/hosts /etc/passwd || fail "umount"
	relogin "without the name"
	end "without the name"
	umount /etc/nsswitch.conf
}
[ "$(id -u)" != 0 ] || replaced
clean_image
exit 0
