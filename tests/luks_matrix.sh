#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# LUKS containers of other programs, and ours read by them: cryptsetup and qemu-img make the
# containers; qemu-img (LUKS1), cryptsetup's offline reencryption (LUKS2) and a second
# implementation of sectors judge the data. LUKS_MATRIX=full runs every combination and says
# what each part took; LUKS_MATRIX_PARTS=REGEX only the parts whose names match.
. "$(dirname "$0")/lib.sh"
need cryptsetup qemu-img python3
tool=${BUILDDIR:-${top_builddir:-.}}/tests/tool_luks
[ -x "$tool" ] || fail "no $tool"
tool=$(realpath "$tool")
full=${LUKS_MATRIX:-}
pass='correct horse'
fast='--pbkdf-force-iterations 1000'
argon='--pbkdf-force-iterations 4 --pbkdf-memory 512 --pbkdf-parallel 2'
data=$scratch/data little=$scratch/little secret=$scratch/secret
head -c 20M /dev/urandom >"$data"
head -c 2M "$data" >"$little"
printf %s "$pass" >"$secret"

# format IMG SIZE ARGS: a container by cryptsetup. [pass]
format() {
	f=$1
	rm -f "$f"
	truncate -s "$2" "$f"
	shift 2
	printf %s "$pass" | timeout -k 5 60 cryptsetup luksFormat -q --key-file - "$@" "$f" >/dev/null 2>err ||
		fail "luksFormat $*: $(head -n 2 err)"
}

# fill IMG [TOOL-ARGS]: random data of the device's size, which "plain" keeps.
fill() {
	f=$1
	shift
	size=$("$tool" "$@" size "$f" "$pass") || fail "unlock $f $*"
	head -c "$size" "$data" >plain
	"$tool" "$@" write "$f" "$pass" <plain || fail "write $f"
	"$tool" "$@" read "$f" "$pass" | cmp - plain || fail "read back $f"
	echo "$f" >>count
}

# What a wrong passphrase gives.
rejects() {
	f=$1
	shift
	"$tool" "$@" size "$f" "not $pass" >/dev/null 2>&1
	[ $? = 2 ] || fail "$f: a wrong passphrase is not rejected"
}

# refuses WORD IMG [TOOL-ARGS]: unlocking fails and says WORD.
refuses() {
	word=$1 f=$2
	shift 2
	"$tool" "$@" size "$f" "$pass" >/dev/null 2>err && fail "$f: $word is not refused"
	grep -q -- "$word" err || fail "$f: refused without naming $word: $(cat err)"
}

# judge1 IMG: qemu-img reads the LUKS1 container as "plain".
judge1() {
	qemu-img convert --object secret,id=s,file="$secret" --image-opts \
		driver=luks,key-secret=s,file.filename="$1" -O raw out 2>err || fail "qemu-img $1: $(cat err)"
	cmp out plain || fail "$1: qemu-img reads something else"
}

# judge2 IMG [HEADER]: cryptsetup decrypts the LUKS2 container to "plain".
judge2() {
	rm -f exported
	printf %s "$pass" | timeout -k 5 120 cryptsetup reencrypt -q --decrypt --force-offline-reencrypt \
		--key-file - --header "${2:-exported}" "$1" >err 2>&1 || fail "reencrypt $1: $(tail -n 2 err)"
	cmp -n "$(stat -c %s plain)" "$1" plain || fail "$1: cryptsetup reads something else"
}

edit() { python3 "$srcdir_tests/luks2_edit.py" "$@" || fail "luks2_edit $*"; }

luks1_hashes() { # HASH...
	for h in "$@"; do
		format l1 3M --type luks1 --hash "$h" $fast
		fill l1
		rejects l1
		# Those that qemu-img has no name for are judged by cryptsetup having made the key.
		case $h in sha*-* | blake* | whirlpool | sm3) ;; *) judge1 l1 ;; esac
	done
}

luks1_ciphers() {
	while read -r cipher bits slot; do
		format l1 4M --type luks1 --cipher "$cipher" --key-size "$bits" --key-slot "$slot" $fast
		fill l1 -k "$slot"
		rejects l1
		judge1 l1
	done <<-END
		aes-xts-plain64 256 7
		aes-cbc-essiv:sha256 256 3
		aes-cbc-plain64 128 1
		aes-cbc-plain 256 0
		aes-xts-plain 512 5
	END
}

luks1_slots() {
	format l1 4M --type luks1 $fast
	for s in 1 2 3 4 5 6 7; do
		printf '%s' "$pass" >key0
		printf 'key%s' "$s" >key1
		timeout 60 cryptsetup luksAddKey -q $fast --key-slot "$s" --key-file key0 l1 key1 || fail addkey
	done
	for s in 1 4 7; do
		"$tool" size l1 "key$s" >/dev/null || fail "slot $s does not open"
		"$tool" -k 0 size l1 "key$s" >/dev/null 2>&1 && fail "key $s opens slot 0"
	done
	timeout 60 cryptsetup luksKillSlot -q --key-file key0 l1 4 || fail killslot
	"$tool" size l1 key4 >/dev/null 2>&1 && fail "a killed slot opens"
	refuses 'keyslot 4 is not in use' l1 -k 4
}

