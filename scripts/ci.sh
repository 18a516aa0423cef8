#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The checks beside the tests, each of which also runs by hand: scripts/ci.sh [JOB...]
#
#   gcc, clang    release builds without a warning
#   sanitize      all tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan          the tests of the suite `tsan` under ThreadSanitizer
#   hotpath       what may stand in *_burst.c and *_lookup.h (check-hotpath.sh)
#   format        clang-format
#   tidy          clang-tidy
#   codespell     spelling, everywhere
#   man           the manual pages render without a complaint
#   names         nothing in the tree depends on where somebody keeps it
#   bench         every benchmark runs (scripts/bench.sh --quick), whatever it comes to
#   fresh         scripts/demo.sh in a Debian 12 that has nothing installed (ci-fresh.sh)
#
# and `shellcheck`, over every shell script.
#
# Without arguments all of them run, in this order; one that fails stops none of the others. The
# last line, `N passed, N failed`, counts the jobs and the tests that ran in them.
set -euo pipefail
. "$(dirname "$0")/common.sh"

all=(gcc clang sanitize tsan hotpath format tidy shellcheck codespell man names bench fresh)

# Files of the tree by name, those not committed yet included.
files() {
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		if [ -f "$file" ]; then
			echo "$file"
		fi
	done
}

job_gcc() {
	CC=gcc configure build/gcc -Dbuildtype=release -Dwerror=true -Dtests=enabled
	ninja --quiet -C build/gcc
}

configure_clang() {
	CC=clang configure build/clang -Dbuildtype=release -Dwerror=true -Dtests=enabled -Dfuzz=true \
		-Dstage_cycles=true
}

job_clang() {
	configure_clang
	ninja --quiet -C build/clang
	run_tests build/clang stages
}

job_sanitize() {
	configure build/sanitize -Dbuildtype=debugoptimized -Db_ndebug=false -Dtests=enabled \
		-Db_sanitize=address,undefined
	ninja --quiet -C build/sanitize
	export ASAN_OPTIONS=halt_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export LSAN_OPTIONS=suppressions=$PWD/test/lsan.supp:print_suppressions=0
	# each start of a program takes long under them
	export CONFIGS=20 SESSIONS=2000
	run_tests build/sanitize --timeout-multiplier 4
}

job_tsan() {
	configure build/tsan -Dbuildtype=debugoptimized -Db_ndebug=false -Dtests=enabled \
		-Db_sanitize=thread
	if [ "$(meson test -C build/tsan --list --suite tsan 2>/dev/null | wc -l)" = 0 ]; then
		echo "no test is in the suite tsan"
		return 1
	fi
	ninja --quiet -C build/tsan
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	# ThreadSanitizer of gcc 12 cannot place its shadow where addresses are random in 32 bits.
	if setarch --addr-no-randomize true 2>/dev/null; then
		run_tests build/tsan --suite tsan --timeout-multiplier 4 \
			--wrapper 'setarch --addr-no-randomize'
	else
		run_tests build/tsan --suite tsan --timeout-multiplier 4
	fi
}

job_hotpath() {
	local bad=build/ci/hotpath what
	job_gcc
	scripts/check-hotpath.sh build/gcc

	# A check that overlooks any of these checks nothing.
	mkdir -p "$bad/bad.p"
	cat >"$bad/bad_burst.c" <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		int quotient(int a, int b) { return a / b; }
		void *memory(size_t n) { return malloc(n); }
		void stack(int n, void (*use)(char *)) { char a[n]; use(a); }
		void message(int n) { printf("%d", n); }
		ssize_t kernel(int fd) { return write(fd, "", 1); }
		int lock(pthread_mutex_t *m) { return pthread_mutex_lock(m); }
	END
	gcc -O3 -c "$bad/bad_burst.c" -o "$bad/bad.p/bad_burst.c.o"
	scripts/check-hotpath.sh "$bad" "$bad/bad_burst.c" >"$bad/findings" || true
	for what in 'calls malloc' 'calls printf' 'calls write' 'calls pthread_mutex_lock' \
		'divides' 'needs malloc' 'needs printf' 'needs write' 'needs pthread_mutex_lock' \
		'division in quotient' 'stack in stack'; do
		grep -q "$what" "$bad/findings" || die "check-hotpath.sh overlooks: $what"
	done
}

