#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Answers of the EC2 API, made from its model as python3-botocore carries it: every member that a
shape has, with a value that its type allows, every value of every enumeration, and nothing but what
is required. Held against the program: it reads them all, and its canonical form has what it is to
understand, and nothing else.

    aws_model.py MIRRORSINK FOLDER SEED VARIANTS
"""

import collections
import ipaddress
import json
import random
import subprocess
import sys

import botocore.loaders

from judge import Wrong, demand

# What mirrorsink understands, by the operation that tells it: members, and whether each must be
# there. A renamed one is no longer in the model.
RULE = {
    "TrafficMirrorFilterRuleId": False,
    "TrafficMirrorFilterId": False,
    "TrafficDirection": False,
    "RuleNumber": True,
    "RuleAction": True,
    "Protocol": False,
    "DestinationPortRange": {"FromPort": False, "ToPort": False},
    "SourcePortRange": {"FromPort": False, "ToPort": False},
    "DestinationCidrBlock": False,
    "SourceCidrBlock": False,
}
RULES = "DescribeTrafficMirrorFilterRules"
UNDERSTOOD = {
    "DescribeTrafficMirrorFilters": {
        "TrafficMirrorFilters": {
            "TrafficMirrorFilterId": True,
            "IngressFilterRules": RULE,
            "EgressFilterRules": RULE,
            "NetworkServices": False,
            "Description": False,
        }
    },
    RULES: {
        "TrafficMirrorFilterRules": dict(RULE, TrafficMirrorFilterId=True, TrafficDirection=True)
    },
    "DescribeTrafficMirrorSessions": {
        "TrafficMirrorSessions": {
            "TrafficMirrorSessionId": True,
            "TrafficMirrorTargetId": False,
            "TrafficMirrorFilterId": False,
            "NetworkInterfaceId": False,
            "PacketLength": False,
            "SessionNumber": False,
            "VirtualNetworkId": True,
            "Description": False,
        }
    },
    "DescribeTrafficMirrorTargets": {
        "TrafficMirrorTargets": {
            "TrafficMirrorTargetId": True,
            "NetworkInterfaceId": False,
            "NetworkLoadBalancerArn": False,
            "GatewayLoadBalancerEndpointId": False,
            "Type": False,
        }
    },
    "DescribeNetworkInterfaces": {
        "NetworkInterfaces": {
            "NetworkInterfaceId": True,
            "MacAddress": False,
            "PrivateIpAddress": False,
            "PrivateIpAddresses": {"PrivateIpAddress": True},
            "Ipv6Addresses": {"Ipv6Address": True},
            "VpcId": False,
        }
    },
    "DescribeVpcs": {
        "Vpcs": {
            "VpcId": True,
            "CidrBlock": False,
            "CidrBlockAssociationSet": {"CidrBlock": False},
        }
    },
}
TEXTS = ["", "x", "a b", 'quoted "text" \\ /', "Grüße, 世界", "line\nbreak\ttab", "é" * 300]
DESTINATIONS = {
    "network-interface": "NetworkInterfaceId",
    "network-load-balancer": "NetworkLoadBalancerArn",
    "gateway-load-balancer-endpoint": "GatewayLoadBalancerEndpointId",
}


class Model:
    """Walks the shapes, and makes values of them."""

    def __init__(self, seed):
        loader = botocore.loaders.Loader()
        self.model = loader.load_service_model("ec2", "service-2")
        self.shapes = self.model["shapes"]
        if RULES not in self.model["operations"]:  # younger than the model: made of its rule
            print(f"the model has no {RULES} yet; its answer is made of TrafficMirrorFilterRule")
            members = {"TrafficMirrorFilterRules": {"shape": "TrafficMirrorFilterRuleList"}}
            members["NextToken"] = {"shape": "String"}
            self.shapes[f"{RULES}Result"] = {"type": "structure", "members": members}
            self.model["operations"][RULES] = {"output": {"shape": f"{RULES}Result"}}
        self.chance = random.Random(seed)
        self.enums = collections.Counter()  # how often a value of an enumeration was made
        self.members = set()  # (shape, member) that were made with a value
        self.seen = set()  # (shape, member) that there are

    def output(self, operation):
        return self.model["operations"][operation]["output"]["shape"]

    def check(self, name, understood, where):
        """All that we understand is in the model, and of the kind that we take it for."""
        shape = self.shapes[name]
        if shape["type"] == "list":
            self.check(shape["member"]["shape"], understood, where)
            return
        demand(shape["type"] == "structure", "%s: is a %s", where, shape["type"])
        for key, inner in understood.items():
            demand(key in shape["members"], "%s.%s: is no longer in the model", where, key)
            if isinstance(inner, dict):
                self.check(shape["members"][key]["shape"], inner, f"{where}.{key}")

    def enum(self, name):
        """The value that was made least often."""
        values = self.shapes[name]["enum"]
        least = min(values, key=lambda value: (self.enums[name, value], self.chance.random()))
        self.enums[name, least] += 1
        return least

    def scalar(self, name, shape):
        kind = shape["type"]
        if "enum" in shape:
            return self.enum(name)
        if kind == "string":
            return self.chance.choice(TEXTS)
        if kind in ("integer", "long"):
            return self.chance.choice((0, 1, -1, 443, 2**31 - 1, -(2**31)))
        if kind in ("float", "double"):
            return self.chance.choice((0.0, 0.5, 1e9))
        if kind == "boolean":
            return self.chance.random() < 0.5
        if kind == "timestamp":
            return "2024-11-26T15:46:40+00:00"
        if kind == "blob":
            return "AAEC"
        raise Wrong(f"{name}: a shape of type {kind}, which this test does not know")

    def value(self, name, understood, how):
        """
        A value of a shape. understood: the members that we read, which are there if they must be.
        how: "all" members, "required" ones, or "some", others missing or null.
        """
        shape = self.shapes[name]
        if shape["type"] == "list":
            count = self.chance.choice((1, 1, 2, 3))
            if how == "required" and understood is None:
                count = 0
            return [self.value(shape["member"]["shape"], understood, how) for _ in range(count)]
        if shape["type"] == "map":
            key, inner = shape["key"]["shape"], shape["value"]["shape"]
            return {self.value(key, None, how): self.value(inner, None, how)}
        if shape["type"] != "structure":
            return self.scalar(name, shape)
        made = {}
        for key, member in shape["members"].items():
            inner = (understood or {}).get(key)
            self.seen.add((name, key))
            if inner is not True and (
                how == "required" or (how == "some" and self.chance.random() < 0.3)
            ):
                if how == "some" and self.chance.random() < 0.3:
                    made[key] = None
                continue
            self.members.add((name, key))
            inside = inner if isinstance(inner, dict) else None
            made[key] = self.value(member["shape"], inside, how)
        return made


class Filler:
    """Puts values that mean something where there is a member that mirrorsink understands."""

    def __init__(self, chance, documents):
        self.chance, self.documents = chance, documents
        self.numbers = 0
        self.vpcs = self.lists("DescribeVpcs", "Vpcs")
        self.interfaces = self.lists("DescribeNetworkInterfaces", "NetworkInterfaces")
        self.filters = self.lists("DescribeTrafficMirrorFilters", "TrafficMirrorFilters")
        self.rules = self.lists(RULES, "TrafficMirrorFilterRules")
        self.targets = self.lists("DescribeTrafficMirrorTargets", "TrafficMirrorTargets")
        self.sessions = self.lists("DescribeTrafficMirrorSessions", "TrafficMirrorSessions")

    def lists(self, operation, key):
        return self.documents[operation].get(key) or []

    def number(self):
        self.numbers += 1
        return self.numbers

    def name(self, prefix):
        return f"{prefix}-{self.number():017x}"

    def put(self, where, **values):
        """Sets members that are there and not null."""
        for key, value in values.items():
            if where.get(key) is not None:
                where[key] = value

    def address(self, family):
        base = ipaddress.ip_address("10.0.0.0" if family == 4 else "2001:db8::")
        return str(base + self.number())

    def block(self, family):
        most = 32 if family == 4 else 128
        return str(
            ipaddress.ip_network(
                (self.address(family), self.chance.choice((0, 8, 16, most - 1, most))), strict=False
            )
        )

    def fill(self):
        for vpc in self.vpcs:
            vpc["VpcId"] = self.name("vpc")
            blocks = [
                f"{ipaddress.ip_address('10.0.0.0') + (self.number() << 8)}/24" for _ in range(8)
            ]
            self.put(vpc, CidrBlock=blocks[0])
            for one in vpc.get("CidrBlockAssociationSet") or []:
                self.put(one, CidrBlock=blocks.pop(0))
        for one in self.interfaces:
            self.fill_interface(one)
        for one in self.filters:
            one["TrafficMirrorFilterId"] = self.name("tmf")
            for direction in ("ingress", "egress"):
                for rule in one.get(f"{direction.capitalize()}FilterRules") or []:
                    self.fill_rule(rule, direction, one["TrafficMirrorFilterId"])
        for rule in self.rules:
            mirror = self.chance.choice(self.filters)["TrafficMirrorFilterId"]
            self.fill_rule(rule, rule["TrafficDirection"], mirror)
        for one in self.targets:
            self.fill_target(one)
        for one in self.sessions:
            self.fill_session(one)

    def fill_interface(self, one):
        number = self.number()
        mac = bytes([2, 0xAB, *number.to_bytes(4, "big")]).hex(":")
        one["NetworkInterfaceId"] = self.name("eni")
        if self.chance.random() < 0.3:
            mac = mac.upper()
        vpc = self.chance.choice(self.vpcs)["VpcId"] if self.vpcs else "vpc-1"
        first = self.address(4)
        self.put(one, MacAddress=mac, VpcId=vpc, PrivateIpAddress=first)
        for i, address in enumerate(one.get("PrivateIpAddresses") or []):
            primary = i == 0 and one.get("PrivateIpAddress") is not None
            self.put(address, Primary=primary)
            address["PrivateIpAddress"] = first if primary else self.address(4)
        for address in one.get("Ipv6Addresses") or []:
            text = ipaddress.ip_address(self.address(6))
            address["Ipv6Address"] = self.chance.choice((str(text), text.exploded))

    def fill_rule(self, rule, direction, mirror):
        family = self.chance.choice((4, 6))
        rule.update(RuleNumber=self.number())
        self.put(
            rule,
            TrafficMirrorFilterRuleId=self.name("tmfr"),
            TrafficMirrorFilterId=mirror,
            TrafficDirection=direction,
            Protocol=self.chance.choice((-1, 0, 6, 17, 255)),
            SourceCidrBlock=self.block(family),
            DestinationCidrBlock=self.block(family),
        )
        for key in ("SourcePortRange", "DestinationPortRange"):
            low = self.chance.choice((0, 1, 80, 65535))
            high = self.chance.choice((low, 65535))
            if rule.get(key) is not None:
                self.put(rule[key], FromPort=low, ToPort=high)

    def fill_target(self, one):
        one["TrafficMirrorTargetId"] = self.name("tmt")
        kind = one.get("Type") or self.chance.choice(list(DESTINATIONS))
        for other, key in DESTINATIONS.items():
            self.put(one, **{key: self.name("x")})
            if other != kind:  # a target has one destination
                one.pop(key, None)

    def fill_session(self, one):
        one["TrafficMirrorSessionId"] = self.name("tms")
        number = self.number()
        one["VirtualNetworkId"] = self.chance.choice((number, (1 << 23) + number, 0xFFFFFF - number))
        self.put(
            one,
            TrafficMirrorTargetId=self.chance.choice(self.targets)["TrafficMirrorTargetId"],
            TrafficMirrorFilterId=self.chance.choice(self.filters)["TrafficMirrorFilterId"],
            NetworkInterfaceId=self.chance.choice(self.interfaces)["NetworkInterfaceId"],
            PacketLength=self.chance.choice((1, 20, 8500)),
            SessionNumber=self.number(),
        )


# What the canonical form has to say --------------------------------------------------------------


def some(pairs):
    """Without what is absent."""
    return {key: value for key, value in pairs if value is not None}


def cidr(text):
    return None if text is None else str(ipaddress.ip_network(text))


def ports(value):
    if value is None:
        return None
    low, high = value.get("FromPort"), value.get("ToPort")
    return {"FromPort": 0 if low is None else low, "ToPort": 65535 if high is None else high}


def canonical_rules(rules):
    made = [
        some(
            (
                ("RuleNumber", rule["RuleNumber"]),
                ("RuleAction", rule["RuleAction"]),
                ("Protocol", None if rule.get("Protocol") == -1 else rule.get("Protocol")),
                ("SourceCidrBlock", cidr(rule.get("SourceCidrBlock"))),
                ("SourcePortRange", ports(rule.get("SourcePortRange"))),
                ("DestinationCidrBlock", cidr(rule.get("DestinationCidrBlock"))),
                ("DestinationPortRange", ports(rule.get("DestinationPortRange"))),
            )
        )
        for rule in rules
    ]
    return sorted(made, key=lambda rule: rule["RuleNumber"]) or None


def canonical_filter(one, apart):
    lists = {}
    for direction in ("ingress", "egress"):
        key = f"{direction.capitalize()}FilterRules"
        lists[key] = canonical_rules(
            (one.get(key) or [])
            + [
                rule
                for rule in apart
                if rule["TrafficMirrorFilterId"] == one["TrafficMirrorFilterId"]
                and rule["TrafficDirection"] == direction
            ]
        )
    services = sorted(set(one.get("NetworkServices") or [])) or None
    return some(
        [(key, one.get(key)) for key in ("TrafficMirrorFilterId", "Description")]
        + [("NetworkServices", services)]
        + list(lists.items())
    )


def canonical_target(one):
    kind = one.get("Type")
    for other, key in DESTINATIONS.items():
        kind = kind or (other if one.get(key) is not None else None)
    pairs = [("TrafficMirrorTargetId", one["TrafficMirrorTargetId"]), ("Type", kind)]
    if kind is not None:
        pairs.append((DESTINATIONS[kind], one.get(DESTINATIONS[kind])))
    return some(pairs)


def canonical_interface(one):
    first = one.get("PrivateIpAddress")
    four = [first] if first is not None else []
    four += [a["PrivateIpAddress"] for a in one.get("PrivateIpAddresses") or []]
    four = [{"PrivateIpAddress": address} for address in dict.fromkeys(four)]
    six = [
        {"Ipv6Address": str(ipaddress.ip_address(a["Ipv6Address"]))}
        for a in one.get("Ipv6Addresses") or []
    ]
    mac = one.get("MacAddress")
    return some(
        (
            ("NetworkInterfaceId", one["NetworkInterfaceId"]),
            ("VpcId", one.get("VpcId")),
            ("MacAddress", mac and mac.lower()),
            ("PrivateIpAddress", first),
            ("PrivateIpAddresses", four or None),
            ("Ipv6Addresses", six or None),
        )
    )


def canonical_vpc(one):
    blocks = [one.get("CidrBlock")]
    blocks += [a.get("CidrBlock") for a in one.get("CidrBlockAssociationSet") or []]
    blocks = list(dict.fromkeys(block for block in blocks if block is not None))
    more = [{"CidrBlock": block} for block in blocks[1:]] or None
    pairs = [("VpcId", one["VpcId"]), ("CidrBlock", blocks[0] if blocks else None)]
    return some(pairs + [("CidrBlockAssociationSet", more)])


def canonical(filler):
    keys = [key for key in UNDERSTOOD["DescribeTrafficMirrorSessions"]["TrafficMirrorSessions"]]
    made = {
        "TrafficMirrorFilters": [canonical_filter(one, filler.rules) for one in filler.filters],
        "TrafficMirrorTargets": [canonical_target(one) for one in filler.targets],
        "NetworkInterfaces": [canonical_interface(one) for one in filler.interfaces],
        "Vpcs": [canonical_vpc(one) for one in filler.vpcs],
        "TrafficMirrorSessions": [
            some((key, one.get(key)) for key in keys) for one in filler.sessions
        ],
    }
    for objects in made.values():
        objects.sort(key=lambda one: next(iter(one.values())))
    return dict(made, SourceCheck="off", UnknownSession="drop")


def compare(got, want, where="$"):
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            compare(got.get(key, "(absent)"), want.get(key, "(absent)"), f"{where}.{key}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (one, other) in enumerate(zip(got, want)):
            compare(one, other, f"{where}[{i}]")
    else:
        demand(got == want, "%s is %r, expected %r", where, got, want)


def variant(model, program, folder, how):
    documents = {
        operation: model.value(model.output(operation), understood, how)
        for operation, understood in UNDERSTOOD.items()
    }
    for operation, understood in UNDERSTOOD.items():  # the lists themselves are always printed
        for key, inner in understood.items():
            if not documents[operation].get(key):
                name = model.shapes[model.output(operation)]["members"][key]["shape"]
                documents[operation][key] = model.value(name, inner, how)
    filler = Filler(model.chance, documents)
    filler.fill()
    line = [program, "--check"]
    for operation, document in documents.items():
        path = f"{folder}/{operation}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=4, ensure_ascii=model.chance.random() < 0.5)
            file.write("\n")
        line += ["-c", path]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    demand(done.returncode == 0, "status %d: %s", done.returncode, done.stderr)
    compare(json.loads(done.stdout), canonical(filler))


def main(arguments):
    program, folder, seed, variants = arguments
    model = Model(seed)
    for operation, understood in UNDERSTOOD.items():
        model.check(model.output(operation), understood, operation)
    hows = ["all", "required", "all"] + ["some"] * int(variants)
    for number, how in enumerate(hows):
        try:
            variant(model, program, folder, how)
        except Wrong as wrong:
            raise Wrong(f"seed {seed}, variant {number} ({how}): {wrong}") from None
    demand(model.members == model.seen, "never made: %r", model.seen - model.members)
    for name in {name for name, _ in model.enums}:
        for value in model.shapes[name]["enum"]:
            demand(model.enums[name, value] > 0, "%s: %s was never made", name, value)
    print(f"{len(hows)} variants, {len(model.members)} members, {len(model.enums)} values of enums")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Wrong as wrong:
        sys.exit(f"aws_model: {wrong}")