# qemu_luks IMG CIPHER MODE IV: a LUKS1 container that holds "little". Its benchmark of itself
# fails now and then where CPU time is coarse.
qemu_luks() {
	iv=ivgen-alg=$4
	[ "$4" != essiv ] || iv=$iv,ivgen-hash-alg=sha256
	for _ in $(seq 20); do
		rm -f "$1"
		qemu-img convert --object secret,id=s,file="$secret" -f raw -O luks -o \
			"key-secret=s,iter-time=60,cipher-alg=$2,cipher-mode=$3,$iv" "$little" "$1" \
			2>"$1.err" && return
		grep -q 'accurate CPU usage' "$1.err" || break
	done
	rm -f "$1"
}

luks1_qemu() { # CIPHER MODE IV
	qemu_luks q "$@"
	[ -s q ] || fail "qemu-img $*: $(cat q.err)"
	"$tool" read q "$pass" | cmp - "$little" || fail "$* of qemu-img"
	rejects q
	tail -c 2M "$data" >plain
	"$tool" write q "$pass" <plain || fail "write $*"
	judge1 q
	echo "$*" >>count
}

luks2() { # CIPHER BITS SECTOR KDF SLOT ARGS...
	cost=$argon
	[ "$4" != pbkdf2 ] || cost=$fast
	c=$1 b=$2 l=$3 k=$4 n=$5
	shift 5
	format l2 20M --type luks2 --cipher "$c" --key-size "$b" --sector-size "$l" --pbkdf "$k" \
		--key-slot "$n" $cost "$@"
	fill l2
	rejects l2
	judge2 l2
}

luks2_ciphers() {
	luks2 aes-xts-plain64 512 512 argon2id 0
	luks2 aes-xts-plain64 256 4096 argon2i 31
	luks2 aes-xts-plain 512 1024 pbkdf2 5 --hash sha512
	luks2 aes-cbc-essiv:sha256 256 2048 argon2id 1
	luks2 aes-cbc-plain 128 4096 pbkdf2 0 --hash blake2b-512 --luks2-metadata-size 4m
}

luks2_rare() {
	luks2 aes-cbc-plain64 192 512 argon2id 2 --luks2-metadata-size 64k --luks2-keyslots-size 512k
	luks2 aes-xts-essiv:sha256 512 512 argon2id 0
	luks2 aes-xts-plain64be 512 4096 argon2id 0
	luks2 aes-cbc-benbi 256 512 argon2id 0
	luks2 aes-xts-plain64 512 512 argon2id 0 --offset 34816 --luks2-keyslots-size 1m
}

# Each cipher mode with each sector size, each key derivation with several hashes.
luks2_square() { # CIPHER BITS
	for l in 512 1024 2048 4096; do
		luks2 "$1" "$2" "$l" pbkdf2 0
	done
}

luks2_kdfs() { # HASH...
	for h in "$@"; do
		luks2 aes-xts-plain64 512 512 pbkdf2 $((RANDOM % 32)) --hash "$h"
		luks2 aes-xts-plain64 512 4096 argon2id $((RANDOM % 32)) --hash "$h"
	done
}

detached() {
	rm -f hdr
	format body 4M --type luks2 --header hdr $argon
	fill body -H hdr
	rejects body -H hdr
	[ "$(stat -c %s plain)" = 4194304 ] || fail "a detached LUKS2 header costs the container room"
	judge2 body hdr
	rm -f hdr
	format body 4M --type luks1 --header hdr $fast
	fill body -H hdr
	refuses 'detached header' hdr
	refuses 'no LUKS header' body
	# What cryptsetup encrypts is read here.
	cp "$little" body
	rm -f hdr
	printf %s "$pass" | timeout -k 5 120 cryptsetup reencrypt -q --encrypt --type luks2 \
		--force-offline-reencrypt --header hdr $argon --key-file - body >err 2>&1 || fail "$(tail -n 2 err)"
	"$tool" -H hdr read body "$pass" | cmp - "$little" || fail "what cryptsetup encrypted reads differently"
}

