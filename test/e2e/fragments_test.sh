#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     mirrored packets, cut into IP fragments --> net_pcap0 --> mirrorsink --> out.pcapng, summary
#                                                                   |
#                                       net_pcap1 (exception port) <-+
#
# Fragments as a network makes them: of frames of up to 9,000 bytes in pieces of 1,500, over IPv4 and
# IPv6, with options, VLAN tags, padding, in any order, those of many packets mixed. And as it makes
# them at its worst: lost, repeated, overlapping, too many, too late, cut. And such that are not for
# us: of DNS, of TCP, inside GENEVE, behind other IPv6 extension headers. What must become of each is
# computed here, by a model that only knows what the manual says.
#
# Succeeds if with OuterFragments "reassemble"
#  - exactly those packets arrive that the model puts together, their inner frames byte for byte,
#    with the time of the fragment that was the last to come, in the order in which these came;
#  - reassembled and outer_fragment have exactly the counts of the model;
#  - what is no mirror traffic leaves by the exception port as the one packet that it was;
#  - fragments that wait are under way, and get their fate a second later although nothing comes;
# if without it, and with "drop", each fragment has the fate that the judge gives it; and the ledger
# balances always.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat >"$work/model.py" <<'END'
"""Cuts packets into fragments, and puts them together again."""
import collections
import random
import struct
import judge
import packets as p

PIECES, LIFETIME = 8, 1_000_000_000
START = 1_700_000_000_000_000_000


