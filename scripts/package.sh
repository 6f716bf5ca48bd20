#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian package from nothing: built twice and compared, checked, and tried in a testbed.
#
#   scripts/package.sh [RELEASE]
#
# RELEASE (bookworm, trixie, sid, ...) is built in a chroot made for it; without one the package
# is built on this system, for its own release. What is built is the tree as it stands, of the
# files that git knows. Needs root, and 3 GB in $TMPDIR (/var/tmp).
#
#   PACKAGE_OUT=DIR          keep the packages there
#   PACKAGE_KEYS=FOLDER      keyrings for apt, when this system's are older than RELEASE
#   PACKAGE_APT=OPTION       an apt option more, as 'Acquire::Check-Valid-Until "false"' for a snapshot
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

release=${1:-}
[ "$(id -u)" = 0 ] || { echo "package.sh: needs root for its chroots" >&2; exit 1; }
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" fuse4fs-package.XXXXXX)
clean() {
	status=$?
	for m in dev sys proc; do
		! mountpoint -q "$work/build/$m" || umount "$work/build/$m"
	done
	rm -rf --one-file-system "$work"
	exit $status
}
trap clean EXIT
trap 'exit 1' INT TERM

# bootstrap DIR PACKAGE,...: a chroot of the release with its package lists.
bootstrap() {
	run mmdebstrap --variant=minbase --skip=cleanup/apt/lists ${PACKAGE_APT:+--aptopt="$PACKAGE_APT"} \
		${PACKAGE_KEYS:+--keyring="$PACKAGE_KEYS"} --include="$2" "$release" "$1"
}

tools="build-essential,ca-certificates,blhc,faketime,fakeroot,lintian,libdistro-info-perl"
install_packages mmdebstrap
if [ -n "$release" ]; then
	step "a chroot of $release"
	bootstrap "$work/build" "$tools"
	for m in proc sys dev; do mount --bind "/$m" "$work/build/$m"; done
	enter="chroot $work/build"
	place=/tmp/package
else
	# shellcheck disable=SC2046
	install_packages $(echo "$tools" | tr , ' ')
	enter=
	place=$work/package
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
fi
inside=${enter:+$work/build}$place
mkdir -p "$inside/a/fuse4fs"
git ls-files -z | tar --null -T - -c | tar -x -C "$inside/a/fuse4fs"

step "build dependencies"
run $enter env DEBIAN_FRONTEND=noninteractive apt-get build-dep -y -q --no-install-recommends "$place/a/fuse4fs"
$enter "$place/a/fuse4fs/scripts/package_build.sh" "$place"

step "a testbed of $release"
bootstrap "$work/testbed" "$(sed -nE 's/^# testbed: *//p' debian/tests/control)"
mkdir "$work/testbed/srv/package"
cp "$inside"/b/*.deb "$inside"/b/*.dsc "$inside"/b/*.tar.* "$inside"/b/*.changes "$inside"/b/*.buildinfo "$work/testbed/srv/package/"
if [ -n "${PACKAGE_OUT:-}" ]; then
	mkdir -p "$PACKAGE_OUT"
	cp "$work/testbed/srv/package/"* "$PACKAGE_OUT/"
fi
step "install, try, purge"
scripts/testbed.sh "$work/testbed" scripts/package_test.sh
