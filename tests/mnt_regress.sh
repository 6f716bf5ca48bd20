#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What other ext4 servers in userspace got wrong, one check each.
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs setfattr setfacl getfacl setpriv debugfs fstrim lsattr

img 96M -t ext4 -m 0 -O inline_data
chmod 755 "$scratch"
serve "suid,dev"
cd "$mnt" || exit 1

# Default ACLs go to directories as default and access ACL, to files as access ACL only.
mkdir d
setfacl -m u:1234:rwx -d -m u:1234:rwx d
mkdir d/sub
touch d/file
getfacl -cpn d/sub | grep -q '^default:user:1234:rwx' || fail "subdirectory has no default ACL"
getfacl -cpn d/sub | grep -q '^user:1234:rwx' || fail "subdirectory has no access ACL"
getfacl -cpn d/file | grep -q '^user:1234:rwx' || fail "file has no access ACL"
getfacl -cpn d/file | grep -q '^default' && fail "file has a default ACL"
chmod 700 d/file
setpriv --reuid=1234 --regid=1234 --clear-groups cat d/file 2>/dev/null && fail "the ACL's mask is not applied"

# A set-group-ID directory hands down all 32 bits of its group.
mkdir sg && chgrp 100000 sg && chmod 2777 sg
setpriv --reuid=1000 --regid=1000 --clear-groups touch sg/f
[ "$(stat -c %g sg/f)" = 100000 ] || fail "group of a child of a set-group-ID directory: $(stat -c %g sg/f)"

# A read-only mode does not stop the creator, nor unlink.
mkdir u && chown 1000:1000 u
as_user() { setpriv --reuid=1000 --regid=1000 --groups=1000,77777 "$@"; }
as_user sh -c 'umask 0222 && echo x >u/ro && rm -f u/ro && [ ! -e u/ro ]' || fail "create 0444, write, unlink"

# Supplementary groups count.
mkdir grp && chgrp 77777 grp && chmod 770 grp
as_user touch grp/f || fail "supplementary group has no access"
setpriv --reuid=1000 --regid=1000 --clear-groups touch grp/g 2>/dev/null && fail "outsider has access"

# O_TMPFILE, and giving it a name.
python3 - <<'P' || fail "O_TMPFILE"
import ctypes, os
f = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(f, b"tmp content")
assert ctypes.CDLL(None).linkat(-100, b"/proc/self/fd/%d" % f, -100, b"linked", 0x400) == 0
os.close(f)
assert open("linked").read() == "tmp content"
g = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(g, b"gone")
os.close(g)
P

