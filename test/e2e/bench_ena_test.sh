#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                                      namespace b
#     +---------------------------------+              +-------------------------------+
#     | bench-ena.sh source --------- a0 -|--- veth ---|- b0 --------- bench-ena.sh sink |
#     +---------------------------------+              +-------------------------------+
#                     \                                     /
#                      +-----> bench-ena.sh compare <------+
#
# scripts/bench-ena.sh, which is for two instances with ENA, on a veth pair.
#
# Succeeds if
#  - both ends tell, and compare confirms, that all packets of a paced run arrived, and the sink's
#    table has lines in which packets are received;
#  - compare says that packets are missing, and that it was not the sink, if the sink began late;
#  - what is interrupted ends with its ledger told and status 0;
#  - a wrong command line is refused with status 2, and no program is started.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
export MIRRORSINK MIRRORSOURCE MIRRORCTL
ena=$root/scripts/bench-ena.sh
check "$work/in.pcap" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(6), 500)
judge.write_pcap(sys.argv[1], [(1_700_000_000 * judge.NS + i, f) for i, f in enumerate(frames)])
END

# The sink's side in the background; sets sink_pid. Returns when it receives.
sink_begin()
{
	ip netns exec "$space_b" taskset -c "${cpus[0]},${cpus[1]:-${cpus[0]}}" "$ena" sink \
		net_af_packet0,iface=b0,framecnt=8192 --seconds 60 --summary "$work/sink.json" \
		>"$work/sink.out" 2>"$work/sink.err" &
	sink_pid=$!
	started+=("$sink_pid")
	wait_for 20 grep -qs 'rx lcores' "$work/sink.err" || fail "the sink does not start"
}

sink_end()
{
	stop "$sink_pid" TERM || fail "bench-ena.sh sink ends with status $?"
	assert_ledger "$work/sink.json"
}

# source_begin OPTION...: the other side; sets source_pid.
source_begin()
{
	ip netns exec "$space_a" taskset -c "${cpus[0]}" "$ena" source net_af_packet0,iface=a0 \
		10.9.0.1 10.9.0.2 02:00:00:00:00:02 --frames "$work/in.pcap" --rate 2000pps \
		--summary "$work/source.json" "$@" >"$work/source.out" 2>"$work/source.err" &
	source_pid=$!
	started+=("$source_pid")
}

# Whether packets have come to b0 since the sink has ended.
arrives()
{
	(($(ip netns exec "$space_b" cat /sys/class/net/b0/statistics/rx_packets) > sent + 1000))
}

compare()
{
	"$ena" compare "$work/sink.json" "$work/source.json" | tee "$work/compare.out"
}

sink_begin
source_begin --seconds 3
await "$source_pid" || fail "bench-ena.sh source ends with status $?"
sleep 1.5
sink_end
sent=$(get "$work/source.json" sent.packets)
((sent > 3000)) || fail "only $sent packets were sent"
assert_equal "$(get "$work/sink.json" fates.delivered)" "$sent" "packets delivered"
compare
grep -q 'Nothing was lost' "$work/compare.out" || fail "compare sees a loss"
grep -Eq "^received +${sent:0:-3},${sent: -3} " "$work/sink.out" ||
	fail "the sink does not tell what it received: $(cat "$work/sink.out")"
awk '$1 ~ /^[0-9]+$/ && gsub(",", "", $2) && $2 > 1000 {n++} END {exit n < 2}' "$work/sink.out" ||
	fail "no lines a second: $(cat "$work/sink.out")"

# Without an end of its own, into a sink that is late; both are interrupted.
source_begin --seconds 60
wait_for 20 arrives || fail "the source does not send"
sink_begin
sleep 1
stop "$source_pid" TERM || fail "bench-ena.sh source, interrupted, ends with status $?"
sleep 0.5
sink_end
compare
grep -q 'Not the sink' "$work/compare.out" || fail "compare does not see what was missed"

# wrong PATTERN ARGUMENT...
wrong()
{
	local pattern=$1 status=0

	shift
	"$ena" "$@" >"$work/wrong.out" 2>"$work/wrong.err" || status=$?
	assert_equal "$status" 2 "status of bench-ena.sh $*"
	grep -q -e "$pattern" "$work/wrong.err" || fail "bench-ena.sh $*: $(cat "$work/wrong.err")"
}

wrong 'say sink, source or compare'
wrong 'none of' sinks net_tap0
wrong 'one PORT' sink
wrong 'no PCI address' sink eth0
wrong 'for the source' sink net_tap0 --rate 5
wrong 'for the sink' source net_tap0 10.9.0.1 10.9.0.2 --workers 1
wrong 'source takes' source net_tap0 10.9.0.1
wrong 'needs a value' sink net_tap0 --seconds
wrong 'from 1 to 99999' sink net_tap0 --seconds 1s
wrong 'no option' sink net_tap0 --second 1
wrong 'cannot be read' source net_tap0 10.9.0.1 10.9.0.2 --frames "$work/none.pcap"
wrong 'No such file' compare "$work/none.json" "$work/source.json"
wrong 'no summary' compare "$work/source.json" "$work/sink.json"
