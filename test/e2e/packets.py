# SPDX-License-Identifier: BSD-3-Clause
"""
Builds packets for the end-to-end tests, byte by byte with struct: inner frames of all sorts, and
the mirrored packets around them. Deterministic: whoever wants chance brings a random.Random.
"""

import ipaddress
import struct

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
WINDOW = 1024  # that a TCP segment offers
SOURCE_MAC = "02:00:00:00:00:01"
TARGET_MAC = "02:00:00:00:00:02"


def mac(value):
    return bytes.fromhex(value.replace(":", ""))


def address(value):
    return ipaddress.ip_address(value).packed


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ether(payload, kind, source=SOURCE_MAC, target=TARGET_MAC, tags=()):
    """tags: (TPID, TCI) from the outside in."""
    head = mac(target) + mac(source)
    for tpid, tci in tags:
        head += struct.pack("!HH", tpid, tci)
    return head + struct.pack("!H", kind) + payload


def ipv4(payload, protocol, source, target, options=b"", fragment=0, total=None, ttl=64, ident=0):
    """fragment: flags and offset as they stand in the header; total: None for the right one."""
    header = 20 + len(options)
    if total is None:
        total = header + len(payload)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | header // 4,
        0,
        total,
        ident,
        fragment,
        ttl,
        protocol,
        0,
        address(source),
        address(target),
    )
    head += options
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + payload


def ipv6(payload, following, source, target, length=None):
    if length is None:
        length = len(payload)
    head = struct.pack("!IHBB", 6 << 28, length, following, 64)
    return head + address(source) + address(target) + payload


def extension(payload, following, units=0):
    """Hop-by-hop, routing, destination options: 8 + 8 * units bytes, all padding (PadN)."""
    size = 6 + 8 * units
    return struct.pack("!BB", following, units) + bytes([1, size - 2]) + bytes(size - 2) + payload


def authentication(payload, following):
    """An AH of 24 bytes, which counts in units of 4."""
    return struct.pack("!BBHII12x", following, 4, 0, 1, 1) + payload


def fragment6(payload, following, offset, more, ident=7):
    """offset in units of 8 bytes."""
    return struct.pack("!BBHI", following, 0, offset << 3 | int(more), ident) + payload


def udp(payload, source, target, length=None):
    if length is None:
        length = 8 + len(payload)
    return struct.pack("!HHHH", source, target, length, 0) + payload


def tcp(payload, source, target, sequence=1, flags=0x18, acknowledged=1):
    head = source, target, sequence, acknowledged, 0x50, flags, WINDOW, 0, 0
    return struct.pack("!HHIIBBHHH", *head) + payload


def icmp_echo(payload, ident=1, sequence=1):
    body = struct.pack("!BBHHH", 8, 0, 0, ident, sequence) + payload
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def arp(source, target, source_mac=SOURCE_MAC):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(source_mac) + address(source)
    return ether(body + bytes(6) + address(target), 0x0806, source_mac, "ff:ff:ff:ff:ff:ff")


def vxlan(frame, vni, flags=0x08):
    return struct.pack("!BBHI", flags, 0, 0, vni << 8) + frame


def geneve(payload, kind, vni, options=b"", version=0, room=None):
    """room: what the header says the options take, in units of 4 bytes; None for the truth."""
    if room is None:
        room = len(options) // 4
    return struct.pack("!BBHI", version << 6 | room, 0, kind, vni << 8) + options + payload


def geneve_option(value, kind=1, family=0x0108):
    return struct.pack("!HBB", family, kind, len(value) // 4) + value


def ip(payload, protocol, source, target, **more):
    """IPv4 or IPv6 as the addresses are. Returns (EtherType, packet)."""
    if ":" in source:
        return 0x86DD, ipv6(payload, protocol, source, target, **more)
    return 0x0800, ipv4(payload, protocol, source, target, **more)


def mirror(frame, vni, source="10.1.0.10", target="10.1.0.99", sport=65408, tags=(), port=4789):
    """A frame as a source ENI mirrors it: VXLAN, UDP checksum 0, no options."""
    kind, packet = ip(udp(vxlan(frame, vni), sport, port), UDP, source, target)
    return ether(packet, kind, tags=tags)


def flow_frames(random, count, flows=40, longest=1400):
    """
    count Ethernet frames of so many TCP and UDP flows, in both directions, over IPv4 and IPv6. The
    payload begins with the flow (4 bytes) and the frame's number in its flow (4 bytes).
    """
    ends = []
    for i in range(flows):
        if i % 4 == 3:
            hosts = f"2001:db8::{i + 1:x}", "2001:db8:1::1"
        else:
            hosts = f"10.2.{i // 250}.{i % 250 + 1}", "10.3.0.1"
        ends.append((hosts, random.randrange(1024, 65536), random.choice((53, 80, 443, 123))))
    numbers, frames = [0] * flows, []
    for _ in range(count):
        flow = random.randrange(flows)
        (client, server), high, low = ends[flow]
        payload = struct.pack("!II", flow, numbers[flow])
        payload += random.randbytes(random.choice((0, 12, 100, random.randrange(longest - 120))))
        numbers[flow] += 1
        ports, hosts, macs = (high, low), (client, server), (SOURCE_MAC, TARGET_MAC)
        if random.random() < 0.5:
            ports, hosts, macs = ports[::-1], hosts[::-1], macs[::-1]
        if flow % 2:
            protocol, segment = TCP, tcp(payload, *ports)
        else:
            protocol, segment = UDP, udp(payload, *ports)
        kind, packet = ip(segment, protocol, *hosts)
        tags = ((0x8100, 7),) if flow % 5 == 4 else ()
        frames.append(ether(packet, kind, macs[0], macs[1], tags))
    return frames


def flow_of(frame):
    """(flow, number in its flow) of a frame of flow_frames()."""
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    header = 20 if frame[at] >> 4 == 4 else 40
    protocol = frame[at + 9] if header == 20 else frame[at + 6]
    at += header + (20 if protocol == TCP else 8)
    return struct.unpack_from("!II", frame, at)
