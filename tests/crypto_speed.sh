#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The sector device reaches 0.85 of libgcrypt's own speed, per thread; see bench_crypto.c. A machine
# with other work to do gets three attempts.
bench=${BUILDDIR:-${top_builddir:-.}}/tests/bench_crypto
[ -x "$bench" ] || { echo "no $bench"; exit 1; }
for _ in 1 2 3; do
	BENCH_CRYPTO_MIN=0.85 "$bench" && exit 0
done
exit 1
