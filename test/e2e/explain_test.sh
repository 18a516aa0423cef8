#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, 6,000 mirrored packets; the same ones with bits flipped, bytes cut off, in GENEVE, over
#     IPv6, in fragments; packets of 70 KB and of 256 KiB
#         |
#     mirrorsink --explain --explain-format json --> one verdict a packet, held against reference.py
#
# Succeeds if
#  - with routes, with SourceCheck strict and with UnknownSession deliver each packet's fate, session,
#    direction and outputs are the reference's; the filters that were asked are those it asks, the
#    rules that were tried are those up to the first that matches, each matches where the reference
#    says so, and each that does not has a reason; and all fates of the outer headers occur;
#  - the fast path agrees with every packet (status 0, nothing on standard error), also with those in
#    the captures of others, if they are here;
#  - a pcapng, a pipe and a pcap of the same packets are explained alike;
#  - the text of a small capture is that of test/golden/explain;
#  - what is no capture of Ethernet is refused with status 2, and a file that is cut is explained as
#    far as it goes, with status 1.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-9}
echo "seed $seed"
golden=$root/test/golden/explain
"$python" "$here/account.py" "$work" "$seed"

# explain RUN FILE [options]: the status is mirrorsink's. Output: $work/RUN.out, RUN.err.
explain()
{
	local run=$1 file=$2

	shift 2
	timeout -k 5 "${limit:-100}" "$MIRRORSINK" --explain "$file" "$@" \
		>"$work/$run.out" 2>"$work/$run.err"
}

# refused STATUS PATTERN FILE [options]
refused()
{
	local want=$1 pattern=$2 status=0

	explain refused "${@:3}" || status=$?
	assert_equal "$status" "$want" "status of --explain ${*:3}"
	grep -q -- "$pattern" "$work/refused.err" || fail "--explain ${*:3}: no message '$pattern'"
}

check "$work" "$seed" <<'END'
import random
import struct
import sys
import judge
import packets as p

work, seed = sys.argv[1:]
chance = random.Random(int(seed) + 1)
plain = [packet.data for packet in judge.read(f"{work}/in.pcap").packets]


