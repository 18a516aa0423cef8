#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     packets of every kind, well made or not --> net_pcap0 --> mirrorsink --> out.pcapng
#         each with the fate it must have                  |         |
#                              net_pcap1 (exception port) <-+         +--> summary
#
# Each kind has a VNI of its own, so that what is delivered tells which kind it was. If counts
# differ every kind is run alone, to say which.
#
# Succeeds if
#  - every fate has exactly the count that the table says, and the judge agrees with the table;
#  - what is delivered is the inner frame: byte for byte, cut where the packet was cut, without the
#    padding that follows the outer packet, its original length what any header tells;
#  - what is no mirror traffic leaves by the exception port as it came;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat >"$work/kinds.py" <<'END'
import random
import struct
import packets as p

chance = random.Random(20)
INNER = p.ether(p.ipv4(p.udp(chance.randbytes(60), 1000, 53), p.UDP, "10.2.0.1", "10.3.0.1"), 0x800)
AWS = (p.geneve_option(bytes(8), 1) + p.geneve_option(bytes(8), 2) + p.geneve_option(bytes(4), 3))
kinds = []  # (name, fate, [packet])


def add(name, fate, make):
    """make(vni) returns a packet or a list of them."""
    made = make(len(kinds) + 1)
    kinds.append((name, fate, made if isinstance(made, list) else [made]))


def v4(payload, protocol=p.UDP, tags=(), **more):
    return p.ether(p.ipv4(payload, protocol, "10.1.0.10", "10.1.0.99", **more), 0x0800, tags=tags)


def v6(payload, following=p.UDP, tags=(), **more):
    return p.ether(p.ipv6(payload, following, "fd00::10", "fd00::99", **more), 0x86DD, tags=tags)


def vx(vni, frame=INNER, **more):
    return p.udp(p.vxlan(frame, vni, **more), 65408, 4789)


def gen(payload, kind, vni, **more):
    return p.udp(p.geneve(payload, kind, vni, **more), 65408, 6081)


def gwlb(vni, options=AWS, **more):
    """As through a Gateway Load Balancer endpoint: the VXLAN packet, from IP on, in GENEVE."""
    return v4(gen(p.ipv4(vx(vni, **more), p.UDP, "10.7.0.7", "10.1.0.99"), 0x0800, 0,
                  options=options))


def all_cuts(packet, first=1, ends=None):
    ends = len(packet) - len(INNER) + 1 if ends is None else ends
    return [packet[:n] for n in range(first, ends)]


def padded(packet, size=60):
    return packet + bytes(size - len(packet))


def patched(packet, at, value):
    return packet[:at] + value + packet[at + len(value):]


# what is delivered
tag, service = (0x8100, 5), (0x88A8, 6)
add("plain", "delivered", lambda n: v4(vx(n)))
add("one VLAN tag", "delivered", lambda n: v4(vx(n), tags=(tag,)))
add("QinQ", "delivered", lambda n: v4(vx(n), tags=(service, tag)))
add("QinQ of TPID 0x9100", "delivered", lambda n: v4(vx(n), tags=((0x9100, 6), tag)))
add("IPv4 options, 4 bytes", "delivered", lambda n: v4(vx(n), options=b"\x01\x01\x01\x00"))
add("IPv4 options, 40 bytes", "delivered", lambda n: v4(vx(n), options=b"\x94\x04" + bytes(38)))
add("IPv6", "delivered", lambda n: v6(vx(n)))
add("IPv6 with a VLAN tag", "delivered", lambda n: v6(vx(n), tags=(tag,)))
add("IPv6, hop-by-hop options", "delivered", lambda n: v6(p.extension(vx(n), p.UDP), 0))
add("IPv6, long destination options", "delivered", lambda n: v6(p.extension(vx(n), p.UDP, 3), 60))
add("IPv6, routing header", "delivered", lambda n: v6(p.extension(vx(n), p.UDP, 2), 43))
add("IPv6, authentication header", "delivered", lambda n: v6(p.authentication(vx(n), p.UDP), 51))
add("IPv6, three extension headers", "delivered", lambda n: v6(
    p.extension(p.extension(p.authentication(vx(n), p.UDP), 51, 1), 60), 0))
