# SPDX-License-Identifier: BSD-3-Clause
"""
Writing capture files.

    export.buffers    frames a second through the whole writer to /dev/null, one lcore that receives,
                      filters, copies (-W 0); baseline: dpdk-testpmd, which receives the same packets
                      and drops them, in short turns (turns.py)
    export.disk       bytes a second to a file on the disk of the build folder; baseline: dd past the
                      page cache, in turns too, of a quarter of a second
    export.dumpcap    frames a second to a file on tmpfs; baseline: dpdk-dumpcap, which writes the
                      whole packets of the same source, in short turns too

The tmpfs of export.dumpcap is mounted for it, with huge pages: in pages of 4 KiB it takes no more than
some 2.4 GB/s from one thread, whoever writes. Where that may not be mounted it is /dev/shm.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import bench
import turns

SHARED_MEMORY = "/dev/shm"
# what export.dumpcap writes in a start is bounded by memory, so it has as many turns however long the
# other rows have; and so many bytes at most, both files together
DUMPCAP_TURNS = 2 if bench.QUICK else 10
FILES = (3 if bench.QUICK else 5) << 30
BEGUN = 16 << 20  # bytes of a file that is being written
DISK_TURN = 0.25  # seconds: what a disk goes on with when a program is stopped is little of it
DISK_TURNS = 3 if bench.QUICK else 5
DISK_STARTS = 5  # dd does 0.8 or 1.5 GB/s from one start to the next


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


def warm(path):
    """Has a virtual machine's host back the memory that files will have: on first use it gives it page
    by page, more slowly than any of the two programs writes."""
    with open("/proc/meminfo", encoding="utf-8") as file:
        free = int(re.search(r"MemAvailable: +(\d+)", file.read()).group(1)) << 10
    if free < FILES * 5 // 4:
        raise bench.Failed(f"files on tmpfs need {FILES * 5 // 4 >> 20} MiB, and {free >> 20} are there")
    chunk = bytes(2 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(FILES // len(chunk)):
            file.write(chunk)
    path.unlink()


def size(path):
    """Of a file that may not be there yet."""
    return os.path.getsize(path) if os.path.exists(path) else 0


@contextlib.contextmanager
def dumpcap(place, trace, path):
    """dpdk-dumpcap that has begun to write to a file what a testpmd receives: the bytes of it are what
    it has got."""
    if bench.free_huge_pages() < 512:
        raise bench.Failed("dpdk-dumpcap needs 512 huge pages, in which it shares memory with testpmd")
    # The two have to register the same mempool drivers in the same order.
    linked = subprocess.run(
        ["ldd", shutil.which("dpdk-testpmd")], capture_output=True, text=True, check=True
    ).stdout
    drivers = sorted(re.findall(r"=> (\S*librte_(?:mempool|net|bus)_\S+)", linked))
    env = dict(os.environ, LD_PRELOAD=" ".join(drivers))
    primary = ["dpdk-testpmd", *bench.eal("", alone=False), place.source(trace), "--", "-i"]
    primary += ["--forward-mode=rxonly", "--nb-cores=1"]
    logs = [f"{place.scratch}/{name}.log" for name in ("primary", "dumpcap")]
    with bench.running(primary, logs[0], "testpmd> ", stdin=subprocess.PIPE, env=env) as testpmd:
        try:
            testpmd.stdin.write(b"start\n")
            testpmd.stdin.flush()
            with bench.running(["dpdk-dumpcap", "-i", "0", "-w", path], logs[1], env=env) as capture:
                bench.wait_until(lambda: size(path) > BEGUN, capture, logs[1])
                with turns.playing([testpmd, capture], lambda: size(path)) as one:
                    yield one
        finally:
            testpmd.stdin.close()  # waiting for a command, it overlooks a signal


def packets_a_byte(path):
    """Of a capture file; its last packet may be half there."""
    told = subprocess.run(
        ["capinfos", "-T", "-r", "-M", "-c", "-s", path], capture_output=True, text=True, check=False
    ).stdout.split()
    if len(told) < 2 or int(told[-2]) == 0:
        raise bench.Failed(f"dpdk-dumpcap wrote nothing; capinfos says: {told}")
    return int(told[-2]) / int(told[-1])


def export_buffers(place):
    link = f"{place.scratch}/null.pcapng"
    os.symlink("/dev/null", link)

    return turns.against_testpmd(place, "export.buffers", "imix", ["-W", "0", "-w", link], 0.5)


@contextlib.contextmanager
def dd(place, path, **more):
    """dd that has begun to write to a file past the page cache."""
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=4M", "oflag=direct"]
    log = f"{place.scratch}/dd.log"
    # by SIGTERM: who was started in the background of a shell ignores SIGINT, and dd with it
    with bench.running(command, log, stop=signal.SIGTERM) as process:
        bench.wait_until(lambda: size(path) > BEGUN, process, log)
        with turns.playing([process], lambda: size(path), **more) as one:
            yield one


def export_disk(place):
    files = [f"{place.scratch}/disk.pcapng", f"{place.scratch}/dd"]
    how = {"seconds": DISK_TURN, "disk": True}

    def start():
        options = ["-W", "0", "-w", files[0]]
        try:
            with dd(place, files[1], **how) as theirs:
                part = {"count": lambda: size(files[0] + ".part")}
                with turns.sink(place, "imix", options, **part, **how) as ours:
                    made = turns.pairs((ours, theirs), two=True, n=DISK_TURNS)
                turns.check_sink(place, ours)
            return made
        finally:
            for path in files:
                pathlib.Path(path).unlink(missing_ok=True)

    what = "dd oflag=direct bs=4M"
    return bench.Turns("export.disk", start, DISK_STARTS, ("GB/s", 1e9), what, 0.8)


def export_dumpcap(place):
    def start():
        with memory(place) as folder:
            ours, theirs = (folder / f"ms-bench-{os.getpid()}-{i}.pcapng" for i in range(2))
            try:
                warm(ours)
                with dumpcap(place, "imix", str(theirs)) as peer:
                    with turns.sink(place, "imix", ["-W", "0", "-w", str(ours)]) as sink:
                        made = turns.pairs((sink, peer), two=True, n=DUMPCAP_TURNS)
                    turns.check_sink(place, sink)
                share = packets_a_byte(theirs)
                return [(frames, bytes_ * share) for frames, bytes_ in made]
            finally:
                ours.unlink(missing_ok=True)
                theirs.unlink(missing_ok=True)

    return bench.Turns("export.dumpcap", start, turns.STARTS, bench.MPPS, "dpdk-dumpcap", 5)


ROWS = [export_buffers, export_disk, export_dumpcap]
