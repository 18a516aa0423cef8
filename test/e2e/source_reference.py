# SPDX-License-Identifier: BSD-3-Clause
"""
A reference of what source ENIs do with frames, as AWS documents define it: which ENI sees a frame,
in which direction, which of its sessions mirrors it or why none does, and what the mirrored packet
is. It shares reference.py's view of frames and rules, and nothing with the program.

    An ENI sees what bears its MAC address as source (egress) or as destination (ingress). Some
    traffic is never mirrored. Of an ENI's sessions, in ascending SessionNumber, the first whose
    filter accepts mirrors the frame, once. It is cut to the session's PacketLength (8,500 bytes at
    most for a Network Load Balancer), and then to what the target's MTU leaves.
"""

import collections
import functools
import ipaddress
import struct
from typing import NamedTuple, Optional

import judge
import packets
import reference
from reference import EGRESS, INGRESS

NLB, GWLB = "network-load-balancer", "gateway-load-balancer-endpoint"
METADATA, NTP, ACTIVATION = (
    frozenset(ipaddress.ip_address(text) for text in texts)
    for texts in (
        ("169.254.169.254", "fd00:ec2::254"),
        ("169.254.169.123", "fd00:ec2::123"),
        ("169.254.169.250", "169.254.169.251", "fd00:ec2::240"),
    )
)


class Sighting(NamedTuple):
    """What one ENI, or none, does with one frame."""

    eni: Optional[str]
    direction: Optional[str]
    fate: str  # "mirrored", or why not
    session: Optional[str] = None


class Play(NamedTuple):
    """What mirrorsource is told beside the documents. Addresses and MACs are texts."""

    enis: tuple = ()  # empty: all with a session
    targets: tuple = ()  # (target id, address)
    target_address: Optional[str] = None
    source_mac: str = "02:00:00:00:00:01"
    target_mac: Optional[str] = None
    target_mtu: Optional[int] = None  # 0: any
    ip_version: Optional[int] = None
    port_base: int = 65408
    port_bits: int = 7
    directed: bool = False
    geneve: bool = False
    stop: bool = False  # a reject ends the search

    def arguments(self):
        """The same as options of mirrorsource."""
        line = []
        for eni in self.enis:
            line += ["--eni", eni]
        for name, address in self.targets:
            line += ["--target", f"{name}={address}"]
        for option, value, default in (
            ("--target-address", self.target_address, None),
            ("--source-mac", self.source_mac, "02:00:00:00:00:01"),
            ("--target-mac", self.target_mac, None),
            ("--target-mtu", self.target_mtu, None),
            ("--ip-version", self.ip_version, None),
            ("--source-port-base", self.port_base, 65408),
            ("--source-port-bits", self.port_bits, 7),
            ("--source-port-hash", "directed" if self.directed else "symmetric", "symmetric"),
            ("--after-reject", "stop" if self.stop else "next", "next"),
        ):
            if value != default:
                line += [option, str(value)]
        return line + (["--geneve"] if self.geneve else [])


class Hashed(NamedTuple):
    """What in a mirrored packet is made from a hash, or chosen by chance."""

    ports: tuple  # UDP source ports, from the outside in
    cookie: Optional[int] = None  # of the flow; the rest is None without GENEVE
    endpoint: Optional[bytes] = None
    attachment: Optional[bytes] = None


class Route(NamedTuple):
    """How a session's packets reach their target."""

    source_mac: str
    target_mac: str
    source: str
    target: str
    vni: int
    keep: Optional[int]  # bytes of a frame; None: all
    geneve: bool


def is_arp(frame):
    if len(frame) < 14:
        return False
    kind, at = struct.unpack_from("!H", frame, 12)[0], 14
    for _ in range(2):
        if kind in judge.TAGS and at + 4 <= len(frame):
            kind, at = struct.unpack_from("!H", frame, at + 2)[0], at + 4
    return kind == 0x0806


def excluded(found, arp):
    """The fate of what is never mirrored, else None."""
    if arp:
        return "excluded_arp"
    if found.protocol == reference.UDP:
        for pair in ((67, 68), (546, 547)):
            if found.sport in pair and found.dport in pair:
                return "excluded_dhcp"
    for fate, hosts in (("excluded_metadata", METADATA), ("excluded_ntp", NTP)):
        if found.source in hosts or found.target in hosts:
            return fate
    if found.protocol == reference.TCP and (
        (found.target in ACTIVATION and found.dport == 1688)
        or (found.source in ACTIVATION and found.sport == 1688)
    ):
        return "excluded_activation"
    return None


