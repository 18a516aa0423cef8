# SPDX-License-Identifier: BSD-3-Clause
"""Results as Markdown, for the terminal and for docs/performance.md."""


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    for least, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


def spread(row, key):
    """The lowest and the highest of all rounds."""
    ends = row.get("spread", {}).get(key)
    return f" ({number(ends[0])} to {number(ends[1])})" if ends and ends[0] != ends[1] else ""


def target(row):
    if row["target"] is None:
        return "-"
    return f"{'at most' if row['at_most'] else 'at least'} {row['target']:g}"


def verdict(row, quick):
    if "error" in row:
        return "not measured"
    return "-" if quick or row["holds"] is None else "yes" if row["holds"] else "**no**"


def rows(results):
    """One table of all rows, and below it why some are not measured."""
    text = "| row | value | unit | baseline | its value | ratio | target | holds |\n"
    text += "| --- | ---: | --- | --- | ---: | ---: | ---: | --- |\n"
    for row in results["rows"]:
        text += (
            f"| `{row['name']}` | {number(row['value'])}{spread(row, 'value')} | {row['unit']} "
            f"| {row['baseline'] or '-'} | {number(row['baseline_value'])}"
            f"{spread(row, 'baseline_value')} | {number(row['ratio'])}{spread(row, 'ratio')} "
            f"| {target(row)} | {verdict(row, results['quick'])} |\n"
        )
    for row in results["rows"]:
        if "error" in row:
            text += f"\n`{row['name']}` was not measured: {' '.join(row['error'].split())[-300:]}\n"
    return text


def facts(results):
    """What it was measured on, as a list."""
    on = results["machine"]
    caches = ", ".join(f"{name} {size}" for name, size in on["caches"].items())
    packages = ", ".join(f"{name} {version}" for name, version in on["packages"].items())
    huge = on["hugepages"]
    lines = (
        f"processor: {on['processor']} (family/model/stepping {on['family']}), "
        f"{len(on['cpus'])} CPUs{', a virtual machine' if on['hypervisor'] else ''}; "
        f"TSC {on['tsc_mhz'] or '?'} MHz; {', '.join(on['simd']) or 'no AVX2'}",
        f"caches: {caches or 'not told'}",
        f"hugepages: {huge.get('total', 0)} of {huge.get('kib', 0)} KiB",
        f"kernel: {on['kernel']}",
        f"mirrorsink: {on['mirrorsink'] or 'of no repository'}, {on['compiler'] or 'compiler not told'}, "
        f"-O{on['optimization']} -march={on['march']}",
        f"packages: {packages}",
        f"when: {results['when']}, {results['rounds']} rounds of {results['seconds']} s",
    )
    return "".join(f"- {line}\n" for line in lines)
