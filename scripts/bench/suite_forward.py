# SPDX-License-Identifier: BSD-3-Clause
"""
Forwarding inner frames to an interface of the kernel's.

    forward.tap    frames a second that the kernel receives from a tap on which tcpdump reads, by the
                   interface's own counter; one lcore that receives, decapsulates and sends (-W 0).
                   Baseline: dpdk-testpmd, io forwarding, from a trace of the same inner frames into
                   the same kind of tap with the same reader, in short turns (turns.py): it cannot
                   decapsulate, and whole mirrored packets would not fit the tap
"""

import contextlib
import pathlib
import subprocess

import bench
import turns

TAPS = ("ms-bench0", "ms-bench1")
STARTS = 2  # in a round


def frames(tap):
    """That the kernel has had from the tap so far; 0 if it is not there yet."""
    try:
        path = pathlib.Path("/sys/class/net") / tap / "statistics/rx_packets"
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def forwarding(place, name, command, ready, tap, begin=b""):
    """A program that has begun to send to a tap, on which tcpdump reads on the processor that does not
    forward."""
    log = f"{place.scratch}/{name}.log"
    with bench.running(command, log, ready, stdin=subprocess.PIPE) as program:
        try:
            program.stdin.write(begin)
            program.stdin.flush()
            bench.wait_until(lambda: frames(tap) > 0, program, log)
            reader = ["taskset", "-c", str(bench.cpus()[0]), "tcpdump", "-n", "-i", tap]
            reader += ["-w", "/dev/null"]
            with bench.running(reader, f"{place.scratch}/tcpdump-{tap}.log", "listening on"):
                with turns.playing([program], lambda: frames(tap)) as one:
                    yield one
        finally:
            program.stdin.close()  # testpmd, waiting for a command, overlooks a signal


def ours(place, tap):
    command = [str(place.sink), *bench.eal("ms-bench"), place.source("imix")]
    command += [f"--vdev=net_tap0,iface={tap}", "--", "-W", "0", "-r", "net_pcap0"]
    return forwarding(place, "sink", [*command, "-f", "net_tap0"], "rx lcores: 1", tap)


def testpmd(place, tap):
    command = ["stdbuf", "-oL", "dpdk-testpmd", *bench.eal("ms-bench-testpmd")]
    command += [place.source("inner-imix"), f"--vdev=net_tap0,iface={tap}", "--", "-i"]
    command += ["--forward-mode=io", "--nb-cores=1", "--burst=64"]
    return forwarding(place, "testpmd", command, "testpmd> ", tap, b"start\n")


def forward_tap(place):
    def start():
        with testpmd(place, TAPS[1]) as theirs:
            with ours(place, TAPS[0]) as sink:
                made = turns.pairs((sink, theirs), two=True)
            if (status := sink.processes[0].returncode) != 0:
                log = bench.tail(f"{place.scratch}/sink.log")
                raise bench.Failed(f"mirrorsink ends with {status}: {log}")
        return made

    return bench.Turns("forward.tap", start, STARTS, bench.MPPS, "testpmd io", 0.95)


ROWS = [forward_tap]
