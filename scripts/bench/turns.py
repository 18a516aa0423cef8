# SPDX-License-Identifier: BSD-3-Clause
"""
Programs that receive without end, at once and on the same processors, in short turns: while one runs
the other is stopped (SIGSTOP). A machine that is another one seconds later, as a virtual machine is, is
the same for both.

How far a program has got is asked when its turn ends: how many packets it has received, of DPDK's
telemetry, or how large a file is that it writes. The time of a turn is that of the clock. CPU time of
the thread that receives says the same to half a per cent, but would flatter one that sleeps.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import bench
import near

TURN = 0.05  # seconds: caches are warm for nearly all of it, and the machine is still the same
TURNS = 5 * bench.SECONDS  # of each program, from a start on
STARTS = 3  # in a round
DISK = 0.03  # seconds in which one has done what was given to it


class Player:
    """
    Programs that run while they have their turn, of so many seconds: count says how far they have got.
    disk: they write to one, which goes on for a moment with what it was given when they are stopped.
    That belongs to no turn, and the next one waits for it.
    """

    def __init__(self, processes, count, seconds=TURN, disk=False):
        self.processes, self.count = processes, count
        self.seconds, self.disk = seconds, disk
        self.before = 0

    def signal(self, number):
        for process in self.processes:
            process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGSTOP)
        for process in self.processes:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def turn(self):
        """What is counted in a second of one turn. What comes from the answer until they have stopped
        belongs to the next, which ends in the same way."""
        if self.disk:
            time.sleep(DISK)
            self.before = self.count()
        began = time.monotonic()
        self.signal(signal.SIGCONT)
        time.sleep(self.seconds)
        now = self.count()
        took = time.monotonic() - began
        self.stop()
        made, self.before = now - self.before, now
        return made / took


@contextlib.contextmanager
def playing(processes, count, **more):
    """Programs that have begun, and are stopped until they have a turn or the with statement ends."""
    one = Player(processes, count, **more)
    one.stop()
    try:
        yield one
    finally:
        one.signal(signal.SIGCONT)


def received(connection):
    """Packets that the ports of a program have received, which has to run; of its telemetry."""
    connection.send(b"/ethdev/stats,0")
    return json.loads(connection.recv(1 << 16))["/ethdev/stats"]["ipackets"]


@contextlib.contextmanager
def player(place, name, command, ready, begin=b"", count=None, **more):
    """A program that has begun to receive. It ends with the with statement. count: if not what it has
    received."""
    folder = os.path.relpath(place.scratch)  # the path of a socket has to be short
    path = f"{folder}/dpdk/{command[command.index('--file-prefix') + 1]}/dpdk_telemetry.v2"
    log = f"{place.scratch}/{name}.log"
    env = dict(os.environ, RUNTIME_DIRECTORY=folder)
    with bench.running(command, log, ready, stdin=subprocess.PIPE, env=env) as process:
        try:
            process.stdin.write(begin)
            process.stdin.flush()
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(bench.PATIENCE)
                connection.connect(path)
                connection.recv(1 << 16)  # who it is
                bench.wait_until(lambda: received(connection) > 0, process, log)
                with playing([process], count or (lambda: received(connection)), **more) as one:
                    yield one
        except (OSError, KeyError, ValueError) as wrong:
            raise bench.Failed(f"telemetry of {name}: {wrong}: {bench.tail(log)}") from wrong
        finally:
            process.stdin.close()  # testpmd, waiting for a command, overlooks a signal


def pairs(players, two, n=TURNS):
    """What each of them makes a second in n turns. two: whether both processors work, so that it
    matters how far from each other they are."""

    def pair():
        return [one.turn() for one in players]

    pair()  # pages are touched for the first time
    return [near.undisturbed(pair) if two else pair() for _ in range(n)]


def against_testpmd(place, row, trace, options, target, workers=0):
    """A row: packets a second of mirrorsink, all of which reach its output, and of testpmd, which
    receives the same and drops them."""

    def start():
        testpmd = ["stdbuf", "-oL", "dpdk-testpmd", *bench.eal("ms-bench-testpmd")]
        testpmd += [place.source(trace), "--", "-i", "--forward-mode=rxonly", "--nb-cores=1"]
        testpmd += ["--burst=64"]
        with player(place, "testpmd", testpmd, "testpmd> ", b"start\n") as theirs:
            with sink(place, trace, options, workers) as ours:
                made = pairs((ours, theirs), workers > 0)
            check_sink(place, ours)
        return made

    return bench.Turns(row, start, STARTS, bench.MPPS, "testpmd rxonly", target)


def sink(place, trace, options, workers=0, **more):
    """mirrorsink, which receives the packets of a trace; more: as of player()."""
    command = bench.sink_command(place, trace, options, workers)
    return player(place, "sink", command, "rx lcores: 1", **more)


def check_sink(place, ended):
    """Whether all that a sink received, which has ended, reached its output."""
    bench.check_delivered(bench.summary(place, ended.processes[0].returncode))
