# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the end-to-end tests share: a place to work in, the two programs under test started so that
# they need neither hugepages nor a NIC, network namespaces, telemetry, and the ledger. Sourced by
# each *_test.sh after `set -euo pipefail`. By hand, from the root of the project:
#
#     test/e2e/aws_capture_test.sh          with the programs in build/, or
#     MIRRORSINK=... MIRRORSOURCE=... test/e2e/aws_capture_test.sh
#
# KEEP=1 leaves the files of a run where they are. Exit status: 0, 1, or 77 if it cannot run here.

set -E # the ERR trap below also for what fails in a function

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${SOURCE_ROOT:-$(cd "$here/../.." && pwd)}
build=${BUILD_ROOT:-$root/build}
MIRRORSINK=${MIRRORSINK:-$build/app/mirrorsink/mirrorsink}
MIRRORSOURCE=${MIRRORSOURCE:-$build/app/mirrorsource/mirrorsource}
MIRRORCTL=${MIRRORCTL:-$build/app/mirrorctl/mirrorctl}
# shellcheck disable=SC2034 # used by the tests
captures=$(dirname "$root")/shared/captures
python=${PYTHON:-/usr/bin/python3}
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1

name=$(basename "$0" .sh)
work=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")
prefix=ms-$name-$$
started=() # processes to end
pages=0    # hugepages to give back
spaces=()  # network namespaces to remove
mounts=()  # file systems to unmount
in_space=() # what starts a program in a namespace: (ip netns exec NAME) or nothing

skip()
{
	echo "SKIP: $name: $*"
	exit 77
}

fail()
{
	echo "FAIL: $name: $*" >&2
	exit 1
}

