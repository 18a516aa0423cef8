#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures mirrorsink against its peers: scripts/bench.sh [--quick] [SUITE|ROW...]
#
# A suite is a file scripts/bench/suite_NAME.py, whose head says what its rows are; a ROW is one of
# them, or the beginning of several up to a dot, such as sniff.rtc. Without arguments all run. They print
# one Markdown table and write build/bench/results.json. Ours and the baseline run in turns, ROUNDS
# times each (default 9), SECONDS_EACH seconds long (default 2), and the median of the ratios is the
# figure: so a noisy machine disturbs both alike. Where both are there at once, turns are of 50 ms. A
# round of all rows follows the other, so each row sees what the machine does over the whole time.
#
#     --quick    one round of one second and small sizes: whether all rows can be measured, in less
#                than two minutes once it is built. Says nothing about speed
#     --list     print the suites and their rows
#     --docs     measure nothing: put the last results into docs/performance.md and draw
#                docs/performance.svg
#     --same FILE  measure nothing: whether the last ratios and those of FILE, a results.json kept
#                from another run, differ by less than 10 %
#     --help     print this
#
# MARCH says for which processor ours is compiled (default native). Root, so that there are huge
# pages: some are set aside for as long as this runs. Exit status: 0 if every row was measured,
# whatever it came to; 1 if one was not; 2 if the command line is wrong.
set -euo pipefail
here=$PWD
. "$(dirname "$0")/common.sh"

# usage MESSAGE: what is wrong with the command line.
usage() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 2
}

quick='' docs='' same='' words=()
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		sed -n '4,/^set/{/^set/d; s/^# \{0,1\}//p;}' "scripts/${0##*/}"
		exit
		;;
	--list) exec python3 scripts/bench/run.py --list ;;
	--quick) quick=1 ;;
	--docs) docs=1 ;;
	--same)
		[ $# -gt 1 ] || usage "--same needs the name of a file"
		[[ $2 == /* ]] && same=$2 || same=$here/$2
		shift
		;;
	-*) usage "$1 is no option; there are --quick, --list, --docs, --same and --help" ;;
	*) words+=("$1") ;;
	esac
	shift
done
for variable in ROUNDS SECONDS_EACH; do
	[[ ${!variable:-1} =~ ^[1-9][0-9]{0,3}$ ]] ||
		usage "$variable is ${!variable}, and has to be a whole number from 1 to 9999"
done
if [ -n "$docs" ]; then
	[ -z "$quick$same${words[*]}" ] || usage "--docs stands alone"
	exec python3 scripts/bench/docs.py build/bench/results.json docs
fi
if [ -n "$same" ]; then
	[ -z "$quick${words[*]}" ] || usage "--same stands alone"
	exec python3 scripts/bench/same.py build/bench/results.json "$same"
fi
command -v python3 >/dev/null || scripts/setup.sh bench
python3 scripts/bench/run.py --check "${words[@]}"
if [ -n "$quick" ]; then
	export QUICK=1 ROUNDS=${ROUNDS:-1} SECONDS_EACH=${SECONDS_EACH:-1}
fi

scripts/setup.sh bench
out=$PWD/build/bench
mkdir -p "$out/traces"
configure build/bench/build -Dbuildtype=release -Doptimization=3 -Dtests=disabled -Dbench=true \
	-Dmarch="${MARCH:-native}"
quietly ninja -C build/bench/build
quietly python3 scripts/bench/traces.py "$out/traces"

pages=/proc/sys/vm/nr_hugepages
had=$(cat "$pages")
wanted=768 # of 2 MiB, for two programs at once
if [ "$had" -lt "$wanted" ] && echo "$wanted" 2>/dev/null >"$pages"; then
	trap 'echo "$had" >"$pages"' EXIT
	trap 'exit 1' INT TERM
fi
if ! grep -qs hugetlbfs /proc/mounts; then
	mkdir -p /dev/hugepages
	mount -t hugetlbfs none /dev/hugepages 2>/dev/null || true
fi
python3 scripts/bench/run.py "$out" "${words[@]}"
