#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/bench makes of measurements: rows, the table, the graph, and the page they go to."""

import contextlib
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import types
import unittest
import xml.dom.minidom

os.environ.update(ROUNDS="3", SECONDS_EACH="1")
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS / "bench"))
sys.dont_write_bytecode = True

import bench  # noqa: E402
import graph  # noqa: E402
import near  # noqa: E402
import table  # noqa: E402
import turns  # noqa: E402

MPPS = ("Mpps", 1e6)
MACHINE = {
    "processor": "a <processor>",
    "family": "1/2/3",
    "tsc_mhz": 2600.0,
    "simd": [],
    "caches": {"L2": "1M"},
    "hypervisor": True,
    "cpus": [0, 1],
    "hugepages": {},
    "kernel": "6",
    "mirrorsink": None,
    "compiler": None,
    "optimization": "3",
    "march": "native",
    "packages": {},
}


def play(*values):
    """A measurement that gives these, one after the other; an exception is raised."""
    left = list(values)

    def measured():
        value = left.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    return measured


def quiet(function, *arguments, **more):
    with contextlib.redirect_stderr(io.StringIO()):
        return function(*arguments, **more)


def row_of(make, *arguments, **more):
    """The row that a row in the making comes to after three rounds."""
    made = make(*arguments, **more)
    for _ in range(3):
        made.turn()
    return made.rows()[0]


def results(*rows, quick=False):
    return {
        "machine": MACHINE, "when": "now", "quick": quick, "rounds": 3, "seconds": 1,
        "rows": list(rows),
    }  # fmt: skip


class Rows(unittest.TestCase):
    def compare(self, ours, baseline, target, **more):
        return quiet(
            row_of, bench.compare, "a.row", play(*ours), play(*baseline), MPPS, "peer", target, **more
        )

    def test_the_median_of_ratios_is_the_figure(self):
        row = self.compare((10e6, 30e6, 20e6), (10e6, 10e6, 40e6), 1)
        self.assertEqual((row["value"], row["baseline_value"], row["ratio"]), (20, 10, 1))
        self.assertEqual(row["spread"]["ratio"], [0.5, 3])
        self.assertEqual(row["spread"]["value"], [10, 30])
        self.assertEqual((row["holds"], row["rounds"]), (True, 3))

    def test_a_target_has_a_direction(self):
        for target, at_most, holds in (
            (1.1, False, False), (0.9, False, True), (1.1, True, True), (0.9, True, False),
        ):  # fmt: skip
            row = self.compare((1e6,) * 3, (1e6,) * 3, target, at_most=at_most)
            self.assertIs(row["holds"], holds, (target, at_most))
        self.assertIsNone(self.compare((1e6,) * 3, (1e6,) * 3, None)["holds"])

    def test_a_round_may_have_several_starts(self):
        row = self.compare((1e6, 2e6, 3e6, 4e6, 5e6, 6e6), (1e6,) * 6, 3, starts=2)
        self.assertEqual((row["ratio"], row["rounds"], row["spread"]["ratio"]), (3.5, 3, [1, 6]))

    def test_what_fails_once_is_tried_again_and_told(self):
        row = self.compare((1e6, bench.Failed("lost"), 2e6, 1e6), (1e6,) * 3, 1)
        self.assertEqual((row["ratio"], row["again"]), (1, ["lost"]))

    def test_what_fails_twice_is_a_row_that_does_not_hold(self):
        row = self.compare((1e6, bench.Failed("lost"), bench.Failed("again")), (1e6,) * 3, 1)
        self.assertEqual((row["error"], row["holds"], row["value"]), ("again", False, None))
        self.assertEqual((row["name"], row["target"], row["unit"]), ("a.row", 1, "Mpps"))

    def test_nothing_is_no_measurement(self):
        self.assertIn("error", self.compare((1e6, 0, 1e6), (1e6,) * 3, 1))

    def test_a_row_without_a_peer_is_held_by_its_value(self):
        for target, holds in ((250, True), (199, False)):
            row = quiet(row_of, bench.measure, "b", play(0.1, 0.3, 0.2), ("ms", 1e-3), target)
            self.assertAlmostEqual(row["value"], 200)
            self.assertIs(row["holds"], holds)
            self.assertIsNone(row["ratio"])


class LeftAlone(unittest.TestCase):
    def test_what_is_left_alone_is_a_share_of_all(self):
        row = bench.Alone("a.row", ("us", 1), "peer", share=0.1)
        row.values = [(i + 10, 1000 - i) for i in range(21)]
        made = row.rows()[0]
        self.assertEqual((made["value"], made["baseline_value"]), (12, 982))
        self.assertEqual((made["ratio"], made["holds"]), (12 / 982, None))

    def test_nothing_measured_is_an_error(self):
        made = bench.Alone("a.row", ("us", 1), "peer", share=0.1).rows()[0]
        self.assertEqual((made["value"], made["error"], made["holds"]), (None, "not measured", False))