finish()
{
	local status=$? pid space mount log

	trap - EXIT ERR
	set +e
	for pid in "${started[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	wait "${started[@]}" 2>/dev/null
	for space in "${spaces[@]}"; do
		ip netns del "$space" 2>/dev/null
	done
	if ((status != 0 && status != 77)); then
		# what the programs said last
		while IFS= read -r log; do
			echo "--- $(basename "$log"):"
			tail -n 25 "$log"
		done < <(find "$work" -maxdepth 1 -name '*.err' -size +0 -printf '%T@ %p\n' |
			sort -rn | head -n 2 | cut -d ' ' -f 2-) >&2
	fi
	((pages == 0)) || give_hugepages
	for mount in "${mounts[@]}"; do
		umount "$mount" 2>/dev/null
	done
	# where the EAL leaves its telemetry socket, for root and for others
	rm -rf {/run,/tmp,"${XDG_RUNTIME_DIR:-/tmp}"}/dpdk/"$prefix"-* 2>/dev/null
	if [[ -n ${KEEP:-} ]]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM
trap 'echo "FAIL: $name: line $LINENO: $BASH_COMMAND" >&2' ERR

need_command()
{
	local one

	for one in "$@"; do
		command -v "$one" >/dev/null || skip "no $one here"
	done
}

need_root()
{
	((EUID == 0)) || skip "needs root"
}

need_captures()
{
	[[ -d $captures/$1 ]] || skip "no captures at $captures/$1"
}

# Processors that this process may use.
mapfile -t cpus < <("$python" -c 'import os
print(*sorted(os.sched_getaffinity(0)), sep="\n")')
# Of two tests that run beside each other one has them the other way round: else the lcores of both
# that poll would be on the same one. The lock ends with this script and what it has started.
exec {turn}>"${TMPDIR:-/tmp}/mirrorsink-e2e.turn"
if ((${#cpus[@]} > 1)) && ! flock -n "$turn"; then
	cpus=("${cpus[1]}" "${cpus[0]}" "${cpus[@]:2}")
fi

# use_lcores N: what the programs run on from here on. The main lcore sleeps and shares a processor.
use_lcores()
{
	local n=$1 first=${cpus[0]} other=${cpus[1]:-${cpus[0]}} i map

	if ((n == 2)) && [[ ${cpus[*]:0:2} == "0 1" ]]; then
		lcores=(-l 0-1)
		return
	fi
	map="0@$first"
	for ((i = 1; i < n; i++)); do
		map+=",$i@$((n > 2 && i <= (n - 1) / 2 ? first : other))"
	done
	lcores=(--lcores "$map")
}
use_lcores 2

# use_other_lcores: two, for a program that polls beside one that has use_lcores 2.
use_other_lcores()
{
	lcores=(--lcores "0@${cpus[0]},1@${cpus[0]}")
}

# Neither hugepages nor a NIC. The EAL of DPDK 22.11 itself refuses the first two of these together;
# the programs take them.
memory=(--no-huge --in-memory --no-pci)

# hugepages MIB: so many more of them for this test alone; memory is from then on in them, shared by
# descriptor with whom the drivers connect to.
hugepages()
{
	local file=/proc/sys/vm/nr_hugepages had

	need_root
	[[ -w $file ]] || skip "no hugepages here"
	[[ $(sed -n 's/^Hugepagesize: *//p' /proc/meminfo) == "2048 kB" ]] ||
		skip "hugepages are not of 2 MiB here"
	had=$(<"$file")
	pages=$(($1 / 2))
	echo $((had + pages)) >"$file"
	if (($(<"$file") < had + pages)); then
		echo "$had" >"$file"
		pages=0
		skip "no $1 MiB of memory for hugepages"
	fi
	memory=(--in-memory --single-file-segments --no-pci -m $(($1 / 2)))
}

give_hugepages()
{
	echo $(($(</proc/sys/vm/nr_hugepages) - pages)) >/proc/sys/vm/nr_hugepages
}

# testpmd_start RUN [EAL arguments] -- [options]: DPDK's own forwarder, from port 0 to port 1 and
# back, in the background; sets pid. Returns when it forwards. Ends with `stop PID INT`.
testpmd_start()
{
	local run=$1 arguments=("${memory[@]}") in

	shift
	need_command dpdk-testpmd
	[[ ${memory[0]} != --no-huge ]] || arguments=(--no-huge --no-shconf --no-pci -m 256)
	# It would take the end of its standard input for the order to end; and without --no-flush-rx
	# it throws away what has come before it begins.
	mkfifo "$work/$run.in"
	exec {in}<>"$work/$run.in"
	"${in_space[@]}" stdbuf -oL dpdk-testpmd "${arguments[@]}" --file-prefix "$prefix-$run" \
		--lcores "0@${cpus[0]},1@${cpus[0]}" "$@" --forward-mode=io --no-flush-rx \
		--total-num-mbufs=8192 \
		<&"$in" >"$work/$run.out" 2>"$work/$run.err" &
	pid=$!
	started+=("$pid")
	exec {in}>&-
	wait_for 20 grep -qs 'Press enter to exit' "$work/$run.out" ||
		fail "testpmd is not ready after 20 seconds"
}

# program_line PROGRAM RUN [EAL arguments] -- [options]: sets line, the whole command.
program_line()
{
	local program=$1 run=$2

	shift 2
	line=("${in_space[@]}" "$program" "${memory[@]}"
		--file-prefix "$prefix-$run" "${lcores[@]}" "$@")
}

# sink RUN [EAL arguments] -- [options]: runs mirrorsink to its end. Output: $work/RUN.out, RUN.err.
sink()
{
	program_line "$MIRRORSINK" "$@"
	timeout -k 5 "${limit:-60}" "${line[@]}" >"$work/$1.out" 2>"$work/$1.err"
}

# source_run RUN [EAL arguments] -- [options]: the same for mirrorsource.
source_run()
{
	program_line "$MIRRORSOURCE" "$@"
	timeout -k 5 "${limit:-60}" "${line[@]}" >"$work/$1.out" 2>"$work/$1.err"
}

# sink_start RUN ...: the same in the background; sets pid. Returns when it receives.
sink_start()
{
	program_line "$MIRRORSINK" "$@"
	"${line[@]}" >"$work/$1.out" 2>"$work/$1.err" &
	pid=$!
	started+=("$pid")
	wait_for 20 ready "$1" || fail "mirrorsink is not ready after 20 seconds"
}

source_start()
{
	program_line "$MIRRORSOURCE" "$@"
	"${line[@]}" >"$work/$1.out" 2>"$work/$1.err" &
	pid=$!
	started+=("$pid")
}

ready()
{
	alive "$pid" || fail "mirrorsink ended while it started"
	telemetry "$1" /mirrorsink/ledger 2>/dev/null | grep -q '"received"'
}

alive()
{
	kill -0 "$1" 2>/dev/null
}

gone()
{
	! alive "$1"
}

# stop PID [SIGNAL]: sends it, waits for the end, and returns the exit status.
stop()
{
	local status=0

	kill -"${2:-TERM}" "$1"
	await "$1" || status=$?
	return "$status"
}

# await PID: waits until it ends by itself, and returns its exit status.
await()
{
	wait_for "${limit:-60}" gone_or_zombie "$1" || fail "process $1 does not end"
	wait "$1"
}

gone_or_zombie()
{
	gone "$1" || [[ $(ps -o stat= -p "$1") == Z* ]]
}

# wait_for SECONDS COMMAND...: until it succeeds. Returns 1 when the time is over.
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		((SECONDS <= end)) || return 1
		sleep 0.05
	done
}

# telemetry RUN COMMAND...: one line of JSON for each command.
telemetry()
{
	local run=$1

	shift
	printf '%s\n' "$@" | timeout 10 "$python" "$(command -v dpdk-telemetry.py)" -f "$prefix-$run"
}

# ctl RUN COMMAND...: mirrorctl, about the sink of that run.
ctl()
{
	local run=$1

	shift
	timeout 20 "$MIRRORCTL" -f "$prefix-$run" "$@"
}

# listener RUN [OPTIONS]: mirrorctl health in the background, where in_space says; sets pid.
listener()
{
	local run=$1

	shift
	"${in_space[@]}" "$MIRRORCTL" -f "$prefix-$run" health "$@" 2>>"$work/listener.err" &
	pid=$!
	started+=("$pid")
}

# freeze PID LCORE: stops an lcore's thread of a program until thaw.
freeze()
{
	mkfifo "$work/ice"
	"$python" "$here/freeze.py" "$@" <"$work/ice" >"$work/frozen" &
	freezer=$!
	started+=("$freezer")
	exec 8>"$work/ice"
	wait_for 5 grep -qs frozen "$work/frozen" || fail "lcore $2 does not freeze"
}

thaw()
{
	exec 8>&-
	wait "$freezer"
	rm "$work/ice" "$work/frozen"
}

# answers http|tcp ADDRESS PORT WANTED SECONDS: a load balancer's checks, until the answer is
# WANTED. Prints the answer and after how many milliseconds it came.
answers()
{
	"${in_space[@]}" "$python" "$here/poll.py" "$@"
}

judge()
{
	"$python" "$here/judge.py" "$@"
}

# check [ARGUMENTS]: a piece of Python on standard input, with judge and packets at hand.
check()
{
	"$python" - "$@"
}

# get SUMMARY PATH: one value of a summary, as fates.delivered or outputs.0.written.
get()
{
	judge get "$@"
}

assert_ledger()
{
	judge ledger "$1"
}

# assert_equal GOT WANT WHAT
assert_equal()
{
	[[ $1 == "$2" ]] || fail "$3: $1, expected $2"
}

# refuse PROGRAM ROW PATTERN... -- ARGUMENTS: wrong input, in a folder with an empty folder out/.
# PROGRAM, sink or source_run, has to end with status 2, its standard error to match all patterns
# (extended regular expressions), and an output that was there before, out/precious.pcapng, to stay
# the only one and what it was. refused_all ends the table of such rows.
rows=0 wrong_rows=0
refuse()
{
	local program=$1 row=$2 status=0 pattern patterns=() problem=""

	shift 2
	while [[ $1 != -- ]]; do
		patterns+=("$1")
		shift
	done
	shift
	rows=$((rows + 1))
	echo precious >out/precious.pcapng
	limit=20 "$program" row "$@" || status=$?
	((status == 2)) || problem+="status $status, expected 2; "
	for pattern in "${patterns[@]}"; do
		grep -Eq -e "$pattern" "$work/row.err" ||
			problem+="standard error does not say $pattern; "
	done
	grep -Eq '(Sanitizer|assert|Assertion|Segmentation)' "$work/row.err" &&
		problem+="it crashed; "
	[[ $(ls out) == precious.pcapng ]] || problem+="left behind: $(echo out/*); "
	[[ $(cat out/precious.pcapng) == precious ]] || problem+="a file was overwritten; "
	rm -rf out/*
	[[ -z $problem ]] && return
	wrong_rows=$((wrong_rows + 1))
	{
		echo "$row: $problem"
		sed 's/^/    /' "$work/row.err"
	} >&2
}

refused_all()
{
	echo "$rows wrong inputs"
	((wrong_rows == 0)) || fail "$wrong_rows of $rows are not refused as they should be"
}

# Port of the sink on b0. The ring is long enough that nothing is lost in the kernel while another
# process has the processor for a second.
# shellcheck disable=SC2034 # used by the tests
b0=--vdev=net_af_packet0,iface=b0,framecnt=8192

# wire: two namespaces joined by a veth pair of MTU 9000, and quiet: no IPv6, no addresses. $space_a
# has a0, $space_b has b0.
wire()
{
	local space one

	need_root
	need_command ip
	space_a=ms-$$-a
	space_b=ms-$$-b
	for space in "$space_a" "$space_b"; do
		ip netns add "$space" 2>/dev/null || skip "no network namespaces here"
		spaces+=("$space")
		for one in all default; do
			echo 1 | ip netns exec "$space" \
				tee "/proc/sys/net/ipv6/conf/$one/disable_ipv6" >/dev/null 2>&1 || true
		done
	done
	ip -n "$space_a" link add a0 mtu 9000 type veth peer name b0 mtu 9000 netns "$space_b" ||
		skip "no veth here"
	ip -n "$space_a" link set a0 address 02:00:00:00:00:01 up
	ip -n "$space_b" link set b0 address 02:00:00:00:00:02 up
	wait_for 5 carrier || fail "no carrier on the veth pair"
}

carrier()
{
	ip -n "$space_b" link show b0 | grep -q 'state UP' &&
		ip -n "$space_a" link show a0 | grep -q 'state UP'
}

# send_frames FILE RATE: sends the packets of a pcap from a0, so many a second.
send_frames()
{
	ip netns exec "$space_a" "$python" "$here/send.py" a0 "$@"
}
