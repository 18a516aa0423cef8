# SPDX-License-Identifier: BSD-3-Clause
"""
Random accounts: AWS documents whose filters, interfaces and networks are made from the frames that
they will meet, so that rules match some of them and not others, and the sink's own keys beside
them. Everything comes from one random.Random, so that a seed gives the same account again.
"""

import copy
import ipaddress
import json
import random
from typing import NamedTuple

from source_reference import GWLB, NLB, Play

ACCOUNT = "111122223333"
PACKET_LENGTHS = (None, None, None, 1, 20, 25, 60, 128, 1500, 8500)
MTUS = (None, None, None, 0, 60, 100, 1500, 8999)


class Account(NamedTuple):
    source: dict  # documents as the source has them, one top-level key each
    sink: dict  # as the sink has them, with our keys
    play: Play


class Pool:
    """What occurs in frames. found: reference.fields() of each; own: MACs to play now and then."""

    def __init__(self, frames, found, own):
        self.found = [one for one in found if one.family is not None]
        self.own = own
        self.by_mac = {}  # what is found in the frames of a MAC that an interface can have
        self.macs = []  # these, as often as they occur, and IP more often
        for frame, one in zip(frames, found):
            for mac in {frame[:6], frame[6:12]}:
                # an interface's MAC is no group's, and 0 means that it is not known
                if len(mac) < 6 or mac[0] & 1 or not any(mac):
                    continue
                self.macs += [mac] * (1 if one.family is None else 10)
                if one.family is not None:
                    self.by_mac.setdefault(mac, []).append(one)
        self.distinct = set(self.macs)
        self.addresses = {4: [], 6: []}
        for one in self.found:
            for address in (one.source, one.target):
                if address is not None:
                    self.addresses[address.version].append(address)
        # what can be the resolver of a network
        self.resolvers = [a for a in self.addresses[4] if int(a) & 3 == 2 and int(a) > 2]


def mac_text(mac):
    return ":".join(f"{byte:02x}" for byte in mac)


