# SPDX-License-Identifier: BSD-3-Clause
"""
Forwarding inner frames to an interface of the kernel's.

    forward.tap    frames a second that the kernel receives from a tap on which tcpdump reads, by the
                   interface's own counter; one lcore that receives, decapsulates and sends (-W 0).
                   Baseline: dpdk-testpmd, io forwarding, from a trace of the same inner frames into
                   the same kind of tap with the same reader: it cannot decapsulate, and whole
                   mirrored packets would not fit the tap
"""

import contextlib
import pathlib
import subprocess
import time

import bench

TAP = "ms-bench0"
STATISTICS = pathlib.Path("/sys/class/net") / TAP / "statistics"


def frames():
    """That the kernel has had from the tap so far; 0 if it is not there yet."""
    try:
        return int((STATISTICS / "rx_packets").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def reader(place):
    """tcpdump on the tap, on the processor that does not forward."""
    command = ["taskset", "-c", str(bench.cpus()[0]), "tcpdump", "-n", "-i", TAP]
    log = f"{place.scratch}/tcpdump.log"
    with bench.running([*command, "-w", "/dev/null"], log, "listening on"):
        yield


def rate(place, program, log):
    """Frames a second, of a program that forwards from now on."""
    with reader(place):
        before, began = frames(), time.monotonic()
        time.sleep(bench.SECONDS)
        after, ended = frames(), time.monotonic()
    if program.poll() is not None:
        raise bench.Failed(f"{program.args[0]} ends: {bench.tail(log)}")
    return (after - before) / (ended - began)


def ours(place):
    log = f"{place.scratch}/sink.log"
    command = [str(place.sink), *bench.eal("ms-bench"), place.source("imix")]
    command += [f"--vdev=net_tap0,iface={TAP}", "--", "-W", "0", "-r", "net_pcap0"]
    with bench.running([*command, "-f", "net_tap0"], log) as program:
        bench.wait_until(lambda: frames() > 0, program, log)
        got = rate(place, program, log)
        status = bench.end(program)
    if status != 0:
        raise bench.Failed(f"mirrorsink ends with {status}: {bench.tail(log)}")
    return got


def testpmd(place):
    log = f"{place.scratch}/testpmd.log"
    command = ["stdbuf", "-oL", "dpdk-testpmd", *bench.eal("ms-bench-testpmd")]
    command += [place.source("inner-imix"), f"--vdev=net_tap0,iface={TAP}", "--", "-i"]
    command += ["--forward-mode=io", "--nb-cores=1", "--burst=64"]
    with bench.running(command, log, "testpmd> ", stdin=subprocess.PIPE) as program:
        program.stdin.write(b"start\n")
        program.stdin.flush()
        bench.wait_until(lambda: frames() > 0, program, log)
        got = rate(place, program, log)
        program.stdin.write(b"stop\nquit\n")
        program.stdin.close()
        program.wait(timeout=bench.PATIENCE)
    return got


def forward_tap(place):
    return bench.compare(
        "forward.tap",
        lambda: ours(place),
        lambda: testpmd(place),
        ("Mpps", 1e6),
        "testpmd io",
        0.95,
    )


ROWS = [forward_tap]
