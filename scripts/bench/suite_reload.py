# SPDX-License-Identifier: BSD-3-Clause
"""
A large account: 10,000 filters of 10 rules and 10,000 sessions, in documents as the AWS CLI prints
them, some 70 MB.

    reload.10000  ms from SIGHUP until mirrorsink says that the new rules are in force, seen from
                  outside, while one lcore receives without end and accepts all. Every rule is
                  another one than before. The documents come from the page cache. Once, at a steady
                  rate over a veth pair, every packet that arrives through four reloads is counted
    memory.10000  MiB of tables of such an account
"""

import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time

import bench
import documents
import wire

FILTERS = 500 if bench.QUICK else 10000
RELOADS = 4
RATE = 20000  # packets a second, where all of them are counted
MIB = 1 << 20


def block(chance, v6):
    if chance.random() < 0.4:
        return "::/0" if v6 else "0.0.0.0/0"
    if v6:
        return f"2001:db8:{chance.randrange(1 << 16):x}::/48"
    return f"10.{chance.randrange(256)}.{chance.randrange(256)}.0/24"


def rule(chance, mirror_filter, direction, number, accept):
    """Every key that AWS prints, in its order. accept: so much that the traces get through."""
    made = {
        "TrafficMirrorFilterRuleId": f"tmfr-0{chance.getrandbits(64):016x}",
        "TrafficMirrorFilterId": mirror_filter,
        "TrafficDirection": direction,
        "RuleNumber": number,
        "RuleAction": "accept" if accept else chance.choice(("accept", "accept", "reject")),
    }
    v6 = chance.random() < 0.2
    if chance.random() < 0.8:
        made["Protocol"] = chance.choice((6, 17))
        if chance.random() < 0.7:
            low = chance.randrange(1, 60000)
            high = low + chance.choice((0, 0, 10, 1000))
            made[chance.choice(("DestinationPortRange", "SourcePortRange"))] = {
                "FromPort": low,
                "ToPort": high,
            }
    made["DestinationCidrBlock"] = block(chance, v6)
    made["SourceCidrBlock"] = block(chance, v6)
    made["Description"] = f"{direction} rule {number}"
    made["Tags"] = []
    return made


def any_rule(made):
    """The last rule of a filter of the traces."""
    for key in ("Protocol", "DestinationPortRange", "SourcePortRange"):
        made.pop(key, None)
    made["DestinationCidrBlock"] = made["SourceCidrBlock"] = "0.0.0.0/0"
    return made


def filters(seed):
    chance = random.Random(seed)
    for i in range(FILTERS):
        name = f"tmf-0{i:016x}"
        made = {"TrafficMirrorFilterId": name}
        for direction in ("ingress", "egress"):
            numbers = sorted(chance.sample(range(1, 1000), 5))
            rules = [rule(chance, name, direction, n, i < documents.SESSIONS) for n in numbers]
            if i < documents.SESSIONS:
                any_rule(rules[-1])
            made[f"{direction.capitalize()}FilterRules"] = rules
        made["NetworkServices"] = ["amazon-dns"] if i % 5 == 0 else []
        made["Description"] = f"filter {i} of account {seed}"
        made["Tags"] = [{"Key": "Name", "Value": f"filter-{i}"}]
        yield made


def sessions():
    """The first are those of the traces."""
    for i in range(FILTERS):
        yield {
            "TrafficMirrorSessionId": f"tms-0{i:016x}",
            "TrafficMirrorTargetId": "tmt-0123456789abcdef0",
            "TrafficMirrorFilterId": f"tmf-0{i:016x}",
            "NetworkInterfaceId": f"eni-0{i:016x}",
            "OwnerId": "111122223333",
            "SessionNumber": 1,
            "VirtualNetworkId": documents.FIRST_VNI + i,
            "Description": f"session {i}",
            "Tags": [],
        }


def write(path, document):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=4)


