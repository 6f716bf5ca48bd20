#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Part of package.sh, run in the testbed, where the packages are in /srv/package: installs, runs
# the autopkgtests, installs and purges again, and finds nothing left of it.
set -eu
cd /srv/package
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# All that a package may leave behind somewhere.
files() {
	find / -xdev -path /tmp -prune -o -path /srv -prune -o -path /var/cache -prune -o -path /var/log -prune -o \
		-path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o \
		-path /root/.cache -prune -o -path /var/lib/systemd -prune -o -print | sort
}
quietly() {
	"$@" >/tmp/quietly.log 2>&1 || { cat /tmp/quietly.log >&2; exit 1; }
}

status=0
rm -rf /srv/log
autopkgtest --quiet --no-built-binaries --output-dir=/srv/log ./*.deb ./*.dsc -- null >/srv/autopkgtest.log 2>&1 ||
	status=$?
sed 's/^/  /' /srv/log/summary || tail -n 40 /srv/autopkgtest.log
case $status in
0 | 2) ;;		# 2: some were skipped
*)
	sed -nE 's/^([a-z0-9-]+) +FAIL .*/\1/p' /srv/log/summary | while read -r failed; do
		tail -n 40 "/srv/log/$failed-stdout" "/srv/log/$failed-stderr" 2>/dev/null || :
	done
	echo "package_test.sh: autopkgtest ends with status $status" >&2
	exit 1
	;;
esac

deb=$(ls ./fuse4fs_*.deb)
quietly apt-get purge -y fuse4fs
files >/tmp/before
quietly apt-get install -y "$deb"
quietly apt-get install -y --reinstall "$deb"
fuse4fs --version
for helper in mount.fuse4fs mount.fuse.fuse4fs umount.fuse.fuse4fs; do
	[ -x "/sbin/$helper" ]
done
quietly apt-get purge -y fuse4fs
files >/tmp/after
diff /tmp/before /tmp/after || { echo "package_test.sh: this is left, or lost, after a purge" >&2; exit 1; }
