#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The commands of doc/recipes.md, each run as it stands there, by a user without any right; the
# server of the encrypted image is an sshd of our own, and its user the one who runs the tests.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
. "${SRCDIR:-$(dirname "$0")/..}/tests/sshd_fixture.sh"
need_fuse
need setpriv fusermount3 mke2fs e2fsck python3 rsync
need_own_mounts
! in_chroot || skip "the recipes are for a whole system, not for a chroot"
own_namespace
# Whatever this machine thinks of /dev/fuse.
mknod -m 666 "$scratch/fuse" c 10 229 && mount --bind "$scratch/fuse" /dev/fuse || fail "/dev/fuse"
home=$scratch/home
mkdir "$scratch/bin" "$home"
# The build folder may be closed to other users.
cp "$FUSE4FS" "$scratch/bin/fuse4fs"
chmod 755 "$scratch" "$scratch/bin/fuse4fs"
chown nobody "$home"
cd "$home" || exit 1

as_nobody() {
	HOME=$home PATH=$scratch/bin:$PATH setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"
}
recipe() { # HEADING
	python3 "$srcdir_tests/recipe.py" "$1" >"$scratch/recipe" || fail "$1"
	as_nobody sh -ex <"$scratch/recipe" >"$scratch/out" 2>&1 ||
		{ cat "$scratch/out" >&2; fail "$1"; }
}

as_nobody mkdir mnt
as_nobody sh -c 'truncate -s 64M suspicious.img && mke2fs -q -t ext4 suspicious.img'
recipe "An image that nobody vouches for"
e2fsck -fn suspicious.img >/dev/null 2>&1 || fail "e2fsck after the first recipe"

if as_nobody unshare -Urm true 2>/dev/null; then
	recipe "No privilege but a user namespace"
	grep -q '^hello' "$scratch/out" || fail "nothing was read back"
	recipe "A writable layer over a read-only one"
	for i in base.img layer.img; do e2fsck -fn $i >/dev/null 2>&1 || fail "e2fsck of $i"; done
	debugfs -R 'cat upper/file' layer.img 2>/dev/null | grep -q '^changed' || fail "the layer has no change"
	debugfs -R 'cat file' base.img 2>/dev/null | grep -q '^original' || fail "the base was changed"
fi

as_nobody sh -c 'rm -f disk.img && truncate -s 64M disk.img &&
	mke2fs -q -t ext4 -E root_owner disk.img && fuse4fs disk.img mnt && echo kept >mnt/file' ||
	fail "a mount to back up"
recipe "Backups"
[ "$(cat backup/file)" = kept ] || fail "the backup has no file"
e2fsck -fn backup.img >/dev/null 2>&1 || fail "e2fsck of the backup"

# As whoever runs the tests: sshd lets nobody else in.
[ -x "$sshd_program" ] && command -v cryptsetup ssh >/dev/null || exit 0
mkdir "$scratch/far" "$scratch/near" "$scratch/near/.ssh"
cd "$scratch/near" || exit 1
# Not $HOME but what is in /etc/passwd is where ssh(1) looks for its configuration.
awk -F: -v OFS=: -v u="$sshd_user" -v h="$PWD" '$1 == u { $6 = h } { print }' /etc/passwd >"$scratch/passwd"
mount --bind "$scratch/passwd" /etc/passwd || fail "/etc/passwd"
sshd_up server home="$scratch/far"
sshd_config server | sed 's/^Host .*/Host server.example/' >.ssh/config
python3 "$srcdir_tests/recipe.py" "An encrypted image on a rented server, from nothing" |
	sed "s/me@server\.example/$sshd_user@server.example/g" >"$scratch/recipe"
[ -s "$scratch/recipe" ] || fail "the recipe of a rented server"
cat >"$scratch/talk" <<'END'
Are you sure.*: $
YES
Enter passphrase for .*: $
not much of a secret
Verify passphrase: $
not much of a secret
Enter passphrase for .*: $
not much of a secret
Enter passphrase for .*: $
not much of a secret
END
HOME=$PWD PATH=$scratch/bin:$PATH SECRETS=4 timeout 300 python3 -I "$srcdir_tests/terminal.py" 0 \
	/bin/bash -ex "$scratch/recipe" <"$scratch/talk" >"$scratch/out" 2>&1 ||
	{ cat "$scratch/out" >&2; fail "an encrypted image on a server"; }
cryptsetup isLuks --type luks2 "$scratch/far/disk.img" || fail "no container there"
exit 0