add("IPv6, atomic fragment", "delivered", lambda n: v6(p.fragment6(vx(n), p.UDP, 0, False), 44))
add("GENEVE with Ethernet", "delivered", lambda n: v4(gen(INNER, 0x6558, n)))
add("GENEVE with Ethernet, options", "delivered",
    lambda n: v4(gen(INNER, 0x6558, n, options=AWS)))
add("GENEVE over IPv6", "delivered", lambda n: v6(gen(INNER, 0x6558, n, options=AWS)))
add("GENEVE, 252 bytes of options", "delivered", lambda n: v4(
    gen(INNER, 0x6558, n, options=p.geneve_option(bytes(124)) + p.geneve_option(bytes(120)))))
add("GENEVE, IPv4, UDP, VXLAN", "delivered", gwlb)
add("GENEVE without options, IPv4, UDP, VXLAN", "delivered", lambda n: gwlb(n, b""))
add("GENEVE, IPv6, UDP, VXLAN", "delivered", lambda n: v4(
    gen(p.ipv6(vx(n), p.UDP, "fd00::7", "fd00::99"), 0x86DD, 0, options=AWS)))
add("GENEVE in VLAN over IPv6, IPv6, UDP, VXLAN", "delivered", lambda n: v6(
    gen(p.ipv6(vx(n), p.UDP, "fd00::7", "fd00::99"), 0x86DD, 0, options=AWS), tags=(tag,)))
add("one byte of inner frame, padded", "delivered", lambda n: padded(v4(vx(n, b"\x42"))))
add("short inner frame, padded", "delivered", lambda n: padded(v4(vx(n, INNER[:5]))))
add("one byte of inner frame", "delivered", lambda n: v4(vx(n, b"\x42")))
add("four bytes after the packet", "delivered", lambda n: v4(vx(n)) + b"\xde\xad\xbe\xef")
add("GENEVE, padded", "delivered", lambda n: padded(v4(gen(b"\x42", 0x6558, n))))
add("GENEVE, IPv4, UDP, VXLAN, padded", "delivered", lambda n: gwlb(n, frame=b"\x42") + bytes(9))
add("IPv4 longer than its UDP", "delivered", lambda n: v4(vx(n) + bytes(12)))
add("all flags and reserved bits of VXLAN", "delivered", lambda n: v4(p.udp(
    b"\xff\xff\xff\xff" + struct.pack("!I", n << 8 | 0xFF) + INNER, 1, 4789)))
add("UDP checksum that is wrong", "delivered", lambda n: patched(v4(vx(n)), 40, b"\x12\x34"))
add("IPv4 checksum that is wrong", "delivered", lambda n: patched(v4(vx(n)), 24, b"\x12\x34"))
add("DF, ID, TTL 1", "delivered", lambda n: v4(vx(n), fragment=0x4000, ident=77, ttl=1))
add("lengths 0, as of a packet above 64 KiB", "delivered", lambda n: patched(
    v4(vx(n), total=0), 38, bytes(2)))
add("IPv6 lengths 0", "delivered", lambda n: patched(v6(vx(n), length=0), 58, bytes(2)))
add("total length 0", "delivered", lambda n: v4(vx(n), total=0))
add("cut at each byte of the inner frame", "delivered",
    lambda n: all_cuts(v4(vx(n)), 51, 50 + len(INNER)))
add("cut at each byte of the inner frame, GENEVE", "delivered",
    lambda n: all_cuts(gwlb(n), len(gwlb(n)) - len(INNER) + 1, len(gwlb(n))))

# what is cut before its inner frame, at each byte
add("cut: plain", "outer_truncated", lambda n: all_cuts(v4(vx(n))))
add("cut: QinQ", "outer_truncated", lambda n: all_cuts(v4(vx(n), tags=(service, tag))))
add("cut: IPv4 options", "outer_truncated", lambda n: all_cuts(v4(vx(n), options=bytes(12))))
add("cut: IPv6, extensions", "outer_truncated", lambda n: all_cuts(
    v6(p.extension(p.authentication(vx(n), p.UDP), 51, 1), 0)))
add("cut: GENEVE", "outer_truncated", lambda n: all_cuts(v4(gen(INNER, 0x6558, n, options=AWS))))
add("cut: GENEVE, IPv4, UDP, VXLAN", "outer_truncated", lambda n: all_cuts(gwlb(n)))

