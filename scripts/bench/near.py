# SPDX-License-Identifier: BSD-3-Clause
"""
Measurements while the two processors are near each other.

Those of a virtual machine are threads of its host, which now and then runs them on cores that share no
cache, for some seconds. A cache line then takes several times as long from one to the other, and
what is measured of two threads has little in common with what came before: a median over a mixture
of both is that of the one or of the other by chance. So a measurement waits for it to pass, and one
during which it begins is made again.
"""

import os
import subprocess
import sys
import time

FAR = 2.0  # times the least distance of this run
PATIENCE = 15  # seconds to wait for it to pass
PAUSE = 0.2

program = None  # test/bench/distance_bench, once a suite runs that has it
left = 240  # seconds that a whole run may spend on this
least = None
far_times = 0  # measurements that were made far apart, since it did not end


def distance():
    """Nanoseconds to the other processor and back; None if that cannot be told."""
    cpus = sorted(os.sched_getaffinity(0))
    if program is None or len(cpus) < 2:
        return None
    command = [str(program), str(cpus[-1]), str(cpus[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return float(done.stdout) if done.returncode == 0 else None


def far():
    global least  # pylint: disable=global-statement
    now = distance()
    if now is None:
        return False
    least = now if least is None else min(least, now)
    return now > FAR * least


def wait():
    """Waits until the processors are near each other; whether they are not, as it did not end."""
    global left  # pylint: disable=global-statement
    until = time.monotonic() + min(PATIENCE, left)
    while (is_far := far()) and time.monotonic() < until:
        time.sleep(PAUSE)
        left -= PAUSE
    return is_far


def undisturbed(measured):
    """What a measurement gives that begins and ends while the processors are near each other."""
    global left, far_times  # pylint: disable=global-statement
    while True:
        was_far, began = wait(), time.monotonic()
        value = measured()
        if not was_far and not far():
            return value
        left -= time.monotonic() - began
        if was_far or left <= 0:
            far_times += 1
            return value
