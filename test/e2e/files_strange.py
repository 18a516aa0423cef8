# SPDX-License-Identifier: BSD-3-Clause
"""
What mirrorctl files makes of files that mirrorsink does not write, or not quite so, built here byte
by byte and read again by judge.py. usage: files_strange.py MIRRORCTL DIRECTORY SEED
"""

import json
import os
import random
import resource
import struct
import subprocess
import sys

import judge

BASE = 1_700_000_000 * judge.NS
MIRRORCTL, WORK, SEED = sys.argv[1], sys.argv[2] + "/strange", int(sys.argv[3])
RANDOM = random.Random(SEED)


def block(order, kind, body):
    total = 12 + len(body)
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


END_OF_OPTIONS = bytes(4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, name, resolution=9, description=None):
    options = option(order, 2, name.encode())
    if description:
        options += option(order, 3, description.encode())
    options += option(order, 9, bytes([resolution])) + END_OF_OPTIONS
    return block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + options)


def packet(order, number, time, data, options=b"", length=None):
    head = struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, len(data),
                       len(data) if length is None else length)
    options += END_OF_OPTIONS if options else b""
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def statistics(order, number, received):
    return block(order, 5, struct.pack(order + "III", number, 0, 7)
                 + option(order, 4, struct.pack(order + "Q", received)) + END_OF_OPTIONS)


def write(name, content):
    path = f"{WORK}/{name}"
    with open(path, "wb") as file:
        file.write(content)
    return path


def run(*arguments, status=0, limit=None):
    """The summary of a merge, and what standard error says."""
    def bounded():
        for what, value in (limit or {}).items():
            resource.setrlimit(what, (value, value))

    done = subprocess.run([MIRRORCTL, "files", *arguments], capture_output=True, text=True,
                          timeout=120, check=False, preexec_fn=bounded)
    judge.demand(done.returncode == status, "%r: status %d: %s", arguments, done.returncode,
                 done.stderr)
    return done.stdout, done.stderr


def merge(paths, *arguments, **more):
    out, error = run("merge", "--json", "-w", f"{WORK}/out.pcapng", *paths, *arguments, **more)
    summary = json.loads(out)
    judge.demand(summary["read"] == summary["written"] + summary["not_selected"], "%r", summary)
    merged = judge.read(f"{WORK}/out.pcapng")
    judge.demand(len(merged.packets) == summary["written"], "%r", summary)
    return merged, summary, error


def payload(i):
    return struct.pack("!I", i) + RANDOM.randbytes(RANDOM.randrange(10, 100))


