#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Multi-mount protection: the block says who writes, and is believed. The kernel and e2fsck are
# asked on the same images. Most of the time goes by waiting, so the cases run side by side.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; own_namespace; need mke2fs e2fsck debugfs dumpe2fs python3

all=$scratch
# A case runs in a folder of its own, with its image there: its shell's variables are its own.
begin() { # NAME MKE2FS-ARGS
	cd "$scratch" && mkdir "$1" && cd "$1" && mkdir mnt kmnt || exit 1
	scratch=$PWD mnt=$PWD/mnt kmnt=$PWD/kmnt image=$PWD/img
	shift
	img 32M -t ext4 -O mmp -E mmp_update_interval=1 "$@"
}
mmp() { debugfs -R dump_mmp "$image" 2>/dev/null | sed -n "s/^$1: //p"; }
mmp_off() { echo $(($(mmp block_number) * $(dumpe2fs -h "$image" 2>/dev/null | sed -n 's/^Block size: *//p'))); }
poke() { poke_at $(($(mmp_off) + $1)) "$2"; }
poke_at() { # OFFSET BYTES, of the image: one write
	printf '%b' "$2" | dd of="$image" bs=1k count=1 oflag=seek_bytes seek="$1" conv=notrunc status=none
}
served() { # OPTIONS: another server on the same image, refused. Its words are in $scratch/out
	timeout 60 "$FUSE4FS" -f ${1:+-o "$1"} "$image" "$kmnt" >"$scratch/out" 2>&1
}
clean_block() { [ "$(mmp sequence)" = ff4d4d50 ]; }
next_update() { # waits for it: the other one is a second away
	local first
	first=$(mmp sequence)
	await 60 eval '[ "$(mmp sequence)" != "$first" ]' || fail "the sequence stands still"
}
noticed() { # WHO
	await 60 grep -q "somebody else has mounted it ($1" "$scratch/server.log" || fail "not noticed"
}

case_alive() { # the block while it is mounted; the kernel, e2fsck and we ourselves keep off
	begin alive
	serve
	[ "$(mmp node_name)" = "$(uname -n)" ] && [ "$(mmp device_name)" = img ] || fail "who: $(mmp node_name) $(mmp device_name)"
	await 60 eval '[ "$(mmp check_interval)" = 5 ]' || fail "check interval $(mmp check_interval)"
	next_update
	"$FUSE4FS" -f -o ro,lock=none "$image" "$kmnt" >"$scratch/ro" 2>&1 &
	await 60 mountpoint -q "$kmnt" || fail "no mount with ro: $(cat "$scratch/ro")"
	grep waiting "$scratch/ro" && fail "ro waits for somebody"
	umount "$kmnt"
	timeout 20 "$FUSE4FS" --probe "$image" >"$scratch/probe" || fail "--probe"	# waiting is 22 s
	grep -q "in use elsewhere, or not unmounted: node '$(uname -n)'" "$scratch/probe" || { cat "$scratch/probe" >&2; fail "--probe does not say it"; }
	# Or it would see the mount, and keep those of the other cases.
	timeout 60 unshare -m sh -c 'awk -v s="$0/" "index(\$2, s) == 1 { print \$2 }" /proc/self/mounts |
		sort -r | xargs -r umount -l; exec e2fsck -fp "$1"' "$all" "$image" >"$scratch/fsck" 2>&1 &
	fsck=$!
	served lock=none && fail "served twice"
	grep -q "in use elsewhere: node '$(uname -n)', device 'img', last seen 2" "$scratch/out" || { cat "$scratch/out" >&2; fail "who has it?"; }
	wait $fsck && fail "e2fsck went on"
	grep -q MMP "$scratch/fsck" || { cat "$scratch/fsck" >&2; fail "e2fsck stopped for something else"; }
	if [ -c /dev/loop-control ]; then
		mount -o loop "$image" "$kmnt" 2>/dev/null && fail "the kernel mounted it, too"
	fi
	echo more >"$mnt/file" && sync "$mnt/file" || fail "cannot write any more"
	unserve
	clean_block || fail "not clean after umount: $(mmp sequence)"
	clean_image
}

