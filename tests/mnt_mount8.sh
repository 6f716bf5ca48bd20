#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mount(8), umount(8) and fstab through the helpers, for images and containers. The helpers
# appear in /usr/sbin of a mount namespace of this test's own.
. "$(dirname "$0")/lib.sh"
need_fuse; need cryptsetup mke2fs python3 unshare
need_own_mounts

cat >"$scratch/inside" <<'S'
set -eu
scratch=$1 tools=$2
leave_other_mounts
mkdir "$scratch/over"
mount -t tmpfs none "$scratch/over"
mkdir "$scratch/over/u" "$scratch/over/w"
sbin=$(readlink -f /sbin)
mount -t overlay overlay -o "lowerdir=$sbin,upperdir=$scratch/over/u,workdir=$scratch/over/w" "$sbin" || exit 77
cp "$tools/mount.fuse4fs" "$tools/umount.fuse4fs" "$sbin/"
ln -sf mount.fuse4fs "$sbin/mount.fuse.fuse4fs"
ln -sf umount.fuse4fs "$sbin/umount.fuse.fuse4fs"
shift 2
exec "$@"
S
if [ "${1:-}" != inside ]; then
	img 32M -t ext4
	container "$scratch/luks" $((32 << 20))
	exported "$scratch/luks" "keyfile=$key" dd if="$image" of="$scratch/x/device" bs=1M status=none || fail "fill"
	printf 'correct horse' >"$scratch/pass"
	cryptsetup luksAddKey -q --key-file "$key" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$scratch/luks" \
		"$scratch/pass" || fail luksAddKey
	export FUSE4FS
	export -f leave_other_mounts
	unshare -m bash "$scratch/inside" "$scratch" "$top_tests/../tools" bash "$0" inside "$scratch"
	status=$?
	[ $status != 77 ] || skip "no overlay file system"
	[ $status = 0 ] || fail "status $status"
	exit 0
fi

outer=$2
image=$outer/img luks=$outer/luks
is_mounted() { mountpoint -q "$mnt" && [ -d "$mnt/lost+found" ] || fail "$1: not mounted"; }
cat >"$scratch/fstab" <<S
$image $mnt fuse4fs noauto,noatime 0 0
S
mount -T "$scratch/fstab" "$mnt" || fail "fstab"
is_mounted fstab
echo x >"$mnt/x"
# Without a type mount(8) goes by what the mount table says it is.
mount -o remount,ro "$mnt" || fail "remount,ro"
touch "$mnt/y" 2>/dev/null && fail "written after remount,ro"
mount -o remount,rw "$mnt" || fail "remount,rw"
touch "$mnt/x" || fail "not writable after remount,rw"
umount "$mnt" || fail umount
clean_image		# umount(8) has waited
mount -t fuse4fs -o ro "$image" "$mnt" || fail "mount -t"
[ "$(cat "$mnt/x")" = x ] || fail "mount -t shows something else"
umount "$mnt"
mount -t fuse4fs -o nonsense "$image" "$mnt" 2>/dev/null && fail "an unknown option"

# Mounted without mount(8): umount(8) waits all the same. No trace is left of either.
"$FUSE4FS" "$image" "$mnt" || fail "mount"
echo y >"$mnt/y"
umount "$mnt" || fail "umount"
clean_image
"$FUSE4FS" "$image" "$mnt" || fail "mount"
"$FUSE4FS" -u "$mnt" || fail "-u"
grep -s "$scratch" /run/mount/utab && fail "notes are left behind"

echo "$luks $mnt fuse4fs noauto,noatime,keyfile=$outer/key 0 0" >"$scratch/fstab"
mount -T "$scratch/fstab" "$mnt" || fail "fstab with a key file"
is_mounted "fstab with a key file"
umount "$mnt"
mount -t fuse4fs "$luks" "$mnt" <"$outer/pass" || fail "a piped passphrase"
is_mounted "a piped passphrase"
umount "$mnt"
echo wrong | mount -t fuse4fs "$luks" "$mnt" 2>/dev/null
[ $? = 33 ] || fail "mount(8) does not pass status 33 on"
typed 0 'not this|correct horse' "$(command -v mount)" -t fuse4fs "$luks" "$mnt" \
	>"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "asked by mount(8)"; }
is_mounted "asked by mount(8)"
umount "$mnt"
exit 0
