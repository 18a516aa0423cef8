#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Holds the two programs against the two references, source_reference.py and reference.py, for one
random configuration (aws_documents.py) after the other and all the frames of one capture:

    frames.pcap -> mirrorsource -> mirrored.pcap -> mirrorsink -> outputs

    agreement.py make FOLDER SEED [CAPTURE...]
        writes the frames, those of the captures and ours, to frames.pcap; and to crowd.pcap, where
        all are between a few MAC addresses, so that interfaces see most of them
    agreement.py run FRAMES FOLDER SEED NUMBERS -- SOURCE... -- SINK...
        FRAMES: folder of these. NUMBERS: FIRST:END:STEP, of configurations. SOURCE, SINK: how the
        programs are started, up to and without the last --. An empty SOURCE: the mirrored packets are the reference's own.
    agreement.py spoil ...                        like run; but one rule that matters is turned round
        in what a program reads, and it is wrong if nobody notices; ends when that was so at both ends

Both exit with 1 at the first disagreement, having told the configuration, the frame, and what each
side says.
"""

import collections
import copy
import hashlib
import ipaddress
import os
import random
import struct
import subprocess
import sys
import time
import zlib

import aws_documents
import judge
import packets as p
import reference
import source_reference
from judge import demand
from source_reference import Hashed

BEGIN = 1_700_000_000 * judge.NS
STEP = 1000  # nanoseconds from frame to frame
ANY = Hashed((65408, 65408), 0, bytes(8), bytes(8))
SESSION_COUNTS = (
    "packets bytes delivered rejected duplicates ingress egress unknown".split()
)
DIRECTIONS = {None: 0, reference.INGRESS: 1, reference.EGRESS: 2}

# Our own frames -----------------------------------------------------------------------------------

OWN = ["02:bb:00:00:00:01", "02:bb:00:00:00:02", "02:bb:00:00:00:03"]
V4 = ["10.2.0.1", "10.2.1.7", "10.3.9.9", "192.0.2.1", "10.70.0.2", "10.2.0.2", "10.9.0.18"]
V6 = ["2001:db8::1", "2001:db8:8000::1", "2001:db8:1::1", "2001:db8:1:2::3"]
AMAZON4 = [f"169.254.169.{host}" for host in (123, 250, 251, 252, 253, 253, 253, 254)]
AMAZON6 = [f"fd00:ec2::{host}" for host in ("123", "240", "241", "253", "254")]
PORTS = [22, 53, 53, 53, 67, 68, 80, 123, 443, 546, 547, 1688, 40000]


def transport(chance, ports):
    body = chance.randbytes(chance.choice((0, 1, 30, 200, 1400)))
    kind = chance.randrange(10)
    if kind < 4:
        return p.TCP, p.tcp(body, *ports)
    if kind < 8:
        return p.UDP, p.udp(body, *ports)
    return chance.choice((p.ICMP, p.ICMP6, 47, 50)), p.icmp_echo(body)


def own_packet(chance, family):
    """(EtherType, packet)"""
    ports = chance.choice(PORTS), chance.choice(PORTS)
    protocol, body = transport(chance, ports)
    usual, amazon = (V4, AMAZON4) if family == 4 else (V6, AMAZON6)
    ends = [chance.choice(usual), chance.choice(amazon if chance.random() < 0.4 else usual)]
    chance.shuffle(ends)
    if family == 4:
        fragment = chance.choice((0, 0, 0, 0, 0x4000, 0x2000, 0x2005, 0x0005))
        options = b"\x01" * chance.choice((0, 0, 0, 4, 40))
        return 0x0800, p.ipv4(body, protocol, *ends, options=options, fragment=fragment)
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        kind = chance.choice((0, 43, 60, 51))
        more = p.authentication if kind == 51 else p.extension
        protocol, body = kind, more(body, protocol)
    if chance.random() < 0.1:
        protocol, body = 44, p.fragment6(body, protocol, chance.choice((0, 9)), True)
    return 0x86DD, p.ipv6(body, protocol, *ends)


def own_frames(seed, count):
    """What the captures have little of: resolvers, what is never mirrored, fragments, tags."""
    chance, frames = random.Random(seed), []
    for _ in range(count):
        macs = chance.sample(OWN + ["02:bb:00:00:00:99"], 2)
        if chance.random() < 0.03:
            macs[1] = macs[0]
        kind, body = own_packet(chance, chance.choice((4, 4, 6)))
        if chance.random() < 0.03:
            kind, body = 0x0806, bytes(28)
        tags = [(0x8100, 5), (0x88A8, 6), (0x9100, 7)]
        chance.shuffle(tags)
        frame = p.ether(body, kind, *macs, tags[: chance.choice((0, 0, 0, 0, 1, 2, 3))])
        if chance.random() < 0.1:
            frame = frame[: chance.randrange(0, min(len(frame), 90))]
        elif chance.random() < 0.1:
            frame += bytes(chance.randrange(1, 20))
        frames.append(frame)
    return frames


def crowd(frame):
    """The frame with its MAC addresses among a few, groups and 0 as they were."""
    macs = [frame[0:6], frame[6:12]]
    for i, mac in enumerate(macs):
        if len(mac) == 6 and any(mac) and not mac[0] & 1:
            macs[i] = b"\x02\xcc\x00\x00\x00" + bytes([zlib.crc32(mac) % 7])
    return b"".join(macs) + frame[12:]


FILES = "frames.pcap", "crowd.pcap"


def make(folder, seed, captures):
    frames = []
    for capture in captures:
        frames += [one.data for one in judge.read(capture, strict=False).packets]
    frames += own_frames(seed, 1000 if captures else 4000)
    for name, change in zip(FILES, (bytes, crowd)):
        timed = [(BEGIN + i * STEP, change(frame)) for i, frame in enumerate(frames)]
        judge.write_pcap(os.path.join(folder, name), timed)
    print(f"{len(frames)} frames of {len(captures)} captures and our own")


# The frames, as the references see them -----------------------------------------------------------


class Frames:
    def __init__(self, path):
        self.path = path
        self.data = [one.data for one in judge.read(path).packets]
        self.found = [reference.fields(frame) for frame in self.data]
        self.arp = [source_reference.is_arp(frame) for frame in self.data]
        self.flows = [self.flow(i) for i in range(len(self.data))]
        self.cuts = {}
        self.likes = {}
        self.pool = aws_documents.Pool(self.data, self.found, [p.mac(text) for text in OWN])

    def fields(self, number, length):
        """Of a frame that has been cut to so many bytes."""
        if length == len(self.data[number]):
            return self.found[number]
        key = number, length
        if key not in self.cuts:
            self.cuts[key] = reference.fields(self.data[number][:length])
        return self.cuts[key]

    def likeness(self, number, length):
        """What stands for what copies of the frame, cut, have in common; None for nothing."""
        key = number, min(length, len(self.data[number]))
        if key not in self.likes:
            like = reference.likeness(self.data[number][:length])
            self.likes[key] = like and hashlib.blake2b(like, digest_size=16).digest()
        return self.likes[key]

    def flow(self, number):
        """
        Two ends and what they speak: frames for which this is equal belong to one flow. None where
        it is not easily told, as of fragments.
        """
        frame, found = self.data[number], self.found[number]
        if found.family is None or found.protocol is None or None in (found.source, found.target):
            return None
        at = 14
        while struct.unpack_from("!H", frame, at - 2)[0] in judge.TAGS:
            at += 4
        if found.family == 4 and struct.unpack_from("!H", frame, at + 6)[0] & 0x3FFF:
            return None
        if found.family == 6 and frame[at + 6] in judge.EXTENSIONS:
            return None
        return found.protocol, (found.source, found.sport), (found.target, found.dport)


def number_of(moment):
    return (moment - BEGIN) // STEP


# One configuration --------------------------------------------------------------------------------


class Seen:
    """A mirrored packet as it should be seen by the sink."""

    def __init__(self, number, frame):
        self.number, self.frame = number, frame  # of the frame; what is left of it
        self.name = self.direction = None  # of the session, as soon as there is one
        self.fate, self.outputs = "delivered", ()

    def locate(self, sink, source, vni, found):
        session = sink.session_at(sink.find_session(source, vni), vni)
        self.name = session["TrafficMirrorSessionId"]
        self.direction = sink.direction(session, source, self.frame, found)


class Case:
    """One configuration: what is expected of both programs, and what they do."""

    def __init__(self, frames, folder, seed):
        self.frames, self.folder = frames, folder
        maker = aws_documents.Maker(seed, frames.pool)
        self.account = maker.account(folder)
        self.chance = maker.chance
        self.source = source_reference.Source(self.account.source, self.account.play)
        self.sink = reference.Reference(self.account.sink)
        self.mirrored = []  # (frame number, name of session)
        self.fates = collections.Counter()
        self.twice = 0
        self.ids = None  # of endpoint and attachment

    def path(self, name):
        return os.path.join(self.folder, name)

    def predict(self):
        """What the source does."""
        for number, frame in enumerate(self.frames.data):
            seen = self.source.sightings(frame, self.frames.found[number], self.frames.arp[number])
            self.twice += len(seen) - 1
            for sighting in seen:
                self.fates[sighting.fate] += 1
                if sighting.fate == "mirrored":
                    self.mirrored.append((number, sighting.session))

    def frames_mirrored(self, source):
        """What another source would mirror."""
        return [
            (number, sighting.session)
            for number, frame in enumerate(self.frames.data)
            for sighting in source.sightings(
                frame, self.frames.found[number], self.frames.arp[number]
            )
            if sighting.fate == "mirrored"
        ]

    def run(self, name, line):
        """Runs a program; what it writes of itself is kept as name.out."""
        with open(self.path(f"{name}.out"), "wb") as out:
            status = subprocess.run(
                line, stdout=out, stderr=subprocess.STDOUT, timeout=60, check=False
            ).returncode
        with open(self.path(f"{name}.out"), encoding="utf-8", errors="replace") as out:
            demand(status == 0, "%s ends with status %d:\n%s", name, status, out.read())

    # the source

    def run_source(self, start, document):
        line = start + [f"--vdev=net_pcap0,rx_pcap={self.frames.path}", "--"]
        for path in aws_documents.write(self.folder, "source", document, self.chance):
            line += ["-c", path]
        line += self.account.play.arguments() + ["-w", self.path("mirrored.pcap")]
        line += ["-a", f"packets:{len(self.frames.data)}", "--summary", self.path("source.json")]
        self.run("mirrorsource", line)
        return judge.read(self.path("mirrored.pcap")).packets

    def play_source(self):
        """The mirrored packets as the reference has them; any source port will do."""
        made = []
        for number, name in self.mirrored:
            packet = self.source.mirrored(name, self.frames.data[number], ANY)
            made.append((BEGIN + number * STEP, packet))
        judge.write_pcap(self.path("mirrored.pcap"), made, nanoseconds=True)
        return judge.read(self.path("mirrored.pcap")).packets

    def tell(self, number, got):
        """Both sides' account of a frame."""
        frame = self.frames.data[number]
        seen = self.source.sightings(frame, self.frames.found[number], self.frames.arp[number])
        lines = [f"frame {number + 1}: {frame.hex()}", f"{self.frames.found[number]}"]
        for sighting in seen:
            lines.append(f"expected: {sighting}")
            if sighting.session is not None:
                route = self.source.route(sighting.session)
                lines.append(f"    {len(self.source.kept(sighting.session, frame))} bytes, {route}")
        lines += [
            f"mirrorsource: {len(one.data)} bytes: {one.data.hex()}"
            for one in got
            if number_of(one.time) == number
        ]
        return "\n".join(lines)

    def check_mirrored(self, got):
        """Every frame was mirrored by the right sessions, in order, byte for byte."""
        hashes = {}
        for i, (number, name) in enumerate(self.mirrored):
            if i >= len(got) or number_of(got[i].time) != number:
                first = min(number, number_of(got[i].time)) if i < len(got) else number
                raise judge.Wrong(self.tell(first, got))
            packet = got[i].data
            hashed = self.source.hashed(name, packet)
            want = self.source.mirrored(name, self.frames.data[number], hashed)
            if packet != want or got[i].length != len(packet):
                raise judge.Wrong(f"{self.tell(number, got)}\nexpected: {want.hex()}")
            self.check_hash(hashes, number, hashed)
        if len(got) > len(self.mirrored):
            raise judge.Wrong(self.tell(number_of(got[len(self.mirrored)].time), got))
        demand(
            self.account.play.port_bits < 3 or len(hashes) < 30 or len(set(hashes.values())) > 1,
            "%d flows share one source port",
            len(hashes),
        )

    def check_hash(self, hashes, number, hashed):
        """Source ports are of the wanted range, and the same for all packets of a flow."""
        play, port = self.account.play, hashed.ports[-1]
        mask, where = (1 << play.port_bits) - 1, f"frame {number + 1}: {hashed}"
        demand(port | mask == play.port_base | mask and port | play.port_base == port, where)
        if hashed.cookie is not None:
            demand(port == play.port_base | hashed.cookie & mask, where)
            ids = self.ids or (hashed.endpoint, hashed.attachment)
            demand((hashed.endpoint, hashed.attachment) == ids, "%s, before %r", where, ids)
            self.ids = ids
        flow = self.frames.flows[number]
        if flow is None:
            return
        if not play.directed:
            flow = flow[0], frozenset(flow[1:])
        known = hashes.setdefault(flow, port)
        demand(known == port, "%s: its flow had port %d before", where, known)

    def check_source(self, got):
        summary = judge.load(self.path("source.json"))
        frames = self.frames.data
        received = {"packets": len(frames), "bytes": sum(map(len, frames))}
        demand(summary["received"] == received, "received %r", summary["received"])
        demand(summary["seen_twice"] == self.twice, "seen_twice %r", summary["seen_twice"])
        fates = {name: count for name, count in summary["fates"].items() if count}
        demand(fates == dict(self.fates), "fates %r, expected %r", fates, dict(self.fates))
        demand(summary["balanced"] is True, "not balanced")
        count = len(self.mirrored)
        want = dict.fromkeys(summary["packets"], 0)
        want.update(mirrored=count, sent=count)
        demand(summary["packets"] == want, "packets %r", summary["packets"])
        sent = {"packets": count, "bytes": sum(len(one.data) for one in got)}
        demand(summary["sent"] == sent, "sent %r, expected %r", summary["sent"], sent)
        self.check_source_sessions(summary, got)
        check_hits(summary, self.account.source, self.source.hits)

    def check_source_sessions(self, summary, got):
        expected = {name: [0, 0] for name in self.source.by_name}
        for (_, name), one in zip(self.mirrored, got):
            expected[name][0] += 1
            expected[name][1] += len(one.data)
        want = [
            {
                "session": name,
                "vni": session["VirtualNetworkId"],
                "eni": session["NetworkInterfaceId"],
                "number": session["SessionNumber"],
                "packets": expected[name][0],
                "bytes": expected[name][1],
            }
            for name, session in self.source.by_name.items()
        ]
        have = [{key: one[key] for key in want[0]} for one in summary["sessions"]] if want else []

        def order(one):
            return one["session"]

        demand(
            sorted(have, key=order) == sorted(want, key=order),
            "sessions %r, expected %r",
            have,
            want,
        )

    # the sink

    def run_sink(self, start, document, count):
        line = start + [f"--vdev=net_pcap0,rx_pcap={self.path('mirrored.pcap')}", "--"]
        for path in aws_documents.write(self.folder, "sink", document, self.chance):
            line += ["-c", path]
        stop = f"packets:{count}" if count else "idle:50"
        line += ["-W", "0", "-a", stop, "--summary", self.path("sink.json")]
        self.run("mirrorsink", line)

    def decide(self):
        """What the sink does: (frame number, fate, what it looked at) of each mirrored packet."""
        duplicates = None
        if "Dedup" in self.account.sink:
            duplicates = reference.Duplicates(self.account.sink["Dedup"])
        for number, name in self.mirrored:
            frame = self.source.kept(name, self.frames.data[number])
            route = self.source.route(name)
            source = ipaddress.ip_address(route.source)
            found = self.frames.fields(number, len(frame))
            seen = Seen(number, frame)
            try:
                seen.locate(self.sink, source, route.vni, found)
                outputs = self.sink.decide_inner(source, route.vni, frame, found)[2]
                like = self.frames.likeness(number, len(frame)) if duplicates else None
                if duplicates and duplicates.is_copy(number * STEP, like, outputs, seen.name):
                    raise judge.Fate("duplicate")
                seen.outputs = outputs
            except judge.Fate as fate:
                seen.fate = str(fate)
            yield seen

    def check_sink(self, count):
        """Decides about each mirrored packet, and holds what came of it against that."""
        expected = {one["Name"]: [] for one in self.account.sink["Outputs"]}
        fates, sessions = collections.Counter(), collections.defaultdict(collections.Counter)
        for seen in self.decide():
            fates[seen.fate] += 1
            for output in seen.outputs:
                expected[output].append(seen)
            if seen.name is not None:
                what = {"delivered": "delivered", "duplicate": "duplicates"}.get(seen.fate)
                side = ("unknown", "ingress", "egress")[DIRECTIONS[seen.direction]]
                sessions[seen.name].update(packets=1, bytes=len(seen.frame))
                sessions[seen.name].update({what or "rejected": 1, side: 1})
        summary = judge.load(self.path("sink.json"))
        judge.check_ledger(summary)
        demand(summary["received"]["packets"] == count, "received %r", summary["received"])
        for one in self.account.sink["Outputs"]:
            self.check_output(summary, one, expected[one["Name"]])
        judge.check_fates(summary, fates)
        for one in summary["sessions"]:
            want = {key: sessions[one["session"]][key] for key in SESSION_COUNTS}
            have = {key: one[key] for key in want}
            demand(have == want, "session %s: %r, expected %r", one["session"], have, want)
        listed = {one["session"] for one in summary["sessions"]}
        demand(listed >= sessions.keys(), "sessions %r, expected %r", listed, sessions.keys())
        check_hits(summary, self.account.sink, self.sink.hits)
        return fates

    def check_output(self, summary, output, expected):
        name, path = output["Name"], output.get("Path")
        ledger = judge.output_named(summary, name)
        demand(
            ledger["offered"] == ledger["written"] == len(expected),
            "%s: offered %d, written %d, expected %d",
            name,
            ledger["offered"],
            ledger["written"],
            len(expected),
        )
        if path is None:
            return
        capture = judge.read(path)
        for i, seen in enumerate(expected):
            where = f"{name}, packet {i + 1}"
            demand(i < len(capture.packets), "%s of %d: is missing", where, len(expected))
            got = capture.packets[i]
            data = seen.frame[: output.get("Snaplen")]
            demand(
                number_of(got.time) == seen.number and got.data == data,
                "%s: is of frame %d:\n%s\nexpected frame %d of session %s:\n%s\n%r",
                where,
                number_of(got.time) + 1,
                got.data.hex(),
                seen.number + 1,
                seen.name,
                data.hex(),
                self.frames.fields(seen.number, len(seen.frame)),
            )
            where = f"{where}, frame {seen.number + 1}"
            length = judge.original_length(seen.frame)
            demand(got.length == length, "%s: length %d, expected %d", where, got.length, length)
            if capture.format == "pcapng":
                want = seen.name, DIRECTIONS[seen.direction]
                have = capture.name(got), got.direction
                demand(have == want, "%s: %r, expected %r", where, have, want)
        demand(
            len(capture.packets) == len(expected),
            "%s: %d packets, expected %d",
            name,
            len(capture.packets),
            len(expected),
        )