# what contradicts itself
add("IPv4 of version 5", "outer_malformed", lambda n: patched(v4(vx(n)), 14, b"\x55"))
add("IPv4 header of 16 bytes", "outer_malformed", lambda n: patched(v4(vx(n)), 14, b"\x44"))
add("total length 19", "outer_malformed", lambda n: v4(vx(n), total=19))
add("total length below its options", "outer_malformed",
    lambda n: v4(vx(n), options=bytes(40), total=24))
add("no room for UDP", "outer_malformed", lambda n: v4(vx(n), total=27))
add("UDP length 7", "outer_malformed", lambda n: patched(v4(vx(n)), 38, b"\0\7"))
add("UDP longer than its IP", "outer_malformed",
    lambda n: patched(v4(vx(n)), 38, struct.pack("!H", len(vx(n)) + 1)))
add("IPv6 of version 4", "outer_malformed", lambda n: patched(v6(vx(n)), 14, b"\x40"))
add("IPv6 without room for UDP", "outer_malformed", lambda n: v6(vx(n), length=7))
add("IPv6 extension that overruns", "outer_malformed",
    lambda n: v6(p.extension(b"", p.UDP), 60, length=4))

# fragments
add("first fragment", "outer_fragment", lambda n: v4(vx(n), fragment=0x2000))
add("later fragment", "outer_fragment", lambda n: v4(INNER, fragment=0x0010))
add("middle fragment", "outer_fragment", lambda n: v4(INNER, fragment=0x2010))
add("IPv6 first fragment", "outer_fragment",
    lambda n: v6(p.fragment6(vx(n), p.UDP, 0, True), 44))
add("IPv6 later fragment", "outer_fragment",
    lambda n: v6(p.fragment6(INNER, p.UDP, 8, False), 44))
add("first fragment in GENEVE", "outer_fragment", lambda n: v4(gen(
    p.ipv4(vx(n), p.UDP, "10.7.0.7", "10.1.0.99", fragment=0x2000), 0x0800, 0, options=AWS)))

# tunnels
add("I flag clear", "vxlan_malformed", lambda n: v4(vx(n, flags=0xF7)))
add("I flag clear in GENEVE", "vxlan_malformed", lambda n: gwlb(n, flags=0))
add("VXLAN of 7 bytes, padded", "vxlan_malformed",
    lambda n: padded(v4(p.udp(p.vxlan(b"", n)[:7], 1, 4789))))
add("VXLAN of 0 bytes", "vxlan_malformed", lambda n: padded(v4(p.udp(b"", 1, 4789))))
add("GENEVE version 1", "geneve_malformed", lambda n: v4(gen(INNER, 0x6558, n, version=1)))
add("GENEVE options beyond the packet", "geneve_malformed",
    lambda n: v4(gen(b"\x42" * 20, 0x6558, n, room=6)))
add("GENEVE option beyond the options", "geneve_malformed", lambda n: v4(
    gen(INNER, 0x6558, n, options=AWS[:-8] + b"\x01\x08\x03\x02\0\0\0\0")))
add("GENEVE of 7 bytes, padded", "geneve_malformed",
    lambda n: padded(v4(p.udp(p.geneve(b"", 0x6558, n)[:7], 1, 6081))))

