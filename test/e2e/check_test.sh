#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     30 filters, of which 25 have a rule that can never match, one is only named by a route that adds
#     nothing, and 6 are named by nobody --> --check, and the log of a start
#
# Succeeds if
#  - --check lists each filter with its rules, sessions, routes and policies, and memory where it has
#    any; each rule that can never match, with the reason; and each filter that is not used;
#  - the log of a start has the ten largest filters, twenty of the rules, five of the unused filters,
#    and says how many more there are.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work" <<'END'
import json
import sys

WEB = {"FromPort": 80, "ToPort": 80}


def rule(number, **more):
    return {"TrafficDirection": "ingress", "RuleNumber": number, "RuleAction": "accept", **more}


def rules(i):
    first = rule(1, Protocol=6, DestinationPortRange={"FromPort": i + 1, "ToPort": 443})
    if i >= 25:
        return [first]
    defects = (rule(2, Protocol=6, DestinationPortRange={"FromPort": i + 50, "ToPort": 80}),
               rule(2, Protocol=1, DestinationPortRange=WEB))
    return [first, defects[i % 2], rule(3, Protocol=17)]


filters = [{"TrafficMirrorFilterId": f"tmf-{i:02}", "IngressFilterRules": rules(i),
            "EgressFilterRules": [dict(rule(9), TrafficDirection="egress")] * (i % 2)}
           for i in range(30)]
sessions = [{"TrafficMirrorSessionId": f"tms-{i}", "TrafficMirrorFilterId": f"tmf-{i // 2:02}",
             "VirtualNetworkId": i} for i in range(46)]
routes = [{"Outputs": ["one"]}, {"FilterId": "tmf-23", "Outputs": ["one"]},
          {"FilterId": "tmf-00", "SessionId": "tms-2", "Outputs": ["two"]}]
with open(f"{sys.argv[1]}/c.json", "w", encoding="utf-8") as file:
    json.dump({"TrafficMirrorFilters": filters, "TrafficMirrorSessions": sessions,
               "Outputs": [{"Name": "one", "Type": "null"}, {"Name": "two", "Type": "null"}],
               "Routes": routes}, file)
with open(f"{sys.argv[1]}/in.pcap", "wb") as file:
    file.write(bytes.fromhex("d4c3b2a1020004000000000000000000000004000100000000"[:48]))
END
"$MIRRORSINK" --check -c "$work/c.json" >"$work/check.out" 2>"$work/check.err" || fail "status $?"
sink start "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/c.json" -a idle:100

check "$work" <<'END'
import re
import sys
import judge

REASONS = ("rules before it match all that it could", "it asks for ports, and its protocol has none")
ROW = re.compile(r"^(tmf-\d\d) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+) KiB +([\d.]+) ms"
                 r"  (.*)$", re.MULTILINE)
with open(f"{sys.argv[1]}/check.err", encoding="utf-8") as file:
    full = file.read()
with open(f"{sys.argv[1]}/start.err", encoding="utf-8") as file:
    brief = file.read()


def defects(text):
    return re.findall(r"^filter (tmf-\d\d): ingress rule 2 can never match: (.*)$", text, re.MULTILINE)


def unused(text):
    return re.findall(r"^filter (tmf-\d\d) is not used: (.*)$", text, re.MULTILINE)


rows = {row[0]: row[1:] for row in ROW.findall(full)}
judge.demand(len(rows) == 30, "%d filters are listed", len(rows))
for i in range(30):
    name = f"tmf-{i:02}"
    got = [int(value) for value in rows[name][:5]]
    sessions, routes = (2 if i < 23 else 0), int(i in (0, 23))
    policies = 2 if i < 2 else int(i < 23)  # one session of tmf-01 has a route of its own
    want = [3 if i < 25 else 1, i % 2, sessions, routes, policies]
    judge.demand(got == want, "%s: %r, expected %r", name, got, want)
    leaves, memory, layouts = int(rows[name][5]), float(rows[name][6]), rows[name][8]
    judge.demand((leaves > 0) == (memory > 0) == (policies > 0), "%s: memory %r", name, memory)
    tables = sum(map(int, re.findall(r"(?:cross|bit sets|constant) (\d+)", layouts)))
    judge.demand(tables == 6 * policies, "%s: %s", name, layouts)
    judge.demand((layouts == "not used") == (policies == 0), "%s: %s", name, layouts)
judge.demand(defects(full) == [(f"tmf-{i:02}", REASONS[i % 2]) for i in range(25)], "%r", defects(full))
judge.demand([name for name, _ in unused(full)] == [f"tmf-{i}" for i in range(23, 30)], "unused")
judge.demand("routes name it" in unused(full)[0][1] and "no session" in unused(full)[1][1], "why")

largest = [float(row[7]) for row in ROW.findall(brief)]
memory = sorted((float(row[6]) for row in rows.values()), reverse=True)
judge.demand(largest == memory[:10], "the largest are %r, not %r", largest, memory[:10])
judge.demand("... and 20 more filters" in brief, "no end of the list of filters")
judge.demand(defects(brief) == defects(full)[:20], "%r", defects(brief))
judge.demand("... and 5 more rules that can never match: see --check" in brief, "no end of rules")
judge.demand(unused(brief) == unused(full)[:5], "%r", unused(brief))
judge.demand("... and 2 more filters that are not used" in brief, "no end of unused filters")
END
