#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds what is written about counters against the tables that they are made from.

usage: check_counters.py ms_ledger.h kernel.h mirrorsink.8 counters.md

Every fate and drop reason of the header must stand in the manual page, in the header's order and
with the header's sentence, and in counters.md; and these two must name none that does not exist.
The kernel's counters must stand in counters.md, in their header's order.
"""
import re
import sys


def tables(header):
    """{"MS_FATES": {name: help}, "MS_DROPS": ...}, in the header's order."""
    header = header.replace("\\\n", "")
    found = {}
    for table in ("MS_FATES", "MS_DROPS"):
        line = re.search(rf"^#define {table}\(X\)(.*)$", header, re.MULTILINE)
        rows = re.findall(r'X\(\w+,\s*(\w+),\s*"((?:[^"\\]|\\.)*)"\)', line[1]) if line else []
        found[table] = dict(rows)
    return found


def page_lists(page):
    """The items of both lists in the section LEDGER: [{name: first line of its text}, ...]."""
    section = re.search(r"^\.Sh LEDGER\n(.*?)^\.Sh ", page, re.MULTILINE | re.DOTALL)
    lists = re.findall(r"^\.Bl .*?\n(.*?)^\.El", section[1] if section else "",
                       re.MULTILINE | re.DOTALL)
    return [dict(re.findall(r"^\.It Cm (\w+)\n(.*)$", one, re.MULTILINE)) for one in lists]


def compare(where, want, have):
    """Complaints about a list of names."""
    complaints = [f"{where}: {name} is missing" for name in want if name not in have]
    complaints += [f"{where}: there is no {name}" for name in have if name not in want]
    if not complaints and list(want) != list(have):
        complaints.append(f"{where}: the order is not the header's")
    return complaints


def main():
    header, kernel, page, counters = (open(name, encoding="utf-8").read()
                                      for name in sys.argv[1:5])
    known = tables(header)
    lists = page_lists(page)
    complaints = [f"no {table} in the header" for table, rows in known.items() if not rows]
    if len(lists) != len(known):
        sys.exit(f"the page's section LEDGER has {len(lists)} lists, not {len(known)}")
    known["kernel"] = re.findall(r'X\(\w+, "(\w+)",', kernel)
    for (table, rows), items in zip(known.items(), lists):
        complaints += compare(f"manual page, {table}", rows, items)
        complaints += [f"manual page: {name} is '{items[name]}', not '{text}.'"
                       for name, text in rows.items()
                       if name in items and items[name] != text + "."]
    for table, title in (("MS_FATES", "Fates"), ("MS_DROPS", "Drop reasons"),
                         ("kernel", "Behind a port")):
        section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", counters, re.MULTILINE | re.DOTALL)
        names = re.findall(r"^\| `(\w+)` \|", section[1] if section else "", re.MULTILINE)
        if table == "kernel": # a table of fields follows
            names = names[:len(known[table])]
        complaints += compare(f"counters.md, {title}", known[table], names)
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(f"{sum(map(len, known.values()))} counters, {len(complaints)} complaints")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
