#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One stream of random operations on fuse4fs and on the kernel's ext4, for each feature
# set: same results, same tree, clean images, and the kernel sees the same in ours.
# SEED=n COUNT=n SETS="name ..." narrow it down.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace; need_loop; need python3 mke2fs e2fsck

seed=${SEED:-1}
count=${COUNT:-1500}
sets=${SETS:-"ext2 ext3 ext4 ext4-1k inline nocsum"}
args_for() {
	case $1 in
	ext2) echo "-t ext2" ;;
	ext3) echo "-t ext3" ;;
	ext4) echo "-t ext4" ;;
	ext4-1k) echo "-t ext4 -b 1024" ;;
	ext4-2k) echo "-t ext4 -b 2048 -I 512" ;;
	inline) echo "-t ext4 -O inline_data,ea_inode,orphan_file,metadata_csum_seed" ;;
	nocsum) echo "-t ext4 -O ^metadata_csum,uninit_bg,^64bit" ;;
	esac
}
extra_for() { case $1 in ext2 | ext3) echo --no-fallocate ;; esac; }

for set in $sets; do
	# shellcheck disable=SC2046
	img 192M $(args_for "$set")
	# Kernels up to 6.18 at least can block for ever in writeback of inline data when
	# the journal is full, so the kernel's side goes without that feature.
	if [ "$set" = inline ]; then
		truncate -s 192M "$scratch/kernel-$set.img"
		mke2fs -q -F -t ext4 -O ea_inode "$scratch/kernel-$set.img"
	else
		plain_copy "$scratch/kernel-$set.img"
	fi
	serve
	mkdir -p "$scratch/k"
	mount -o loop,nodev,nosuid "$scratch/kernel-$set.img" "$scratch/k" || fail "kernel mount"
	# shellcheck disable=SC2046
	python3 "$top_tests/diff_ops.py" "$mnt" "$scratch/k" "$seed" "$count" $(extra_for "$set") \
		>"$scratch/diff.out" 2>&1 || { cat "$scratch/diff.out" >&2; fail "$set: seed $seed"; }
	unserve
	clean_image
	kmount ro
	python3 "$top_tests/diff_ops.py" "$kmnt" "$scratch/k" 0 0 >"$scratch/diff.out" 2>&1 ||
		{ cat "$scratch/diff.out" >&2; fail "$set: the kernel sees another tree in our image"; }
	kumount
	umount "$scratch/k" || fail "umount of the kernel's side"
	rm -f "$scratch/kernel-$set.img"
done
