# SPDX-License-Identifier: BSD-3-Clause
"""
What receiving from an interface of the kernel's costs, at a load that both can take.

    export.kernel    CPU seconds of the receiver for a million frames, from a veth pair to a file on
                     tmpfs: everything that the machine does but the sender, softirqs, kernel threads
                     and idle polling included. Through a packet socket (af_packet). Baseline: the
                     kernel's vxlan interface and tcpdump -w
    export.kernel.xdp  the same through an XDP socket (af_xdp)
    export.kernel.floor  the same with nobody who receives: what the kernel itself takes to get a packet
                     from the veth to where it throws it away. No packet socket can be below that

The sender has the first processor and the receiver the last one; the kernel's receive work is steered
there, too, since on a veth it would otherwise run in the sender's name.
"""

import contextlib
import json
import os
import pathlib
import re
import time

import bench
import wire

RATE = int(os.environ.get("KERNEL_RATE", "30000" if bench.QUICK else "100000"))  # a second
RING = 16 << 20  # bytes of the packet socket's buffer, on both sides
LOST = 0.01  # of all frames: that much may be lost
FOREIGN = 0.05  # of the time: so long may other programs run
LAST_BLOCK = 1.2  # seconds after which a packet socket gives tcpdump what it has not filled yet
TMPFS = "/dev/shm" if os.path.isdir("/dev/shm") else None


def file(place):
    return pathlib.Path(TMPFS or place.scratch) / f"ms-bench-{os.getpid()}"


def window(sender):
    """CPU seconds of the receiver for a million frames that arrive, in the next SECONDS."""
    time.sleep(0.3)
    others = wire.others()
    frames, cpu = wire.counter(wire.B, "b0", "rx_packets"), wire.busy(sender)
    time.sleep(bench.SECONDS)
    frames = wire.counter(wire.B, "b0", "rx_packets") - frames
    cpu = wire.busy(sender) - cpu
    others = wire.others() - others
    # They cannot be taken off: softirqs interrupt whoever runs, and are charged to it.
    if others > FOREIGN * bench.SECONDS and not bench.QUICK:
        raise bench.Failed(f"other programs ran for {others:.2f} s of {bench.SECONDS} s")
    if frames < 0.9 * RATE * bench.SECONDS:
        raise bench.Failed(f"{frames} frames arrived in {bench.SECONDS} s, not {RATE} a second")
    return 1e6 * cpu / frames


def all_there(written):
    """Fails if too few of those that arrived were written."""
    arrived = wire.counter(wire.B, "b0", "rx_packets")
    if written < (1 - LOST) * arrived:
        raise bench.Failed(f"{arrived} frames arrived, {written} were written")


def ours(place, port):
    """With the sink on a port of this kind, af_packet or af_xdp."""
    last, path = bench.cpus()[-1], file(place).with_suffix(".pcapng")
    summary, log = f"{place.scratch}/summary.json", f"{place.scratch}/sink.log"
    vdev = {
        "af_packet": f"net_af_packet0,iface=b0,framecnt={RING // 2048}",
        "af_xdp": "net_af_xdp0,iface=b0",
    }[port]
    command = wire.at(wire.B, str(place.sink), "--no-huge", "--no-pci", "--no-shconf", "-m", "512")
    command += ["--file-prefix", "ms-bench", "--lcores", f"0@{last},1@{last}", f"--vdev={vdev}"]
    command += ["--", "-W", "0", "-w", str(path), "--summary", summary]
    command += bench.sleeping(place)
    try:
        with bench.running(command, log, "rx lcores:") as sink:
            if port == "af_xdp":
                wire.steer_xdp()
            with wire.offered(place, RATE) as sender:
                cost = window(sender)
            status = bench.end(sink)
        if status != 0:
            raise bench.Failed(f"mirrorsink ends with {status}: {bench.tail(log)}")
        with open(summary, encoding="utf-8") as text:
            all_there(json.load(text)["outputs"][0]["written"])
        return cost
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def vxlan():
    """The kernel's own end of the tunnels, of every VNI."""
    wire.ip("-n", wire.B, "address", "add", f"{wire.TARGET}/16", "dev", "b0")
    wire.ip("-n", wire.B, "link", "add", "vx0", "type", "vxlan", "dstport", "4789", "external")
    wire.ip("-n", wire.B, "link", "set", "vx0", "up")
    try:
        yield
    finally:
        wire.ip("-n", wire.B, "link", "del", "vx0")
        wire.ip("-n", wire.B, "address", "del", f"{wire.TARGET}/16", "dev", "b0")


def kernel(place):
    path, log = file(place).with_suffix(".pcap"), f"{place.scratch}/tcpdump.log"
    command = wire.at(wire.B, "taskset", "-c", str(bench.cpus()[-1]), "tcpdump", "-n", "-i", "vx0")
    command += ["-Z", "root", "-B", str(RING >> 10), "-w", str(path)]
    try:
        with vxlan(), bench.running(command, log, "listening on") as tcpdump:
            with wire.offered(place, RATE) as sender:
                cost = window(sender)
            time.sleep(LAST_BLOCK)
            bench.end(tcpdump)
            captured = re.search(r"(\d+) packets captured", bench.tail(log))
            all_there(int(captured.group(1)) if captured else 0)
        return cost
    finally:
        path.unlink(missing_ok=True)


def in_turns(measured):
    """On a wire of its own, so that the counters begin with 0."""
    with wire.wire(steer=True):
        return measured()


def nobody(place):
    with wire.offered(place, RATE) as sender:
        return window(sender)


def against_kernel(place, name, port):
    return bench.compare(
        name,
        lambda: in_turns(lambda: ours(place, port)),
        lambda: in_turns(lambda: kernel(place)),
        ("CPU s/M frames", 1),
        "vxlan, tcpdump -w",
        0.5,
        at_most=True,
        starts=2,
    )


def export_kernel_floor(place):
    return bench.measure(
        "export.kernel.floor", lambda: in_turns(lambda: nobody(place)), ("CPU s/M frames", 1), None
    )


ROWS = [
    bench.named("export.kernel", lambda place: against_kernel(place, "export.kernel", "af_packet")),
    bench.named(
        "export.kernel.xdp", lambda place: against_kernel(place, "export.kernel.xdp", "af_xdp")
    ),
    export_kernel_floor,
]
