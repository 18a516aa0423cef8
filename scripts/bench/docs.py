#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Puts results into the documentation: docs.py RESULTS FOLDER

The machine, the table and the graph go into FOLDER/performance.md, between the two comments that
mark their place; the graph is FOLDER/performance.svg.
"""

import json
import pathlib
import sys

import graph
import table

GRAPH = "![Cost of a frame against rules, filters, sessions and size](performance.svg)"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def main():
    source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not source.exists():
        sys.exit(f"{source} is not there: run scripts/bench.sh first")
    results = json.loads(source.read_text(encoding="utf-8"))
    if results["quick"]:
        sys.exit(f"{source} is of a quick run, which says nothing: run scripts/bench.sh first")
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit(f"{page} does not have {BEGIN} and {END}, in this order")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    made = f"{BEGIN}\n\n{table.facts(results)}\n{table.rows(results)}\n{GRAPH}\n\n{END}"
    page.write_text(head + made + tail, encoding="utf-8")
    (folder / "performance.svg").write_text(graph.svg(results), encoding="utf-8")


main()