def check_hits(summary, document, hits):
    got, want = {}, {}
    for one in summary["rules"]:
        rule = ("amazon-dns",) if "service" in one else (one["direction"], one["rule"])
        got[one["filter"], *rule] = one["hits"]
    for one in document["TrafficMirrorFilters"]:
        name = one["TrafficMirrorFilterId"]
        for service in one["NetworkServices"]:
            want[name, service] = hits[name, service]
        for rule in one["IngressFilterRules"] + one["EgressFilterRules"]:
            key = name, rule["TrafficDirection"], rule["RuleNumber"]
            want[key] = hits[key]
    for key, count in want.items():
        demand(got.get(key) == count, "hits of %r: %r, expected %d", key, got.get(key), count)
    demand(got.keys() == want.keys(), "rules %r, expected %r", got.keys(), want.keys())


# Runs ---------------------------------------------------------------------------------------------


def turned(document, hits):
    """The document with one rule turned round, for each rule that decided about frames."""
    document = copy.deepcopy(document)
    for one in document["TrafficMirrorFilters"]:
        for rule in one["IngressFilterRules"] + one["EgressFilterRules"]:
            if not hits[
                one["TrafficMirrorFilterId"], rule["TrafficDirection"], rule["RuleNumber"]
            ]:
                continue
            before = rule["RuleAction"]
            rule["RuleAction"] = "reject" if before == "accept" else "accept"
            yield document
            rule["RuleAction"] = before


