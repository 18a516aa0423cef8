# SPDX-License-Identifier: BSD-3-Clause
"""
How long a frame is under way, from when its mirrored packet was due on the wire until who receives
the inner frames has it: 60 bytes, sessions and a filter of ten rules, one lcore (-W 0). Both ways are
memifs, memory shared with a program on the other processor that sends at a set rate and receives
(test/bench/latency_bench.c): four copies and two rings are in the figure, and no NIC.

    latency.rate      the highest rate of all rounds at which less than one in a thousand is lost, sought in halves
                      (to demand nothing would find out how long a hypervisor takes the processor away:
                      a queue has 8,192 places, the most that ENA has); baseline:
                      dpdk-testpmd, io forwarding, one lcore, between the same memifs: it does nothing
                      to the packets, so what it takes is the memifs' part. Sender and receiver share
                      a processor and may be what bounds both: bound is "sender" if the last rate that
                      was too much was so for it, else "between"
    latency.10, .50, .90   at that many per cent of our highest rate, the median while the machine is
                      left alone: trials are short, each begins with empty queues, and the figure is
                      that below which there is a quarter of them. A hypervisor takes processors away for
                      some ms, or runs both on cores that share no cache for some seconds, and then all
                      quantiles are its own. Baseline of 10 and 50: testpmd at the same rate, its own
                      best quarter. 90 has none: so near to what the sender can do queues fill up in one
                      trial and not in the next, and ratios were anything from 0.0002 to 8,000
    latency.*.p99, .p999   the 99th and the 99.9th percentile of such a trial, whatever disturbed it: the
                      median of all trials
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
import near

SHARES = (10, 50, 90)  # per cent of the highest rate
COMPARED = (10, 50)  # those at which a ratio says something
IDLE_RATE = 1000
FIRST_RATE = 1_000_000
STEPS = 2 if bench.QUICK else 6  # halvings, which find the rate to within a few per cent
TRIES = 8  # short ones: a machine that is shared has pauses
SEEK_SECONDS = 0.05
LOSS = 1e-3
QUEUE = 13  # places, as a power of two
SEEKS = 1 if bench.QUICK else 4
SLICE_SECONDS = 0.1
SLICES = 3 if bench.QUICK else 7 * bench.SECONDS
STARTS = 1 if bench.QUICK else 2  # of each program in a round
LEFT_ALONE = 0.25  # of all slices: so many are
IDLE_SECONDS = max(1, bench.SECONDS)
US = ("us", 1)


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
    """None if nearly all frames came back, in half of the trials, else who could not keep up."""
    kept = 0
    for _ in range(TRIES):
        made = gauge.trial(rate, SEEK_SECONDS)
        kept += made["lost"] < LOSS
        if kept >= TRIES / 2:
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


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Loaded:
    """Both programs at the same rates: parts of the highest one of ours, which is sought before the
    first round, over several connections, since a seek that the hypervisor disturbs finds less."""

    def __init__(self, place):
        self.place, self.rate = place, None
        self.bounds = []
        self.highest = bench.Alone("latency.rate", bench.MPPS, "testpmd io", share=1)
        self.shares = {share: self.rows_of(share) for share in SHARES}

    def rows_of(self, share):
        """Of a share of the rate: p50 while the machine is left alone, and what all of it came to."""
        name = f"latency.{share}"
        plain = [bench.Row(f"{name}.{field}", [], US, None, None, True) for field in ("p99", "p999")]
        what = "testpmd io" if share in COMPARED else None
        return [bench.Alone(name, US, what, share=LEFT_ALONE), *plain]

    def turn(self):
        for _ in range(STARTS):
            self.start()
        for row in self.every():
            row.rounds += 1

    def start(self):
        """Both programs once."""
        trials = {share: [] for share in SHARES}
        rates = []
        with meter(self.place) as gauge:
            if self.rate is None:
                self.rate = max(self.seek(gauge)[0] for _ in range(SEEKS))
            for between in (ours, testpmd):
                with between(self.place, gauge):
                    rate, bound = near.undisturbed(lambda: highest(gauge))
                    rates.append(rate / bench.MPPS[1])
                    self.bounds.append(bound)
                    for share in SHARES if between is ours else COMPARED:
                        trials[share].append([self.trial(gauge, share) for _ in range(SLICES)])
        self.highest.values.append(rates)
        for share, sides in trials.items():
            alone, *plain = self.shares[share]
            alone.values += [tuple(one["p50"] for one in both) for both in zip(*sides)]
            for row in plain:
                row.values += [(one[row.name.rsplit(".", 1)[1]],) for one in sides[0]]

    def seek(self, gauge):
        with ours(self.place, gauge):
            return near.undisturbed(lambda: highest(gauge))

    def trial(self, gauge, share):
        made = near.undisturbed(lambda: gauge.trial(self.rate * share / 100, SLICE_SECONDS))
        if made["p50"] is None:
            raise bench.Failed("no frame came back")
        return made

    def every(self):
        return [self.highest, *(row for rows in self.shares.values() for row in rows)]

    def fail(self, why):
        for row in self.every():
            row.fail(why)

    def rows(self):
        made = [one for row in self.every() for one in row.rows()]
        made[0]["bound"] = self.bounds
        made[0]["offered_at_100"] = self.rate
        return made


class Idle:
    """Both ways to idle in turns."""

    def __init__(self, place):
        self.place = place
        self.ways = {
            how: bench.Row(f"latency.idle.{how}", [], US, None, None, True)
            for how in ("poll", "adaptive")
        }
        self.cpu = {how: [] for how in self.ways}

    def turn(self):
        with meter(self.place) as gauge:
            for how, row in self.ways.items():
                with ours(self.place, gauge, "--idle", how) as process:
                    began, before = time.monotonic(), cpu_seconds(process)
                    made = kept_up(gauge, IDLE_RATE, IDLE_SECONDS)
                    took = time.monotonic() - began
                    self.cpu[how].append((cpu_seconds(process) - before) / took)
                if made["quiet"] is None:
                    raise bench.Failed("no frame came back")
                row.values.append((made["quiet"],))
                row.rounds += 1

    def fail(self, why):
        for row in self.ways.values():
            row.fail(why)

    def rows(self):
        made = []
        for how, row in self.ways.items():
            made += row.rows()
            made[-1]["cpu"] = statistics.median(self.cpu[how]) if self.cpu[how] else None
        return made


ROWS = [bench.named("latency", Loaded), bench.named("latency.idle", Idle)]
