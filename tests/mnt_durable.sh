#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a call promised is in the image when it returns: the image is copied at once, the
# server going on, and what e2fsck recovers from the copy has it (P1).
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs e2fsck debugfs

stopped() { [ -z "$(grep -L '^State:.T' /proc/"$server"/task/*/status)" ]; }
# now NAME: a copy of this instant, recovered. The server stands still: cp(1) is no snapshot.
now() {
	copy=$scratch/copy
	kill -STOP "$server"
	await 60 stopped || { kill -CONT "$server"; fail "$1: the server does not stop"; }
	cp --sparse=always "$image" "$copy"
	kill -CONT "$server"
	e2fsck -fy "$copy" >"$scratch/fsck.log" 2>&1
	[ $? -le 1 ] || { cat "$scratch/fsck.log" >&2; fail "$1: e2fsck"; }
	e2fsck -fn "$copy" >"$scratch/fsck.log" 2>&1 || fail "$1: not clean after recovery"
}
# has PATH TEXT: the copy has a file with this content
has() { [ "$(debugfs -R "cat $1" "$copy" 2>/dev/null | tr -d '\0')" = "$2" ]; }
hasnt() { ! debugfs -R "stat $1" "$copy" 2>/dev/null | grep -q Inode:; }

promises() {
	python3 - "$mnt" "$1" <<'P' || fail "$1"
import os, sys
mnt, what = sys.argv[1:]
os.chdir(mnt)
def put(fd, text="text"):
    assert os.write(fd, text.encode()) == len(text)
flags = os.O_CREAT | os.O_RDWR
if what == "fsync":
    fd = os.open("fsync", flags); put(fd); os.fsync(fd)
elif what == "fdatasync":
    fd = os.open("fdatasync", flags); put(fd); os.fdatasync(fd)
elif what == "O_SYNC":
    put(os.open("O_SYNC", flags | os.O_SYNC))
elif what == "O_DSYNC":
    put(os.open("O_DSYNC", flags | os.O_DSYNC))
elif what == "appended":
    fd = os.open("appended", flags)
    put(fd, "te"); os.fsync(fd); put(fd, "xt"); os.fdatasync(fd)
elif what == "by-reader":
    put(os.open("by-reader", flags))
    os.fsync(os.open("by-reader", os.O_RDONLY))
elif what == "directory":
    os.mkdir("directory"); os.fsync(os.open(".", os.O_RDONLY))
    os.symlink("text", "directory/link"); os.mknod("directory/file", 0o644)
    os.fsync(os.open("directory", os.O_RDONLY | os.O_DIRECTORY))
elif what == "renamed":
    fd = os.open("tmp", flags); put(fd); os.fsync(fd)
    os.rename("tmp", "renamed"); os.fsync(os.open(".", os.O_RDONLY))
elif what == "allocated":
    fd = os.open("allocated", flags); os.posix_fallocate(fd, 0, 100000); os.fsync(fd)
elif what == "mode":
    fd = os.open("mode", flags); os.fsync(fd)
    os.fchmod(fd, 0o751); os.setxattr(fd, "user.a", b"value"); os.fsync(fd)
elif what == "gone":
    os.unlink("fsync"); os.fsync(os.open(".", os.O_RDONLY))
P
	now "$1"
}

for args in "-t ext4" "-t ext3 -b 1024" "-t ext4 -O inline_data"; do
	# shellcheck disable=SC2086
	img 32M $args -J size=1 -b 1024
	# The clock alone would do nothing during this test.
	serve "commit=300"
	for what in fsync fdatasync O_SYNC O_DSYNC appended by-reader renamed; do
		promises $what
		has "/$what" text || fail "$args: $what: the text is not there"
	done
	promises directory
	hasnt /directory/file && fail "$args: fsync of a directory: no file"
	debugfs -R "stat /directory/link" "$copy" 2>/dev/null | grep -q symlink || fail "$args: no symlink"
	hasnt /tmp || fail "$args: the old name is still there"
	promises mode
	debugfs -R "stat /mode" "$copy" 2>/dev/null | grep -q 'Mode:  0751' || fail "$args: mode"
	debugfs -R "ea_get /mode user.a" "$copy" 2>/dev/null | grep -q value || fail "$args: attribute"
	promises gone
	hasnt /fsync || fail "$args: what was unlinked is still there"
	case $args in *ext4) promises allocated; hasnt /allocated && fail "$args: allocated";; esac
	unserve
	clean_image
done

# Without being asked: about a second after the last change, and every commit= seconds
# however busy it is.
img 32M -t ext4
serve "commit=300"
echo text >"$mnt/idle"
sync -d "$mnt/idle"
mkdir "$mnt/later"
copied() { now idle; ! hasnt /later; }
await 60 copied || fail "nothing is committed when the file system is idle"
unserve
serve "commit=2"
( while [ -d "$mnt" ] && [ ! -e "$scratch/enough" ]; do touch "$mnt/busy"; done ) &
mkdir "$mnt/clock"
# The second commit from now has it. Not by copies: a server that was stopped has been idle.
commits() { "$FUSE4FS" --status --json "$mnt" | sed -n 's/.*"commits": *\([0-9]*\).*/\1/p'; }
before=$(commits)
committed() { [ "$(commits)" -ge $((before + 2)) ]; }
await 60 committed
now "commit=2"
hasnt /clock && fail "nothing is committed after commit= seconds of work"
: >"$scratch/enough"
wait $!
unserve
clean_image

# -o sync and -o dirsync promise it for every change.
serve "commit=300,sync"
mkdir "$mnt/s"
now sync
hasnt /s && fail "-o sync: mkdir"
printf text >"$mnt/s/f"
now sync
has /s/f text || fail "-o sync: write"
unserve
serve "commit=300,dirsync"
mkdir "$mnt/ds" && mv "$mnt/s/f" "$mnt/ds/g"
now dirsync
has /ds/g text || fail "-o dirsync: mkdir and rename"
unserve
clean_image
exit 0
