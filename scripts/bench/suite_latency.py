# SPDX-License-Identifier: BSD-3-Clause
"""
How long a frame is under way, from when its mirrored packet was due on the wire until who receives
the inner frames has it: 60 bytes, sessions and a filter of ten rules, one lcore (-W 0). Both ways are
memifs, memory shared with a program on the other processor that sends at a set rate and receives
(test/bench/latency_bench.c): four copies and two rings are in the figure, and no NIC.

    latency.rate      the highest rate at which less than one in a thousand is lost, sought in halves
                      (to demand nothing would find out how long a hypervisor takes the processor away:
                      a queue has 8,192 places, the most that ENA has); baseline:
                      dpdk-testpmd, io forwarding, one lcore, between the same memifs: it does nothing
                      to the packets, so what it takes is the memifs' part. Sender and receiver share
                      a processor and may be what bounds both: bound is "sender" if the last rate that
                      was too much was so for it, else "between"
    latency.10, .50, .90   at that many per cent of our highest rate, the 99th percentile while the
                      machine is left alone: the median of those of windows of 1 ms. A hypervisor that
                      takes a processor away for some ms at a time makes all plain ones its own; they
                      are beside it: p50, p99, p999, and lost, the share of frames. Baseline: testpmd
                      at the same rate
    latency.idle.*    the same at 1,000 packets a second, so with pauses of 1 ms, for --idle poll and
                      adaptive (windows of 200 ms); cpu is what the program takes of a processor meanwhile
"""

import contextlib
import json
import os
import statistics
import subprocess
import time

import bench

SHARES = (10, 50, 90)  # per cent of the highest rate
IDLE_RATE = 1000
FIRST_RATE = 1_000_000
STEPS = 2 if bench.QUICK else 6  # halvings, which find the rate to within a few per cent
TRIES = 8  # short ones: a machine that is shared has pauses
SEEK_SECONDS = 0.05
LOSS = 1e-3
QUEUE = 13  # places, as a power of two
SECONDS = 0.3 if bench.QUICK else bench.SECONDS
US = ("us", 1)
FIELDS = ("p50", "p99", "p999", "lost")


class Meter:
    """latency_bench, which goes on while programs between its two ports come and go."""

    def __init__(self, place, process):
        self.place, self.process = place, process

    def trial(self, rate, seconds):
        """Sends so many packets a second; what became of them."""
        self.process.stdin.write(f"{rate} {seconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise bench.Failed(f"latency_bench ends: {bench.tail(f'{self.place.scratch}/meter.log')}")
        made = json.loads(line)
        made["lost"] = 1 - made["received"] / made["due"]
        return made


def kept_up(gauge, rate, seconds):
    """A trial in which the sender did what it had to, or did most of it: lost says how much not."""
    best = None
    for _ in range(3):
        made = gauge.trial(rate, seconds)
        if best is None or made["due"] - made["offered"] < best["due"] - best["offered"]:
            best = made
        if best["due"] - best["offered"] <= LOSS * best["due"]:
            break
    return best


@contextlib.contextmanager
def meter(place):
    have = bench.cpus()
    command = [str(place.build / "test/bench/latency_bench"), "--no-pci"]
    command += bench.memory(bench.free_huge_pages()) + ["--file-prefix", "ms-bench-meter"]
    command += ["--lcores", f"0@{have[0]},1@{have[0]}"]
    command += [*memifs(place, "server"), "--", "traces/min.pcap"]
    log = f"{place.scratch}/meter.log"
    with open(log, "w", encoding="utf-8") as file, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
    ) as process:
        try:
            for line in process.stdout:
                if line.strip() == "ready":
                    break
            else:
                raise bench.Failed(f"latency_bench does not start: {bench.tail(log)}")
            yield Meter(place, process)
        finally:
            process.kill()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{place.scratch}/memif")


def memifs(place, role):
    """The two ports that the meter shares with the program under test."""
    socket = f"{place.scratch}/memif"
    return [
        f"--vdev=net_memif{i},role={role},id={i},rsize={QUEUE},socket-abstract=no,socket={socket}"
        for i in (0, 1)
    ]


@contextlib.contextmanager
def program(place, gauge, command, ready):
    """One between the ports, from when packets come through it."""
    log = f"{place.scratch}/between.log"
    with bench.running(command, log, ready, stdin=subprocess.PIPE) as process:
        for _ in range(50):
            if gauge.trial(1000, 0.1)["received"] > 0:
                break
        else:
            raise bench.Failed(f"no packet comes through: {bench.tail(log)}")
        gauge.trial(100_000, 0.2)  # caches, and pages that were never touched
        yield process
    if process.returncode != 0:
        raise bench.Failed(f"{command[0]} ends with {process.returncode}: {bench.tail(log)}")


