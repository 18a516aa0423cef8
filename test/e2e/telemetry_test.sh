#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> net_pcap0 --> mirrorsink --> null
#     2 sessions, 3 rules                      |
#                              dpdk-telemetry.py, twice, then SIGTERM --> summary
#
# Succeeds if
#  - /mirrorsink/ledger, sessions, rules, outputs and ports answer while it runs;
#  - their numbers grow from one reading to the next, and are at the end not above the summary's;
#  - the names of fates, sessions, rules, outputs and ports are the summary's;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command dpdk-telemetry.py

check "$work" <<'END'
import sys
import judge
import packets as p

made = []
for i in range(100):
    body = p.udp(bytes(20), 40000, (53, 80, 443, 9)[i % 4])
    frame = p.ether(p.ipv4(body, p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800)
    other = p.arp("10.2.0.1", "10.2.0.2")
    made.append((i, p.mirror(frame, 100 + i % 10 // 9) if i % 20 else other))
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
END
cat >"$work/config.json" <<'END'
{"TrafficMirrorSessions": [
  {"TrafficMirrorSessionId": "tms-1", "TrafficMirrorTargetId": "tmt-1", "SessionNumber": 1,
   "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1", "VirtualNetworkId": 100},
  {"TrafficMirrorSessionId": "tms-2", "TrafficMirrorTargetId": "tmt-1", "SessionNumber": 1,
   "TrafficMirrorFilterId": "tmf-2", "NetworkInterfaceId": "eni-2", "VirtualNetworkId": 101}],
 "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": [
   {"TrafficDirection": "ingress", "RuleNumber": 10, "RuleAction": "accept", "Protocol": 17,
    "DestinationPortRange": {"FromPort": 53, "ToPort": 53}},
   {"TrafficDirection": "ingress", "RuleNumber": 20, "RuleAction": "reject", "Protocol": 17,
    "DestinationPortRange": {"FromPort": 80, "ToPort": 80}}],
  "EgressFilterRules": [
   {"TrafficDirection": "egress", "RuleNumber": 30, "RuleAction": "accept", "Protocol": 17,
    "DestinationPortRange": {"FromPort": 443, "ToPort": 443}}],
  "NetworkServices": ["amazon-dns"]}],
 "Outputs": [{"Name": "count", "Type": "null"}]}
END

ask()
{
	telemetry run /mirrorsink/ledger /mirrorsink/sessions /mirrorsink/rules \
		/mirrorsink/outputs /mirrorsink/ports >"$1"
	assert_equal "$(wc -l <"$1")" 5 "answers"
}

sink_start run "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- \
	-c "$work/config.json" --summary "$work/s.json"
ask "$work/one"
sleep 0.5
ask "$work/two"
stop "$pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"
check "$work" <<'END'
import json
import sys
import judge

work = sys.argv[1]


def reading(name):
    """{command: answer} of one asking. What is a list may come as an object of its elements."""
    found = {}
    with open(f"{work}/{name}", encoding="utf-8") as file:
        for line in file:
            for command, answer in json.loads(line).items():
                if isinstance(answer, dict) and all(isinstance(v, dict) for v in answer.values()):
                    answer = list(answer.values())
                found[command.removeprefix("/mirrorsink/")] = answer
    return found


def numbers(path, node, found):
    """Every number in an answer, under a path of names."""
    if isinstance(node, dict):
        names = ("session", "filter", "direction", "rule", "name")
        own = [str(node[name]) for name in names if name in node]
        for key, value in node.items():
            if key not in ("vni", "rule", "under_way"):
                numbers(path + own + [key], value, found)
    elif isinstance(node, list):
        for value in node:
            numbers(path, value, found)
    elif isinstance(node, int):
        found["/".join(path)] = node
    return found


one, two, summary = reading("one"), reading("two"), judge.load(f"{work}/s.json")
end = {"ledger": {"received": summary["received"]["packets"], "fates": summary["fates"],
                  "received_bytes": summary["received"]["bytes"],
                  "dedup_evicted": summary["dedup_evicted"]},
       "sessions": summary["sessions"], "rules": summary["rules"], "outputs": summary["outputs"],
       "ports": [dict(counters, name=port) for port, counters in summary["device"].items()]}
for command, final in end.items():
    judge.demand(one.get(command), "%s has no answer: %r", command, one.get(command))
    first, second, last = (numbers([], n, {}) for n in (one[command], two[command], final))
    judge.demand(first.keys() == second.keys() == last.keys(), "%s: names are\n%s\n%s\n%s",
                 command, sorted(first), sorted(second), sorted(last))
    for name, value in last.items():
        judge.demand(first[name] <= second[name] <= value, "%s: %s is %d, then %d, then %d",
                     command, name, first[name], second[name], value)
    if command != "ports":
        judge.demand(sum(first.values()) < sum(second.values()), "%s: does not grow", command)
for name in ("not_mirror", "filter_reject", "filter_default", "delivered"):
    judge.demand(one["ledger"]["fates"][name] < two["ledger"]["fates"][name], "%s: no growth", name)
ledger = two["ledger"]
judge.demand(ledger["received"] >= sum(ledger["fates"].values()), "more fates than packets")
judge.demand({s["session"] for s in two["sessions"]} == {"tms-1", "tms-2"}, "sessions")
judge.demand(len(two["rules"]) >= 3, "rules: %r", two["rules"])
print(f"{ledger['received']} packets when read, {summary['received']['packets']} at the end")
END
