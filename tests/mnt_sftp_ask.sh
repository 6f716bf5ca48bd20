#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is asked before a mount of an image on an SSH server goes to the background: the host key,
# the password, the container's passphrase; a reconnection asks nothing. Servers without fsync.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need mke2fs e2fsck
config=$scratch/config
server_gone() {
	for _ in $(seq 900); do
		pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || return 0
		sleep 0.1
	done
	fail "the server did not end"
}
typed() { # STATUS SECRETS COMMAND... with the talk on standard input
	SECRETS=$2 timeout 90 python3 -I "$srcdir_tests/terminal.py" "$1" "${@:3}" >"$scratch/shown" ||
		{ cat "$scratch/shown" >&2; fail "${*:3}"; }
}
reconnects() { timeout 10 "$FUSE4FS" --status --json "$mnt" | sed -nE 's/.*"reconnects": ([0-9]+).*/\1/p'; }

img 64M -t ext4
for kind in password kbdint; do
	sshd_up s "$kind=open sesame"
	net_up s "${sshd_port[s]}"
	sshd_config s "PubkeyAuthentication no" | sed "/IdentityFile/d; s|known_hosts|new_$kind|" >"$config"
	typed 0 1 "$FUSE4FS" -o "ssh_config=$config" "s:$image" "$mnt" <<-END
		ED25519 SHA256:[^?]*[?] .yes/no
		yes
		assword:
		open sesame
	END
	grep -q 'was added' "$scratch/shown" || fail "$kind: the host was not added"
	dd if=/dev/zero of="$mnt/$kind" bs=4k count=10 conv=fsync 2>/dev/null || fail "$kind: write"
	net s cut >/dev/null
	dd if=/dev/zero of="$mnt/$kind" bs=4k count=20 conv=fsync 2>/dev/null || fail "$kind: write after a cut"
	[ "$(reconnects)" -ge 1 ] || fail "$kind: not connected again"
	pid=$(pgrep -f -- "fuse4fs .*$scratch/mnt" | head -n 1)
	tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q sesame && fail "$kind: in argv"
	umount "$mnt"; server_gone
	typed 32 3 "$FUSE4FS" -o "ssh_config=$config" "s:$image" "$mnt" <<-'END'
		assword:
		wrong1
		assword:
		wrong2
		assword:
		wrong3
	END
	# ssh(1) asks once, however many channels there are, and sends no empty passwords.
	sshd_config s "PubkeyAuthentication no" "PreferredAuthentications ${kind/#kbdint/keyboard-interactive}" |
		sed "/IdentityFile/d" >"$scratch/config-ssh"
	# What sshd says of a login it says after its answer.
	await 60 eval '[ -z "$(sshd_servers s)" ]' || fail "$kind: sessions stay"
	: >"$sshd_dir/s/log"
	typed 0 1 "$FUSE4FS" -o "ssh_command=ssh -F $scratch/config-ssh" "s:$image" "$mnt" <<-END
		assword:
		open sesame
	END
	sleep 0.5
	ls "$mnt" >/dev/null || fail "$kind: ls through ssh(1)"
	[ "$(grep -c assword: "$scratch/shown")" = 1 ] || { cat "$scratch/shown" >&2; fail "$kind: asked more than once"; }
	grep -i 'failed' "$sshd_dir/s/log" >&2 && fail "$kind: logins failed"
	umount "$mnt"; server_gone
	# Nobody to ask.
	setsid -w "$FUSE4FS" -o "ssh_config=$config" "s:$image" "$mnt" >"$scratch/out" 2>&1 </dev/null &&
		fail "$kind: let in without a password"
	[ "$(wc -l <"$scratch/out")" = 1 ] && grep -q 'ermission denied' "$scratch/out" ||
		{ cat "$scratch/out" >&2; fail "$kind: nobody to ask"; }
	sshd_kill s
	unset "sshd_port[s]" "net_port[s]"
done
clean_image

# A container there.
sshd_up s
sshd_config s >"$config"
if command -v cryptsetup >/dev/null; then
	key=$scratch/luks.key
	container "$scratch/luks" $((64 << 20))
	"$FUSE4FS" --export-device -o "ssh_config=$config,keyfile=$key" "s:$scratch/luks" "$kmnt" || fail "export"
	mke2fs -q -F -t ext4 -E nodiscard "$kmnt/device" || fail "mke2fs on the exported device"
	"$FUSE4FS" -u "$kmnt" || fail "-u"
	"$FUSE4FS" -o "ssh_config=$config,keyfile=$key" "s:$scratch/luks" "$mnt" || fail "mount of a container"
	cp -a /usr/include/linux "$mnt/tree" || fail "cp into a container"
	"$FUSE4FS" -u "$mnt" || fail "-u of a container"
	pgrep -f -- "fuse4fs .*$scratch/" >/dev/null && fail "-u did not wait"
	grep -q 'linux' "$scratch/luks" && fail "plain text on the server"
	mkdir -p "$scratch/x"
	"$FUSE4FS" --export-device -o "ro,keyfile=$key" "$scratch/luks" "$scratch/x" || fail "export here"
	e2fsck -fn "$scratch/x/device" >"$scratch/fsck.log" 2>&1 || { cat "$scratch/fsck.log" >&2; fail "e2fsck"; }
	"$FUSE4FS" -u "$scratch/x" || fail "-u"
	"$FUSE4FS" --probe -o "ssh_config=$config" "s:$scratch/luks" >"$scratch/out" || fail "--probe"
	grep -qi luks "$scratch/out" || fail "--probe: $(cat "$scratch/out")"
fi

# A server that cannot fsync.
if command -v rclone >/dev/null; then
	for _ in 1 2 3 4 5; do
		port=$(free_port)
		rclone serve sftp --addr "127.0.0.1:$port" --authorized-keys "$sshd_dir/authorized" \
			--key "$sshd_dir/host" "$scratch" >"$scratch/rclone.log" 2>&1 &
		rclone=$!
		sshd_pid[rclone]=$rclone	# ended with the rest
		wait_port "$port" $rclone && ! ended $rclone && break
	done
	ended $rclone && fail "rclone does not start"
	echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$sshd_dir/host.pub")" >"$scratch/known_rclone"
	options="port=$port,identity=$sshd_key,UserKnownHostsFile=$scratch/known_rclone,ssh_config=none"
	timeout 60 "$FUSE4FS" -o "$options" 127.0.0.1:/img "$mnt" >"$scratch/out" 2>&1 &&
		fail "mounted for writing on a server that cannot fsync"
	# It truncates what is opened for writing.
	[ -s "$image" ] || fail "the image is gone"
	grep -q unsafe_nofsync "$scratch/out" || { cat "$scratch/out" >&2; fail "does not say unsafe_nofsync"; }
	timeout 60 "$FUSE4FS" -o "$options,ro" 127.0.0.1:/img "$mnt" || fail "read-only without fsync"
	ls "$mnt/lost+found" >/dev/null || fail "ls"
	umount "$mnt"; server_gone
	kill $rclone
	wait $rclone
	unset "sshd_pid[rclone]"
	clean_image
fi
exit 0
