#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Runs benchmarks and shows what came of them: run.py FOLDER [SUITE|ROW...]. Called by
scripts/bench.sh, which says more. FOLDER has traces/ and build/, and gets results.json; --list in its
place prints suites and rows, --check only looks whether they exist.

A suite has ROWS: functions that are called with the place and return a row in the making or a list of
them, as bench.compare, bench.Turns and bench.measure make them. A row that cannot be measured
stays in the results, with the reason, and does not hold.
"""

import importlib
import json
import pathlib
import signal
import sys
import time
import traceback

import bench
import machine
import near
import table


def begin(function, place):
    """The rows of one function of a suite, of which nothing is measured yet."""
    return guarded(function, place, bench.Row(bench.name_of(function), [], ("-", 1), None, None, True))


def guarded(step, argument, row):
    """A step of a row, which fails alone: one suite that is broken does not cost the results of the
    others."""
    try:
        made = step(argument)
    except bench.Failed as wrong:
        row.fail(wrong)
    except Exception as wrong:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        row.fail(f"{type(wrong).__name__}: {wrong}")
    else:
        return made if isinstance(made, list) else [made]
    return [row]


def suites():
    """Their names, and the functions that make their rows."""
    here = pathlib.Path(__file__).resolve().parent
    names = sorted(path.stem[len("suite_") :] for path in here.glob("suite_*.py"))
    return {name: importlib.import_module("suite_" + name).ROWS for name in names}


def chosen(words):
    """The functions that words name: a suite, a row, or the beginning of rows up to a dot."""
    there, made = suites(), []
    for word in words or there:
        found = there.get(word) or [
            function
            for functions in there.values()
            for function in functions
            if (bench.name_of(function) + ".").startswith(word + ".")
        ]
        if not found:
            print(f"bench.sh: no suite and no row {word}; the suites are: {' '.join(there)}; "
                  "--list tells their rows", file=sys.stderr)  # fmt: skip
            sys.exit(2)
        made += [function for function in found if function not in made]
    return made


def main():
    if sys.argv[1] == "--list":
        for name, functions in suites().items():
            print(f"{name}: {' '.join(map(bench.name_of, functions))}")
        return
    functions = chosen(sys.argv[2:])
    if sys.argv[1] == "--check":
        return
    # as at a SIGINT, every program that runs is ended
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = pathlib.Path(sys.argv[1])
    place = bench.Place(folder)
    if not bench.QUICK:
        near.program = place.build / "test/bench/distance_bench"
    results = {
        "machine": machine.facts(place),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "quick": bench.QUICK,
        "seconds": bench.SECONDS,
    }
    made = [row for function in functions for row in begin(function, place)]
    # One round of all rows after the other, so that each row sees the machine as it is over all of the
    # time: what others do on its host changes from minute to minute.
    for turn in range(bench.ROUNDS):
        print(f"round {turn + 1} of {bench.ROUNDS}", file=sys.stderr)
        for row in made:
            guarded(lambda row: row.turn(), row, row)
        results["rounds"] = turn + 1
        results["far"] = near.far_times
        results["rows"] = [one for row in made for one in row.rows()]
        # after each one, so that who interrupts it keeps what was measured
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table.rows(results), end="")
    sys.exit(1 if any("error" in row for row in results["rows"]) else 0)


main()
