#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Makes the seed corpora, test/fuzz/corpus/*: one small file for each way through a parser. What a
fuzzer has found is added to them by hand.
"""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
INNER4 = bytes.fromhex("020000000022020000000011")
SRC4, DST4 = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
SRC6, DST6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")
UDP, TCP, FRAGMENT, AH = 17, 6, 44, 51


def udp(payload, sport=65408, dport=4789, length=None):
    length = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", sport, dport, length, 0) + payload


def tcp(payload=b""):
    return struct.pack("!HHIIBBHHH", 40000, 443, 1, 2, 0x50, 0x18, 1024, 0, 0) + payload


def ipv4(payload, proto=UDP, options=b"", fragment=0, total=None):
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, total, 0, fragment, 255, proto, 0)
    return head + SRC4 + DST4 + options + payload


def ipv6(payload, following=UDP, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28, length, following, 64) + SRC6 + DST6 + payload


def extension(payload, following, units=0):
    return bytes([following, units]) + bytes(6 + 8 * units) + payload


def fragment6(payload, following, field):
    return struct.pack("!BBHI", following, 0, field, 7) + payload


def authentication(payload, following):
    return bytes([following, 4]) + bytes(22) + payload


def ether(payload, kind=0x0800, tags=()):
    tags = b"".join(struct.pack("!HH", tag, 33) for tag in tags)
    return INNER4 + tags + struct.pack("!H", kind) + payload


def vxlan(payload, vni=64, flags=8):
    return struct.pack("!II", flags << 24, vni << 8) + payload


def geneve(payload, kind, options=b"", version=0):
    head = struct.pack("!BBHI", version << 6 | len(options) // 4, 0, kind, 5 << 8)
    return head + options + payload


AWS = (
    struct.pack("!HBB", 0x0108, 1, 2) + bytes(8)
    + struct.pack("!HBB", 0x0108, 2, 2) + bytes(8)
    + struct.pack("!HBB", 0x0108, 3, 1) + bytes(4)
)  # fmt: skip


def inner_frames():
    dns = udp(b"query", 1000, 53)
    yield "udp4", ether(ipv4(dns))
    yield "tcp4_options", ether(ipv4(tcp(b"hello"), TCP, bytes([1] * 12)))
    yield "udp4_qinq", ether(ipv4(dns), tags=(0x88A8, 0x8100))
    yield "udp4_three_tags", ether(ipv4(dns), tags=(0x8100, 0x8100, 0x8100))
    yield "udp4_first_fragment", ether(ipv4(dns, fragment=0x2000))
    yield "udp4_later_fragment", ether(ipv4(dns, fragment=0x0010))
    yield "udp4_padded", ether(ipv4(dns)) + bytes(20)
    yield "tcp6", ether(ipv6(tcp(), TCP), 0x86DD)
    yield "tcp6_extensions", ether(
        ipv6(extension(authentication(extension(tcp(), TCP, 2), 60), AH, 1), 0), 0x86DD
    )
    yield "udp6_fragment", ether(ipv6(fragment6(dns, UDP, 1), FRAGMENT), 0x86DD)
    yield "udp6_atomic_fragment", ether(ipv6(fragment6(dns, UDP, 0), FRAGMENT), 0x86DD)
    yield "icmp4", ether(ipv4(b"\x08\x00" + bytes(6), 1))
    yield "arp", ether(bytes(28), 0x0806)
    yield "cut_in_ip", ether(ipv4(dns))[:25]
    yield "one_byte", b"\x02"
    yield "empty", b""


def packets():
    for name, frame in inner_frames():
        yield "inner_" + name, ether(ipv4(udp(vxlan(frame))))
    frame = ether(ipv4(udp(b"query", 1000, 53)))
    plain = udp(vxlan(frame))
    gwlb = udp(geneve(ipv4(plain), 0x0800, AWS), dport=6081)
    yield "outer_qinq", ether(ipv4(plain), tags=(0x88A8, 0x8100))
    yield "outer_options", ether(ipv4(plain, options=bytes([1] * 8)))
    yield "outer_ipv6", ether(ipv6(plain), 0x86DD)
    yield "outer_ipv6_extensions", ether(
        ipv6(extension(authentication(fragment6(plain, UDP, 0), FRAGMENT), AH), 0), 0x86DD
    )
    yield "outer_fragment", ether(ipv4(plain, fragment=0x2000))
    yield "outer_ipv6_fragment", ether(ipv6(fragment6(plain, UDP, 8), FRAGMENT), 0x86DD)
    yield "outer_open_lengths", ether(ipv4(udp(vxlan(frame), length=0), total=0))
    yield "outer_padded", ether(ipv4(plain)) + bytes(30)
    yield "outer_tcp", ether(ipv4(tcp(), TCP))
    yield "geneve_ethernet", ether(ipv4(udp(geneve(frame, 0x6558), dport=6081)))
    yield "geneve_vxlan", ether(ipv4(gwlb))
    yield "geneve_vxlan6", ether(ipv4(udp(geneve(ipv6(plain), 0x86DD, AWS), dport=6081)))
    yield "geneve_version", ether(ipv4(udp(geneve(frame, 0x6558, version=1), dport=6081)))
    yield "vxlan_flags", ether(ipv4(udp(vxlan(frame, flags=0))))


def decap_corpus():
    for name, packet in packets():
        yield name, b"\0" + packet
        yield name + "_split", bytes([3, 17, 26, 9]) + packet
    empty = ether(ipv4(udp(vxlan(b""))))
    yield "empty_in_two", bytes([1, 30]) + empty
    yield "nothing", b""


RULE = {
    "TrafficMirrorFilterRuleId": "tmfr-1",
    "TrafficDirection": "ingress",
    "RuleNumber": 100,
    "RuleAction": "accept",
    "Protocol": 6,
    "DestinationPortRange": {"FromPort": 443, "ToPort": 443},
    "SourcePortRange": {"FromPort": 0, "ToPort": 65535},
    "DestinationCidrBlock": "10.0.0.0/16",
    "SourceCidrBlock": "0.0.0.0/0",
    "Description": "web",
    "Tags": [{"Key": "k", "Value": "v"}],
}


def config_corpus():
    documents = {
        "empty": {},
        "filter": {
            "TrafficMirrorFilters": [
                {
                    "TrafficMirrorFilterId": "tmf-1",
                    "IngressFilterRules": [RULE],
                    "EgressFilterRules": [
                        dict(RULE, TrafficDirection="egress", RuleAction="reject",
                             DestinationCidrBlock="fd00::/8", SourceCidrBlock="::/0")
                    ],
                    "NetworkServices": ["amazon-dns"],
                    "Description": "\u00fcml\u00e4ut",
                }
            ],
            "NextToken": "more",
        },
        "rules": {"TrafficMirrorFilterRules": [dict(RULE, TrafficMirrorFilterId="tmf-1")]},
        "session": {
            "TrafficMirrorSessions": [
                {
                    "TrafficMirrorSessionId": "tms-1",
                    "TrafficMirrorTargetId": "tmt-1",
                    "TrafficMirrorFilterId": "tmf-1",
                    "NetworkInterfaceId": "eni-1",
                    "OwnerId": "111122223333",
                    "PacketLength": 100,
                    "SessionNumber": 1,
                    "VirtualNetworkId": 64,
                }
            ],
            "TrafficMirrorTargets": [
                {
                    "TrafficMirrorTargetId": "tmt-1",
                    "NetworkInterfaceId": "eni-2",
                    "Type": "network-interface",
                }
            ],
        },
        "interface": {
            "NetworkInterfaces": [
                {
                    "NetworkInterfaceId": "eni-1",
                    "MacAddress": "02:00:00:00:00:01",
                    "PrivateIpAddress": "10.0.0.1",
                    "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.1", "Primary": True}],
                    "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}],
                    "VpcId": "vpc-1",
                }
            ],
            "Vpcs": [
                {
                    "VpcId": "vpc-1",
                    "CidrBlock": "10.0.0.0/16",
                    "CidrBlockAssociationSet": [{"CidrBlock": "100.64.0.0/20"}],
                }
            ],
        },
        "own": {
            "Outputs": [
                {"Name": "archive", "Type": "pcapng", "Path": "/tmp/%Y-w{worker}.pcapng"},
                {"Name": "ids", "Type": "port", "Port": "net_tap0"},
                {"Name": "none", "Type": "null"},
            ],
            "Routes": [
                {"VirtualNetworkId": 64, "Outputs": ["archive", "ids"]},
                {"SessionId": "tms-1", "Outputs": ["none"]},
            ],
            "SourceCheck": "strict",
            "UnknownSession": "deliver",
            "OuterFragments": "reassemble",
            "Dedup": {"WindowMilliseconds": 20, "Scope": "session", "Memory": "1MiB"},
        },
        "wrong_type": {"Outputs": {"Name": 1}},
        "unknown_key": {"Otputs": []},
        "bad_cidr": {
            "TrafficMirrorFilterRules": [
                dict(RULE, TrafficMirrorFilterId="f", SourceCidrBlock="10.0.0.0/33")
            ]
        },
    }
    for name, document in documents.items():
        yield name + ".json", json.dumps(document, separators=(",", ":")).encode()
    yield "cut.json", b'{"Outputs":[{"Name":"a"'
    yield "deep.json", b"[" * 500
    yield "number.json", b'{"TrafficMirrorSessions":[{"VirtualNetworkId":1e400}]}'
    yield "nul.json", b'{"Outputs":[{"Name":"a\\u0000b","Type":"null"}]}'
    yield "not_utf8.json", b'{"Outputs":[{"Name":"\xff","Type":"null"}]}'
    yield "nothing.json", b""


def capture_block(order, kind, body):
    total = 12 + len(body)
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def capture_option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def capture_section(order):
    """A section with an interface, a packet with options, statistics, and a block of another kind."""
    end = bytes(4)
    number = struct.pack(order + "Q", 5)
    names = capture_option(order, 2, b"vni64") + capture_option(order, 9, b"\x09")
    names += capture_option(order, 14, number) + end
    flags = capture_option(order, 2, struct.pack(order + "I", 1)) + capture_option(order, 4, number)
    flags += capture_option(order, 2988, struct.pack(order + "I", 7) + b"text") + end
    counts = capture_option(order, 2, bytes(8)) + capture_option(order, 3, bytes(8))
    counts += capture_option(order, 4, number) + capture_option(order, 5, number) + end
    packet = struct.pack(order + "IIIII", 0, 1, 2, 5, 60) + b"hello\0\0\0"
    return (
        capture_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        + capture_block(order, 1, struct.pack(order + "HHI", 1, 0, 96) + names)
        + capture_block(order, 6, packet + flags)
        + capture_block(order, 6, packet)
        + capture_block(order, 5, bytes(12) + counts)
        + capture_block(order, 10, b"what")
    )


def capture_pcap(order, magic):
    return struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, 1) + (
        struct.pack(order + "IIII", 1, 2, 3, 60) + b"abc"
    ) * 2


def capread_corpus():
    little, big = capture_section("<"), capture_section(">")
    yield "little", b"\xff" + little
    yield "big", b"\x00" + big
    yield "both", b"\x07" + little + big + little
    yield "cut", b"\xff" + little[:-3]
    yield "zeros", b"\xff" + little + bytes(40)
    yield "simple", b"\xff" + little + capture_block("<", 3, bytes(8))
    yield "obsolete", b"\xff" + little + capture_block("<", 2, bytes(20))
    yield "version", b"\xff" + little[:12] + b"\x02" + little[13:]
    for order in "<>":
        for magic in 0xA1B2C3D4, 0xA1B23C4D:
            yield f"pcap_{'little' if order == '<' else 'big'}_{magic:x}", b"\x03" + capture_pcap(
                order, magic
            )
    yield "text", b"\xffneither"
    yield "nothing", b"\xff"


def main():
    corpora = {
        "decap": decap_corpus(),
        "config": config_corpus(),
        "capread": capread_corpus(),
    }
    for folder, files in corpora.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files:
            (CORPUS / folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
