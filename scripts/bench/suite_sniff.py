# SPDX-License-Identifier: BSD-3-Clause
"""
Receiving, classifying and counting, with the documents of the traces: sessions, and a filter of ten
rules a direction, which accepts all. What counts is what reached the output.

    sniff.rtc.*       frames a second of one lcore that does everything (-W 0); baseline:
                      dpdk-testpmd, which receives the same packets on one lcore and drops them
    sniff.pipeline.*  the same with one lcore that receives and one worker (-W 1), which shares its
                      processor with the control thread, which sleeps
    sniff.size.*      ns a frame of one lcore, by the size of inner frames; for the graph
"""

import bench

MPPS = ("Mpps", 1e6)
SIZES = {60: "min", 256: "size256", 590: "size590", 1514: "size1514", 1800: "size1800"}


def delivered(place, trace, workers):
    """Frames a second that the output got: all of them, or the row is none."""
    options = ["-W", str(workers), "-c", "traces/documents.json"]
    summary = bench.sink(place, trace, options, output="null", workers=workers)
    received = summary["received"]["packets"]
    if not summary["balanced"] or summary["fates"]["delivered"] != received:
        fates = {name: count for name, count in summary["fates"].items() if count}
        raise bench.Failed(f"of {received} packets not all are delivered: {fates}")
    written = sum(one["written"] for one in summary["outputs"])
    if written != received:
        raise bench.Failed(f"{received} packets received, {written} reached the output")
    return written / summary["seconds"]


def against_testpmd(place, row, trace, workers, target):
    return bench.compare(
        row,
        lambda: delivered(place, trace, workers),
        lambda: bench.testpmd(place, trace),
        MPPS,
        "testpmd rxonly",
        target,
    )


def size(place):
    """By size, without a target."""
    return [
        bench.measure(
            f"sniff.size.{bytes_}",
            lambda trace=trace: 1 / delivered(place, trace, 0),
            ("ns", 1e-9),
            None,
        )
        for bytes_, trace in SIZES.items()
    ]


def row(name, *arguments):
    return bench.named(name, lambda place: against_testpmd(place, name, *arguments))


ROWS = [
    row("sniff.rtc.imix", "imix", 0, 0.95),
    row("sniff.rtc.min", "min", 0, 0.80),
    row("sniff.pipeline.imix", "imix", 1, 0.60),
    row("sniff.pipeline.min", "min", 1, 0.50),
    bench.named("sniff.size", size),
]
