# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the scripts of this folder share; sourced by them, never run. Whoever sources it stands in
# the project's root from then on, so that every path in these scripts is relative to it.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Colours for people only: a log file gets plain text.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' plain=''
fi
export bold dim green red plain

say() {
	printf '%s\n' "${bold}$*${plain}"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Runs a command and shows its output only if it fails.
quietly() {
	local log
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		rm -f "$log"
	else
		cat "$log" >&2
		rm -f "$log"
		die "failed: $*"
	fi
}

# configure DIR [MESON OPTION...]: a build directory with these options, new or not.
configure() {
	local dir=$1 again=()
	shift
	if [ -f "$dir/build.ninja" ]; then
		again=(--reconfigure)
	fi
	quietly meson setup "${again[@]}" "$dir" "$@"
}

# run_tests DIR [MESON TEST ARGUMENT...]: runs tests that are built, prints the logs of those that
# failed, names those that were skipped, and ends with the line `N passed, N failed, N skipped`.
# Fails if a test failed or none ran.
run_tests() {
	local dir=$1 status=0
	shift
	rm -f "$dir"/meson-logs/testlog*.json
	meson test -C "$dir" --no-rebuild --print-errorlogs "$@" || status=$?
	python3 scripts/test-summary.py "$dir"/meson-logs/testlog*.json || status=1
	return "$status"
}
