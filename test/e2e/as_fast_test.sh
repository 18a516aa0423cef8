#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap --> mirrorsource --as-fast --loop 3 --> net_pcap  --> out.pcap
#                                                 \-> net_null
#
# Succeeds if
#  - packets that are sent without a copy are those that --loop 3 sends, byte for byte, three times,
#    with GENEVE over IPv6 too, where headers have a segment of their own, and with documents, by
#    which two sessions share the frames;
#  - so it is when it ends by a number of packets in the midst of a round;
#  - nothing is lost and the ledger balances, also when time ends what would go on for ever;
#  - what cannot be done together ends with status 2 and a message that names it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work/in.pcap" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(1), 1000)
judge.write_pcap(sys.argv[1], list(enumerate(frames)))
END

input=--vdev=net_pcap0,rx_pcap=$work/in.pcap

# both RUN PACKETS [OPTIONS]: with and without copies to a file by net_pcap.
both()
{
	local run=$1 packets=$2 how without

	shift 2
	for how in loop fast; do
		without=()
		[[ $how == loop ]] || without=(--as-fast)
		source_run "$run-$how" "$input" "--vdev=net_pcap1,tx_pcap=$work/$run-$how.pcap" -- \
			-t net_pcap1 --loop 3 --source-mac 02:00:00:00:00:01 --mtu 1600 \
			--summary "$work/$run-$how.json" \
			"$@" "${without[@]}"
	done
	check "$work" "$run" "$packets" <<'END'
import sys
import judge

work, run, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
loop, fast = ([one.data for one in judge.read(f"{work}/{run}-{how}.pcap").packets]
              for how in ("loop", "fast"))
judge.demand(len(loop) == count, "%s: %d packets, expected %d", run, len(loop), count)
judge.demand(loop[:1000] == loop[1000:2000], "%s: the second round differs", run)
judge.compare(fast, loop, run)
if run == "documents":
    sessions = judge.load(f"{work}/{run}-fast.json")["sessions"]
    judge.demand(len(sessions) == 2 and all(s["packets"] for s in sessions), "%r", sessions)
for how in ("loop", "fast"):
    summary = judge.load(f"{work}/{run}-{how}.json")
    judge.demand(summary["balanced"] is True, "%r", summary)
    judge.demand(summary["packets"]["sent"] == summary["received"]["packets"] == count, "%r",
                 summary)
END
}
both plain 3000
both geneve 3000 --geneve --target-address 2001:db8::2
both some 2345 -a packets:2345
cat >"$work/documents.json" <<'END'
{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
  "PrivateIpAddress": "10.1.0.10"}],
 "TrafficMirrorFilters": [
  {"TrafficMirrorFilterId": "tmf-tcp",
   "IngressFilterRules": [{"RuleNumber": 1, "RuleAction": "accept", "Protocol": 6}],
   "EgressFilterRules": [{"RuleNumber": 1, "RuleAction": "accept", "Protocol": 6}]},
  {"TrafficMirrorFilterId": "tmf-all",
   "IngressFilterRules": [{"RuleNumber": 1, "RuleAction": "accept"}],
   "EgressFilterRules": [{"RuleNumber": 1, "RuleAction": "accept"}]}],
 "TrafficMirrorSessions": [
  {"TrafficMirrorSessionId": "tms-tcp", "NetworkInterfaceId": "eni-1", "SessionNumber": 1,
   "TrafficMirrorFilterId": "tmf-tcp", "VirtualNetworkId": 1, "PacketLength": 60},
  {"TrafficMirrorSessionId": "tms-all", "NetworkInterfaceId": "eni-1", "SessionNumber": 2,
   "TrafficMirrorFilterId": "tmf-all", "VirtualNetworkId": 2}]}
END
both documents 3000 -c "$work/documents.json" --target-address 10.8.0.1

source_run ever "$input" --vdev=net_null0,copy=0 -- -t net_null0 --as-fast -a duration:2 \
	--summary "$work/ever.json"
assert_equal "$(get "$work/ever.json" balanced)" true "balanced"
sent=$(get "$work/ever.json" packets.sent)
((sent > 100000)) || fail "$sent packets in two seconds"

# refused MESSAGE ARGUMENTS -- OPTIONS...: status 2, and standard error says it.
refused()
{
	local status=0 message=$1

	shift
	source_run refused "$input" "$@" || status=$?
	assert_equal "$status" 2 "status with $*"
	grep -Eq -e "$message" "$work/refused.err" || fail "$*: $(cat "$work/refused.err")"
}
null=--vdev=net_null0,copy=0
refused 'as-fast.*--rate' "$null" -- -t net_null0 --as-fast --rate 10
refused 'as-fast.*--fault' "$null" -- -t net_null0 --as-fast --fault loss:1%
refused 'as-fast.*--write' -- -w "$work/refused.pcap" --as-fast
refused 'as-fast.*net_ring0' --vdev=net_ring0 -- -r net_pcap0 -t net_ring0 --as-fast