class Maker:
    def __init__(self, seed, pool):
        self.chance = random.Random(seed)
        self.pool = pool
        self.taken = set()  # addresses and MACs of interfaces
        self.seen = []  # what the interfaces see

    def maybe(self, probability):
        return self.chance.random() < probability

    def name(self, prefix):
        return f"{prefix}-0{self.chance.getrandbits(64):016x}"

    # filters

    def block(self, address):
        most = address.max_prefixlen
        length = self.chance.choice(
            (most, most, most, most - 1, most - 8, most // 2, 8, 1, 0, self.chance.randint(0, most))
        )
        return str(ipaddress.ip_network((address, length), strict=False))

    def span(self, port):
        reach = self.chance.choice((0, 0, 0, 1, 10, 1000, 65535))
        low, high = self.chance.randint(0, reach), self.chance.randint(0, reach)
        return {"FromPort": max(0, port - low), "ToPort": min(65535, port + high)}

    def constraints(self):
        """Of one rule, made after a frame; it matches that frame as often as not."""
        found = self.chance.choice(self.seen if self.maybe(0.8) else self.pool.found)
        rule = {}
        if self.maybe(0.5):
            rule["Protocol"] = found.protocol if found.protocol is not None else -1
        elif self.maybe(0.1):
            rule["Protocol"] = self.chance.choice((-1, 6, 17, self.chance.randint(0, 255)))
        other = found
        if self.maybe(0.1):  # another frame's values, of the same family
            other = self.chance.choice(self.seen)
            other = other if other.family == found.family else found
        for key, value in (
            ("SourceCidrBlock", found.source),
            ("DestinationCidrBlock", other.target),
        ):
            if value is not None and self.maybe(0.35):
                rule[key] = self.block(value)
        for key, value in (
            ("SourcePortRange", found.sport),
            ("DestinationPortRange", other.dport),
        ):
            if value is not None and self.maybe(0.35):
                rule[key] = self.span(value)
            elif self.maybe(0.02):
                rule[key] = self.span(self.chance.choice((53, 80, 65535)))
        return rule

    def rules(self, filter_id, direction):
        count = self.chance.choice((0, 1, 2, 3, 5, 8, 10, 10, 12))
        numbers = self.chance.sample(range(1, 40), count)
        if count and self.maybe(0.2):
            numbers[0] = 32766
        rules = []
        for number in numbers:
            what = self.constraints()
            if rules and self.maybe(0.15):  # the same again, or narrower: one hides the other
                what = {**self.chance.choice(rules)["what"], **(what if self.maybe(0.5) else {})}
                blocks = [what.get(k) for k in ("SourceCidrBlock", "DestinationCidrBlock")]
                if None not in blocks and (":" in blocks[0]) != (":" in blocks[1]):
                    del what["SourceCidrBlock"]
            rules.append({"number": number, "what": what})
        return [
            {
                "TrafficMirrorFilterRuleId": self.name("tmfr"),
                "TrafficMirrorFilterId": filter_id,
                "TrafficDirection": direction,
                "RuleNumber": rule["number"],
                "RuleAction": "accept" if self.maybe(0.7) else "reject",
                **rule["what"],
                **({"Description": f"rule {rule['number']}"} if self.maybe(0.2) else {}),
            }
            for rule in rules
        ]

    def mirror_filter(self):
        name = self.name("tmf")
        return {
            "TrafficMirrorFilterId": name,
            "IngressFilterRules": self.rules(name, "ingress"),
            "EgressFilterRules": self.rules(name, "egress"),
            "NetworkServices": ["amazon-dns"] if self.maybe(0.4) else [],
            "Description": "random",
            "Tags": [],
        }

    # networks

    def vpc_block(self):
        """More often than not one whose resolver, its base + 2, occurs in frames."""
        base = int(ipaddress.ip_address("10.64.0.0")) + (self.chance.randrange(64) << 16)
        if self.pool.resolvers and self.maybe(0.6):
            base = int(self.chance.choice(self.pool.resolvers)) - 2
        shortest = 33 - (base & -base).bit_length()  # of which this is the base
        length = self.chance.randint(max(8, shortest), 30)
        return f"{ipaddress.ip_address(base)}/{length}"

    def vpc(self):
        blocks = {self.vpc_block(): None for _ in range(self.chance.choice((1, 1, 2, 3)))}
        return {
            "CidrBlock": next(iter(blocks)),
            "VpcId": self.name("vpc"),
            "CidrBlockAssociationSet": [
                {"AssociationId": self.name("vpc-cidr-assoc"), "CidrBlock": block}
                for block in blocks
            ],
            "IsDefault": False,
        }

    def fresh(self, make):
        while True:
            made = make()
            if made not in self.taken:
                self.taken.add(made)
                return made

    def address(self, family):
        if self.maybe(0.3):
            found = self.chance.choice(self.pool.addresses[family])
            if not (found.is_multicast or found.is_unspecified or found in self.taken):
                self.taken.add(found)
                return str(found)
        base = int(ipaddress.ip_address("10.200.0.0" if family == 4 else "2001:db8:eeee::"))
        return str(
            self.fresh(lambda: ipaddress.ip_address(base + self.chance.randrange(1, 1 << 16)))
        )

    def source_mac(self):
        own = [mac for mac in self.pool.own if mac not in self.taken]
        # few frames have few, and then all of them may have an interface already
        left = self.pool.distinct - self.taken
        pool = own if own and (not left or self.maybe(0.5)) else self.pool.macs
        mac = self.fresh(lambda: self.chance.choice(pool))
        self.seen += self.pool.by_mac.get(mac, [])
        return mac

    def interface(self, mac, vpcs, families):
        """families: of its addresses, from (4,), (6,), (4, 6)"""
        one = {
            "NetworkInterfaceId": self.name("eni"),
            "MacAddress": mac_text(mac),
            "Ipv6Addresses": [],
            "PrivateIpAddresses": [],
            "VpcId": self.chance.choice(vpcs)["VpcId"] if vpcs else self.name("vpc"),
            "InterfaceType": "interface",
            "Status": "in-use",
        }
        if 4 in families:
            one["PrivateIpAddress"] = self.address(4)
            one["PrivateIpAddresses"] = [
                {"Primary": True, "PrivateIpAddress": one["PrivateIpAddress"]}
            ]
            if self.maybe(0.2):
                second = {"Primary": False, "PrivateIpAddress": self.address(4)}
                one["PrivateIpAddresses"].insert(self.chance.randrange(2), second)
        if 6 in families:
            count = self.chance.choice((1, 1, 2))
            one["Ipv6Addresses"] = [{"Ipv6Address": self.address(6)} for _ in range(count)]
        return one

    # sessions

    def target(self, families):
        """(target, its interface or None)"""
        kind = self.chance.choice(("network-interface", "network-interface", NLB, GWLB))
        one = {"TrafficMirrorTargetId": self.name("tmt"), "Type": kind, "OwnerId": ACCOUNT}
        interface = None
        if kind == NLB:
            one["NetworkLoadBalancerArn"] = (
                f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/net/x/0123456789"
            )
        elif kind == GWLB:
            one["GatewayLoadBalancerEndpointId"] = self.name("vpce")
        else:
            mac = self.fresh(lambda: b"\x06" + self.chance.randbytes(5))
            interface = self.interface(mac, [], families)
            one["NetworkInterfaceId"] = interface["NetworkInterfaceId"]
        return one, interface

    def sessions(self, interfaces, filters, targets):
        made, vnis = [], [0, 1, 0xFFFFFF] + [self.chance.randrange(1 << 24) for _ in range(3)]
        for interface in interfaces:
            count = self.chance.choice((0, 1, 1, 2, 2, 3, 3, 3))
            numbers = self.chance.sample([1, 2, 3, 100, 32766], count)
            own = self.chance.sample(vnis, count)  # one VNI can stand at several interfaces
            for number, vni in zip(numbers, own):
                made.append(
                    {
                        "TrafficMirrorSessionId": self.name("tms"),
                        "TrafficMirrorTargetId": self.chance.choice(targets)[
                            "TrafficMirrorTargetId"
                        ],
                        "TrafficMirrorFilterId": self.chance.choice(filters)[
                            "TrafficMirrorFilterId"
                        ],
                        "NetworkInterfaceId": interface["NetworkInterfaceId"],
                        "OwnerId": ACCOUNT,
                        "SessionNumber": number,
                        "VirtualNetworkId": vni,
                        "Tags": [],
                    }
                )
                length = self.chance.choice(PACKET_LENGTHS)
                if length is not None:
                    made[-1]["PacketLength"] = length
                if self.maybe(0.3):
                    made[-1]["Description"] = f"VNI {vni}"
        self.chance.shuffle(made)
        return made

    def play(self, interfaces, targets, plan):
        """plan: the families that every interface and every target has in common."""
        enis = ()
        if self.maybe(0.3):
            names = [one["NetworkInterfaceId"] for one in interfaces]
            enis = tuple(self.chance.sample(names, self.chance.randint(1, len(names))))
        version = self.chance.choice((None, *plan))
        common = (version,) if version else plan

        def somewhere():
            family = self.chance.choice(common)
            return f"192.0.2.{self.chance.randrange(1, 250)}" if family == 4 else "2001:db8:77::7"

        given = tuple(
            (one["TrafficMirrorTargetId"], somewhere())
            for one in targets
            if self.maybe(0.3)
        )
        return Play(
            enis=enis,
            targets=given,
            target_address=somewhere(),
            target_mac="02:00:00:00:00:77" if self.maybe(0.3) else None,
            target_mtu=self.chance.choice(MTUS),
            ip_version=version,
            port_base=self.chance.choice((65408, 65408, 49152, 1024, 0)),
            port_bits=self.chance.choice((7, 7, 0, 3, 16)),
            directed=self.maybe(0.3),
            geneve=self.maybe(0.15),
            stop=self.maybe(0.3),
        )

    # the sink's own keys

    def outputs(self, folder):
        made = []
        for i in range(self.chance.randint(1, 6)):
            kind = self.chance.choice(("pcapng", "pcapng", "pcap", "null"))
            one = {"Name": f"out{i}", "Type": kind}
            if kind != "null":
                one["Path"] = f"{folder}/out{i}.{kind}"
                if self.maybe(0.2):
                    one["Snaplen"] = self.chance.choice((1, 64, 100, 2000))
            made.append(one)
        return made

    def routes(self, outputs, filters, sessions):
        if self.maybe(0.3):
            return []
        made, names = [], [one["Name"] for one in outputs]
        for _ in range(self.chance.randint(1, 8)):
            route = {"Outputs": self.chance.sample(names, self.chance.randint(1, len(names)))}
            session = self.chance.choice(sessions) if sessions else None
            if session is not None and self.maybe(0.4):
                route["SessionId"] = session["TrafficMirrorSessionId"]
            if self.maybe(0.4):
                vni = session["VirtualNetworkId"] if session is not None else 7
                route["VirtualNetworkId"] = vni if self.maybe(0.8) else 7
            if filters and self.maybe(0.5):
                route["FilterId"] = self.chance.choice(filters)["TrafficMirrorFilterId"]
            made.append(route)
        return made

    def at_sink(self, document, folder):
        """The sink knows most of the account, and has outputs."""
        sink = copy.deepcopy(document)
        for key, missing in (
            ("TrafficMirrorSessions", 0.15),
            ("TrafficMirrorFilters", 0.1),
            ("NetworkInterfaces", 0.2),
            ("Vpcs", 0.1),
        ):
            if self.maybe(0.4):
                sink[key] = [one for one in sink[key] if not self.maybe(missing)]
        for one in sink["TrafficMirrorFilters"]:
            if self.maybe(0.2):  # changed at the source, and not here
                for direction in ("Ingress", "Egress"):
                    one[f"{direction}FilterRules"] = self.rules(
                        one["TrafficMirrorFilterId"], direction.lower()
                    )
        for one in sink["NetworkInterfaces"]:
            if "PrivateIpAddress" in one and self.maybe(0.1):  # another one than the source's
                one["PrivateIpAddress"] = self.address(4)
                one["PrivateIpAddresses"] = []
        # sessions on one VNI must be told apart by their interfaces
        loaded = {one["NetworkInterfaceId"] for one in sink["NetworkInterfaces"]}
        blind = set()
        for session in sink["TrafficMirrorSessions"]:
            if session["NetworkInterfaceId"] in loaded:
                continue
            if session["VirtualNetworkId"] in blind:
                sink["NetworkInterfaces"] = document["NetworkInterfaces"]
            blind.add(session["VirtualNetworkId"])
        sink["Outputs"] = self.outputs(folder)
        sink["Routes"] = self.routes(
            sink["Outputs"], sink["TrafficMirrorFilters"], sink["TrafficMirrorSessions"]
        )
        if self.maybe(0.5):
            sink["SourceCheck"] = self.chance.choice(("off", "strict"))
        if self.maybe(0.5):
            sink["UnknownSession"] = self.chance.choice(("drop", "deliver"))
        if self.maybe(0.4):
            # room enough that no frame is forgotten early
            sink["Dedup"] = {"Memory": "64MiB"}
            if self.maybe(0.8):
                sink["Dedup"]["WindowMilliseconds"] = self.chance.choice((1, 2, 4, 50))
            if self.maybe(0.5):
                sink["Dedup"]["Scope"] = self.chance.choice(("all", "session"))
        return sink

    def account(self, folder):
        """folder: where the sink's outputs go."""
        # every interface and every target has an address of one of these families
        plan = self.chance.choice(((4,), (4,), (6,), (4, 6)))

        def families():
            extra = (4, 6) if self.maybe(0.3) else plan
            return tuple(sorted(set(plan) | set(extra)))

        vpcs = [self.vpc() for _ in range(self.chance.choice((1, 1, 2)))]
        interfaces = [
            self.interface(self.source_mac(), vpcs, families())
            for _ in range(self.chance.choice((1, 2, 3, 4, 4)))
        ]
        self.seen = self.seen or self.pool.found
        filters = [self.mirror_filter() for _ in range(self.chance.choice((1, 2, 3, 4)))]
        targets, of_targets = [], []
        for _ in range(self.chance.choice((1, 2, 3))):
            target, interface = self.target(families())
            targets.append(target)
            if interface is not None and self.maybe(0.8):
                of_targets.append(interface)
        sessions = []
        while not sessions:
            sessions = self.sessions(interfaces, filters, targets)
        document = {
            "TrafficMirrorFilters": filters,
            "TrafficMirrorSessions": sessions,
            "TrafficMirrorTargets": targets,
            "NetworkInterfaces": interfaces + of_targets,
            "Vpcs": vpcs,
        }
        play = self.play(interfaces, targets, plan)
        return Account(document, self.at_sink(document, folder), play)


AWS_KEYS = (
    "TrafficMirrorFilters",
    "TrafficMirrorFilterRules",
    "TrafficMirrorSessions",
    "TrafficMirrorTargets",
    "NetworkInterfaces",
    "Vpcs",
)


def write(folder, prefix, document, chance):
    """
    One file for each list, as the AWS command line prints it, and one for our keys. Rules stand in
    their filters, or in a list of their own, or in both. Returns the paths, in no order.
    """
    document = copy.deepcopy(document)
    how = chance.choice(("inline", "inline", "apart", "both"))
    if how != "inline":
        document["TrafficMirrorFilterRules"] = [
            rule
            for one in document["TrafficMirrorFilters"]
            for key in ("IngressFilterRules", "EgressFilterRules")
            for rule in one[key]
        ]
    if how == "apart":
        for one in document["TrafficMirrorFilters"]:
            one["IngressFilterRules"] = one["EgressFilterRules"] = []
    parts = [{key: document[key]} for key in AWS_KEYS if document.get(key)]
    for part in parts:
        if chance.random() < 0.3:
            part["NextToken"] = "eyJ2IjoiMiJ9"
    parts.append({key: value for key, value in document.items() if key not in AWS_KEYS})
    paths = []
    for part in parts:
        if not part:
            continue
        path = f"{folder}/{prefix}-{next(iter(part))}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(part, file, indent=4)
            file.write("\n")
        paths.append(path)
    chance.shuffle(paths)
    return paths
