#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Reads what scripts/bench-ena.sh measures:

    ena.py watch PID COMMAND...     a line a second for as long as that process lives, from what the
                                    command prints, mirrorctl --json status
    ena.py sink SUMMARY             what a sink received, and what was lost in front of it or behind
    ena.py source SUMMARY           what a source sent
    ena.py compare SINK SOURCE      both together: who lost the rest
"""

import json
import os
import signal
import subprocess
import sys
import time

LIMITS = (
    "bw_in_allowance_exceeded",
    "pps_allowance_exceeded",
    "bw_out_allowance_exceeded",
    "conntrack_allowance_exceeded",
    "linklocal_allowance_exceeded",
)
LOST = ("imissed", "rx_overruns", "ierrors", "rx_nombuf")
COLUMNS = (
    ("seconds", 8), ("received", 12), ("delivered", 12), ("Gbit/s", 8), ("imissed", 10),
    ("rx_overruns", 12), ("pps_allowance", 14), ("bw_allowance", 13), ("output", 10),
)  # fmt: skip


def alive(pid):
    """Whether it runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def numbers(status):
    """What the columns show, as sums since the start."""

    def device(name):
        return sum(port.get(name, 0) for port in status["ports"] if port.get("role") == "mirror")

    return {
        "received": status["ledger"]["received"],
        "delivered": status["ledger"]["fates"]["delivered"],
        "Gbit/s": status["ledger"]["received_bytes"] * 8 / 1e9,
        "imissed": device("imissed"),
        "rx_overruns": device("rx_overruns"),
        "pps_allowance": device("pps_allowance_exceeded"),
        "bw_allowance": device("bw_in_allowance_exceeded"),
        "output": sum(one["offered"] - one["written"] for one in status["outputs"]),
    }


def watch(pid, *command):
    """Differences from one second to the next."""
    # The sink is ended by the same key; what it still does then is to be seen, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    began, last, at = time.monotonic(), None, 0.0
    print("".join(f"{name:>{width}}" for name, width in COLUMNS), flush=True)
    while alive(pid):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        now = time.monotonic()
        if done.returncode == 0:
            sums = numbers(json.loads(done.stdout))
            if last is not None:
                made = {key: (sums[key] - last[key]) / (now - at) for key in sums}
                line = f"{now - began:8.0f}"
                for name, width in COLUMNS[1:]:
                    value = made[name]
                    line += f"{value:>{width}.2f}" if name == "Gbit/s" else f"{value:>{width},.0f}"
                print(line, flush=True)
            last, at = sums, now
        time.sleep(max(0.05, 1 - (time.monotonic() - now)) if last is not None else 0.1)


def rate(count, seconds):
    return f"{count:>16,}  {count / seconds if seconds else 0:>14,.0f} a second"


def load(path, schema):
    try:
        with open(path, encoding="utf-8") as file:
            made = json.load(file)
    except (OSError, ValueError) as wrong:
        print(f"bench-ena.sh: {path}: {wrong}", file=sys.stderr)
        sys.exit(2)
    if not isinstance(made, dict) or made.get("schema") != schema:
        print(f"bench-ena.sh: {path}: no summary {schema}", file=sys.stderr)
        sys.exit(2)
    return made


def device(summary, names):
    """The sums over all ports of those counters that are there."""
    found = {}
    for counters in summary["device"].values():
        for name in names:
            if name in counters:
                found[name] = found.get(name, 0) + counters[name]
    return found


def limits(found):
    """Whether the instance's own limits were met."""
    if not found:
        return "  the device tells nothing of the instance's allowances: it is no ENA"
    met = [f"{name} {count:,}" for name, count in found.items() if count]
    return "  the instance's allowances: " + (", ".join(met) if met else "none exceeded")


def sink(path):
    """What was received and became of it, and what was lost before that."""
    made = load(path, "mirrorsink.summary/1")
    seconds = made["seconds"]
    print(f"{'received':<24}{rate(made['received']['packets'], seconds)}")
    for name, count in made["fates"].items():
        if count:
            print(f"  {name:<22}{rate(count, seconds)}")
    for one in made["outputs"]:
        print(f"output {one['name']:<17}{rate(one['written'], seconds)}")
        for reason, count in one["dropped"].items():
            if count:
                print(f"  {reason:<22}{rate(count, seconds)}")
    print("in front of the sink")
    for name, count in device(made, LOST).items():
        print(f"  {name:<22}{rate(count, seconds)}")
    print(limits(device(made, LIMITS)))
    if not made["balanced"]:
        print("THE LEDGER DOES NOT BALANCE")


def source(path):
    made = load(path, "mirrorsource.summary/1")
    print(f"{'sent':<24}{rate(made['sent']['packets'], made['seconds'])}")
    print(f"  {made['sent']['bytes'] * 8 / 1e9 / made['seconds']:.2f} Gbit/s")
    if not made["balanced"]:
        print("THE LEDGER DOES NOT BALANCE")


def compare(sink_path, source_path):
    """Who lost what was sent and not received."""
    to = load(sink_path, "mirrorsink.summary/1")
    of = load(source_path, "mirrorsource.summary/1")
    sent, received = of["sent"]["packets"], to["received"]["packets"]
    received -= to["fates"]["not_mirror"]  # ARP and the like, which the source has not sent
    lost = device(to, LOST)
    print(f"{'sent':<24}{rate(sent, of['seconds'])}")
    print(f"{'received':<24}{received:>16,}")
    for name, count in lost.items():
        if count:
            print(f"  {name:<22}{count:>16,}")
    # From DPDK 24.03 on ENA's imissed has the overruns in it.
    known = max(lost.get("imissed", 0), lost.get("rx_overruns", 0)) + lost.get("ierrors", 0)
    print(f"{'lost by the sink':<24}{known:>16,}")
    print(f"{'lost before':<24}{max(0, sent - received - known):>16,}")
    print(limits(device(to, LIMITS)))
    if known:
        print("The sink is slower than this rate.")
    elif received < sent:
        print("Not the sink: the network, one of the two instances' allowances, or a sink that began "
              "later or ended earlier than the source.")  # fmt: skip
    else:
        print("Nothing was lost: the sink is at least this fast.")


def main():
    roles = {"watch": watch, "sink": sink, "source": source, "compare": compare}
    os.environ["LC_ALL"] = "C"
    roles[sys.argv[1]](*sys.argv[2:])


main()
