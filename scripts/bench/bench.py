# SPDX-License-Identifier: BSD-3-Clause
"""
What the suites share: the programs, started on the same source and processors, and the comparison
of two measurements in turns.
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS_EACH", "4"))


class Failed(Exception):
    """A row that could not be measured, and why."""


def cpus():
    return sorted(os.sched_getaffinity(0))


class Place:
    """Where traces, programs and scratch files are."""

    def __init__(self, folder):
        self.folder = folder
        os.chdir(folder)
        self.sink = folder / "build/app/mirrorsink/mirrorsink"
        self.scratch = tempfile.mkdtemp(prefix="run.", dir=folder)

    def __del__(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def source(self, trace):
        """A port that gives the packets of a trace without end. The path is short: a second
        process of DPDK finds no device whose arguments are long."""
        return f"--vdev=net_pcap0,rx_pcap=traces/{trace}.pcap,infinite_rx=1"


def eal(prefix, alone=True):
    """EAL arguments: control on the first processor, which sleeps; one lcore that works on the
    other. alone: without files that a second process would need."""
    have = cpus()
    lcores = f"0@{have[0]},1@{have[-1]}"
    arguments = ["--lcores", lcores, "--no-pci", "-m", "512"]
    free = re.search(r"HugePages_Free: +(\d+)", open("/proc/meminfo", encoding="utf-8").read())
    if int(free.group(1)) < 256:
        arguments.append("--no-huge")
    return arguments + (["--in-memory", "--file-prefix", prefix] if alone else [])


def sink(place, trace, options, output="write"):
    """Runs mirrorsink for SECONDS; returns its summary, and the seconds it took in all."""
    summary = f"{place.scratch}/summary.json"
    log = f"{place.scratch}/sink.log"
    command = [str(place.sink), *eal("ms-bench"), place.source(trace), "--", *options]
    command += ["-a", f"duration:{SECONDS}", "--summary", summary]
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(command, stdout=file, stderr=file, check=False).returncode
    if status != 0:
        with open(log, encoding="utf-8") as file:
            raise Failed(f"mirrorsink ends with {status}: {file.read()[-500:]}")
    with open(summary, encoding="utf-8") as file:
        made = json.load(file)
    for one in made["outputs"]:
        if one["name"] == output and one["written"] != one["offered"]:
            raise Failed(f"lost frames: {one}")
    return made


def testpmd(place, trace):
    """Packets a second that testpmd receives and drops."""
    command = ["dpdk-testpmd", *eal("ms-bench-testpmd"), place.source(trace), "--", "-i"]
    command += ["--forward-mode=rxonly", "--nb-cores=1", "--burst=64"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        time.sleep(2)
        process.stdin.write("start\n")
        process.stdin.flush()
        time.sleep(SECONDS)
        said, _ = process.communicate("stop\nquit\n")
    got = re.findall(r"RX-packets: (\d+)", said)
    if not got:
        raise Failed(f"testpmd says: {said[-500:]}")
    return int(got[-1]) / SECONDS


def dumpcap(place, trace, path):
    """Packets a second that dpdk-dumpcap writes to a file, from a testpmd that receives them."""
    # The two have to register the same mempool drivers in the same order.
    linked = subprocess.run(
        ["ldd", shutil.which("dpdk-testpmd")], capture_output=True, text=True, check=True
    ).stdout
    drivers = sorted(re.findall(r"=> (\S*librte_(?:mempool|net|bus)_\S+)", linked))
    env = dict(os.environ, LD_PRELOAD=" ".join(drivers))
    command = ["dpdk-testpmd", *eal("", alone=False), place.source(trace), "--", "-i"]
    command += ["--forward-mode=rxonly", "--nb-cores=1"]
    log = f"{place.scratch}/primary.log"
    with open(log, "w", encoding="utf-8") as file, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=file, stderr=file, text=True, env=env
    ) as primary:
        try:
            wait_for(log, "testpmd> ")
            primary.stdin.write("start\n")
            primary.stdin.flush()
            with subprocess.Popen(
                ["dpdk-dumpcap", "-i", "0", "-w", path],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=env,
            ) as capture:
                time.sleep(1 + SECONDS)
                capture.send_signal(signal.SIGINT)
                try:
                    capture.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    capture.kill()
        finally:
            primary.kill()
    told = subprocess.run(
        ["capinfos", "-T", "-r", "-M", "-c", "-u", path],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if len(told) < 3 or float(told[-1]) == 0:
        raise Failed(f"dpdk-dumpcap wrote nothing; see {log}")
    return int(told[-2]) / float(told[-1])


def wait_for(path, text):
    """Waits until a program has said this."""
    for _ in range(200):
        with open(path, encoding="utf-8") as file:
            if text in file.read():
                return
        time.sleep(0.1)
    raise Failed(f"{path} does not come to {text!r}")


def dd(path, megabytes):
    """Bytes a second that dd writes past the page cache."""
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=4M", f"count={megabytes // 4}", "oflag=direct"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(os.environ, LC_ALL="C")
    ).stderr
    os.unlink(path)
    took = re.search(r"(\d+) bytes .* copied, ([0-9.]+) s", said)
    if took is None:
        raise Failed(f"dd says: {said}")
    return int(took.group(1)) / float(took.group(2))


def compare(name, ours, baseline, unit, what, target):
    """Measures both in turns; a row of the table. unit: (name, how many of a second's make one)."""
    pairs = []
    for turn in range(ROUNDS):
        pairs.append((ours(), baseline()))
        print(
            f"{name}: {turn + 1}/{ROUNDS}: {pairs[-1][0] / unit[1]:.3f} {unit[0]}, "
            f"{what} {pairs[-1][1] / unit[1]:.3f}",
            file=sys.stderr,
        )
    ratio = statistics.median(a / b for a, b in pairs)
    return {
        "name": name,
        "value": statistics.median(a for a, _ in pairs) / unit[1],
        "unit": unit[0],
        "baseline": what,
        "baseline_value": statistics.median(b for _, b in pairs) / unit[1],
        "ratio": ratio,
        "target": target,
        "holds": ratio >= target,
    }