# Holes are seen.
python3 - <<'P' || fail "SEEK_DATA and SEEK_HOLE"
import os
f = os.open("sparse", os.O_CREAT | os.O_RDWR)
os.pwrite(f, b"a" * 4096, 1 << 20)
os.ftruncate(f, 8 << 20)
os.fsync(f)
assert os.lseek(f, 0, os.SEEK_DATA) == 1 << 20
assert os.lseek(f, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 4096
try:
    os.lseek(f, 2 << 20, os.SEEK_DATA)
    raise SystemExit("data behind the last block")
except OSError as e:
    assert e.errno == 6
P

# fallocate that does not fit extends nothing; a full file system says so.
python3 - <<'P' || fail "fallocate on a full file system"
import errno, os
f = os.open("big", os.O_CREAT | os.O_RDWR)
try:
    os.posix_fallocate(f, 0, 1 << 40)
    raise SystemExit("1 TiB fitted")
except OSError as e:
    assert e.errno in (errno.ENOSPC, errno.EFBIG), e
assert os.fstat(f).st_size == 0
os.unlink("big")
P

# Whoever fills the disk is told so by write(2), not only at close.
dd if=/dev/zero of=fill bs=1M count=20000 2>"$scratch/dd" && fail "20 GB fitted into 96 MiB"
grep -q 'error writing.*No space left' "$scratch/dd" || { cat "$scratch/dd" >&2; fail "no ENOSPC from write"; }
rm fill

# What rm frees is there for who comes next, although the kernel tells of it late.
for i in 1 2 3 4 5; do
	dd if=/dev/zero of=fill bs=1M count=200 2>/dev/null
	rm fill
	mkdir "next$i" && touch "next$i"/{1..60} && echo text >"next$i/1" || fail "no space right after rm"
done
python3 - <<'P' || fail "no space for fallocate right after unlink"
import os
most = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize * 6 // 10
for i in range(50):
    fd = os.open("most", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, most)
    os.close(fd)
    os.unlink("most")
P

# df of mke2fs -m 0 has no hidden reserve, and a fragment size.
python3 - <<'P' || fail "statfs"
import os
s = os.statvfs(".")
assert s.f_frsize == s.f_bsize == 4096 or s.f_frsize == 1024, (s.f_frsize, s.f_bsize)
assert s.f_bfree == s.f_bavail, (s.f_bfree, s.f_bavail)
assert s.f_namemax == 255
P

# The block of an attribute counts at once.
: >attributes
setfattr -n user.long -v "$(head -c 900 /dev/zero | tr '\0' v)" attributes
[ "$(stat -c %b attributes)" -gt 0 ] || fail "an attribute's block is not counted"
setfattr -x user.long attributes
[ "$(stat -c %b attributes)" = 0 ] || fail "a removed attribute's block is counted"

# The inline data attribute is not for users.
printf small >inline
getfattr -d -m - inline 2>/dev/null | grep -q 'system.data' && fail "system.data is listed"
python3 -c '
import os
for f in (lambda: os.getxattr("inline", "system.data"), lambda: os.removexattr("inline", "system.data")):
    try:
        f()
        raise SystemExit("system.data is reachable")
    except OSError:
        pass' || fail "system.data"
[ "$(cat inline)" = small ] || fail "inline content"

# Truncation on open, appending, long names.
echo abc >t; echo 1 >t; [ "$(cat t)" = 1 ] || fail "O_TRUNC leaves a tail"
echo a >>t; [ "$(tr '\n' ' ' <t)" = "1 a " ] || fail "O_APPEND"
python3 - <<'P' || fail "long names"
import errno
try:
    open("n" * 256, "w")
    raise SystemExit("a name of 256 bytes was taken")
except OSError as e:
    assert e.errno == errno.ENAMETOOLONG
open("n" * 255, "w").close()
P

# Immutable and append-only.
echo x >imm; chattr +i imm
(echo y >imm) 2>/dev/null && fail "immutable file was written"
rm -f imm 2>/dev/null && fail "immutable file was removed"
chattr -i imm && rm imm || fail "chattr -i"
# What the kernel's cache took is written, whatever the file has become meanwhile.
exec 9>imm; head -c 50000 /dev/zero >&9; chattr +i imm; echo x >&9
sync imm || fail "fsync of a file that has become immutable"
exec 9>&-; chattr -i imm; [ "$(tail -c 2 imm)" = x ] || fail "data of a file that became immutable is lost"
echo x >app; chattr +a app
(echo y >app) 2>/dev/null && fail "append-only file was truncated"
echo y >>app || fail "append-only file cannot be appended to"
python3 - <<'P' || fail "fallocate on an append-only file"
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
f = os.open("app", os.O_WRONLY | os.O_APPEND)
for mode, want in (1, 0), (3, errno.EPERM), (16, errno.EPERM), (17, errno.EPERM):
    failed = libc.fallocate(f, mode, ctypes.c_long(0), ctypes.c_long(8192))
    assert (ctypes.get_errno() if failed else 0) == want, mode
P
[ "$(tr '\n' ' ' <app)" = "x y " ] || fail "content of an append-only file"
touch app || fail "append-only file cannot be touched"
touch -d @1 app 2>/dev/null && fail "times of an append-only file were set"
chattr -a app; chattr +i app
touch -d @1 app 2>/dev/null && fail "times of an immutable file were set"
chattr +A app 2>/dev/null && fail "a flag of an immutable file was changed"
chattr -i app

# What was written before a file became immutable is kept.
python3 - <<'P' || fail "written, then made immutable"
import fcntl, os, struct
f = os.open("sealed", os.O_CREAT | os.O_RDWR)
os.write(f, b"written" * 1000)
flags = bytearray(8)
fcntl.ioctl(f, 0x80086601, flags)
fcntl.ioctl(f, 0x40086602, struct.pack("II", struct.unpack("II", flags)[0] | 0x10, 0))
os.fsync(f)
P
[ "$(stat -c %s sealed)" = 7000 ] || fail "a file made immutable lost what was in the cache"
chattr -i sealed

# Whoever changes somebody else's file, by whatever call, ends its set-user-ID.
touch suid; chmod 6777 suid
as_user fallocate -l 4096 suid && [ "$(stat -c %a suid)" = 777 ] || fail "set-user-ID after fallocate"
chmod 6777 suid
python3 -c '
import os
os.setgroups([]); os.setgid(1000); os.setuid(1000)
f = os.open("suid", os.O_RDWR)
os.copy_file_range(f, f, 10, 0, 100)' && [ "$(stat -c %a suid)" = 777 ] || fail "set-user-ID after copy_file_range"
lsattr -d d >/dev/null || fail "lsattr of a directory"

# A small file's blocks under pointers and under extents; a large one's stay where they are.
has_extents() { lsattr -d "$1" | cut -d' ' -f1 | grep -q e; }
mkdir mig; touch mig/{1..40}; head -c 9000 /dev/urandom >mig/f; cp mig/f copy; truncate -s 8M mig/large
dd if=/dev/zero of=mig/large bs=4k count=1 seek=1000 conv=notrunc status=none
for x in mig mig/f; do
	chattr -e "$x" || fail "chattr -e $x"
	has_extents "$x" && fail "chattr -e $x leaves extents"
done
cmp mig/f copy && echo more >>mig/f && echo more >>copy || fail "a file after chattr -e"
chattr -e mig/large 2>/dev/null && fail "chattr -e converted a file of many blocks"
chattr +e mig/f mig && has_extents mig/f && has_extents mig || fail "chattr +e"
cmp mig/f copy || fail "a file after chattr +e"
chattr =d mig/f && chattr -d mig/f && cmp mig/f copy || fail "chattr ="

# Times: nanoseconds, before 1970, after 2038.
touch -d '2100-01-02 03:04:05.123456789 UTC' far
touch -d '1905-01-02 03:04:05 UTC' past
[ "$(TZ=UTC stat -c %y far)" = "2100-01-02 03:04:05.123456789 +0000" ] || fail "times after 2038"
[ "$(TZ=UTC stat -c %y past | cut -c1-19)" = "1905-01-02 03:04:05" ] || fail "times before 1970"

# A directory that is listed often is listed from the kernel's cache in the end.
mkdir listed && touch listed/{1..50}
requests() { "$FUSE4FS" --status --json "$mnt" | python3 -I -c '
import json, sys
r = json.load(sys.stdin)["requests"]
print(*(r.get(k, 0) for k in ("opendir", "readdir", "readdirplus")))'; }
for _ in 1 2 3 4; do [ "$(find listed -type f | wc -l)" = 50 ] || fail "a listing is not complete"; done
# More than one try: another test may drop the caches of the whole machine.
for _ in $(seq 10); do
	before=$(requests)
	[ "$(find listed -type f | wc -l)" = 50 ] || fail "a cached listing is not complete"
	after=$(requests)
	[ "$before" != "$after" ] || break
done
[ "$before" = "$after" ] || fail "a fourteenth listing asks: opendir, readdir, readdirplus $before, then $after"
touch listed/51
[ "$(find listed -type f | wc -l)" = 51 ] || fail "a listing does not see a new file"

# What is made ahead of a listing (op_ahead.c) is not shown when it is not true any more.
mkdir "$mnt/long"
python3 -I - "$mnt/long" <<'P' || fail "a listing of what was there before"
import ctypes, os, sys, time
d = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
buf = ctypes.create_string_buffer(32768)

def part(fd):
    n = libc.getdents64(fd, buf, ctypes.c_size_t(len(buf)))
    assert n >= 0, ctypes.get_errno()
    names, at = [], 0
    while at < n:
        length = int.from_bytes(buf.raw[at + 16:at + 18], "little")
        name = buf.raw[at + 19:at + length].split(b"\0")[0].decode()
        names.append((name, int.from_bytes(buf.raw[at:at + 8], "little")))
        at += length
    return [n for n in names if n[0] not in (".", "..")]

def until_ahead(fd):
    """Names of the first parts; the next one has been made."""
    seen = set()
    for _ in range(3):
        seen.update(part(fd))
    time.sleep(0.05)
    return seen

def rest(fd):
    names = []
    while p := part(fd):
        names += p
    return names

def inodes(names):
    return {(n, os.stat(f"{d}/{n}").st_ino) for n in names}

os.mkdir(f"{d}.other")
for change in "none", "unlink", "rename", "over":
    everything = {f"{change}-{i:05}" for i in range(6000)}
    for n in everything:
        open(f"{d}/{n}", "x").close()
        open(f"{d}.other/{n}", "x").close()
    fd = os.open(d, os.O_RDONLY)
    seen = {n for n, ino in until_ahead(fd)}
    unseen = everything - seen
    assert len(unseen) > 1000, len(unseen)
    if change == "unlink":
        for n in unseen:
            os.unlink(f"{d}/{n}")
        unseen = set()
    elif change == "rename":
        for n in unseen:
            os.rename(f"{d}/{n}", f"{d}/{n}.new")
        unseen = {n + ".new" for n in unseen}
    elif change == "over":  # names stay, each is another inode
        for n in unseen:
            os.rename(f"{d}.other/{n}", f"{d}/{n}")
    got = rest(fd)
    os.close(fd)
    assert len(got) == len(set(got)), change
    if change == "rename":  # those whose hash is already behind are not met
        assert set(got) <= inodes(unseen), change
    else:
        assert set(got) == inodes(unseen), (change, len(got), len(unseen))
    for each in d, f"{d}.other":
        for n in os.listdir(each):
            os.unlink(f"{each}/{n}")
P

# What a file occupies is seen while it is still open.
exec 7>open; head -c 3000000 /dev/urandom >&7; sync open; sleep 1.1
[ "$(stat -c %b open)" -gt 5000 ] || fail "$(stat -c %b open) blocks of a file that is being written"
head -c 3000000 /dev/urandom >&7; sync open; sleep 1.1
[ "$(stat -c %b open)" -gt 10000 ] || fail "$(stat -c %b open) blocks after more was written"
exec 7>&-

fstrim "$mnt" || fail "fstrim"
cd / || exit 1
unserve
clean_image

# Large directories do not make the kernel cache listings: it costs more than it saves.
serve
mkdir "$mnt/large" && (cd "$mnt/large" && seq -f "a name long enough to make it large %060g" 3000 |
	xargs -d '\n' touch) || fail "making a large directory"
for _ in 1 2 3 4 5 6; do
	before=$(requests)
	[ "$(find "$mnt/large" -type f | wc -l)" = 3000 ] || fail "a listing of 3,000 files is not complete"
	[ "$before" != "$(requests)" ] || fail "a large directory is listed from the kernel's cache"
done
unserve
clean_image

# Inodes without room for nanoseconds; defaults that stand in the superblock.
small=$image image=$scratch/old
truncate -s 16M "$image"
mke2fs -q -t ext4 -I 128 "$image" 2>/dev/null && tune2fs -o bsdgroups "$image" >/dev/null
serve
touch "$mnt/x"; mkdir "$mnt/d"; chgrp 77 "$mnt/d"; touch "$mnt/d/y"
[ "$(stat -c %y "$mnt/x" | cut -d. -f2 | cut -d' ' -f1)" = 000000000 ] || fail "a time that will not last"
[ "$(stat -c %g "$mnt/d/y")" = 77 ] || fail "bsdgroups of the superblock is ignored"
unserve
serve nogrpid
touch "$mnt/d/z"; [ "$(stat -c %g "$mnt/d/z")" = 0 ] || fail "nogrpid is ignored"
unserve
debugfs -w -R "set_inode_field / mode 0100644" "$image" 2>/dev/null
"$FUSE4FS" "$image" "$mnt" 2>"$scratch/err" && fail "a root that is no directory was mounted"
grep -q "root directory" "$scratch/err" || { cat "$scratch/err" >&2; fail "the root directory is not named"; }
image=$small

# What nobody synced is on the image some seconds later, whatever happens then.
serve
mkdir "$mnt/later" && echo text >"$mnt/later/file"
chown 1:1 "$mnt/later/file"
sleep 9
written() { "$FUSE4FS" --status --json "$mnt" | grep -q '"running_blocks": 0,'; }
await 60 written || fail "what nobody synced is not written"
kill -9 "$server"
{ wait "$server"; } 2>/dev/null
umount -l "$mnt"
e2fsck -fy -E journal_only "$image" >/dev/null 2>&1
e2fsck -fy "$image" >"$scratch/fsck.log" 2>&1
debugfs -R "cat /later/file" "$image" 2>/dev/null | grep -q text || fail "nothing on the image after 9 s"
exit 0
