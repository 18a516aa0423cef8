#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> net_pcap0 --> mirrorsink, SIGHUP 40 times
#
# One rule accepts UDP, one all else, and both stand in the configuration after each reload. So does one
# that accepts all in the other direction, which is asked too, since no address tells it.
#
# Succeeds if no hit of a rule is lost or counted twice, whenever a reload comes: in the end the hits of
# each direction are the frames that were accepted, the session has as many, and the ledger balances.
# And if a session whose frames are all rejected never seems, while they come, to have more rejected
# than seen.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work" <<'END'
import random
import sys
import judge
import packets

base = packets.flow_frames(random.Random(7), 500)
judge.write_pcap(f"{sys.argv[1]}/in.pcap", [(i, packets.mirror(f, 64)) for i, f in enumerate(base)])
END
accept='"TrafficDirection": "ingress", "RuleAction": "accept"'
cat >"$work/c.json" <<END
{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1",
 "IngressFilterRules": [{"RuleNumber": 10, $accept, "Protocol": 17}, {"RuleNumber": 20, $accept}],
 "EgressFilterRules": [{"TrafficDirection": "egress", "RuleAction": "accept", "RuleNumber": 30}],
 "NetworkServices": []}],
 "TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorTargetId": "tmt-1",
 "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1", "SessionNumber": 1,
 "VirtualNetworkId": 64}]}
END

# reloads N: so many have been told of.
reloads()
{
	(($(grep -c 'configuration reloaded' "$work/counts.err" || true) >= $1))
}

for workers in 0 1; do
	use_lcores $((workers + 2))
	sink_start counts "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W "$workers" \
		-c "$work/c.json" --summary "$work/s.json"
	for ((i = 1; i <= 40; i++)); do
		kill -HUP "$pid"
		wait_for 10 reloads "$i" || fail "reload $i is not told of"
	done
	stop "$pid" || fail "mirrorsink ends with status $?"
	assert_ledger "$work/s.json"
	check "$work/s.json" <<-'END'
		import json, sys
		import judge

		with open(sys.argv[1], encoding="utf-8") as file:
		    summary = json.load(file)
		rules = {one["rule"]: one["hits"] for one in summary["rules"]}
		passed = summary["received"]["packets"] - summary["fates"]["filter_default"]
		seen = sum(one["packets"] for one in summary["sessions"])
		print(f"{passed} of {seen} accepted, hits: {rules}")
		judge.demand(passed > 100_000, "only %d packets", passed)
		judge.demand(rules[10] > 0 and rules[20] > 0, "hits: %r", rules)
		judge.demand(rules[10] + rules[20] == passed, "hits %r, accepted %d", rules, passed)
		judge.demand(rules[30] == passed, "hits %r, accepted %d", rules, passed)
		judge.demand(seen == summary["received"]["packets"], "the session has %d", seen)
	END
done

# Asked while packets come, which are all rejected.
use_lcores 2
sed -i 's/"accept"/"reject"/g' "$work/c.json"
sink_start rejects "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W 0 -c "$work/c.json" \
	--summary "$work/s.json"
asked=()
for ((i = 0; i < 300; i++)); do
	asked+=(/mirrorsink/sessions)
done
telemetry rejects "${asked[@]}" >"$work/asked"
stop "$pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"
check "$work/asked" <<'END'
import re
import sys
import judge

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
packets, delivered, rejected = (
    [int(n) for n in re.findall(rf'"{what}": (\d+)', text)] for what in ("packets", "delivered", "rejected"))
print(f"{len(packets)} answers, {packets[0]} to {packets[-1]} packets")
judge.demand(len(packets) == len(delivered) == len(rejected) >= 300, "%d answers", len(packets))
judge.demand(packets[-1] > packets[0], "no packets came meanwhile")
for seen, passed, refused in zip(packets, delivered, rejected):
    judge.demand(refused <= seen and passed <= seen, "of %d %d delivered, %d rejected", seen, passed, refused)
END
