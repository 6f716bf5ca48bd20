#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the server cannot do any more once it serves, tried from inside each part on its own;
# that a missing part is named; and that the monitor ends mounts that the server cannot.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace
. "$srcdir_tests/confined.sh"

sort -c <(sed -n '/^static const struct call calls/,/^}/s/.*{ "\([^"]*\)", .*/\1/p' \
	"$srcdir_tests/../fuse4fs/sandbox_calls.c") || fail "the table of calls is not sorted"

img 64M -t ext4
serve sandbox=require
# The mount is there a moment before the server confines itself.
for _ in $(seq 600); do
	status=$("$FUSE4FS" --status --json "$mnt") || fail "--status"
	! grep -qF '"seccomp": "yes"' <<<"$status" || break
	sleep 0.1
done
for part in '"no_new_privs": "yes"' '"seccomp": "yes"' '"landlock": "yes"' '"capabilities": "none"'; do
	grep -qF "$part" <<<"$status" || fail "--status lacks $part"
done
for t in /proc/"$server"/task/*; do
	grep -Eq '^CapEff:\s0*$' "$t/status" && grep -Eq '^CapPrm:\s0*$' "$t/status" ||
		fail "$t has capabilities"
	grep -Eq '^NoNewPrivs:\s1' "$t/status" || fail "$t has no no_new_privs"
	grep -Eq '^Seccomp:\s2' "$t/status" || fail "$t has no filter"
	[ "$sanitized" = 0 ] || continue
	[ "$(stat -Lc %i "$t/ns/mnt")" != "$(stat -Lc %i /proc/self/ns/mnt)" ] || fail "$t sees our mounts"
	in_chroot || [ -z "$(ls -A "$t/root/")" ] || fail "$t sees files"
done
# The monitor: CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH.
monitor=$(pgrep -P "$server")
grep -Eq '^CapPrm:\s0*200004$' "/proc/$monitor/status" && grep -Eq '^CapBnd:\s0*200004$' "/proc/$monitor/status" ||
	fail "the monitor has capabilities: $(grep ^Cap "/proc/$monitor/status")"
grep -Eq '^NoNewPrivs:\s1' "/proc/$monitor/status" || fail "the monitor has no no_new_privs"
[ "$sanitized" != 0 ] || grep -Eq '^Seccomp:\s2' "/proc/$monitor/status" || fail "the monitor has no filter"
unserve
clean_image

# A server that was taken over cannot make it fork without bound.
flooded() {
	rm -f "$log"
	CONFINED_FLOOD=1 CONFINED_LOG=$log FUSE4FS=$confined serve
	(echo text >"$mnt/file"; sync -f "$mnt/file") &
	writer=$!
	for _ in $(seq 600); do grep -q '^State:.T' "/proc/$server/status" && break; sleep 0.1; done
	grep -q '^State:.T' "/proc/$server/status" || fail "the server did not stop"
	# While the server stands still, who writes back waits for it.
	monitor=$(pgrep -P "$server")
	await 60 eval 'pgrep -P "$monitor" >/dev/null' || fail "nothing writes back"
	sleep 0.5
	n=$(pgrep -c -P "$monitor")
	kill -CONT "$server"
	wait $writer
	# Who writes back has the mount open.
	for _ in $(seq 600); do ps -o stat= --ppid "$monitor" | grep -qv '^Z' || break; sleep 0.1; done
	[ "$n" -le 1 ] || fail "the monitor has $n processes that write back"
	unserve
}

# In a chroot Landlock says what the empty mount namespace says elsewhere.
if [ "$sanitized" = 0 ] && ! in_chroot; then
	flooded

	# All together; then without the filter, by which the others show.
	attempts ""
	expect EPERM open open-root open-image create stat mkdir unlink chroot chown mount umount unshare \
		ptrace kill setuid bpf io_uring keyctl unix packet tcp code fork exec secret shadow \
		dgram sendto setown setsig async
	expect ENOENT openat
	[ "$landlock" -lt 1 ] || expect EACCES openat-up
	attempts log
	expect ENOENT stat exec open open-image create
	expect EPERM mount umount chroot ptrace setuid packet
	[ "$landlock" -lt 4 ] || expect EACCES open-root tcp
	[ "$landlock" -lt 6 ] || expect EPERM kill
	# Without Landlock the way up from /proc is the filter's to close.
	attempts "" "" python3 -I "$srcdir_tests/without_call.py" 444
	expect EPERM open openat openat-up

	# A load in which no unlisted call is survived.
	export CONFINED_UNLISTED=kill
	FUSE4FS=$confined serve commit=1,discard
	cp -r "$srcdir_tests" "$mnt/t" && find "$mnt/t" -type f | xargs cat | wc -c >"$mnt/n"
	fallocate -l 1M "$mnt/f" && fallocate -p -o 4K -l 64K "$mnt/f" && fstrim "$mnt"
	setfattr -n user.a -v b "$mnt/f" && "$confined" --status "$mnt" >/dev/null || fail "in the sandbox"
	rm -r "$mnt/t"
	sleep 2
	unserve
	FUSE4FS=$confined serve		# told to end while in use
	exec 9>"$mnt/open"
	echo text >&9
	kill "$server"
	wait "$server" || fail "the end by a signal: status $?"
	exec 9>&-
	unset CONFINED_UNLISTED
	clean_image
fi

# The end is the monitor's, on a way that only root can go.
mkdir -m 700 "$scratch/way" && mkdir "$scratch/way/mnt" && chown 65534 "$scratch/way" || fail "mkdir"
"$FUSE4FS" -f "$image" "$scratch/way/mnt" 2>"$scratch/server.log" &
server=$!
for _ in $(seq 600); do grep -Eq '^Seccomp:\s2' "/proc/$server/status" && break; sleep 0.1; done
kill "$server"
wait "$server" || fail "the end behind a directory of somebody else's: status $?"
mountpoint -q "$scratch/way/mnt" && fail "a mount behind somebody else's directory was left"
[ ! -s "$scratch/server.log" ] || fail "the end: says something"

# In the background, where it leaves the terminal; no wish, no sandbox.
"$FUSE4FS" "$image" "$mnt" || fail "in the background"
pid=$("$FUSE4FS" --status --json "$mnt" | sed -n 's/.*"pid": \([0-9]*\),/\1/p')
grep -Eq '^NoNewPrivs:\s1' "/proc/$pid/status" || fail "the background has no sandbox"
"$FUSE4FS" -u "$mnt" || fail "-u"
serve sandbox=no
grep -Eq '^NoNewPrivs:\s0' "/proc/$server/status" || fail "sandbox=no has one"
unserve

# As a user: no namespace, the rest all the same; unmounting is the monitor's.
as_user() {
	mount --bind "$scratch/fuse" /dev/fuse || fail "/dev/fuse"
	set -- setpriv --reuid 65534 --regid 65534 --clear-groups
	"$@" "$FUSE4FS" -f -o sandbox=require "$image" "$mnt" 2>"$scratch/server.log" &
	server=$!
	for _ in $(seq 600); do mountpoint -q "$mnt" && break; sleep 0.1; done
	for _ in $(seq 600); do grep -Eq '^Seccomp:\s2' "/proc/$server/status" && break; sleep 0.1; done
	"$@" ls "$mnt" >/dev/null || fail "a user's mount"
	kill "$server"
	wait "$server" || fail "a user's server ended with status $?"
	[ ! -e /etc/mtab ] || unmounted || fail "a user's mount was left behind"
	return 0
}
# Killed when there is a mount, but neither it nor the monitor has been told so.
dies_mounting() {
	telling_fusermount KILL || return 77
	{ setpriv --reuid 65534 --regid 65534 --clear-groups "$FUSE4FS" -f ${1:+-o $1} "$image" "$mnt"; } 2>/dev/null
	[ $? = 137 ] && await 60 test -s "$scratch/told" || fail "a server that dies while mounting"
	if [ "${1-}" = auto_unmount ]; then
		await 60 unmounted || fail "a mount whose server died while mounting was left behind"
	else
		sleep 1.5
		! unmounted || fail "the mount of a server that died while mounting is gone"
	fi
}
unmounted() { ! grep -q " $mnt " /proc/self/mounts; }
if command -v setpriv >/dev/null && command -v fusermount3 >/dev/null; then
	chmod 755 "$scratch" && chown 65534 "$image" "$mnt"
	mknod "$scratch/fuse" c 10 229 && chmod 666 "$scratch/fuse" || fail "mknod"
	export -f as_user fail unmounted
	export scratch image mnt FUSE4FS
	unshare -m bash -c as_user || exit 1
	# Where fusermount3 looks for what users may unmount; a bare chroot has none.
	if [ -u "$(command -v fusermount3)" ] && [ -e /etc/mtab ]; then
		export -f dies_mounting telling_fusermount await
		unshare -m bash -c 'dies_mounting auto_unmount' || exit 1
		unshare -m bash -c dies_mounting || exit 1
	fi
	chown 0 "$image" "$mnt"
fi

# All its threads, that of multi-mount protection among them.
img 32M -t ext4 -O mmp -E mmp_update_interval=1
"$FUSE4FS" -o sandbox=require "$image" "$mnt" 2>"$scratch/err" || { cat "$scratch/err" >&2; fail "parts are missing with mmp"; }
"$FUSE4FS" -u "$mnt" || fail "-u"
img 32M -t ext4

# A server that dies takes its mount along, if asked to.
serve
kill -9 "$server"
{ wait "$server"; } 2>/dev/null
sleep 0.5
grep -q " $mnt " /proc/self/mounts || fail "the mount of a server that died is gone"
"$FUSE4FS" -u -l "$mnt" || fail "-u -l of a dead mount"
serve auto_unmount
kill -9 "$server"
{ wait "$server"; } 2>/dev/null
await 60 unmounted || fail "a dead mount was left behind"
serve
unserve
clean_image

# What is missing is named; require refuses.
if [ "$(id -u)" = 0 ] && [ "$sanitized" = 0 ]; then
	python3 -I "$srcdir_tests/without_call.py" 444 "$FUSE4FS" -o sandbox=require "$image" "$mnt" \
		2>"$scratch/out" && fail "require without Landlock"
	grep -q 'sandbox=require: no landlock' "$scratch/out" || fail "not named: $(cat "$scratch/out")"
	grep -q " $mnt " /proc/self/mounts && fail "refused, but mounted"
	python3 -I "$srcdir_tests/without_call.py" 444 "$FUSE4FS" "$image" "$mnt" 2>"$scratch/out" ||
		fail "try without Landlock"
	grep -q 'not complete: no landlock' "$scratch/out" || fail "try says nothing"
	"$FUSE4FS" -u "$mnt"
fi
clean_image
exit 0