def cut4(packet, mtu, ident):
    """An IPv4 packet (without Ethernet) in fragments. Options are the first one's alone."""
    header = (packet[0] & 15) * 4
    head, body, made, at = packet[:header], packet[header:], [], 0
    while at < len(body):
        room = (mtu - header) & ~7
        part = body[at:at + room] if len(body) - at > mtu - header else body[at:]
        more = at + len(part) < len(body)
        new = bytearray(head)
        new[2:8] = struct.pack("!HHH", header + len(part), ident, at // 8 | (0x2000 if more else 0))
        new[10:12] = bytes(2)
        new[10:12] = struct.pack("!H", p.checksum(bytes(new)))
        made.append(bytes(new) + part)
        at += len(part)
        head, header = bytes([0x45]) + head[1:20], 20
    return made


def cut6(packet, mtu, ident):
    head, following, body, made, at = packet[:40], packet[6], packet[40:], [], 0
    room = (mtu - 48) & ~7
    while at < len(body):
        part = body[at:at + room] if len(body) - at > mtu - 48 else body[at:]
        more = at + len(part) < len(body)
        new = struct.pack("!BBHI", following, 0, at | int(more), ident) + part
        made.append(head[:4] + struct.pack("!HB", len(new), 44) + head[7:] + new)
        at += len(part)
    return made


def cut(packet, mtu, ident):
    """An Ethernet packet in fragments; those that are short are padded, as a wire does."""
    at = 12
    while packet[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    ether, ip = packet[:at + 2], packet[at + 2:]
    made = (cut4 if ip[0] >> 4 == 4 else cut6)(ip, mtu, ident)
    return [(ether + one).ljust(60, b"\0") for one in made]


class Fragment:
    """What is to be known of one, or nothing if it is none that can be put together."""

    def __init__(self, raw):
        at = 12
        while raw[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        kind, self.ether, ip = raw[at:at + 2], raw[:at + 2], raw[at + 2:]
        self.key = None
        if kind == b"\x08\x00" and len(ip) >= 20 and ip[9] == p.UDP:
            total, self.ident, field = struct.unpack_from("!HHH", ip, 2)
            header = (ip[0] & 15) * 4
            self.at, self.more = (field & 0x1FFF) * 8, bool(field & 0x2000)
            self.head = ip[:header]
            whole = self.at + total - header <= 65535 - 60
        elif kind == b"\x86\xdd" and len(ip) >= 48 and ip[6] == 44 and ip[40] == p.UDP:
            total, header = struct.unpack_from("!H", ip, 4)[0] + 40, 48
            field, self.ident = struct.unpack_from("!HI", ip, 42)
            self.at, self.more, self.head = field & 0xFFF8, bool(field & 1), ip[:40]
            whole = self.at + total - header <= 65535
        else:
            return
        self.data = ip[header:total]
        if (self.at or self.more) and whole and total > header and len(ip) >= total:
            self.key = (len(self.head) >= 40 and kind == b"\x86\xdd", ip[8:40] if
                        kind == b"\x86\xdd" else ip[12:20], self.ident)

    def together(self, body):
        """The packet that has this first fragment."""
        if self.key[0]:
            head = self.head[:4] + struct.pack("!HB", len(body), p.UDP) + self.head[7:]
            return self.ether + head + body
        head = bytearray(self.head)
        head[2:4] = struct.pack("!H", len(head) + len(body))
        head[6:8] = head[10:12] = bytes(2)
        head[10:12] = struct.pack("!H", p.checksum(bytes(head)))
        return self.ether + bytes(head) + body


def reassemble(sent):
    """(packets as they are after it, Counter of the fates of fragments) of [(time, raw)]."""
    waiting, fates, out = {}, collections.Counter(), []
    for time, raw in sent:
        one = Fragment(raw)
        if one.key is None:
            out.append((time, raw))
            continue
        begun, parts = waiting.pop(one.key, (time, []))
        if time - begun > LIFETIME:
            fates["outer_fragment"] += len(parts)
            begun, parts = time, []
        parts.append(one)
        firsts, lasts = [f for f in parts if f.at == 0], [f for f in parts if not f.more]
        if len(firsts) > 1 or len(lasts) > 1 or len(parts) - len(firsts) - len(lasts) > PIECES - 2:
            fates["outer_fragment"] += len(parts)
            continue
        if not lasts or sum(len(f.data) for f in parts) < lasts[0].at + len(lasts[0].data):
            waiting[one.key] = (begun, parts)
            continue
        at, body, whole = 0, b"", True
        for f in sorted(parts, key=lambda f: f.at):
            whole = whole and f.at == at
            at, body = at + len(f.data), body + f.data
        if not whole:
            fates["outer_fragment"] += len(parts)
            continue
        fates["reassembled"] += len(parts) - 1
        out.append((time, firsts[0].together(body)))
    fates["outer_fragment"] += sum(len(parts) for _, parts in waiting.values())
    return out, fates


def inner(chance, size):
    body = p.udp(chance.randbytes(max(size - 42, 0)), 1000, 53)
    return p.ether(p.ipv4(body, p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800)


def packet(chance, number):
    """A mirrored packet of any sort and size, or one of DNS."""
    size, vni = chance.choice((60, 600, 1500, 3000, 8947, 9001)), number % 200
    frame, sort, tags = inner(chance, size), chance.randrange(8), ()
    if sort == 0:
        tags = ((0x8100, 5),)
    if sort == 1:
        tags = ((0x88A8, 6), (0x8100, 5))
    if sort < 4:
        return p.mirror(frame, vni, "fd00::10", "fd00::99", tags=tags)
    if sort == 4:
        return p.ether(p.ipv4(p.udp(p.vxlan(frame, vni), 1, 4789), p.UDP, "10.1.0.10", "10.1.0.99",
                              options=b"\x94\x04\0\0"), 0x0800)
    if sort == 5:
        return p.ether(p.ipv4(p.udp(p.geneve(frame, 0x6558, vni), 1, 6081), p.UDP, "10.1.0.10",
                              "10.1.0.99"), 0x0800)
    if sort == 6 and number % 3 == 0:
        return p.ether(p.ipv4(p.udp(frame, 53, 1000), p.UDP, "10.1.0.10", "10.1.0.99"), 0x0800)
    return p.mirror(frame, vni, tags=tags)


def good():
    """All arrive, in any order, and nothing is wrong."""
    chance, queue, now = random.Random(1), [], START
    for number in range(1200):
        one = packet(chance, number)
        parts = cut(one, chance.choice((1500, 1500, 3000)), number)
        if chance.randrange(2):
            chance.shuffle(parts)
        now += 10_000_000
        for part in parts:  # those of some packets are mixed
            queue.append((now + chance.randrange(2) * chance.randrange(50_000) * 1000, part))
    return sorted(queue, key=lambda one: one[0])


def bad():
    """Anything can happen to any fragment."""
    chance, queue, now = random.Random(2), [], START
    for number in range(1500):
        parts = cut(packet(chance, number), chance.choice((1500, 1500, 1280, 3000)), number)
        now += 20_000_000
        times = [now + chance.randrange(30_000) * 1000 for _ in parts]
        what, which = chance.randrange(10), chance.randrange(len(parts))
        if what == 0:  # lost
            del parts[which], times[which]
        elif what == 1:  # repeated
            parts.append(parts[which])
            times.append(times[which] + chance.randrange(40_000) * 1000)
        elif what == 2:  # moved: a hole here, an overlap there
            old = parts[which]
            at = old.index(b"\x45", 14) + 6 if b"\x08\x00\x45" in old[12:25] else None
            if at is not None:
                field = struct.unpack_from("!H", old, at)[0]
                parts[which] = old[:at] + struct.pack("!H", field ^ chance.choice((1, 2, 0x2000))
                                                      ) + old[at + 2:]
        elif what == 3:  # one comes when the others have been given up
            times[which] += chance.choice((900_000, 1_100_000, 3_000_000)) * 1000
        elif what == 4:  # cut on its way
            parts[which] = parts[which][:chance.randrange(20, len(parts[which]) + 1)]
        queue += zip(times, parts)
    return sorted(queue, key=lambda one: one[0])


def odd():
    """What can't be put together, each with the number of the packet that it is of."""
    chance, made = random.Random(3), []
    frame = inner(chance, 3000)
    long = p.mirror(frame, 7)
    made += cut(long, 384, 1)  # nine pieces
    made += cut(p.mirror(frame, 7, "fd00::1", "fd00::2"), 400, 2)
    # overlaps of which a part is chained already when the hole is found
    one = cut(long, 1016, 3)
    shifted = bytearray(one[1])
    shifted[20:22] = struct.pack("!H", struct.unpack_from("!H", shifted, 20)[0] - 1)
    made += [one[0], bytes(shifted), one[2], one[3]]
    # beyond the end of any packet
    made.append(p.ether(p.ipv4(bytes(1000), p.UDP, "10.1.0.1", "10.1.0.2", fragment=0x1FFF), 0x800))
    made.append(p.ether(p.ipv6(p.fragment6(bytes(1000), p.UDP, 0x1FFF, False), 44, "fd00::1",
                               "fd00::2"), 0x86DD))
    # empty
    made.append(p.ether(p.ipv4(b"", p.UDP, "10.1.0.1", "10.1.0.2", fragment=0x2000), 0x0800))
    # not UDP
    tcp = p.ether(p.ipv4(p.tcp(frame, 1, 4789), p.TCP, "10.1.0.1", "10.1.0.2"), 0x0800)
    made += cut(tcp, 1500, 4)
    # other extension headers in front
    six = p.fragment6(p.udp(p.vxlan(frame, 7), 1, 4789)[:1480], p.UDP, 0, True)
    made.append(p.ether(p.ipv6(p.extension(six, 44), 60, "fd00::1", "fd00::2"), 0x86DD))
    # in GENEVE
    inside = cut4(long[14:], 1400, 5)
    made += [p.ether(p.ipv4(p.udp(p.geneve(part, 0x0800, 0), 1, 6081), p.UDP, "10.7.0.7",
                            "10.1.0.99"), 0x0800) for part in inside]
    return [(START + i * 1000, one) for i, one in enumerate(made)]


def flood():
    """More packets at once than an lcore keeps of a replay (128); then the rest of them all."""
    parts = [cut(p.mirror(inner(random.Random(i), 1800), i), 1500, i) for i in range(200)]
    made = [one[0] for one in parts] + [one[1] for one in parts]
    return [(START + i * 1000, one) for i, one in enumerate(made)]


def fate_of(raw):
    try:
        return "delivered", judge.decapsulate(raw)
    except judge.Fate as fate:
        return str(fate), None


SETS = {"good": good, "bad": bad, "odd": odd, "flood": flood}
END
export PYTHONPATH=$PYTHONPATH:$work
check "$work" <<'END'
import sys
import judge
import model

for name, make in model.SETS.items():
    judge.write_pcap(f"{sys.argv[1]}/{name}.pcap", make())
END
echo '{"OuterFragments": "reassemble"}' >"$work/reassemble.json"
echo '{"OuterFragments": "drop"}' >"$work/drop.json"
echo '{}' >"$work/default.json"

cat >"$work/compare.py" <<'END'
import collections
import sys
import judge
import model

work, name, how, run = sys.argv[1:]
sent = model.SETS[name]()
packets, want = sent, collections.Counter()
if how == "reassemble":
    packets, want = model.reassemble(sent)
frames, others = [], []
for time, raw in packets:
    fate, found = model.fate_of(raw)
    want[fate] += 1
    if fate == "delivered":
        frames.append((time, f"vni{found.vni}", found.frame))
    elif fate == "not_mirror":
        others.append(raw)
summary = judge.load(f"{work}/{run}.summary")
judge.check_fates(summary, want)
judge.demand(summary["received"]["packets"] == len(sent), "received %r", summary["received"])
capture = judge.read(f"{work}/{run}.pcapng")
got = [(one.time, capture.name(one), one.data) for one in capture.packets]
if run.endswith("w0"):
    judge.compare([one[2] for one in got], [one[2] for one in frames], "frames")
judge.demand(sorted(got) == sorted(frames), "frames, times or sessions differ")
judge.compare([one.data for one in judge.read(f"{work}/{run}.x.pcap").packets], others, "exceptions")
print(f"{run}: {len(sent)} packets, {dict(want)}")
END

# replay SET HOW WORKERS
replay()
{
	local run=$1-$2-w$3

	sink "$run" "--vdev=net_pcap0,rx_pcap=$work/$1.pcap" \
		"--vdev=net_pcap1,tx_pcap=$work/$run.x.pcap" -- -W "$3" \
		-c "$work/$2.json" -w "$work/$run.pcapng" -x net_pcap1 -a idle:300 \
		--summary "$work/$run.summary" || fail "$run: status $?"
	assert_ledger "$work/$run.summary"
}

for set in good bad odd; do
	for how in reassemble drop default; do
		replay "$set" "$how" 0
		check "$work" "$set" "$how" "$set-$how-w0" <"$work/compare.py"
	done
done
use_lcores 3
replay good reassemble 1
check "$work" good reassemble good-reassemble-w1 <"$work/compare.py"
use_lcores 2

# the test tests something: each set has what it is for
(($(get "$work/good-reassemble-w0.summary" fates.outer_fragment) == 0)) || fail "good is not good"
(($(get "$work/good-reassemble-w0.summary" fates.delivered) >= 1100)) || fail "good is too little"
(($(get "$work/bad-reassemble-w0.summary" fates.outer_fragment) >= 500)) || fail "bad is too good"

replay flood reassemble 0
check "$work/flood-reassemble-w0.summary" <<'END'
import sys
import judge

judge.check_fates(judge.load(sys.argv[1]),
                  {"delivered": 128, "reassembled": 128, "outer_fragment": 144})
END

# a second without any packet: what waits is given up while the program runs
check "$work" <<'END'
import sys
import judge
import model

judge.write_pcap(f"{sys.argv[1]}/lonely.pcap", model.flood()[:100])
END
sink_start lonely "--vdev=net_pcap0,rx_pcap=$work/lonely.pcap" -- \
	-c "$work/reassemble.json" --summary "$work/lonely.summary"
has_fates()
{
	telemetry lonely /mirrorsink/ledger | grep -q '"outer_fragment": *100\b'
}
wait_for 10 has_fates || fail "fragments that wait for nothing are never given up"
stop "$pid" || fail "lonely: status $?"
assert_ledger "$work/lonely.summary"
