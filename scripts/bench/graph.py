#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Draws what a frame costs against rules, filters, sessions and frame size: graph.py RESULTS SVG

Four panels, from the rows filter.acl.N, filter.many.N, session.many.N and sniff.size.N of a
results.json. Rows that are missing or were not measured leave gaps. The colours follow the reader's
light or dark setting.
"""

import html
import json
import math
import re
import sys
from typing import NamedTuple


class Panel(NamedTuple):
    rows: str  # what the names of its rows begin with
    title: str
    axis: str
    peer: str  # what the baseline of its rows is called; empty: it is no line of its own
    linear: bool = False  # to the right; else logarithmic


PANELS = (
    Panel("filter.acl.", "Rules of one filter", "rules", "rte_acl"),
    Panel("filter.many.", "Filters of ten rules", "filters", ""),
    Panel("session.many.", "Sessions", "VNIs", ""),
    Panel("sniff.size.", "Size of frames, all on one lcore", "bytes of the inner frame", "", True),
)
WIDTH, HEIGHT = 480, 300  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 46, 48  # its margins
HEAD, FOOT = 52, 34  # of the whole

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #52514e; }
  .title { font-size: 18px; font-weight: 600; fill: #0b0b0b; }
  .panel { font-size: 14px; font-weight: 600; fill: #0b0b0b; }
  .page { fill: #fcfcfb; }
  .grid { stroke: #e1e0d9; }
  .axis { stroke: #898781; }
  .ours { stroke: #2a78d6; fill: #2a78d6; }
  .peer { stroke: #eb6834; fill: #eb6834; }
  path.ours, path.peer { fill: none; stroke-width: 2; stroke-linejoin: round; }
  path.peer { stroke-dasharray: 6 4; }
  text.ours, text.peer { stroke: none; fill: #0b0b0b; }
  circle { stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #c3c2b7; }
    .title, .panel, text.ours, text.peer { fill: #ffffff; }
    .page { fill: #1a1a19; }
    .grid { stroke: #2c2c2a; }
    .axis { stroke: #898781; }
    .ours { stroke: #3987e5; fill: #3987e5; }
    .peer { stroke: #d95926; fill: #d95926; }
    path.ours, path.peer { fill: none; }
  }
"""


def nanoseconds(value, unit):
    """What one costs: of a duration, or of a rate, by the first letters of its unit."""
    if unit.startswith("ns"):
        return value
    for letter, many in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if unit.startswith(letter) and value > 0:
            return 1e9 / (value * many)
    return None


def points(results, prefix, key):
    """(N, cost, lowest, highest) of the rows of a panel, in order."""
    made = []
    for row in results["rows"]:
        size = re.fullmatch(re.escape(prefix) + r"(\d+)", row["name"])
        if not size or row.get(key) is None or "error" in row:
            continue
        ends = row.get("spread", {}).get(key) or [row[key]] * 2
        cost = [nanoseconds(value, row["unit"]) for value in (row[key], *ends)]
        if None not in cost and int(size.group(1)) > 0:
            made.append((int(size.group(1)), cost[0], min(cost), max(cost)))
    return sorted(made)


def step(most):
    """The distance of some four round marks up to there."""
    power = 10 ** math.floor(math.log10(most / 4))
    return next(power * n for n in (1, 2, 5, 10) if power * n * 4.5 >= most)


def text(x, y, what, kind="", anchor="middle", more=""):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}"{more}>'
        f"{html.escape(what)}</text>\n"
    )


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>\n'


class Scale:
    """From numbers to places in a panel: upwards from 0."""

    def __init__(self, lines, linear):
        self.place = float if linear else math.log
        every = [point for _, _, of_line in lines for point in of_line]
        self.sizes = sorted({point[0] for point in every})
        self.step = step(max(point[3] for point in every))
        self.top = self.step * math.ceil(max(point[3] for point in every) / self.step)

    def x(self, size):
        first, last = self.place(self.sizes[0]), self.place(self.sizes[-1])
        share = (self.place(size) - first) / (last - first) if last > first else 0.5
        return LEFT + 16 + share * (WIDTH - LEFT - RIGHT - 60)

    def y(self, cost):
        return HEIGHT - BOTTOM - cost / self.top * (HEIGHT - TOP - BOTTOM)


def axes(panel, scale):
    made, low = "", HEIGHT - BOTTOM
    for i in range(round(scale.top / scale.step) + 1):
        y = scale.y(i * scale.step)
        made += line(LEFT, y, WIDTH - RIGHT, y, "grid" if i else "axis")
        made += text(LEFT - 8, y + 4, f"{i * scale.step:g}", anchor="end")
    for size in scale.sizes:
        made += line(scale.x(size), low, scale.x(size), low + 4, "axis")
        made += text(scale.x(size), low + 18, f"{size:,}")
    made += text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, panel.axis)
    middle = (TOP + low) / 2
    made += text(16, middle, "ns a frame", more=f' transform="rotate(-90 16 {middle:.1f})"')
    return made


def curve(kind, name, of_line, scale):
    """A line with its points, their spread, and its name at its end."""
    made = ""
    for size, _, low, high in of_line:
        made += line(scale.x(size), scale.y(low), scale.x(size), scale.y(high), kind)
    path = " L".join(f"{scale.x(size):.1f},{scale.y(cost):.1f}" for size, cost, _, _ in of_line)
    made += f'<path class="{kind}" d="M{path}"/>\n'
    for size, cost, low, high in of_line:
        what = f"{name}, {size:,}: {cost:.1f} ns ({low:.1f} to {high:.1f})"
        made += f'<circle class="{kind}" cx="{scale.x(size):.1f}" cy="{scale.y(cost):.1f}" r="3">'
        made += f"<title>{html.escape(what)}</title></circle>\n"
    size, cost, _, _ = of_line[-1]
    return made + text(scale.x(size) + 8, scale.y(cost) - 6, name, kind, "start")


def draw(results, panel):
    lines = [("ours", "ours", points(results, panel.rows, "value"))]
    if panel.peer:
        lines.append(("peer", panel.peer, points(results, panel.rows, "baseline_value")))
    lines = [one for one in lines if one[2]]
    made = text(LEFT, 26, panel.title, "panel", "start")
    if not lines:
        return made + text(WIDTH / 2, HEIGHT / 2, "not measured")
    scale = Scale(lines, panel.linear)
    if not panel.peer:
        lines = [(kind, "", of_line) for kind, _, of_line in lines]
    return made + axes(panel, scale) + "".join(curve(*one, scale) for one in lines)


def svg(results):
    wide, high = 2 * WIDTH, HEAD + 2 * HEIGHT + FOOT
    made = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img">\n'
    made += "<title>What a frame costs mirrorsink</title>\n"
    made += f'<style>{STYLE}</style>\n<rect class="page" width="{wide}" height="{high}"/>\n'
    made += text(LEFT, 34, "What a frame costs mirrorsink", "title", "start")
    for i, panel in enumerate(PANELS):
        made += f'<g transform="translate({i % 2 * WIDTH},{HEAD + i // 2 * HEIGHT})">\n'
        made += draw(results, panel) + "</g>\n"
    on = results["machine"]
    clock = f", 1 ns is {on['tsc_mhz'] / 1000:.2f} TSC cycles" if on.get("tsc_mhz") else ""
    foot = f"Median of {results['rounds']} rounds, lowest to highest as bars. {on['processor']}{clock}"
    return made + text(LEFT, high - 14, foot, anchor="start") + "</svg>\n"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(svg(results))


if __name__ == "__main__":
    main()