def run_case(case, source, sink):
    case.predict()
    if source:
        got = case.run_source(source, case.account.source)
        case.check_mirrored(got)
        case.check_source(got)
    else:
        got = case.play_source()
    case.run_sink(sink, case.account.sink, len(got))
    return case.check_sink(len(got))


def unnoticed(check, *arguments):
    """Does a check pass that must not?"""
    try:
        check(*arguments)
    except judge.Wrong:
        return False
    return True


def spoil_source(case, start):
    """Turns a rule round that matters; False if there is none."""
    for document in turned(case.account.source, case.source.hits):
        other = source_reference.Source(document, case.account.play)
        if case.frames_mirrored(other) == case.mirrored:
            continue  # a later session takes what this rule has refused, or the like
        got = case.run_source(start, document)
        demand(not unnoticed(case.check_mirrored, got), "mirrorsource: nobody notices")
        return True
    return False


def spoil_sink(case, start):
    """The same at the other end."""
    packets = len(case.play_source())
    before = [(seen.fate, seen.outputs) for seen in case.decide()]
    oracle, hits = case.sink, case.sink.hits.copy()
    for document in turned(case.account.sink, hits):
        case.sink = reference.Reference(document)
        after = [(seen.fate, seen.outputs) for seen in case.decide()]
        case.sink = oracle
        if after == before:
            continue  # another route leads there
        oracle.hits.clear()
        case.run_sink(start, document, packets)
        demand(not unnoticed(case.check_sink, packets), "mirrorsink: nobody notices")
        return True
    return False


