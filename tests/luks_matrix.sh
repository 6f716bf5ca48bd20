#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# LUKS containers of other programs, and ours read by them: cryptsetup and qemu-img make the
# containers; qemu-img (LUKS1), cryptsetup's offline reencryption (LUKS2) and a second
# implementation of sectors judge the data. LUKS_MATRIX=full runs every combination.
. "$(dirname "$0")/lib.sh"
need cryptsetup qemu-img python3
cd "$scratch" || exit 1
tool=${BUILDDIR:-${top_builddir:-.}}/tests/tool_luks
[ -x "$tool" ] || fail "no $tool"
full=${LUKS_MATRIX:-}
pass='correct horse'
fast='--pbkdf-force-iterations 1000'
argon='--pbkdf-force-iterations 4 --pbkdf-memory 512 --pbkdf-parallel 2'
data=$scratch/data little=$scratch/little
head -c 20M /dev/urandom >"$data"
head -c 2M "$data" >"$little"
count=0

# format IMG SIZE ARGS: a container by cryptsetup. [pass]
format() {
	f=$1
	rm -f "$f"
	truncate -s "$2" "$f"
	shift 2
	printf %s "$pass" | timeout -k 5 60 cryptsetup luksFormat -q --key-file - "$@" "$f" 2>err ||
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
	count=$((count + 1))
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
	qemu-img convert --object secret,id=s,file=secret --image-opts \
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

luks1_of_cryptsetup() {
	hashes='sha1 sha256 sha512 ripemd160 whirlpool blake2b-512'
	[ -z "$full" ] || hashes="$hashes sha224 sha384 sha3-256 sha3-512 blake2s-256 sm3"
	for h in $hashes; do
		format l1 3M --type luks1 --hash "$h" $fast
		fill l1
		rejects l1
		# Those that qemu-img has no name for are judged by cryptsetup having made the key.
		case $h in sha*-* | blake* | whirlpool | sm3) ;; *) judge1 l1 ;; esac
	done
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
		qemu-img convert --object secret,id=s,file=secret -f raw -O luks -o \
			"key-secret=s,iter-time=60,cipher-alg=$2,cipher-mode=$3,$iv" "$little" "$1" \
			2>"$1.err" && return
		grep -q 'accurate CPU usage' "$1.err" || break
	done
	rm -f "$1"
}

qemu_list='serpent-256:xts:plain64'
[ -z "$full" ] || qemu_list="$qemu_list twofish-128:cbc:essiv cast5-128:cbc:plain64 serpent-128:cbc:essiv serpent-256:cbc:plain twofish-256:xts:plain
	twofish-256:cbc:plain64 aes-128:xts:plain64 aes-256:cbc:essiv"

# In the background: they take seconds each.
start_qemu() {
	printf %s "$pass" >secret
	for c in $qemu_list; do
		IFS=: read -r alg mode iv <<<"$c"
		qemu_luks "q-${c//:/-}" "$alg" "$mode" "$iv"
	done &
	qemu_job=$!
}

luks1_of_qemu() {
	wait "$qemu_job"
	for c in $qemu_list; do
		mv "q-${c//:/-}" q || fail "qemu-img $c: $(cat "q-${c//:/-}.err")"
		"$tool" read q "$pass" | cmp - "$little" || fail "$c of qemu-img"
		rejects q
		tail -c 2M "$data" >plain
		"$tool" write q "$pass" <plain || fail "write $c"
		judge1 q
		count=$((count + 1))
	done
}

luks2_of_cryptsetup() {
	while read -r cipher bits sector kdf slot extra; do
		cost=$argon
		[ "$kdf" != pbkdf2 ] || cost=$fast
		# shellcheck disable=SC2086
		format l2 20M --type luks2 --cipher "$cipher" --key-size "$bits" --sector-size "$sector" \
			--pbkdf "$kdf" --key-slot "$slot" $cost $extra
		fill l2
		rejects l2
		judge2 l2
	done <<-END
		aes-xts-plain64 512 512 argon2id 0
		aes-xts-plain64 256 4096 argon2i 31
		aes-xts-plain 512 1024 pbkdf2 5 --hash sha512
		aes-cbc-essiv:sha256 256 2048 argon2id 1
		aes-cbc-plain64 192 512 argon2id 2 --luks2-metadata-size 64k --luks2-keyslots-size 512k
		aes-cbc-plain 128 4096 pbkdf2 0 --hash blake2b-512 --luks2-metadata-size 4m
		aes-xts-essiv:sha256 512 512 argon2id 0
		aes-xts-plain64be 512 4096 argon2id 0
		aes-cbc-benbi 256 512 argon2id 0
	END
	format l2 20M --type luks2 $argon --offset 34816 --luks2-keyslots-size 1m
	fill l2
	judge2 l2
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

start_qemu
luks1_of_cryptsetup
luks2_of_cryptsetup
keyslots
in_progress
detached
edited
luks1_of_qemu
echo "$count containers"
