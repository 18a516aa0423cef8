#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Whether two runs say the same: same.py RESULTS OTHER

Prints the ratios of both, and exits with 1 if one differs by 10 % or more, or was measured in one of
them alone. Rows without a ratio are absolute figures, which a shared machine does not repeat.
"""

import json
import sys

import table

MOST = 0.1


def load(path):
    """The rows of results that say something."""
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        if results["quick"]:
            raise ValueError("of a quick run, which says nothing")
        return {row["name"]: row for row in results["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        print(f"bench.sh: {path}: no results: {wrong}", file=sys.stderr)
        sys.exit(2)


def difference(one, other):
    """Of two ratios, as a share of the smaller one; None if one is missing."""
    ratios = [row.get("ratio") if row else None for row in (one, other)]
    return None if None in ratios else max(ratios) / min(ratios) - 1


def main():
    runs = load(sys.argv[1]), load(sys.argv[2])
    bad = 0
    print("| row | ratio | of the other run | differ by |\n| --- | ---: | ---: | ---: |")
    for name in sorted(set(runs[0]) | set(runs[1])):
        rows = [run.get(name) for run in runs]
        if not any(row and (row["baseline"] or "error" in row) for row in rows):
            continue
        apart = difference(*rows)
        wrong = apart is None or apart >= MOST
        bad += wrong
        ratios = (table.number(row["ratio"]) if row else "-" for row in rows)
        told = "not in both" if apart is None else f"{apart:.1%}"
        print(f"| `{name}` | {' | '.join(ratios)} | {'**' + told + '**' if wrong else told} |")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