def family_of(text):
    return ipaddress.ip_address(text).version


def ip_udp(payload_length, source, target, sport, dport):
    """(EtherType, headers) of a UDP packet; lengths that exceed 16 bits are 0."""
    udp = 8 + payload_length
    if family_of(source) == 6:
        length = udp if udp <= 0xFFFF else 0
        head = struct.pack("!IHBB", 6 << 28, length, packets.UDP, 255)
        head += packets.address(source) + packets.address(target)
        kind = 0x86DD
    else:
        total = 20 + udp if 20 + udp <= 0xFFFF else 0
        length = udp if total else 0
        ends = packets.address(source) + packets.address(target)
        head = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0, 255, packets.UDP, 0) + ends
        head = head[:10] + struct.pack("!H", packets.checksum(head)) + head[12:]
        kind = 0x0800
    return kind, head + struct.pack("!HHHH", sport, dport, length, 0)


class Source:
    """document: what stands in the configuration files, put together; play: a Play."""

    def __init__(self, document, play):
        self.document, self.play = document, play
        self.filters = {f["TrafficMirrorFilterId"]: f for f in document["TrafficMirrorFilters"]}
        self.interfaces = {i["NetworkInterfaceId"]: i for i in document["NetworkInterfaces"]}
        self.targets = {t["TrafficMirrorTargetId"]: t for t in document["TrafficMirrorTargets"]}
        self.sessions = {}  # by ENI, in the order of their numbers
        for session in sorted(document["TrafficMirrorSessions"], key=lambda s: s["SessionNumber"]):
            eni = session["NetworkInterfaceId"]
            if eni in self.interfaces and (not play.enis or eni in play.enis):
                self.sessions.setdefault(eni, []).append(session)
        self.by_name = {
            session["TrafficMirrorSessionId"]: session
            for sessions in self.sessions.values()
            for session in sessions
        }
        self.by_mac = {
            reference.hardware_address(self.interfaces[eni]): eni
            for eni in play.enis or self.sessions
        }
        self.hits = collections.Counter()
        self.route = functools.lru_cache(maxsize=None)(self.make_route)
        self.headers = functools.lru_cache(maxsize=4096)(self.make_headers)
        self.judge = functools.lru_cache(maxsize=None)(self.judge_sighting)

    def seen_by(self, frame):
        """(ENI, direction) of those that see it, the sender first."""
        by = self.by_mac.get(frame[6:12])
        to = self.by_mac.get(frame[:6])
        seen = [(by, EGRESS)] if by is not None else []
        return seen + ([(to, INGRESS)] if to is not None and to != by else [])

    def sightings(self, frame, found, arp):
        """found, arp: fields() and is_arp() of the frame. Counts the hits of rules."""
        seen = self.seen_by(frame)
        if not seen:
            return [Sighting(None, None, "no_eni")]
        judged = [self.judge(eni, direction, found, arp) for eni, direction in seen]
        for _, hits in judged:
            for hit in hits:
                self.hits[hit] += 1
        return [sighting for sighting, _ in judged]

    def judge_sighting(self, eni, direction, found, arp):
        """(Sighting, hits)"""
        sessions, hits, fates = self.sessions.get(eni, []), [], []
        fate = excluded(found, arp) or (None if sessions else "no_session")
        if fate is not None:
            return Sighting(eni, direction, fate), ()
        dns = reference.is_dns(
            found, reference.resolvers_of(self.interfaces[eni], self.document)
        )
        for session in sessions:
            name = session["TrafficMirrorFilterId"]
            fate = self.ask(name, direction, found, dns, hits)
            if fate is None:
                taken = session["TrafficMirrorSessionId"]
                return Sighting(eni, direction, "mirrored", taken), tuple(hits)
            fates.append(fate)
            if fate == "filter_reject" and self.play.stop:
                break
        for fate in ("filter_reject", "filter_default", "excluded_dns"):
            if fate in fates:
                return Sighting(eni, direction, fate), tuple(hits)
        raise judge.Wrong("no fate")

    def ask(self, name, direction, found, dns, hits):
        """What one filter says: None if it accepts."""
        if dns:
            if "amazon-dns" not in self.filters[name].get("NetworkServices", []):
                return "excluded_dns"
            hits.append((name, "amazon-dns"))
            return None
        rule = reference.first_match(self.filters[name], direction, found)
        if rule is None:
            return "filter_default"
        hits.append((name, direction, rule["RuleNumber"]))
        return None if rule["RuleAction"] == "accept" else "filter_reject"

    def addresses_of_target(self, target):
        given = dict(self.play.targets).get(target["TrafficMirrorTargetId"])
        if given is not None:
            return [given]
        interface = self.interfaces.get(target.get("NetworkInterfaceId"))
        own = [str(a) for a in reference.sources_of(interface)] if interface else []
        return own or [self.play.target_address]

    def make_route(self, name):
        """The Route of a session, by name."""
        session = self.by_name[name]
        eni = self.interfaces[session["NetworkInterfaceId"]]
        target = self.targets[session["TrafficMirrorTargetId"]]
        here, there = {}, {}
        for found, texts in (
            (here, [str(a) for a in reference.sources_of(eni)]),
            (there, self.addresses_of_target(target)),
        ):
            for text in texts:
                found.setdefault(family_of(text), text)
        family = self.play.ip_version or (4 if 4 in here and 4 in there else 6)
        interface = self.interfaces.get(target.get("NetworkInterfaceId"), {})
        kind = target.get("Type")
        return Route(
            source_mac=self.play.source_mac,
            target_mac=self.play.target_mac or interface.get("MacAddress") or "ff:ff:ff:ff:ff:ff",
            source=here[family],
            target=there[family],
            vni=session["VirtualNetworkId"],
            keep=self.keep(session, kind, family),
            geneve=self.play.geneve or kind == GWLB,
        )

    def keep(self, session, kind, family):
        """How many bytes of a frame a session keeps at most; None: all."""
        bounds = [session["PacketLength"]] if "PacketLength" in session else []
        if kind == NLB:
            bounds.append(8500)
        mtu = self.play.target_mtu
        if mtu is None:
            mtu = 8500 if kind in (NLB, GWLB) else 9001
        if mtu != 0:
            bounds.append(mtu - (20 if family == 4 else 40) - 8 - 8)
        return min(bounds) if bounds else None

    def kept(self, name, frame):
        """What a session keeps of a frame."""
        return frame[: self.route(name).keep]

    def make_headers(self, name, length, hashed):
        """All that stands before a frame of which so many bytes are kept."""
        route = self.route(name)
        target = route.target
        if route.geneve:
            target = "192.0.2.4" if family_of(route.source) == 4 else "2001:db8::4"
        kind, head = ip_udp(8 + length, route.source, target, hashed.ports[-1], 4789)
        head += packets.vxlan(b"", route.vni)
        if route.geneve:
            balancer = "192.0.2.3" if family_of(route.source) == 4 else "2001:db8::3"
            options = (hashed.endpoint, hashed.attachment, struct.pack("!I", hashed.cookie))
            options = b"".join(packets.geneve_option(v, i) for i, v in enumerate(options, 1))
            head = packets.geneve(head, kind, 0, options)
            kind, outer = ip_udp(len(head) + length, balancer, route.target, hashed.ports[0], 6081)
            head = outer + head
        return packets.ether(head, kind, route.source_mac, route.target_mac)

    def mirrored(self, name, frame, hashed):
        """The mirrored packet of a session. hashed: what only the program can know."""
        kept = self.kept(name, frame)
        return self.headers(name, len(kept), hashed) + kept

    def hashed(self, name, packet):
        """The Hashed parts of a packet of this session; raises judge.Wrong if it is too short."""
        route = self.route(name)
        udp = 14 + (20 if family_of(route.source) == 4 else 40)
        inside = udp + 8 + 8 + 32 + udp - 14  # the UDP header in GENEVE
        judge.demand(len(packet) >= (inside if route.geneve else udp) + 16, "only %r", packet)
        outer = struct.unpack_from("!H", packet, udp)[0]
        if not route.geneve:
            return Hashed((outer,))
        endpoint, attachment, cookie = struct.unpack_from("!4x8s4x8s4xI", packet, udp + 16)
        ports = outer, struct.unpack_from("!H", packet, inside)[0]
        return Hashed(ports, cookie, endpoint, attachment)
