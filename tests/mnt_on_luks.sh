#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tests of the plain server on a LUKS2 container: differential and crash, shortened;
# LONG=1 adds the root file system and all feature sets.
here=$(dirname "$0")
command -v cryptsetup >/dev/null || { echo "skipped: cryptsetup is not installed"; exit 77; }
export FUSE4FS_LUKS=luks2
worst=0
run() {
	"$@"
	case $? in
	0) ;;
	77) [ $worst != 0 ] || worst=77 ;;
	*) worst=1 ;;
	esac
}
if [ "${LONG:-}" ]; then
	run bash "$here/mnt_diff.sh"
	run bash "$here/mnt_rootfs.sh"
	run bash "$here/crash_kill.sh"
else
	run env SETS="${SETS:-inline}" COUNT="${COUNT:-400}" bash "$here/mnt_diff.sh"
	# Blocks that are parts of sectors.
	run env SETS="${SETS:-ext4-1k}" COUNT="${COUNT:-400}" FUSE4FS_LUKS_ARGS="--sector-size 4096" \
		bash "$here/mnt_diff.sh"
	run env CRASH_KILLS="${CRASH_KILLS:-2}" bash "$here/crash_kill.sh"
fi
exit $worst
