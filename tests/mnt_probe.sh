#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --probe: says what an image is and what a mount would do, changes nothing, survives damage.
. "$(dirname "$0")/lib.sh"
need_fuse; need mke2fs tune2fs e2fsck debugfs python3 cryptsetup cmp

# probe STATUS [OPTION...] IMAGE: the report in $scratch/out, as JSON in $scratch/json.
probe() {
	want=$1
	shift
	timeout 60 "$FUSE4FS" --probe "$@" >"$scratch/out" 2>"$scratch/err"
	got=$?
	[ "$got" = "$want" ] || { cat "$scratch/out" "$scratch/err" >&2; fail "$*: status $got, not $want"; }
	timeout 60 "$FUSE4FS" --probe --json "$@" >"$scratch/json" 2>/dev/null
	[ $? = "$want" ] || fail "$*: another status with --json"
}
# is PATH VALUE: the JSON has it, PATH as in a.b.0.c
is() {
	python3 - "$scratch/json" "$1" "$2" <<'P' || fail "$1 is not $2"
import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v[int(k)] if isinstance(v, list) else v.get(k)
if str(v) != sys.argv[3]:
    sys.exit(f"{sys.argv[2]}: {v!r}")
P
}
says() { grep -qE "$1" "$scratch/out" || { cat "$scratch/out" >&2; fail "the text does not say $1"; }; }

# It is confined before it looks at a byte: seen while nobody takes what it says.
confined() {
	mkfifo "$scratch/full" && exec 8<>"$scratch/full"
	python3 -c 'import os
fd = os.open("'"$scratch"'/full", os.O_WRONLY | os.O_NONBLOCK)
try:
    while True: os.write(fd, bytes(4096))
except BlockingIOError: pass'
	"$FUSE4FS" --probe "$image" >&8 &
	p=$!
	for _ in $(seq 600); do grep -Eq '^Seccomp:\s2' "/proc/$p/status" && break; sleep 0.1; done
	for line in 'Seccomp:\s2' 'NoNewPrivs:\s1' 'CapPrm:\s0*'; do
		grep -Eq "^$line\$" "/proc/$p/status" || fail "a probe has not $line"
	done
	kill $p
	wait $p
	exec 8>&-
}
img 16M -t ext4
confined
probe 0 -o sandbox=require "$image"
[ ! -s "$scratch/err" ] || fail "a probe with a sandbox says something"
python3 -I "$srcdir_tests/without_call.py" 444 "$FUSE4FS" --probe -o sandbox=require "$image" >"$scratch/out" 2>&1
[ $? = 32 ] && grep -q 'sandbox=require: no landlock' "$scratch/out" || fail "a probe without Landlock"

# A clean file system; the same as a user who may only read it; a hostile label.
img 32M -t ext4 -L "label"
uuid=$(dumpe2fs -h "$image" 2>/dev/null | awk '/UUID:/ { print $3 }')
sum=$(md5sum <"$image")
probe 0 "$image"
is type ext4; is filesystem.uuid "$uuid"; is filesystem.label label; is filesystem.state clean
is filesystem.journal clean; is mount.would_be rw; is bytes $((32 << 20))
says '^  journal +clean'; says 'features .*metadata_csum'
probe 0 -o ro "$image"
is mount.would_be ro
[ "$(md5sum <"$image")" = "$sum" ] || fail "the probe changed the image"
debugfs -w -R 'ssv volume_name \033[2Jx' "$image" >/dev/null 2>&1
tune2fs -L "$(printf 'a\033[2Jb\377')" "$image" >/dev/null 2>&1
probe 0 "$image"
grep -q "$(printf '\033')" "$scratch/out" "$scratch/json" && fail "an escape sequence got through"
is filesystem.label 'a?[2Jb?'

# A dirty journal, while in use, and errors.
serve
dd if=/dev/urandom of="$mnt/f" bs=64k count=4 conv=fsync status=none
probe 0 "$image"
is filesystem.journal 'needs recovery'
is filesystem.state 'not cleanly unmounted'
# Not what a checkpoint has brought home by now.
dd if=/dev/urandom of="$mnt/g" bs=64k count=4 conv=fsync status=none
kill -9 "$server"; { wait "$server"; } 2>/dev/null; umount -l "$mnt"
sum=$(md5sum <"$image")
probe 0 "$image"
is mount.would_be rw
says 'notes .*journal recovered'
[ "$(md5sum <"$image")" = "$sum" ] || fail "probing a dirty journal changed the image"
e2fsck -fy "$image" >/dev/null 2>&1
debugfs -w -R 'ssv state 2' "$image" >/dev/null 2>&1
probe 0 "$image"
is filesystem.state errors

# What is served read-only, or not at all; nothing there; cut short; no image.
img 32M -t ext4 -O quota
probe 0 "$image"
is mount.would_be ro; says 'because .*quota'
img 32M -t ext4 -O casefold
probe 32 "$image"
is mount.would_be refused; says 'because .*casefold'
img 32M -t ext2
probe 0 "$image"
is type ext2; is filesystem.journal none
head -c 8M "$image" >"$scratch/short"
probe 32 "$scratch/short"
says 'because .*cut short'
head -c 1M /dev/zero >"$scratch/zeros"
probe 32 "$scratch/zeros"
is type unknown
probe 32 "$scratch/nowhere"
grep -q 'does not exist' "$scratch/err" || fail "a missing image is not named"

