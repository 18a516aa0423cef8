# SPDX-License-Identifier: BSD-3-Clause
"""
An account to test with: account.py FOLDER SEED writes AWS documents of four sessions, two of them on
one VNI, with filters that try every kind of rule, outputs and routes, and in.pcap: 6,000 mirrored
packets of these sessions and of strangers. Inner frames are IPv4 and IPv6, TCP, UDP, ICMP,
fragments, with VLAN tags, options and extension headers, whole or cut anywhere.
"""

import json
import random
import sys
import judge
import packets as p

work, seed = sys.argv[1:]
chance = random.Random(int(seed))
ENI = {"eni-0aaaaaaaaaaaaaaa1": ("02:aa:00:00:00:01", "10.1.0.10"),
       "eni-0aaaaaaaaaaaaaaa2": ("02:aa:00:00:00:02", "10.1.0.11"),
       "eni-0aaaaaaaaaaaaaaa4": ("02:aa:00:00:00:04", "10.1.0.13")}


def rule(direction, number, action, **constraints):
    return dict({"TrafficMirrorFilterRuleId": f"tmfr-{chance.randrange(1 << 60):017x}",
                 "TrafficDirection": direction, "RuleNumber": number, "RuleAction": action},
                **constraints)


def span(low, high):
    return {"FromPort": low, "ToPort": high}


def mirror_filter(name, ingress, egress, services=()):
    """Rules stand in no order, as AWS does not promise one."""
    chance.shuffle(ingress)
    chance.shuffle(egress)
    return {"TrafficMirrorFilterId": name, "IngressFilterRules": ingress,
            "EgressFilterRules": egress, "NetworkServices": list(services), "Tags": []}


filters = [
    mirror_filter("tmf-one", [
        rule("ingress", 10, "reject", Protocol=6, DestinationPortRange=span(22, 22)),
        rule("ingress", 20, "accept", Protocol=6, SourceCidrBlock="10.2.0.0/16",
             DestinationCidrBlock="0.0.0.0/0", DestinationPortRange=span(80, 443)),
        rule("ingress", 30, "accept", Protocol=17, SourcePortRange=span(53, 53)),
        rule("ingress", 40, "reject", SourceCidrBlock="10.2.1.0/24"),
        rule("ingress", 50, "accept", Protocol=1),
        rule("ingress", 32766, "accept", SourceCidrBlock="::/0"),
    ], [
        rule("egress", 1, "accept", Protocol=17, DestinationPortRange=span(0, 65535)),
        rule("egress", 2, "reject", DestinationCidrBlock="10.2.0.1/32"),
        rule("egress", 3, "accept", Protocol=6, SourcePortRange=span(80, 80)),
        rule("egress", 5, "reject", DestinationCidrBlock="0.0.0.0/0"),
    ]),
    mirror_filter("tmf-two", [
        rule("ingress", 100, "accept", Protocol=6, DestinationCidrBlock="2001:db8::/33"),
        rule("ingress", 110, "reject", SourceCidrBlock="2001:db8:1::1/128"),
        rule("ingress", 120, "accept", Protocol=58),
    ], [
        rule("egress", 100, "accept", SourceCidrBlock="2001:db8::1/128",
             DestinationCidrBlock="2001:db8:1::/48"),
    ], ["amazon-dns"]),
    mirror_filter("tmf-three", [
        rule("ingress", 7, "reject", Protocol=17, DestinationPortRange=span(123, 123)),
        rule("ingress", 8, "accept", DestinationPortRange=span(1, 1023)),
    ], [
        rule("egress", 9, "accept", Protocol=-1, SourceCidrBlock="10.2.0.0/15"),
    ]),
    mirror_filter("tmf-web", [
        rule("ingress", 1, "accept", Protocol=6, DestinationPortRange=span(80, 80)),
        rule("ingress", 2, "reject", Protocol=6),
    ], [
        rule("egress", 1, "accept", Protocol=6, SourcePortRange=span(80, 80)),
    ]),
]
sessions = [
    {"TrafficMirrorSessionId": name, "TrafficMirrorTargetId": "tmt-1",
     "TrafficMirrorFilterId": mirror, "NetworkInterfaceId": eni, "OwnerId": "123456789012",
     "SessionNumber": number, "VirtualNetworkId": vni, "Tags": []}
    for name, mirror, eni, number, vni in (
        ("tms-a", "tmf-one", "eni-0aaaaaaaaaaaaaaa1", 1, 100),
        ("tms-b", "tmf-two", "eni-0aaaaaaaaaaaaaaa2", 1, 100),
        ("tms-c", "tmf-three", "eni-not-loaded", 1, 200),
        ("tms-d", "tmf-not-loaded", "eni-0aaaaaaaaaaaaaaa4", 1, 300))]
interfaces = [{"NetworkInterfaceId": eni, "MacAddress": own, "PrivateIpAddress": address,
               "PrivateIpAddresses": [{"PrivateIpAddress": address, "Primary": True}],
               "Ipv6Addresses": [], "VpcId": "vpc-1", "Status": "in-use"}
              for eni, (own, address) in ENI.items()]
