#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
send.py INTERFACE CAPTURE RATE: sends the packets of a capture on an interface, RATE a second. A
sender that is not ours, for tests in which the source is not what is judged.
"""

import socket
import sys
import time

import judge


def main(interface, path, rate):
    packets = judge.read(path).packets
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        begin = time.monotonic()
        for i, packet in enumerate(packets):
            ahead = begin + i / float(rate) - time.monotonic()
            if ahead > 0.001:
                time.sleep(ahead)
            wire.send(packet.data)


main(*sys.argv[1:])
