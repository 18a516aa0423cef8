#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     6,000 mirrored packets of four sessions, two of them on one VNI, and of strangers
#         |
#     net_pcap0 --> mirrorsink, AWS documents + routes --> all.pcapng, web.pcap, dns.pcapng
#                        |
#                        +--> summary: fates, hits of rules
#
# Inner frames are IPv4 and IPv6, TCP, UDP, ICMP, fragments, with VLAN tags, options and extension
# headers, with known and unknown direction, whole or cut anywhere. What should happen is computed
# by reference.py.
#
# Succeeds if, with routes, with SourceCheck strict and with UnknownSession deliver, -W 0 and 1,
#  - each output has exactly the frames that the reference selects, in order, with its direction and
#    under the name of its session;
#  - every fate has exactly the reference's count, and none of those at stake is 0;
#  - every rule has exactly the hits that the reference counts, and as many rules and sessions as the
#    reference never met are told to have never hit;
#  - every session has exactly the reference's packets in each direction, and its interface's MAC
#    address: the configured one, or the one that was last seen beside the outer source address;
#  - status 0, and the ledger balances;
# and if all packets of one fate, by themselves, have that fate, so that each of them has it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-8}
echo "seed $seed"

"$python" "$here/account.py" "$work" "$seed"

cat >"$work/same.py" <<'END'
import collections
import sys
import judge
import reference

capture, summary, at_stake, *rest = sys.argv[1:]
split = rest.index("--")
files, documents = [one.split("=", 1) for one in rest[:split]], rest[split + 1:]
document = {}
for path in documents:
    document.update(judge.load(path))
oracle = reference.Reference(document)
fates, expected = collections.Counter(), collections.defaultdict(list)
sides = collections.defaultdict(collections.Counter)  # packets of a session by direction
macs, changes = {}, collections.Counter()  # those that can be learned


def meet(session, direction, frame):
    """Books a packet of a session."""
    name = session["TrafficMirrorSessionId"]
    sides[name][direction or "unknown"] += 1
    if direction is None or session["NetworkInterfaceId"] in oracle.interfaces:
        return
    mac = frame[:6] if direction == "ingress" else frame[6:12]
    if any(mac) and not mac[0] & 1:
        changes[name] += macs.get(name, mac) != mac
        macs[name] = mac


directions = {None: 0, "ingress": 1, "egress": 2}
for packet in judge.read(capture).packets:
    try:
        meet(*oracle.locate(packet.data)[:3])
        session, direction, frame, outputs = oracle.decide(packet.data)
    except judge.Fate as fate:
        fates[str(fate)] += 1
        continue
    fates["delivered"] += 1
    name = session["TrafficMirrorSessionId"]
    for output in outputs:
        expected[output].append((packet.time, frame, name, directions[direction]))
print(dict(fates))
for fate in at_stake.split(","):
    judge.demand(fates[fate] >= 20, "the test is weak: %d packets of %s", fates[fate], fate)
numbers = judge.load(summary)
judge.check_ledger(numbers)
for name, path in files:
    after, want = judge.read(path), expected[name]
    for got, (time, frame, session, direction) in zip(after.packets, want):
        what = "%s at %d: %s\nexpected at %d: %s", name, got.time, got.data.hex(), time, frame.hex()
        judge.demand((got.time, got.data) == (time, frame), *what)
        if after.format == "pcapng":
            judge.demand(after.name(got) == session, "%s: session %s", name, after.name(got))
            judge.demand(got.direction == direction, "%s: direction %d of %s, expected %d", name,
                         got.direction, frame.hex(), direction)
        length = judge.original_length(frame)
        judge.demand(got.length == length, "%s: original length %d of %s, expected %d", name,
                     got.length, frame.hex(), length)
    judge.demand(len(after.packets) == len(want), "%s: %d frames, expected %d", name,
                 len(after.packets), len(want))
    written = judge.output_named(numbers, name)["written"]
    judge.demand(written == len(want), "%s: written %d, expected %d", name, written, len(want))
judge.check_fates(numbers, fates)
got = {(r["filter"], r["service"]) if "service" in r else
       (r["filter"], r["direction"], r["rule"]): r["hits"] for r in numbers["rules"]}
for one in document["TrafficMirrorFilters"]:
    for service in one["NetworkServices"]:
        key = one["TrafficMirrorFilterId"], service
        judge.demand(got.get(key) == oracle.hits[key] > 0, "%r: %r hits, expected %d", key,
                     got.get(key), oracle.hits[key])
    for rule in one["IngressFilterRules"] + one["EgressFilterRules"]:
        key = one["TrafficMirrorFilterId"], rule["TrafficDirection"], rule["RuleNumber"]
        judge.demand(got.get(key) == oracle.hits[key], "rule %r: %r hits, expected %d", key,
                     got.get(key), oracle.hits[key])
