# SPDX-License-Identifier: BSD-3-Clause
"""
A reference of sessions, filters and routes as AWS documents define them, that loops over rules and
addresses of ipaddress and shares nothing with the program: what should become of a mirrored packet.

    Rules are tried in ascending RuleNumber, the first match decides, none rejects. A rule that
    constrains a field which the frame has not got does not match. A session is found by (outer
    source, VNI) if its interface is loaded, else by its VNI.
"""

import collections
import functools
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


@functools.lru_cache(maxsize=None)
def network_of(block):
    return ipaddress.ip_network(block)


def in_block(block, value, family):
    """block: a CIDR or None; value: an address or None."""
    if block is None:
        return True
    network = network_of(block)
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


def resolvers_of(interface, document):
    """The Amazon resolvers of everywhere, and of an interface's VPC. interface may be None."""
    blocks = []
    for vpc in document.get("Vpcs", []):
        if interface is not None and vpc["VpcId"] == interface.get("VpcId"):
            blocks = [vpc.get("CidrBlock")]
            blocks += [one["CidrBlock"] for one in vpc.get("CidrBlockAssociationSet", [])]
    return RESOLVERS + [network_of(block).network_address + 2 for block in blocks if block]


def is_dns(found, resolvers):
    return found.protocol in (TCP, UDP) and (
        (found.dport == 53 and found.target in resolvers)
        or (found.sport == 53 and found.source in resolvers)
    )


def first_match(mirror, direction, found):
    """The rule of a filter that decides about a frame, or None."""
    key = "IngressFilterRules" if direction == INGRESS else "EgressFilterRules"
    for rule in sorted(mirror.get(key, []), key=lambda one: one["RuleNumber"]):
        if rule_matches(rule, found):
            return rule
    return None


def hardware_address(interface):
    """None if the document does not tell."""
    text = interface.get("MacAddress")
    return bytes.fromhex(text.replace(":", "")) if text else None


def sources_of(interface):
    """The addresses that mirrored packets of this interface come from."""
    texts = [interface.get("PrivateIpAddress")]
    texts += [one["Ipv6Address"] for one in interface.get("Ipv6Addresses", [])]
    return [ipaddress.ip_address(text) for text in texts if text]


def likeness(frame):
    """
    What copies of a frame have in common: all from the EtherType on, as far as an IP packet itself
    goes, but for TTL, hop limit and header checksum. None if too little of it is here to tell.
    """
    if len(frame) < 14:
        return None
    kind, at = struct.unpack_from("!H", frame, 12)[0], 14
    for _ in range(2):
        if kind in judge.TAGS and len(frame) >= at + 4:
            kind, at = struct.unpack_from("!H", frame, at + 2)[0], at + 4
    least = {0x0800: 20, 0x86DD: 40}.get(kind)
    if least is None:
        return bytes(frame[12:])
    if len(frame) < at + least:
        return None
    packet, version = bytearray(frame[at:]), frame[at] >> 4
    if version == 4 and kind == 0x0800:
        header, total = (packet[0] & 15) * 4, struct.unpack_from("!H", packet, 2)[0]
        changing = (8, 10, 11)
    elif version == 6 and kind == 0x86DD:
        header, total = 40, struct.unpack_from("!H", packet, 4)[0]
        total += 40 if total else 0
        changing = (7,)
    else:
        return bytes(frame[12:])
    if header < 20 or 0 < total < header:
        return bytes(frame[12:])
    for place in changing:
        packet[place] = 0
    if total > len(packet) and len(packet) < header + 20:
        return None
    return bytes(frame[12:at]) + bytes(packet[: total or len(packet)])


class Duplicates:
    """What the key Dedup says of frames: which are copies of one that came a little before."""

    def __init__(self, keys):
        self.window = keys.get("WindowMilliseconds", 50) * 1_000_000
        self.by_session = keys.get("Scope", "all") == "session"
        self.first = {}  # of its kind: when it came

    def is_copy(self, time, like, outputs, session):
        """like: likeness() of the frame, or what stands for it."""
        if like is None:
            return False
        kind = like, frozenset(outputs), session if self.by_session else None
        first = self.first.get(kind)
        if first is not None and abs(time - first) <= self.window:
            return True
        self.first[kind] = time
        return False


class Verdict(NamedTuple):
    """What becomes of a frame, and the rules that say so."""

    outputs: frozenset  # names
    fate: Optional[str]  # None if there are outputs
    hits: tuple


