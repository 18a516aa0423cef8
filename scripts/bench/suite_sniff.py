# SPDX-License-Identifier: BSD-3-Clause
"""
Receiving, classifying and counting, with the documents of the traces: sessions, and a filter of ten
rules a direction, which accepts all. What counts is what reached the output.

    sniff.rtc.*       frames a second of one lcore that does everything (-W 0); baseline:
                      dpdk-testpmd, which receives the same packets on one lcore and drops them, in
                      short turns (turns.py)
    sniff.pipeline.*  the same with one lcore that receives and one worker (-W 1), which shares its
                      processor with the control thread, which sleeps
    sniff.size.*      ns a frame of one lcore, by the size of inner frames; for the graph
"""

import bench
import turns

SIZES = {60: "min", 256: "size256", 590: "size590", 1514: "size1514", 1800: "size1800"}


def options(workers):
    return ["-W", str(workers), "-c", "traces/documents.json"]


def delivered(place, trace):
    """Frames a second that the output got: all of them, or the row is none."""
    summary = bench.sink(place, trace, options(0))
    return bench.check_delivered(summary) / summary["seconds"]


def size(place):
    """By size, without a target."""
    return [
        bench.measure(
            f"sniff.size.{bytes_}",
            lambda trace=trace: 1 / delivered(place, trace),
            ("ns", 1e-9),
            None,
        )
        for bytes_, trace in SIZES.items()
    ]


def row(name, trace, workers, target):
    return bench.named(
        name,
        lambda place: turns.against_testpmd(place, name, trace, options(workers), target, workers),
    )


ROWS = [
    row("sniff.rtc.imix", "imix", 0, 0.95),
    row("sniff.rtc.min", "min", 0, 0.80),
    row("sniff.pipeline.imix", "imix", 1, 0.60),
    row("sniff.pipeline.min", "min", 1, 0.50),
    bench.named("sniff.size", size),
]
