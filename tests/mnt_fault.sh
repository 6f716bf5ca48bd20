#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The image's device fails under the mounted server: who is told, what goes on, what stands
# in the superblock. A limit on the size of files makes it fail behind an offset that a test
# chooses: the server's, whose writes then give EFBIG.
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs e2fsck dumpe2fs prlimit debugfs

# The journal is low, the data of a long file high, both apart from the superblock.
make() {
	img 96M -t ext4 -b 4096 -J size=4,location=4M -O ^orphan_file
	( trap '' XFSZ; exec "$FUSE4FS" -f ${1:+-o "$1"} "$image" "$mnt" ) >"$scratch/server.log" 2>&1 &
	server=$!
	await 60 mountpoint -q "$mnt" || fail "not mounted"
	python3 - "$mnt" <<'P' || fail "cannot fill"
import os, sys
fd = os.open(sys.argv[1] + "/long", os.O_CREAT | os.O_RDWR)
for i in range(60):
    os.write(fd, bytes([i]) * (1 << 20))
os.fsync(fd)
open(sys.argv[1] + "/other", "w").write("text")
P
}
limit() { prlimit --pid "$server" --fsize="$1:unlimited" || skip "prlimit does not work here"; }
ended() { ! kill -0 "$server" 2>/dev/null; }
ends() { await 60 ended || fail "the server does not end"; }
# Nothing is left to be written when the fault comes: no data, no commit, no checkpoint.
nothing_left() {
	"$FUSE4FS" --status --json "$mnt" | python3 -I -c 'import json, sys
s = json.load(sys.stdin)
sys.exit(s["state"] != "clean" or s["journal"]["checkpoint_lag"] > 0)'
}
settled() {
	make "$1"
	sync -f "$mnt"
	await 60 nothing_left || fail "$1: it does not come to rest"
}

# Who unmounts is told in one line and by the status that the image is not complete. (Other lines
# are about mount namespaces of other tests, and about a server that takes its time.)
told() {
	"$FUSE4FS" -u "$mnt" 2>"$scratch/err"
	[ $? = 32 ] && sed '/another mount namespace/d; /waiting for the server/d' "$scratch/err" \
		>"$scratch/told" &&
		grep -q "^fuse4fs: $mnt: unmounted, but not everything could be written: " "$scratch/told" &&
		[ "$(wc -l <"$scratch/told")" = 1 ] || { cat "$scratch/err" >&2; fail "-u hides that something was not written"; }
}

# 1. Data that cannot be written in place: each descriptor that was open hears of it once,
# nobody else does, and the file system goes on.
make
limit $((40 << 20))
python3 - "$mnt" <<'P' || fail "reports of a failed write-back"
import os, sys
os.chdir(sys.argv[1])
a = os.open("long", os.O_RDWR)
b = os.open("long", os.O_RDWR)
c = os.open("long", os.O_RDONLY)
other = os.open("other", os.O_RDWR)
def fsync(fd):
    try:
        os.fsync(fd)
        return 0
    except OSError as e:
        return e.errno
os.pwrite(a, b"x" * 4096, 59 << 20)
said = [fsync(a), fsync(b), fsync(c)]
assert all(said), said
again = [fsync(a), fsync(b), fsync(c)]
assert again == [0, 0, 0], again
assert fsync(other) == 0
os.mkdir("works")
assert fsync(os.open(".", os.O_RDONLY)) == 0
P
limit unlimited
grep -q 'could not be written' "$scratch/server.log" || fail "the log does not tell of lost data"
printf y | dd of="$mnt/long" bs=1 seek=$((59 << 20)) conv=notrunc,fsync status=none || fail "write after the fault"
umount "$mnt"; ends; wait "$server" || fail "server's status"
clean_image

# 2. The journal cannot be written: nothing more is, reads go on, everybody is told.
for errors in continue remount-ro; do
	settled "errors=$errors"
	limit $((1 << 20))
	python3 - "$mnt" <<'P' || fail "errors=$errors: a failed commit"
import errno, os, sys
os.chdir(sys.argv[1])
a = os.open("long", os.O_RDWR)
b = os.open("other", os.O_RDWR)
ro = os.open("other", os.O_RDONLY)
def call(f, *args):
    try:
        f(*args)
        return 0
    except OSError as e:
        return e.errno
os.mkdir("lost")
call(os.fchmod, b, 0o600)  # a commit may have been tried and have failed by now
for fd in (b, ro, os.open(".", os.O_RDONLY)):
    assert call(os.fsync, fd) in (errno.EIO, errno.EROFS, errno.EFBIG), "fsync succeeded"
for f, args in ((os.mkdir, ("new",)), (os.unlink, ("other",)), (os.chmod, ("other", 0o644)),
                (os.rename, ("other", "o")), (os.symlink, ("x", "y")),
                (os.truncate, ("long", 0)), (os.link, ("other", "p"))):
    assert call(f, *args) in (errno.EROFS, errno.EIO), f
assert os.pread(a, 10, 30 << 20) == bytes([30]) * 10
assert open("other").read() == "text"
assert os.statvfs(".").f_blocks
P
	limit unlimited
	cp --sparse=always "$image" "$scratch/before"
	mkdir "$mnt/late" 2>/dev/null && fail "errors=$errors: it writes again"
	( echo x >"$mnt/late" ) 2>/dev/null && fail "errors=$errors: it creates again"
	told
	grep -q "^fuse4fs: $image: [^/]*commit failed" "$scratch/server.log" || fail "errors=$errors: no such line in the log"
	wait "$server" && fail "errors=$errors: the server's status hides the failure"
	cmp "$image" "$scratch/before" || fail "errors=$errors: something was written after the abort"
	dumpe2fs -h "$image" >"$scratch/dump" 2>/dev/null
	grep -q 'FS Error count: *[1-9]' "$scratch/dump" || fail "errors=$errors: no error count"
	for field in 'First error time' 'First error function' 'Last error time' 'Last error function'; do
		grep -q "^$field:" "$scratch/dump" || fail "errors=$errors: no $field"
	done
	grep -q 'Filesystem state:.*with errors' "$scratch/dump" || fail "errors=$errors: state"
	e2fsck -fy "$image" >"$scratch/fsck.log" 2>&1
	[ $? -le 1 ] || fail "errors=$errors: e2fsck"
	clean_image
	[ "$(debugfs -R 'cat /other' "$image" 2>/dev/null)" = text ] || fail "errors=$errors: what was synced is gone"
done

# Only the last commit fails, of which nobody but the server knows.
make
python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))' "$mnt"
sleep 0.5
limit $((1 << 20))
told
wait "$server" && fail "the server's status hides that its last commit failed"
e2fsck -fy "$image" >"$scratch/fsck.log" 2>&1
[ $? -le 1 ] || fail "a failed last commit: e2fsck"

# 3. errors=panic ends the process.
settled "errors=panic"
limit $((1 << 20))
exec 3>&2 2>/dev/null	# the shell tells of signals
mkdir "$mnt/lost" && sync "$mnt/lost"
ends
wait "$server"
status=$?
exec 2>&3
[ $status = 134 ] || fail "errors=panic: status $status"
umount -l "$mnt"
e2fsck -fy "$image" >"$scratch/fsck.log" 2>&1
[ $? -le 1 ] || fail "errors=panic: e2fsck"
clean_image
exit 0
