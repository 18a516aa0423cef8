#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Makes the traces that the benchmarks read in a loop: traces.py FOLDER

4,096 mirrored packets each, of 8 VNIs and about 1,000 inner flows, in both directions, with outer
headers as AWS makes them: min (inner frames of 60 bytes), imix (60, 590 and 1,514 bytes as 7 to 4
to 1), and others of one size, up to 1,800: net_pcap repeats no packet that needs two buffers.
inner-imix has the inner frames of imix alone. documents.json are the sessions and the filter that
belong to them.
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test", "e2e"))

import documents  # noqa: E402
import judge  # noqa: E402
import packets  # noqa: E402

PACKETS = 4096
FLOWS = 1000
SOURCE_PORTS = 128  # that AWS uses for a source
ROUTER_MAC = "02:00:00:00:00:01"
KINDS = {
    "min": [60],
    "imix": [60] * 7 + [590] * 4 + [1514],
    "size256": [256],
    "size590": [590],
    "size1514": [1514],
    "size1800": [1800],
}


def frame(flow, size, ingress):
    """An inner frame of a flow, TCP for two flows of three. Its interface is the server."""
    ends = [f"10.{flow % 4}.1.{flow % 250 + 1}", f"172.31.{flow // 250}.{flow % 240 + 1}"]
    ports = [20000 + flow, 443 if flow % 3 else 53]
    macs = [ROUTER_MAC, documents.mac(flow % documents.SESSIONS)]
    if not ingress:
        ends, ports, macs = ends[::-1], ports[::-1], macs[::-1]
    if flow % 3:
        kind, packet = packets.TCP, packets.tcp(bytes(size - 54), *ports)
    else:
        kind, packet = packets.UDP, packets.udp(bytes(size - 42), *ports)
    return packets.ether(packets.ipv4(packet, kind, *ends), 0x0800, *macs)


def mirror(inner, flow):
    """As its interface mirrors it."""
    i = flow % documents.SESSIONS
    port = 65408 + flow * 7 % SOURCE_PORTS
    return packets.mirror(inner, documents.FIRST_VNI + i, documents.address(i), sport=port)


def write(path, frames):
    judge.write_pcap(
        path, [(1_700_000_000 * judge.NS + i * 1000, data) for i, data in enumerate(frames)]
    )


def main():
    folder = sys.argv[1]
    documents.write(f"{folder}/documents.json")
    for name, sizes in KINDS.items():
        chance = random.Random(4789)
        flows = [chance.randrange(FLOWS) for _ in range(PACKETS)]
        frames = [frame(flow, chance.choice(sizes), chance.random() < 0.5) for flow in flows]
        write(f"{folder}/{name}.pcap", map(mirror, frames, flows))
        if name == "imix":
            write(f"{folder}/inner-{name}.pcap", frames)


main()