def spoil_case(case, source, sink):
    """At which ends a rule that matters was turned round, and noticed."""
    case.predict()
    ends = {"sink"} if spoil_sink(case, sink) else set()
    if source and spoil_source(case, source):
        ends.add("source")
    return ends


def run(arguments, spoil):
    of_frames, folder, seed, numbers, _, *lines = arguments
    source, sink = lines[: lines.index("--")], lines[lines.index("--") + 1 :]
    frames = [Frames(os.path.join(of_frames, name)) for name in FILES]
    began, sums, done, noticed = time.monotonic(), collections.Counter(), 0, set()
    wanted = {"source", "sink"} if source else {"sink"}
    for number in range(*map(int, numbers.split(":"))):
        try:
            case = Case(frames[number // 2 % 2], folder, f"{seed}/{number}")
            if spoil:
                noticed |= spoil_case(case, source, sink)
            else:
                fates = run_case(case, source, sink)
                sums.update({f"source {name}": n for name, n in case.fates.items()})
                sums.update({f"sink {name}": n for name, n in fates.items()})
        except judge.Wrong as wrong:
            print(f"seed {seed}, configuration {number}:\n{wrong}", file=sys.stderr)
            return 1
        done += 1
        if spoil and noticed == wanted:
            break
    print(f"{done} configurations in {time.monotonic() - began:.1f} s")
    for name, count in sorted(sums.items()):
        print(f"    {name} {count}")
    if spoil:
        print(f"rules turned round, and noticed: {', '.join(sorted(noticed))}")
        return 0 if noticed == wanted else 1
    return 0


def main(arguments):
    verb, *rest = arguments
    if verb == "make":
        make(rest[0], rest[1], rest[2:])
        return 0
    return run(rest, verb == "spoil")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
