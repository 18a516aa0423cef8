#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a small capture of ordinary traffic, as a host's network interface sees it.

The host is a web server at 10.0.N.10 (and 2001:db8:N::10), N being --host. It answers HTTP over
IPv4 and IPv6, asks its VPC's resolver and a public NTP server, is pinged, logs to another host in
a VLAN, receives a datagram in two fragments, and refuses somebody who tries SSH. All checksums are right;
two runs with the same options write the same bytes. Stands for itself: no packages, no network.
"""
import argparse
import itertools
import struct
import sys

START = 1767225600  # 2026-01-01 00:00:00 UTC
CLIENT, CLIENT6 = "198.51.100.7", "2001:db8:ffff::7"
SCANNER, NTP_SERVER, LOG_HOST = "203.0.113.99", "192.0.2.123", "10.0.9.14"
RESOLVER = "10.0.0.2"  # the VPC's base address + 2
ROUTER_MAC = bytes.fromhex("020000000001")
TCP, UDP, ICMP = 6, 17, 1
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    """The Internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(text):
    """An IPv4 address, or an IPv6 address with one "::", as bytes."""
    if "." in text:
        return bytes(int(part) for part in text.split("."))
    head, tail = (
        b"".join(struct.pack("!H", int(group, 16)) for group in half.split(":") if group)
        for half in text.split("::")
    )
    return head + bytes(16 - len(head) - len(tail)) + tail


def with_checksum(src, dst, proto, segment, at):
    """Fills in a transport checksum, pseudo-header included (RFC 9293, RFC 768, RFC 8200)."""
    pseudo = src + dst + struct.pack("!IBBBB", len(segment), 0, 0, 0, proto)
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack("!H", value) + segment[at + 2 :]


