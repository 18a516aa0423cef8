# SPDX-License-Identifier: BSD-3-Clause
"""
A reference of sessions, filters and routes as AWS documents define them, that loops over rules and
addresses of ipaddress and shares nothing with the program: what should become of a mirrored packet.

    Rules are tried in ascending RuleNumber, the first match decides, none rejects. A rule that
    constrains a field which the frame has not got does not match. A session is found by (outer
    source, VNI) if its interface is loaded, else by its VNI.
"""

import collections
import ipaddress
import struct
from typing import NamedTuple, Optional

import judge

TCP, UDP = 6, 17
INGRESS, EGRESS = "ingress", "egress"


class Fields(NamedTuple):
    """What a filter can look at; None for what the frame has not got."""

    family: Optional[int] = None
    protocol: Optional[int] = None
    source: Optional[object] = None
    target: Optional[object] = None
    sport: Optional[int] = None
    dport: Optional[int] = None


def ports(frame, at, end):
    """TCP and UDP ports at `at`, as far as the packet reaches."""
    end = min(end, len(frame))
    return [
        struct.unpack_from("!H", frame, at + i)[0] if at + i + 2 <= end else None for i in (0, 2)
    ]


def address(frame, at, size):
    return ipaddress.ip_address(frame[at : at + size]) if at + size <= len(frame) else None


def fields(frame):
    if len(frame) < 14:
        return Fields()
    kind, at = struct.unpack_from("!H", frame, 12)[0], 14
    for _ in range(2):
        if kind in judge.TAGS:
            if at + 4 > len(frame):
                return Fields()
            kind, at = struct.unpack_from("!H", frame, at + 2)[0], at + 4
    version = {0x0800: 4, 0x86DD: 6}.get(kind)
    if version is None or (at < len(frame) and frame[at] >> 4 != version):
        return Fields()
    return fields4(frame, at) if version == 4 else fields6(frame, at)


def fields4(frame, at):
    here = len(frame) - at
    found = Fields(family=4, source=address(frame, at + 12, 4), target=address(frame, at + 16, 4))
    if here < 10:
        return found
    header, protocol = (frame[at] & 15) * 4, frame[at + 9]
    total, fragment = struct.unpack_from("!HxxH", frame, at + 2)
    found = found._replace(protocol=protocol)
    if header < 20 or fragment & 0x1FFF or protocol not in (TCP, UDP):
        return found
    sport, dport = ports(frame, at + header, at + total if total else len(frame))
    return found._replace(sport=sport, dport=dport)


def fields6(frame, at):
    here = len(frame) - at
    found = Fields(family=6, source=address(frame, at + 8, 16), target=address(frame, at + 24, 16))
    if here < 7:
        return found
    payload, following = struct.unpack_from("!HB", frame, at + 4)
    end = min(at + 40 + payload, len(frame)) if payload else len(frame)
    at += 40
    while following in judge.EXTENSIONS:
        if at + 8 > end:
            return found
        kind, following, units = following, frame[at], frame[at + 1]
        if kind == judge.FRAGMENT:
            if struct.unpack_from("!H", frame, at + 2)[0] & 0xFFF8:
                return found._replace(protocol=following)
            at += 8
        elif kind == judge.AUTHENTICATION:
            at += (units + 2) * 4
        else:
            at += (units + 1) * 8
    found = found._replace(protocol=following)
    if following in (TCP, UDP):
        sport, dport = ports(frame, at, end)
        found = found._replace(sport=sport, dport=dport)
    return found


def in_block(block, value, family):
    """block: a CIDR or None; value: an address or None."""
    if block is None:
        return True
    network = ipaddress.ip_network(block)
    if family != network.version:
        return False
    return network.prefixlen == 0 or (value is not None and value in network)


def in_range(ports_range, value):
    if ports_range is None:
        return True
    return value is not None and ports_range["FromPort"] <= value <= ports_range["ToPort"]


def rule_matches(rule, frame):
    protocol = rule.get("Protocol", -1)
    return (
        protocol in (-1, frame.protocol)
        and in_block(rule.get("SourceCidrBlock"), frame.source, frame.family)
        and in_block(rule.get("DestinationCidrBlock"), frame.target, frame.family)
        and in_range(rule.get("SourcePortRange"), frame.sport)
        and in_range(rule.get("DestinationPortRange"), frame.dport)
    )


RESOLVERS = [ipaddress.ip_address(a) for a in ("169.254.169.253", "fd00:ec2::253")]


