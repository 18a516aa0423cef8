#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures mirrorsink against its peers: scripts/bench.sh [SUITE...]
#
# A suite is a file scripts/bench/suite_NAME.py, whose head says what its rows are; without arguments
# all of them run. They print one Markdown table and write build/bench/results.json. Ours and the
# baseline run in turns, ROUNDS times each (default 5), SECONDS_EACH seconds long (default 4), and the
# median of the ratios is the figure: so a noisy machine disturbs both alike.
#
# MARCH says for which processor ours is compiled (default native). Root, so that there are huge
# pages: some are set aside for as long as this runs.
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh bench
out=$PWD/build/bench
mkdir -p "$out/traces"
configure build/bench/build -Dbuildtype=release -Doptimization=3 -Dtests=disabled \
	-Dmarch="${MARCH:-native}"
quietly ninja -C build/bench/build
quietly python3 scripts/bench/traces.py "$out/traces"

pages=/proc/sys/vm/nr_hugepages
had=$(cat "$pages")
wanted=768
if [ "$had" -lt "$wanted" ] && echo "$wanted" 2>/dev/null >"$pages"; then
	trap 'echo "$had" >"$pages"' EXIT
	trap 'exit 1' INT TERM
fi
if ! grep -qs hugetlbfs /proc/mounts; then
	mkdir -p /dev/hugepages
	mount -t hugetlbfs none /dev/hugepages 2>/dev/null || true
fi
python3 scripts/bench/run.py "$out" "$@"
