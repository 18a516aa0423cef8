#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Runs suites of benchmarks and shows what came of them: run.py FOLDER [SUITE...]. Called by
scripts/bench.sh, which says more. FOLDER has traces/ and build/, and gets results.json.
"""

import importlib
import json
import pathlib
import platform
import sys

import bench

HERE = pathlib.Path(__file__).resolve().parent
SUITES = sorted(path.stem[len("suite_") :] for path in HERE.glob("suite_*.py"))


def machine():
    """What the figures were measured on."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    return {"processor": model, "cpus": bench.cpus(), "kernel": platform.release()}


def number(value):
    """Three digits that count."""
    return "-" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def show(rows):
    print("| row | value | unit | baseline | its value | ratio | target | holds |")
    print("| --- | ---: | --- | --- | ---: | ---: | ---: | --- |")
    for row in rows:
        print(
            f"| `{row['name']}` | {number(row['value'])} | {row['unit']} | {row['baseline']} "
            f"| {number(row['baseline_value'])} | {number(row['ratio'])} | {row['target']} "
            f"| {'yes' if row['holds'] else 'no'} |"
        )


def main():
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:] or SUITES
    for name in names:
        if name not in SUITES:
            sys.exit(f"no suite {name}; there are: {' '.join(SUITES)}")
    place = bench.Place(folder)
    rows, failed = [], 0
    for name in names:
        for row in importlib.import_module("suite_" + name).ROWS:
            try:
                rows.append(row(place))
            except bench.Failed as wrong:
                print(f"{row.__name__}: {wrong}", file=sys.stderr)
                failed += 1
    (folder / "results.json").write_text(
        json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )
    show(rows)
    sys.exit(1 if failed else 0)


main()
