#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads meson's testlog.json and tells what did not pass: the tests that failed with the beginning
and the end of what they said, and each skip with its reason, those inside cmocka programs included,
which meson counts as passed.
The last line is `N passed, N failed, N skipped`; the exit status is 1 if any failed or none ran."""
import json
import re
import sys

CMOCKA_PASS = re.compile(r"^\[ (RUN|      OK) ")
CMOCKA_SKIP = re.compile(r"^\[  SKIPPED \] (?!\d+ test\(s\))(.+)$", re.MULTILINE)


def last_line(record):
    """What a skipped test said last; by custom that is why."""
    lines = (record.get("stdout", "") + record.get("stderr", "")).strip().splitlines()
    return lines[-1].strip() if lines else "it gave no reason"


def excerpt(output, most=20):
    """What stands at either end of it, without the cases of a cmocka program that passed."""
    lines = [line for line in output.splitlines() if not CMOCKA_PASS.match(line)]
    if len(lines) > 2 * most:
        lines[most:-most] = [f"... {len(lines) - 2 * most} lines ..."]
    return "\n".join("    " + line for line in lines)


def main(paths):
    passed, failed, skipped = 0, [], []
    for path in paths:
        with open(path, encoding="utf-8") as log:
            records = [json.loads(line) for line in log]
        for record in records:
            name, result = record["name"], record["result"]
            if result == "SKIP":
                skipped.append(f"{name}: {last_line(record)}")
                continue
            output = record.get("stdout", "") + "\n" + record.get("stderr", "")
            if result in ("OK", "EXPECTEDFAIL"):
                passed += 1
            else:
                failed.append(f"{name}: {result.lower()}\n{excerpt(output)}")
            # Each stands there twice: when it is met, and in the list at the end.
            skipped += [f"{name}: {case}" for case in sorted(set(CMOCKA_SKIP.findall(output)))]

    for name in failed:
        print(f"failed: {name}")
    for reason in skipped:
        print(f"skipped: {reason}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