# a program that has received a thousand packets more each time that it is asked
RECEIVES = """
import json, socket, sys
asked, n = socket.socket(fileno=int(sys.argv[1])), 0
while asked.recv(100) == b"/ethdev/stats,0":
    n += 1000
    asked.send(json.dumps({"/ethdev/stats": {"ipackets": n}}).encode())
"""


class Turns(unittest.TestCase):
    def state(self, process):
        return pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def row(self, starts, n, **more):
        return quiet(row_of, bench.Turns, "a.row", play(*starts), n, MPPS, "peer", 3, **more)

    def test_each_start_is_a_pair(self):
        starts = [(1e6, 2e6), bench.Failed("lost"), *[(3e6, 4e6)] * 5, *[(9e6, 1e6)] * 3]
        row = self.row([one if isinstance(one, Exception) else [one] for one in starts], 3)
        self.assertEqual((row["value"], row["baseline_value"], row["ratio"]), (3, 4, 0.75))
        self.assertEqual((row["rounds"], row["again"], row["holds"]), (3, ["lost"], False))
        self.assertEqual(row["spread"]["ratio"], [0.5, 9])

    def test_the_figure_of_a_start_is_of_its_calm_turns(self):
        pairs = [(2e6, 4e6), (4e6, 6e6), (1e6, 1e6), (1e6, 8e6), (8e6, 5e6), (2e6, 1e6)]
        row = self.row([pairs] * 3, 1)
        self.assertEqual((row["value"], row["baseline_value"]), (6, 5.5))
        row = self.row([pairs] * 3, 1, at_most=True)
        self.assertEqual((row["value"], row["baseline_value"], row["holds"]), (1.5, 1, True))

    def test_a_first_turn_does_not_count(self):
        rates = [(99, 99), *((i, 2 * i) for i in range(1, turns.TURNS + 1))]
        players = [types.SimpleNamespace(turn=play(*side)) for side in zip(*rates)]
        self.assertEqual(turns.pairs(players, False), [list(pair) for pair in rates[1:]])

    def test_what_a_disk_goes_on_with_belongs_to_no_turn(self):
        player = turns.Player([], play(500, 510, 600, 630), seconds=0.01, disk=True)
        self.assertTrue(0 < player.turn() <= 10 / 0.01)
        self.assertTrue(0 < player.turn() <= 30 / 0.01)
        player = turns.Player([], play(500, 510), seconds=0.01)
        player.turn()
        self.assertTrue(0 < player.turn() <= 10 / 0.01)

    def test_a_program_stands_still_between_its_turns(self):
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-c", RECEIVES, str(its.fileno())]
        with mine, its, subprocess.Popen(command, pass_fds=[its.fileno()]) as process:
            try:
                with turns.playing([process], lambda: turns.received(mine)) as player:
                    for _ in range(2):
                        self.assertEqual(self.state(process), "T")
                        rate = player.turn()
                        self.assertTrue(0 < rate <= 1000 / turns.TURN, rate)
                    self.assertEqual(self.state(process), "T")
                self.assertNotEqual(self.state(process), "T")
            finally:
                process.kill()


class Near(unittest.TestCase):
    def setUp(self):
        self.distance, self.sleep = near.distance, near.time.sleep
        near.least = None
        near.time.sleep = lambda seconds: None

    def tearDown(self):
        near.distance, near.time.sleep = self.distance, self.sleep

    def test_a_measurement_waits_until_processors_are_near(self):
        near.distance = play(50, 50, 200, 200, 60, 50)
        self.assertEqual(near.undisturbed(play(1)), 1)
        self.assertEqual(near.undisturbed(play(2)), 2)

    def test_one_that_was_disturbed_is_made_again(self):
        near.distance = play(50, 400, 50, 50)
        self.assertEqual(quiet(near.undisturbed, play(1, 2)), 2)

    def test_where_it_cannot_be_told_nothing_waits(self):
        near.distance = lambda: None
        self.assertEqual(near.undisturbed(play(1)), 1)


