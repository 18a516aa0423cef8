#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
latency.py CAPTURE GAP SPACE-OUT INTERFACE-OUT SPACE-IN INTERFACE-IN: sends the packets of a capture
one by one, GAP milliseconds apart, on an interface of one network namespace, and waits for the inner
frame of each on an interface of another one. Prints how many came, and p50, p99 and the longest
time in microseconds.
"""

import ctypes
import socket
import sys
import time

import judge

LATEST = 1.0  # seconds after which a frame is lost
LOST = 5  # so many, and it gives up


def interface(space, name):
    """A raw socket there, which sees what this process sends only if the kernel gives it back."""
    with open(f"/run/netns/{space}", encoding="utf-8") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"setns {space}")
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    one.bind((name, 0))
    return one


def wait_for(one, frame, until):
    """When the frame came, or None."""
    while (left := until - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            got = one.recv(65536)
        except TimeoutError:
            return None
        if got == frame:
            return time.monotonic()
    return None


def main(path, gap, space_out, name_out, space_in, name_in):
    packets = [packet.data for packet in judge.read(path).packets]
    out, back = interface(space_out, name_out), interface(space_in, name_in)
    took, lost = [], 0
    for packet in packets:
        time.sleep(float(gap) / 1000)
        sent = time.monotonic()
        out.send(packet)
        came = wait_for(back, judge.decapsulate(packet).frame, sent + LATEST)
        if came is not None:
            took.append(int((came - sent) * 1e6))
        elif (lost := lost + 1) == LOST:
            break
    took.sort()
    if not took:
        print(0, 0, 0, 0)
        return
    print(len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


main(*sys.argv[1:])