job_format() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

job_tidy() {
	local status=0
	configure_clang
	run-clang-tidy -quiet -j "$(nproc)" -p build/clang "^$PWD/(lib|app)/" \
		>build/ci/tidy.all 2>&1 || status=$?
	# Between command lines, colours and counts of what was suppressed, once for each file that
	# includes the place.
	sed 's/\x1b\[[0-9;]*m//g' build/ci/tidy.all | grep -E '(error|warning): ' | sort -u || true
	return "$status"
}

job_shellcheck() {
	local scripts
	# By their first line too: a script need not be called *.sh.
	mapfile -t scripts < <({
		files '*.sh'
		files | xargs awk '/^#!.*sh/ {print FILENAME} {nextfile}'
	} | sort -u)
	shellcheck "${scripts[@]}"
	echo "${#scripts[@]} scripts"
}

job_codespell() {
	files | xargs codespell
}

job_man() {
	local pages page
	job_gcc
	mapfile -t pages < <(files 'docs/*.[1-9]' && find build/gcc/docs -name '*.[1-9]')
	if [ ${#pages[@]} = 0 ]; then
		echo "there is no manual page"
		return 1
	fi
	mandoc -T lint -W warning "${pages[@]}"
	for page in "${pages[@]}"; do
		# What groff has to say comes on standard error and leaves its status 0.
		if [ -n "$(groff -ww -b -mandoc -T utf8 -z "$page" 2>&1 | tee /dev/stderr)" ]; then
			return 1
		fi
	done
	echo "${#pages[@]} pages"
}

job_names() {
	# The bracketed letters keep the pattern from finding itself.
	if git grep --untracked -nIE '/(wor[k]|hom[e]|Use[r]s|far[m])/[a-z]|/tm[p]/build'; then
		return 1
	fi
}

job_bench() {
	scripts/bench.sh --quick
	python3 scripts/bench/graph.py build/bench/results.json build/ci/performance.svg
	python3 -c 'import sys, xml.dom.minidom as xml; xml.parse(sys.argv[1])' build/ci/performance.svg
}

job_fresh() {
	scripts/ci-fresh.sh
}

# One job, in a process of its own: what it exports, and its errexit, concern nobody else.
if [ "${1:-}" = --job ]; then
	"job_$2"
	exit
fi

jobs=("$@")
[ ${#jobs[@]} -gt 0 ] || jobs=("${all[@]}")
for job in "${jobs[@]}"; do
	declare -F "job_$job" >/dev/null || die "no job $job; there are: ${all[*]}"
done
scripts/setup.sh ci
mkdir -p build/ci

# Runs a job; its log is build/ci/JOB.log.
run_job() {
	timeout --kill-after=30 1800 "${@:2}" bash "$0" --job "$1" </dev/null >"build/ci/$1.log" 2>&1
}

# Jobs that need nothing but a processor run beside the tests of sanitize, which leave half of one
# idle, with what these leave: at SCHED_IDLE the kernel takes it back at once.
declare -A beside=()
begin_beside() {
	local job
	for job in tidy shellcheck; do
		if [[ " ${jobs[*]} " == *" $job "* ]]; then
			run_job "$job" chrt --idle 0 &
			beside[$job]=$!
		fi
	done
}
trap 'kill "${beside[@]}" 2>/dev/null || true' EXIT

passed=0 failed=0
for job in "${jobs[@]}"; do
	say "== $job"
	started=$SECONDS status=0
	if [ "$job" = sanitize ]; then
		begin_beside
	fi
	if [ -n "${beside[$job]:-}" ]; then
		wait "${beside[$job]}" || status=$?
		unset "beside[$job]"
	else
		run_job "$job" || status=$?
	fi
	tests=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "build/ci/$job.log" | tail -n 1 || true)
	if [ -n "$tests" ]; then
		read -r ok _ bad _ <<<"$tests"
		passed=$((passed + ok)) failed=$((failed + bad))
	fi
	if [ "$status" = 0 ]; then
		passed=$((passed + 1))
		echo "${green}$job: passed${plain} in $((SECONDS - started)) s${tests:+: $tests}"
	else
		failed=$((failed + 1))
		tail -n 100 "build/ci/$job.log"
		echo "${red}$job: failed${plain} (status $status; all of it: build/ci/$job.log)"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
