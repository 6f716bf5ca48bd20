#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# LUKS containers from the user's side: made and filled with our own means and cryptsetup's,
# every way to give a key, what a wrong one does, where secrets are not.
. "$(dirname "$0")/lib.sh"
need_fuse; need cryptsetup mke2fs e2fsck debugfs python3 setsid cmp

secret='correct horse'
kdf="--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
printf %s "$secret" >"$scratch/pass"

# refused STATUS PATTERN ARGS...: as in mnt_cli.sh; standard input is the caller's.
refused() {
	want=$1 pattern=$2
	shift 2
	timeout 60 "$FUSE4FS" "$@" >"$scratch/out" 2>"$scratch/err"
	got=$?
	[ "$got" = "$want" ] || { cat "$scratch/err" >&2; fail "$*: status $got, not $want"; }
	[ "$(wc -l <"$scratch/err")" = 1 ] || { cat "$scratch/err" >&2; fail "$*: not one line"; }
	grep -qE "$pattern" "$scratch/err" || { cat "$scratch/err" >&2; fail "$*: does not say $pattern"; }
	mountpoint -q "$mnt" && fail "$*: mounted all the same"
}
gone() { "$FUSE4FS" -u "$mnt" || fail "-u"; }
mounted() { # ARGS...: mounts, sees the file, unmounts
	timeout 60 "$FUSE4FS" "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "mount $*"; }
	[ "$(cat "$mnt/f")" = hello ] || fail "$*: another file system"
	gone
}

# From nothing, without root's help, as the README says.
truncate -s 64M "$image"
exported "$image" nocrypt cryptsetup luksFormat -q --type luks2 $kdf "$scratch/x/device" "$scratch/pass" \
	2>"$scratch/err" || { cat "$scratch/err" >&2; fail "luksFormat on the exported device"; }
exported "$image" "keyfile=$scratch/pass" mke2fs -q -t ext4 -E nodiscard "$scratch/x/device" || fail "mke2fs"
exported "$image" "keyfile=$scratch/pass" e2fsck -fn "$scratch/x/device" >/dev/null 2>&1 || fail "e2fsck"
"$FUSE4FS" -o "keyfile=$scratch/pass" "$image" "$mnt" || fail "mount"
echo hello >"$mnt/f"
head -c 5M /dev/urandom >"$scratch/random"
cp "$scratch/random" "$mnt/random"
cp -r "$top_tests" "$mnt/tree"
"$FUSE4FS" --status "$mnt" | grep -q 'crypt .*luks2.*aes-xts-plain64' || fail "--status says nothing of LUKS"
"$FUSE4FS" --status --json "$mnt" | python3 -m json.tool >/dev/null || fail "--status --json"
gone
exported "$image" "ro,keyfile=$scratch/pass" e2fsck -fn "$scratch/x/device" >"$scratch/out" 2>&1 ||
	{ cat "$scratch/out" >&2; fail "e2fsck after the mount"; }
grep -q hello "$image" && fail "plain text is in the image"

# The same as nobody in particular, with a default keyslot of cryptsetup's but for its cost.
# (fusermount3 unmounts nothing without /etc/mtab, which a bare chroot may lack.)
if command -v setpriv >/dev/null && command -v fusermount3 >/dev/null && [ -e /etc/mtab ]; then
	mkdir "$scratch/user" && chown 65534:65534 "$scratch/user" && chmod 711 "$scratch"
	cp "$FUSE4FS" "$scratch/server"
	mknod -m 666 "$scratch/fuse" c 10 229	# whatever this machine thinks of /dev/fuse
	cat >"$scratch/as-user" <<-'S'
		set -e
		mkdir dev mnt; truncate -s 64M img; printf pw >key
		cryptsetup luksFormat -q --pbkdf-memory 32768 --pbkdf-force-iterations 4 img key
		$1 --export-device -o keyfile=key img dev
		mke2fs -q -t ext4 -E nodiscard,root_owner dev/device
		$1 -u dev
		ulimit -l 64
		printf pw | $1 img mnt 2>said
		grep -q 'swapped out: 33792 KiB' said
		echo hi >mnt/x
		$1 --status mnt | grep -q luks2
		fusermount3 -u mnt
		$1 --export-device -o ro,keyfile=key img dev
		e2fsck -fn dev/device
		$1 -u dev
	S
	export -f leave_other_mounts
	unshare -m bash -c 'scratch=$1; leave_other_mounts
		cd "$1/user" && mount --bind "$1/fuse" /dev/fuse && exec setpriv --reuid=65534 \
		--regid=65534 --clear-groups sh "$1/as-user" "$1/server"' bash "$scratch" >"$scratch/out" 2>&1 ||
		{ cat "$scratch/out" >&2; fail "as a user"; }
