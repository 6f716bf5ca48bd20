#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Documents and tables agree; see lint_docs.py.
cd "${SRCDIR:-$(dirname "$0")/..}" && exec python3 tests/lint_docs.py