class Host:
    """The host whose interface it is; its methods yield frames (bytes)."""

    def __init__(self, number):
        self.mac = bytes([2, 0, 0, 0, number, 10])
        self.ipv4 = f"10.0.{number}.10"
        self.ipv6 = f"2001:db8:{number:x}::10"
        self.ids = itertools.count(4096)

    def ethernet(self, outgoing, ethertype, payload, vlan=None):
        dst, src = (ROUTER_MAC, self.mac) if outgoing else (self.mac, ROUTER_MAC)
        tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
        return dst + src + tag + struct.pack("!H", ethertype) + payload

    def ip(self, src, dst, proto, payload, vlan=None, ident=None, fragment=0x4000):
        """An IP packet in a frame; fragment is IPv4's flags and offset, by default DF."""
        outgoing = src in (self.ipv4, self.ipv6)
        source, destination = address(src), address(dst)
        if len(source) == 16:
            header = struct.pack("!IHBB", 0x60000000, len(payload), proto, 64)
            return self.ethernet(outgoing, 0x86DD, header + source + destination + payload, vlan)
        if ident is None:
            ident = next(self.ids)
        header = struct.pack(
            "!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, fragment, 64, proto, 0
        )
        total = checksum(header + source + destination)
        header = header[:10] + struct.pack("!H", total) + source + destination
        return self.ethernet(outgoing, 0x0800, header + payload, vlan)

    def udp(self, src, sport, dst, dport, payload, vlan=None):
        segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        segment = with_checksum(address(src), address(dst), UDP, segment, 6)
        return self.ip(src, dst, UDP, segment, vlan)

    def tcp(self, src, sport, dst, dport, seq, ack, flags, payload=b""):
        options = struct.pack("!BBH", 2, 4, 1460) if flags & SYN else b""
        words = 5 + len(options) // 4
        segment = struct.pack(
            "!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, 64240, 0, 0
        )
        segment = with_checksum(address(src), address(dst), TCP, segment + options + payload, 16)
        return self.ip(src, dst, TCP, segment)

    def http(self, client, port, path, body):
        """A whole connection: handshake, request, response in full segments, and both FINs."""
        server = self.ipv6 if ":" in client else self.ipv4
        name = f"[{server}]" if ":" in server else server
        request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
        response = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        theirs, ours = 1000 * port, 7000 * port

        def to_server(flags, payload=b""):
            return self.tcp(client, port, server, 80, theirs, ours, flags, payload)

        def to_client(flags, payload=b""):
            return self.tcp(server, 80, client, port, ours, theirs, flags, payload)

        yield self.tcp(client, port, server, 80, theirs, 0, SYN)
        theirs += 1
        yield to_client(SYN | ACK)
        ours += 1
        yield to_server(ACK)
        yield to_server(PSH | ACK, request)
        theirs += len(request)
        yield to_client(ACK)
        for at in range(0, len(response), 1440):
            part = response[at : at + 1440]
            yield to_client((PSH if at + 1440 >= len(response) else 0) | ACK, part)
            ours += len(part)
            yield to_server(ACK)
        yield to_client(FIN | ACK)
        ours += 1
        yield to_server(FIN | ACK)
        theirs += 1
        yield to_client(ACK)

    def dns(self, port, name):
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        question = labels + b"\0" + struct.pack("!HH", 1, 1)
        header = struct.pack("!HHHHHH", port, 0x0100, 1, 0, 0, 0)
        yield self.udp(self.ipv4, port, RESOLVER, 53, header + question)
        answer = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + address(LOG_HOST)
        header = struct.pack("!HHHHHH", port, 0x8180, 1, 1, 0, 0)
        yield self.udp(RESOLVER, 53, self.ipv4, port, header + question + answer)

    def ntp(self, port):
        """Times count from 1900; the server answers 7 ms after the question was sent."""
        sent = struct.pack("!II", START + 2208988800, 0)
        received = struct.pack("!II", START + 2208988800, int(0.007 * 2**32))
        query = struct.pack("!BBbb", 0x23, 0, 6, -24) + bytes(36) + sent
        yield self.udp(self.ipv4, port, NTP_SERVER, 123, query)
        root = struct.pack("!II4s", 0, 0x10, b"GPS\0")
        answer = struct.pack("!BBbb", 0x24, 1, 6, -24) + root + received + sent + received * 2
        yield self.udp(NTP_SERVER, 123, self.ipv4, port, answer)

    def ping(self, sequence):
        data = bytes(range(56))
        for kind, src, dst in ((8, CLIENT, self.ipv4), (0, self.ipv4, CLIENT)):
            message = struct.pack("!BBHHH", kind, 0, 0, 77, sequence) + data
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
            yield self.ip(src, dst, ICMP, message)

    def fragments(self):
        """1600 bytes of UDP payload in two IPv4 fragments, the first of 1480 bytes."""
        payload = bytes(range(256)) * 6 + bytes(64)
        datagram = struct.pack("!HHHH", 5001, 5001, 8 + len(payload), 0) + payload
        datagram = with_checksum(address(CLIENT), address(self.ipv4), UDP, datagram, 6)
        ident = next(self.ids)
        yield self.ip(CLIENT, self.ipv4, UDP, datagram[:1480], ident=ident, fragment=0x2000)
        yield self.ip(CLIENT, self.ipv4, UDP, datagram[1480:], ident=ident, fragment=1480 // 8)

    def scan(self, port):
        yield self.tcp(SCANNER, port, self.ipv4, 22, 99, 0, SYN)
        yield self.tcp(self.ipv4, 22, SCANNER, port, 0, 100, RST | ACK)

    def syslog(self):
        line = f"<134>1 2026-01-01T00:00:00Z {self.ipv4} nginx - - - GET / 200".encode()
        yield self.udp(self.ipv4, 514, LOG_HOST, 514, line, vlan=100)

    def traffic(self):
        """Frames without end."""
        body = b"<!doctype html><title>sample</title>" + b"<p>All is well.</p>\n" * 200
        for turn in itertools.count():
            port = 40000 + turn % 20000
            yield from self.dns(port, "log.example.com")
            yield from self.http(CLIENT, port, "/", body)
            yield from self.ping(turn & 0xFFFF)
            yield from self.scan(port)
            yield from self.http(CLIENT6, port, "/index.html", body[:2000])
            yield from self.ntp(port)
            yield from self.syslog()
            yield from self.fragments()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", metavar="OUT", help="the pcap file to write")
    parser.add_argument("--count", type=int, default=74, help="frames (default: 74, two rounds)")
    parser.add_argument("--host", type=int, default=1, metavar="N", help="1..255 (default: 1)")
    options = parser.parse_args()
    if options.count < 1 or not 1 <= options.host <= 255:
        parser.error("--count is at least 1, --host from 1 to 255")

    try:
        with open(options.out, "wb") as out:
            # The header of a pcap file with nanoseconds, link type Ethernet; a frame each 250 us.
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
            frames = itertools.islice(Host(options.host).traffic(), options.count)
            for number, frame in enumerate(frames):
                seconds, micros = divmod(250 * number, 1000000)
                out.write(
                    struct.pack("<IIII", START + seconds, micros * 1000, len(frame), len(frame))
                )
                out.write(frame)
    except OSError as error:
        sys.exit(f"sample-frames.py: {options.out}: {error.strerror}")


if __name__ == "__main__":
    main()
