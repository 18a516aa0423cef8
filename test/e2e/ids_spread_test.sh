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
# Succeeds, without workers and with two of them, each of which sends to both taps, if
#  - Suricata's records of both taps together are those of the original frames;
#  - no flow is on both taps, and each has at least a fifth of them;
#  - no flow is half seen: where the original has frames both ways, so has Suricata's flow record;
#  - both taps together have the original frames, byte for byte, those of each flow in order;
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

cat >"$work/same.py" <<'END'
import collections
import copy
import ipaddress
import sys
import eve
import judge
import reference

work, run = sys.argv[1:]
original, *taps = ([one.data for one in judge.read(f"{work}/{name}.pcap").packets]
                   for name in ("in", "tap0", "tap1"))
summary = judge.load(f"{work}/summary.json")
judge.check_fates(summary, {"delivered": len(original)})
judge.demand(judge.output_named(summary, "ids")["written"] == len(original), "%r", summary)

judge.demand(sorted(taps[0] + taps[1]) == sorted(original), "the taps have other frames")


def back(protocol, source, target):
    """The other way."""
    return protocol, target, source


def flow(there):
    """The same for both ways."""
    return min(there, back(*there), key=str)


def way_of(frame):
    """Of TCP and UDP, by a reader of headers that is not Suricata's; else None."""
    here = reference.fields(frame)
    if here.dport is None:
        return None
    return here.protocol, (str(here.source), here.sport), (str(here.target), here.dport)


def sequences(frames):
    """The frames of each flow, both ways, in order."""
    found = collections.defaultdict(list)
    for frame in frames:
        there = way_of(frame)
        if there is not None:
            found[flow(there)].append(frame)
    return found


def way(record):
    """Of the packets to the server, by Suricata's flow record."""
    protocol = {"TCP": reference.TCP, "UDP": reference.UDP}.get(record["proto"], record["proto"])
    ends = ((str(ipaddress.ip_address(record[f"{which}_ip"])), record.get(f"{which}_port", 0))
            for which in ("src", "dest"))
    return protocol, *ends


def check_taps(flows):
    """Both ways of a flow are seen, on one tap. Returns flows of each tap, how many both ways."""
    taps, seen = collections.defaultdict(set), collections.Counter()
    for one in flows:
        there = way(one)
        taps[flow(there)].add(one["in_iface"])
        seen[there] += one["flow"]["pkts_toserver"]
        seen[back(*there)] += one["flow"]["pkts_toclient"]
    torn = [one for one, on in taps.items() if len(on) > 1]
    judge.demand(not torn, "on both taps: %r", torn)
    whole = [one for one in sent if back(*one) in sent and seen[one] + seen[back(*one)]]
    half = [one for one in whole if not seen[one]]
    judge.demand(not half, "half seen: %r", half)
    return collections.Counter(tap for (tap,) in taps.values()), len(whole) // 2


whole_flows = sequences(original)
for i, tap in enumerate(taps):
    for one, frames in sequences(tap).items():
        judge.compare(frames, whole_flows[one], f"ids{i}, {one}")
sent = {way_of(frame) for frame in original} - {None}
flows = [one for one in eve.load(f"{work}/{run}/eve.json") if one["event_type"] == "flow"]
share, whole = check_taps(flows)
judge.demand(min(share["ids0"], share["ids1"]) * 5 >= share.total(), "unfair: %r", share)
judge.demand(whole >= 100, "the test is weak: %d flows both ways", whole)
print(f"{share['ids0']} and {share['ids1']} flows, {whole} both ways")

# Whether this would have told of a flow whose answers are on the other tap, or on none.
found = next(one for one in flows if one["flow"]["pkts_toclient"] and way(one) in sent)
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

# try LCORES WORKERS: into $work/ids-WORKERS.
try()
{
	local sink_pid ids_pid tap taps=() run=ids-$2

	in_space=(ip netns exec "$space_b")
	use_lcores "$1"
	sink_start "sink-$2" "$b0" --vdev=net_tap0,iface=ids0 --vdev=net_tap1,iface=ids1 -- \
		-W "$2" -c "$work/sink.json" -a duration:120 --summary "$work/summary.json"
	sink_pid=$pid
	for tap in 0 1; do
		tap_start "tap$tap" "ids$tap"
		taps+=("$pid")
	done
	ids_start "$run"
	ids_pid=$pid
	ids_feed
	wait_for 30 ids_alerts "$run" 99 16 || fail "Suricata does not see the last frames"
	ids_stop "$run" "$ids_pid"
	for tap in 0 1; do
		tap_stop "tap$tap" "${taps[tap]}"
	done
	stop "$sink_pid" || fail "mirrorsink ends with status $?"

	assert_ledger "$work/summary.json"
	"$python" "$here/eve.py" compare "$work/$run/eve.json" "$work/original/eve.json"
	check "$work" "$run" <"$work/same.py"
}

try 2 0
try 4 2
