#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds a manual page and --help against the options that a program takes.

usage: check_options.py options.c help.h PAGE

Every option must stand in both with all of its forms (-w and --write), and neither may name a long
one at the beginning of an item that does not exist.
"""
import re
import sys


def main():
    source, usage, page = (open(name, encoding="utf-8").read() for name in sys.argv[1:4])
    options = re.findall(r'^\s*\{"([\w-]+)", (?:required|no)_argument, NULL, (?:\'(\w)\'|\w+)\}',
                         source, re.MULTILINE)
    if not options:
        sys.exit("no options in the source")
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', usage)).replace("\\n", "\n")
    section = re.search(r"^\.Sh DESCRIPTION\n(.*?)^\.Sh ", page, re.MULTILINE | re.DOTALL)
    items = re.findall(r"^\.It (Fl .*)$", section[1] if section else "", re.MULTILINE)

    complaints = []
    for name, letter in options:
        in_page = rf"^Fl {letter} , Fl -{name}\b" if letter else rf"^Fl -{name}\b"
        in_help = rf"^  -{letter}, --{name}\b" if letter else rf"^      --{name}\b"
        if not any(re.search(in_page + r"(?!-)", item) for item in items):
            complaints.append(f"--{name}: not in the manual page")
        if not re.search(in_help + r"(?!-)", text, re.MULTILINE):
            complaints.append(f"--{name}: not in --help")
    known = {name for name, _ in options}
    named = {"the manual page": [n for item in items for n in re.findall(r"Fl -([\w-]+)", item)],
             "--help": re.findall(r"^  (?:-\w,|   ) --([\w-]+)", text, re.MULTILINE)}
    for where, names in named.items():
        complaints += [f"{where}: there is no --{name}" for name in names if name not in known]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(f"{len(options)} options, {len(complaints)} complaints")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
