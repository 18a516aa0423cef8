#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
conversations.py OUT CERTIFICATE KEY CAPTURE...: a capture for an IDS to read.

First come the frames of those captures that fit a tap (14 to 1514 bytes each), then whole
conversations of HTTP, TLS, DNS, ICMP and others over IPv4 and IPv6, interleaved, in which every
packet has its answer; then sentinels, by which one sees that an IDS has come to the end. Frames
follow each other in steps of half a millisecond, whatever time they had. Prints how many captures
were taken. TLS is Python's own; what it sends differs from run to run, everything else does not.
"""

import random
import ssl
import struct
import sys

import judge
import packets as p

SYN, FIN, ACK, PUSH = 2, 1, 16, 8
STEP = judge.NS // 2000
SMALLEST, LARGEST = 14, 1514
SENTINELS, SENTINEL = 16, b"mirrorsink: the end"


class Pair:
    """Two hosts, and frames from one to the other."""

    def __init__(self, number, dport, tags=()):
        self.number, self.tags = number, tags
        self.hosts = f"10.4.{number // 250}.{number % 250 + 1}", f"10.5.0.{number % 7 + 1}"
        if number % 3 == 2:
            self.hosts = f"2001:db8:4::{number + 1:x}", f"2001:db8:5::{number % 7 + 1:x}"
        self.ports = 20000 + number, dport

    def frame(self, answer, protocol, payload):
        turn = -1 if answer else 1
        kind, packet = p.ip(payload, protocol, *self.hosts[::turn])
        return p.ether(packet, kind, *(p.SOURCE_MAC, p.TARGET_MAC)[::turn], self.tags)

    def udp(self, *payloads):
        """Question, answer, question, ..."""
        return [
            self.frame(i % 2, p.UDP, p.udp(payload, *self.ports[:: -1 if i % 2 else 1]))
            for i, payload in enumerate(payloads)
        ]

    def tcp(self, *payloads):
        """(answer, bytes) of a connection, from SYN to FIN."""
        frames, at = [], [1000, 2000]  # the next sequence number of each side

        def send(answer, flags, data=b""):
            segment = p.tcp(data, *self.ports[:: -1 if answer else 1], at[answer], flags,
                            at[not answer] if flags & ACK else 0)
            at[answer] += len(data) + bool(flags & (SYN | FIN))
            frames.append(self.frame(answer, p.TCP, segment))

        send(0, SYN)
        send(1, SYN | ACK)
        send(0, ACK)
        for answer, data in payloads:
            for i in range(0, len(data), p.WINDOW):
                send(answer, PUSH | ACK, data[i : i + p.WINDOW])
                send(not answer, ACK)
        for answer in (0, 1):
            send(answer, FIN | ACK)
            send(not answer, ACK)
        return frames

    def ping(self, count):
        four = ":" not in self.hosts[0]
        frames = []
        for i in range(2 * count):
            kind = ((8, 0) if four else (128, 129))[i % 2]
            body = struct.pack("!BBHHH", kind, 0, 0, self.number, i // 2) + bytes(range(40))
            frames.append(self.frame(i % 2, p.ICMP if four else p.ICMP6, body))
        return frames


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def dns(number):
    question = name(f"host{number}.example.org") + struct.pack("!HH", 1, 1)
    ask = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
    answer = struct.pack("!HHHHHH", number, 0x8180, 1, 1, 0, 0) + question
    answer += struct.pack("!HHHIH4B", 0xC00C, 1, 1, 300, 4, 192, 0, 2, number % 256)
    return ask, answer


def http(number):
    """Three requests on one connection; the second one posts."""
    payloads = []
    for i in range(3):
        body = b"field=value" * 40 if i == 1 else b""
        head = f"{'POST' if body else 'GET'} /path/{number}/{i}?q=evil HTTP/1.1\r\n"
        head += f"Host: www{number}.example.org\r\nUser-Agent: test/{i}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        page = f"<html>page {i} of {number}</html>".encode() * (10 + 40 * i)
        status = "404 Not Found" if (number + i) % 5 == 4 else "200 OK"
        reply = f"HTTP/1.1 {status}\r\nServer: test\r\nContent-Type: text/html\r\n"
        reply += f"Content-Length: {len(page)}\r\n\r\n"
        payloads += [(0, head.encode() + body), (1, reply.encode() + page)]
    return payloads


def tls(number, certificate, key):
    """A handshake, and a few bytes both ways."""
    version = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[number % 2]
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname, client_side.verify_mode = False, ssl.CERT_NONE
    client_side.minimum_version = client_side.maximum_version = version
    pipes = ssl.MemoryBIO(), ssl.MemoryBIO()  # to the server, to the client
    ends = (
        client_side.wrap_bio(pipes[1], pipes[0], server_hostname=f"tls{number}.example.org"),
        server_side.wrap_bio(pipes[0], pipes[1], server_side=True),
    )
    payloads, shaken = [], [False, False]

    def carry(side, step):
        """One end does a step; what it wrote goes on the wire, and to the other end."""
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        finally:
            data = pipes[side].read()
            if data:
                payloads.append((side, data))
                pipes[side].write(data)
        return True

    while not all(shaken):
        for side in (0, 1):
            shaken[side] = shaken[side] or carry(side, ends[side].do_handshake)
    for side in (0, 1):
        carry(side, lambda: ends[side].write(b"secret" * 50))
    return payloads


def conversations(certificate, key):
    made = []

    def pair(dport, tags=()):
        return Pair(len(made), dport, tags)

    for i in range(24):
        made.append(pair(80).tcp(*http(i)))
        made.append(pair(443).tcp(*tls(i, certificate, key)))
        made.append(pair(53).udp(*dns(2 * i), *dns(2 * i + 1)))
        ask, answer = (struct.pack("!H", len(one)) + one for one in dns(i))
        made.append(pair(53).tcp((0, ask), (1, answer)))
        made.append(pair(0).ping(1 + i % 4))
        made.append(pair(5000 + i).udp(*(b"data %d" % j for j in range(10))))
        made.append(pair(6000 + i).tcp((0, bytes(3000)), (1, b"\xff" * 2000), (0, b"end")))
    return made


def interleaved(chance, sequences):
    order = [i for i, one in enumerate(sequences) for _ in one]
    chance.shuffle(order)
    at = [iter(one) for one in sequences]
    return [next(at[i]) for i in order]


def main(out, certificate, key, *captures):
    frames, taken = [], 0
    for path in captures:
        found = [one.data for one in judge.read(path, strict=False).packets]
        if found and all(SMALLEST <= len(frame) <= LARGEST for frame in found):
            frames += found
            taken += 1
    frames += interleaved(random.Random(1), conversations(certificate, key))
    for i in range(SENTINELS):
        frames += Pair(30000 + i, 9).udp(SENTINEL)
    judge.write_pcap(out, [(1_700_000_000 * judge.NS + i * STEP, one)
                           for i, one in enumerate(frames)])
    print(taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
