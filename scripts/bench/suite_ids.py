# SPDX-License-Identifier: BSD-3-Clause
"""
What the sink saves an IDS.

    ids.suricata    Suricata's CPU seconds for a million inner frames, on a tap that the sink feeds.
                    Baseline: Suricata that reads the mirrored packets from the same veth and takes
                    VXLAN apart itself. Same frames, rate, rules and configuration

Suricata has the last processor; sender and sink share the first one.
"""

import os
import pathlib
import re
import time

import bench
import wire

RATE = int(os.environ.get("IDS_RATE", "10000" if bench.QUICK else "30000"))  # a second
TAP = "ids0"
LOST = 0.01  # of all frames: that much may be lost
RULES = """
alert dns any any -> any any (msg:"name"; dns.query; content:"example"; sid:1;)
alert http any any -> any any (msg:"path"; http.uri; content:"q=evil"; sid:2;)
alert tls any any -> any any (msg:"sni"; tls.sni; content:"example"; sid:3;)
alert icmp any any -> any any (msg:"echo"; itype:8; sid:4;)
alert tcp any any -> any 22 (msg:"begin"; flags:S; sid:5;)
alert udp any any -> any 9 (msg:"small"; dsize:<20; sid:6;)
alert tcp any any -> any any (msg:"ones"; content:"|ff ff ff ff|"; sid:7;)
alert udp any any -> any any (msg:"data"; content:"data 9"; sid:8;)
"""
CONFIGURATION = """%YAML 1.1
---
stats: {{enabled: yes, interval: 3600}}
unix-command: {{enabled: no}}
outputs:
  - eve-log: {{enabled: yes, filetype: regular, filename: eve.json, types: [alert, flow]}}
  - stats: {{enabled: yes, filename: stats.log, append: no, totals: yes, threads: no}}
logging:
  default-log-level: perf
  outputs:
    - console: {{enabled: yes}}
flow: {{memcap: 256mb}}
stream: {{memcap: 256mb, midstream: yes, reassembly: {{memcap: 256mb}}}}
decoder:
  vxlan: {{enabled: yes, ports: 4789}}
app-layer:
  protocols:
    http: {{enabled: yes}}
    tls: {{enabled: yes}}
    dns: {{udp: {{enabled: yes}}, tcp: {{enabled: yes}}}}
af-packet:
  - interface: {interface}
    threads: 1
    cluster-id: 1
    cluster-type: cluster_qm
    defrag: no
    tpacket-v3: yes
    ring-size: 32768
    block-size: 1048576
"""


def statistic(folder, name):
    """The last total of a counter that Suricata has written."""
    text = pathlib.Path(folder, "stats.log").read_text(encoding="utf-8")
    found = re.findall(rf"^{re.escape(name)} *\| *Total *\| *(\d+)$", text, re.MULTILINE)
    return int(found[-1]) if found else 0


class Suricata:
    """It, on an interface in the sink's namespace."""

    def __init__(self, place, interface):
        self.interface = interface
        self.folder = f"{place.scratch}/suricata"
        os.makedirs(self.folder, exist_ok=True)
        self.log = f"{place.scratch}/suricata.log"
        rules, configuration = f"{self.folder}/rules", f"{self.folder}/suricata.yaml"
        pathlib.Path(rules).write_text(RULES, encoding="utf-8")
        pathlib.Path(configuration).write_text(
            CONFIGURATION.format(interface=interface), encoding="utf-8"
        )
        self.command = wire.at(
            wire.B, "taskset", "-c", str(bench.cpus()[-1]), "suricata", "-c", configuration,
            "-S", rules, "-k", "none", "-l", self.folder, "--runmode", "workers", "--af-packet",
        )  # fmt: skip

    def running(self):
        return bench.running(self.command, self.log, "Engine started")

    def cost(self, process):
        """CPU seconds for a million frames that came to its interface, in the next SECONDS."""
        time.sleep(0.5)
        frames, cpu = self.arrived(), wire.runtime(process)
        time.sleep(bench.SECONDS)
        frames, cpu = self.arrived() - frames, wire.runtime(process) - cpu
        if frames < 0.9 * RATE * bench.SECONDS:
            raise bench.Failed(f"{frames} frames in {bench.SECONDS} s, not {RATE} a second")
        return 1e6 * cpu / frames

    def arrived(self):
        return wire.counter(wire.B, self.interface, "rx_packets")

    def check(self, counter):
        """Fails if it has not decoded what arrived; counter: of its own, one for each frame."""
        decoded, arrived = statistic(self.folder, counter), self.arrived()
        if decoded < (1 - LOST) * arrived:
            raise bench.Failed(f"{arrived} frames arrived, {decoded} {counter}")


def fed(place):
    """On a tap that the sink feeds."""
    first, log = bench.cpus()[0], f"{place.scratch}/sink.log"
    command = wire.at(wire.B, str(place.sink), "--no-huge", "--no-pci", "--no-shconf", "-m", "512")
    command += ["--file-prefix", "ms-bench", "--lcores", f"0@{first},1@{first}"]
    command += ["--vdev=net_af_packet0,iface=b0,framecnt=8192", f"--vdev=net_tap0,iface={TAP}"]
    command += ["--", "-W", "0", "-f", "net_tap0", *bench.sleeping(place)]
    ids = Suricata(place, TAP)
    with wire.wire(steer=False), bench.running(command, log, "rx lcores:") as sink:
        with ids.running() as process:
            with wire.offered(place, RATE):
                cost = ids.cost(process)
            time.sleep(0.5)
            bench.end(process)
            ids.check("decoder.ethernet")
        if bench.end(sink) != 0:
            raise bench.Failed(f"mirrorsink ends with {sink.returncode}: {bench.tail(log)}")
    return cost


def alone(place):
    """On the veth."""
    ids = Suricata(place, "b0")
    with wire.wire(steer=False), ids.running() as process:
        with wire.offered(place, RATE):
            cost = ids.cost(process)
        time.sleep(0.5)
        bench.end(process)
        ids.check("decoder.vxlan")
    return cost


def ids_suricata(place):
    return bench.compare(
        "ids.suricata",
        lambda: fed(place),
        lambda: alone(place),
        ("CPU s/M frames", 1),
        "Suricata, VXLAN itself",
        1,
        at_most=True,
        starts=2,
    )


ROWS = [ids_suricata]
