#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What Wireshark makes of our capture files.

Usage: capfile_tshark_test.py CAPFILE_SAMPLE

Runs capfile_sample, and has tshark and capinfos read its files: interface names and descriptions,
directions, nanoseconds, lengths, statistics, and the outer headers where they were kept. Exits
with 77 (skipped) if tshark is not installed.
"""
import os
import shutil
import subprocess
import sys
import tempfile

failures = 0


def expect(what, got, want):
    global failures
    if got != want:
        failures += 1
        print(f"FAIL {what}:\n  got  {got!r}\n  want {want!r}")
    else:
        print(f"ok   {what}")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fields(path, *names):
    """One tuple a packet: the values of the fields."""
    wanted = [argument for name in names for argument in ("-e", name)]
    lines = run("tshark", "-r", path, "-T", "fields", "-E", "separator=|", *wanted).splitlines()
    return [tuple(line.split("|")) for line in lines]


def check_inner(path):
    expect("pcapng: interfaces", fields(path, "frame.interface_name", "frame.interface_description"),
           [("vni64", ""), ("tms-0123456789abcdef0", "web tier"), ("vni64", ""), ("vni64", "")])
    expect("pcapng: directions", fields(path, "frame.packet_flags_direction"),
           [("0x00000001",), ("0x00000002",), ("0x00000000",), ("0x00000000",)])
    expect("pcapng: times", fields(path, "frame.time_epoch"),
           [("1700000000.123456789",), ("1700000000.123456790",),
            ("1700000001.000000001",), ("1700000001.000000001",)])
    expect("pcapng: lengths", fields(path, "frame.cap_len", "frame.len"),
           [("98", "98"), ("98", "98"), ("98", "1500"), ("0", "1500")])
    expect("pcapng: decoded", fields(path, "ip.src", "udp.dstport")[:3],
           [("172.16.0.1", "9")] * 3)
    information = run("capinfos", "-M", path)
    for line in ("File encapsulation:  ether", "File timestamp precision:  nanoseconds (9)",
                 "Number of packets:   4", "Number of interfaces in file: 2",
                 "Capture application: mirrorsink", "Name = tms-0123456789abcdef0",
                 "Description = web tier", "Number of stat entries = 1"):
        expect(f"capinfos: {line}", line in information, True)


def check_outer(path):
    expect("outer: decoded", fields(path, "vxlan.vni", "udp.dstport", "frame.cap_len", "frame.len"),
           [("64", "4789,9", "148", "148"), ("70", "4789,9", "148", "148"),
            ("64", "4789,9", "148", "1550"), ("64", "4789", "50", "1550")])


def check_pcap(path):
    expect("pcap: times and lengths", fields(path, "frame.time_epoch", "frame.cap_len", "frame.len"),
           [("1700000000.123456789", "98", "98"), ("1700000000.123456790", "98", "98"),
            ("1700000001.000000001", "98", "1500"), ("1700000001.000000001", "0", "1500")])
    expect("pcap: precision", "nanosecond" in run("capinfos", "-t", path), True)


def main():
    if shutil.which("tshark") is None or shutil.which("capinfos") is None:
        print("SKIPPED: tshark and capinfos are not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("inner.pcapng", "outer.pcapng", "inner.pcap")]
        subprocess.run([sys.argv[1], *paths], check=True)
        check_inner(paths[0])
        check_outer(paths[1])
        check_pcap(paths[2])
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
