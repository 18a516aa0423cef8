# SPDX-License-Identifier: BSD-3-Clause
"""
Writing capture files.

    export.buffers    frames a second through the whole writer to /dev/null, one lcore that receives,
                      filters, copies (-W 0); baseline: dpdk-testpmd, which receives the same packets
                      and drops them, in short turns (turns.py)
    export.disk       bytes a second to a file on the disk of the build folder; baseline: dd past the
                      page cache, as many bytes
    export.dumpcap    frames a second to a file on tmpfs; baseline: dpdk-dumpcap, which writes the
                      whole packets of the same source

The tmpfs of export.dumpcap is mounted for it, with huge pages: in pages of 4 KiB it takes no more than
some 2.4 GB/s from one thread, whoever writes. Where that may not be mounted it is /dev/shm.
"""

import contextlib
import os
import pathlib
import re
import subprocess

import bench
import turns

SHARED_MEMORY = "/dev/shm"
RECORD = 402  # bytes of a frame of the trace imix in a pcapng, on average
MOST = 5 << 30


@contextlib.contextmanager
def memory(place):
    """A folder on tmpfs."""
    folder = pathlib.Path(place.scratch) / "memory"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "huge=always,size=80%", "none", str(folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        yield pathlib.Path(SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else place.scratch)


def room():
    """Bytes that a file in memory may have: half of what is free, and no more than takes long."""
    with open("/proc/meminfo", encoding="utf-8") as file:
        return min(int(re.search(r"MemAvailable: +(\d+)", file.read()).group(1)) << 9, MOST)


def warm(path, size):
    """Has a virtual machine's host back the memory that a file of this size will have: on first use
    it gives it page by page, more slowly than any of the two programs writes."""
    chunk = bytes(2 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // len(chunk)):
            file.write(chunk)
    path.unlink()


def written(summary):
    return summary["outputs"][0]["written"] / summary["seconds"]


def export_buffers(place):
    link = f"{place.scratch}/null.pcapng"
    os.symlink("/dev/null", link)

    return turns.against_testpmd(place, "export.buffers", "imix", ["-W", "0", "-w", link], 0.5)


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
    size = room()
    stop = ["-a", f"packets:{size // RECORD}"]

    def to_memory(measured):
        with memory(place) as folder:
            path = folder / f"ms-bench-{os.getpid()}.pcapng"
            try:
                warm(path, size)
                return measured(str(path))
            finally:
                path.unlink(missing_ok=True)

    return bench.compare(
        "export.dumpcap",
        lambda: to_memory(
            lambda path: written(bench.sink(place, "imix", ["-W", "0", "-w", path, *stop]))
        ),
        lambda: to_memory(lambda path: bench.dumpcap(place, "imix", path)),
        bench.MPPS,
        "dpdk-dumpcap",
        5,
        kind=bench.Calm,
    )


ROWS = [export_buffers, export_disk, export_dumpcap]
