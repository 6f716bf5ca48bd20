#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Images on a real SSH server: mounted, written, judged by e2fsck on the server's file; what is
# refused; ways to log in.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck diff

config=$scratch/config
conf() { sshd_config "$@" >"$config"; }
server_gone() {
	for _ in $(seq 900); do
		pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || return 0
		sleep 0.1
	done
	fail "the server did not end"
}
# attach OPTIONS URL: mounts as a user would, in the background.
attach() {
	timeout 60 "$FUSE4FS" -o "ssh_config=$config${1:+,$1}" "${2:-s:$image}" "$mnt" 2>"$scratch/server.log" ||
		fail "mount ${2:-s:$image} ($1)"
	[ ! -s "$scratch/server.log" ] || [ "${by_program:-}" ] || fail "mount $1: said something"
}
# The same where a program logs in: what the sandbox then lacks is said, on one line.
attach_by_program() {
	by_program=1 attach "$@"
	[ "$(sed 's/.*: the sandbox/the sandbox/' "$scratch/server.log")" = \
		"the sandbox is not complete: no no_new_privs, seccomp, landlock (a program logs in for us)" ] ||
		fail "mount $1: not what is missing"
}
detach() {
	umount "$mnt" || fail "umount"
	server_gone
	[ ! -e "$image.fuse4fs-lock" ] || fail "the lock was left behind"
}
refused() { # PATTERN OPTIONS [URL]
	timeout 60 "$FUSE4FS" -o "ssh_config=$config${2:+,$2}" "${3:-s:$image}" "$mnt" >"$scratch/out" 2>&1 &&
		fail "$2 ${3:-}: mounted"
	[ "$(wc -l <"$scratch/out")" = 1 ] || { cat "$scratch/out" >&2; fail "$2 ${3:-}: not one line"; }
	grep -qE "$1" "$scratch/out" || { cat "$scratch/out" >&2; fail "$2 ${3:-}: does not say $1"; }
	mountpoint -q "$mnt" && fail "$2 ${3:-}: mounted all the same"
}
work() {
	rm -rf "$mnt/tree" "$mnt/moved"
	cp -a /usr/include/linux "$mnt/tree" || fail "$1: cp"
	head -c 20M /dev/urandom >"$scratch/data"
	cp "$scratch/data" "$mnt/data" && sync -f "$mnt/data" || fail "$1: write"
	mv "$mnt/data" "$mnt/moved" && rm -rf "$mnt/tree/netfilter" || fail "$1: change"
}
verify() {
	cmp "$scratch/data" "$mnt/moved" || fail "$1: contents"
	diff -r -x netfilter /usr/include/linux "$mnt/tree" || fail "$1: tree"
}

# Servers of several kinds.
img 128M -t ext4
for variant in subsystem=internal subsystem=external command=internal-sftp sessions=1; do
	sshd_up s "$variant"
	conf s
	attach ""
	server=$(pgrep -f -- "fuse4fs .*$scratch/" | head -n 1)
	grep -q 'Max core file size  *0  *0 ' "/proc/$server/limits" || fail "passwords and keys would be in a core dump"
	work "$variant"
	"$FUSE4FS" --status "$mnt" >"$scratch/status" || fail "--status"
	grep -qE '^remote +state up,.* fsync yes, locked yes' "$scratch/status" ||
		{ cat "$scratch/status" >&2; fail "$variant: --status"; }
	detach
	clean_image
	attach ""
	verify "$variant"
	rm -rf "$mnt/tree" "$mnt/moved"
	detach
	clean_image
	sshd_kill s
	unset "sshd_port[s]"
done

# Names, options, mount(8), the home directory's relative path.
sshd_up s
conf s
url=sftp://$sshd_user@127.0.0.1:${sshd_port[s]}
attach "identity=$sshd_key,UserKnownHostsFile=$sshd_dir/s/known_hosts" "$url$image"
detach
attach "IdentityFile=$sshd_key,UserKnownHostsFile=$sshd_dir/s/known_hosts,channels=1,sftp_buffer=2M" "$url$image"
work "small buffer"
detach
clean_image
printf 'Host *\n  Port 9\n' >"$scratch/wrong"
timeout 60 "$FUSE4FS" -o "ssh_config=$scratch/wrong,port=${sshd_port[s]},identity=$sshd_key,UserKnownHostsFile=$sshd_dir/s/known_hosts" \
	"127.0.0.1:$image" "$mnt" || fail "explicit options win"
verify "explicit options"
detach
FUSE4FS=$FUSE4FS sh "$srcdir_tests/../tools/mount.fuse4fs" "s:$image" "$mnt" -o "rw,noatime,_netdev,ssh_config=$config" ||
	fail "mount.fuse4fs"
grep -q "^s:$image $mnt fuse.fuse4fs" /proc/mounts || fail "not listed by its name"
FUSE4FS=$FUSE4FS sh "$srcdir_tests/../tools/umount.fuse4fs" "$mnt" || fail "umount.fuse4fs"
pgrep -f -- "fuse4fs .*$scratch/" >/dev/null && fail "umount.fuse4fs did not wait"
clean_image