routes = [{"VirtualNetworkId": 100, "Outputs": ["all"]},
          {"SessionId": "tms-a", "FilterId": "tmf-web", "Outputs": ["web"]},
          {"SessionId": "tms-c", "FilterId": "tmf-web", "Outputs": ["web", "dns"]},
          {"SessionId": "tms-b", "VirtualNetworkId": 100, "Outputs": ["dns"]},
          {"SessionId": "tms-b", "VirtualNetworkId": 200, "Outputs": ["web"]}]
outputs = [{"Name": "all", "Type": "pcapng", "Path": f"{work}/all.pcapng"},
           {"Name": "web", "Type": "pcap", "Path": f"{work}/web.pcap"},
           {"Name": "dns", "Type": "pcapng", "Path": f"{work}/dns.pcapng"}]


def write(name, document):
    with open(f"{work}/{name}.json", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)


write("filters", {"TrafficMirrorFilters": filters, "NextToken": "x"})
write("sessions", {"TrafficMirrorSessions": sessions})
write("interfaces", {"NetworkInterfaces": interfaces,
                     "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.1.0.0/16", "IsDefault": False}]})
write("outputs", {"Outputs": outputs})
write("routes", {"Routes": routes})
write("strict", {"SourceCheck": "strict"})
write("learn", {"UnknownSession": "deliver"})

V4 = ["10.2.0.1", "10.2.1.7", "10.3.9.9", "192.0.2.1", "10.1.0.10", "10.1.0.11", "10.1.0.200",
      "10.1.0.2", "169.254.169.253"]
V6 = ["2001:db8::1", "2001:db8:8000::1", "2001:db8:1::1", "2001:db8:1:2::3", "fd00:ec2::253"]
PORTS = [22, 53, 79, 80, 81, 123, 443, 444, 1023, 1024, 40000, 65535]


def transport():
    """(protocol, bytes)"""
    ports = chance.choice(PORTS), chance.choice(PORTS)
    body = chance.randbytes(chance.choice((0, 1, 30, 200)))
    kind = chance.randrange(10)
    if kind < 4:
        return p.TCP, p.tcp(body, *ports)
    if kind < 8:
        return p.UDP, p.udp(body, *ports)
    if kind == 8:
        return None, p.icmp_echo(body)
    return chance.choice((2, 47, 50, 89, 132)), chance.randbytes(40)


def packet4():
    protocol, body = transport()
    options = b"\x01" * chance.choice((0, 0, 0, 4, 40))
    fragment = chance.choice((0, 0, 0, 0, 0x4000, 0x2000, 0x2005, 0x0005))
    total = 0 if chance.random() < 0.03 else None
    if chance.random() < 0.03:
        total = 20 + len(options) + chance.randrange(0, 8)  # less than the frame holds
    return 0x0800, p.ipv4(body, p.ICMP if protocol is None else protocol, chance.choice(V4),
                          chance.choice(V4), options=options, fragment=fragment, total=total)


def packet6():
    protocol, body = transport()
    protocol = p.ICMP6 if protocol is None else protocol
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        kind = chance.choice((0, 43, 60, 135, 51, 44))
        if kind == 51:
            protocol, body = 51, p.authentication(body, protocol)
        elif kind == 44:
            if protocol in judge.EXTENSIONS:
                continue
            offset = chance.choice((0, 0, 9))
            protocol, body = 44, p.fragment6(body, protocol, offset, chance.random() < 0.5)
        else:
            protocol, body = kind, p.extension(body, protocol, chance.choice((0, 1, 5)))
    return 0x86DD, p.ipv6(body, protocol, chance.choice(V6), chance.choice(V6))


def frame(own):
    """An Ethernet frame to or from `own`, or between others."""
    if chance.random() < 0.03:
        kind, body = chance.choice(((0x0806, bytes(28)), (0x88CC, bytes(50)),
                                    (0x0800, b"\x65" * 40), (0x86DD, b"\x45" * 60)))
    else:
        kind, body = packet4() if chance.random() < 0.6 else packet6()
    ends = [own, "02:ff:00:00:00:99"]
    chance.shuffle(ends)
    what = chance.randrange(12)
    if what == 0:
        ends[1] = "ff:ff:ff:ff:ff:ff"
    elif what == 1:
        ends = ["02:ff:00:00:00:98", "02:ff:00:00:00:99"]
    elif what == 2:
        ends = [own, own]
    tags = [(0x8100, 5), (0x88A8, 6), (0x9100, 7)]
    chance.shuffle(tags)
    made = p.ether(body, kind, *ends, tags[:chance.choice((0, 0, 0, 0, 1, 2, 3))])
    if chance.random() < 0.2:
        made = made[:chance.randrange(1, min(len(made), 90))]
    elif chance.random() < 0.1:
        made += bytes(chance.randrange(1, 20))
    return made


# (weight, outer source, VNI): the sessions, and strangers
ways = [(5, "10.1.0.10", 100), (5, "10.1.0.11", 100), (3, "10.1.0.12", 200), (1, "10.2.0.1", 200),
        (2, "10.1.0.13", 300), (1, "10.1.0.77", 100), (1, "10.1.0.10", 999)]
macs = {address: own for own, address in ENI.values()}
made = []
for i in range(6000):
    _, source, vni = chance.choices(ways, [w[0] for w in ways])[0]
    own = macs.get(source, "02:aa:00:00:00:03")
    made.append((1_700_000_000 * judge.NS + i * 1000, p.mirror(frame(own), vni, source)))
judge.write_pcap(f"{work}/in.pcap", made)
