# SPDX-License-Identifier: BSD-3-Clause
"""
What the suites share: the programs, started on the same source and processors, and rows: two
measurements in turns (compare), or one that has no peer (measure).

A row is a dict: name; value, its median; unit; baseline, what it is held against, and
baseline_value, its median; ratio, the median of the ratios of each round; target, which the ratio,
or the value of a row without baseline, has to reach or, with at_most, not to exceed; holds, whether
it does, None without a target; rounds; spread, the lowest and highest of each of the three; again,
what failed once and went well the next time; and error, if it could not be measured.
"""

import contextlib

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

ROUNDS = int(os.environ.get("ROUNDS", "9"))
SECONDS = int(os.environ.get("SECONDS_EACH", "2"))
QUICK = bool(os.environ.get("QUICK"))  # small sizes: see that it runs, whatever comes out
PATIENCE = 60  # seconds that a program may take to start or to end


class Failed(Exception):
    """A row that could not be measured, and why."""


def cpus():
    return sorted(os.sched_getaffinity(0))


class Place:
    """Where traces, programs and scratch files are."""

    def __init__(self, folder):
        self.folder = folder
        os.chdir(folder)
        self.build = folder / "build"
        self.sink = self.build / "app/mirrorsink/mirrorsink"
        self.mirrorsource = self.build / "app/mirrorsource/mirrorsource"
        self.scratch = tempfile.mkdtemp(prefix="run.", dir=folder)

    def __del__(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def source(self, trace):
        """A port that gives the packets of a trace without end. The path is short: a second
        process of DPDK finds no device whose arguments are long."""
        return f"--vdev=net_pcap0,rx_pcap=traces/{trace}.pcap,infinite_rx=1"


def free_huge_pages():
    with open("/proc/meminfo", encoding="utf-8") as file:
        found = re.search(r"HugePages_Free: +(\d+)", file.read())
    return int(found.group(1)) if found else 0


def memory(free):
    """EAL arguments of a program that is alone, if so many huge pages are free: it leaves no file
    behind. DPDK 22.11 refuses --no-huge and --in-memory together; and testpmd's mbufs need more
    than their sum in small pages."""
    if free >= 256:
        return ["-m", "512", "--in-memory"]
    return ["-m", "1024", "--no-huge", "--no-shconf"]


def eal(prefix, alone=True, workers=0):
    """EAL arguments: control on the first processor, which sleeps; one lcore that works on the
    other, and workers on the first. alone: without files that a second process would need."""
    have = cpus()
    lcores = f"0@{have[0]},1@{have[-1]}"
    lcores += "".join(f",{2 + i}@{have[0]}" for i in range(workers))
    arguments = ["--lcores", lcores, "--no-pci"]
    if not alone:
        return [*arguments, "-m", "512"]
    return [*arguments, *memory(free_huge_pages()), "--file-prefix", prefix]


def tail(path):
    """The end of what a program said."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()[-500:]


def sink(place, trace, options, output="write", workers=0):
    """Runs mirrorsink for SECONDS; returns its summary, in which everything that was offered to
    the output was written."""
    summary = f"{place.scratch}/summary.json"
    log = f"{place.scratch}/sink.log"
    command = [str(place.sink), *eal("ms-bench", workers=workers), place.source(trace), "--"]
    command += [*options, "-a", f"duration:{SECONDS}", "--summary", summary]
    with open(log, "w", encoding="utf-8") as file:
        try:
            status = subprocess.run(
                command, stdout=file, stderr=file, check=False, timeout=SECONDS + PATIENCE
            ).returncode
        except subprocess.TimeoutExpired as late:
            raise Failed(f"mirrorsink does not end: {tail(log)}") from late
    if status != 0:
        raise Failed(f"mirrorsink ends with {status}: {tail(log)}")
    with open(summary, encoding="utf-8") as file:
        made = json.load(file)
    for one in made["outputs"]:
        if one["name"] == output and one["written"] != one["offered"]:
            raise Failed(f"lost frames: {one}")
    return made


def testpmd(place, trace):
    """Packets a second that testpmd receives and drops."""
    command = ["stdbuf", "-oL", "dpdk-testpmd", *eal("ms-bench-testpmd"), place.source(trace), "--", "-i"]
    command += ["--forward-mode=rxonly", "--nb-cores=1", "--burst=64"]
    log = f"{place.scratch}/testpmd.log"
    with running(command, log, "testpmd> ", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"start\n")
        process.stdin.flush()
        began = time.monotonic()
        time.sleep(SECONDS)
        process.stdin.write(b"stop\n")
        process.stdin.flush()
        took = time.monotonic() - began
        wait_for(log, "Done.")
    with open(log, encoding="utf-8", errors="replace") as file:
        got = re.findall(r"RX-packets: (\d+)", file.read())
    if not got:
        raise Failed(f"testpmd says: {tail(log)}")
    return int(got[-1]) / took


def sleeping(place):
    """Options with which the sink sleeps when nothing comes, if it can."""
    told = subprocess.run([place.sink, "--help"], capture_output=True, text=True, check=False)
    return ["--idle", "adaptive"] if "--idle" in told.stdout else []


@contextlib.contextmanager
def running(command, log, ready=None, stop=signal.SIGINT, **more):
    """A program in the background, for as long as a with statement: begun when it has said the
    text in its log, ended by a signal."""
    with open(log, "w", encoding="utf-8") as file:
        more = {"stdin": subprocess.DEVNULL, **more}
        process = subprocess.Popen(command, stdout=file, stderr=file, **more)
    try:
        if ready is not None:
            wait_for(log, ready, process)
        yield process
    finally:
        end(process, stop)


def end(process, stop=signal.SIGINT):
    """Ends a program, and returns its status."""
    if process.poll() is None:
        process.send_signal(stop)
    try:
        return process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def dumpcap(place, trace, path):
    """Packets a second that dpdk-dumpcap writes to a file, from a testpmd that receives them."""
    if free_huge_pages() < 256:
        raise Failed("dpdk-dumpcap needs 256 huge pages, in which it shares memory with testpmd")
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


def wait_until(holds, process=None, log=None):
    """Waits until a function returns true; fails if the process ends before, or it takes long."""
    until = time.monotonic() + PATIENCE
    while not holds():
        if process is not None and process.poll() is not None:
            raise Failed(f"{process.args[0]} ends with {process.returncode}: {tail(log)}")
        if time.monotonic() > until:
            raise Failed(f"nothing after {PATIENCE} s: {tail(log) if log else ''}")
        time.sleep(0.05)


def wait_for(path, text, process=None):
    """Waits until a program has said this."""

    def said():
        with open(path, encoding="utf-8", errors="replace") as file:
            return text in file.read()

    wait_until(said, process, path)


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


def named(name, function):
    """A function of a suite whose row has this name, in case that it cannot be measured."""
    function.row = name
    return function


def name_of(function):
    """The row that a function of a suite makes, if it says no other: sniff_rtc is sniff.rtc."""
    return getattr(function, "row", getattr(function, "__name__", "?").replace("_", "."))


def failed(name, why, unit="-", what=None, target=None, at_most=False):
    """The row of something that could not be measured."""
    print(f"{name}: {why}", file=sys.stderr)
    return {
        "name": name,
        "value": None,
        "unit": unit,
        "baseline": what,
        "baseline_value": None,
        "ratio": None,
        "target": target,
        "at_most": at_most,
        "holds": False,
        "error": str(why),
    }


def twice(measured, again):
    """A measurement, which may fail once: machines are shared, and a load that is lost while somebody
    else has the processor says nothing. What failed goes to the list."""
    try:
        return measured()
    except Failed as wrong:
        print(f"once more: {wrong}", file=sys.stderr)
        again.append(str(wrong)[-200:])
        return measured()


def reaches(value, target, at_most):
    if target is None:
        return None
    return value <= target if at_most else value >= target


def compare(name, ours, baseline, unit, what, target, at_most=False):
    """Measures both in turns; a row of the table. unit: (name, how many of a second's make one).
    target: of the ratio; at_most: it is not to be exceeded, else to be reached; None: none."""
    pairs, again = [], []
    try:
        for turn in range(ROUNDS):
            pairs.append(tuple(twice(one, again) / unit[1] for one in (ours, baseline)))
            print(
                f"{name}: {turn + 1}/{ROUNDS}: {pairs[-1][0]:.3f} {unit[0]}, "
                f"{what} {pairs[-1][1]:.3f}",
                file=sys.stderr,
            )
            if min(pairs[-1]) <= 0:
                raise Failed(f"measured nothing: {pairs[-1]}")
    except Failed as wrong:
        return failed(name, wrong, unit[0], what, target, at_most)
    values, bases, ratios = zip(*((a, b, a / b) for a, b in pairs))
    ratio = statistics.median(ratios)
    return {
        "name": name,
        "value": statistics.median(values),
        "unit": unit[0],
        "baseline": what,
        "baseline_value": statistics.median(bases),
        "ratio": ratio,
        "target": target,
        "at_most": at_most,
        "holds": reaches(ratio, target, at_most),
        "rounds": len(pairs),
        "again": again,
        "spread": {
            "value": [min(values), max(values)],
            "baseline_value": [min(bases), max(bases)],
            "ratio": [min(ratios), max(ratios)],
        },
    }


def measure(name, ours, unit, target, at_most=True):
    """Measures what has no peer; a row of the table. unit: as of compare. target: of the value."""
    values, again = [], []
    try:
        for turn in range(ROUNDS):
            values.append(twice(ours, again) / unit[1])
            print(f"{name}: {turn + 1}/{ROUNDS}: {values[-1]:.3f} {unit[0]}", file=sys.stderr)
    except Failed as wrong:
        return failed(name, wrong, unit[0], None, target, at_most)
    value = statistics.median(values)
    return {
        "name": name,
        "value": value,
        "unit": unit[0],
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "target": target,
        "at_most": at_most,
        "holds": reaches(value, target, at_most),
        "rounds": len(values),
        "again": again,
        "spread": {"value": [min(values), max(values)]},
    }
