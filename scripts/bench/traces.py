#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Makes the traces that the benchmarks read in a loop: traces.py FOLDER

4,096 mirrored packets each, of 8 VNIs and about 1,000 inner flows, with outer headers as AWS makes
them: min (inner frames of 60 bytes), imix (60, 590 and 1,514 bytes as 7 to 4 to 1), jumbo (8,900).
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test", "e2e"))

import judge  # noqa: E402
import packets  # noqa: E402

PACKETS = 4096
FLOWS = 1000
VNIS = 8
KINDS = {"min": [60], "imix": [60] * 7 + [590] * 4 + [1514], "jumbo": [8900]}


def frame(flow, size):
    """An inner frame of a flow, TCP for two flows of three."""
    source, target = f"10.{flow % 4}.1.{flow % 250 + 1}", f"172.31.{flow // 250}.{flow % 240 + 1}"
    if flow % 3:
        payload = bytes(size - 54)
        packet = packets.tcp(payload, 20000 + flow, 443)
        return packets.ether(packets.ipv4(packet, packets.TCP, source, target), 0x0800)
    packet = packets.udp(bytes(size - 42), 20000 + flow, 53)
    return packets.ether(packets.ipv4(packet, packets.UDP, source, target), 0x0800)


def main():
    folder = sys.argv[1]
    for name, sizes in KINDS.items():
        chance = random.Random(4789)
        made = []
        for i in range(PACKETS):
            flow = chance.randrange(FLOWS)
            inner = frame(flow, chance.choice(sizes))
            made.append((1_700_000_000 * judge.NS + i * 1000, packets.mirror(inner, 64 + flow % VNIS)))
        judge.write_pcap(f"{folder}/{name}.pcap", made)


main()
