#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
A judge of capture files and ledgers that shares nothing with the program it judges: it reads pcap
and pcapng, cuts inner frames out of mirrored packets, and holds a summary against itself, all with
plain struct. It believes no length and accepts nothing that the formats forbid.

pcapng: draft-ietf-opsawg-pcapng; pcap: draft-ietf-opsawg-pcap; VXLAN: RFC 7348; GENEVE: RFC 8926.

As a module it serves the checks inside the *_test.sh files; as a command:

    judge.py ledger SUMMARY            the ledger of a summary balances (else exit 1)
    judge.py get SUMMARY PATH          prints one value: fates.delivered, outputs.0.written, ...
    judge.py list CAPTURE              prints interfaces, statistics and packets
"""

import json
import struct
import sys
from typing import NamedTuple, Optional

NS = 1_000_000_000


class Wrong(Exception):
    """What was judged is not as it has to be."""


def demand(condition, text, *values):
    if not condition:
        raise Wrong(text % values if values else text)


# Capture files ------------------------------------------------------------------------------------


class Packet(NamedTuple):
    interface: int
    time: int  # nanoseconds since 1970
    data: bytes
    length: int  # original length
    flags: Optional[int]  # epb_flags, None if absent

    @property
    def direction(self):
        """As pcapng has it: 0 unknown, 1 inbound, 2 outbound."""
        return 0 if self.flags is None else self.flags & 3


class Interface(NamedTuple):
    link: int
    snaplen: int
    name: Optional[str]
    description: Optional[str]
    resolution: int  # ticks a second


class Statistics(NamedTuple):
    interface: int
    time: int
    received: Optional[int]
    dropped: Optional[int]
    options: dict


class Capture:
    def __init__(self, form):
        self.format = form  # "pcap" or "pcapng"
        self.interfaces = []
        self.packets = []
        self.statistics = []
        self.section = {}

    def name(self, packet):
        return self.interfaces[packet.interface].name

    def by_name(self, name):
        """The packets of the one interface that bears this name, in order."""
        found = [i for i, one in enumerate(self.interfaces) if one.name == name]
        demand(len(found) == 1, "%d interfaces are named %s", len(found), name)
        return [p for p in self.packets if p.interface == found[0]]


def read(path, strict=True):
    """
    The whole file; raises Wrong at the first byte that should not be. Not strict: a fraction of
    more than a second is let pass, as some captures of others have it.
    """
    with open(path, "rb") as file:
        return parse(file.read(), strict)


def parse(raw, strict=True):
    demand(len(raw) >= 4, "only %d bytes, no capture file", len(raw))
    if raw[:4] == b"\x0a\x0d\x0d\x0a":
        return parse_pcapng(raw)
    return parse_pcap(raw, strict)


PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def parse_pcap(raw, strict):
    demand(raw[:4] in PCAP_MAGIC, "magic %s is no pcap's", raw[:4].hex())
    order, unit = PCAP_MAGIC[raw[:4]]
    demand(len(raw) >= 24, "file header cut")
    major, minor, _, _, snaplen, link = struct.unpack_from(order + "HHiIII", raw, 4)
    demand((major, minor) == (2, 4), "pcap version %d.%d", major, minor)
    capture = Capture("pcap")
    capture.interfaces.append(Interface(link & 0xFFFF, snaplen, None, None, NS // unit))
    at, record = 24, struct.Struct(order + "IIII")
    while at < len(raw):
        demand(len(raw) - at >= 16, "record header cut at %d", at)
        seconds, fraction, kept, length = record.unpack_from(raw, at)
        demand(fraction * unit < NS or not strict, "fraction %d of a second at %d", fraction, at)
        at += 16
        demand(len(raw) - at >= kept, "record cut at %d", at)
        time = seconds * NS + fraction * unit
        capture.packets.append(Packet(0, time, raw[at : at + kept], length, None))
        at += kept
    return capture


def options(raw, order, where):
    """A block's options as {code: [value, ...]}."""
    found, at = {}, 0
    while at < len(raw):
        demand(len(raw) - at >= 4, "option cut in the block at %d", where)
        code, length = struct.unpack_from(order + "HH", raw, at)
        at += 4
        if code == 0:
            demand(length == 0, "opt_endofopt of length %d in the block at %d", length, where)
            demand(at == len(raw), "bytes after opt_endofopt in the block at %d", where)
            return found
        padded = (length + 3) & ~3
        demand(len(raw) - at >= padded, "option %d overruns the block at %d", code, where)
        demand(not any(raw[at + length : at + padded]), "padding not 0 in block at %d", where)
        found.setdefault(code, []).append(raw[at : at + length])
        at += padded
    demand(not found, "no opt_endofopt in the block at %d", where)
    return found


