#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What bash completes, given the words as it cuts them: "=" stands alone.
. "${SRCDIR:-$(dirname "$0")/..}/tests/lib.sh"
mkdir "$scratch/bin"
ln -s "$FUSE4FS" "$scratch/bin/fuse4fs"
PATH=$scratch/bin:$PATH
compopt() { :; }
. "$srcdir_tests/../tools/completions/fuse4fs"

completes() { # REPLIES WORD...: these are the first of them, in order
	local want=$1 got
	shift
	COMP_WORDS=(fuse4fs "$@") COMP_CWORD=$# COMPREPLY=()
	_fuse4fs
	got=" ${COMPREPLY[*]} "
	[[ $got == " $want "* ]] || fail "'$*' becomes '${COMPREPLY[*]}', not '$want'"
}
has() { # REPLY WORD...
	local want=$1
	shift
	COMP_WORDS=(fuse4fs "$@") COMP_CWORD=$# COMPREPLY=()
	_fuse4fs
	[[ " ${COMPREPLY[*]} " == *" $want "* ]] || fail "'$*' does not become '$want': '${COMPREPLY[*]}'"
}
for flag in -f -d -s -v -r -w -o -u -l -h -V; do has "$flag" -; done
has --die-with-parent --d
has -o -o
completes noatime -o noat
completes ro,noatime --options ro,noat
completes "sandbox=" -o sand
completes "try no require" -o sandbox =
completes require -o ro,sandbox = r
completes 0,sandbox= -o uid = 0,sand
completes "" -o uid = 0 image
if [ -c /dev/fuse ] && [ "$(id -u)" = 0 ]; then
	img 8M -t ext4
	serve
	for words in "-u" "--status" "--status --json" "-u -l" "-l -u"; do
		# shellcheck disable=SC2086 # words
		completes "$mnt" $words "$mnt"
	done
	unserve
fi
exit 0
