#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     a.pcap -- mirrorsource --vni 64 --+                         +-- tcpdump
#                                       +-- a0 ~ b0 -- mirrorsink -- tap ids0 -- suricata
#     b.pcap -- mirrorsource --vni 65 --+
#
# Two tenants have the same inner addresses and ports, and talk at the same time. Their frames come
# to one tap, interleaved.
#
# Succeeds if
#  - with "Tenant": "vlan" Suricata has for each tenant, under the VLAN id that the telemetry tells
#    of its session, the records of suricata -r on that tenant's original frames, and no others;
#    the tap has those frames with that tag and nothing else changed;
#  - with "none" Suricata has one flow where there are two, with the packets of both, and the tap
#    has the frames as they were;
#  - nothing is lost on the way, and the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/ids.sh"

need_command mergecap
wire

check "$work" <<'END'
import random
import sys
import conversations
import judge
from conversations import Pair

work = sys.argv[1]
for tenant, more in (("a", 0), ("b", 100)):
    made = []
    for i in range(0, 24, 4):
        made.append(Pair(i, 80).tcp(*conversations.http(i + more)))
        made.append(Pair(i + 1, 53).udp(*conversations.dns(i + more)))
        made.append(Pair(i + 2, 0).ping(2 + bool(more)))
        made.append(Pair(i + 3, 7000).udp(*[b"of %s" % tenant.encode()] * (4 + more // 20)))
    frames = conversations.interleaved(random.Random(more), made)
    frames += Pair(30000, 9).udp(conversations.SENTINEL)
    judge.write_pcap(f"{work}/{tenant}.pcap",
                     [(1_700_000_000 * judge.NS + i * conversations.STEP, frame)
                      for i, frame in enumerate(frames)])
END
ids_config ids0
for tenant in a b; do
	ids_read "$tenant" "$work/$tenant.pcap"
	"$python" "$here/eve.py" count "$work/$tenant/eve.json" alert 30 flow 24 dns 10 http 18
done
source_run source-a "--vdev=net_pcap0,rx_pcap=$work/a.pcap" -- -w "$work/mirrored-a.pcap" --vni 64
source_run source-b "--vdev=net_pcap0,rx_pcap=$work/b.pcap" -- -w "$work/mirrored-b.pcap" --vni 65
mergecap -F nsecpcap -w "$work/mirrored.pcap" "$work"/mirrored-[ab].pcap

# try TENANT: into $work/TENANT and $work/TENANT-*.
try()
{
	local tap_pid ids_pid sink_pid

	cat >"$work/sink.json" <<-END
		{"Outputs": [{"Name": "ids", "Type": "port", "Port": "net_tap0", "Tenant": "$1"}]}
	END
	in_space=(ip netns exec "$space_b")
	sink_start "$1-sink" "$b0" --vdev=net_tap0,iface=ids0 -- -c "$work/sink.json" \
		-a duration:120 --summary "$work/$1-sink.json"
	sink_pid=$pid
	tap_start "$1-tap" ids0
	tap_pid=$pid
	ids_start "$1"
	ids_pid=$pid
	in_space=()
	send_frames "$work/mirrored.pcap" 1000
	wait_for 30 ids_alerts "$1" 99 2 || fail "Suricata does not see the last frames"
	telemetry "$1-sink" /mirrorsink/sessions >"$work/$1-sessions.json"
	ids_stop "$1" "$ids_pid"
	tap_stop "$1-tap" "$tap_pid"
	stop "$sink_pid" || fail "mirrorsink ends with status $?"
	assert_ledger "$work/$1-sink.json"
}

try vlan
try none
check "$work" <<'END'
import collections
import json
import struct
import sys
import eve
import judge
import packets

work = sys.argv[1]
tenants = {"a": "vni64", "b": "vni65"}


def frames(name):
    return [one.data for one in judge.read(f"{work}/{name}.pcap").packets]


def flows(records):
    """(addresses, ports, protocol) and packets each way, of each flow."""
    found = collections.Counter()
    for one in records:
        if one["event_type"] == "flow":
            key = tuple(one.get(name) for name in ("proto", "src_ip", "src_port", "dest_ip",
                                                   "dest_port", "icmp_type"))
            found[key, "to server"] += one["flow"]["pkts_toserver"]
            found[key, "to client"] += one["flow"]["pkts_toclient"]
            found[key, "flows"] += 1
    return found


def tagged(record, tag):
    """The record of frames with a tag, which is 4 bytes more each."""
    record = dict(record, vlan=[tag])
    if "flow" in record:
        count = record["flow"]
        record["flow"] = dict(count, **{
            f"bytes_{way}": count[f"bytes_{way}"] + 4 * count[f"pkts_{way}"]
            for way in ("toserver", "toclient")})
    return record


original = {tenant: eve.load(f"{work}/{tenant}/eve.json") for tenant in tenants}
both = frames("a") + frames("b")
for run in ("vlan", "none"):
    judge.check_fates(judge.load(f"{work}/{run}-sink.json"), {"delivered": len(both)})

# Kept apart.
with open(f"{work}/vlan-sessions.json", encoding="utf-8") as file:
    sessions = json.load(file)["/mirrorsink/sessions"].values()
ids = {one["session"]: one["vlan"] for one in sessions}
judge.demand(len(set(ids.values())) == 2, "VLAN ids %r", ids)
records, tap = eve.load(f"{work}/vlan/eve.json"), frames("vlan-tap")
for tenant, session in tenants.items():
    tag = ids[session]
    got = [one for one in records if one.get("vlan") == [tag]]
    lines = eve.difference(got, [tagged(one, tag) for one in original[tenant]])
    judge.demand(not lines, "tenant %s, VLAN %d:\n%s", tenant, tag, "\n".join(lines[:10]))
    head = struct.pack("!HH", 0x8100, tag)
    judge.compare([one for one in tap if one[12:16] == head],
                  [one[:12] + head + one[12:] for one in frames(tenant)], f"the tap, VLAN {tag}")
judge.demand(len(records) == sum(map(len, original.values())), "records of neither tenant")
judge.demand(len(tap) == len(both), "frames of neither tenant")

# Merged.
records = eve.load(f"{work}/none/eve.json")
judge.demand(not any("vlan" in one for one in records), "a VLAN where there is none")
judge.demand(sorted(frames("none-tap")) == sorted(both), "the tap has other frames")
one, other, merged = map(flows, (original["a"], original["b"], records))
judge.demand(one.keys() == other.keys() == merged.keys(), "%r", merged)
for key, count in merged.items():
    want = 1 if key[1] == "flows" else one[key] + other[key]
    judge.demand(count == want, "%r: %d, expected %d", key, count, want)
count = sum(1 for key in merged if key[1] == "flows")
print(f"{count} flows of each tenant: apart with VLAN ids {sorted(ids.values())}, merged without")
END