fi

# cryptsetup, without us, reads what we wrote: "f", "random" and a copy of the tests, "tree".
judge() { # IMAGE
	cp "$1" "$scratch/plain"
	rm -rf "$scratch/header" "$scratch/dumped"
	mkdir "$scratch/dumped"
	cryptsetup reencrypt -q --decrypt --force-offline-reencrypt --header "$scratch/header" --key-file "$scratch/pass" \
		"$scratch/plain" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "cryptsetup reencrypt --decrypt"; }
	e2fsck -fn "$scratch/plain" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "decrypted by cryptsetup"; }
	[ "$(debugfs -R 'cat f' "$scratch/plain" 2>/dev/null)" = hello ] || fail "cryptsetup decrypts something else"
	debugfs -R "dump random $scratch/dumped/random" "$scratch/plain" 2>/dev/null
	cmp "$scratch/dumped/random" "$scratch/random" || fail "cryptsetup decrypts other data"
	debugfs -R "rdump tree $scratch/dumped" "$scratch/plain" >/dev/null 2>&1
	diff -r "$top_tests" "$scratch/dumped/tree" >"$scratch/out" ||
		{ head "$scratch/out" >&2; fail "cryptsetup decrypts another tree"; }
}
judge "$image"

# The same where file-system blocks are parts of sectors.
truncate -s 48M "$scratch/sectors"
cryptsetup luksFormat -q --type luks2 --sector-size 4096 $kdf "$scratch/sectors" "$scratch/pass" || fail "4096-byte sectors"
exported "$scratch/sectors" "keyfile=$scratch/pass" mke2fs -q -t ext4 -b 1024 "$scratch/x/device" || fail "mke2fs -b 1024"
"$FUSE4FS" -o "keyfile=$scratch/pass" "$scratch/sectors" "$mnt" || fail "mount with 4096-byte sectors"
cp -r "$top_tests" "$mnt/tree" & cp "$scratch/random" "$mnt/random" & echo hello >"$mnt/f"
wait
gone
judge "$scratch/sectors"
rm "$scratch/sectors" "$scratch/plain"

# Every way to give the key.
mounted "$image" "$mnt" <"$scratch/pass"
mounted "$image" "$mnt" < <(echo "$secret")
refused 33 'no key available with this passphrase' "$image" "$mnt" < <(echo; echo "$secret")
echo "$secret" >"$scratch/line"
mounted -o passfd=7 "$image" "$mnt" 7<"$scratch/line"
refused 33 'no key available with this key file' -o "keyfile=$scratch/line" "$image" "$mnt"
mounted -o "keyfile=$scratch/line,keyfile-size=${#secret}" "$image" "$mnt"
printf 'xyz%szyx' "$secret" >"$scratch/middle"
mounted -o "keyfile=$scratch/middle,keyfile-offset=3,keyfile-size=${#secret}" "$image" "$mnt"
mounted -o keyfile=- "$image" "$mnt" <"$scratch/pass"
FUSE4FS=$FUSE4FS "$top_tests/../tools/mount.fuse4fs" "$image" "$mnt" -o "rw,noatime,keyfile=$scratch/pass" ||
	fail "mount.fuse4fs"
[ "$(cat "$mnt/f")" = hello ] || fail "mount.fuse4fs mounted something else"
gone

