# SPDX-License-Identifier: BSD-3-Clause
"""What figures were measured on: the machine, and the versions of all that took part."""

import glob
import os
import platform
import re
import shutil
import subprocess

import bench

PACKAGES = ("dpdk", "dpdk-dev", "suricata", "tcpdump", "wireshark-common", "libc6")


def read(path):
    """The text of a small file, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def output(*command):
    """What a command prints, or None if it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def processor(field):
    found = re.search(rf"^{field}\s*: *(.*)$", read("/proc/cpuinfo") or "", re.MULTILINE)
    return found.group(1) if found else None


def tsc_mhz():
    """x86 has its delay loop, and so BogoMIPS, from the time stamp counter: two a cycle."""
    if platform.machine() != "x86_64" or processor("bogomips") is None:
        return None
    return round(float(processor("bogomips")) / 2, 1)


def caches():
    found = {}
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind = read(index + "/level"), (read(index + "/type") or "")[:1].lower()
        found[f"L{level}{kind if kind in 'di' else ''}"] = read(index + "/size")
    return found


def hugepages():
    told = read("/proc/meminfo") or ""
    return {
        name: int(re.search(rf"^{key}: +(\d+)", told, re.MULTILINE).group(1))
        for name, key in (
            ("total", "HugePages_Total"),
            ("free", "HugePages_Free"),
            ("kib", "Hugepagesize"),
        )
        if re.search(rf"^{key}: ", told, re.MULTILINE)
    }


def compiler(build):
    """As meson found it."""
    told = read(f"{build}/meson-logs/meson-log.txt") or ""
    found = re.findall(r"^C compiler for the host machine: (.*)$", told, re.MULTILINE)
    return found[-1] if found else None


def option(build, name):
    told = read(f"{build}/meson-info/intro-buildoptions.json") or ""
    found = re.search(rf'"name": "{name}", "value": "([^"]*)"', told)
    return found.group(1) if found else None


def versions():
    found = {}
    for package in PACKAGES:
        version = output("dpkg-query", "-W", "-f", "${Version}", package)
        if version:
            found[package] = version
    return found


def facts(place):
    flags = (processor("flags") or "").split()
    return {
        "processor": processor("model name") or "unknown processor",
        "family": "/".join(str(processor(f)) for f in ("cpu family", "model", "stepping")),
        "tsc_mhz": tsc_mhz(),
        "simd": [flag for flag in ("avx2", "avx512f", "avx512bw", "avx512vl") if flag in flags],
        "caches": caches(),
        "hypervisor": "hypervisor" in flags,
        "cpus": bench.cpus(),
        "load": os.getloadavg()[0],
        "hugepages": hugepages(),
        "kernel": platform.release(),
        "mirrorsink": output(
            "git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"
        ),
        "compiler": compiler(place.build),
        "optimization": option(place.build, "optimization"),
        "march": option(place.build, "march") or "as DPDK was built",
        "packages": versions(),
    }