# Slots of several kinds in one container: priorities, an unbound key, another area cipher.
keyslots() {
	printf %s "$pass" >key0
	format l2 20M --type luks2 $argon --keyslot-cipher aes-cbc-essiv:sha256 --keyslot-key-size 256
	for s in 1 2 3; do
		printf 'key%s' "$s" >key1
		timeout 60 cryptsetup luksAddKey -q $argon --key-slot "$s" --key-file key0 l2 key1 2>err ||
			fail "luksAddKey: $(cat err)"
	done
	printf unbound >key1
	head -c 64 /dev/urandom >vk
	timeout 60 cryptsetup luksAddKey -q $argon --unbound --key-slot 9 --key-size 512 --volume-key-file vk \
		--key-file key1 l2 2>err <key1 || fail "unbound: $(cat err)"
	timeout 60 cryptsetup config --priority prefer --key-slot 2 l2 || fail config
	timeout 60 cryptsetup config --priority ignore --key-slot 3 l2 || fail config
	TOOL_LUKS_NOTICE=1 "$tool" size l2 key1 2>err >/dev/null || fail "slot 1 does not open"
	[ "$(tr -dc '0-9\n' <err | cut -c1 | tr -d '\n')" = 201 ] || fail "not by priority: $(cat err)"
	"$tool" size l2 key3 >/dev/null 2>&1 && fail "a slot to be ignored was tried"
	"$tool" -k 3 size l2 key3 >/dev/null || fail "a slot to be ignored does not open when named"
	"$tool" size l2 unbound >/dev/null 2>err && fail "an unbound key opens the data"
	grep -q unbound err && fail "the passphrase is in a message"
	"$tool" -k 9 size l2 unbound >/dev/null 2>&1 && fail "an unbound slot opens when named"
	fill l2
	judge2 l2
}

# What is refused by name.
in_progress() {
	cp "$little" body
	rm -f hdr
	printf %s "$pass" | timeout -k 5 120 cryptsetup reencrypt -q --encrypt --init-only --type luks2 \
		--force-offline-reencrypt --header hdr $argon --key-file - body >err 2>&1
	[ -s hdr ] || fail "reencrypt --init-only: $(tail -n 2 err)"
	refuses 'reencryption is in progress' body -H hdr
	"$tool" -H hdr info body | grep -q 'requirements .*reencrypt' || fail "not described"
}

# Ciphers and segments cryptsetup cannot make here: headers edited, data judged in Python.
edited() {
	python3 -c 'import cryptography' || fail 'no python3-cryptography'
	while read -r cipher bits sector tweak; do
		head -c $((bits / 8)) /dev/urandom >vk
		mode=aes-cbc-plain64
		[ "${cipher#*-xts}" = "$cipher" ] || mode=aes-xts-plain64
		format l2 18M --type luks2 --cipher $mode --key-size "$bits" --volume-key-file vk \
			--sector-size "$sector" $argon
		edit l2 "s = j['segments']['0']; s['encryption'] = '$cipher'; s['iv_tweak'] = '$tweak'"
		fill l2
		tail -c +16777217 l2 | python3 "$srcdir_tests/luks_crypt.py" "$cipher" vk "$sector" "$tweak" |
			cmp - plain || fail "$cipher with IV tweak $tweak"
	done <<-END
		camellia-cbc-essiv:sha256 256 512 0
		camellia-cbc-plain 128 4096 4294967290
		cast5-cbc-plain64 128 2048 77
		aes-xts-plain64 512 512 4294967290
		aes-xts-plain 256 512 4294967290
	END
	:
}

# part NAME COMMAND...: in a folder and a process of its own, as many at once as there are CPUs.
part() {
	local name=$1
	shift
	[[ $name =~ ${LUKS_MATRIX_PARTS:-.} ]] || return 0
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
	mkdir "$scratch/$name"
	parts="$parts $name"
	(
		cd "$scratch/$name" || exit 1
		SECONDS=0
		"$@"
		: >passed
		[ -z "$full" ] || echo "$name: $(cat count 2>/dev/null | wc -l) containers, $SECONDS s"
	) &
}

parts=
part luks1-hashes luks1_hashes sha1 sha256 sha512 ripemd160 whirlpool blake2b-512
part luks1-ciphers luks1_ciphers
part luks1-slots luks1_slots
part luks1-qemu luks1_qemu serpent-256 xts plain64
part luks2-ciphers luks2_ciphers
part luks2-rare luks2_rare
part luks2-keyslots keyslots
part luks2-in-progress in_progress
part luks2-detached detached
part luks2-edited edited
if [ "$full" ]; then
	part luks1-more-hashes luks1_hashes sha224 sha384 sha3-256 sha3-512 blake2s-256 sm3
	for c in twofish-128:cbc:essiv cast5-128:cbc:plain64 serpent-128:cbc:essiv \
		serpent-256:cbc:plain twofish-256:xts:plain twofish-256:cbc:plain64 \
		aes-128:xts:plain64 aes-256:cbc:essiv; do
		part "luks1-qemu-${c//:/-}" luks1_qemu ${c//:/ }
	done
	for c in aes-xts-plain64:256 aes-xts-plain64:512 aes-cbc-essiv:sha256:128 aes-cbc-plain64:256; do
		part "luks2-square-${c//:/-}" luks2_square "${c%:*}" "${c##*:}"
	done
	part luks2-kdfs luks2_kdfs sha1 sha256 sha384 sha512 ripemd160 whirlpool sha3-256 blake2s-256
fi
wait
for name in $parts; do
	[ -e "$scratch/$name/passed" ] || fail "part $name"
done
echo "$(cat "$scratch"/*/count | wc -l) containers"