class Account:
    """The documents, with two editions of the filters that differ in every rule."""

    def __init__(self, place):
        self.folder = f"{place.scratch}/account"
        self.turn = 0
        if not os.path.isdir(self.folder):
            os.mkdir(self.folder)
            for seed in (0, 1):
                write(f"{self.folder}/{seed}.json", {"TrafficMirrorFilters": list(filters(seed))})
            write(f"{self.folder}/sessions.json", {"TrafficMirrorSessions": list(sessions())})
        self.change()

    def change(self):
        """Puts the other edition in place, as one rename."""
        new = f"{self.folder}/new.json"
        os.link(f"{self.folder}/{self.turn % 2}.json", new)
        os.replace(new, f"{self.folder}/filters.json")
        if os.path.exists(new):  # it was that edition already
            os.unlink(new)
        self.turn += 1

    def bytes(self):
        return sum(os.path.getsize(f"{self.folder}/{n}.json") for n in ("filters", "sessions"))

    def options(self):
        return ["-c", f"{self.folder}/filters.json", "-c", f"{self.folder}/sessions.json"]


class Sink:
    """A mirrorsink whose words are read as they come, and its summary."""

    def __init__(self, place, account, port, space=()):
        self.summary = f"{place.scratch}/reload.json"
        command = [*space, str(place.sink), *bench.eal("ms-bench-reload"), port, "--", "-W", "0"]
        command += [*account.options(), "--summary", self.summary]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def until(self, pattern):
        for line in self.process.stderr:
            self.said += line
            found = re.search(pattern, line)
            if found:
                return found
        raise bench.Failed(f"mirrorsink ends: {self.said[-500:]}")

    def reload(self):
        """Seconds from the signal to the word."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGHUP)
        self.until("configuration reloaded")
        return time.perf_counter() - began

    def end(self):
        """Ends it; the summary, in which everything was delivered and nothing is missing."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.stderr.read()
        if self.process.wait() != 0:
            raise bench.Failed(f"mirrorsink ends with {self.process.returncode}: {self.said[-500:]}")
        with open(self.summary, encoding="utf-8") as file:
            made = json.load(file)
        received, fates = made["received"]["packets"], made["fates"]
        if not made["balanced"] or received == 0 or fates["delivered"] != received:
            told = {name: count for name, count in fates.items() if count}
            raise bench.Failed(f"of {received} packets not all are delivered: {told}")
        for port, counters in made["device"].items():
            if counters.get("imissed") or counters.get("rx_nombuf"):
                raise bench.Failed(f"{port} has lost packets: {counters}")
        return made


TABLES = r"session tables in (\d+) KiB"


def reload_10000(place):
    account = Account(place)
    print(f"{account.bytes() / 1e6:.1f} MB of documents", file=sys.stderr)
    counted = []

    def ours():
        if not counted:
            counted.append(count_all(place, account))
        with Sink(place, account, place.source("imix")) as sink:
            sink.until(TABLES)
            time.sleep(0.5)  # until the lcore is under way
            took = []
            for _ in range(RELOADS):
                account.change()
                took.append(sink.reload())
                time.sleep(0.4)  # the report of rules that can never match goes on
            sink.end()
        return statistics.median(took)

    return bench.measure("reload.10000", ours, ("ms", 1e-3), 200)


def count_all(place, account):
    """Reloads while packets come over a wire, and holds what was received against what came."""
    with wire.wire(steer=False):
        port = "--vdev=net_af_packet0,iface=b0"
        with Sink(place, account, port, wire.at(wire.B)) as sink:
            sink.until(TABLES)
            time.sleep(0.5)
            before = wire.counter(wire.B, "b0", "rx_packets")
            with wire.offered(place, RATE):
                for _ in range(RELOADS):
                    account.change()
                    sink.reload()
                    time.sleep(0.2)
            time.sleep(0.2)
            came = wire.counter(wire.B, "b0", "rx_packets") - before
            received = sink.end()["received"]["packets"]
    if received != came or came < RATE * RELOADS // 10:
        raise bench.Failed(f"{came} packets came, {received} were received")
    print(f"{came} packets through {RELOADS} reloads, none lost", file=sys.stderr)
    return came


def memory_10000(place):
    account = Account(place)

    def ours():
        command = [str(place.sink), "--check", *account.options()]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(TABLES, told.stderr)
        if told.returncode != 0 or found is None:
            raise bench.Failed(f"--check ends with {told.returncode}: {told.stderr[-500:]}")
        return int(found.group(1)) << 10

    return bench.measure("memory.10000", ours, ("MiB", MIB), 64)


ROWS = [
    bench.named("reload.10000", reload_10000),
    bench.named("memory.10000", memory_10000),
]