# Relative names are still those files when the server in the background, elsewhere by then, logs
# in again.
cp "$sshd_key" "$scratch/id" && cp "$sshd_dir/s/known_hosts" "$scratch/known"
printf '%s\n' "Host s" "  HostName 127.0.0.1" "  Port ${sshd_port[s]}" "  User $sshd_user" >"$scratch/relative"
(cd "$scratch" && timeout 60 "$FUSE4FS" -o "ssh_config=relative,identity=id,UserKnownHostsFile=known,timeout=20" \
	"s:$image" "$mnt") || fail "relative names"
# shellcheck disable=SC2046
kill $(sshd_servers s)
date >"$mnt/again" && timeout 60 sync -f "$mnt/again" || fail "relative names: logging in again"
detach
clean_image

# Who may not.
refused 'no such file|does not exist' "" "s:$image.none"
refused 'names no file' "" "s:"
refused 'only sftp' "" "http://s$image"
refused 'host key|not in' "UserKnownHostsFile=$scratch/none"
ssh_key "$scratch/otherhost"
echo "[127.0.0.1]:${sshd_port[s]} $(cut -d' ' -f1,2 "$scratch/otherhost.pub")" >"$scratch/changed"
refused 'changed.*attack' "UserKnownHostsFile=$scratch/changed,StrictHostKeyChecking=no"
timeout 60 "$FUSE4FS" -o "ssh_config=$config,UserKnownHostsFile=$scratch/new,StrictHostKeyChecking=accept-new,ro" \
	"s:$image" "$mnt" 2>"$scratch/out" || { cat "$scratch/out" >&2; fail "accept-new"; }
grep -q 'SHA256:.* was added to' "$scratch/out" || fail "accept-new: silent"
[ -s "$scratch/new" ] || fail "accept-new: not remembered"
umount "$mnt"; server_gone
sed "s|IdentityFile.*|IdentityFile $scratch/otherhost|" "$config" >"$scratch/config2"
refused 'ermission denied' "ssh_config=$scratch/config2"
refused 'cannot connect' "port=1"
truncate -s 0 "$scratch/empty"
refused 'empty' "" "s:$scratch/empty"
refused 'directory|is it a file' "" "s:$scratch"
refused 'break' "lock=break" "$image"

# A second mount says who has it.
attach ""
mnt2=$scratch/kmnt
timeout 100 "$FUSE4FS" -o "ssh_config=$config,lock=fail" "s:$image" "$mnt2" >"$scratch/out" 2>&1 &&
	fail "mounted twice"
grep -q "$(hostname)" "$scratch/out" && [ "$(wc -l <"$scratch/out")" = 1 ] ||
	{ cat "$scratch/out" >&2; fail "does not say who has it"; }
detach

# Read-only servers.
chmod 444 "$image"
sshd_up ro subsystem=readonly
sshd_config ro >>"$config"
refused 'ro' "" "ro:$image"
before=$(md5sum <"$image")
attach ro "ro:$image"
verify "read-only"
touch "$mnt/new" 2>/dev/null && fail "read-only: could write"
umount "$mnt"; server_gone
[ "$before" = "$(md5sum <"$image")" ] || fail "read-only: changed"
chmod 644 "$image"

# ssh(1) instead of libssh, and a host behind another one.
conf s
attach_by_program "ssh_command=ssh -F $config"
verify "ssh_command"
work "ssh_command"
detach
clean_image
sshd_up jump
{ sshd_config jump; sshd_config s; echo "  ProxyJump jump"; } >"$config"
attach_by_program ""
verify "ProxyJump"
detach
grep -q Accepted "$sshd_dir/jump/log" || fail "not through the jump host"

# Less room there than a sparse image may need.
mkdir "$scratch/small"
mount -t tmpfs -o size=40M none "$scratch/small" || fail tmpfs
truncate -s 1G "$scratch/small/img" && mke2fs -q -F -t ext4 "$scratch/small/img" || fail mke2fs
sshd_up roomy
conf roomy
timeout 60 "$FUSE4FS" -o "ssh_config=$config" "roomy:$scratch/small/img" "$mnt" 2>"$scratch/said" ||
	fail "a small disk: $(cat "$scratch/said")"
grep -q "disk has 3[0-9] MiB left, this file system" "$scratch/said" ||
	fail "nothing about the room there: $(cat "$scratch/said")"
"$FUSE4FS" --status "$mnt" | grep -q far_free_bytes || fail "--status: no room there"
detach
umount "$scratch/small"

# A jail.
mkdir "$scratch/jail"
mv "$image" "$scratch/jail/disk"
sshd_up jail "chroot=$scratch/jail" command=internal-sftp
conf jail
chmod 755 "$scratch/jail"
attach "" "jail:/disk"
verify jail
work jail
umount "$mnt"; server_gone
clean_image "$scratch/jail/disk"
exit 0
