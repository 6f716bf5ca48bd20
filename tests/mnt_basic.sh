#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mount in everyday use: copy a tree in, compare, remount, compare, delete, clean.
. "$(dirname "$0")/lib.sh"
need_fuse; need mke2fs e2fsck diff

for fs in "-t ext4" "-t ext4 -b 1024" "-t ext3" "-t ext2" "-t ext4 -O inline_data"; do
	# shellcheck disable=SC2086
	img 128M $fs
	serve
	cp -a /usr/include/linux "$mnt/tree" || fail "$fs: cp"
	diff -r /usr/include/linux "$mnt/tree" || fail "$fs: contents differ"
	unserve
	clean_image
	serve
	diff -r /usr/include/linux "$mnt/tree" || fail "$fs: contents differ after a remount"
	rm -rf "$mnt/tree" || fail "$fs: rm"
	[ "$(ls "$mnt")" = lost+found ] || fail "$fs: something was left"
	unserve
	clean_image
done
