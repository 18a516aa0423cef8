#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     aws-traffic-mirror.pcap --> net_pcap0 --> mirrorsink --> out.pcapng
#        (real AWS traffic)                         |
#                                                   +--> summary
#
# Succeeds if
#  - mirrorsink ends with status 0 and a ledger that balances: 100 received, 100 delivered;
#  - the file has 100 frames in one interface block, with VNI 5569041 in its name;
#  - each frame is byte for byte what scapy and what tshark cut out of the same capture;
#  - the timestamps are the capture's, to the nanosecond.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_captures mirrored
need_command tshark
"$python" -c 'import scapy' 2>/dev/null || skip "no scapy here"

capture=$captures/mirrored/aws-traffic-mirror.pcap
sink aws "--vdev=net_pcap0,rx_pcap=$capture" -- \
	-w "$work/out.pcapng" -a idle:500 --summary "$work/s.json"
assert_ledger "$work/s.json"
tshark -r "$capture" -T jsonraw --no-duplicate-keys >"$work/tshark.json" 2>/dev/null
tshark -r "$work/out.pcapng" -T jsonraw -j frame >"$work/out.json" 2>/dev/null

check "$capture" "$work/tshark.json" "$work/out.pcapng" "$work/out.json" "$work/s.json" <<'END'
import json
import sys
import judge
from scapy.all import rdpcap
from scapy.layers.vxlan import VXLAN

capture, dissected, out, seen, summary = sys.argv[1:]
by_scapy = [packet[VXLAN].payload.original for packet in rdpcap(capture)]
by_tshark = []
for packet in judge.load(dissected):
    layers = packet["_source"]["layers"]
    raw, start = bytes.fromhex(layers["frame_raw"][0]), layers["eth_raw"][1][1]
    by_tshark.append(raw[start:])
before = judge.read(capture)
by_judge = [judge.decapsulate(packet.data).frame for packet in before.packets]
after = judge.read(out)
judge.demand(len(by_scapy) == 100, "scapy finds %d frames", len(by_scapy))
frames = [packet.data for packet in after.packets]
judge.compare(frames, by_scapy, "against scapy")
judge.compare(frames, by_tshark, "against tshark")
judge.compare(frames, by_judge, "against the judge")
shown = [bytes.fromhex(p["_source"]["layers"]["frame_raw"][0]) for p in judge.load(seen)]
judge.compare(shown, by_scapy, "what tshark reads in the file, against scapy")
judge.demand(len(after.interfaces) == 1, "%d interfaces", len(after.interfaces))
judge.demand(after.interfaces[0].link == 1, "link type %d, not Ethernet", after.interfaces[0].link)
judge.demand("5569041" in after.interfaces[0].name, "named %s", after.interfaces[0].name)
judge.demand(after.interfaces[0].resolution == judge.NS, "resolution is no nanosecond")
for i, (a, b) in enumerate(zip(after.packets, before.packets)):
    judge.demand(a.time == b.time, "frame %d of time %d, expected %d", i, a.time, b.time)
numbers = judge.load(summary)
judge.demand(numbers["received"]["packets"] == 100, "received %r", numbers["received"])
length = sum(len(packet.data) for packet in before.packets)
judge.demand(numbers["received"]["bytes"] == length, "received %r", numbers["received"])
judge.check_fates(numbers, {"delivered": 100})
judge.demand([s["vni"] for s in numbers["sessions"]] == [5569041], "sessions of the summary")
END
