#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds the configuration reader against files: golden_test.py [--update] config_canon

Each case in config/ is NAME.json, or a directory NAME with several files, which are read in the
order of their names. Beside it stands either NAME.canon, the canonical form that must be printed
and must read back to itself, or NAME.error, the whole message that must be printed. Messages name
files as they are seen from config/. --update writes what is printed instead of comparing it; read
the difference before keeping it. Speaks TAP.
"""

import pathlib
import subprocess
import sys
import tempfile

CASES = pathlib.Path(__file__).resolve().parent / "config"
SUFFIXES = {0: ".canon", 2: ".error"}


def run(program, files):
    """Exit status and output of the program, run in the folder of the cases."""
    done = subprocess.run(
        [program, *files],
        cwd=CASES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def inputs(case):
    """The files of a case, named as messages name them."""
    files = sorted(case.glob("*.json")) if case.is_dir() else [case]
    return [str(file.relative_to(CASES)) for file in files]


def reads_back(program, canon):
    """What is wrong with the canonical form as an input, or None."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(canon)
        file.flush()
        status, again = run(program, [file.name])
    if status != 0:
        return f"the canonical form does not read back: {again}"
    if again != canon:
        return f"the canonical form reads back to another one:\n{again}"
    return None


def check(program, case, update):
    """What is wrong with a case, or None."""
    status, output = run(program, inputs(case))
    if status not in SUFFIXES:
        return f"exit status {status}:\n{output}"
    if update:
        for other, suffix in SUFFIXES.items():
            expected = case.with_suffix(suffix)
            if other == status:
                expected.write_text(output)
            else:
                expected.unlink(missing_ok=True)
    found = [s for s in SUFFIXES.values() if case.with_suffix(s).exists()]
    if len(found) != 1:
        return f"expected one of {case.stem}.canon and {case.stem}.error, found {found}"
    if found[0] != SUFFIXES[status]:
        return f"expected {case.stem}{found[0]}, got exit status {status}:\n{output}"
    expected = case.with_suffix(found[0]).read_text()
    if output != expected:
        return f"expected:\n{expected}got:\n{output}"
    return reads_back(program, output) if status == 0 else None


def main(arguments):
    """Runs all cases; the exit status says whether all is well."""
    update = "--update" in arguments
    programs = [a for a in arguments if not a.startswith("-")]
    if len(programs) != 1 or len(programs) + update != len(arguments):
        sys.exit(__doc__)
    program = pathlib.Path(programs[0]).resolve()
    cases = sorted(p for p in CASES.iterdir() if p.is_dir() or p.suffix == ".json")
    orphans = {p.stem for p in CASES.iterdir()} - {case.stem for case in cases}
    failures = 0

    print(f"1..{len(cases) + 1}")
    for number, case in enumerate(cases, 1):
        wrong = check(program, case, update)
        failures += wrong is not None
        print(f"{'ok' if wrong is None else 'not ok'} {number} - {case.stem}")
        if wrong is not None:
            print("\n".join("# " + line for line in wrong.splitlines()))
    print(f"{'not ok' if orphans else 'ok'} {len(cases) + 1} - every expectation has its case")
    if orphans:
        print(f"# without a case: {', '.join(sorted(orphans))}")
    return 1 if failures or orphans else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