# A person: right at once, at the third try, never, and one who gives up.
person() { typed "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "terminal: $2"; }; }
person 0 "$secret" "$FUSE4FS" "$image" "$mnt"
gone
person 0 "zero|plover|$secret" "$FUSE4FS" "$image" "$mnt"
[ "$(grep -c 'no key available with this passphrase' "$scratch/out")" = 2 ] || fail "two wrong answers"
gone
person 33 "xyzzy|plugh|qwert" "$FUSE4FS" "$image" "$mnt"
[ "$(grep -c 'no key available with this passphrase' "$scratch/out")" = 3 ] || fail "three wrong answers"
person 8 "^C" "$FUSE4FS" "$image" "$mnt"
mountpoint -q "$mnt" && fail "mounted without a passphrase"

# Killing what was started ends what asks, too.
mkfifo "$scratch/fifo"
exec 8<>"$scratch/fifo"
"$FUSE4FS" "$image" "$mnt" <"$scratch/fifo" 2>/dev/null 8<&- &
for _ in $(seq 1200); do
	asks=$(cat "/proc/$!/task/$!/children") && [ "$asks" ] && break
	sleep 0.05
done
[ "$asks" ] || fail "no process that asks for a passphrase"
kill $!
wait $!
for _ in $(seq 600); do [ -e "/proc/${asks% }" ] || break; sleep 0.05; done
[ ! -e "/proc/${asks% }" ] || { kill $asks; fail "a process was left behind that asks for a passphrase"; }
exec 8>&-

# Nobody there to ask, and mistakes: before anything is mounted, in one line.
real=$FUSE4FS
printf '#!/bin/sh\nPATH=/nowhere exec %s -w %s "$@"\n' "$(command -v setsid)" "$real" >"$scratch/nobody"
chmod +x "$scratch/nobody"
FUSE4FS=$scratch/nobody
refused 32 'no terminal' "$image" "$mnt" </dev/null
FUSE4FS=$real
refused 33 'no key' "$image" "$mnt" <<<"wrong"
: >"$scratch/empty"
refused 32 'no passphrase came from standard input' "$image" "$mnt" <"$scratch/empty"
refused 32 'keyfile=.*No such file' -o "keyfile=$scratch/none" "$image" "$mnt"
refused 32 'key-slot=5' -o "key-slot=5,keyfile=$scratch/pass" "$image" "$mnt"
refused 1 'exclude' -o "nocrypt,keyfile=$scratch/pass" "$image" "$mnt"
refused 1 'keyfile=' -o keyfile-size=3 "$image" "$mnt"
refused 1 'keyfile-size' -o "keyfile=$scratch/pass,keyfile-size=9M" "$image" "$mnt"
refused 1 'key-slot' -o key-slot=32 "$image" "$mnt"
refused 32 'no ext2, ext3 or ext4' -o nocrypt "$image" "$mnt"
refused 32 'header=' -o "header=$scratch/random" "$image" "$mnt"
# A key is never ignored: not where no container begins, not where its first byte is damaged.
refused 32 'keyfile= was given.*nocrypt' --export-device -o "offset=1M,keyfile=$scratch/pass" "$image" "$mnt"
truncate -s 24M "$scratch/one"
cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 "$scratch/one" "$scratch/pass" || fail luks1
printf X | dd of="$scratch/one" bs=1 seek=3 conv=notrunc status=none
refused 32 'keyfile= was given.*nocrypt' --export-device -o "keyfile=$scratch/pass" "$scratch/one" "$mnt"
printf 'S\272\276\0\3' | dd of="$scratch/one" bs=1 seek=3 conv=notrunc status=none
refused 32 'version 3 is not known' --export-device "$scratch/one" "$mnt"
rm "$scratch/one"
truncate -s 16M "$scratch/plain-fs" && mke2fs -q "$scratch/plain-fs"
refused 32 'passfd= was given' -o passfd=7 "$scratch/plain-fs" "$mnt" 7<"$scratch/pass"

# Secrets are not in the process; the key only where it cannot be swapped or dumped.
volume_key=$(cryptsetup luksDump -q --dump-volume-key --key-file "$scratch/pass" "$image" 2>/dev/null |
	sed -n '/MK dump:/,$p' | sed 's/MK dump://' | tr -d ' \t\n')
"$FUSE4FS" -f "$image" "$mnt" <"$scratch/pass" >"$scratch/server.log" 2>&1 &
server=$!
for _ in $(seq 600); do mountpoint -q "$mnt" && break; sleep 0.05; done
cat "$mnt/f" >/dev/null
python3 "$top_tests/luks_memory.py" "$server" "$secret" "$volume_key" || fail "secrets in memory"
umount "$mnt" && wait "$server" || fail "the server ended with status $?"

# Read-only: not one byte.
sum=$(md5sum <"$image")
mounted -o "ro,keyfile=$scratch/pass" "$image" "$mnt"
[ "$(md5sum <"$image")" = "$sum" ] || fail "ro changed the container"

# Other keyslots, costs above the bounds, a damaged header.
printf %s other >"$scratch/other"
cryptsetup luksAddKey -q --key-file "$scratch/pass" --pbkdf argon2id --pbkdf-memory 65536 --pbkdf-parallel 1 \
	--pbkdf-force-iterations 4 "$image" "$scratch/other" || fail luksAddKey
mounted -o "keyfile=$scratch/other" "$image" "$mnt"
mounted -o "keyfile=$scratch/other,key-slot=1" "$image" "$mnt"
refused 33 'no key' -o "keyfile=$scratch/other,key-slot=0" "$image" "$mnt"
refused 33 'no key.*not tried: keyslot 1: argon2id wants' -o "keyfile=$scratch/other,kdf-memory=32M" "$image" "$mnt"
refused 32 'keyslot 1: argon2id wants.*kdf-memory' \
	-o "keyfile=$scratch/other,key-slot=1,kdf-memory=32M" "$image" "$mnt"
printf X | dd of="$image" bs=1 seek=4300 conv=notrunc status=none
mounted -o "keyfile=$scratch/pass" "$image" "$mnt"
grep -q 'primary.*secondary copy is used' "$scratch/out" || { cat "$scratch/out" >&2; fail "the damage is not said"; }
printf X | dd of="$image" bs=1 seek=$((16384 + 4300)) conv=notrunc status=none
refused 32 'primary.*secondary|both' -o "keyfile=$scratch/pass" "$image" "$mnt"

# LUKS1; a container in a partition; a detached header; discards.
FUSE4FS_LUKS=luks1
img 32M -t ext4
serve; echo hello >"$mnt/f"; unserve
clean_image
unset FUSE4FS_LUKS
mounted -o "keyfile=$key" "$image" "$mnt"
truncate -s 60M "$scratch/disk"
python3 - "$scratch/disk" <<'P' || fail "partition table"
import struct, sys
entry = struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, 2048, 110000)
with open(sys.argv[1], "r+b") as f:
    f.seek(446)
    f.write(entry + b"\0" * 48 + b"\x55\xaa")
