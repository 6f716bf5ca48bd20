#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A real Debian root file system lives in the mount: unpacked with device nodes, hard
# links, setuid bits and capabilities, compared, chrooted into; git, sqlite and a compiler
# work in it; afterwards the kernel's ext4 sees the same. Then the other way round.
# ROOTFS_TAR=FILE uses that instead of making one.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace; need_loop; need mmdebstrap rsync tar git sqlite3 gcc setcap python3

tarball=${ROOTFS_TAR:-$scratch/root.tar}
if [ ! -s "$tarball" ]; then
	mmdebstrap --quiet --variant=minbase --include=python3-minimal,perl,libc6-dev bookworm "$tarball" \
		>"$scratch/mm.log" 2>&1 || { tail -n 3 "$scratch/mm.log" >&2; skip "no Debian archive within reach"; }
fi
ref=$scratch/ref
mkdir "$ref"
truncate -s 1500M "$scratch/ref.img"
mke2fs -q -F -t ext4 "$scratch/ref.img"
mount -o loop "$scratch/ref.img" "$ref" || fail "reference mount"
unpack() {
	tar -p --xattrs --xattrs-include='*' --acls --numeric-owner -C "$1" -xf "$tarball" || fail "tar into $1"
	setcap cap_net_raw+ep "$1/bin/ping" 2>/dev/null || { cp -p "$1/bin/true" "$1/bin/capped" && setcap cap_net_raw+ep "$1/bin/capped"; }
	[ -e "$1/dev/null" ] || mknod -m 666 "$1/dev/null" c 1 3
	setfacl -m u:1000:rwx -d -m g:1000:rx "$1/srv"
}
same() {
	rsync -aHAXn --numeric-ids --checksum --delete -i --exclude=/lost+found "$1/" "$2/" >"$scratch/rsync.out" 2>&1 ||
		fail "rsync"
	grep -v '^\.d\.\.t' "$scratch/rsync.out" >"$scratch/rsync.diff"
	[ ! -s "$scratch/rsync.diff" ] || { head "$scratch/rsync.diff" >&2; fail "$3"; }
}

img 1500M -t ext4
serve "suid,dev"
unpack "$mnt"
unpack "$ref"
same "$mnt" "$ref" "fuse4fs and the kernel hold different trees"
chroot "$mnt" /bin/sh -c 'dpkg --configure -a && dpkg --audit && perl -e "print 1" >/dev/null && echo ok >/tmp/chrooted' \
	>"$scratch/chroot.log" 2>&1 || { cat "$scratch/chroot.log" >&2; fail "chroot"; }
[ "$(cat "$mnt/tmp/chrooted")" = ok ] || fail "chroot wrote nothing"

git init -q "$mnt/tmp/origin" && (
	cd "$mnt/tmp/origin" && cp -r "$mnt/usr/share/perl5" . && git add -A &&
	git -c user.name=t -c user.email=t@t commit -qm one
) || fail "git commit"
git clone -q "$mnt/tmp/origin" "$mnt/tmp/clone" 2>/dev/null || fail "git clone"
git -C "$mnt/tmp/clone" fsck --full >/dev/null 2>&1 || fail "git fsck"
git -C "$mnt/tmp/clone" gc -q || fail "git gc"
[ -z "$(git -C "$mnt/tmp/clone" status --porcelain)" ] || fail "git status"

db=$mnt/tmp/db.sqlite
sqlite3 "$db" 'pragma journal_mode=wal; create table t(w int, n int);' >/dev/null || fail "sqlite"
for w in 1 2 3 4; do
	for n in $(seq 50); do echo "insert into t values($w,$n);"; done >"$scratch/sql$w"
	(echo ".timeout 600000"; cat "$scratch/sql$w") | sqlite3 "$db" &
	jobs_[w]=$!
done
for w in 1 2 3 4; do wait "${jobs_[w]}" || fail "sqlite writer $w"; done
[ "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t;' | tr '\n' ' ')" = "ok 200 " ] || fail "sqlite content"

printf '#include <stdio.h>\nint main(void){puts("compiled");return 0;}\n' >"$mnt/tmp/a.c"
gcc -O2 -o "$mnt/tmp/a" "$mnt/tmp/a.c" && [ "$("$mnt/tmp/a")" = compiled ] || fail "compile and run"

sync -f "$mnt"
rsync -aHAX --numeric-ids --delete --exclude=/lost+found "$mnt/" "$ref/" || fail "rsync out"
unserve
clean_image
kmount ro
same "$kmnt" "$ref" "the kernel sees another tree than was written"
kumount

# The kernel wrote it, fuse4fs serves it.
umount "$ref"
adopt "$scratch/ref.img"
clean_image
serve "suid,dev"
unpack_ref=$scratch/kref
mkdir "$unpack_ref"
plain_copy "$scratch/copy.img"
mount -o loop,ro,noload "$scratch/copy.img" "$unpack_ref" || fail "kernel mount of the copy"
same "$mnt" "$unpack_ref" "fuse4fs serves another tree than the kernel wrote"
umount "$unpack_ref"
chroot "$mnt" /bin/sh -c 'dpkg --audit' || fail "chroot into the kernel's tree"
unserve
clean_image