def text(found, code):
    if code not in found:
        return None
    demand(len(found[code]) == 1, "option %d more than once", code)
    return found[code][0].decode("utf-8")


def number(found, code, size, order):
    if code not in found:
        return None
    demand(len(found[code]) == 1, "option %d more than once", code)
    demand(len(found[code][0]) == size, "option %d of %d bytes", code, len(found[code][0]))
    return int.from_bytes(found[code][0], "little" if order == "<" else "big")


def resolution(found):
    if 9 not in found:
        return 1_000_000
    demand(len(found[9]) == 1 and len(found[9][0]) == 1, "if_tsresol")
    value = found[9][0][0]
    return 2 ** (value & 0x7F) if value & 0x80 else 10**value


def parse_pcapng(raw):
    capture, at, order, first = Capture("pcapng"), 0, "<", 0
    while at < len(raw):
        demand(len(raw) - at >= 12, "block header cut at %d", at)
        kind = struct.unpack_from(order + "I", raw, at)[0]
        if raw[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            demand(len(raw) - at >= 28, "section header cut at %d", at)
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(raw[at + 8 : at + 12])
            demand(order is not None, "byte-order magic %s", raw[at + 8 : at + 12].hex())
            kind = 0x0A0D0D0A
            first = len(capture.interfaces)
        total = struct.unpack_from(order + "I", raw, at + 4)[0]
        demand(total >= 12 and total % 4 == 0, "block length %d at %d", total, at)
        demand(total <= len(raw) - at, "block at %d overruns the file", at)
        again = struct.unpack_from(order + "I", raw, at + total - 4)[0]
        demand(again == total, "block at %d begins with length %d, ends with %d", at, total, again)
        block(capture, kind, raw[at + 8 : at + total - 4], order, first, at)
        at += total
    return capture


def block(capture, kind, body, order, first, at):
    if kind == 0x0A0D0D0A:
        major, minor, length = struct.unpack_from(order + "HHq", body, 4)
        demand((major, minor) == (1, 0), "pcapng version %d.%d", major, minor)
        demand(length == -1 or length % 4 == 0, "section length %d", length)
        capture.section = options(body[16:], order, at)
    elif kind == 1:
        demand(len(body) >= 8, "interface block cut at %d", at)
        link, _, snaplen = struct.unpack_from(order + "HHI", body)
        found = options(body[8:], order, at)
        capture.interfaces.append(
            Interface(link, snaplen, text(found, 2), text(found, 3), resolution(found))
        )
    elif kind == 5:
        demand(len(body) >= 12, "statistics block cut at %d", at)
        interface, high, low = struct.unpack_from(order + "III", body)
        interface += first
        demand(interface < len(capture.interfaces), "no interface %d at %d", interface, at)
        found = options(body[12:], order, at)
        ticks = capture.interfaces[interface].resolution
        capture.statistics.append(
            Statistics(
                interface,
                (high << 32 | low) * NS // ticks,
                number(found, 4, 8, order),
                number(found, 5, 8, order),
                found,
            )
        )
    elif kind == 6:
        demand(len(body) >= 20, "packet block cut at %d", at)
        interface, high, low, kept, length = struct.unpack_from(order + "IIIII", body)
        interface += first
        demand(interface < len(capture.interfaces), "no interface %d at %d", interface, at)
        padded = (kept + 3) & ~3
        demand(20 + padded <= len(body), "packet of %d bytes overruns block at %d", kept, at)
        demand(not any(body[20 + kept : 20 + padded]), "padding not 0 in block at %d", at)
        snaplen = capture.interfaces[interface].snaplen
        demand(snaplen == 0 or kept <= snaplen, "%d bytes kept, snaplen %d", kept, snaplen)
        demand(kept <= length, "%d bytes kept of %d at %d", kept, length, at)
        flags = None
        if len(body) > 20 + padded:
            flags = number(options(body[20 + padded :], order, at), 2, 4, order)
        time = (high << 32 | low) * NS // capture.interfaces[interface].resolution
        capture.packets.append(Packet(interface, time, body[20 : 20 + kept], length, flags))


def write_pcap(path, packets, nanoseconds=False, snaplen=262144):
    """packets: (time in ns, bytes) or (time, bytes, original length)."""
    with open(path, "wb") as file:
        magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, snaplen, 1))
        for time, data, *more in packets:
            fraction = time % NS if nanoseconds else time % NS // 1000
            length = more[0] if more else len(data)
            file.write(struct.pack("<IIII", time // NS, fraction, len(data), length) + data)


# Mirrored packets ---------------------------------------------------------------------------------

TAGS = (0x8100, 0x88A8, 0x9100)
AUTHENTICATION = 51
FRAGMENT = 44
EXTENSIONS = (0, 43, FRAGMENT, AUTHENTICATION, 60, 135, 139, 140)
UDP = 17


class Inner(NamedTuple):
    source: bytes  # outer source address; through a GWLB endpoint the one inside GENEVE
    vni: int
    frame: bytes
    length: int  # that the frame had before it was cut, as far as any header tells


class Fate(Exception):
    """What becomes of a packet that no inner frame comes out of."""


class Bytes:
    """
    What is left of a packet. `raw` is what is here, `claim` how much the headers so far say there
    is: None if none has said anything. The two differ where a packet was cut, or is padded.
    """

    def __init__(self, raw):
        self.raw = raw
        self.claim = None

    def take(self, n, beyond="outer_truncated"):
        """The next n bytes; `beyond` is the fate of a packet whose own headers forbid them."""
        if self.claim is not None:
            if self.claim < n:
                raise Fate(beyond)
            self.claim -= n
        if len(self.raw) < n:
            raise Fate("outer_truncated")
        head, self.raw = self.raw[:n], self.raw[n:]
        return head

    def limit(self, n):
        """A header says that n bytes follow it; those before it must leave so many."""
        if self.claim is not None and n > self.claim:
            raise Fate("outer_malformed")
        self.claim = n
        self.raw = self.raw[:n]


def outer_ethernet(packet):
    kind = struct.unpack("!12xH", packet.take(14))[0]
    for _ in range(2):
        if kind in TAGS:
            kind = struct.unpack("!2xH", packet.take(4))[0]
    return kind


def outer_ipv4(packet):
    """
    Returns the source address, whether this is a first fragment, and how many bytes of the header
    stand before UDP.
    """
    first, total, fragment, protocol, source = struct.unpack(
        "!BxHxxHxBxx4s4x", packet.take(20, "outer_malformed")
    )
    header = (first & 15) * 4
    if first >> 4 != 4 or header < 20:
        raise Fate("outer_malformed")
    if protocol != UDP:
        raise Fate("not_mirror")
    if total != 0:  # 0: longer than 65,535 bytes
        if total < header:
            raise Fate("outer_malformed")
        packet.limit(total - 20)
    if fragment & 0x1FFF:
        raise Fate("outer_fragment")
    return source, bool(fragment & 0x2000), header - 20


def outer_ipv6(packet):
    first, payload, following, source = struct.unpack(
        "!B3xHBx16s16x", packet.take(40, "outer_malformed")
    )
    if first >> 4 != 6:
        raise Fate("outer_malformed")
    if payload != 0:
        packet.limit(payload)
    first_fragment, skip = False, 0
    while following in EXTENSIONS:
        kind = following
        head = packet.take(skip + 8, "outer_malformed")
        following, units, rest = struct.unpack_from("!BBH", head, skip)
        if kind == FRAGMENT:
            if rest & 0xFFF8:
                raise Fate("outer_fragment" if following == UDP else "not_mirror")
            first_fragment = first_fragment or bool(rest & 1)
        skip = {FRAGMENT: 0, AUTHENTICATION: units * 4}.get(kind, units * 8)
    if following != UDP:
        raise Fate("not_mirror")
    return source, first_fragment, skip


def outer_udp(packet, kind, ports):
    """IP and UDP to one of these ports. Returns the source address and the port."""
    if kind == 0x0800:
        source, fragment, skip = outer_ipv4(packet)
    elif kind == 0x86DD:
        source, fragment, skip = outer_ipv6(packet)
    else:
        raise Fate("not_mirror")
    port, length = struct.unpack_from("!2xHH", packet.take(skip + 8, "outer_malformed"), skip)
    if port not in ports:
        raise Fate("not_mirror")
    if fragment:
        raise Fate("outer_fragment")
    if length != 0:
        if length < 8:
            raise Fate("outer_malformed")
        packet.limit(length - 8)
    return source, port


def inner(packet, source, vni):
    """The inner frame is all that is left. Where its packet was cut the outer lengths tell too."""
    frame = packet.raw
    if packet.claim != 0 and not frame:
        raise Fate("outer_truncated")
    return Inner(source, vni, frame, max(original_length(frame), packet.claim or 0))


def vxlan(packet, source):
    flags, vni = struct.unpack("!B3xI", packet.take(8, "vxlan_malformed"))
    if not flags & 8:
        raise Fate("vxlan_malformed")
    return inner(packet, source, vni >> 8)


def decapsulate(raw, vxlan_port=4789, geneve_port=6081):
    """The inner frame of a mirrored packet; raises Fate with the fate's name if it has none."""
    packet = Bytes(raw)
    source, port = outer_udp(packet, outer_ethernet(packet), (vxlan_port, geneve_port))
    if port == vxlan_port:
        return vxlan(packet, source)
    first, kind, vni = struct.unpack("!BxHI", packet.take(8, "geneve_malformed"))
    if first >> 6 != 0:
        raise Fate("geneve_malformed")
    room = (first & 63) * 4
    rest = packet.take(room, "geneve_malformed")
    while rest:
        size = 4 + (rest[3] & 31) * 4
        if size > len(rest):
            raise Fate("geneve_malformed")
        rest = rest[size:]
    if kind == 0x6558:
        return inner(packet, source, vni >> 8)
    source, _ = outer_udp(packet, kind, (vxlan_port,))
    return vxlan(packet, source)


def original_length(frame):
    """
    How long a frame was before it was cut, as its own IP header tells: a source that cuts it says
    nothing more.
    """
    length, at = len(frame), 14
    if length < 14:
        return length
    kind = struct.unpack_from("!H", frame, 12)[0]
    for _ in range(2):
        if kind in TAGS and length >= at + 4:
            kind = struct.unpack_from("!H", frame, at + 2)[0]
            at += 4
    if kind == 0x0800 and length >= at + 4 and frame[at] >> 4 == 4:
        return max(length, at + struct.unpack_from("!H", frame, at + 2)[0])
    if kind == 0x86DD and length >= at + 6 and frame[at] >> 4 == 6:
        payload = struct.unpack_from("!H", frame, at + 4)[0]
        return max(length, at + 40 + payload if payload else 0)
    return length


# The summary --------------------------------------------------------------------------------------

FATES = (
    "not_mirror outer_truncated outer_malformed outer_fragment reassembled vxlan_malformed "
    "geneve_malformed session_unknown source_mismatch filter_reject filter_default no_route "
    "duplicate ring_full delivered"
).split()


def counts(values, where):
    for name, value in values.items():
        demand(
            isinstance(value, int) and not isinstance(value, bool) and value >= 0,
            "%s.%s is %r, no count",
            where,
            name,
            value,
        )


def check_ledger(summary):
    """Every packet has one fate, and every frame that was offered is written or dropped."""
    demand(summary["schema"] == "mirrorsink.summary/1", "schema is %r", summary["schema"])
    demand(summary["seconds"] >= 0, "seconds is %r", summary["seconds"])
    counts(summary["received"], "received")
    counts(summary["fates"], "fates")
    for name in FATES:
        demand(name in summary["fates"], "no fate %s", name)
    fates = sum(summary["fates"].values())
    received = summary["received"]["packets"]
    demand(received == fates, "received %d packets, fates of %d", received, fates)
    demand(summary["balanced"] is True, "balanced is %r", summary["balanced"])
    for output in summary["outputs"]:
        name = output["name"]
        counts({k: output[k] for k in ("offered", "written", "bytes")}, name)
        counts(output["dropped"], name + ".dropped")
        dropped = sum(output["dropped"].values())
        demand(
            output["offered"] == output["written"] + dropped,
            "output %s: offered %d, written %d, dropped %d",
            name,
            output["offered"],
            output["written"],
            dropped,
        )
        delivered = summary["fates"]["delivered"]
        demand(output["offered"] <= delivered, "output %s: more offered than delivered", name)
    for session in summary["sessions"]:
        counts({k: session[k] for k in ("packets", "bytes", "delivered", "rejected")}, "session")
        demand(
            session["packets"] >= session["delivered"] + session["rejected"],
            "session %s: %r",
            session["session"],
            session,
        )
    for rule in summary["rules"]:
        if "service" not in rule:  # amazon-dns is no rule of one direction, and has no number
            demand(rule["direction"] in ("ingress", "egress") and rule["rule"] > 0, "%r", rule)
        counts({"hits": rule["hits"]}, "rule")
    delivered = sum(one["delivered"] for one in summary["sessions"])
    demand(
        delivered == summary["fates"]["delivered"],
        "sessions have %d frames delivered, the ledger %d",
        delivered,
        summary["fates"]["delivered"],
    )


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def output_named(summary, name):
    found = [one for one in summary["outputs"] if one["name"] == name]
    demand(len(found) == 1, "outputs named %s: %d", name, len(found))
    return found[0]


def check_fates(summary, expected):
    """Exactly these fates, all others 0."""
    got = {name: count for name, count in summary["fates"].items() if count}
    want = {name: count for name, count in expected.items() if count}
    demand(got == want, "fates are %r, expected %r", got, want)


def compare(got, want, what):
    """Two lists of bytes, frame by frame."""
    for i, (a, b) in enumerate(zip(got, want)):
        demand(a == b, "%s: frame %d is\n%s, expected\n%s", what, i, a.hex(), b.hex())
    demand(len(got) == len(want), "%s: %d frames, expected %d", what, len(got), len(want))


def show(capture):
    for i, one in enumerate(capture.interfaces):
        print("interface", i, one)
    for packet in capture.packets:
        print(packet.interface, packet.time, packet.direction, packet.length, packet.data.hex())
    for one in capture.statistics:
        print("statistics", one)


def main(arguments):
    verb, path, *rest = arguments
    if verb == "ledger":
        check_ledger(load(path))
    elif verb == "get":
        value = load(path)
        for step in rest[0].split("."):
            value = value[int(step)] if isinstance(value, list) else value[step]
        print(json.dumps(value) if isinstance(value, (dict, list, bool)) else value)
    elif verb == "list":
        show(read(path))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Wrong as wrong:
        sys.exit(f"judge: {sys.argv[2]}: {wrong}")