# no mirror traffic
add("DNS", "not_mirror", lambda n: v4(p.udp(b"question", 4789, 53)))
add("UDP from the VXLAN port", "not_mirror", lambda n: v4(p.udp(p.vxlan(INNER, n), 4789, 4788)))
add("VXLAN-GPE", "not_mirror", lambda n: v4(p.udp(p.vxlan(INNER, n), 1, 4790)))
add("ARP", "not_mirror", lambda n: p.arp("10.1.0.10", "10.1.0.99"))
add("ping", "not_mirror", lambda n: v4(p.icmp_echo(b"ping"), p.ICMP))
add("ping6", "not_mirror", lambda n: v6(p.icmp_echo(b"ping"), p.ICMP6))
add("TCP to the VXLAN port", "not_mirror", lambda n: v4(p.tcp(p.vxlan(INNER, n), 1, 4789), p.TCP))
add("fragment of TCP", "not_mirror", lambda n: v4(INNER, p.TCP, fragment=0x0010))
add("first fragment of DNS", "not_mirror", lambda n: v4(p.udp(INNER, 9, 53), fragment=0x2000))
add("IPv6 fragment of TCP", "not_mirror", lambda n: v6(p.fragment6(INNER, p.TCP, 8, True), 44))
add("IPv6 without next header", "not_mirror", lambda n: v6(p.extension(b"", 59), 60))
add("LLDP", "not_mirror", lambda n: p.ether(bytes(46), 0x88CC))
add("802.3", "not_mirror", lambda n: p.ether(b"\x42\x42\x03" + bytes(43), 46))
add("three VLAN tags", "not_mirror", lambda n: v4(vx(n), tags=(service, tag, tag)))
add("GENEVE with ARP", "not_mirror", lambda n: v4(gen(bytes(28), 0x0806, n)))
add("GENEVE with TCP", "not_mirror", lambda n: v4(gen(
    p.ipv4(p.tcp(INNER, 1, 4789), p.TCP, "10.7.0.7", "10.1.0.99"), 0x0800, n)))
add("GENEVE with DNS", "not_mirror", lambda n: v4(gen(
    p.ipv4(p.udp(b"question", 1, 53), p.UDP, "10.7.0.7", "10.1.0.99"), 0x0800, n)))
END

cat >"$work/write.py" <<'END'
import sys
import judge
from kinds import kinds

out, *only = sys.argv[1:]
made = []
for name, fate, packets in kinds:
    for packet in packets if not only or name in only else ():
        try:
            judge.decapsulate(packet)
            found = "delivered"
        except judge.Fate as other:
            found = str(other)
        judge.demand(found == fate, "%s: the judge says %s, the table %s", name, found, fate)
        made.append((1_700_000_000 * judge.NS + len(made) * 1000, packet))
judge.write_pcap(out, made)
if not only:
    print(f"{len(kinds)} kinds, {len(made)} packets")
END

cat >"$work/same.py" <<'END'
import collections
import sys
import judge
from kinds import kinds

out, summary, exceptions, *only = sys.argv[1:]
expected, frames, others = collections.Counter(), {}, []
for name, fate, packets in kinds:
    if not only or name in only:
        expected[fate] += len(packets)
        others += packets if fate == "not_mirror" else []
        for packet in packets if fate == "delivered" else ():
            found = judge.decapsulate(packet)
            frames.setdefault(found.vni, (name, []))[1].append(found)
numbers = judge.load(summary)
judge.check_ledger(numbers)
after = judge.read(out)
got = collections.defaultdict(list)
for packet in after.packets:
    got[after.name(packet)].append(packet)
for vni, (name, want) in frames.items():
    have = got.pop(f"vni{vni}", [])
    judge.compare([packet.data for packet in have], [one.frame for one in want], name)
    for packet, one in zip(have, want):
        judge.demand(packet.length == one.length, "%s: original length %d, expected %d", name,
                     packet.length, one.length)
judge.demand(not got, "frames that should not be: %r", {k: len(v) for k, v in got.items()})
judge.check_fates(numbers, expected)
judge.compare([p.data for p in judge.read(exceptions).packets], others, "exception port")
END

export PYTHONPATH=$here:$work

# run_kinds RUN [NAME]: all kinds, or one of them.
run_kinds()
{
	local run=$1

	shift
	check "$work/$run.pcap" "$@" <"$work/write.py" || return 1
	sink "$run" "--vdev=net_pcap0,rx_pcap=$work/$run.pcap" \
		"--vdev=net_pcap1,tx_pcap=$work/$run.x.pcap" -- \
		-w "$work/$run.pcapng" -x net_pcap1 -a idle:100 --summary "$work/$run.json" || return 1
	check "$work/$run.pcapng" "$work/$run.json" "$work/$run.x.pcap" "$@" <"$work/same.py"
}

if ! run_kinds all; then
	while IFS= read -r kind; do
		run_kinds one "$kind" 2>"$work/one.log" || {
			echo "$kind:"
			cat "$work/one.log"
		} >&2
	done < <("$python" -c 'import kinds; print(*(k[0] for k in kinds.kinds), sep="\n")')
	fail "fates that are not as they must be"
fi
