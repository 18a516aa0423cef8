# SPDX-License-Identifier: BSD-3-Clause
"""
Writing capture files.

    export.buffers    frames a second through the whole writer to /dev/null, one lcore that receives,
                      filters, copies (-W 0); baseline: dpdk-testpmd, which receives the same packets
                      and drops them
    export.disk       bytes a second to a file on the disk of the build folder; baseline: dd past the
                      page cache, as many bytes
    export.dumpcap    frames a second to a file on tmpfs; baseline: dpdk-dumpcap, which writes the
                      whole packets of the same source
"""

import os
import pathlib

import bench

MPPS = ("Mpps", 1e6)
SHARED_MEMORY = "/dev/shm"


def written(summary):
    return summary["outputs"][0]["written"] / summary["seconds"]


def export_buffers(place):
    link = f"{place.scratch}/null.pcapng"
    os.symlink("/dev/null", link)

    def ours():
        return written(bench.sink(place, "imix", ["-W", "0", "-w", link]))

    return bench.compare(
        "export.buffers", ours, lambda: bench.testpmd(place, "imix"), MPPS, "testpmd rxonly", 0.5
    )


def export_disk(place):
    path = f"{place.scratch}/disk.pcapng"
    size = 0

    def ours():
        nonlocal size
        summary = bench.sink(place, "imix", ["-W", "0", "-w", path])
        size = os.path.getsize(path)
        os.unlink(path)
        return size / summary["seconds"]

    def baseline():
        return bench.dd(f"{place.scratch}/dd", max(size >> 20, 64))

    return bench.compare(
        "export.disk", ours, baseline, ("GB/s", 1e9), "dd oflag=direct bs=4M", 0.8
    )


def export_dumpcap(place):
    folder = pathlib.Path(SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else place.scratch)
    path = folder / f"ms-bench-{os.getpid()}.pcapng"

    def ours():
        try:
            return written(bench.sink(place, "imix", ["-W", "0", "-w", str(path)]))
        finally:
            path.unlink(missing_ok=True)

    def baseline():
        try:
            return bench.dumpcap(place, "imix", str(path))
        finally:
            path.unlink(missing_ok=True)

    return bench.compare("export.dumpcap", ours, baseline, MPPS, "dpdk-dumpcap", 5)


ROWS = [export_buffers, export_disk, export_dumpcap]
