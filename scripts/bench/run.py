#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Runs suites of benchmarks and shows what came of them: run.py FOLDER SUITE... Called by
scripts/bench.sh, which says more. FOLDER has traces/ and build/, and gets results.json.

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


def main():
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
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
    for name in names:
        for function in importlib.import_module("suite_" + name).ROWS:
            rows += run(function, place)
            # after each one, so that who interrupts it keeps what was measured
            (folder / "results.json").write_text(
                json.dumps(results, indent=1) + "\n", encoding="utf-8"
            )
    print(table.rows(results), end="")
    sys.exit(1 if any("error" in row for row in rows) else 0)


main()