def flipped(packet, end):
    """Some bits of the first bytes are others."""
    changed = bytearray(packet)
    for _ in range(chance.choice((1, 1, 2, 5))):
        changed[chance.randrange(min(end, len(changed)))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def wrapped(packet):
    """From IP on in GENEVE, as through a Gateway Load Balancer endpoint."""
    options = p.geneve_option(bytes(8)) + p.geneve_option(bytes(4), 3)
    body = p.udp(p.geneve(packet[14:], 0x0800, 0, options=options), 65408, 6081)
    kind, outer = p.ip(body, p.UDP, *chance.choice((("10.7.0.7", "10.1.0.99"),
                                                    ("fd00::7", "fd00::99"))))
    return p.ether(outer, kind, tags=chance.choice(((), ((0x8100, 9),))))


def over_ipv6(packet):
    body, following = packet[34:], p.UDP
    kind = chance.randrange(5)
    if kind == 0:
        body, following = p.extension(body, p.UDP, 1), 60
    elif kind == 1:
        body, following = p.fragment6(body, p.UDP, chance.choice((0, 5)), chance.random() < .5), 44
    elif kind == 2:
        body, following = p.authentication(body, p.UDP), 51
    return p.ether(p.ipv6(body, following, "fd00::10", "fd00::99"), 0x86DD)


def fragmented(packet):
    return packet[:20] + struct.pack("!H", chance.choice((0x2000, 0x2009, 0x0009))) + packet[22:]


def unflagged(packet):
    """VXLAN without its I flag."""
    return packet[:42] + b"\0" + packet[43:]


FORMS = [lambda packet: packet] * 8 + [wrapped, over_ipv6, fragmented] * 4 + [unflagged]
made = list(plain)
for packet in plain:
    form = chance.choice(FORMS)(packet)
    if chance.random() < 0.4:
        form = flipped(form, 120)
    elif chance.random() < 0.3:
        form = form[:chance.randrange(1, len(form))]
    made.append(form)
body = p.tcp(bytes(70000), 40000, 443)
frame = p.ether(p.ipv4(body, p.TCP, "10.2.0.1", "10.1.0.10", total=0), 0x0800)
vxlan = struct.pack("!HHHH", 65408, 4789, 0, 0) + p.vxlan(frame, 100)
made.append(p.ether(p.ipv4(vxlan, p.UDP, "10.1.0.10", "10.1.0.99", total=0), 0x0800))
made.append(made[-1] + bytes(262144 - len(made[-1])))
judge.write_pcap(f"{work}/all.pcap", [(1_700_000_000 * judge.NS + i * 1000, data)
                                      for i, data in enumerate(made)])
judge.write_pcap(f"{work}/link.pcap", [(0, b"x" * 40)])
with open(f"{work}/link.pcap", "r+b") as file:
    file.seek(20)
    file.write(struct.pack("<I", 101))  # LINKTYPE_RAW
with open(f"{work}/all.pcap", "rb") as file, open(f"{work}/cut.pcap", "wb") as cut:
    cut.write(file.read(5000))
END

cat >"$work/same.py" <<'END'
import collections
import json
import sys
import judge
import reference

capture, explained, at_stake, *documents = sys.argv[1:]
document = {}
for path in documents:
    document.update(judge.load(path))
oracle = reference.Reference(document)
TABLES = {"ingress": "IngressFilterRules", "egress": "EgressFilterRules"}


def expected_filters(session, direction, found):
    """(filter, direction, decision) of all filters that are asked."""
    resolvers = oracle.resolvers_of(session)
    for table in [direction] if direction else TABLES:
        question = resolvers, table, found
        own, asked = session["TrafficMirrorFilterId"], set()
        if own in oracle.filters:
            fate = oracle.apply(own, question)
            yield own, table, fate
            asked.add(own)
            if fate:
                continue
        for route in oracle.routes:
            if (route.get("FilterId") in oracle.filters and route["FilterId"] not in asked
                    and route.get("SessionId", session["TrafficMirrorSessionId"])
                    == session["TrafficMirrorSessionId"]
                    and route.get("VirtualNetworkId", session["VirtualNetworkId"])
                    == session["VirtualNetworkId"]):
                asked.add(route["FilterId"])
                yield route["FilterId"], table, oracle.apply(route["FilterId"], question)


def check_rules(asked, session, found):
    """The rules that were tried are those up to the first that matches."""
    mirror = oracle.filters[asked["filter"]]
    if asked["amazon_dns"]:
        dns = reference.is_dns(found, oracle.resolvers_of(session))
        judge.demand("amazon-dns" in mirror["NetworkServices"] and dns
                     and not asked["rules"], "amazon-dns: %r", asked)
        return
    rules = sorted(mirror[TABLES[asked["direction"]]], key=lambda one: one["RuleNumber"])
    want = []
    for rule in rules:
        want.append((rule["RuleNumber"], reference.rule_matches(rule, found)))
        if want[-1][1]:
            break
    got = [(rule["rule"], rule["matches"]) for rule in asked["rules"]]
    judge.demand(got == want, "rules of %s: %r, expected %r", asked["filter"], got, want)
    for rule in asked["rules"]:
        judge.demand(bool(rule["reasons"]) != rule["matches"], "reasons: %r", rule)
    judge.demand(asked["rule"] == (want[-1][0] if want and want[-1][1] else None), "%r", asked)


def check_packet(packet, line):
    judge.demand(line["disagreement"] is None, "disagreement: %s", line["disagreement"])
    judge.demand((line["length"], line["schema"]) == (len(packet.data), "mirrorsink.explain/1"), "")
    try:
        if len(packet.data) > 262143:
            raise judge.Fate("outer_malformed")
        session, direction, frame, found = oracle.locate(packet.data)
    except judge.Fate as fate:
        judge.demand((line["fate"], line["outputs"]) == (str(fate), []), "%s, expected %s",
                     line["fate"], fate)
        why = line["session"]["why"] if "session" in line else line["outer"]["why"]
        judge.demand(why, "no reason for %s", fate)
        return
    judge.demand("inner" in line, "%s: %r, expected session %s", line["fate"], line["outer"],
                 session["TrafficMirrorSessionId"])
    judge.demand(line["session"]["session"] == session["TrafficMirrorSessionId"], "session %r",
                 line["session"])
    judge.demand(line["direction"]["direction"] == (direction or "unknown"), "direction %r of %s",
                 line["direction"], frame.hex())
    judge.demand(line["session"]["why"] and line["direction"]["why"], "no reason")
    inner = line["inner"]
    judge.demand(inner["length"] == len(frame), "length %d", inner["length"])
    got = [inner.get(name) for name in ("family", "protocol", "source", "destination",
                                        "source_port", "destination_port")]
    want = [str(value) if i in (2, 3) and value is not None else value
            for i, value in enumerate(found)]
    judge.demand(got == want, "fields %r, expected %r of %s", got, want, frame.hex())
    judge.demand(len(inner["missing"]) == want[1:].count(None), "missing %r", inner["missing"])
    decisions = [(a["filter"], a["direction"], a["decision"]) for a in line["filters"]]
    words = {None: "accept", "filter_reject": "reject", "filter_default": "default"}
    wanted = [(name, table, words[fate])
              for name, table, fate in expected_filters(session, direction, found)]
    judge.demand(decisions == wanted, "filters %r, expected %r", decisions, wanted)
    for asked in line["filters"]:
        check_rules(asked, session, found)
    try:
        want = "delivered", sorted(oracle.decide(packet.data)[3])
    except judge.Fate as fate:
        want = str(fate), []
    judge.demand((line["fate"], sorted(line["outputs"])) == want, "%s to %r, expected %r",
                 line["fate"], line["outputs"], want)


fates = collections.Counter()
with open(explained, encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
packets = judge.read(capture).packets
judge.demand(len(lines) == len(packets), "%d packets, %d are explained", len(packets), len(lines))
for number, (packet, line) in enumerate(zip(packets, lines), 1):
    judge.demand(line["packet"] == number, "number %d", line["packet"])
    try:
        check_packet(packet, line)
    except judge.Wrong as wrong:
        raise judge.Wrong(f"packet {number}: {wrong}\n{packet.data[:200].hex()}") from None
    fates[line["fate"]] += 1
print(dict(fates))
outer = "not_mirror outer_truncated outer_malformed outer_fragment vxlan_malformed geneve_malformed"
for fate in outer.split() + at_stake.split(","):
    judge.demand(fates[fate] >= 5, "the test is weak: %d packets of %s", fates[fate], fate)
END

# try AT_STAKE DOCUMENT
try()
{
	local documents=() configs=() one

	for one in filters sessions interfaces outputs "$2"; do
		documents+=("$work/$one.json")
		configs+=(-c "$work/$one.json")
	done
	explain "$2" "$work/all.pcap" --explain-format json "${configs[@]}" || fail "$2: status $?"
	[[ ! -s $work/$2.err ]] || fail "$2: $(head -n 3 "$work/$2.err")"
	check "$work/all.pcap" "$work/$2.out" "$1" "${documents[@]}" <"$work/same.py" || fail "$2"
}

stake=delivered,filter_reject,filter_default
try $stake,session_unknown,no_route routes
try $stake,session_unknown,source_mismatch strict
try $stake learn

# the same from a pipe, and from a pcapng of what a sink has written with its outer headers
explain pipe - --explain-format=json <"$work/all.pcap" || fail "from a pipe: status $?"
explain file "$work/all.pcap" --explain-format=json || fail "from a file: status $?"
cmp "$work/pipe.out" "$work/file.out" || fail "a pipe is explained otherwise than a file"
sink outer "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -w "$work/outer.pcapng" --outer -a idle:200
explain outer "$work/outer.pcapng" --explain-format json -w out.pcapng || fail "pcapng: status $?"
check "$work/outer.out" <<'END'
import json
import sys
import judge

with open(sys.argv[1], encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
judge.demand(len(lines) == 6000, "%d packets of a pcapng", len(lines))
for line in lines:
    judge.demand((line["fate"], line["outputs"]) == ("delivered", ["write"]), "%r", line)
END
[[ ! -e out.pcapng ]] || fail "an output of --explain was opened"

# the text, byte by byte
check "$work/golden.pcap" <<'END'
import sys
import judge
import packets as p

ENI, PEER = "02:aa:00:00:00:01", "02:aa:00:00:00:99"


def frame(kind, packet, source=PEER, target=ENI, **more):
    return p.ether(packet, kind, source, target, **more)


web = p.ipv4(p.tcp(bytes(20), 40000, 443), p.TCP, "10.2.0.1", "10.1.0.10")
ssh = p.ipv4(p.tcp(bytes(20), 40000, 22), p.TCP, "10.2.0.1", "10.1.0.10")
dns = p.ipv4(p.udp(bytes(20), 5353, 53), p.UDP, "10.1.0.10", "10.1.0.2")
later = p.ipv4(bytes(40), p.UDP, "10.2.0.1", "10.1.0.10", fragment=9)
six = p.ipv6(p.udp(bytes(8), 53, 1024), p.UDP, "2001:db8::1", "2001:db8::2")
gwlb = p.mirror(frame(0x0800, web), 100)[14:]
made = [
    p.mirror(frame(0x0800, web), 100),
    p.mirror(frame(0x0800, ssh, tags=((0x8100, 5),)), 100, tags=((0x8100, 7),)),
    p.mirror(frame(0x0800, dns, ENI, PEER), 100),
    p.mirror(frame(0x0800, later), 100),
    p.mirror(frame(0x0800, web)[:30], 100),
    p.mirror(frame(0x86DD, six, PEER, PEER), 100),
    p.mirror(frame(0x0806, bytes(28)), 100, "10.1.0.11"),
    p.mirror(frame(0x0800, web), 100, "10.1.0.77"),
    p.mirror(frame(0x0800, web), 9),
    p.ether(p.ipv4(p.udp(p.geneve(gwlb, 0x0800, 0, p.geneve_option(bytes(8))), 65408, 6081), p.UDP,
                   "10.7.0.7", "10.1.0.99"), 0x0800),
    p.mirror(frame(0x0800, web), 100, port=4790),
    p.mirror(frame(0x0800, web), 100)[:45],
    p.arp("10.1.0.1", "10.1.0.99"),
]
judge.write_pcap(sys.argv[1], [(1_700_000_000 * judge.NS + i * 1_500_000, data)
                               for i, data in enumerate(made)])
END
explain text "$work/golden.pcap" -c "$golden/account.json" || fail "text: status $?"
if [[ -n ${UPDATE:-} ]]; then # read the difference before keeping it
	cp "$work/text.out" "$golden/account.text"
fi
diff -u "$golden/account.text" "$work/text.out" || fail "the text is not that of the golden file"

# what one packet alone does not tell
explain alone "$work/golden.pcap" -c <(echo '{"Dedup": {}, "OuterFragments": "reassemble"}') ||
	fail "alone: status $?"
grep -q 'it finds no duplicates' "$work/alone.err" || fail "no word of Dedup"
grep -q 'it puts no outer fragments together' "$work/alone.err" || fail "no word of fragments"

# captures of others
if [[ -d $captures/mirrored ]]; then
	for capture in "$captures"/mirrored/*.pcap; do
		explain other "$capture" || fail "$capture: status $?"
	done
fi

refused 2 'no capture that can be read' "$work/nothing.pcap"
refused 2 'no capture that can be read' "$golden/account.json"
refused 2 'link type 12 (RAW)' "$work/link.pcap"
refused 2 'neither text nor json' "$work/in.pcap" --explain-format xml
refused 2 'give one of them' "$work/in.pcap" --check
refused 2 'SourceCheck' "$work/in.pcap" -c <(echo '{"SourceCheck": 1}')
refused 1 'cannot be read beyond packet' "$work/cut.pcap"
grep -q '^packet 5 ' "$work/refused.out" || fail "nothing of a file that is cut was explained"
