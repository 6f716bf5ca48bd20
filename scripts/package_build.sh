#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Part of package.sh, run where the package is built: builds it twice and checks it.
#
#   package_build.sh PLACE
#
# PLACE/a/fuse4fs is the tree. The second build, in PLACE/b, starts from the tarball of
# "make dist", under another path, date, umask, locale and time zone; both must give the same
# bytes. It makes the source package, too.
set -eu
place=$1
. "$place/a/fuse4fs/scripts/common.sh"
unset DEB_BUILD_OPTIONS MAKEFLAGS

# build LOG COMMAND...
build() {
	log=$1
	shift
	DEB_BUILD_OPTIONS="parallel=$(nproc)" "$@" >"$log" 2>&1 ||
		{ tail -n 40 "$log"; echo "package_build.sh: the build failed" >&2; exit 1; }
}

step "building from the tree"
cd "$place/a/fuse4fs"
umask 022
TZ=UTC build ../log dpkg-buildpackage -us -uc -b
run make -s dist

step "building from the tarball"
version=$(dpkg-parsechangelog -SVersion | sed 's/^.*://; s/-[^-]*$//')
mkdir -p "$place/b"
cp "fuse4fs-$version.tar.xz" "$place/b/"
cd "$place/b"
umask 002
tar -xf "fuse4fs-$version.tar.xz"
# A source package keeps debian/ apart from the rest.
xz -dc "fuse4fs-$version.tar.xz" | tar -f - --delete "fuse4fs-$version/debian" | xz >"fuse4fs_$version.orig.tar.xz"
rm "fuse4fs-$version.tar.xz"
cd "fuse4fs-$version"
TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 build ../log faketime -f +400d dpkg-buildpackage -us -uc
cd ..

step "comparing"
for deb in *.deb; do
	cmp "$deb" "../a/$deb" || { echo "package_build.sh: $deb: the builds differ" >&2; exit 1; }
	sha256sum "$deb"
done

step "hardening"
run blhc --all --debian log

step "lintian $(dpkg-query -W -f '${Version}' lintian)"
# One source serves several releases: each lintian knows another version of the Policy, and the
# newer ones call superfluous what Debian 12 needs.
other_release='(out-of-date|newer)-standards-version|package-uses-old-debhelper-compat-version'
other_release="$other_release|redundant-(priority-optional|rules-requires-root-no)-field"
lintian -EvIL +pedantic --allow-root ./*.changes >lintian.out 2>&1 || [ $? = 2 ] || { cat lintian.out; exit 1; }
if grep -vE "^N: |: ($other_release)( |\$)" lintian.out; then
	echo "package_build.sh: lintian finds something" >&2
	exit 1
fi
