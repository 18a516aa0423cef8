#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap --------------------------------------------> suricata -r --> eve.json
#        |                                                                     |
#     mirrorsource -- a0 ~ b0 -- mirrorsink --+-- tap ids0 --> suricata,       |  the same?
#                                             +-- tap ids1 --> two threads --> eve.json
#
# One output of two ports, and an IDS with a thread on each, which share no flow: what belongs
# together has to come to one of them.
#
# Succeeds if
#  - Suricata's records of both taps together are those of the original frames;
#  - no flow is on both taps, and each has at least a fifth of them;
#  - no flow is half seen: where the original has frames both ways, so has Suricata's flow record;
#  - both taps together have the original frames, on each they are in the original order, byte for
#    byte;
#  - nothing is lost on the way, and the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/ids.sh"

need_captures inner
wire
ids_original
ids_config ids0 ids1
ids_read original "$work/in.pcap"
"$python" "$here/eve.py" count "$work/original/eve.json" alert 400 flow 300 dns 100 http 70 tls 20

cat >"$work/sink.json" <<'END'
{"Outputs": [{"Name": "ids", "Type": "port", "Ports": ["net_tap0", "net_tap1"]}]}
END
in_space=(ip netns exec "$space_b")
sink_start sink "$b0" --vdev=net_tap0,iface=ids0 --vdev=net_tap1,iface=ids1 -- \
	-c "$work/sink.json" -a duration:120 --summary "$work/summary.json"
sink_pid=$pid
taps=()
for tap in 0 1; do
	tap_start "tap$tap" "ids$tap"
	taps+=("$pid")
done
ids_start ids
ids_pid=$pid
ids_feed
wait_for 30 ids_alerts ids 99 16 || fail "Suricata does not see the last frames"
ids_stop ids "$ids_pid"
for tap in 0 1; do
	tap_stop "tap$tap" "${taps[tap]}"
done
stop "$sink_pid" || fail "mirrorsink ends with status $?"

assert_ledger "$work/summary.json"
"$python" "$here/eve.py" compare "$work/ids/eve.json" "$work/original/eve.json"
check "$work" <<'END'
import collections
import copy
import ipaddress
import sys
import eve
import judge
import reference

work = sys.argv[1]
original, *taps = ([one.data for one in judge.read(f"{work}/{name}.pcap").packets]
                   for name in ("in", "tap0", "tap1"))
summary = judge.load(f"{work}/summary.json")
judge.check_fates(summary, {"delivered": len(original)})
judge.demand(judge.output_named(summary, "ids")["written"] == len(original), "%r", summary)

judge.demand(sorted(taps[0] + taps[1]) == sorted(original), "the taps have other frames")
for i, tap in enumerate(taps):
    rest = iter(original)
    judge.demand(all(frame in rest for frame in tap), "ids%d: another order", i)

# What the original has of each direction, by a reader of headers that is not Suricata's.
ways = set()
for frame in original:
    found = reference.fields(frame)
    if found.dport is not None:
        ways.add((found.protocol, (str(found.source), found.sport),
                  (str(found.target), found.dport)))


def way(record):
    """Of the packets to the server."""
    protocol = {"TCP": reference.TCP, "UDP": reference.UDP}.get(record["proto"], record["proto"])
    ends = ((str(ipaddress.ip_address(record[f"{which}_ip"])), record.get(f"{which}_port", 0))
            for which in ("src", "dest"))
    return protocol, *ends


def back(protocol, source, target):
    return protocol, target, source


def check_taps(flows):
    """Both ways of a flow are seen, on one tap. Returns flows of each tap, how many both ways."""
    taps, seen = collections.defaultdict(set), collections.Counter()
    for one in flows:
        there = way(one)
        taps[min(there, back(*there), key=str)].add(one["in_iface"])
        seen[there] += one["flow"]["pkts_toserver"]
        seen[back(*there)] += one["flow"]["pkts_toclient"]
    torn = [one for one, on in taps.items() if len(on) > 1]
    judge.demand(not torn, "on both taps: %r", torn)
    whole = [one for one in ways if back(*one) in ways and seen[one] + seen[back(*one)]]
    half = [one for one in whole if not seen[one]]
    judge.demand(not half, "half seen: %r", half)
    return collections.Counter(tap for (tap,) in taps.values()), len(whole) // 2


flows = [one for one in eve.load(f"{work}/ids/eve.json") if one["event_type"] == "flow"]
share, whole = check_taps(flows)
judge.demand(min(share["ids0"], share["ids1"]) * 5 >= share.total(), "unfair: %r", share)
judge.demand(whole >= 100, "the test is weak: %d flows both ways", whole)
print(f"{share['ids0']} and {share['ids1']} flows, {whole} both ways")

# Whether this would have told of a flow whose answers are on the other tap, or on none.
found = next(one for one in flows if one["flow"]["pkts_toclient"] and way(one) in ways)
there, other = copy.deepcopy(found), copy.deepcopy(found)
there["flow"]["pkts_toclient"] = other["flow"]["pkts_toserver"] = 0
other["in_iface"] = {"ids0": "ids1", "ids1": "ids0"}[found["in_iface"]]
for torn in ([there, other], [there]):
    try:
        check_taps([one for one in flows if one is not found] + torn)
    except judge.Wrong:
        continue
    raise judge.Wrong("a torn flow goes unnoticed")
END
