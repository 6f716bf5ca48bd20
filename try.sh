#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# From a bare Debian machine to a served ext4 image in one command: installs what the
# build needs, builds in ./build, makes a small image, works in it, checks it.
set -eu
cd "$(dirname "$0")"
. scripts/common.sh

step "installing the build dependencies"
install_packages $BUILD_PACKAGES $DEMO_PACKAGES
step "building in $PWD/build"
build_tree build
step "making a 64 MiB ext4 image"
demo=$(mktemp -d)
finish() {
	status=$?
	! mountpoint -q "$demo/mnt" || build/fuse4fs/fuse4fs -u "$demo/mnt"
	rm -rf "$demo"
	exit $status
}
trap finish EXIT
mkdir "$demo/mnt"
truncate -s 64M "$demo/disk.img"
run mke2fs -q -t ext4 -E "root_owner=$(id -u):$(id -g)" "$demo/disk.img"
step "mounting it:  fuse4fs disk.img mnt"
build/fuse4fs/fuse4fs "$demo/disk.img" "$demo/mnt"
echo "hello from userspace ext4" >"$demo/mnt/hello"
cp -R fuse4fs "$demo/mnt/source"
[ "$(cat "$demo/mnt/hello")" = "hello from userspace ext4" ]
diff -r fuse4fs "$demo/mnt/source"
files=$(find "$demo/mnt" -type f | wc -l)
build/fuse4fs/fuse4fs --status "$demo/mnt" | head -n 5
step "unmounting"
build/fuse4fs/fuse4fs -u "$demo/mnt"
step "checking with e2fsck"
run e2fsck -fn "$demo/disk.img"
echo
echo "Done: built fuse4fs, mounted an ext4 image with it, wrote and read back $files files,"
echo "unmounted it, and e2fsck found the image clean."
echo "Next:  build/fuse4fs/fuse4fs IMAGE MOUNTPOINT   (README.md has examples)"
