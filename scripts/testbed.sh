#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a script in a chroot that has started its own systemd in namespaces of its own (mounts,
# processes, cgroups, host name; the network is this system's).
#
#   testbed.sh ROOT SCRIPT [ARGUMENT...]
#
# Where no cgroup of version 2 can be made SCRIPT runs without systemd, and that is said.
# Needs root. Ends with SCRIPT's status; nothing keeps running.
set -eu
[ $# -ge 2 ] || { echo "usage: testbed.sh ROOT SCRIPT [ARGUMENT...]" >&2; exit 1; }
root=$(realpath "$1")
script=$(basename "$2")
install -m 755 "$2" "$root/srv/$script"
shift 2

# Prepares the mounts, then becomes the first process, $2.
first_process='
set -eu
root=$1 cgroups=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs sys
[ -z "$cgroups" ] || mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
[ ! -e /dev/fuse ] || mknod -m 666 dev/fuse c 10 229
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
hostname testbed
pivot_root . mnt
umount -l mnt
exec env -i container=testbed PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot . "$@"
'
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"

cgroups=
for dir in /sys/fs/cgroup/unified /sys/fs/cgroup; do
	if [ -z "$cgroups" ] && [ -e $dir/cgroup.procs ] && mkdir "$dir/testbed.$$" 2>/dev/null; then
		cgroups=$dir/testbed.$$
	fi
done
if [ -z "$cgroups" ]; then
	echo "testbed.sh: no cgroup of version 2 can be made here: without systemd" >&2
	exec unshare --mount --pid --fork --kill-child --uts --ipc \
		sh -c "$first_process" sh "$root" "" "/srv/$script" "$@"
fi

sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$cgroups" \
	unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
	sh -c "$first_process" sh "$root" "$cgroups" /sbin/init >/dev/null &
outer=$!
finish() {
	status=$?
	kill -9 "$outer" 2>/dev/null || :
	wait "$outer" 2>/dev/null || :
	for _ in 1 2 3 4 5; do
		find "$cgroups" -depth -type d -exec rmdir {} + 2>/dev/null && break
		sleep 0.2
	done
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

inside() {
	init=$(pgrep -o -P "$outer") && nsenter --target "$init" --all "$@"
}
state=
for _ in $(seq 150); do
	state=$(inside systemctl is-system-running 2>/dev/null) || :
	case $state in running | degraded) break ;; esac
	kill -0 "$outer" 2>/dev/null || break
	sleep 0.2
done
case $state in
running | degraded) ;;
*)
	echo "testbed.sh: systemd does not start (${state:-nothing heard})" >&2
	exit 1
	;;
esac
inside systemd-run --quiet --wait --pipe --collect --setenv=DEBIAN_FRONTEND=noninteractive "/srv/$script" "$@"