class Shown(unittest.TestCase):
    def setUp(self):
        self.rows = [
            quiet(row_of, bench.compare, f"filter.acl.{n}", play(*(200e6 / n,) * 3), play(*(50e6,) * 3),
                  ("Mkeys/s", 1e6), "rte_acl", 3)
            for n in (1, 10, 100)
        ] + [
            quiet(row_of, bench.measure, "filter.many.100", play(5e-9, 6e-9, 7e-9), ("ns", 1e-9), 9),
            quiet(row_of, bench.measure, "session.many.8", play(*[bench.Failed("it broke")] * 2),
                  ("ns", 1), None),
        ]  # fmt: skip

    def test_the_table_has_every_row_and_why_one_is_missing(self):
        text = table.rows(results(*self.rows))
        self.assertIn("| `filter.acl.1` | 200 | Mkeys/s | rte_acl | 50.0 | 4.00 | at least 3 | yes", text)
        self.assertIn("| `filter.acl.10` | 20.0 | Mkeys/s | rte_acl | 50.0 | 0.400 | at least 3 | **no**", text)
        self.assertIn("| `filter.many.100` | 6.00 (5.00 to 7.00) | ns | - | - | - | at most 9 | yes", text)
        self.assertIn("`session.many.8` was not measured: it broke", text)

    def test_a_quick_run_judges_nothing(self):
        text = table.rows(results(*self.rows, quick=True))
        self.assertNotIn("yes", text)
        self.assertNotIn("**no**", text)
        self.assertIn("not measured", text)

    def test_the_graph_turns_rates_into_costs(self):
        made = graph.points(results(*self.rows), "filter.acl.", "value")
        self.assertEqual([point[0] for point in made], [1, 10, 100])
        for point, cost in zip(made, (5, 50, 500)):
            self.assertAlmostEqual(point[1], cost)
        self.assertEqual(graph.points(results(*self.rows), "session.many.", "value"), [])

    def test_the_graph_is_xml_whatever_is_missing(self):
        for rows in (self.rows, [], self.rows[:1]):
            made = graph.svg(results(*rows))
            xml.dom.minidom.parseString(made)
            self.assertIn("a &lt;processor&gt;", made)
            self.assertEqual(made.count("not measured"), 2 if rows == self.rows else 4 - bool(rows))

    def test_the_page_takes_the_results(self):
        with tempfile.TemporaryDirectory() as folder:
            page, source = pathlib.Path(folder, "performance.md"), pathlib.Path(folder, "r.json")
            page.write_text("before\n<!-- results: begin -->\nformer\n<!-- results: end -->\nafter\n")

            def docs(made):
                source.write_text(json.dumps(made))
                command = [sys.executable, "-B", SCRIPTS / "bench/docs.py", source, folder]
                return subprocess.run(command, capture_output=True, check=False).returncode

            for _ in range(2):
                self.assertEqual(docs(results(*self.rows)), 0)
                text = page.read_text()
                self.assertTrue(text.startswith("before\n") and text.endswith("-->\nafter\n"))
                self.assertEqual(text.count("filter.acl.10`"), 1)
                self.assertNotIn("former", text)
            self.assertTrue(pathlib.Path(folder, "performance.svg").exists())
            self.assertEqual(docs(results(quick=True)), 1)
            self.assertEqual(page.read_text(), text)

    def test_two_runs_are_held_against_each_other(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder, name) for name in ("a.json", "b.json")]

            def same(factor, rows):
                other = [dict(row, ratio=row["ratio"] and row["ratio"] * factor) for row in rows]
                for path, made in zip(paths, (self.rows[:4], other)):
                    path.write_text(json.dumps(results(*made)))
                command = [sys.executable, "-B", SCRIPTS / "bench/same.py", *paths]
                return subprocess.run(command, capture_output=True, check=False).returncode

            self.assertEqual(same(1.09, self.rows[:4]), 0)
            self.assertEqual(same(0.92, self.rows[:4]), 0)
            self.assertEqual(same(1.11, self.rows[:4]), 1)
            self.assertEqual(same(1, self.rows[:2]), 1)
            paths[1].unlink()
            command = [sys.executable, "-B", SCRIPTS / "bench/same.py", *paths]
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 2)


class Programs(unittest.TestCase):
    def test_no_huge_pages_and_in_memory_exclude_each_other(self):
        for free, there, not_there in (
            (256, "--in-memory", "--no-huge"), (255, "--no-huge", "--in-memory"),
        ):  # fmt: skip
            self.assertIn(there, bench.memory(free))
            self.assertNotIn(not_there, bench.memory(free))


class CommandLine(unittest.TestCase):
    def test_what_is_wrong_is_said(self):
        for arguments, said in (
            (["--fast"], "no option"),
            (["none"], "no suite and no row none; the suites are: export"),
            (["--docs", "--quick"], "stands alone"),
            (["--same"], "needs the name"),
            (["--same", "/none"], "no results"),
        ):
            command = [SCRIPTS / "bench.sh", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(said, done.stderr)
        done = subprocess.run(
            [SCRIPTS / "bench.sh", "sniff"], env=dict(os.environ, ROUNDS="0"),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, "ROUNDS" in done.stderr), (2, True))


unittest.main()