class Reference:
    """document: what stands in the configuration files, put together."""

    def __init__(self, document):
        self.document = document
        self.filters = {f["TrafficMirrorFilterId"]: f for f in document["TrafficMirrorFilters"]}
        self.sessions = document["TrafficMirrorSessions"]
        self.by_vni = collections.defaultdict(list)  # places in the list
        for place, session in enumerate(self.sessions):
            self.by_vni[session["VirtualNetworkId"]].append(place)
        self.interfaces = {
            i["NetworkInterfaceId"]: i for i in document.get("NetworkInterfaces", [])
        }
        self.routes = document.get("Routes", [])
        self.outputs = [o["Name"] for o in document.get("Outputs", [])]
        self.strict = document.get("SourceCheck", "off") == "strict"
        self.learn = document.get("UnknownSession", "drop") == "deliver" or not self.sessions
        self.hits = collections.Counter()
        # the same question has the same answer
        self.find_session = functools.lru_cache(maxsize=None)(self.look_up_session)
        self.verdict = functools.lru_cache(maxsize=None)(self.judge_frame)

    def look_up_session(self, source, vni):
        """The place of a session in the list, or -1 for one to learn; raises its fate."""
        of_vni, unknown = [], []
        for place in self.by_vni.get(vni, []):
            interface = self.interfaces.get(self.sessions[place].get("NetworkInterfaceId"))
            sources = [] if interface is None else sources_of(interface)
            if source in sources:
                return place
            of_vni.append(place)
            if not sources:
                unknown.append(place)
        if unknown:
            return unknown[0]
        if of_vni and self.strict:
            raise judge.Fate("source_mismatch")
        if len(of_vni) == 1:  # without a check nobody else can be meant
            return of_vni[0]
        if self.learn:
            return -1
        raise judge.Fate("session_unknown")

    def session_at(self, place, vni):
        if place >= 0:
            return self.sessions[place]
        return {  # a session of its VNI, without a filter
            "TrafficMirrorSessionId": f"vni{vni}",
            "TrafficMirrorFilterId": None,
            "NetworkInterfaceId": None,
            "VirtualNetworkId": vni,
        }

    def interface_of(self, session):
        return self.interfaces.get(session.get("NetworkInterfaceId"))

    def direction(self, session, source, frame, found):
        """By the interface's MAC address where that decides, else by the outer source address."""
        interface = self.interface_of(session)
        own = hardware_address(interface) if interface is not None else None
        if own is not None:
            to, by = frame[:6] == own, frame[6:12] == own
            if to != by:
                return INGRESS if to else EGRESS
        to, by = found.target == source, found.source == source
        if to != by:
            return INGRESS if to else EGRESS
        return None

    def resolvers_of(self, session):
        return resolvers_of(self.interface_of(session), self.document)

    def apply(self, name, question, hits=None):
        """
        question: (resolvers, direction, fields). None if the filter accepts, else the fate. What
        decided is added to hits.
        """
        hits = hits if hits is not None else []
        if name not in self.filters:
            return None  # not loaded: the source has filtered already
        mirror, (resolvers, direction, found) = self.filters[name], question
        if "amazon-dns" in mirror.get("NetworkServices", []) and is_dns(found, resolvers):
            hits.append((name, "amazon-dns"))
            return None
        rule = first_match(mirror, direction, found)
        if rule is None:
            return "filter_default"
        hits.append((name, direction, rule["RuleNumber"]))
        return None if rule["RuleAction"] == "accept" else "filter_reject"

    def routes_of(self, session):
        """(filter or None, names of outputs) of all routes that match."""
        if not self.routes:
            return [(None, set(self.outputs))]
        own, vni = session["TrafficMirrorSessionId"], session["VirtualNetworkId"]
        return [
            (route.get("FilterId"), set(route["Outputs"]))
            for route in self.routes
            if route.get("VirtualNetworkId", vni) == vni and route.get("SessionId", own) == own
        ]

    def selected(self, session, question, hits):
        """(names of outputs, fate) that one table gives."""
        own = session.get("TrafficMirrorFilterId")
        fate = self.apply(own, question, hits)
        if fate is not None:
            return set(), fate
        routes = self.routes_of(session)
        free = set().union(*(outputs for mirror, outputs in routes if mirror is None))
        chosen, said = set(), {None: None, own: None}  # what each filter says, asked once
        for mirror, outputs in routes:
            # a filter has nothing to say of outputs that get the frame without it
            if mirror is not None and outputs <= free:
                continue
            if mirror not in said:
                said[mirror] = self.apply(mirror, question, hits)
            if said[mirror] is None:
                chosen |= outputs
        if chosen:
            return chosen, None
        for fate in ("filter_reject", "filter_default"):
            if fate in said.values():
                return chosen, fate
        return chosen, "no_route"

    def judge_frame(self, place, vni, direction, found):
        session = self.session_at(place, vni)
        resolvers = self.resolvers_of(session)
        chosen, fates, hits = set(), set(), []
        for table in (direction,) if direction else (INGRESS, EGRESS):
            outputs, fate = self.selected(session, (resolvers, table, found), hits)
            chosen |= outputs
            fates.add(fate)
        fate = None
        if not chosen:
            fate = [f for f in ("filter_reject", "filter_default", "no_route") if f in fates][0]
        return Verdict(frozenset(chosen), fate, tuple(hits))

    def decide_inner(self, source, vni, frame, found):
        """(session, direction or None, outputs) of a frame; raises judge.Fate. Counts hits."""
        place = self.find_session(source, vni)
        session = self.session_at(place, vni)
        direction = self.direction(session, source, frame, found)
        verdict = self.verdict(place, vni, direction, found)
        for hit in verdict.hits:
            self.hits[hit] += 1
        if verdict.fate is not None:
            raise judge.Fate(verdict.fate)
        return session, direction, verdict.outputs

    def locate(self, packet):
        """
        (session, direction or None, inner frame, its fields) of a mirrored packet; raises
        judge.Fate.
        """
        inner = judge.decapsulate(packet)
        source, found = ipaddress.ip_address(inner.source), fields(inner.frame)
        session = self.session_at(self.find_session(source, inner.vni), inner.vni)
        return session, self.direction(session, source, inner.frame, found), inner.frame, found

    def decide(self, packet):
        """
        (session, direction or None, inner frame, outputs) of a mirrored packet; raises judge.Fate.
        Counts the hits of rules.
        """
        inner = judge.decapsulate(packet)
        session, direction, outputs = self.decide_inner(
            ipaddress.ip_address(inner.source), inner.vni, inner.frame, fields(inner.frame)
        )
        return session, direction, inner.frame, outputs
