#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Static checks, all of which must find nothing: clang's thread-safety analysis,
# clang-tidy, cppcheck, the layer table.
set -eu
cd "$(dirname "$0")/.."

flags="-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -Ifuse4fs -Itransport
	-DPACKAGE_VERSION=\"0\" -DPACKAGE_SYSCONFDIR=\"/etc\"
	$(pkg-config --cflags fuse3 ext2fs blkid uuid json-c)"
sources="transport/*.c fuse4fs/*.c"
status=0

tests/lint_layers.sh || status=1
for f in $sources; do
	# shellcheck disable=SC2086
	clang $flags -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Wthread-safety \
		-Werror "$f" || status=1
done
# shellcheck disable=SC2086
printf '%s\n' $sources | xargs -P "$(nproc)" -n 4 sh -c '
	flags=$1; shift
	for f; do clang-tidy --quiet --warnings-as-errors="*" "$f" -- $flags 2>/dev/null || exit 1; done
' sh "$flags" || status=1
# shellcheck disable=SC2086
cppcheck --quiet -j "$(nproc)" --error-exitcode=1 --enable=warning,performance,portability \
	--inline-suppr --suppress=missingIncludeSystem --library=posix --std=c11 \
	-D_GNU_SOURCE -I. -Ifuse4fs -Itransport $sources || status=1
exit $status