case_kernel() { # what the kernel has, we keep off; afterwards the kernel and we take turns
	begin kernel
	[ -c /dev/loop-control ] || return 0
	kmount
	mountpoint -q "$kmnt" || fail "no kernel mount"
	timeout 60 "$FUSE4FS" -f -o lock=none "$image" "$mnt" >"$scratch/out" 2>&1 && fail "served what the kernel has mounted"
	grep -q "in use elsewhere: node '$(uname -n)', device 'loop" "$scratch/out" || { cat "$scratch/out" >&2; fail "who has it?"; }
	kumount
	await 60 clean_block || fail "not clean after the kernel's umount: $(mmp sequence)"
	serve
	unserve
	grep -q waiting "$scratch/server.log" && fail "clean, and we wait"
	clean_block || fail "not clean after ours: $(mmp sequence)"
	start=$SECONDS
	kmount
	[ $((SECONDS - start)) -lt 20 ] || fail "clean, and the kernel waits"
	kumount
	clean_image
}

case_killed() { # the owner is dead: waited for, then taken over
	begin killed -b 1024
	serve
	echo kept >"$mnt/file" && sync "$mnt/file"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	umount "$mnt" 2>/dev/null || umount -l "$mnt"
	start=$SECONDS
	timeout 180 "$FUSE4FS" "$image" "$mnt" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "no mount after a crash"; }
	[ $((SECONDS - start)) -ge 20 ] || fail "waited only $((SECONDS - start)) s"
	grep -Eq 'waiting up to [2-9][0-9] s' "$scratch/out" || fail "waits without a word"
	grep -q kept "$mnt/file" || fail "lost"
	umount "$mnt"
	await 60 clean_block || fail "not clean: $(mmp sequence)"
	clean_image
}

case_taken() { # somebody else is in the block: not a byte more is written
	begin taken -O ^metadata_csum
	serve commit=3	# the commit is due after it has been noticed
	echo kept >"$mnt/file" && sync "$mnt/file"
	at=$(mmp_off)
	# An update that has looked at the block before writes over it: once more, then.
	for _ in 1 2 3 4 5; do
		next_update
		echo late >"$mnt/late"
		poke_at $((at + 4)) '\x07\x07\x07\x07\0\0\0\0\0\0\0\0thief\0'
		await 60 eval '[ "$(mmp node_name)" != thief ] || grep -q "somebody else" "$scratch/server.log"'
		[ "$(mmp node_name)" != thief ] || break
	done
	noticed "node 'thief"
	before=$(md5sum <"$image")
	echo x >"$mnt/new" 2>/dev/null && fail "can still write"
	cat "$mnt/file" >/dev/null 2>&1 && fail "can still read"
	sleep 4
	umount "$mnt"
	wait "$server" && fail "nobody was told that not everything was written"
	[ "$before" = "$(md5sum <"$image")" ] || fail "written after somebody else had it"
	[ "$(mmp node_name)" = thief ] && [ "$(mmp sequence)" = 07070707 ] || fail "the other's block was overwritten"
	[ "$(grep -c 'somebody else' "$scratch/server.log")" = 1 ] || fail "said more than once"
}

# Nothing is left to write, neither to the journal nor home.
at_rest() {
	"$FUSE4FS" --status --json "$mnt" | python3 -c 'import json, sys
s = json.load(sys.stdin)
j = s["journal"]
sys.exit(s["state"] != "clean" or j["running_blocks"] != 0 or j["log_free"] != j["log_blocks"])'
}

case_stopped() { # for so long that the kernel takes it over: what the kernel does then stays
	begin stopped
	[ -c /dev/loop-control ] || return 0
	serve
	echo ours >"$mnt/file" && sync "$mnt/file"
	await 60 at_rest || fail "something is left to write"
	next_update
	kill -STOP "$server"
	kmount
	echo theirs >"$kmnt/file" && sync -f "$kmnt/file" || fail "the kernel's mount"
	kill -CONT "$server"
	noticed "node '$(uname -n)', device 'loop"
	echo x >"$mnt/new" 2>/dev/null && fail "can still write"
	umount "$mnt"
	wait "$server" && fail "nobody was told"
	grep -q theirs "$kmnt/file" || fail "the kernel's file"
	kumount
	clean_image
	kmount
	grep -q theirs "$kmnt/file" || fail "the kernel's file"
	kumount
}

