#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Holds what Suricata recorded of one run against what it recorded of another: its eve.json files, in
the form in which two runs on the same frames agree. As a command:

    eve.py compare GOT WANT            the same records, however often each; else exit 1 and the
                                       records that one has and the other has not
    eve.py count EVE TYPE MINIMUM ...  so many records at least of each type; prints how many
"""

import collections
import json
import sys

import judge

# What two runs on the same frames cannot have in common, in a record or in the objects in it.
RUN = {
    "timestamp",  # time of the packet: that of the capture, or of its arrival at the tap
    "flow_id",  # random
    "parent_id",  # likewise, of the flow of the tunnel
    "pcap_cnt",  # number of the packet, where a file is read
    "in_iface",  # the tap, where one is listened on
    "start",  # of a flow: time of its first packet, as above
    "end",  # of its last
    "age",  # the one less the other, in whole seconds
}
SHOWN = 10  # records of a difference


def load(path):
    """The records, as they are."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def kept(value):
    if not isinstance(value, dict):
        return value
    return {key: kept(one) for key, one in value.items() if key not in RUN}


def canonical(record):
    return json.dumps(kept(record), sort_keys=True)


def difference(got, want):
    """Lines with the records that are in one of the two alone; none if they agree."""
    got, want = (collections.Counter(map(canonical, one)) for one in (got, want))
    lines = []
    for what, rest in (("not expected", got - want), ("missing", want - got)):
        lines += [f"{what}, {n} times: {one}" for one, n in sorted(rest.items())]
    return lines


def kinds(records):
    return collections.Counter(record["event_type"] for record in records)


def compare(got, want):
    lines = difference(load(got), load(want))
    more = f"\n... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    judge.demand(not lines, "%s is not what %s is:\n%s%s", got, want, "\n".join(lines[:SHOWN]),
                 more)


def count(path, *minima):
    found = kinds(load(path))
    for kind, minimum in zip(minima[::2], minima[1::2]):
        judge.demand(found[kind] >= int(minimum), "%s: %d records of type %s, expected %s or more",
                     path, found[kind], kind, minimum)
    print("records:", ", ".join(f"{n} {kind}" for kind, n in sorted(found.items())))


if __name__ == "__main__":
    try:
        {"compare": compare, "count": count}[sys.argv[1]](*sys.argv[2:])
    except judge.Wrong as wrong:
        sys.exit(f"eve.py: {wrong}")
