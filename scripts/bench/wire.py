# SPDX-License-Identifier: BSD-3-Clause
"""
A live wire for suites that measure what receiving costs: two network namespaces joined by a veth
pair, mirrorsource at one end, which offers the inner frames of a trace at a steady rate, and counters.

      namespace ms-bench-a                        namespace ms-bench-b
    +------------------------+                  +-------------------------+
    | mirrorsource ------ a0 |----- veth -------| b0 ------ the receiver  |
    +------------------------+                  +-------------------------+
       first processor                             last processor
"""

import contextlib
import os
import re
import subprocess
import time

import bench

A, B = "ms-bench-a", "ms-bench-b"
MACS = {A: "02:00:00:00:00:01", B: "02:00:00:00:00:02"}
MTU = "3000"  # XDP takes no more than 3,498 on a veth
TARGET = "10.1.0.99"
TICKS = os.sysconf("SC_CLK_TCK")


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise bench.Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def at(space, *command):
    """A command line that runs in a namespace."""
    return ["ip", "netns", "exec", space, *command]


def put(space, path, text):
    """Writes to a file of /proc or /sys as the namespace has it."""
    command = at(space, "tee", path)
    subprocess.run(command, input=text, text=True, stdout=subprocess.DEVNULL, check=True)


def steer_xdp():
    """What RPS does not steer, since it is before it: a veth's own polling, which XDP needs. In a
    thread of its own it can be held to a processor; preferred busy polling alone (gro_flush_timeout
    and napi_defer_hard_irqs) looks cheaper, but then half of it is done in the sender's name."""
    put(B, "/sys/class/net/b0/threaded", "1")
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{process}/comm", encoding="utf-8") as file:
                if file.read().startswith("napi/b0-"):
                    os.sched_setaffinity(int(process), {bench.cpus()[-1]})


def counter(space, interface, name):
    """One of the kernel's counters of an interface; 0 if there is no such interface."""
    path = f"/sys/class/net/{interface}/statistics/{name}"
    done = subprocess.run(at(space, "cat", path), capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else 0


def remove():
    for space in (A, B):
        subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def wire(steer):
    """The namespaces. steer: whether the kernel's part of receiving is done by the last processor,
    and not in the sender's name as it is on a veth without that."""
    remove()
    try:
        for space in (A, B):
            ip("netns", "add", space)
            for which in ("all", "default"):
                put(space, f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "1")
        ip("-n", A, "link", "add", "a0", "mtu", MTU, "type", "veth",
           "peer", "name", "b0", "mtu", MTU, "netns", B)
        for space, interface in ((A, "a0"), (B, "b0")):
            ip("-n", space, "link", "set", interface, "address", MACS[space], "up")
        if steer:
            put(B, "/sys/class/net/b0/queues/rx-0/rps_cpus", f"{1 << bench.cpus()[-1]:x}")
        yield
    finally:
        remove()


@contextlib.contextmanager
def offered(place, rate):
    """Mirrored packets of inner-imix, so many a second, until the with statement ends. Yields
    the sender."""
    first = bench.cpus()[0]
    log = f"{place.scratch}/source.log"
    command = at(A, str(place.mirrorsource), "--no-huge", "--no-pci", "--no-shconf")
    command += ["--file-prefix", "ms-bench-source", "--lcores", f"0@{first},1@{first}"]
    command += ["--vdev=net_af_packet0,iface=a0", "--vdev=net_pcap0,rx_pcap=traces/inner-imix.pcap"]
    command += ["--", "-t", "net_af_packet0", "-c", "traces/documents.json", "--loop", "0"]
    command += ["--target-address", TARGET, "--target-mac", MACS[B], "--rate", f"{rate}pps"]
    with bench.running(command, log) as source:
        bench.wait_until(lambda: counter(B, "b0", "rx_packets") > 0, source, log)
        yield source


def threads(pid):
    """Seconds that the threads of a process have run on a processor, by the scheduler's clock."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def runtime(process):
    return threads(process.pid)


def idle():
    """Seconds that the processors were idle, waited for a disk, or were taken from the machine.
    The kernel has the first two from its clock, not from its ticks."""
    total = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if re.match(r"cpu\d", line) and int(line.split()[0][3:]) in bench.cpus():
                fields = [int(field) for field in line.split()[1:]]
                total += fields[3] + fields[4] + fields[7]
    return total / TICKS


def others():
    """Seconds that programs have run which are not ours, children included that have ended, until
    now. Threads of the kernel are no programs."""
    parents, ran = {}, {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            parents[pid] = int(fields[1])
            # what its children ran that it has waited for, and it
            ran[pid] = sum(map(int, fields[13:15])) / TICKS + threads(pid)
    total, kernel, own = 0, 2, os.getpid()
    for pid, seconds in ran.items():
        line = [pid]
        while parents.get(line[-1]):
            line.append(parents[line[-1]])
        if kernel not in line and own not in line:
            total += seconds
    return total


def busy(sender):
    """Seconds of work of the whole machine until now, from some moment on, without the sender's."""
    return time.monotonic() * len(bench.cpus()) - idle() - runtime(sender)