case_fsck() { # e2fsck is at work, states nobody knows, a block that is none
	begin fsck -O ^metadata_csum
	poke 4 '\x50\x4d\x4d\xe2'
	served && fail "served during e2fsck"
	grep -q 'e2fsck is running on it.*clear_mmp' "$scratch/out" || { cat "$scratch/out" >&2; fail "e2fsck?"; }
	"$FUSE4FS" --probe "$image" | grep -q 'e2fsck is running' || fail "--probe during e2fsck"
	poke 4 '\x51\x4d\x4d\xe2'
	served && fail "served in an unknown state"
	grep -q 'not known' "$scratch/out" || fail "unknown?"
	poke 4 '\x50\x4d\x4d\xff'
	poke 0 'x'
	served && fail "served without its block"
	grep -q 'is not the block.*e2fsck' "$scratch/out" || { cat "$scratch/out" >&2; fail "no block?"; }
	debugfs -w -R "ssv mmp_block 0" "$image" 2>/dev/null
	served && fail "block 0"
	debugfs -w -R "ssv mmp_block 99999999" "$image" 2>/dev/null
	served && fail "a block behind the end"
	timeout 60 tune2fs -f -E clear_mmp "$image" >/dev/null 2>&1
	before=$(md5sum <"$image")
	serve ro
	ls "$mnt" >/dev/null
	unserve
	[ "$before" = "$(md5sum <"$image")" ] || fail "ro has written"
}

case_checksum() {
	begin checksum
	poke 8 'x'
	served && fail "served with a wrong checksum"
	grep -q 'is not the block' "$scratch/out" || fail "checksum?"
}

case_remote() { # slow updates make others patient; who came while we were away is not written over
	begin remote -O ^metadata_csum
	"$FUSE4FS" -f -o "ssh_config=$config,deadline=20,commit=1" "s:$image" "$mnt" >"$scratch/server.log" 2>&1 &
	server=$!
	await 60 mountpoint -q "$mnt" || fail "no mount"
	next_update
	net s delay 2000 >/dev/null
	await 60 eval '[ "$(mmp check_interval)" -gt 5 ]' || fail "slow, and the check interval is $(mmp check_interval)"
	net s delay 0 >/dev/null
	net s cut >/dev/null
	await 60 eval '[ "$(mmp check_interval)" = 5 ]' || fail "fast, and the check interval is $(mmp check_interval)"
	# More is synced than the device remembers otherwise.
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for i in range(60):
    os.pwrite(fd, b"x", i * 100000)
    os.fsync(fd)' "$mnt/file" || fail "cannot write"
	writers=$(sshd_servers s)
	net s refuse >/dev/null
	net s cut >/dev/null
	echo late >"$mnt/late"
	# What a server has still to write would be written over the block.
	# shellcheck disable=SC2086 # numbers
	await 60 ended $writers && await 60 eval '[ -z "$(sshd_servers s)" ]' || fail "servers without a connection"
	poke 4 '\x07\x07\x07\x07'
	before=$(md5sum <"$image")
	net s resume >/dev/null
	await 60 grep -q 'nothing is read or written any more' "$scratch/server.log" || fail "not noticed"
	cat "$mnt/late" >/dev/null 2>&1
	umount "$mnt"
	wait "$server" && fail "nobody was told that not everything was written"
	[ "$before" = "$(md5sum <"$image")" ] || fail "written after somebody else had it"
}

cases="alive kernel killed taken stopped fsck checksum"
if [ -x "$sshd_program" ] && [ -n "$sftp_server" ] && [ -x "$netproxy" ]; then
	sshd_up s
	net_up s "${sshd_port[s]}"
	config=$scratch/config
	sshd_config s >"$config"
	cases="$cases remote"
fi
for c in $cases; do
	("case_$c") >"$scratch/$c.log" 2>&1 &
	pids="${pids:-} $c=$!"
done
for p in $pids; do
	wait "${p#*=}" || { cat "$scratch/${p%=*}.log" >&2; bad=1; }
done
[ -z "${bad:-}" ] || fail "see above"
exit 0
