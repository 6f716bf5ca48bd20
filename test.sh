#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs what the tests need, builds in ./build-test, runs all tests in parallel, and
# ends with one line: N passed, N failed, N skipped.
set -eu
cd "$(dirname "$0")"
. scripts/common.sh

install_packages $BUILD_PACKAGES $TEST_PACKAGES
build_tree build-test
run_suite build-test
