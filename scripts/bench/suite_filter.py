# SPDX-License-Identifier: BSD-3-Clause
"""
The classifier by itself, with the programs of test/bench/. Those measure both sides of a row in one
process, in turns of 50 ms: tables of that size live in the third-level cache, which other guests of a
host use too, and what these do changes within seconds. A process is short, so that there are many: which
pages it is given decides which lines of a table displace each other.

    filter.acl.*    keys a second in one filter of so many rules, bursts of 32; baseline: rte_acl
                    with the same rules and keys, the fastest of its algorithms on this processor
    filter.many.*   ns a frame through decapsulation, session, headers and filter, with so many
                    sessions, each with a filter of ten rules of its own; baseline: one of them
    session.many.*  the same with so many sessions and one filter; baseline: 8 sessions
"""

import json
import subprocess

import bench

ACL = {10: 3, 100: 3, 1000: 5, 8000: 5}
FILTERS = {100: 1.5, 10000: 3}
SESSIONS = {1000: 1.5, 100000: 3}
STARTS = 6  # in a round


def run(place, program, *arguments, seconds=bench.SECONDS, base=None):
    """What a program of test/bench says of itself. base: what it is measured in turns with, as its
    last argument."""
    command = [str(place.folder / "build/test/bench" / program), *bench.eal("ms-bench-filter")]
    command += ["--main-lcore", "1", "--force-max-simd-bitwidth=512", "--log-level=error", "--"]
    command += map(str, [*arguments, seconds, *([] if base is None else [base])])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise bench.Failed(f"{program} ends with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def in_turns(name, start, unit, what, target, at_most=False):
    """A row whose two sides one process measures: a start gives its pairs."""
    return bench.Turns(name, start, STARTS, unit, what, target, at_most)


def pairs(place, program, *arguments, base=None):
    return run(place, program, *arguments, seconds=bench.SECONDS / 4, base=base)["pairs"]


def acl(rules, target):
    name = f"filter.acl.{rules}"
    return lambda place: in_turns(
        name,
        lambda: pairs(place, "acl_bench", rules, "both"),
        ("Mkeys/s", 1e6),
        "rte_acl",
        target,
    )


def one(name, what, n):
    """What the others are held against, by itself."""
    return lambda place: bench.measure(
        name, lambda: run(place, "path_bench", what, n)["ns"], ("ns", 1), None
    )


def many(name, what, n, base, target):
    return lambda place: in_turns(
        name,
        lambda: pairs(place, "path_bench", what, n, base=base),
        ("ns", 1),
        f"{base} of them",
        target,
        at_most=True,
    )


def rows():
    for n, target in ACL.items():
        yield f"filter.acl.{n}", acl(n, target)
    yield "filter.many.1", one("filter.many.1", "filters", 1)
    for n, target in FILTERS.items():
        yield f"filter.many.{n}", many(f"filter.many.{n}", "filters", n, 1, target)
    yield "session.many.8", one("session.many.8", "sessions", 8)
    for n, target in SESSIONS.items():
        yield f"session.many.{n}", many(f"session.many.{n}", "sessions", n, 8, target)


ROWS = [bench.named(name, function) for name, function in rows()]