def ours(place, gauge, *options):
    command = [str(place.sink), *bench.eal("ms-bench"), *memifs(place, "client"), "--"]
    command += ["-r", "net_memif0", "-f", "net_memif1", "-W", "0", "-c", "traces/documents.json"]
    return program(place, gauge, [*command, *options], "rx lcores: 1")


def testpmd(place, gauge):
    command = ["stdbuf", "-oL", "dpdk-testpmd", *bench.eal("ms-bench-testpmd")]
    command += [*memifs(place, "client"), "--", "--forward-mode=io", "--no-flush-rx", "--nb-cores=1"]
    return program(place, gauge, [*command, "--burst=64"], "Press enter to exit")


def loses(gauge, rate):
    """None if nearly all frames came back, else who could not keep up."""
    for _ in range(TRIES):
        made = gauge.trial(rate, SEEK_SECONDS)
        if made["lost"] < LOSS:
            return None
    return "sender" if made["due"] - made["offered"] > LOSS * made["due"] else "between"


def highest(gauge):
    """The highest rate without loss, and who bounds it."""
    good, bad, bound = 0, FIRST_RATE, None
    while (who := loses(gauge, bad)) is None:
        good, bad = bad, 2 * bad
    bound = who
    for _ in range(STEPS):
        rate = (good + bad) // 2
        who = loses(gauge, rate)
        if who is None:
            good = rate
        else:
            bad, bound = rate, who
    if good == 0:
        raise bench.Failed(f"even at {bad} packets a second some are lost")
    return good, bound


def median(trials, field):
    values = [one[field] for one in trials if one.get(field) is not None]
    return statistics.median(values) if values else None


def figures(trials):
    """The figure of one trial after the other, for the row."""
    if any(one["quiet"] is None for one in trials):
        raise bench.Failed("no frame came back")
    left = iter(trials)
    return lambda: next(left)["quiet"]


def loaded(place):
    """The rates, and then both programs in turns at parts of ours."""
    rates, theirs, bounds = [], [], []
    made = {share: ([], []) for share in SHARES}
    with meter(place) as gauge:
        for _ in range(bench.ROUNDS):
            with ours(place, gauge):
                rate, bound = highest(gauge)
                rates.append(rate)
                bounds.append(bound)
            with testpmd(place, gauge):
                theirs.append(highest(gauge)[0])
        rate = statistics.median(rates)
        for _ in range(bench.ROUNDS):
            for side, between in enumerate((ours, testpmd)):
                with between(place, gauge):
                    for share in SHARES:
                        made[share][side].append(kept_up(gauge, rate * share / 100, SECONDS))
    rates, theirs = iter(rates), iter(theirs)
    rows = [
        bench.compare(
            "latency.rate",
            lambda: next(rates),
            lambda: next(theirs),
            ("Mpps", 1e6),
            "testpmd io",
            None,
        )
    ]
    rows[0]["bound"] = bounds
    for share, (mine, base) in made.items():
        row = bench.compare(
            f"latency.{share}", figures(mine), figures(base), US, "testpmd io", None, at_most=True
        )
        row["rate"] = rate * share / 100
        row.update({field: median(mine, field) for field in FIELDS})
        row.update({f"baseline_{field}": median(base, field) for field in FIELDS})
        rows.append(row)
    return rows


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(place):
    """Both ways to idle in turns."""
    made = {"poll": [], "adaptive": []}
    seconds = max(SECONDS, 1)
    with meter(place) as gauge:
        for _ in range(bench.ROUNDS):
            for how, trials in made.items():
                with ours(place, gauge, "--idle", how) as process:
                    began, before = time.monotonic(), cpu_seconds(process)
                    trials.append(kept_up(gauge, IDLE_RATE, seconds))
                    took = time.monotonic() - began
                    trials[-1]["cpu"] = (cpu_seconds(process) - before) / took
    rows = []
    for how, trials in made.items():
        rows.append(bench.measure(f"latency.idle.{how}", figures(trials), US, None))
        rows[-1].update({field: median(trials, field) for field in (*FIELDS, "cpu")})
    return rows


ROWS = [bench.named("latency", loaded), bench.named("latency.idle", idle)]
