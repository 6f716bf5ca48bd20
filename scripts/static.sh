#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Static checks, all of which must find nothing: the layer table, warnings of two compilers,
# clang's thread-safety analysis, clang-tidy, cppcheck. About two minutes on two cores.
#
#   scripts/static.sh [FILE.c ...]      default: every source; of tests only the warnings
set -eu
cd "$(dirname "$0")/.."

read -ra libs <<<"$(pkg-config --cflags fuse3 ext2fs blkid uuid json-c libssh cmocka)"
flags=(-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -Ifuse4fs -Itransport -Itests
	'-DPACKAGE_VERSION="0"' '-DPACKAGE_SYSCONFDIR="/etc"' "${libs[@]}")
# The ones of configure.ac.
warnings=(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
	-Wvla -Wwrite-strings -Wno-unused-parameter -Werror)
shopt -s nullglob
sources=(transport/*.c crypto/*.c fuse4fs/*.c)
tests=(tests/*.c)
if [ $# -gt 0 ]; then
	sources=("$@")
	tests=()
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
status=0

# each NAME COMMAND... - runs COMMAND, with {} replaced by the file, for every file of standard
# input, in parallel, and prints what those that failed have said.
each()
{
	# shellcheck disable=SC2016 # for the inner shell
	xargs -P "$(nproc)" -I '{}' bash -c '
		log=$1/$2.$(basename "$3")
		"${@:4}" >"$log" 2>&1 || { echo "== $2: $3"; cat "$log"; exit 1; }
	' bash "$logs" "$1" '{}' "${@:2}"
}

bash tests/lint_layers.sh || status=1
printf '%s\n' "${sources[@]}" "${tests[@]}" |
	each gcc gcc "${flags[@]}" "${warnings[@]}" -O2 -c -o /dev/null '{}' || status=1
printf '%s\n' "${tests[@]}" |
	each clang clang "${flags[@]}" "${warnings[@]}" -fsyntax-only '{}' || status=1
printf '%s\n' "${sources[@]}" |
	each clang clang "${flags[@]}" "${warnings[@]}" -Wthread-safety -fsyntax-only '{}' || status=1
printf '%s\n' "${sources[@]}" |
	each tidy clang-tidy --quiet --warnings-as-errors='*' '{}' -- "${flags[@]}" || status=1
# readdirCalled: readdir(3) is safe on a stream of one's own, and readdir_r is obsolete.
cppcheck --quiet -j "$(nproc)" --error-exitcode=1 --enable=warning,performance,portability \
	--inline-suppr --suppress=missingIncludeSystem --suppress=readdirCalled \
	--library=scripts/cppcheck.cfg \
	--library=posix --std=c11 -D_GNU_SOURCE -I. -Ifuse4fs -Itransport "${sources[@]}" || status=1
exit $status
