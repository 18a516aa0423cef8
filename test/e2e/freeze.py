#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
freeze.py PID LCORE: stops one lcore's thread of a running DPDK program, as a debugger would, until
standard input ends. Prints "frozen" when it stands still. The program needs no hook for it. LCORE
is a number, or "main".
"""

import ctypes
import os
import re
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # PTRACE_*, linux/ptrace.h
WALL = 0x40000000  # __WALL: threads, too

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid):
    if libc.ptrace(request, tid, None, None) != 0:
        sys.exit(f"freeze.py: ptrace({request:#x}, {tid}): {os.strerror(ctypes.get_errno())}")


def thread_of(pid, lcore):
    """rte-worker-2 with DPDK 22.11, dpdk-worker2 later."""
    if lcore == "main":
        return int(pid)
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as file:
            if re.fullmatch(rf"(rte-worker-|dpdk-worker-?){lcore}", file.read().strip()):
                return int(tid)
    sys.exit(f"freeze.py: process {pid} has no thread of lcore {lcore}")


def main(pid, lcore):
    tid = thread_of(pid, lcore)
    ptrace(SEIZE, tid)
    ptrace(INTERRUPT, tid)
    os.waitpid(tid, WALL)
    print("frozen", flush=True)
    sys.stdin.read()
    ptrace(DETACH, tid)


main(*sys.argv[1:])