class Reference:
    """documents: what stands in the configuration files, put together."""

    def __init__(self, document):
        self.filters = {f["TrafficMirrorFilterId"]: f for f in document["TrafficMirrorFilters"]}
        self.sessions = document["TrafficMirrorSessions"]
        self.by_vni = collections.defaultdict(list)
        for session in self.sessions:
            self.by_vni[session["VirtualNetworkId"]].append(session)
        self.interfaces = {
            i["NetworkInterfaceId"]: i for i in document.get("NetworkInterfaces", [])
        }
        self.routes = document.get("Routes", [])
        self.outputs = [o["Name"] for o in document.get("Outputs", [])]
        self.strict = document.get("SourceCheck", "off") == "strict"
        self.learn = document.get("UnknownSession", "drop") == "deliver"
        self.resolvers = RESOLVERS + [
            ipaddress.ip_network(v["CidrBlock"])[2] for v in document.get("Vpcs", [])
        ]
        self.hits = collections.Counter()

    def find_session(self, source, vni):
        of_vni = self.by_vni.get(vni, [])
        for session in of_vni:
            interface = self.interfaces.get(session["NetworkInterfaceId"])
            if interface is None or ipaddress.ip_address(interface["PrivateIpAddress"]) == source:
                return session
        if of_vni and self.strict:
            raise judge.Fate("source_mismatch")
        if len(of_vni) == 1:  # without a check nobody else can be meant
            return of_vni[0]
        if self.learn:  # a session of its VNI, without a filter
            return {
                "TrafficMirrorSessionId": f"vni{vni}",
                "TrafficMirrorFilterId": None,
                "NetworkInterfaceId": None,
                "VirtualNetworkId": vni,
            }
        raise judge.Fate("session_unknown")

    def direction(self, session, source, frame, found):
        """By the interface's MAC address where that decides, else by the outer source address."""
        interface = self.interfaces.get(session["NetworkInterfaceId"])
        if interface is not None:
            own = bytes.fromhex(interface["MacAddress"].replace(":", ""))
            to, by = frame[:6] == own, frame[6:12] == own
            if to != by:
                return INGRESS if to else EGRESS
        to, by = found.target == source, found.source == source
        if to != by:
            return INGRESS if to else EGRESS
        return None

    def is_dns(self, found):
        return found.protocol in (TCP, UDP) and (
            (found.dport == 53 and found.target in self.resolvers)
            or (found.sport == 53 and found.source in self.resolvers)
        )

    def apply(self, name, direction, found):
        """None if the filter accepts, else the fate."""
        if name not in self.filters:
            return None  # not loaded: the source has filtered already
        mirror = self.filters[name]
        if "amazon-dns" in mirror.get("NetworkServices", []) and self.is_dns(found):
            self.hits[name, "amazon-dns"] += 1
            return None
        key = "IngressFilterRules" if direction == INGRESS else "EgressFilterRules"
        for rule in sorted(mirror.get(key, []), key=lambda one: one["RuleNumber"]):
            if rule_matches(rule, found):
                self.hits[name, direction, rule["RuleNumber"]] += 1
                return None if rule["RuleAction"] == "accept" else "filter_reject"
        return "filter_default"

    def selected(self, session, direction, found):
        """Names of outputs that get the frame, or raises its fate."""
        fate = self.apply(session["TrafficMirrorFilterId"], direction, found)
        if fate is not None:
            raise judge.Fate(fate)
        if not self.routes:
            return set(self.outputs)
        chosen, fates, said = set(), [], {None: None}  # what each filter says, asked once
        for route in self.routes:
            if route.get("VirtualNetworkId", session["VirtualNetworkId"]) != (
                session["VirtualNetworkId"]
            ):
                continue
            own = session["TrafficMirrorSessionId"]
            if route.get("SessionId", own) != own:
                continue
            mirror = route.get("FilterId")
            if mirror not in said:
                said[mirror] = self.apply(mirror, direction, found)
            if said[mirror] is None:
                chosen |= set(route["Outputs"])
            fates.append(said[mirror])
        if not chosen:
            for fate in ("filter_reject", "filter_default"):
                if fate in fates:
                    raise judge.Fate(fate)
            raise judge.Fate("no_route")
        return chosen

    def locate(self, packet):
        """
        (session, direction or None, inner frame, its fields) of a mirrored packet; raises
        judge.Fate.
        """
        inner = judge.decapsulate(packet)
        source = ipaddress.ip_address(inner.source)
        session = self.find_session(source, inner.vni)
        found = fields(inner.frame)
        return session, self.direction(session, source, inner.frame, found), inner.frame, found

    def decide(self, packet):
        """
        (session, direction or None, inner frame, outputs) of a mirrored packet; raises judge.Fate.
        Counts the hits of rules.
        """
        session, direction, frame, found = self.locate(packet)
        outputs, fates = set(), set()
        for table in (direction,) if direction else (INGRESS, EGRESS):
            try:
                outputs |= self.selected(session, table, found)
            except judge.Fate as fate:
                fates.add(str(fate))
        if not outputs:
            for fate in ("filter_reject", "filter_default", "no_route"):
                if fate in fates:
                    raise judge.Fate(fate)
        return session, direction, frame, outputs
