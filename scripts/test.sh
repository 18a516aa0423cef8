#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs what the tests need, builds, and runs all tests: scripts/test.sh [MESON TEST ARGUMENT...]
#
# For instance `scripts/test.sh --suite unit`, or `scripts/test.sh decap` for one test. The last
# line is `N passed, N failed, N skipped`; the exit status is 0 only if none failed and one ran.
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh test
configure build/test -Dbuildtype=debugoptimized -Dwerror=true -Db_ndebug=false -Dtests=enabled
ninja --quiet -C build/test
run_tests build/test "$@"
