#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Runs benchmarks and shows what came of them: run.py FOLDER [SUITE|ROW...]. Called by
scripts/bench.sh, which says more. FOLDER has traces/ and build/, and gets results.json; --list in its
place prints suites and rows, --check only looks whether they exist.

A suite has ROWS: functions that are called with the place and return a row or a list of rows, as
bench.compare and bench.measure make them. A row that cannot be measured stays in the results, with
the reason, and does not hold.
"""

import importlib
import json
import pathlib
import sys
import time
import traceback

import bench
import machine
import table


def run(function, place):
    """The rows of one function of a suite."""
    try:
        made = function(place)
    except bench.Failed as wrong:
        made = bench.failed(bench.name_of(function), wrong)
    # One suite that is broken does not cost the results of the others.
    except Exception as wrong:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        made = bench.failed(bench.name_of(function), f"{type(wrong).__name__}: {wrong}")
    return made if isinstance(made, list) else [made]


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
    folder = pathlib.Path(sys.argv[1])
    place = bench.Place(folder)
    rows = []
    results = {
        "machine": machine.facts(place),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "quick": bench.QUICK,
        "rounds": bench.ROUNDS,
        "seconds": bench.SECONDS,
        "rows": rows,
    }
    for function in functions:
        rows += run(function, place)
        # after each one, so that who interrupts it keeps what was measured
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table.rows(results), end="")
    sys.exit(1 if any("error" in row for row in rows) else 0)


main()