# Partitions.
truncate -s 80M "$scratch/disk"
python3 - "$scratch/disk" <<'P' || fail "partition table"
import struct, sys
entries = [struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, start, n)
           for start, n in ((2048, 65536), (67584, 65536), (133120, 999999))]
with open(sys.argv[1], "r+b") as f:
    f.seek(446)
    f.write(b"".join(entries) + b"\0" * 16 + b"\x55\xaa")
P
dd if="$image" of="$scratch/disk" bs=1M seek=33 conv=notrunc status=none
probe 0 "$scratch/disk"
is type 'partition table'; is table.type dos; is mount.would_be 'by partition'
is table.partitions.0.type unknown; is table.partitions.1.number 2
is table.partitions.1.filesystem.journal none; is table.partitions.1.mount.would_be rw
says 'cut off'
probe 0 -o partition=2 "$scratch/disk"
is type ext2
probe 32 -o partition=1 "$scratch/disk"


# Containers, without their keys.
kdf="--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
luks() { # ARGS: $scratch/luks is a fresh container
	rm -f "$scratch/luks" && truncate -s 24M "$scratch/luks"
	echo -n secret | cryptsetup luksFormat -q $kdf "$@" "$scratch/luks" - 2>"$scratch/err" ||
		{ cat "$scratch/err" >&2; fail "cryptsetup luksFormat $*"; }
}
luks --type luks1 -c aes-cbc-essiv:sha256 -s 256 -h sha1
probe 0 "$scratch/luks"
is type luks; is luks.version 1; is luks.cipher aes-cbc-essiv:sha256; is luks.key_bits 256
is luks.keyslots.0.kdf pbkdf2; is luks.keyslots.0.iterations 1000
is mount.would_be 'after a passphrase'
luks --type luks2 --label lab --sector-size 4096
echo -ne 'secret\nother\n' | cryptsetup luksAddKey -q --pbkdf argon2id --pbkdf-memory 32 \
	--pbkdf-parallel 1 --pbkdf-force-iterations 4 "$scratch/luks" 2>/dev/null || fail luksAddKey
sum=$(md5sum <"$scratch/luks")
probe 0 "$scratch/luks"
is luks.version 2; is luks.uuid "$(cryptsetup luksUUID "$scratch/luks")"; is luks.label lab
is luks.cipher aes-xts-plain64; is luks.sector_bytes 4096; is luks.header_copy primary
is luks.keyslots.1.kdf argon2id; is luks.keyslots.1.memory_kib 32; is luks.keyslots.1.passes 4
says 'kdf +argon2id'
# Its first copy damaged, both damaged.
cp "$scratch/luks" "$scratch/first"
printf X | dd of="$scratch/first" bs=1 seek=4200 conv=notrunc status=none
probe 0 "$scratch/first"
is luks.header_copy secondary; says 'header_damage .*primary'
printf X | dd of="$scratch/first" bs=1 seek=$((16384 + 4200)) conv=notrunc status=none
probe 32 "$scratch/first"
is mount.would_be refused; says 'because .*header'
[ "$(md5sum <"$scratch/luks")" = "$sum" ] || fail "the probe changed a container"
# A detached header.
truncate -s 8M "$scratch/data"
rm -f "$scratch/hdr"; truncate -s 16M "$scratch/hdr"
echo -n secret | cryptsetup luksFormat -q $kdf --type luks2 --header "$scratch/hdr" \
	"$scratch/data" - || fail "detached header"
probe 0 -o "header=$scratch/hdr" "$scratch/data"
is luks.data_offset 0; is luks.data_bytes $((8 << 20))
probe 32 "$scratch/data"

# Whatever is done to the bytes: an answer, soon, of one of the two kinds.
img 8M -t ext4
python3 - "$FUSE4FS" "$image" "$scratch/luks" "$scratch/disk" "$scratch/mutant" "${ROUNDS:-25}" <<'P' || fail "damaged images"
import json, os, random, subprocess, sys
server, *images, mutant, rounds = sys.argv[1:]
seed = int.from_bytes(os.urandom(4), "little")
rnd = random.Random(seed)
for n in range(int(rounds)):
    for image in images:
        data = bytearray(open(image, "rb").read(8 << 20))
        for _ in range(rnd.choice((1, 3, 10, 50))):
            at = rnd.randrange(rnd.choice((512, 2048, 40000, len(data))))
            data[at] = rnd.choice((0, 0xff, 0x7f, rnd.randrange(256), data[at] ^ 1 << rnd.randrange(8)))
        if rnd.random() < 0.1:
            del data[rnd.randrange(len(data)):]
            data += b"x"
        open(mutant, "wb").write(data)
        r = subprocess.run([server, "--probe", "--json", mutant], capture_output=True, timeout=60)
        assert r.returncode in (0, 2, 32), f"seed {seed} round {n} {image}: {r.returncode} {r.stderr}"
        if r.stdout:
            json.loads(r.stdout)
        assert open(mutant, "rb").read() == data, f"seed {seed} round {n}: written"
P
exit 0
