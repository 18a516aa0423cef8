# SPDX-License-Identifier: BSD-3-Clause
"""
What the suites share: the programs, started on the same source and processors, and rows: two
measurements one after the other (compare) or in short turns (Turns), or one that has no peer (measure).

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

import near

ROUNDS = int(os.environ.get("ROUNDS", "9"))
SECONDS = int(os.environ.get("SECONDS_EACH", "2"))
QUICK = bool(os.environ.get("QUICK"))  # small sizes: see that it runs, whatever comes out
MPPS = ("Mpps", 1e6)
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


def sink_command(place, trace, options, workers=0):
    """mirrorsink, which receives the packets of a trace and leaves a summary."""
    command = [str(place.sink), *eal("ms-bench", workers=workers), place.source(trace), "--"]
    return [*command, *options, "--summary", f"{place.scratch}/summary.json"]


def summary(place, status):
    """The one that mirrorsink left when it ended, in which no output lost what it was offered."""
    if status != 0:
        raise Failed(f"mirrorsink ends with {status}: {tail(f'{place.scratch}/sink.log')}")
    with open(f"{place.scratch}/summary.json", encoding="utf-8") as file:
        made = json.load(file)
    for one in made["outputs"]:
        if one["written"] != one["offered"]:
            raise Failed(f"lost frames: {one}")
    return made


def check_delivered(made):
    """Whether all packets of a summary reached the output; how many did."""
    received = made["received"]["packets"]
    if not made["balanced"] or made["fates"]["delivered"] != received:
        fates = {name: count for name, count in made["fates"].items() if count}
        raise Failed(f"of {received} packets not all are delivered: {fates}")
    written = sum(one["written"] for one in made["outputs"])
    if written != received:
        raise Failed(f"{received} packets received, {written} reached the output")
    return written


def sink(place, trace, options):
    """Runs mirrorsink for SECONDS; returns its summary."""
    log = f"{place.scratch}/sink.log"
    command = sink_command(place, trace, [*options, "-a", f"duration:{SECONDS}"])
    with open(log, "w", encoding="utf-8") as file:
        try:
            status = subprocess.run(
                command, stdout=file, stderr=file, check=False, timeout=SECONDS + PATIENCE
            ).returncode
        except subprocess.TimeoutExpired as late:
            raise Failed(f"mirrorsink does not end: {tail(log)}") from late
    return summary(place, status)


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


def named(name, function):
    """A function of a suite whose row has this name, in case that it cannot be measured."""
    function.row = name
    return function


def name_of(function):
    """The row that a function of a suite makes, if it says no other: sniff_rtc is sniff.rtc."""
    return getattr(function, "row", getattr(function, "__name__", "?").replace("_", "."))


def twice(measured, again):
    """A measurement, which may fail once: machines are shared, and a load that is lost while somebody
    else has the processor says nothing. What failed goes to the list."""
    try:
        return measured()
    except Failed as wrong:
        print(f"once more: {wrong}", file=sys.stderr)
        again.append(str(wrong)[-200:])
        return measured()


def calm(pairs, at_most):
    """The third of pairs that was least disturbed: whose product is the best."""
    best = sorted(pairs, key=lambda pair: pair[0] * pair[1], reverse=not at_most)
    return best[: max(1, len(best) // 3)]


class Row:
    """
    A row in the making: turn() is one round of it, rows() what has come of all rounds so far.
    sides: functions that measure ours and, if there is one, the baseline, one after the other. unit:
    (name, how many of a second's make one). target: of the ratio, or without a baseline of the
    value; at_most: it is not to be exceeded, else to be reached; None: none. starts: how often both
    are measured in a round, each time in programs of their own.
    """

    def __init__(self, name, sides, unit, what, target, at_most, starts=1):
        self.name, self.sides, self.unit, self.what = name, sides, unit, what
        self.target, self.at_most = target, at_most
        self.starts = 1 if QUICK else starts
        self.rounds, self.values, self.again, self.error = 0, [], [], None

    def take(self):
        """What one round measures: a list of values, or of pairs."""
        return [self.figures() for _ in range(self.starts)]

    def figures(self):
        return [twice(side, self.again) for side in self.sides]

    def turn(self):
        """After a round that failed there is no other."""
        if self.error is not None:
            return
        try:
            made = [[one / self.unit[1] for one in values] for values in self.take()]
            if min(map(min, made)) <= 0:
                raise Failed(f"measured nothing: {made}")
        except Failed as wrong:
            self.fail(wrong)
            return
        self.rounds += 1
        self.values += made
        means = [statistics.median(side) for side in zip(*made)]
        beside = f", {self.what} {means[1]:.3f}" if self.what else ""
        print(f"{self.name}: {means[0]:.3f} {self.unit[0]}{beside}", file=sys.stderr)

    def fail(self, why):
        print(f"{self.name}: {why}", file=sys.stderr)
        self.error = str(why)

    def told(self, columns):
        """The figures of the row, from the columns of all rounds."""
        return {key: statistics.median(column) for key, column in columns.items()}

    def rows(self):
        error = self.error or (None if self.values else "not measured")
        columns, told = {}, {}
        if error is None:
            sides = list(zip(*self.values))
            if len(sides) == 2:
                sides.append([ours / baseline for ours, baseline in self.values])
            columns = dict(zip(("value", "baseline_value", "ratio"), sides))
            told = self.told(columns)
        judged = told.get("ratio" if self.what else "value")
        return [
            {
                "name": self.name,
                "value": told.get("value"),
                "unit": self.unit[0],
                "baseline": self.what,
                "baseline_value": told.get("baseline_value"),
                "ratio": told.get("ratio"),
                "target": self.target,
                "at_most": self.at_most,
                "holds": False if error else reaches(judged, self.target, self.at_most),
                "rounds": self.rounds,
                "again": self.again,
                "spread": {key: [min(column), max(column)] for key, column in columns.items()},
                **({"error": error} if error else {}),
            }
        ]


class Turns(Row):
    """
    A row whose two sides take short turns, of which a start of the programs gives the pairs. Where
    their memory lies, and so what of it a cache keeps, is settled then: turns of one start agree, and
    the next may be a sixth faster. So a round has several starts, and each of them is one figure: the
    medians of the third of its pairs that was least disturbed.
    """

    def __init__(self, name, start, starts, unit, what, target, at_most=False):
        super().__init__(name, [start], unit, what, target, at_most, starts)

    def figures(self):
        pairs = twice(self.sides[0], self.again)
        return [statistics.median(side) for side in zip(*calm(pairs, self.at_most))]


class Alone(Row):
    """
    A row of what the machine gives while it is left alone, which is not most of the time: of all that
    was measured the figure below which there is this share; the ratio is that of the two figures.
    """

    def __init__(self, name, unit, what, share):
        super().__init__(name, [], unit, what, None, at_most=False)
        self.share = share

    def told(self, columns):
        figures = {
            key: sorted(columns[key])[int(self.share * (len(columns[key]) - 1))]
            for key in ("value", "baseline_value")
            if key in columns
        }
        if self.what:
            figures["ratio"] = figures["value"] / figures["baseline_value"]
        return figures


def reaches(value, target, at_most):
    if target is None:
        return None
    return value <= target if at_most else value >= target


def compare(name, ours, baseline, unit, what, target, at_most=False, starts=1):
    """A row whose two sides are measured one after the other."""
    sides = [lambda: near.undisturbed(ours), lambda: near.undisturbed(baseline)]
    return Row(name, sides, unit, what, target, at_most, starts)


def measure(name, ours, unit, target, at_most=True):
    """A row of what has no peer."""
    return Row(name, [lambda: near.undisturbed(ours)], unit, None, target, at_most)