def both_orders():
    """Two sections in a file, of both byte orders and other resolutions, and two kinds of pcap."""
    data = [payload(i) for i in range(8)]
    flags = 0x12345601
    sections = b""
    for order, first in (("<", 0), (">", 2)):
        more = (option(order, 1, b"of no number") + option(order, 2, struct.pack(order + "I", flags))
                + option(order, 4, struct.pack(order + "Q", 1 << 40 | first))
                + option(order, 2989, struct.pack(order + "I", 32473) + b"\1\2\3\4\5"))
        sections += section(order) + interface(order, "same") + interface(order, "micro", 6)
        sections += packet(order, 0, BASE + 10 * first, data[first], more, 1500)
        sections += packet(order, 1, BASE // 1000 + 5 * first, data[first + 1])
        sections += block(order, 0x80000001, b"whatever")
        sections += statistics(order, 0, 1 + first) + statistics(order, 1, 1)
    files = [write("sections.pcapng", sections)]
    judge.write_pcap(f"{WORK}/ns.pcap", [(BASE + 5, data[4], 999), (BASE + 7000, data[5])], True)
    with open(f"{WORK}/swapped.pcap", "wb") as file:  # microseconds
        file.write(struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i in (6, 7):
            file.write(struct.pack(">IIII", BASE // judge.NS, i, len(data[i]), 500) + data[i])
    merged, summary, _ = merge(files + [f"{WORK}/ns.pcap", f"{WORK}/swapped.pcap"])
    order = sorted(range(8), key=lambda i: (
        {0: 0, 1: 0, 2: 20, 3: 10_000, 4: 5, 5: 7000, 6: 6000, 7: 7000}[i], i))
    judge.compare([p.data for p in merged.packets], [data[i] for i in order], "order")
    first, second = (p for p in merged.packets if p.length == 1500)
    judge.demand(first.flags == second.flags == flags, "flags %r %r", first, second)
    judge.demand([p.length for p in merged.packets if p.data == data[4]] == [999], "length")
    names = sorted(i.name or "" for i in merged.interfaces)
    judge.demand(names == ["", "", "micro", "same"], "interfaces %r", merged.interfaces)
    received = {merged.interfaces[s.interface].name: s.received for s in merged.statistics}
    judge.demand(received == {"same": 4, "micro": 2}, "statistics %r", received)
    judge.demand(summary["other_blocks"] == 2, "%r", summary)
    raw = open(f"{WORK}/out.pcapng", "rb").read()
    for order, first in (("<", 0), ("<", 2)):  # numbers in this machine's order, bytes as they were
        more = (option(order, 1, b"of no number") + option(order, 2, struct.pack(order + "I", flags))
                + option(order, 4, struct.pack(order + "Q", 1 << 40 | first))
                + option(order, 2989, struct.pack(order + "I", 32473) + b"\1\2\3\4\5"))
        judge.demand(raw.count(more + END_OF_OPTIONS) == 1, "options of %d", first)


def window():
    """Out of order within the window, and beyond it."""
    times = list(range(0, 4000))
    for at in range(0, 4000, 100):
        chunk = times[at:at + 100]
        RANDOM.shuffle(chunk)
        times[at:at + 100] = chunk
    content = section("<") + interface("<", "vni1")
    for i, time in enumerate(times):
        content += packet("<", 0, BASE + time, payload(i))
    path = write("shuffled.pcapng", content)
    merged, summary, _ = merge([path], "--window", "100")
    judge.demand([p.time - BASE for p in merged.packets] == list(range(4000)), "not sorted")
    judge.demand(summary["late"] == 0, "%r", summary)
    merged, summary, _ = merge([path], "--window", "2")
    got = [p.time - BASE for p in merged.packets]
    judge.demand(sorted(got) == list(range(4000)), "lost or doubled")
    late = sum(time < max(got[:i], default=0) for i, time in enumerate(got))
    judge.demand(summary["late"] == late > 0, "%r, not %d", summary, late)


def damaged():
    """Each kind of damage: its place is told, and what stands before is merged."""
    head = section("<") + interface("<", "vni1")
    good = [packet("<", 0, BASE + i, payload(i)) for i in range(5)]
    whole = write("good.pcapng", head + packet("<", 0, BASE + 2, payload(0)))
    at = len(head) + sum(map(len, good))
    torn = good[0][:-4] + struct.pack("<I", 8)
    for name, tail, what in (
        ("cut", good[0][:-10], "ends amid a block"),
        ("zeros", bytes(4096), "zeros where a block"),
        ("lengths", torn, "and 8 at its end"),
        ("huge", struct.pack("<II", 6, 1 << 30), "a block of 1073741824 bytes"),
        ("odd", struct.pack("<II", 6, 33) + bytes(40), "a block of 33 bytes"),
        ("interface", packet("<", 7, BASE, b""), "of interface 7, where there are 1"),
        ("long", block("<", 6, struct.pack("<IIIII", 0, 0, 0, 77, 77)), "longer than its block"),
        ("option", block("<", 6, bytes(20) + struct.pack("<HH", 2, 99)), "option is longer"),
        ("simple", block("<", 3, struct.pack("<I", 4) + b"abcd"), "has no time"),
    ):
        path = write(f"{name}.pcapng", head + b"".join(good) + tail)
        merged, summary, error = merge([path, whole], status=1)
        judge.demand(f"{path}: at byte {at}: " in error and what in error, "%s: %s", name, error)
        judge.demand(error.count(path) == 1, "said more than once: %s", error)
        judge.demand(summary["written"] == 6, "%s: %r", name, summary)
        judge.demand(not merged.statistics, "statistics of which a part is not known")
    for name, content in (("empty", b""), ("text", b"no capture file"), ("short", head[:20])):
        path = write(name + ".pcapng", content)
        _, summary, error = merge([path, whole], status=1)
        judge.demand(path in error and summary["written"] == 1, "%s: %s", name, error)
    live = write("live.pcapng.part", head + b"".join(good) + bytes(100))
    _, summary, error = merge([live, whole])
    judge.demand("still being written" in error and summary["written"] == 6, "live: %s", error)


def many():
    """Many files at a time, many more after each other, with few descriptors and little memory."""
    head = section("<") + interface("<", "vni1")
    files, n = [], 400
    for i in range(n):  # all overlap
        content = b"".join(packet("<", 0, BASE + 1000 * k + i, payload(i)) for k in range(20))
        files.append(write(f"many{i}.pcapng", head + content))
    merged, _, _ = merge(files, limit={resource.RLIMIT_NOFILE: 40})
    times = [p.time - BASE for p in merged.packets]
    judge.demand(times == [1000 * k + i for k in range(20) for i in range(n)], "many: not sorted")
    data = RANDOM.randbytes(60000)
    files = []
    for i in range(2):  # 240 MB, of which 16 MiB may be kept
        path = f"{WORK}/large{i}.pcapng"
        with open(path, "wb") as file:
            file.write(head)
            for k in range(2000):
                file.write(packet("<", 0, BASE + 2 * k + i, data))
        files.append(path)
    if "ASAN_OPTIONS" in os.environ:  # the sanitizer reserves addresses by the terabyte
        return
    run("merge", "--memory", "16M", "-w", f"{WORK}/large.pcapng", *files,
        limit={resource.RLIMIT_AS: 64 << 20})
    judge.demand(os.path.getsize(f"{WORK}/large.pcapng") > 4000 * len(data), "large: too short")


def main():
    os.mkdir(WORK)
    both_orders()
    window()
    damaged()
    many()
    print("strange files: both byte orders, windows, damage, many at a time")


if __name__ == "__main__":
    main()
