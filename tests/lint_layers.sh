#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The layer table of ARCHITECTURE.md holds: every source file is in one layer, includes
# only headers of its own layer or of layers it may use, and foreign headers stay in
# the layers that own them.
set -eu
cd "${SRCDIR:-$(dirname "$0")/..}"
exec python3 tests/lint_layers.py
