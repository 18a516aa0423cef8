#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                        namespace b
#     send.py --> a0 ------ veth ------ b0 --> mirrorsink --> out.pcapng
#                                                ^
#                                  filters.json, SIGHUP
#
# The same 200 frames, DNS and web by turns, are sent five times: under a filter that accepts DNS,
# after a reload with one that accepts web, after a reload with a broken file, after one that changes
# what takes a restart and one with a file that is not there, and after the first filter is back.
#
# Succeeds if
#  - each time exactly the frames go to the file that the filter in force accepts, without restart;
#  - a broken file is named with line and column on standard error, and so is a key that takes a
#    restart by its name, and the old rules stay;
#  - the hits of a rule are those since it came into force, also across reloads that fail;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire

# filter NUMBER ACTION PORT: one that accepts this port alone, both ways.
filter()
{
	cat >"$work/new.json" <<-END
		{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1",
		 "IngressFilterRules": [{"TrafficDirection": "ingress", "RuleNumber": $1,
		  "RuleAction": "accept", "Protocol": 17,
		  "DestinationPortRange": {"FromPort": $2, "ToPort": $2}}],
		 "EgressFilterRules": [], "NetworkServices": []}]}
	END
	mv "$work/new.json" "$work/filters.json"
}
cat >"$work/sessions.json" <<'END'
{"TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorTargetId": "tmt-1",
 "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1", "SessionNumber": 1,
 "VirtualNetworkId": 64}]}
END
check "$work" <<'END'
import sys
import judge
import packets as p

for turn in range(5):
    made = []
    for i in range(200):
        body = p.udp(b"turn %d frame %d" % (turn, i), 40000, (53, 80)[i % 2])
        frame = p.ether(p.ipv4(body, p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800)
        made.append((i, p.mirror(frame, 64)))
    judge.write_pcap(f"{sys.argv[1]}/turn{turn}.pcap", made)
END

# received N: so many packets have come in.
received()
{
	telemetry reload /mirrorsink/ledger | check_received "$1"
}
check_received()
{
	"$python" -c 'import json, sys
ledger = json.load(sys.stdin)["/mirrorsink/ledger"]
got = ledger["received"]
got = got["packets"] if isinstance(got, dict) else got
sys.exit(got < int(sys.argv[1]))' "$1"
}

# shows_rule NUMBER: it is among the rules in force.
shows_rule()
{
	telemetry reload /mirrorsink/rules >"$work/rules.txt"
	grep -Eq "[^0-9]$1[^0-9]" "$work/rules.txt"
}

# complains PATTERN: standard error has it, after what was there before.
complains()
{
	tail -c +$((said + 1)) "$work/reload.err" | grep -Eq "$1"
}

turn()
{
	send_frames "$work/turn$1.pcap" 4000
	wait_for 10 received $((($1 + 1) * 200)) || fail "turn $1: packets are missing"
}

# reload_complaint PATTERN
reload_complaint()
{
	said=$(stat -c %s "$work/reload.err")
	kill -HUP "$sink_pid"
	wait_for 10 complains "$1" || fail "no message like $1 after SIGHUP"
	wait_for 1 shows_rule 7202 || fail "the old rules are gone"
}

filter 7101 53
in_space=(ip netns exec "$space_b")
sink_start reload "$b0" -- -c "$work/filters.json" \
	-c "$work/sessions.json" -w "$work/out.pcapng" --summary "$work/s.json"
sink_pid=$pid
in_space=()
shows_rule 7101 || fail "rule 7101 is not shown: $(cat "$work/rules.txt")"
turn 0

filter 7202 80
kill -HUP "$sink_pid"
wait_for 10 shows_rule 7202 || fail "the new rules do not come"
turn 1

printf '{"TrafficMirrorFilters": [\n {"TrafficMirrorFilterId": }]}\n' >"$work/filters.json"
reload_complaint 'filters\.json:2:[0-9]+'
turn 2

echo '{"Dedup": {}}' >"$work/filters.json"
reload_complaint 'Dedup: changed.*restart'
echo '{"OuterFragments": "reassemble"}' >"$work/filters.json"
reload_complaint 'OuterFragments: changed.*restart'

rm "$work/filters.json"
reload_complaint 'filters\.json.*No such file'
turn 3
assert_equal "$(check "$work/rules.txt" <<'END'
import json
import sys


def find(node):
    """The hits in the first object with rule 7202, however it is told."""
    if isinstance(node, dict):
        if 7202 in node.values() and "hits" in node:
            return node["hits"]
        node = list(node.values())
    for one in node if isinstance(node, list) else ():
        if find(one) is not None:
            return find(one)
    return None


with open(sys.argv[1], encoding="utf-8") as file:
    print(find(json.load(file)))
END
)" 200 "hits of rule 7202 in telemetry, asked before turn 3"

filter 7101 53
kill -HUP "$sink_pid"
wait_for 10 shows_rule 7101 || fail "the first rules do not come back"
turn 4

stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys
import judge

work = sys.argv[1]
want = []
for turn, odd in enumerate((0, 1, 1, 1, 0)):
    packets = judge.read(f"{work}/turn{turn}.pcap").packets
    want += [judge.decapsulate(p.data).frame for p in packets[odd::2]]
judge.compare([p.data for p in judge.read(f"{work}/out.pcapng").packets], want, "out.pcapng")
summary = judge.load(f"{work}/s.json")
judge.check_fates(summary, {"delivered": 500, "filter_default": 500})
hits = {r["rule"]: r["hits"] for r in summary["rules"]}
judge.demand(hits == {7101: 100}, "hits: %r", hits)
END
