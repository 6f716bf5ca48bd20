#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who leads while the device is waited for (loop.c): one client that reads alone does not make
# threads wake each other; and when the device hangs under a thread that kept the lead, others are
# served and the one who waits can be killed.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace; need python3 mke2fs

handed_on() { "$FUSE4FS" --status --json "$mnt" | python3 -I -c '
import json, sys
print(json.load(sys.stdin)["leads"]["handed_on"])'; }
ended() { ! kill -0 "$1" 2>/dev/null; }
cat >"$scratch/reader.py" <<'P'
# reader.py FILE COUNT [IMAGE]: reads of 4 KiB that no page cache holds, of IMAGE's either.
# Prints how many took a millisecond or more.
import os, random, sys, time
slow = 0
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
image = os.open(sys.argv[3], os.O_RDONLY) if sys.argv[3:] else None
for _ in range(int(sys.argv[2])):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if image is not None:
        os.posix_fadvise(image, 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.monotonic()
    os.pread(fd, 4096, random.randrange(16384) * 4096)
    slow += time.monotonic() - start > 0.001
print(slow)
P
cat >"$scratch/forget.py" <<'P'
# forget.py IMAGE: for ever drops it from the page cache
import os, sys, time
image = os.open(sys.argv[1], os.O_RDONLY)
while True:
    os.posix_fadvise(image, 0, 0, os.POSIX_FADV_DONTNEED)
    time.sleep(0.001)
P

img 300M -t ext4
serve
head -c 64M /dev/urandom >"$mnt/f"; sync "$mnt/f"; sync "$image"
# A slow read makes the next forty or so pass the lead on.
quick= alone=
for _ in 1 2 3 4 5 6 7 8; do
	before=$(handed_on)
	slow=$(python3 "$scratch/reader.py" "$mnt/f" 2000 "$image") || fail "reading"
	passed=$(($(handed_on) - before))
	[ "$slow" -gt 5 ] || quick="$quick $passed"
	[ "$passed" -ge 800 ] || { alone=y; break; }
done
[ "$passed" -ge 1 ] || skip "every read was answered from a cache"
[ "$alone" ] || [ -z "$quick" ] || fail "of 2,000 reads in one process so many passed the lead on:$quick"
unserve

# An image in a mount whose server is stopped is a device that hangs.
inner=$mnt/inner outer_mnt=$mnt outer_image=$image
serve
outer=$server
mv "$scratch/server.log" "$scratch/outer.log"
truncate -s 100M "$inner"
mke2fs -q -F -t ext4 "$inner" || fail "mke2fs in the mount"
mnt=$scratch/inner-mnt image=$inner
mkdir "$mnt"
serve
head -c 64M /dev/urandom >"$mnt/f"; sync "$mnt/f"
python3 "$scratch/forget.py" "$inner" &
forgetting=$!
reader=
trap 'r=$?; kill -CONT "$outer"; kill -9 "$forgetting" $reader; (exit $r); cleanup_scratch' EXIT
for round in 1 2 3 4 5; do
	python3 "$scratch/reader.py" "$mnt/f" 1000000 >/dev/null &
	reader=$!
	sleep 0.5
	kill -STOP "$outer"
	sleep 0.2
	timeout -s KILL 60 "$FUSE4FS" --status "$mnt" >/dev/null ||
		{ kill -CONT "$outer"; fail "round $round: nobody is served while the device hangs"; }
	kill -9 "$reader"
	await 60 ended "$reader" ||
		{ kill -CONT "$outer"; fail "round $round: who waits for the device cannot be killed"; }
	{ wait "$reader"; } 2>/dev/null
	kill -CONT "$outer"
	reader=
done
kill "$forgetting"
{ wait "$forgetting"; } 2>/dev/null
trap cleanup_scratch EXIT
unserve
mnt=$outer_mnt image=$outer_image server=$outer
unserve
clean_image
[ "$alone" ] || skip "too slow a disk to see a lead that is kept"
