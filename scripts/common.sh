# SPDX-License-Identifier: GPL-2.0-or-later
# What try.sh, test.sh and CI share. Source it from the top of the tree.

BUILD_PACKAGES="autoconf automake gcc libc6-dev make pkg-config libfuse3-dev libext2fs-dev
	comerr-dev libblkid-dev uuid-dev libjson-c-dev
	libgcrypt20-dev libgpg-error-dev libseccomp-dev libssh-dev"
DEMO_PACKAGES="e2fsprogs fuse3 mount util-linux"
TEST_PACKAGES="$DEMO_PACKAGES libcmocka-dev acl attr procps psmisc python3 rsync tar kmod
	libcap2-bin cryptsetup-bin qemu-utils python3-cryptography sqlite3 git mmdebstrap debian-archive-keyring ca-certificates openssh-client
	openssh-server openssh-sftp-server rclone bubblewrap"

export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export PATH

step() { echo "== $*"; }

# Runs quietly; shows the output only when it fails.
run() {
	_log=$(mktemp)
	if "$@" >"$_log" 2>&1; then
		rm -f "$_log"
	else
		_status=$?
		cat "$_log" >&2
		rm -f "$_log"
		echo "failed with status $_status: $*" >&2
		return $_status
	fi
}

# As root: runs it; else through sudo.
run_privileged() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

install_packages() {
	_missing=
	for _p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$_p" 2>/dev/null | grep -qx installed ||
			_missing="$_missing $_p"
	done
	[ -n "$_missing" ] || return 0
	run run_privileged apt-get update -q
	# shellcheck disable=SC2086
	run run_privileged env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends $_missing
}

# build_tree DIR [CONFIGURE-ARGS]: out of tree, configured once.
build_tree() {
	_dir=$1
	shift
	[ -x configure ] && [ ! configure.ac -nt configure ] && [ ! Makefile.am -nt Makefile.in ] ||
		run autoreconf -fi
	mkdir -p "$_dir"
	(
		cd "$_dir"
		[ -f Makefile ] && [ $# = 0 ] || run ../configure --quiet "$@"
		run make -s -j"$(nproc)"
	)
}

# on_a_mount COMMAND...: as it is, but in a chroot whose root directory is no mount point. There
# "unshare -m" fails, so that COMMAND runs in a mount of that directory.
on_a_mount() {
	if [ "$(id -u)" != 0 ] || unshare -m true 2>/dev/null; then
		"$@"
		return
	fi
	_root=$(mktemp -d)
	unshare -m --propagation unchanged sh -c '
		root=$1 dir=$PWD
		shift
		mount --rbind / "$root" && mount --make-rprivate "$root" || exit 1
		chroot "$root" sh -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
		status=$?
		umount -l "$root"
		exit $status' sh "$_root" "$@" || { _status=$?; rmdir "$_root"; return $_status; }
	rmdir "$_root"
}

# run_suite DIR: make check in DIR; prints failed tests' logs and the closing line.
run_suite() {
	_rc=0
	(cd "$1" && on_a_mount make -s -k -j"$(($(nproc) + 2))" check) >"$1/check.out" 2>&1 || _rc=$?
	_pass=$(grep -c '^PASS:' "$1/check.out" || :)
	_fail=$(grep -cE '^(FAIL|ERROR|XPASS):' "$1/check.out" || :)
	_skip=$(grep -c '^SKIP:' "$1/check.out" || :)
	for _t in $(sed -nE 's/^(FAIL|ERROR|XPASS): *([^ ]+).*/\2/p' "$1/check.out"); do
		echo "--- $_t"
		tail -n 60 "$1/${_t%.sh}.log" 2>/dev/null || tail -n 60 "$1/$_t.log" 2>/dev/null || :
	done
	if [ "$_rc" != 0 ] && [ "$_fail" = 0 ]; then
		tail -n 60 "$1/check.out"
		_fail=1
	fi
	suite_counts="$_pass $_fail $_skip"
	echo "$_pass passed, $_fail failed, $_skip skipped"
	[ "$_fail" = 0 ] && [ "$_pass" -gt 0 ]
}
