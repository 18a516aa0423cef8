# SPDX-License-Identifier: BSD-3-Clause
"""
Two programs that receive without end, at once and on the same processors, in short turns: while one
runs the other is stopped (SIGSTOP). A machine that is another one seconds later, as a virtual machine
is, is the same for both.

How many packets a program has received is asked of DPDK's telemetry, which all its programs have, when
its turn ends. The time of a turn is that of the clock. CPU time of the thread that receives says the
same to half a per cent, but would flatter one that sleeps.

Where a program's memory lies, and so what of it a cache keeps, is settled when it starts: turns of one
start agree, and testpmd does 59 or 66 million packets a second from one to the next. So a round has
several starts, and each of them is one figure: the medians of the third of its pairs of turns that was
least disturbed.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import time

import bench
import near

TURN = 0.05  # seconds: caches are warm for nearly all of it, and the machine is still the same
TURNS = 5 * bench.SECONDS  # of each program, from a start on
STARTS = 1 if bench.QUICK else 3  # in a round


class Player:
    """A program that runs while it has its turn, and a connection to its telemetry."""

    def __init__(self, process, connection):
        self.process, self.connection = process, connection
        self.received = 0

    def ask(self):
        """Packets that its ports have received; it has to run."""
        self.connection.send(b"/ethdev/stats,0")
        return json.loads(self.connection.recv(1 << 16))["/ethdev/stats"]["ipackets"]

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def turn(self):
        """Packets a second of one turn. What it receives from the answer until it has stopped belongs to
        the next, which ends in the same way."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        time.sleep(TURN)
        received = self.ask()
        took = time.monotonic() - began
        self.stop()
        made, self.received = received - self.received, received
        return made / took


@contextlib.contextmanager
def player(place, name, command, ready, begin=b""):
    """A program that has begun to receive, and is stopped. It ends with the with statement."""
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
                one = Player(process, connection)
                bench.wait_until(lambda: one.ask() > 0, process, log)
                one.stop()
                yield one
        except (OSError, KeyError, ValueError) as wrong:
            raise bench.Failed(f"telemetry of {name}: {wrong}: {bench.tail(log)}") from wrong
        finally:
            process.send_signal(signal.SIGCONT)
            process.stdin.close()  # testpmd, waiting for a command, overlooks a signal


def figures(players, two):
    """The rate of each. two: whether both processors work, so that it matters how far from each other
    they are."""

    def pair():
        return [one.turn() for one in players]

    pair()  # pages are touched for the first time
    pairs = [near.undisturbed(pair) if two else pair() for _ in range(TURNS)]
    return [statistics.median(side) for side in zip(*bench.calm(pairs, at_most=False))]


class Turns(bench.Row):
    """A row whose two sides take turns: each start of both gives a pair."""

    def take(self):
        return [bench.twice(self.sides[0], self.again) for _ in range(STARTS)]


def against_testpmd(place, row, trace, options, target, workers=0):
    """A row: packets a second of mirrorsink, all of which reach its output, and of testpmd, which
    receives the same and drops them."""

    def both():
        testpmd = ["stdbuf", "-oL", "dpdk-testpmd", *bench.eal("ms-bench-testpmd")]
        testpmd += [place.source(trace), "--", "-i", "--forward-mode=rxonly", "--nb-cores=1"]
        testpmd += ["--burst=64"]
        with player(place, "testpmd", testpmd, "testpmd> ", b"start\n") as theirs:
            sink = bench.sink_command(place, trace, options, workers)
            with player(place, "sink", sink, "rx lcores: 1") as ours:
                made = figures((ours, theirs), workers > 0)
            bench.check_delivered(bench.summary(place, ours.process.returncode))
        return made

    return Turns(row, [both], bench.MPPS, "testpmd rxonly", target, at_most=False)