idle = {"rules": sum(oracle.hits[key] == 0 for key in got),
        "sessions": sum(s["TrafficMirrorSessionId"] not in sides for s in oracle.sessions)}
judge.demand(numbers["never_hit"] == idle, "never hit: %r, not %r", numbers["never_hit"], idle)
judge.demand(set(sides) <= {s["session"] for s in numbers["sessions"]}, "a session is missing")
for one in numbers["sessions"]:
    name, want = one["session"], sides[one["session"]]
    for side in ("ingress", "egress", "unknown"):
        judge.demand(one[side] == want[side], "%s: %d %s, not %d", name, one[side], side, want[side])
    judge.demand(one["packets"] == sum(want.values()), "%s: %d packets", name, one["packets"])
    eni = [s["NetworkInterfaceId"] for s in oracle.sessions if s["TrafficMirrorSessionId"] == name]
    mac, origin = macs[name].hex(":") if name in macs else None, "learned" if name in macs else None
    if eni and eni[0] in oracle.interfaces:
        mac, origin = oracle.interfaces[eni[0]]["MacAddress"], "configured"
    judge.demand((one["mac"], one["mac_from"]) == (mac, origin), "%s: MAC address %r, %r, not %r, %r",
                 name, one["mac"], one["mac_from"], mac, origin)
    judge.demand(one["mac_changes"] == changes[name], "%s: %d changes of the MAC address, not %d",
                 name, one["mac_changes"], changes[name])
judge.demand(macs and any(changes.values()), "the test is weak: no MAC address to learn")
END

cat >"$work/part.py" <<'END'
"""Parts the packets by the fate that each should have; tells the fates."""
import collections
import sys
import judge
import reference

work, run, *documents = sys.argv[1:]
document = {}
for path in documents:
    document.update(judge.load(path))
oracle = reference.Reference(document)
parts = collections.defaultdict(list)
for packet in judge.read(f"{work}/in.pcap").packets:
    try:
        oracle.decide(packet.data)
        fate = "delivered"
    except judge.Fate as one:
        fate = str(one)
    parts[fate].append((packet.time, packet.data))
for fate, timed in parts.items():
    judge.write_pcap(f"{work}/{run}-{fate}.pcap", timed)
    print(fate, len(timed))
END

# documents DOCUMENT: sets configs, and documents that the reference reads.
documents()
{
	local one

	documents=() configs=()
	for one in filters sessions interfaces outputs "$1"; do
		documents+=("$work/$one.json")
		configs+=(-c "$work/$one.json")
	done
}

# alone RUN AT_STAKE DOCUMENT: packets of one fate at a time.
alone()
{
	local run=$1 stake=$2 fate count seen=,

	documents "$3"
	use_lcores 2
	while read -r fate count; do
		sink "$run-$fate" "--vdev=net_pcap0,rx_pcap=$work/$run-$fate.pcap" -- \
			"${configs[@]}" -W 0 -a "packets:$count" --summary "$work/alone.json"
		assert_ledger "$work/alone.json"
		assert_equal "$(get "$work/alone.json" received.packets)" "$count" "$fate: received"
		assert_equal "$(get "$work/alone.json" "fates.$fate")" "$count" "packets of $fate"
		echo "$run: $count packets, each $fate"
		seen+=$fate,
	done < <(check "$work" "$run" "${documents[@]}" <"$work/part.py")
	for fate in ${stake//,/ }; do
		[[ $seen == *,$fate,* ]] || fail "$run: the test is weak: no packet of $fate"
	done
}

# try RUN WORKERS AT_STAKE DOCUMENT
try()
{
	local run=$1 workers=$2 stake=$3

	documents "$4"
	use_lcores $((workers + 2))
	rm -f "$work"/{all.pcapng,web.pcap,dns.pcapng}
	sink "$run" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- "${configs[@]}" -W "$workers" \
		-a idle:200 --summary "$work/$run.json"
	check "$work/in.pcap" "$work/$run.json" "$stake" all="$work/all.pcapng" \
		web="$work/web.pcap" dns="$work/dns.pcapng" -- "${documents[@]}" \
		<"$work/same.py" || fail "$run"
}

stake=delivered,filter_reject,filter_default
for workers in 0 1; do
	try "routes$workers" "$workers" $stake,session_unknown,no_route routes
	try "strict$workers" "$workers" $stake,session_unknown,source_mismatch strict
	try "learn$workers" "$workers" $stake learn
done
alone routes $stake,session_unknown,no_route routes
alone strict $stake,session_unknown,source_mismatch strict