P
dd if="$image" of="$scratch/disk" bs=1M seek=1 conv=notrunc status=none
mounted -o "partition=1,keyfile=$key" "$scratch/disk" "$mnt"
mounted -o "offset=1M,keyfile=$key" "$scratch/disk" "$mnt"

img 32M -t ext4
truncate -s 16M "$scratch/hdr"
truncate -s 32M "$scratch/data"
cryptsetup luksFormat -q --type luks2 $kdf --header "$scratch/hdr" "$scratch/data" "$key" || fail "detached header"
exported "$scratch/data" "header=$scratch/hdr,keyfile=$key" dd if="$image" of="$scratch/x/device" bs=1M status=none ||
	fail "copy into the container with a detached header"
rm "$image"
"$FUSE4FS" -o "header=$scratch/hdr,keyfile=$key" "$scratch/data" "$mnt" || fail "header="
head -c 20M /dev/urandom >"$mnt/big"
echo hello >"$mnt/f"
rm "$mnt/big"
"$FUSE4FS" -u "$mnt"
[ "$(stat -c %b "$scratch/data")" -gt 60000 ] || fail "the container is sparse"
mounted -o "header=$scratch/hdr,keyfile=$key" "$scratch/data" "$mnt"
refused 32 'ext' "$scratch/data" "$mnt"
"$FUSE4FS" -o "header=$scratch/hdr,keyfile=$key" "$scratch/data" "$mnt" || fail "header="
fstrim "$mnt" 2>/dev/null && fail "discards went through"
gone
"$FUSE4FS" -o "allow-discards,header=$scratch/hdr,keyfile=$key" "$scratch/data" "$mnt" || fail "allow-discards"
fstrim "$mnt" || fail "fstrim with allow-discards"
gone
[ "$(stat -c %b "$scratch/data")" -lt 40000 ] || fail "nothing was given back"
mounted -o "header=$scratch/hdr,keyfile=$key" "$scratch/data" "$mnt"
exit 0
